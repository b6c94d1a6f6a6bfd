"""The decoder: shapes of every layout, what it can and cannot draw, the score against a loop, refusals."""

import numpy as np
import pytest
import tiny_runs
from fake_cupy import STRICT

from dimref.backend import NUMPY
from dimref.encoders import Layout
from dimref.evaluation import reconstruction as module
from dimref.evaluation.reconstruction import decode, init_decoder, reconstruction
from dimref.evaluation.ssim import ms_ssim
from dimref.training.fit import Fitted, Schedule


def gradients(n, seed, side=12):
    """Images of one grey ramp, whose two slopes are y."""
    rng = np.random.default_rng(seed)
    y = rng.uniform(-1, 1, (n, 2)).astype(np.float32)
    line = np.linspace(-1, 1, side)
    images = 127.5 + 60 * (y[:, :1, None] * line[:, None] + y[:, 1:, None] * line)
    return np.rint(images).astype(np.uint8)[..., None], y


@pytest.mark.parametrize(("side", "channels"), [(4, 1), (11, 3), (28, 1), (32, 3), (64, 3), (96, 1)])
def test_images_of_every_layout_come_out_in_their_size(side, channels):
    layout = Layout(side, channels, width=2, fc=4, representation=3)
    decoder, running = init_decoder(np.random.default_rng(0), layout, 3)
    drawn, moved = decode(decoder, running, np.zeros((2, 3), np.float32), layout, training=True)
    assert drawn.shape == (2, side, side, channels)
    assert drawn.dtype == np.float32
    assert ((drawn > 0) & (drawn < 1)).all()
    assert moved.keys() == running.keys()


def test_what_y_knows_is_drawn_and_what_it_does_not_know_is_not(monkeypatch):
    layout = Layout(12, 1, width=4, fc=4, representation=2)
    monkeypatch.setattr(module, "WIDTH", 16)
    train, test = gradients(300, 0), gradients(40, 1)
    known = reconstruction(train, test, layout, 0, NUMPY)
    nothing = reconstruction((train[0], train[1][::-1]), test, layout, 0, NUMPY)
    assert known > 0.9
    assert nothing < 0.6


def test_the_score_is_the_mean_over_test_images_whatever_the_batches(monkeypatch):
    tiny_runs.narrow(monkeypatch)
    layout = Layout(12, 1, width=4, fc=4, representation=2)
    train, test = gradients(20, 0), gradients(7, 1)
    fitted = init_decoder(np.random.default_rng(0), layout, 2)
    monkeypatch.setattr(module, "_fit", lambda *args: fitted)
    center, scale = train[1].mean(axis=0), 1 / train[1].std(axis=0)
    one_by_one = []
    for image, y in zip(*test, strict=True):
        drawn, _ = decode(*fitted, (y[None] - center) * scale, layout, training=False)
        one_by_one.append(ms_ssim((image[None] / 255).astype(np.float32), drawn)[0])
    for batch in (100, 3):
        monkeypatch.setattr(module, "BATCH", batch)
        assert reconstruction(train, test, layout, 0, NUMPY) == pytest.approx(np.mean(one_by_one), rel=1e-5)


def test_few_images_are_passed_over_more_often(monkeypatch):
    schedules = []
    monkeypatch.setattr(
        module, "fit", lambda loss, parameters, batches, schedule, state: schedules.append(schedule) or fitted
    )
    fitted = Fitted(0, {}, {})
    layout = Layout(12, 1, width=2, fc=4, representation=2)
    images, y = gradients(30, 0)
    for least, expected in ((7, 7), (3, module.EPOCHS)):
        monkeypatch.setattr(module, "LEAST_STEPS", least)
        module._fit(images, y, layout, np.random.default_rng(0), NUMPY)
        assert schedules.pop() == Schedule(expected, module.LR, cosine=True)


def test_seeds_and_devices(monkeypatch):
    tiny_runs.narrow(monkeypatch)
    monkeypatch.setattr(module, "EPOCHS", 1)
    layout = Layout(12, 1, width=2, fc=4, representation=2)
    train, test = gradients(20, 0), gradients(5, 1)
    found = reconstruction(train, test, layout, 0, NUMPY)
    assert found == reconstruction(train, test, layout, 0, NUMPY) != reconstruction(train, test, layout, 1, NUMPY)
    assert reconstruction(train, test, layout, 0, STRICT) == pytest.approx(found, rel=1e-12)


def test_too_few_and_too_small_images_are_refused(monkeypatch):
    tiny_runs.narrow(monkeypatch)
    layout = Layout(12, 1, width=2, fc=4, representation=2)
    with pytest.raises(ValueError, match="needs 2 training and 2 test images, found 20 and 1"):
        reconstruction(gradients(20, 0), gradients(1, 1), layout, 0, NUMPY)
    small = gradients(20, 0, side=10)
    with pytest.raises(ValueError, match="at least 11×11"):
        reconstruction(small, small, Layout(10, 1, width=2, fc=4, representation=2), 0, NUMPY)
