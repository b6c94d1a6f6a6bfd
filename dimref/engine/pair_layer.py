"""The concat critic's first layer for positive and negative pairs: two sums and a ReLU for each pair, as one primitive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from autograd.extend import defvjp_argnums

from dimref import ops
from dimref.engine import kernels
from dimref.tape import primitive, stop_gradient
from dimref.trees import Array


@primitive
def side_by_side(feature: Array, own: Array, others: Array, index: Array) -> Array:
    """max(0, ·) of feature + own at every location and, beside it, of feature + the rows of others that index names.

    The plain form, with a new array for each step, is
    relu(concatenate([feature + own[:, None], feature + others[index]], axis=1)).

    Args:
        feature: (n, L, U), U units. own: (n, U). others: (N, U). index: (n, L), as of `ops.gather`.
    Returns:
        (n, 2L, U): the positive pairs first.
    """
    device = kernels.of(feature)
    if device is not None:
        return device.pairs(feature, own, others, index)
    n, locations, hidden = feature.shape
    dtype = np.result_type(feature.dtype, own.dtype, others.dtype)
    out = np.empty_like(feature, dtype, "C", shape=(n, 2 * locations, hidden))
    np.add(feature, own[:, None], out=out[:, :locations])
    out[:, locations:] = others[index]
    out[:, locations:] += feature
    return out.clip(0, math.inf, out=out)


def _vjp(argnums: Sequence[int], ans: Array, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    feature, _, others, index = args
    (n, locations, hidden), rows, output = feature.shape, others.shape[0], stop_gradient(ans)

    def vjp(g: Array) -> list[Array]:
        g = ops.gate(g, output)
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
