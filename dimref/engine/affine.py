"""Linear layers with their bias and ReLU in the product's own memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from autograd.extend import defvjp, defvjp_argnums

from dimref import layers, ops
from dimref.engine import kernels
from dimref.engine.forms import of_one_type
from dimref.engine.products import column_sums as sums
from dimref.engine.products import product
from dimref.tape import implement, primitive, stop_gradient
from dimref.trees import Array, Tree


def register() -> None:
    """Implement `layers.linear_rows` and `layers.linear_sum`."""
    implement(layers.linear_rows, "fused", affine, lambda x, w, b, relu: b is not None and of_one_type(x, w, b))
    implement(layers.linear_sum, "fused", linear_sum, _one_bias)


@primitive
def column_sums(x: Array) -> Array:
    """The sum of the rows of a matrix."""
    return sums(x)


defvjp(column_sums, lambda ans, x: lambda g, s=x.shape: ops.broadcast_to(g, s))


@primitive
def affine(x: Array, w: Array, b: Array, relu: bool, /) -> Array:
    """x·w + b for a matrix x of rows, or max(·, 0) of it, in the product's own memory."""
    return _biased(product(x, w), b, relu)


def _biased(out: Array, b: Array, relu: bool) -> Array:
    """out + b, or max(·, 0) of it, over `out` itself."""
    device = kernels.of(out)
    if device is not None:
        return device.biased(out, b, relu)
    out += b
    return out.clip(0, math.inf, out=out) if relu else out


def _affine_vjp(argnums: Sequence[int], ans: Array, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    x, w, _, relu = args
    x, w = x if 1 in argnums else None, w if 0 in argnums else None  # arrays that no gradient needs are freed
    output = stop_gradient(ans) if relu else None

    def vjp(g: Array) -> list[Array]:
        g = g if output is None else ops.gate(g, output)
        gradients = {
            0: lambda: ops.matmul(g, ops.transpose(w, (1, 0))),
            1: lambda: ops.matmul(ops.transpose(x, (1, 0)), g),
            2: lambda: column_sums(g),
        }
        return [gradients[k]() for k in argnums]

    return vjp


defvjp_argnums(affine, _affine_vjp)


def _one_bias(first: Tree, x: Array, second: Tree, y: Array) -> bool:
    """Whether exactly one of two layers has a bias, and all arrays are of one type."""
    return ("b" in first) != ("b" in second) and of_one_type(first, x, second, y)


def linear_sum(first: Tree, x: Array, second: Tree, y: Array) -> Array:
    """linear(first, x) + linear(second, y), in one memory."""
    b = (first if "b" in first else second)["b"]
    rows = (ops.reshape(a, (-1, a.shape[-1])) for a in (x, y))
    out = affine_pair(next(rows), first["w"], next(rows), second["w"], b)
    return ops.reshape(out, (*x.shape[:-1], first["w"].shape[1]))


@primitive
def affine_pair(x: Array, w: Array, y: Array, v: Array, b: Array) -> Array:
    """x·w + y·v + b for two matrices of rows, in the first product's own memory."""
    out = product(x, w)
    device = kernels.of(out)
    if device is None:
        out += product(y, v)
    else:
        out = device.matmul(y, v, out)
    return _biased(out, b, False)


defvjp(
    affine_pair,
    lambda ans, x, w, y, v, b: lambda g: ops.matmul(g, ops.transpose(w, (1, 0))),
    lambda ans, x, w, y, v, b: lambda g: ops.matmul(ops.transpose(x, (1, 0)), g),
    lambda ans, x, w, y, v, b: lambda g: ops.matmul(g, ops.transpose(v, (1, 0))),
    lambda ans, x, w, y, v, b: lambda g: ops.matmul(ops.transpose(y, (1, 0)), g),
    lambda ans, x, w, y, v, b: column_sums,
)
