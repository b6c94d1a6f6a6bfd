"""Features as a file: every row where it belongs, written as it is computed, whole or not there."""

import tracemalloc

import numpy as np
import pytest

from dimref import data
from dimref.backend import NUMPY
from dimref.data import DataError
from dimref.data.dataset import Dataset
from dimref.export import features, inference
from dimref.export.inference import Encoder
from dimref.training.files import RunError


@pytest.fixture
def encoder(prepare):
    task = prepare()
    return inference.untrained(task.config, task.layout, NUMPY, task.images)


@pytest.fixture
def found(images):
    return data.load("npz", "train", images)


@pytest.mark.parametrize("kind", ["conv", "fc", "y"])
@pytest.mark.parametrize("batch", [7, 60, 1000])
def test_the_file_holds_the_features_in_order_and_the_labels_lie_beside_it(
    encoder, found, tmp_path, monkeypatch, kind, batch
):
    monkeypatch.setattr(inference, "BATCH", batch)
    seen = []
    labels = features.write_features(encoder, found, kind, tmp_path / "x.npy", seen.append)
    written = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert isinstance(written, np.memmap)
    assert written.dtype == np.float32
    np.testing.assert_array_equal(written, encoder.features(found.images)[kind])
    assert labels == tmp_path / "x.labels.npy"
    np.testing.assert_array_equal(np.load(labels), found.labels)
    assert sum(seen) == 60
    assert max(seen) == min(batch, 60)


def test_memory_does_not_grow_with_the_dataset(encoder, tmp_path):
    """The file is much larger than what is ever taken beside the images."""
    n = 20_000
    pixels = np.random.default_rng(0).integers(0, 256, (n, 8, 8, 1), dtype=np.uint8)
    many = Dataset("npz", "train", pixels, np.zeros(n, np.int64), (), "many")
    batch_bytes = 32 * 4 * inference.BATCH
    tracemalloc.start()
    try:
        features.write_features(encoder, many, "conv", tmp_path / "x.npy")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = (tmp_path / "x.npy").stat().st_size
    assert size > n * 32 * 4
    assert peak < size / 2
    assert peak < 80 * batch_bytes  # some batches' worth: columns, maps, features


def test_nothing_is_left_of_what_was_interrupted(encoder, found, tmp_path, monkeypatch):
    monkeypatch.setattr(inference, "BATCH", 7)

    def stop(count):
        assert list(tmp_path.glob(".x.npy.*"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        features.write_features(encoder, found, "y", tmp_path / "x.npy", stop)
    assert [p.name for p in tmp_path.iterdir()] == ["images.npz"]


def test_an_old_file_stays_where_a_new_one_fails(encoder, found, tmp_path, monkeypatch):
    for name in ("x.npy", "x.labels.npy"):
        (tmp_path / name).write_bytes(b"old")

    def full(self, images, kinds):
        yield {"y": np.zeros((5, 8), np.float32)}
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Encoder, "batches", full)
    with pytest.raises(RunError, match=r"x\.npy: expected to write it, found: No space left on device"):
        features.write_features(encoder, found, "y", tmp_path / "x.npy")
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*.npy")} == {"x.npy": b"old", "x.labels.npy": b"old"}
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("shape", [(4, 8, 8, 3), (4, 9, 9, 1), (4, 8, 9, 1)])
def test_images_that_the_encoder_was_not_made_for_are_refused(encoder, tmp_path, shape):
    other = Dataset("npz", "train", np.zeros(shape, np.uint8), np.zeros(4, np.int64), (), "other")
    size = "×".join(map(str, shape[1:]))
    with pytest.raises(
        DataError, match=f"other: expected images of 8×8×1, which the encoder was made for, found {size}"
    ):
        features.write_features(encoder, other, "y", tmp_path / "x.npy")
    assert not list(tmp_path.glob("*.npy"))
