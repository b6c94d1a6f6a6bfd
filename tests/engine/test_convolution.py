"""A convolution in blocks of images: how many and how large, on which threads, and what is computed at all."""

import time

import numpy as np
import pytest
from blas_threads import shared
from finite_differences import draw, gradients

from dimref import layers, ops
from dimref.engine import convolution
from dimref.tape import value_and_gradients

GEOMETRY = ((2, 3), (1, 2), (0, 1))  # kernel, stride, padding


def plain(x, w, b=None, relu=False):
    """The form that a reader reads."""
    out = layers.linear({"w": w} if b is None else {"w": w, "b": b}, ops.im2col(x, *GEOMETRY))
    return ops.relu(out) if relu else out


def conv2d(x, w, b=None, relu=False):
    return layers.conv2d({"w": w} if b is None else {"w": w, "b": b}, x, *GEOMETRY, relu)


def arrays(n=5, dtype=np.float64):
    return draw(6, (n, 4, 6, 2), (2 * 3 * 2, 4), (4,), dtype=dtype)  # 3·3 windows of 12 numbers: 108 an image


def same(found, expected, tolerance=1e-12):
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_the_sums_do_not_depend_on_which_thread_is_fast(monkeypatch):
    given_ = arrays(40, np.float32)
    rng, im2col = np.random.default_rng(0), ops.im2col
    monkeypatch.setattr(ops, "im2col", lambda *a: time.sleep(rng.uniform(0, 0.004)) or im2col(*a))
    monkeypatch.setattr(convolution, "CONVOLUTION_WORTH", 1)
    with shared(monkeypatch, 3):
        runs = [gradients(conv2d, *given_) for _ in range(4)]
    for value, slopes in runs[1:]:
        np.testing.assert_array_equal(value, runs[0][0])
        for slope, expected in zip(slopes, runs[0][1], strict=True):
            np.testing.assert_array_equal(slope, expected)


@pytest.mark.parametrize(("windows", "blocks"), [(1, 5), (108, 5), (215, 5), (216, 3), (539, 2), (540, 1)])
def test_a_block_has_at_most_so_many_numbers(monkeypatch, windows, blocks):
    x, w, b = arrays()
    calls = []
    im2col = ops.im2col
    monkeypatch.setattr(ops, "im2col", lambda x, *rest: calls.append(len(x)) or im2col(x, *rest))
    monkeypatch.setattr(convolution, "CONVOLUTION_WINDOWS", windows)
    gradients(conv2d, x, w, b)
    assert len(calls) == (blocks if blocks == 1 else 2 * blocks)  # gathered anew on the way back
    assert sum(calls) == len(x) * len(calls) // blocks


@pytest.mark.parametrize(
    ("worth", "sizes"), [(2593, [24]), (2592, [24]), (1296, [6] * 4), (1000, [6] * 4), (864, [4] * 6), (1, [4] * 6)]
)
def test_every_thread_has_blocks_where_that_is_worth_it(monkeypatch, worth, sizes):
    x, w, _ = arrays(24)  # 24 · 108 numbers
    calls = []
    im2col = ops.im2col
    monkeypatch.setattr(ops, "im2col", lambda x, *rest: calls.append(len(x)) or im2col(x, *rest))
    monkeypatch.setattr(convolution, "CONVOLUTION_WORTH", worth)
    with shared(monkeypatch, 3):
        same(conv2d(x, w), plain(x, w))
    assert calls == [*sizes, 24]


@pytest.mark.parametrize("which", ["x", "w", "b", "xb"])
def test_what_is_not_on_the_tape_has_no_gradient_computed(monkeypatch, which):
    monkeypatch.setattr(convolution, "CONVOLUTION_WINDOWS", 108)
    given_ = dict(zip("xwb", arrays(), strict=True))
    asked = []
    for name in ("im2col", "col2im"):
        raw = getattr(ops, name)
        monkeypatch.setattr(ops, name, lambda *given, name=name, raw=raw: asked.append(name) or raw(*given))

    def along(function, tree):
        return ops.total(ops.multiply(function(**{**given_, **tree}), np.arange(180.0).reshape(5, 3, 3, 4))), None

    found = value_and_gradients(lambda tree: along(conv2d, tree), {k: given_[k] for k in which})[1]
    assert asked == ["im2col"] * 5 + ["im2col"] * 5 * ("w" in which) + ["col2im"] * 5 * ("x" in which)
    expected = value_and_gradients(lambda tree: along(plain, tree), {k: given_[k] for k in which})[1]
    for name in which:
        same(found[name], expected[name])
