"""Batch norm's columns in training: their moments in one pass, and gain·x̂ + shift with or without a ReLU as one primitive.

The rows come in blocks that stay in a core's cache through the passes, and threads share the blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import add
from typing import Any

import numpy as np
from autograd.extend import defvjp_argnums

from dimref import layers, ranks
from dimref.engine import kernels, threads
from dimref.engine.forms import of_one_type, on_host, on_one_tape, once
from dimref.engine.products import column_sums
from dimref.engine.tuning import NORM_BLOCK, PILOT_ROWS
from dimref.tape import implement, primitive, stop_gradient
from dimref.trees import Array


def register() -> None:
    """Implement `layers.normalize`."""
    implement(layers.normalize, "fused", normalize, _applies)


def _applies(x: Array, gain: Array, shift: Array, epsilon: float, relu: bool) -> bool:
    one_rank_or_host = ranks.now().size == 1 or on_host(x)
    return of_one_type(x, gain, shift) and on_one_tape(x, gain, shift) and one_rank_or_host


def normalize(x: Array, gain: Array, shift: Array, epsilon: float, relu: bool) -> tuple[Array, Array, Array]:
    """gain·x̂ + shift, or max(·, 0) of it, and the columns' μ and σ²."""
    mu, variance = of_batch(*moments(x), x.shape[0])
    return normalize_columns(x, gain, shift, mu, variance, epsilon, relu), mu, variance


def of_batch(mu: Array, variance: Array, n: int) -> tuple[Array, Array]:
    """The columns' moments over every rank's rows, from those of this rank's n."""
    now = ranks.now()
    if now.size == 1:
        return mu, variance
    share = n / now.of_batch(n)
    whole = now.all_sum(share * mu)
    return whole, now.all_sum(share * (variance + (mu - whole) ** 2))


def moments(x: Array) -> tuple[Array, Array]:
    """μ and the (biased) σ² of the columns of a matrix, untraced.

    In one pass, from a near μ, the mean of some rows: with d = mean(x − a), μ = a + d and σ² = mean((x − a)²) − d². As d is
    small beside σ, next to nothing cancels.
    """
    x = stop_gradient(x)
    n = x.shape[0]
    device = kernels.of(x)
    if device is not None:
        return device.moments(x)
    # No factor in common with n, nor so with H·W: else the rows may all be of one pixel.
    stride = next(s for s in range(max(1, n // PILOT_ROWS), 0, -1) if math.gcd(s, n) == 1)
    some = x[::stride]
    near = column_sums(some) * (1 / some.shape[0])

    def of_block(window: slice) -> tuple[Array, Array]:
        shifted = x[window] - near
        sums = column_sums(shifted)
        shifted *= shifted
        return sums, column_sums(shifted)

    sums, squares = _summed(threads.run(of_block, _blocks(x)))
    d = sums * (1 / n)
    return near + d, np.maximum(squares * (1 / n) - d * d, 0)


@primitive
def normalize_columns(
    x: Array, gain: Array, shift: Array, mu: Array, variance: Array, epsilon: float, relu: bool, /
) -> Array:
    """gain·x̂ + shift with x̂ = (x − μ)/√(σ² + ε) along the rows of a matrix; `mu` and `variance` are x's `moments`.

    With relu: max(·, 0) of it. The gradient through the moments is part of its VJP.
    """
    device = kernels.of(x)
    if device is not None:
        return device.normalize(x, mu, gain, shift, variance, epsilon, relu)
    scale = gain / np.sqrt(variance + epsilon)
    out = np.empty_like(x, dtype=x.dtype, order="C")

    def of_block(window: slice) -> None:
        rows = np.subtract(x[window], mu, out=out[window])
        rows *= scale
        rows += shift
        if relu:
            rows.clip(0, math.inf, out=rows)

    threads.run(of_block, _blocks(x))
    return out


def _vjp(argnums: Sequence[int], ans: Array, args: Sequence[Any], kwargs: dict[str, Any]) -> Callable[[Array], Any]:
    x, gain, _, mu, variance, epsilon, relu = args

    def vjp(g: Array) -> list[Array]:
        """gain/√(σ² + ε) · (g − mean g − x̂·mean(g·x̂)), Σ g·x̂ and Σ g, for the g that passes the ReLU."""
        once("normalize", g, ans)
        device = kernels.of(g)
        if device is not None:
            of_x, of_gain, of_shift = device.normalize_gradient(g, ans, x, mu, gain, variance, epsilon, relu)
        else:
            scale = 1 / np.sqrt(variance + epsilon)
            g, products, of_shift = _through_relu(g, ans, x, mu, relu)
            of_gain = products * scale
            now, n = ranks.now(), ranks.now().of_batch(x.shape[0])
            along, level = now.all_sum(of_gain) * (1 / n), now.all_sum(of_shift) * (1 / n)
            of_x = partial(_of_x, g, x, mu, gain * scale, gain * scale**2 * along, gain * scale * level)
        gradients = {1: of_gain, 2: of_shift}
        if 0 in argnums:
            gradients[0] = of_x()
        return [gradients[k] for k in argnums]

    return vjp


defvjp_argnums(normalize_columns, _vjp)


def _through_relu(g: Array, ans: Array, x: Array, mu: Array, relu: bool) -> tuple[Array, Array, Array]:
    """A new array of the g that passes the ReLU, Σ g·(x − μ) and Σ g."""
    passed = np.empty_like(x, dtype=g.dtype, order="C")

    def of_block(window: slice) -> tuple[Array, Array]:
        rows, centred = passed[window], x[window] - mu
        if relu:
            rows[...] = ans[window] > 0  # as `ops.gate`
            rows *= g[window]
        else:
            rows[...] = g[window]
        centred *= rows
        return column_sums(centred), column_sums(rows)

    products, sums = _summed(threads.run(of_block, _blocks(x)))
    return passed, products, sums


def _of_x(g: Array, x: Array, mu: Array, factor: Array, along: Array, level: Array) -> Array:
    """factor·g − along·(x − μ) − level, over g itself."""

    def of_block(window: slice) -> None:
        rows, centred = g[window], x[window] - mu
        rows *= factor
        centred *= along
        rows -= centred
        rows -= level

    threads.run(of_block, _blocks(x))
    return g


def _summed(parts: list[tuple[Array, Array]]) -> tuple[Array, ...]:
    """The sum over blocks, in their order, of each of a block's two results."""
    return tuple(reduce(add, of_one) for of_one in zip(*parts, strict=True))


def _blocks(x: Array) -> list[slice]:
    """Of the rows; an array that is neither NumPy's nor has kernels takes all at once."""
    n, columns = x.shape
    return threads.blocks(n, max(1, NORM_BLOCK // columns) if isinstance(x, np.ndarray) else n)
