"""Exported weights: every array under its documented name, in either layout, and nothing half-written."""

import builtins

import numpy as np
import pytest
import tiny_runs

from dimref import encoders
from dimref.errors import DimrefError
from dimref.export import torch_layout, weights
from dimref.training import files, run_directory
from dimref.training.files import RunError


@pytest.fixture
def run(trained, narrow):
    """It is only read here."""
    return trained


def stored(run, name="newest.npz"):
    return tiny_runs.arrays(run / name)


def test_safetensors_hold_the_checkpoints_arrays_under_dimrefs_names(run, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    from safetensors.numpy import load_file

    weights.write_weights(run, "newest.npz", "safetensors", tmp_path / "w.safetensors")
    found = load_file(tmp_path / "w.safetensors")
    expected = {
        path.split("/", 1)[1]: array
        for path, array in stored(run).items()
        if path.startswith(("parameters/encoder/", "state/encoder/"))
    }
    assert found.keys() == expected.keys() >= {"encoder/conv1/w", "encoder/norm1/gain", "encoder/norm1/variance"}
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    with safetensors.safe_open(tmp_path / "w.safetensors", "np") as file:
        about = file.metadata()
    assert about["step"] == "3"
    assert '"size": 8' in about["layout"]


def test_the_torch_layout_is_that_of_layouts(run, tmp_path):
    _, found = weights.inference.load(run, weights.NUMPY)
    layout = encoders.Layout(**found.meta["layout"])
    named = torch_layout.torch_names({"encoder": found.trees["parameters"]["encoder"]}, layout, found.trees["state"])
    returned = weights.write_weights(run, "newest.npz", "torch-layout-npz", tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz", allow_pickle=False) as archive:
        assert set(archive.files) == set(named) == set(returned)
        for name in archive.files:
            np.testing.assert_array_equal(archive[name], named[name], err_msg=name)
    assert named["encoder.conv1.weight"].shape == (4, 1, 4, 4)
    assert named["encoder.norm_fc.running_var"].shape == (16,)


@pytest.mark.parametrize("form", ["safetensors", "torch-layout-npz"])
def test_scorers_come_when_they_are_asked_for(run, tmp_path, form):
    pytest.importorskip("safetensors")
    plain = weights.write_weights(run, "newest.npz", form, tmp_path / "a")
    whole = weights.write_weights(run, "newest.npz", form, tmp_path / "b", critics=True)
    assert {name[:7] for name in plain} == {"encoder"}
    mark = "/" if form == "safetensors" else "."
    assert {name.split(mark)[0] for name in whole} == {"encoder", "local", "global", "prior"}
    count = sum(array.size for path, array in stored(run).items() if path.startswith(("parameters/", "state/encoder/")))
    assert sum(array.size for array in whole.values()) == count


def test_the_best_checkpoint_is_exported_where_it_is_asked_for(run, tmp_path, monkeypatch):
    seen = []
    load = weights.inference.load
    monkeypatch.setattr(weights.inference, "load", lambda *args: (seen.append(args[2]), load(*args))[1])
    weights.write_weights(run, run_directory.BEST, "torch-layout-npz", tmp_path / "w.npz")
    assert seen == ["best.npz"]


def test_without_safetensors_one_line_says_what_to_install(run, tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **options):
        if name.startswith("safetensors"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(DimrefError, match=r"pip install '\.\[export\]'"):
        weights.write_weights(run, "newest.npz", "safetensors", tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


def test_scorers_of_another_configuration_are_refused(run, tmp_path):
    files.copy(run / "newest.npz", tmp_path / "newest.npz")
    other = {"parameters/local/hidden/w": np.zeros((3, 3), np.float32)}
    tiny_runs.change(tmp_path / "newest.npz", lambda meta, arrays: arrays.update(other))
    with pytest.raises(RunError, match="expected local/hidden/w as float32"):
        weights.write_weights(tmp_path, "newest.npz", "torch-layout-npz", tmp_path / "w.npz", critics=True)
    weights.write_weights(tmp_path, "newest.npz", "torch-layout-npz", tmp_path / "w.npz")  # they are no matter here


def test_a_full_disk_leaves_the_old_file(run, tmp_path, monkeypatch):
    (tmp_path / "w.npz").write_bytes(b"old")

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(RunError, match=r"w\.npz: expected to write it, found: No space left"):
        weights.write_weights(run, "newest.npz", "torch-layout-npz", tmp_path / "w.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["w.npz"]
    assert (tmp_path / "w.npz").read_bytes() == b"old"
