"""`layers.conv2d` on the host, some images at a time, their windows in a core's cache from the gather to the product.

The windows are kh·kw/(sh·sw) times as many numbers as the image. The plain form, `layers.conv2d`'s own, has the tape keep
them all; here the way back gathers them anew, which costs less time than memory that is no longer in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from autograd.extend import defvjp_argnums
from autograd.tracer import isbox

from dimref import ops, parallel
from dimref.backend import Array
from dimref.ops import Pair
from dimref.tape import fusable, primitive

WINDOWS = 1_000_000  # numbers in the windows of a block of images
WORTH = 100_000  # numbers that a thread must have to be worth its start


class Geometry(NamedTuple):
    """Of a convolution: which windows there are."""

    kernel: Pair
    stride: Pair
    padding: Pair

    def sides(self, x: Array) -> tuple[int, ...]:
        """H' and W': how many windows images (B, H, W, C) have along each axis."""
        return tuple(ops.out_size(*axis) for axis in zip(x.shape[1:3], *self, strict=True))


def has_blocks(geometry: Geometry, x: Array, w: Array, b: Array | None) -> bool:
    """Whether `convolve` is another way than the plain one: on the host, in more than one block, under one tape."""
    return fusable(x, w, *([] if b is None else [b])) and x.shape[0] > _images(geometry, x, w)


@primitive
def convolve(geometry: Geometry, x: Array, w: Array, b: Array | None, rectified: bool) -> Array:
    """im2col(x)·w + b, or max(·, 0) of it, (B, H, W, C_in) → (B, H', W', C_out), in blocks of images that threads share."""
    out = np.empty((x.shape[0], *geometry.sides(x), w.shape[1]), np.result_type(x, w, *([] if b is None else [b])))

    def of_block(window: slice) -> None:
        rows = out[window].reshape(-1, w.shape[1])
        product_into(_columns(geometry, x[window]), w, rows)
        if b is not None:
            rows += b
        if rectified:
            rows.clip(0, math.inf, out=rows)

    parallel.run(of_block, _blocks(geometry, x, w))
    return out


def _vjp(argnums: Sequence[int], ans: Array, args: Sequence[Any], kwargs: dict[str, Any]) -> Callable[[Array], Any]:
    geometry, x, w, _, rectified = args

    def vjp(g: Array) -> list[Array]:
        if isbox(g) or isbox(ans):
            raise ValueError("conv2d: its VJP is fused, so it has no second derivative")
        return _gradients(argnums, geometry, x, w, ops.gate(g, ans) if rectified else g)

    return vjp


def _gradients(argnums: Sequence[int], geometry: Geometry, x: Array, w: Array, g: Array) -> list[Array]:
    """Of x, w and b, those that are wanted: col2im(g·wᵀ), im2col(x)ᵀ·g summed over blocks, and the sum of g's rows."""
    of_x = np.empty(x.shape, g.dtype) if 1 in argnums else None

    def of_block(window: slice) -> Array | None:
        rows = g[window].reshape(-1, w.shape[1])
        if of_x is not None:
            columns = ops.matmul(rows, w.T).reshape(*g[window].shape[:3], w.shape[0])
            of_x[window] = ops.col2im(columns, x[window].shape, *geometry)
        return ops.matmul(_columns(geometry, x[window]).T, rows) if 2 in argnums else None

    of_w = None
    for part in parallel.in_order(of_block, _blocks(geometry, x, w)):
        of_w = part if of_w is None or part is None else np.add(of_w, part, out=of_w)
    gradient_of = {1: of_x, 2: of_w}
    if 3 in argnums:
        gradient_of[3] = ops.column_sums(g.reshape(-1, w.shape[1]))
    return [gradient_of[k] for k in argnums]


defvjp_argnums(convolve, _vjp)


def _columns(geometry: Geometry, x: Array) -> Array:
    columns = ops.im2col(x, *geometry)
    return columns.reshape(-1, columns.shape[3])


def _blocks(geometry: Geometry, x: Array, w: Array) -> list[slice]:
    return parallel.tapered(x.shape[0], _images(geometry, x, w))


def product_into(x: Array, w: Array, out: Array) -> None:
    """x @ w, into memory that is there; a function of its own so that `bench.profile` can time it."""
    np.matmul(x, w, out=out)


def _images(geometry: Geometry, x: Array, w: Array) -> int:
    """Images of a block: as many as fit, but so few that every thread has a block that is worth its start."""
    numbers = math.prod(geometry.sides(x)) * w.shape[0]  # of one image's windows
    threads = max(1, min(parallel.threads(), x.shape[0] * numbers // WORTH))
    return max(1, min(WINDOWS // numbers, -(-x.shape[0] // threads)))
