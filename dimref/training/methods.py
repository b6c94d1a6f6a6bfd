"""The two methods side by side: Deep InfoMax (`objectives`, `encoders`) and its successor (`amdim`, `multiscale`).

Training, the run directory and evaluation know neither: they pass an objective and a layout on, and here their types say
whose functions are meant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dimref import amdim, encoders, objectives
from dimref.amdim import encoder as amdim_encoder
from dimref.engine import folded
from dimref.training.choices import FEATURES
from dimref.trees import Array, Tree

AnyObjective = objectives.Objective | amdim.Objective
AnyLayout = encoders.Layout | amdim_encoder.Layout
LAYOUTS: dict[str, Callable[..., AnyLayout]] = {"dim": encoders.Layout, "amdim": amdim_encoder.Layout}


def init_parameters(rng: np.random.Generator, layout: AnyLayout, objective: AnyObjective) -> tuple[Tree, Tree]:
    """Parameters and model state, on the host; the encoder's are drawn first."""
    return _training(objective).init_parameters(rng, layout, objective)


def draw_noise(rng: np.random.Generator, objective: AnyObjective, layout: AnyLayout, n: int) -> Tree:
    """One step's randomness for a batch of n images, drawn on the host."""
    return _training(objective).draw_noise(rng, objective, layout, n)


def loss(
    parameters: Tree,
    state: Tree,
    images: Array,
    noise: Tree,
    objective: AnyObjective,
    layout: AnyLayout,
    training: bool = True,
) -> tuple[Array, dict[str, Any]]:
    """What is minimized, and {"terms", "state", "y", "saturated"}."""
    return _training(objective).loss(parameters, state, images, noise, objective, layout, training)


def init_encoder(rng: np.random.Generator, layout: AnyLayout) -> tuple[Tree, Tree]:
    """The encoder's parameters and running statistics."""
    return _encoding(layout).init_encoder(rng, layout)


def encode(parameters: Tree, state: Tree, images: Array, layout: AnyLayout, training: bool) -> tuple[Any, Tree]:
    """The encoding of scaled images, and the new running statistics."""
    return _encoding(layout).encode(parameters, state, images, layout, training)


def kinds(layout: AnyLayout) -> tuple[str, ...]:
    """The features that an encoder is judged by: conv, fc and y; of the multi-scale one y alone, its 1×1 features."""
    return ("y",) if isinstance(layout, amdim_encoder.Layout) else FEATURES


def frozen(parameters: Tree, running: Tree, layout: AnyLayout) -> Callable[[Array], dict[str, Array]]:
    """The encoder in inference, as a function of scaled images: each of its `kinds` of features, (B, features)."""
    if isinstance(layout, amdim_encoder.Layout):
        return lambda images: {"y": amdim_encoder.features(parameters, running, images, layout)}
    without_norms = folded.fold(parameters, running)

    def features(images: Array) -> dict[str, Array]:
        encoding = folded.encode_folded(without_norms, images, layout)
        return {"conv": encoders.flatten(encoding.last_map), "fc": encoding.fc, "y": encoding.y}

    return features


def first_layer(layout: AnyLayout) -> tuple[str, int]:
    """The name of the encoder's first convolution, and the side of its kernel."""
    return ("first", amdim_encoder.FIRST) if isinstance(layout, amdim_encoder.Layout) else ("conv1", encoders.KERNEL)


def _training(objective: AnyObjective) -> Any:
    return amdim if isinstance(objective, amdim.Objective) else objectives


def _encoding(layout: AnyLayout) -> Any:
    return amdim_encoder if isinstance(layout, amdim_encoder.Layout) else encoders
