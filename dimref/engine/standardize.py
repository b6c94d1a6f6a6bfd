"""`ops.standardize` with few passes, and a VJP that saves x̂ and the squared deviations in place of x."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from autograd.extend import defvjp_argnums

from dimref import ops
from dimref.engine import kernels
from dimref.engine.forms import on_one_tape, once
from dimref.tape import implement, primitive
from dimref.trees import Array


def register() -> None:
    """Implement `ops.standardize`."""
    implement(ops.standardize, "fused", standardize, lambda x, axis, epsilon: on_one_tape(x))


def standardize(x: Array, axis: int, epsilon: float) -> Array:
    """(x − μ)/√(σ² + ε) along one axis."""
    return _standardize(x, axis, epsilon, [])


@primitive
def _standardize(x: Array, axis: int, epsilon: float, squares: list[Array]) -> Array:
    """Appends Σ (x − μ)² to `squares`, for the backward pass: x itself is not saved."""
    device = kernels.of(x)
    if device is not None:
        out, of_x = device.standardize(x, axis, epsilon)
        squares.append(of_x)
        return out
    out = x - x.mean(axis=axis, keepdims=True)
    squares.append(_sum_of_products(out, out, axis))
    out *= 1 / np.sqrt(squares[0] * (1 / x.shape[axis]) + epsilon)
    return out


def _vjp(argnums: Any, ans: Array, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    _, axis, epsilon, (squares,) = args

    def vjp(g: Array) -> tuple[Array]:
        """(g − mean g − x̂·mean(g·x̂)) / √(σ² + ε): the result is orthogonal to 1 and (for ε = 0) to x̂."""
        once("standardize", g)
        device = kernels.of(g)
        if device is not None:
            return (device.standardize_gradient(g, ans, squares, axis, epsilon),)
        n = ans.shape[axis]
        out = ans * (_sum_of_products(g, ans, axis) * (-1 / n))
        out += g
        out -= g.mean(axis=axis, keepdims=True)
        out *= 1 / np.sqrt(squares * (1 / n) + epsilon)
        return (out,)

    return vjp


def _sum_of_products(x: Array, y: Array, axis: int) -> Array:
    """(x·y).sum(axis, keepdims=True), without an array of the products."""
    axes = "abcdefgh"[: x.ndim]
    return np.expand_dims(np.einsum(f"{axes},{axes}->{axes.replace(axes[axis], '')}", x, y), axis)


defvjp_argnums(_standardize, _vjp)
