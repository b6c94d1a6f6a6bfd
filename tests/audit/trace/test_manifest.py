"""The manifest: every array is described, everything is JSON, and what is no manifest is refused in a line."""

import json
import math

import numpy as np
import pytest

from dimref.audit.trace import manifest
from dimref.audit.trace.layouts import LAYOUTS
from dimref.errors import DimrefError


def test_every_array_is_described_in_order(traced):
    found = traced(global_weight=0.5, after=1, gradient_penalty=0.5)
    text = json.dumps(found.manifest)
    assert json.loads(text) == found.manifest
    entries = found.manifest["arrays"]
    assert [entry["name"] for entry in entries] == list(found.arrays)
    known = set()
    for order, entry in enumerate(entries):
        array = found.arrays[entry["name"]]
        assert (entry["order"], entry["shape"], entry["dtype"]) == (order, list(array.shape), str(array.dtype))
        assert entry["layout"] in LAYOUTS
        assert entry["meaning"]
        if not entry["name"].startswith("gradient/"):
            assert set(entry["from"]) <= known, entry["name"]
        known.add(entry["name"])
        if "torch" in entry:
            how = entry["torch"]
            turned = array.reshape(how["reshape"]).transpose(how["axes"]).reshape(how["shape"])
            assert list(turned.shape) == how["shape"]


def test_meanings(traced):
    said = {entry["name"]: entry for entry in traced(after=1).manifest["arrays"]}
    assert said["gradient/encoder/y"]["meaning"] == "∂ loss / ∂ encoder/y"
    assert said["gradient/encoder/y"]["from"] == ["gradient/local/representation", "gradient/prior/sample"]
    assert said["after/adam/v/encoder/fc/w"]["layout"] == "linear on flat"
    assert said["after/adam/v/encoder/fc/w"]["meaning"] == "Adam's second moment after the step"
    assert said["adam/m/encoder/y/b"]["meaning"] == "Adam's first moment before the step"
    assert said["after/parameters/encoder/y/b"]["meaning"] == "parameters after the step"
    assert "PyTorch's weight" in said["parameters/encoder/norm1/gain"]["meaning"]
    assert said["state/encoder/norm1/mean"]["meaning"] == "before the step: running statistics"


def test_a_manifest_gives_its_step_back(traced, prepare):
    task = prepare(bound="infonce", local_scorer="concat", candidates=3)
    found = traced(bound="infonce", local_scorer="concat", candidates=3)
    config, objective, layout = manifest.step_of(found.manifest, "x")
    assert (config, objective, layout) == (task.config, task.objective, task.layout)


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": {"size": 10**9, "channels": 1}}, {"encoder": {"size": 8}}, {"encoder": None}, {"sizes": {"N": -1}},
        {"sizes": {}}, {"config": {"bound": "x"}}, {"config": {"lr": "fast"}}, {"config": []}, {"objective": {}},
        {"objective": {"candidates": 10**9, "global_weight": 0, "local_weight": 1, "prior_weight": 0}},
        {"steps_before": "two"}, {"dtype": "float8"}, {"encoder": {"size": True, "channels": []}},
    ],
    ids=str,
)  # fmt: skip
def test_an_impossible_step_is_refused_in_a_line(change, traced):
    with pytest.raises(DimrefError) as caught:
        manifest.step_of({**traced().manifest, **change}, "ref.npz")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(("ref.npz: ", "--"))


@pytest.mark.parametrize(
    "wrong", ["1", None, [], {}, True, math.nan, math.inf, -1, 0.25, 10**400], ids=lambda v: str(v)[:9]
)
@pytest.mark.parametrize("part", ["objective", "encoder", "sizes", "config"])
def test_every_number_of_a_step_is_held_to_its_kind(part, wrong, traced):
    """What follows from the rest must be equal to it; the rest must be of its type and in its range."""
    found = json.loads(json.dumps(traced(global_weight=0.5, gradient_penalty=0.5).manifest))
    followed, lines = 0, []
    for name, value in found[part].items():
        if type(value) not in (int, float) or value == wrong:
            continue
        change = {part: {**found[part], name: wrong}}
        try:
            manifest.step_of({**found, **change}, "ref.npz")
            followed += 1
        except DimrefError as error:
            lines.append(str(error))
    if part in ("objective", "encoder", "sizes"):
        assert followed == 0
    assert all(line.startswith(("ref.npz: ", "--")) and "\n" not in line for line in lines)
    for step in (wrong, 1 << 63):
        if step != 0:
            with pytest.raises(DimrefError, match=r"^ref\.npz: .* found no step"):
                manifest.step_of({**found, "steps_before": step}, "ref.npz")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"3", b"{}", b'{"format": null}', b"{" * 10**5])
def test_what_is_no_manifest_is_refused_in_a_line(content):
    with pytest.raises(DimrefError, match=r"ref\.npz: expected"):
        manifest.read(np.frombuffer(content, np.uint8), "ref.npz")
