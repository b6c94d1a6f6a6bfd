"""The concat scorer's first layer for joint and product pairs: two sums and a ReLU for each pair, as one primitive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from autograd.extend import defvjp_argnums

from dimref import kernels, ops
from dimref.backend import Array
from dimref.tape import primitive, stop_gradient


@primitive
def side_by_side(feature: Array, here: Array, others: Array, index: Array) -> Array:
    """max(0, ·) of feature + here at every location and, beside it, of feature + the rows of others that index tells.

    The plain form, from arrays of their own for each of its steps, is
    relu(concatenate([feature + here[:, None], feature + others[index]], axis=1)).

    Args:
        feature: (n, L, U), U units. here: (n, U). others: (N, U). index: (n, L), as of `ops.gather`.
    Returns:
        (n, 2L, U): the joint pairs first.
    """
    device = kernels.of(feature)
    if device is not None:
        return device.pairs(feature, here, others, index)
    n, locations, hidden = feature.shape
    dtype = np.result_type(feature.dtype, here.dtype, others.dtype)
    out = np.empty_like(feature, dtype, "C", shape=(n, 2 * locations, hidden))
    np.add(feature, here[:, None], out=out[:, :locations])
    out[:, locations:] = others[index]
    out[:, locations:] += feature
    return out.clip(0, math.inf, out=out)


def _vjp(argnums: Sequence[int], ans: Array, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    feature, _, others, index = args
    (n, locations, hidden), rows, kept = feature.shape, others.shape[0], stop_gradient(ans)

    def vjp(g: Array) -> list[Array]:
        g = ops.gate(g, kept)
        joint = ops.cut(g, (slice(None), slice(0, locations)))
        product = ops.cut(g, (slice(None), slice(locations, None)))
        gradients = {
            0: lambda: ops.add(joint, product),
            1: lambda: ops.reshape(ops.sum_to(joint, (n, 1, hidden)), (n, hidden)),
            2: lambda: ops.scatter_add(product, index, rows),
        }
        return [gradients[k]() for k in argnums]

    return vjp


defvjp_argnums(side_by_side, _vjp)
