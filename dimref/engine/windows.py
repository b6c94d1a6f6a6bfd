"""Windows of images in few copies: im2col moves runs of a row, col2im adds tiles, and means sum one axis after the other."""

from __future__ import annotations

import math

import numpy as np
from autograd.extend import defvjp

from dimref import ops
from dimref.amdim import encoder
from dimref.ops import Pair, Shape
from dimref.tape import implement, primitive
from dimref.trees import Array


def register() -> None:
    """Implement `im2col`, `col2im` and `window_mean`."""
    implement(ops.im2col, "host", im2col, lambda x, *_: isinstance(x, np.ndarray))
    implement(ops.col2im, "host", col2im, lambda columns, *_: isinstance(columns, np.ndarray))
    implement(encoder.window_mean, "separable", window_mean, lambda x, *_: True)


def im2col(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """One copy from a strided view.

    In a padded image whose last two axes are merged, a row of a window is one contiguous run of kw·C numbers, so the copy
    moves runs instead of numbers.
    """
    (kh, kw), (sh, sw) = kernel, stride
    b, h, w, c = x.shape
    high, wide = ops.out_sizes(x.shape, kernel, stride, padding)
    merged = _pad(x, padding).reshape(b, h + 2 * padding[0], (w + 2 * padding[1]) * c)
    runs = np.lib.stride_tricks.sliding_window_view(merged, kw * c, axis=2)[:, :, :: sw * c]
    windows = np.lib.stride_tricks.sliding_window_view(runs, kh, axis=1)[:, ::sh]  # (B, H', W', kw·C, kh)
    return windows.transpose(0, 1, 2, 4, 3).reshape(b, high, wide, kh * kw * c)


def _pad(x: Array, padding: Pair) -> Array:
    ph, pw = padding
    if ph == pw == 0:
        return x
    b, h, w, c = x.shape
    out = np.empty_like(x, shape=(b, h + 2 * ph, w + 2 * pw, c), order="C")
    out[:, :ph] = out[:, ph + h :] = out[:, :, :pw] = out[:, :, pw + w :] = 0
    out[:, ph : ph + h, pw : pw + w] = x
    return out


def col2im(columns: Array, shape: Shape, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """Tiles in place of taps.

    Blocks of stride × stride taps of neighbouring windows touch but never overlap, so each block is one addition to a
    canvas that is cut into stride × stride tiles: ⌈kh/sh⌉·⌈kw/sw⌉ additions in place of kh·kw.
    """
    (kh, kw), (sh, sw), (ph, pw) = kernel, stride, padding
    b, h, w, c = shape
    high, wide = columns.shape[1:3]
    columns = columns.reshape(b, high, wide, kh, kw, c)
    tiles_h, tiles_w = -(-(h + 2 * ph) // sh), -(-(w + 2 * pw) // sw)  # the last window ends within them
    canvas = np.empty_like(columns, shape=(b, tiles_h, sh, tiles_w, sw, c), order="C")
    for axis, covered in ((1, high), (2, kh), (3, wide), (4, kw)):  # by the first block, which is not added but written
        canvas[(slice(None),) * axis + (slice(covered, None),)] = 0
    for i in range(0, kh, sh):
        for j in range(0, kw, sw):
            block = columns[:, :, :, i : i + sh, j : j + sw].transpose(0, 1, 3, 2, 4, 5)
            top, left = i // sh, j // sw
            place = canvas[:, top : top + high, : block.shape[2], left : left + wide, : block.shape[4]]
            if i == j == 0:
                place[...] = block
            else:
                place += block
    return canvas.reshape(b, tiles_h * sh, tiles_w * sw, c)[:, ph : ph + h, pw : pw + w]


def window_mean(x: Array, kernel: Pair, stride: Pair) -> Array:
    """The mean of each channel over every window."""
    return window_sums(x, kernel, stride) * (1 / math.prod(kernel))


@primitive
def window_sums(x: Array, kernel: Pair, stride: Pair) -> Array:
    """The sum of each channel over every window of images: (B, H, W, C) → (B, H', W', C), along one axis after the other."""
    for axis, k, s in zip((1, 2), kernel, stride, strict=True):
        count = (x.shape[axis] - k) // s + 1
        sums = x[_every(axis, 0, s, count)].copy()
        for i in range(1, k):
            sums += x[_every(axis, i, s, count)]
        x = sums
    return x


defvjp(window_sums, lambda ans, x, kernel, stride: lambda g, s=x.shape: spread_windows(g, s, kernel, stride))


@primitive
def spread_windows(g: Array, shape: Shape, kernel: Pair, stride: Pair) -> Array:
    """The adjoint of `window_sums`: add each window's number to every pixel that it sees; (B, H', W', C) → (B, H, W, C)."""
    for axis, k, s in zip((2, 1), kernel[::-1], stride[::-1], strict=True):
        canvas = np.zeros_like(g, shape=(*g.shape[:axis], shape[axis], *g.shape[axis + 1 :]), order="C")
        for i in range(k):
            canvas[_every(axis, i, s, g.shape[axis])] += g
        g = canvas
    return g


defvjp(spread_windows, lambda ans, g, shape, kernel, stride: lambda h: window_sums(h, kernel, stride))


def _every(axis: int, start: int, step: int, count: int) -> tuple[slice, ...]:
    """`count` positions along an axis, each `step` after the one before it."""
    return (slice(None),) * axis + (slice(start, start + step * (count - 1) + 1, step),)
