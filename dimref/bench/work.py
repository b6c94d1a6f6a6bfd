"""What is timed, as data: a preset's objective, its weights, one batch and one step's draws, all from a seed, on the host.

Both sides start from it, so that a step of the one is a step of the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dimref import encoders
from dimref.training.choices import BENCH_METHODS, BENCH_PRESETS
from dimref.training.config import PRESETS, Config
from dimref.training.method import METHODS, AnyLayout, AnyObjective, method_of
from dimref.trees import Tree, map_tree


@dataclass(frozen=True)
class Work:
    """One step to do. For the preset "encode", in inference mode, the parameters are the encoder's alone."""

    preset: str
    objective: AnyObjective
    layout: AnyLayout
    parameters: Tree
    state: Tree
    images: np.ndarray  # (B, H, W, C) float32 in [−1, 1]
    noise: Tree

    @property
    def trains(self) -> bool:
        """Whether a step has a loss, a gradient and Adam; encoding is a forward pass."""
        return self.preset != "encode"


def describe(preset: str) -> str:
    """What a preset computes, in words."""
    return {
        "dim-local": "DIM(L), concat critic, JSD, shuffled negatives, no prior",
        "dim-infonce": "DIM(L), dot critic, InfoNCE over a location's pairs, no prior",
        "dim-global": "DIM(G), M×M map, concat critic, JSD, shuffled negatives, no prior",
        "dim-mixed": "0.5 × DIM(G) + 0.1 × DIM(L), concat, JSD, 0.1 × the prior's game",
        "amdim": "AMDIM, small encoder: two drawn views, clipped scores of 1→5, 1→7, 5→5",
        "encode": "images to representations, batch norm in inference mode, no gradient",
    }[preset]


def objective_of(preset: str) -> AnyObjective:
    """The objective of a preset; encoding scores nothing, and has that of dim-local.

    Raises:
        ValueError: the preset is unknown.
    """
    if preset not in BENCH_PRESETS:
        raise ValueError(f"preset must be one of {', '.join(BENCH_PRESETS)}, was {preset!r}")
    options = PRESETS["dim-local" if preset == "encode" else preset]
    without_prior = {} if preset in ("amdim", "dim-mixed") else {"prior_weight": 0.0}
    return Config(**{**options, **without_prior}).objective()


def layout_of(preset: str, sizes: dict[str, int] | None = None) -> AnyLayout:
    """The encoder of a preset: the paper's for CIFAR-10, the small one of AMDIM, or one of other sizes."""
    return METHODS[BENCH_METHODS[preset]].layout(**(sizes or {"size": 32, "channels": 3}))


def make(preset: str, batch: int, seed: int = 0, layout: AnyLayout | None = None) -> Work:
    """Draw a preset's weights, batch and noise.

    Gains, shifts, running statistics and weights that start at 0 are drawn too, away from the 1 and 0 that they start
    from: a twin that confuses or forgets one of them must not agree by luck.

    Raises:
        ValueError: the preset is unknown, or the batch has fewer than 2 images.
    """
    if batch < 2:
        raise ValueError(f"batch must be at least 2 images, was {batch}")
    objective, layout = objective_of(preset), layout_of(preset) if layout is None else layout
    rng = np.random.default_rng([seed, batch])
    parameters, state = method_of(layout).init_parameters(rng, layout, objective)
    if preset == "encode":
        parameters = {"encoder": parameters["encoder"]}
    parameters, state = _away_from_the_start(rng, parameters), _away_from_the_start(rng, state)
    # Noise alone would average out to one grey, and nothing be left for the batch norms to divide by.
    colours = rng.integers(0, 192, (batch, 1, 1, layout.channels), dtype=np.uint8)
    images = colours + rng.integers(0, 64, (batch, layout.size, layout.size, layout.channels), dtype=np.uint8)
    noise = method_of(layout).draw_noise(rng, objective, layout, batch)
    return Work(preset, objective, layout, parameters, state, encoders.scale(images, layout), noise)


def distance(found: np.ndarray, expected: np.ndarray, floor: float = 0.0) -> float:
    """‖a − b‖ / max(‖b‖, floor); inf where shapes differ or a number is not finite."""
    if found.shape != expected.shape:
        return math.inf
    a, b = found.astype(np.float64), expected.astype(np.float64)
    value = float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(b)), floor, np.finfo(np.float64).tiny)
    return value if math.isfinite(value) else math.inf


def norm_of_all(arrays: Iterable[np.ndarray]) -> float:
    """√Σ‖a‖²: a gradient that is 0 in theory is rounding errors alone, and is compared with the size of the others."""
    return math.sqrt(sum(float((a.astype(np.float64) ** 2).sum()) for a in arrays))


def in_float64(tree: Tree) -> Tree:
    """The same tree with every float32 array in float64."""
    return map_tree(lambda a: a.astype(np.float64) if a.dtype == np.float32 else a, tree)


def _away_from_the_start(rng: np.random.Generator, tree: Tree, name: str = "") -> Tree:
    if isinstance(tree, dict):
        return {key: _away_from_the_start(rng, leaf, key) for key, leaf in tree.items()}
    if name in ("gain", "shift", "mean", "variance") or not tree.any():
        return tree + rng.uniform(-0.1, 0.1, tree.shape).astype(np.float32)
    return tree
