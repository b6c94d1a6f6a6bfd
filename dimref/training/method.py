"""The two methods side by side, as records of functions: Deep InfoMax, and its successor AMDIM.

A task carries its method, which `config.method` names; an encoder's layout alone has one too (`method_of`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dimref import amdim, encoders, objectives
from dimref.amdim import encoder as amdim_encoder
from dimref.amdim import objective as amdim_objective
from dimref.engine import folded
from dimref.training.choices import FEATURES
from dimref.trees import Array, Tree

AnyObjective = objectives.Objective | amdim.Objective
AnyLayout = encoders.Layout | amdim_encoder.Layout
Features = Callable[[Array], dict[str, Array]]  # scaled images → each kind of features, (B, features)


@dataclass(frozen=True)
class Method:
    """What training, evaluation and export call of a method.

    Attributes:
        layout: the class of the encoder's sizes. widths: those of its arguments that are options of the configuration.
        init_parameters, draw_noise, loss, model_state: as in `dimref.objectives`.
        init_encoder, encode: as in `dimref.encoders`.
        features: the kinds of features that an encoder is evaluated by.
        inference: (parameters, running statistics, layout) → the encoder in inference mode.
        first_layer: the name of the encoder's first convolution, and the side of its kernel.
    """

    layout: Callable[..., AnyLayout]
    widths: tuple[str, ...]
    init_parameters: Callable[..., tuple[Tree, Tree]]
    draw_noise: Callable[..., Tree]
    loss: Callable[..., tuple[Array, dict[str, Any]]]
    model_state: Callable[..., Tree]
    init_encoder: Callable[..., tuple[Tree, Tree]]
    encode: Callable[..., tuple[Any, Tree]]
    features: tuple[str, ...]
    inference: Callable[[Tree, Tree, Any], Features]
    first_layer: tuple[str, int]


def _inference(parameters: Tree, running: Tree, layout: encoders.Layout) -> Features:
    without_norms = folded.fold(parameters, running)

    def features(images: Array) -> dict[str, Array]:
        encoding = folded.encode_folded(without_norms, images, layout)
        return {"conv": encoders.flatten(encoding.last_map), "fc": encoding.fc, "y": encoding.y}

    return features


def _amdim_inference(parameters: Tree, running: Tree, layout: amdim_encoder.Layout) -> Features:
    return lambda images: {"y": amdim_encoder.features(parameters, running, images, layout)}


DIM = Method(
    layout=encoders.Layout,
    widths=(),
    init_parameters=objectives.init_parameters,
    draw_noise=objectives.draw_noise,
    loss=objectives.loss,
    model_state=objectives.model_state,
    init_encoder=encoders.init_encoder,
    encode=encoders.encode,
    features=FEATURES,
    inference=_inference,
    first_layer=("conv1", encoders.KERNEL),
)
AMDIM = Method(
    layout=amdim_encoder.Layout,
    widths=("ndf", "ndepth", "nrkhs"),
    init_parameters=amdim.init_parameters,
    draw_noise=amdim.draw_noise,
    loss=amdim.loss,
    model_state=amdim_objective.model_state,
    init_encoder=amdim_encoder.init_encoder,
    encode=amdim_encoder.encode,
    features=("y",),
    inference=_amdim_inference,
    first_layer=("first", amdim_encoder.FIRST),
)
METHODS = {"dim": DIM, "amdim": AMDIM}


def method_of(layout: AnyLayout) -> Method:
    """The method that an encoder of that layout belongs to."""
    return AMDIM if isinstance(layout, amdim_encoder.Layout) else DIM
