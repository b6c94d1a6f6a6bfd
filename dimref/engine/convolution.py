"""Convolutions of some images at a time, their windows in a core's cache from the gather to the product.

The windows are kh·kw/(sh·sw) times as many numbers as the image. The tape of the plain form saves them all; here the
backward pass recomputes them, which costs less time than reading memory that is no longer in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from autograd.extend import defvjp_argnums

from dimref import layers, ops
from dimref.engine import threads
from dimref.engine.affine import column_sums
from dimref.engine.forms import of_one_type, on_host, on_one_tape, once
from dimref.engine.tuning import CONVOLUTION_WINDOWS, CONVOLUTION_WORTH
from dimref.ops import Pair
from dimref.tape import implement, primitive
from dimref.trees import Array


def register() -> None:
    """Implement `layers.convolution`."""
    implement(layers.convolution, "image blocks", convolution, _has_blocks)


class Geometry(NamedTuple):
    """Kernel, stride and padding of a convolution."""

    kernel: Pair
    stride: Pair
    padding: Pair

    def sides(self, x: Array) -> Pair:
        """H' and W', the number of windows along each axis of images (B, H, W, C)."""
        return ops.out_sizes(x.shape, *self)


def convolution(x: Array, w: Array, b: Array | None, kernel: Pair, stride: Pair, padding: Pair, relu: bool) -> Array:
    """im2col(x)·w + b, or max(·, 0) of it."""
    return convolve(Geometry(kernel, stride, padding), x, w, b, relu)


def _has_blocks(x: Array, w: Array, b: Array | None, kernel: Pair, stride: Pair, padding: Pair, relu: bool) -> bool:
    """Whether there is more than one block, on the host, of one type, under one tape."""
    fits = of_one_type(x, w, b) and on_host(x, w, b) and on_one_tape(x, w, b)
    return fits and x.shape[0] > _images(Geometry(kernel, stride, padding), x, w)


@primitive
def convolve(geometry: Geometry, x: Array, w: Array, b: Array | None, relu: bool) -> Array:
    """im2col(x)·w + b, or max(·, 0) of it, (B, H, W, C_in) → (B, H', W', C_out), in blocks of images that threads share."""
    out = np.empty((x.shape[0], *geometry.sides(x), w.shape[1]), x.dtype)

    def of_block(window: slice) -> None:
        rows = out[window].reshape(-1, w.shape[1])
        np.matmul(_columns(geometry, x[window]), w, out=rows)
        if b is not None:
            rows += b
        if relu:
            rows.clip(0, math.inf, out=rows)

    threads.run(of_block, _blocks(geometry, x, w))
    return out


def _vjp(argnums: Sequence[int], ans: Array, args: Sequence[Any], kwargs: dict[str, Any]) -> Callable[[Array], Any]:
    geometry, x, w, _, relu = args

    def vjp(g: Array) -> list[Array]:
        once("conv2d", g, ans)
        return _gradients(argnums, geometry, x, w, ops.gate(g, ans) if relu else g)

    return vjp


def _gradients(argnums: Sequence[int], geometry: Geometry, x: Array, w: Array, g: Array) -> list[Array]:
    """The requested gradients of x, w and b: col2im(g·wᵀ), im2col(x)ᵀ·g summed over blocks, and the sum of g's rows."""
    of_x = np.empty(x.shape, g.dtype) if 1 in argnums else None

    def of_block(window: slice) -> Array | None:
        rows = g[window].reshape(-1, w.shape[1])
        if of_x is not None:
            columns = ops.matmul(rows, w.T).reshape(*g[window].shape[:3], w.shape[0])
            of_x[window] = ops.col2im(columns, x[window].shape, *geometry)
        return ops.matmul(_columns(geometry, x[window]).T, rows) if 2 in argnums else None

    of_w = None
    for part in threads.in_order(of_block, _blocks(geometry, x, w)):
        of_w = part if of_w is None or part is None else np.add(of_w, part, out=of_w)
    gradient_of = {1: of_x, 2: of_w}
    if 3 in argnums:
        gradient_of[3] = column_sums(g.reshape(-1, w.shape[1]))
    return [gradient_of[k] for k in argnums]


defvjp_argnums(convolve, _vjp)


def _columns(geometry: Geometry, x: Array) -> Array:
    columns = ops.im2col(x, *geometry)
    return columns.reshape(-1, columns.shape[3])


def _blocks(geometry: Geometry, x: Array, w: Array) -> list[slice]:
    return threads.tapered(x.shape[0], _images(geometry, x, w))


def _images(geometry: Geometry, x: Array, w: Array) -> int:
    """Images of a block: as many as fit, but so few that every thread has a block that is worth its start."""
    numbers = math.prod(geometry.sides(x)) * w.shape[0]  # of one image's windows
    count = max(1, min(threads.threads(), x.shape[0] * numbers // CONVOLUTION_WORTH))
    return max(1, min(CONVOLUTION_WINDOWS // numbers, -(-x.shape[0] // count)))
