"""Batch norm's columns: moments far from zero, in blocks, on threads; normalization in blocks, and by a device's kernels."""

import numpy as np
import pytest
from finite_differences import check_gradient, draw, gradients
from hypothesis import strategies as st

from dimref import ops
from dimref.engine import batch_norm

seeds = st.integers(0, 2**32 - 1)
BOTH = pytest.mark.parametrize("relu", [False, True], ids=["", "relu"])


def same(found, expected, tolerance=1e-12):
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def normalized(x, gain, shift, relu=False, epsilon=1e-2):
    """What batch norm does: the moments are x's own."""
    return batch_norm.normalize_columns(x, gain, shift, *batch_norm.moments(x), epsilon, relu)


@pytest.mark.parametrize("block", [64, 1 << 20])
@pytest.mark.parametrize("rows", [50, 1000])
def test_moments_far_from_zero_lose_no_more_than_the_numbers_do(monkeypatch, rows, block):
    monkeypatch.setattr(batch_norm, "NORM_BLOCK", block)
    x = (1e4 + draw(3, (rows, 2))[0]).astype(np.float32)
    mu, variance = batch_norm.moments(x)
    same(mu, x.astype(np.float64).mean(0), 1e-7)
    same(variance, x.astype(np.float64).var(0), 2e-6)


def test_moments_survive_a_batch_that_is_sorted(monkeypatch):
    """The rows from which the mean is guessed are from all over it."""
    monkeypatch.setattr(batch_norm, "NORM_BLOCK", 64)
    x = np.sort((1e4 + 10 * draw(3, (1000, 2))[0]).astype(np.float32), axis=0)
    _, variance = batch_norm.moments(x)
    same(variance, x.astype(np.float64).var(0), 1e-5)


def test_moments_survive_a_row_that_is_far_from_all_others():
    x = draw(3, (1000, 2), dtype=np.float32)[0]
    x[0] = 1e4
    _, variance = batch_norm.moments(x)
    same(variance / x.astype(np.float64).var(0), np.ones(2), 2e-6)


@pytest.mark.parametrize(("images", "side"), [(64, 8), (64, 7), (256, 8), (64, 16), (48, 5), (65, 8)])
def test_moments_survive_a_pixel_that_is_far_from_all_others(images, side):
    """The rows from which the mean is guessed are not all of one pixel, however many images there are."""
    x = draw(3, (images, side, side, 2), dtype=np.float32)[0]
    x[:, 0, 0] += 300
    x = x.reshape(-1, 2)
    _, variance = batch_norm.moments(x)
    same(variance / x.astype(np.float64).var(0), np.ones(2), 2e-6)


def test_the_variance_of_a_constant_is_zero_and_never_below():
    constants = [1 / 3, 1e4 / 7, -1e-30, *1e3 * draw(3, (500,))[0]]
    x = np.full((1000, len(constants)), constants, np.float32)
    mu, variance = batch_norm.moments(x)
    np.testing.assert_allclose(mu, x[0], rtol=1e-6)
    assert (variance >= 0).all()
    np.testing.assert_allclose(variance, 0, atol=1e-6)


@pytest.mark.parametrize(("size", "rows"), [(6, [1] * 6), (12, [2] * 3), (13, [2] * 3), (18, [3] * 2), (36, [6])])
def test_a_block_has_at_most_so_many_numbers(monkeypatch, size, rows):
    monkeypatch.setattr(batch_norm, "NORM_BLOCK", size)
    x, gain, shift = draw(1, (6, 6), (6,), (6,))
    seen = []
    sums = batch_norm.column_sums
    monkeypatch.setattr(batch_norm, "column_sums", lambda x: seen.append(len(x)) or sums(x))
    batch_norm.moments(x)
    assert seen[1::2] == rows
    assert seen[2::2] == rows
    seen.clear()
    gradients(normalized, x, gain, shift)
    assert len(seen) == 1 + 4 * len(rows)


@BOTH
def test_what_comes_in_is_left_as_it_was(monkeypatch, relu):
    monkeypatch.setattr(batch_norm, "NORM_BLOCK", 8)
    x, gain, shift = draw(8, (5, 4), (4,), (4,))
    kept = x.copy()
    gradients(lambda *given: normalized(*given, relu), x, gain, shift)
    np.testing.assert_array_equal(x, kept)
    # two uses of one value share its gradient: overwriting it would spoil the other's
    check_gradient(lambda x: ops.add(normalized(x, gain, shift, relu), ops.multiply(x, x)), x)
