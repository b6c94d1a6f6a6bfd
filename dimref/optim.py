"""Adam, over nested dicts of arrays."""

import math

import numpy as np

from dimref.tape import region
from dimref.trees import Array, Tree, leaves, map_tree

Floats = tuple[float, float]
Moments = tuple[Array, Array, Array, Array]  # a parameter p, its gradient g, and its moments m and v


def init_adam(parameters: Tree) -> Tree:
    """Adam's state before the first step: {"step": 0, "m": first moments, "v": second moments}."""
    return {"step": 0, "m": map_tree(np.zeros_like, parameters), "v": map_tree(np.zeros_like, parameters)}


def adam_step(
    parameters: Tree,
    gradients: Tree,
    state: Tree,
    lr: float = 1e-4,
    betas: Floats = (0.9, 0.999),
    epsilon: float = 1e-8,
    rates: Array | None = None,
) -> tuple[Tree, Tree]:
    """One step of Adam: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², θ ← θ − lr·m̂/(√v̂ + ε), with m̂, v̂ bias-corrected.

    Do not use the arrays of `parameters` and `state` afterwards: a faster form of `update` overwrites them. A leaf whose
    gradient is None (the loss does not depend on it) is unchanged; a gradient of another shape is a ValueError. `rates`
    are those of `step_rates`, where they are computed before: in an array that a recorded step reads each time it runs.
    Source: Kingma & Ba 2015, arXiv 1412.6980, algorithm 1.
    """
    t = state["step"] + 1
    of_leaves = list(leaves(map_tree(lambda *pgmv: pgmv, parameters, gradients, state["m"], state["v"])))
    for path, (p, g, _, _) in of_leaves:
        if g is not None and np.shape(g) != np.shape(p):
            raise ValueError(f"adam_step: the gradient of {path} must be {np.shape(p)}, was {np.shape(g)}")
    chosen = step_rates(t, lr, betas, epsilon) if rates is None else rates
    updated = iter(update([pgmv for _, pgmv in of_leaves if pgmv[1] is not None], chosen, betas))
    new = [(p, m, v) if g is None else next(updated) for _, (p, g, m, v) in of_leaves]

    def tree(k: int) -> Tree:
        values = iter(new)
        return map_tree(lambda _: next(values)[k], parameters)

    return tree(0), {"step": t, "m": tree(1), "v": tree(2)}


@region
def update(groups: list[Moments], rates: Floats | Array, betas: Floats) -> list[tuple[Array, Array, Array]]:
    """The new p, m and v of each parameter: p − rate·m/(√v + floor)."""
    rate, floor = rates

    def of_one(p: Array, g: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
        dtype = np.result_type(p)  # all is computed in p's type, so the square of a small float32 gradient is 0
        g = g.astype(dtype)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        return p - (rate * m / (np.sqrt(v) + floor)).astype(dtype), m, v

    return [of_one(*group) for group in groups]


def step_rates(t: int, lr: float, betas: Floats = (0.9, 0.999), epsilon: float = 1e-8) -> Floats:
    """(rate, floor): lr and ε of step t, counted from 1, for the moments as they are. They absorb the moments' bias:

    lr·m̂/(√v̂ + ε) = rate·m/(√v + floor), rate = lr·√(1 − β₂ᵗ)/(1 − β₁ᵗ), floor = ε·√(1 − β₂ᵗ).
    Source: Kingma & Ba 2015, arXiv 1412.6980, end of section 2.
    """
    shrink = math.sqrt(1 - betas[1] ** t)
    return lr * shrink / (1 - betas[0] ** t), epsilon * shrink
