"""Vectors of `augment`, `multiscale` and `amdim`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dimref import amdim, ops
from dimref.amdim import encoder as amdim_encoder
from dimref.amdim.encoder import Layout
from dimref.amdim.objective import Objective
from dimref.audit.vectors.case import ANY, Case, Draw, named
from dimref.trees import Tree

LAYOUT = Layout(size=6, channels=1, ndf=1, ndepth=2, nrkhs=4)  # padded to 32×32
SIZES = {"ndf": LAYOUT.ndf, "ndepth": LAYOUT.ndepth, "nrkhs": LAYOUT.nrkhs, "padded": LAYOUT.padded}


def cases() -> Iterator[Case]:
    """Every case of this family."""
    yield from _views(Draw(41))
    yield from _encoder(Draw(42))
    yield from _directions(Draw(43))
    yield _loss(Draw(44))
    draw = Draw(28)
    inputs = {"x": draw.uniform(2, 3, 6, 2), "weight": draw.uniform(2, 2, 2, 2)}
    options = {"kernel": (2, 3), "stride": (1, 2)}
    mean = lambda i: {"value": amdim_encoder.window_mean(i["x"], *options.values())}  # noqa: E731
    yield Case("multiscale.window_mean", "2×3, stride 1×2", inputs, options, ("x",), run=mean)


def _views(draw: Draw) -> Iterator[Case]:
    images = {"images": draw.uniform(2, 3, 4, 3, low=0.0, high=1.0)}
    places = {"rows": draw.uniform(2, 5, low=0.0), "columns": draw.uniform(2, 2, low=0.0, high=3.0)}
    yield Case("augment.resample", "3×4 to 5×2", images | places)
    yield Case("augment.greyscale", "3 channels", images)
    factor = draw.uniform(2, low=0.0)
    for name in ("brightness", "contrast", "saturation"):
        yield Case(f"augment.{name}", "3 channels", {**images, "factor": factor})
    yield Case("augment.hue", "3 channels", {**images, "turns": draw.uniform(2, low=-1.0, high=1.0)})
    jitter = {name: draw.uniform(2, low=0.5, high=1.5) for name in ("brightness", "contrast", "saturation")}
    hue = {"hue": draw.uniform(2, low=-0.25, high=0.25), "grey": np.array([1, 0], np.uint8)}
    yield Case("augment.augment", "all of it", images | {"view": {**places, **jitter, **hue}})
    shapes = {"starts": np.array([0, 1, 3]), "sides": np.array([5, 3, 2])}
    yield Case("augment.crop_positions", "of 5", shapes, {"size": 5})


def _encoder(draw: Draw) -> Iterator[Case]:
    seen = ("parameters", "x")
    for name, kernel, stride, c_out in (("1×1", 1, 1, 2), ("3×3, more channels", 3, 1, 3), ("4×4, stride 2", 4, 2, 2)):
        parameters = {"conv": {"w": draw.uniform(2 * kernel**2, c_out)}, "out": {"w": draw.uniform(c_out, c_out)}}
        inputs = {"parameters": parameters, "x": draw.uniform(2, 6, 6, 2)}
        inputs["weight"] = draw.uniform(*amdim_encoder.residual(parameters, inputs["x"], kernel, stride).shape)
        yield Case("multiscale.residual", name, inputs, {"kernel": kernel, "stride": stride}, seen)
    parameters = {"hidden": {"w": draw.uniform(2, 3)}, "out": {"w": draw.uniform(3, 3)}}
    parameters["shortcut"] = {"w": draw.uniform(2, 3), "b": draw.uniform(3)}
    inputs = {"parameters": parameters, "x": draw.uniform(2, 2, 2, 2), "weight": draw.uniform(2, 2, 2, 3)}
    yield Case("multiscale.embed", "2 to 3", inputs, {}, seen)
    network = _network(draw)
    for training in (True, False):

        def encode(i: Tree, training: bool = training) -> Tree:
            found, state = amdim_encoder.encode(i["parameters"], i["state"], i["images"], LAYOUT, training)
            return {**named(found, ("seven", "five", "one")), "state": state}

        inputs = {**network, "weight": draw.uniform(2, 49, LAYOUT.nrkhs)}
        name, options = "training" if training else "inference", {"training": training, **SIZES}
        yield Case("multiscale.encode", name, inputs, options, ("parameters",), of="seven", run=encode)
    inputs = {**network, "weight": draw.uniform(2, LAYOUT.nrkhs)}
    yield Case("multiscale.features", "inference", inputs, SIZES, ("parameters",), call={"layout": LAYOUT})


def _network(draw: Draw) -> Tree:
    parameters, state = amdim_encoder.init_encoder(ANY, LAYOUT)
    drawn = {name: {part: draw.uniform(4, low=0.5) for part in running} for name, running in state.items()}
    parameters, side = draw.like(parameters, 0.5), LAYOUT.padded
    return {"parameters": parameters, "state": drawn, "images": draw.uniform(2, side, side, 1, low=-1.0, high=1.0)}


def _directions(draw: Draw) -> Iterator[Case]:
    inputs = {"scores": np.array([-1e4, -30.0, -1.5, 0.0, 0.75, 20.0, 1e4])}
    for clip in (20.0, 0.0):
        yield Case("amdim.soft_clip", f"c = {clip:g}", inputs, {"clip": clip}, float32=True)
    reported = ("mean_square", "nats", "certified_nats")
    for name, clip, penalty in (("as published", 20.0, 0.05), ("clipped hard", 0.5, 1.0), ("not clipped", 0.0, 0.0)):

        def direction(i: Tree, clip: float = clip, penalty: float = penalty) -> Tree:
            value, found = amdim.contrast(i["anchors"], i["candidates"], clip, penalty)
            return {"value": value, **named(found, reported)}

        inputs = {"anchors": draw.uniform(3, 4), "candidates": draw.uniform(3, 2, 4)}
        options = {"clip": clip, "penalty": penalty}
        yield Case("amdim.contrast", name, inputs, options, tuple(inputs), float32=True, run=direction)


def _loss(draw: Draw) -> Case:
    """Without augmentation the views are alike, but for the anchors' locations."""
    objective = Objective(clip=2.0, penalty=0.25, augmentation="none")

    def loss(i: Tree) -> Tree:
        parameters, state = {"encoder": i["parameters"]}, {"encoder": i["state"]}
        value, found = amdim.loss(parameters, state, i["images"], {"anchors": i["anchors"]}, objective, LAYOUT)
        return {"value": ops.reshape(value, ()), "terms": found["terms"], "y": found["y"]}

    inputs = {**_network(draw), "anchors": {"first": np.array([3, 31]), "second": np.array([24, 25])}}
    options: dict[str, Any] = {"scales": ",".join(objective.scales), "clip": 2.0, "penalty": 0.25, **SIZES}
    return Case("amdim.loss", "3 pairs of scales", inputs, options, ("parameters",), run=loss)
