"""Adam, over nested dicts of arrays."""

from __future__ import annotations

import math

import numpy as np

from dimref.tape import region
from dimref.trees import Array, Tree, leaves, map_tree

Moments = tuple[Array, Array, Array, Array]  # a parameter p, its gradient g, and its moments m and v


def init_adam(parameters: Tree) -> Tree:
    """Adam's state before the first step: {"step": 0, "m": first moments, "v": second moments}."""
    return {"step": 0, "m": map_tree(np.zeros_like, parameters), "v": map_tree(np.zeros_like, parameters)}


def adam_step(
    parameters: Tree,
    gradients: Tree,
    state: Tree,
    lr: float = 1e-4,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    corrected: Array | None = None,
) -> tuple[Tree, Tree]:
    """One step of Adam: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², θ ← θ − lr·m̂/(√v̂ + ε), with m̂, v̂ bias-corrected.

    Do not use the arrays of `parameters` and `state` afterwards: a faster form of `update` overwrites them. A leaf whose
    gradient is None (the loss does not depend on it) is unchanged; a gradient of another shape is a ValueError.

    Args:
        corrected: the result of `corrections`, as an array: a captured step reads it from memory in place of numbers.
    Source: Kingma & Ba 2015, arXiv 1412.6980, algorithm 1.
    """
    t = state["step"] + 1
    by_leaf = map_tree(lambda *pgmv: pgmv, parameters, gradients, state["m"], state["v"])
    groups = {path: pgmv for path, pgmv in leaves(by_leaf) if pgmv[1] is not None}
    for path, (p, g, _, _) in groups.items():
        if np.shape(g) != np.shape(p):
            raise ValueError(f"adam_step: the gradient of {path} must be {np.shape(p)}, was {np.shape(g)}")
    rates = corrections(t, lr, betas, epsilon) if corrected is None else corrected
    updated = dict(zip(groups, update(list(groups.values()), rates, betas), strict=True)) if groups else {}

    def new(tree: Tree, k: int) -> Tree:
        values = iter([updated[path][k] if path in updated else leaf for path, leaf in leaves(tree)])
        return map_tree(lambda _: next(values), tree)

    return new(parameters, 0), {"step": t, "m": new(state["m"], 1), "v": new(state["v"], 2)}


@region
def update(
    groups: list[Moments], rates: tuple[float, float] | Array, betas: tuple[float, float]
) -> list[tuple[Array, Array, Array]]:
    """The new p, m and v of each parameter: p − rate·m/(√v + floor)."""
    rate, floor = rates

    def of_one(p: Array, g: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
        dtype = np.result_type(p)  # all is computed in p's type, so the square of a small float32 gradient is 0
        g = g.astype(dtype)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        return p - (rate * m / (np.sqrt(v) + floor)).astype(dtype), m, v

    return [of_one(*group) for group in groups]


def corrections(
    t: int, lr: float, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8
) -> tuple[float, float]:
    """(rate, floor): step t's lr and ε for uncorrected moments, t counted from 1. They absorb the moments' bias:

    lr·m̂/(√v̂ + ε) = rate·m/(√v + floor), rate = lr·√(1 − β₂ᵗ)/(1 − β₁ᵗ), floor = ε·√(1 − β₂ᵗ).
    Source: Kingma & Ba 2015, arXiv 1412.6980, end of section 2.
    """
    shrink = math.sqrt(1 - betas[1] ** t)
    return lr * shrink / (1 - betas[0] ** t), epsilon * shrink
