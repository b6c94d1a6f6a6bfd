"""What is measured at one size: the right computation on the right amount of data."""

import math

import numpy as np
import pytest

from dimref import bounds
from dimref.bench import scale
from dimref.encoders import Layout


def test_the_loss_is_infonce_of_the_scaled_products():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 5, scale.WIDTH))
    value, _ = scale.infonce_loss({"x": x, "y": y})
    assert value == pytest.approx(-bounds.infonce(x @ y.T / 8))


def test_every_window_is_another_image_and_memory_is_a_byte_an_image():
    layout = Layout(8, 3, width=4)
    images = scale.windows(1000, layout)
    assert images.shape == (1000, 8, 8, 3)
    assert images.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 1000
    string = np.concatenate([images[:, 0, 0, 0], images[-1].ravel()[1:]])  # a byte an image, and the last one's rest
    np.testing.assert_array_equal(images.reshape(1000, -1), np.lib.stride_tricks.sliding_window_view(string, 192))
    assert images.strides[0] == 1
    assert not images.flags.writeable
    assert scale.windows(0, layout).shape == (0, 8, 8, 3)


def test_a_size_gives_times_and_memory(tiny_layouts, narrow):
    found = [
        scale.infonce(8, "numpy", 0.0),
        scale.train(64, "numpy", 4, 0.0, tiny_layouts["dim"]),
        scale.encode(300, "numpy", tiny_layouts["dim"]),
    ]
    assert [list(f) for f in found] == [["loss", "gradient", "peak"], ["step", "peak"], ["seconds", "peak"]]
    for f in found:
        assert all(value >= 0 and math.isfinite(value) for value in f.values() if value is not None)


def test_training_and_encoding_see_every_size(monkeypatch, tiny_layouts, narrow):
    seen = []
    step = scale.loop.train_step
    monkeypatch.setattr(
        scale.loop, "train_step", lambda task, state: (seen.append(len(task.images)), step(task, state))[1]
    )
    scale.train(50, "numpy", 4, 0.0, tiny_layouts["dim"])
    assert seen == [50, 50]  # one to warm up
    batches = scale.Encoder.batches
    monkeypatch.setattr(
        scale.Encoder, "batches", lambda self, images: (seen.append(len(images)), batches(self, images))[1]
    )
    scale.encode(60, "numpy", tiny_layouts["dim"])
    assert seen == [50, 50, 60]
