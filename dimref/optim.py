"""Adam, over nested dicts of arrays."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from dimref import kernels, parallel
from dimref.backend import Array, Tree, leaves, map_tree

BLOCK = 32768  # elements: the five arrays of one block stay in a core's cache from the first pass to the last


def init_adam(parameters: Tree) -> Tree:
    """State {"step": 0, "m": first moments, "v": second moments}, on the parameters' device."""
    return {"step": 0, "m": map_tree(np.zeros_like, parameters), "v": map_tree(np.zeros_like, parameters)}


def adam_step(
    parameters: Tree,
    gradients: Tree,
    state: Tree,
    lr: float = 1e-4,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    corrected: tuple[Array, Array] | None = None,
) -> tuple[Tree, Tree]:
    """One step of Adam: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², θ ← θ − lr·m̂/(√v̂ + ε), with m̂, v̂ bias-corrected.

    The arrays of `parameters` and `state` are given up: they are overwritten and come back as the new ones. A leaf whose
    gradient is None (nothing depends on it) stays as it is.

    Args:
        corrected: what `corrections` returns, as arrays on the device, where a captured step must not be given numbers.
    Raises:
        ValueError: a parameter is not C-contiguous, so that its flat view would be a copy and the step lost.
    Source: Kingma & Ba 2015, arXiv 1412.6980, algorithm 1.
    """
    t = state["step"] + 1
    rate, root = corrected or corrections(t, lr, betas)
    gradient_of = dict(leaves(gradients))
    first, second = dict(leaves(state["m"])), dict(leaves(state["v"]))
    pieces = []
    for path, parameter in leaves(parameters):
        if gradient_of[path] is not None:
            if not parameter.flags.c_contiguous:
                raise ValueError(f"adam_step: {path} must be C-contiguous, to be overwritten through a flat view")
            pieces += _pieces(parameter, gradient_of[path], first[path], second[path])
    update = partial(_update, rate=rate, root=root, betas=betas, epsilon=epsilon)
    parallel.run([partial(update, pieces[share]) for share in parallel.shares(len(pieces), parallel.threads())])
    return parameters, {"step": t, "m": state["m"], "v": state["v"]}


def _pieces(*arrays: Array) -> list[tuple[Array, ...]]:
    """The four arrays of a parameter in blocks on the host; a device gets one block."""
    flat = [a.reshape(-1) for a in arrays]
    size = flat[0].size
    step = BLOCK if isinstance(flat[0], np.ndarray) else max(size, 1)
    return [tuple(a[start : start + step] for a in flat) for start in range(0, size, step)]


def corrections(t: int, lr: float, betas: tuple[float, float] = (0.9, 0.999)) -> tuple[float, float]:
    """What step t, counted from 1, multiplies m and √v with: lr/(1 − β₁ᵗ), and 1/√(1 − β₂ᵗ)."""
    return lr / (1 - betas[0] ** t), 1 / math.sqrt(1 - betas[1] ** t)


def _update(
    pieces: list[tuple[Array, ...]],
    rate: float | Array,
    root: float | Array,
    betas: tuple[float, float],
    epsilon: float,
) -> None:
    """Ten passes over each block, while it stays in cache; on a device one kernel where it has one."""
    for p, g, m, v in pieces:
        device = kernels.of(p)
        if device is not None:
            device.adam(p, g, m, v, (rate, root), betas, epsilon)
            continue
        m *= betas[0]
        m += (1 - betas[0]) * g
        v *= betas[1]
        v += (1 - betas[1]) * (g * g)
        scale = np.sqrt(v)
        scale *= root
        scale += epsilon
        p -= rate * m / scale
