"""Checkpoints: whatever is damaged or does not belong is refused, and what is read is what was written."""

import copy
import dataclasses
import json
import math
import os
import warnings
import zipfile

import numpy as np
import pytest
import tiny_runs
from tiny_runs import run_error

from dimref.training import checkpoint as checkpoints
from dimref.training import config as configs
from dimref.training.checkpoint import Checkpoint
from dimref.training.config import Config


def checkpoint(step=3, seed=0):
    rng = np.random.default_rng(seed)
    tree = {"encoder": {"conv1": {"w": rng.random((4, 5), np.float32)}}, "prior": {"b": np.zeros(7, np.float32)}}
    state = {"encoder": {"norm1": {"mean": np.ones(3, np.float32)}}, "mine": {"local": np.asarray(np.float32(0.5))}}
    return Checkpoint(
        step,
        {"parameters": tree, "state": state, "adam": {"m": tree, "v": tree}},
        Config(seed=7),
        -np.inf,
        {"machine": {"blas": "x"}, "images": "6"},
    )


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "newest.npz"
    checkpoints.save(path, checkpoint())
    return path


def test_a_checkpoint_comes_back_as_it_was(saved):
    found, expected = checkpoints.load(saved), checkpoint()
    assert (found.step, found.config, found.best, found.meta) == (3, Config(seed=7), -np.inf, expected.meta)
    checkpoints.check_same_shapes(saved, found.trees, expected.trees)
    np.testing.assert_array_equal(
        found.trees["adam"]["v"]["encoder"]["conv1"]["w"], expected.trees["adam"]["v"]["encoder"]["conv1"]["w"]
    )
    assert found.trees["state"]["mine"]["local"] == np.float32(0.5)


def test_a_missing_checkpoint_is_refused(tmp_path):
    assert "no such file" in run_error(checkpoints.load, tmp_path / "none.npz")
    assert "directory" in run_error(checkpoints.load, tmp_path)


@pytest.mark.parametrize("share", [0, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    assert "damaged" in run_error(checkpoints.load, saved)


def rewrite(path, **changes):
    """Change arrays of a checkpoint, or its description by a dict; None removes. The checksum is that of the result."""

    def update(tree, new):
        tree.update(new)
        for name in [name for name, value in tree.items() if value is None]:
            del tree[name]

    meta = changes.pop("meta", {})
    tiny_runs.change(path, lambda described, arrays: (update(described, meta), update(arrays, changes)))


@pytest.mark.parametrize("key", ["format", "step", "best", "config"])
def test_a_description_without_an_entry_is_refused(saved, key):
    rewrite(saved, meta={key: None})
    assert "damaged" in run_error(checkpoints.load, saved)


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ({"format": 1}, "format 3, found 1, of another version of dimref; go on with that version, or start the run"),
        ({"format": 2, "checksum": None}, "format 3, found 2, of another version of dimref"),
        ({"step": "many"}, "found step 'many', bound -inf"),
        ({"step": 2.0}, "found step 2.0, bound -inf"),
        ({"step": True}, "found step True, bound -inf"),
        ({"step": 10**300}, "expected a step and a bound, found step 1000"),
        ({"best": "good"}, "damaged"),
        ({"config": []}, "expected a JSON object"),
        ({"config": {"depth": 3}}, "unknown option 'depth'"),
    ],
)
def test_a_wrong_description_is_refused(saved, meta, words):
    rewrite(saved, meta=meta)
    with pytest.raises(configs.DimrefError, match=words):
        checkpoints.load(saved)


def test_other_files_in_a_checkpoints_place_are_refused(saved):
    for write in (
        lambda: saved.write_bytes(b"no archive"),
        lambda: np.save(saved.open("wb"), np.zeros(3)),
        lambda: np.savez(saved, **{"parameters/prior/b": np.zeros(3)}),
        lambda: np.savez(saved, meta=np.array("[]")),
        lambda: np.savez(saved, meta=np.array("no json")),
        lambda: np.savez(saved, meta=np.zeros(3)),
        lambda: rewrite(saved, **{"parameters/prior/b/x": np.zeros(3)}),  # a branch where an array is
        lambda: (
            rewrite(saved, **{"parameters/prior/b": None, "parameters/prior/b/x": np.zeros(3)})
            or rewrite(
                saved,
                **{"parameters/prior/b": np.zeros(3)},  # the same, in another order
            )
        ),
        lambda: rewrite(saved, **{"parameters/prior/x": np.array(["text"])}),
    ):
        write()
        assert "damaged" in run_error(checkpoints.load, saved)
        checkpoints.save(saved, checkpoint())


def zipped(path, method=zipfile.ZIP_STORED, **more):
    """The members of a checkpoint written anew by another method, and others beside them."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is there twice
        for name, content in (*members.items(), *more.items()):
            archive.writestr(name, content)


def unread(monkeypatch):
    """From here on, the content of no array is read."""
    monkeypatch.setattr("dimref.data.npy.read_exactly", None)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_checkpoint_is_refused_before_it_is_read(saved, method, monkeypatch):
    zipped(saved, method)
    unread(monkeypatch)
    assert "expected arrays stored as dimref does, uncompressed, found" in run_error(checkpoints.load, saved)


@pytest.mark.parametrize(
    "name",
    ["parameters/other/w.npy", "parameters/prior.npy", "adam/x/encoder/w.npy", "state/mine/x.npy", "note.txt", "x.npy",
     "parameters/prior/b", "/parameters/prior/c.npy", "parameters/prior/\nc.npy",
     f"parameters/prior/{'x/' * 9000}x.npy"],
)  # fmt: skip
def test_what_no_checkpoint_holds_is_refused_before_it_is_read(saved, name, monkeypatch):
    zipped(saved, **{name: b""})
    unread(monkeypatch)
    assert run_error(checkpoints.load, saved) == f"{saved}: expected the arrays of a checkpoint, found {name!r}"


def test_an_array_that_is_there_twice_is_refused(saved, monkeypatch):
    zipped(saved, **{"meta.npy": b""})
    unread(monkeypatch)
    assert "expected each array once in" in run_error(checkpoints.load, saved)


def test_members_that_share_their_bytes_are_refused(saved, monkeypatch):
    """A small file whose directory lists the same content many times under different names."""
    with zipfile.ZipFile(saved) as archive:
        w = archive.getinfo("parameters/encoder/conv1/w.npy")
    with zipfile.ZipFile(saved, "a") as archive:
        for k in range(100):
            again = copy.copy(w)
            again.filename = f"parameters/encoder/{k}.npy"
            archive.filelist.append(again)
        archive._didModify = True
    unread(monkeypatch)
    assert "expected each array once in" in run_error(checkpoints.load, saved)


def test_content_of_another_checksum_is_refused(saved):
    """Each array by itself is sound: one is changed, two are exchanged, one is left out, the step is another."""
    with np.load(saved) as archive:
        arrays = dict(archive)
    w, b = "parameters/encoder/conv1/w", "parameters/prior/b"
    adam = {"adam/m/encoder/conv1/w": arrays[w] + 1, "adam/v/encoder/conv1/w": arrays[w]}
    meta = json.loads(str(arrays["meta"]))
    for changes in (
        {b: np.ones(7, np.float32)},
        {b: arrays[b].reshape(1, 7)},
        {b: arrays[b].view(np.int32)},
        adam,
        {"state/mine/local": None},
        {"meta": np.array(json.dumps({**meta, "step": 4}))},
        {"meta": np.array(json.dumps({**meta, "checksum": None}))},
    ):
        np.savez(saved, **{name: array for name, array in {**arrays, **changes}.items() if array is not None})
        assert "content of the checksum" in run_error(checkpoints.load, saved)
    np.savez(saved, **arrays)
    assert checkpoints.load(saved).step == 3


def test_a_pickle_in_a_checkpoint_is_never_run(saved, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "boom"),))

    with np.load(saved) as archive:
        arrays = dict(archive)
    np.savez(saved, **{**arrays, "parameters/prior/b": np.array([Bomb()], dtype=object)})
    assert "expected numbers (float, integer or bool), found object (1,)" in run_error(checkpoints.load, saved)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"step": -1}, "found step -1, bound -inf"),
        ({"best": math.nan}, "found step 3, bound nan"),
        ({"trees": {**checkpoint().trees, "parameters": np.ones(2)}}, "found 'parameters.npy'"),
        ({"trees": {**checkpoint().trees, "state": {"mine": {"other": np.ones(2)}}}}, "found 'state/mine/other.npy'"),
        ({"trees": {**checkpoint().trees, "more": {"encoder": {"w": np.ones(2)}}}}, "found 'more/encoder/w.npy'"),
    ],
)
def test_a_checkpoint_that_no_run_writes_is_refused(tmp_path, change, words):
    checkpoints.save(tmp_path / "c.npz", dataclasses.replace(checkpoint(), **change))
    line = run_error(checkpoints.load, tmp_path / "c.npz")
    assert line.startswith(f"{tmp_path / 'c.npz'}: ")
    assert words in line


@pytest.mark.parametrize(
    "found",
    [{}, {"a": np.zeros(2)}, {"a": np.zeros(3, np.float32)}, {"a": {"b": np.zeros(2, np.float32)}},
     {"a": np.zeros(2, np.float32), "b": np.zeros(2, np.float32)}],
)  # fmt: skip
def test_arrays_of_another_name_shape_or_type_are_refused(tmp_path, found):
    expected = {"a": np.zeros(2, np.float32)}
    assert "another configuration" in run_error(checkpoints.check_same_shapes, tmp_path, found, expected)
    checkpoints.check_same_shapes(tmp_path, expected, expected)
