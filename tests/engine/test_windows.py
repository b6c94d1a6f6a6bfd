"""Windows in few copies, none where a window is a pixel; sums of windows along one axis after the other."""

import math

import numpy as np
import pytest
from finite_differences import check_all, draw
from small_networks import GEOMETRIES

from dimref import ops
from dimref.engine import windows


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), GEOMETRIES)
def test_col2im_takes_no_more_than_the_tiles_that_cover_the_padded_image(size, kernel, stride, padding):
    sides = ops.out_sizes((2, *size, 3), kernel, stride, padding)
    folded = ops.col2im(np.zeros((2, *sides, math.prod(kernel) * 3)), (2, *size, 3), kernel, stride, padding)
    tiled = [math.ceil((n + 2 * p) / s) * s for n, s, p in zip(size, stride, padding, strict=True)]
    assert folded.base.size == 2 * math.prod(tiled) * 3  # what comes back is cut out of the canvas


def test_a_1x1_window_of_every_pixel_is_the_image_itself():
    """So that a 1×1 convolution costs a matrix product and no copy."""
    (x,) = draw(11, (2, 4, 3, 5))
    columns = ops.im2col(x, (1, 1), (1, 1), (0, 0))
    np.testing.assert_array_equal(columns, x)
    assert np.shares_memory(columns, x)


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), GEOMETRIES)
def test_window_sums_and_their_spread(size, kernel, stride, padding):
    """Against the rows of windows, and these folded back."""
    size = [n + 2 * p for n, p in zip(size, padding, strict=True)]
    (x,) = draw(13, (2, *size, 3))
    before = x.copy()
    rows = ops.im2col(x, kernel, stride, (0, 0))
    sums = rows.reshape(*rows.shape[:3], -1, 3).sum(axis=3)
    found = windows.window_sums(x, kernel, stride)
    np.testing.assert_allclose(found, sums, rtol=1e-12, atol=1e-12)
    assert not np.shares_memory(found, x)
    (g,) = draw(14, sums.shape)
    every = np.tile(g, (1, 1, 1, math.prod(kernel)))  # each window's number for each of its pixels
    spread = windows.spread_windows(g, x.shape, kernel, stride)
    np.testing.assert_allclose(spread, ops.col2im(every, x.shape, kernel, stride, (0, 0)), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(x, before)
    check_all(lambda x: windows.window_sums(x, kernel, stride), x)
    check_all(lambda g: windows.spread_windows(g, x.shape, kernel, stride), g)
