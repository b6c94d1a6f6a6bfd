"""Adam, over nested dicts of arrays."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from dimref import kernels, parallel
from dimref.backend import Array, Tree, leaves, map_tree

# Elements: few enough for the cache that cores share, and so many that threads seldom wait for Python's lock.
BLOCK = 1 << 17


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
    corrected: Array | None = None,
) -> tuple[Tree, Tree]:
    """One step of Adam: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², θ ← θ − lr·m̂/(√v̂ + ε), with m̂, v̂ bias-corrected.

    The arrays of `parameters` and `state` are given up: they are overwritten and come back as the new ones. A leaf whose
    gradient is None (nothing depends on it) stays as it is.

    Args:
        corrected: what `corrections` returns, as an array on the device: a captured step must not be given numbers.
    Raises:
        ValueError: a parameter or a moment is a number or not C-contiguous, so that its flat view would be a copy and
            the step lost; or a gradient is of another shape.
    Source: Kingma & Ba 2015, arXiv 1412.6980, algorithm 1.
    """
    t = state["step"] + 1
    gradient_of = dict(leaves(gradients))
    first, second = dict(leaves(state["m"])), dict(leaves(state["v"]))
    groups = []
    for path, parameter in leaves(parameters):
        if gradient_of[path] is not None:
            for a in (parameter, first[path], second[path]):
                if np.isscalar(a):
                    raise ValueError(f"adam_step: {path} must be an array, to be overwritten, was a {type(a).__name__}")
                if not a.flags.c_contiguous:
                    raise ValueError(f"adam_step: {path} must be C-contiguous, to be overwritten through a flat view")
            gradient = kernels.converted(gradient_of[path], parameter.dtype)
            if gradient.shape != parameter.shape:
                raise ValueError(f"adam_step: the gradient of {path} must be {parameter.shape}, was {gradient.shape}")
            groups.append(tuple(a.reshape(-1) for a in (parameter, gradient, first[path], second[path])))
    by = corrections(t, lr, betas, epsilon) if corrected is None else corrected
    device = kernels.of(groups[0][0]) if groups else None
    if device is None:
        update = partial(_update, rate=by[0], floor=by[1], betas=betas)
        parallel.run(lambda piece: update(*piece), [piece for arrays in groups for piece in _pieces(arrays)])
    else:
        device.adam(groups, by, betas)
    return parameters, {"step": t, "m": state["m"], "v": state["v"]}


def _pieces(arrays: tuple[Array, ...]) -> list[tuple[Array, ...]]:
    """The four arrays of a parameter in blocks on the host; what is neither NumPy's nor has kernels gets one block."""
    size = arrays[0].size
    step = BLOCK if isinstance(arrays[0], np.ndarray) else max(size, 1)
    return [tuple(a[start : start + step] for a in arrays) for start in range(0, size, step)]


def corrections(
    t: int, lr: float, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8
) -> tuple[float, float]:
    """What step t, counted from 1, takes for lr and ε where m and v are not corrected: their bias is divided out of both.

    lr·m̂/(√v̂ + ε) = rate·m/(√v + floor), rate = lr·√(1 − β₂ᵗ)/(1 − β₁ᵗ), floor = ε·√(1 − β₂ᵗ): two passes fewer.

    Source: Kingma & Ba 2015, arXiv 1412.6980, end of section 2.
    """
    shrink = math.sqrt(1 - betas[1] ** t)
    return lr * shrink / (1 - betas[0] ** t), epsilon * shrink


def _update(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    rate: float | Array,
    floor: float | Array,
    betas: tuple[float, float],
) -> None:
    """Twelve passes over a block and one block of scratch."""
    t = (1 - betas[0]) * g
    m *= betas[0]
    m += t
    np.multiply(g, g, out=t)
    t *= 1 - betas[1]
    v *= betas[1]
    v += t
    np.sqrt(v, out=t)
    t += floor
    np.divide(m, t, out=t)
    t *= rate
    p -= t
