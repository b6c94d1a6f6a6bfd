"""`load`: its arguments, and what it says when they are wrong."""

import os
import subprocess
import sys

import pytest

from dimref.data import NAMES, DataError, load


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mnist"}, "data 'mnist': expected one of shapes, cifar10"),
        ({"split": "val"}, "split 'val': expected one of train, test"),
        ({"limit": 0}, "limit: expected at least 1 image, found 0"),
        ({"limit": -3}, "limit: expected at least 1 image, found -3"),
        ({"data_dir": "."}, "--data-dir: expected none, since shapes are drawn"),
        ({"noise": -0.1}, "noise: expected a standard deviation from 0 to 1"),
        ({"noise": 1.5}, "noise: expected a standard deviation from 0 to 1"),
        ({"noise": float("nan")}, "noise: expected a standard deviation from 0 to 1"),
        ({"shared": "texture,hue"}, "--shared: expected some of texture, shape, colour, with commas between, found"),
        ({"shared": "shape,shape"}, "--shared: expected some of"),
        ({"shared": ""}, "--shared: expected some of"),
        ({"seed": -1}, "seed: expected 0 or more"),
        ({"name": "cifar10"}, "expected --data-dir PATH"),
        ({"name": "folder", "data_dir": ".", "noise": 0.1}, "only shapes are drawn with noise"),
        ({"name": "folder", "data_dir": ".", "shared": "shape"}, "only shapes are drawn with shared"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(DataError, match=message):
        load(**{"name": "shapes", "split": "train"} | arguments)


@pytest.mark.parametrize("name", NAMES[1:])
def test_every_reader_names_a_missing_folder(name, tmp_path, refuses):
    refuses(name, "train", tmp_path / "nowhere", "nowhere: expected a", "found no such")


@pytest.mark.parametrize("name", NAMES[1:])
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_reader_names_an_empty_folder(name, split, tmp_path, refuses):
    refuses(name, split, tmp_path, f"^{tmp_path}: expected", "found no")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_forbidden_files(tmp_path, refuses):
    (tmp_path / "test_batch.bin").write_bytes(bytes(3073))
    (tmp_path / "test_batch.bin").chmod(0)
    refuses("cifar10", "test", tmp_path, "test_batch.bin", "Permission denied")


def test_a_failure_of_the_system_is_one_line(tmp_path, refuses, monkeypatch):
    def fail(*_):
        raise PermissionError(13, "Permission denied", str(tmp_path / "test_batch.bin"))

    (tmp_path / "test_batch.bin").write_bytes(bytes(3073))
    monkeypatch.setattr("numpy.fromfile", fail)
    refuses("cifar10", "test", tmp_path, "test_batch.bin: expected data that can be read, found Permission denied")


def test_too_little_memory_is_one_line(tmp_path, refuses, monkeypatch):
    def fail(*_):
        raise MemoryError

    (tmp_path / "test_batch.bin").write_bytes(bytes(3073))
    monkeypatch.setattr("numpy.fromfile", fail)
    refuses("cifar10", "test", tmp_path, "expected images that fit in memory")


def test_pillow_is_not_imported_before_it_is_needed():
    code = "import sys, dimref.data; dimref.data.load('shapes', 'test', limit=1); sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
