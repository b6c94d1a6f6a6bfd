"""The walk: what conforms, what is named first, what follows from it, what does not, what is missing or hostile."""

import numpy as np
import pytest

from dimref.audit.trace import compare, export
from dimref.audit.trace.compare import UNKNOWN
from dimref.errors import DimrefError

CONFIGURATIONS = [
    {},
    {"global_weight": 0.5, "bound": "dv", "negatives": "roll"},
    {"bound": "mine", "prior": "gaussian", "prior_loss": "non-saturating", "gradient_penalty": 0.5},
    {"bound": "nwj", "local_scorer": "dot"},
    {"bound": "infonce", "global_weight": 1.0},
    {"bound": "infonce", "negatives": "all-locations", "prior_weight": 0.0},
    {"bound": "infonce", "local_scorer": "concat", "candidates": 3},
    {"local_weight": 0.0, "global_weight": 1.0, "negatives": "all-pairs"},
]


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=lambda o: "-".join(map(str, o.values())) or "default")
def test_a_right_side_conforms_whatever_it_saves(options, sides):
    """Computed in float64, saved in float32 or float64: everything, the gradients of the parameters alone, the end alone."""
    found = sides.traced(**options)
    for dtype in (np.float32, np.float64):
        right = sides.planted(found, dtype=dtype)
        for part in ("", "gradient/parameters/", "after/parameters/", "/bound"):
            theirs = {name: array for name, array in right.items() if part in name}
            result = sides.held(found, theirs)
            assert [(d.name, d.finding.text) for d in result.departures] == []
            assert set(result.conforming) == set(theirs)
            assert set(result.missing) == set(found.arrays) - set(theirs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_later_steps_conform(dtype, sides):
    found = sides.traced(dtype=dtype, after=2, bound="mine")
    result = sides.held(found, sides.planted(found, dtype=np.float64))
    assert [(d.name, d.finding.text) for d in result.departures] == []
    assert result.missing == []


# ---- names and shapes


def test_torch_names_are_accepted_in_pytorchs_layout(sides):
    found = sides.traced()
    right = sides.planted(found)
    theirs = {}
    for entry in found.manifest["arrays"]:
        array = right[entry["name"]]
        if "torch" in entry:
            how = entry["torch"]
            array = array.reshape(how["reshape"]).transpose(how["axes"]).reshape(how["shape"])
        theirs[f"torch/{entry['name']}"] = array
    result = sides.held(found, theirs)
    assert result.departures == []
    assert result.remarks == []
    assert len(result.conforming) == len(found.arrays)


def test_another_shape_of_the_same_elements_conforms_with_a_remark(sides):
    found = sides.traced()
    right = sides.planted(found)
    shape = right["prior/seen/logits"].shape
    result = sides.held(found, {"prior/seen/logits": right["prior/seen/logits"].reshape(*shape, 1)})
    assert result.departures == []
    assert result.remarks == ["another shape, the same elements in the same order: prior/seen/logits"]


def test_a_wrong_shape_departs_and_the_rest_is_looked_at(sides):
    found = sides.traced()
    right = sides.planted(found)
    del right["encoder/y"]
    result = sides.held(found, right, ["encoder/y (3, 8)"])
    assert [(d.name, d.finding.id) for d in result.departures] == [("encoder/y", "shape")]
    assert "(3, 8) in place of (4, 8)" in result.departures[0].finding.text
    assert len(result.conforming) == len(right)


def test_only_some_unexplained_departures_are_searched_for(sides, monkeypatch):
    """A side that is altogether different must not keep the search busy for long."""
    found = sides.traced()
    rng = np.random.default_rng(0)
    theirs = {
        n: rng.standard_normal(a.shape).astype(np.float32) for n, a in found.arrays.items() if a.dtype.kind == "f"
    }
    calls = []
    right = compare.diagnose
    monkeypatch.setattr(compare, "diagnose", lambda *a: calls.append(a[0]) or right(*a))
    monkeypatch.setattr("dimref.audit.trace.search.MOST_TRIES", 3)
    result = sides.held(found, theirs)
    assert sum(d.finding is UNKNOWN for d in result.departures) > 20
    assert len(calls) < 60


# ---- files


@pytest.fixture
def files(sides, tmp_path):
    found = sides.traced()
    export.write(tmp_path / "ref.npz", found)
    return tmp_path / "ref.npz", found


def test_a_file_conforms_to_itself_and_lists_what_is_unknown(files, tmp_path):
    path, found = files
    result = compare.compare(path, path)
    assert result.verdict == "conforms"
    assert result.conforming == list(found.arrays)
    np.savez(
        tmp_path / "t.npz", **{"encoder/y": found.arrays["encoder/y"], "mine/own": np.ones(3), "torch/odd": np.ones(2)}
    )
    result = compare.compare(path, tmp_path / "t.npz")
    assert result.unknown == ["mine/own", "torch/odd"]
    assert result.verdict == "conforms"


def test_arrays_of_another_size_and_unknown_ones_are_not_even_read(files, tmp_path, monkeypatch):
    path, found = files
    np.savez(
        tmp_path / "t.npz", **{"encoder/y": np.zeros((1000, 8)), "odd": np.array([{}], object), "loss": np.ones(())}
    )
    read = []
    right = compare.read_npz_array
    monkeypatch.setattr(compare, "read_npz_array", lambda p, a, key, **k: read.append(key) or right(p, a, key, **k))
    result = compare.compare(path, tmp_path / "t.npz")
    assert read == ["manifest", *found.arrays, "loss"]  # and of the trace no copy in PyTorch's layout
    assert result.unknown == ["odd"]
    assert result.departures[0].finding.id == "shape"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"manifest": None}, "no manifest"),
        ({"manifest": np.frombuffer(b"{}", np.uint8)}, "a trace's manifest"),
        ({"manifest": np.array([np.nan])}, "a text in bytes, found float64"),
        ({"manifest": np.frombuffer(b'{"format": 9}', np.uint8)}, "trace format 2, found 9"),
        ({"manifest": np.frombuffer(b"[" * 100000, np.uint8)}, "a trace's manifest"),
        (
            {"manifest": np.frombuffer(b'{"format": 2, "arrays": [{"name": "x"}]}', np.uint8)},
            "the arrays of its manifest",
        ),
        ({"encoder/y": np.zeros(3)}, r"the shape \[4, 8\] of its manifest, found \(3,\)"),
        ({"encoder/y": None}, "the arrays of its manifest"),
        ({"encoder/y": np.array([{}], object)}, "expected numbers"),
    ],
    ids=range(9),
)
def test_what_is_no_trace_is_refused_in_a_line(change, word, files, tmp_path):
    path, _ = files
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays = {name: array for name, array in {**arrays, **change}.items() if array is not None}
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DimrefError, match=word) as caught:
        compare.compare(tmp_path / "bad.npz", path)
    assert "\n" not in str(caught.value)


def test_a_file_without_any_of_the_names_is_refused(files, tmp_path):
    np.savez(tmp_path / "t.npz", x=np.ones(3))
    with pytest.raises(DimrefError, match=r"expected arrays with names of .*, found x"):
        compare.compare(files[0], tmp_path / "t.npz")
