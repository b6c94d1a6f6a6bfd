"""STL-10 against files written byte by byte, column after column."""

import os

import numpy as np
import pytest

from dimref.data import MissingSplit, load, stl10

RNG = np.random.default_rng(0)
RECORD = 3 * 96 * 96


def columns(pixels):
    out = bytearray()
    for image in pixels:
        for channel in range(3):
            for column in range(96):
                out += bytes(image[:, column, channel].tolist())
    return bytes(out)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder of all five files, and what is in them."""
    root = tmp_path_factory.mktemp("stl")
    folder = root / "stl10_binary"
    folder.mkdir()
    content = {}
    for part, count in (("train", 3), ("test", 2), ("unlabeled", 4)):
        pixels = RNG.integers(0, 256, (count, 96, 96, 3), dtype=np.uint8)
        labels = RNG.integers(1, 11, count)
        content[part] = pixels, labels - 1
        (folder / f"{part}_X.bin").write_bytes(columns(pixels))
        if part != "unlabeled":
            (folder / f"{part}_y.bin").write_bytes(bytes(labels.tolist()))
    return root, content


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("chunk", [1, 2, 500])
def test_labelled(split, chunk, written, monkeypatch):
    monkeypatch.setattr(stl10, "CHUNK", chunk)
    root, content = written
    for folder in (root, root / "stl10_binary"):
        dataset = load("stl10", split, folder)
        assert np.array_equal(dataset.images, content[split][0])
        assert np.array_equal(dataset.labels, content[split][1])
    assert dataset.classes[0] == "airplane"
    assert dataset.images.flags.c_contiguous


def test_unlabelled_trains_without_labels_and_tests_with(written):
    root, content = written
    train, test = load("stl10-unlabeled", "train", root), load("stl10-unlabeled", "test", root)
    assert np.array_equal(train.images, content["unlabeled"][0])
    assert train.labels.tolist() == [-1] * 4
    assert train.classes == ()
    assert np.array_equal(test.images, content["test"][0])
    assert np.array_equal(test.labels, content["test"][1])


def test_a_limit_reads_no_more_than_it_needs(written, tmp_path):
    root, content = written
    few = load("stl10", "train", root, limit=2)
    assert np.array_equal(few.images, content["train"][0][:2])
    assert np.array_equal(few.labels, content["train"][1][:2])
    with (tmp_path / "unlabeled_X.bin").open("wb") as file:
        file.truncate(100_000 * RECORD)  # 2.7 GB of hole
    assert len(load("stl10-unlabeled", "train", tmp_path, limit=3).images) == 3


@pytest.mark.parametrize("size", [0, 1, RECORD - 1, RECORD + 1])
def test_no_whole_number_of_records(size, tmp_path, refuses):
    (tmp_path / "train_X.bin").write_bytes(bytes(size))
    refuses("stl10", "train", tmp_path, f"train_X.bin: expected a whole number of {RECORD}-byte", f"found {size} bytes")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1], "train_y.bin: expected 2 labels, one for each image of train_X.bin, found 1"),
        ([1, 2, 3], "found 3"),
        ([1, 0], "train_y.bin: expected labels from 1 to 10, found 0 in record 1"),
        ([11, 1], "found 11 in record 0"),
        ([], "train_y.bin: expected 2 labels, one for each image of train_X.bin, found 0"),
    ],
)
def test_wrong_labels(labels, message, tmp_path, refuses):
    (tmp_path / "train_X.bin").write_bytes(bytes(2 * RECORD))
    (tmp_path / "train_y.bin").write_bytes(bytes(labels))
    refuses("stl10", "train", tmp_path, message)


def test_missing_files(tmp_path, refuses):
    (tmp_path / "train_X.bin").write_bytes(bytes(RECORD))
    refuses("stl10", "train", tmp_path, "train_y.bin: expected a file, found no such file")
    refuses("stl10", "test", tmp_path, "test_X.bin: expected stl10's test images", kind=MissingSplit)
    refuses("stl10-unlabeled", "train", tmp_path, "unlabeled_X.bin", kind=MissingSplit)
    os.mkdir(tmp_path / "test_X.bin")
    refuses("stl10", "test", tmp_path, "test_X.bin: expected a file, found a directory")
