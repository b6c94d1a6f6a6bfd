"""Vectors of `augment`, `multiscale` and `amdim`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dimref import amdim, ops
from dimref.amdim import augmentation as amdim_augmentation
from dimref.amdim import encoder as amdim_encoder
from dimref.amdim.encoder import Layout
from dimref.amdim.objective import Objective
from dimref.audit.vectors.case import Case, Draw
from dimref.audit.vectors.networks import ANY, of_arguments
from dimref.trees import Array, Tree

LAYOUT = Layout(size=6, channels=1, ndf=1, ndepth=2, nrkhs=4)  # padded to 32×32


def cases() -> Iterator[Case]:
    """Every case of this family."""
    yield from _views(Draw(41))
    yield from _encoder(Draw(42))
    yield from _directions(Draw(43))
    yield _loss(Draw(44))
    yield _window_mean(Draw(28))


def _views(draw: Draw) -> Iterator[Case]:
    images = {"images": draw.uniform(2, 3, 4, 3, low=0.0, high=1.0)}
    places = {"rows": draw.uniform(2, 5, low=0.0), "columns": draw.uniform(2, 2, low=0.0, high=3.0)}
    yield Case(
        "augment.resample", "3×4 to 5×2", images | places, of_arguments(amdim_augmentation.resample, "images", *places)
    )
    yield Case("augment.greyscale", "3 channels", images, of_arguments(amdim_augmentation.greyscale, "images"))
    factor = draw.uniform(2, low=0.0)
    for name in ("brightness", "contrast", "saturation"):
        run = of_arguments(getattr(amdim_augmentation, name), "images", "factor")
        yield Case(f"augment.{name}", "3 channels", {**images, "factor": factor}, run)
    run = of_arguments(amdim_augmentation.hue, "images", "turns")
    yield Case("augment.hue", "3 channels", {**images, "turns": draw.uniform(2, low=-1.0, high=1.0)}, run)
    view = {
        **places,
        **{name: draw.uniform(2, low=0.5, high=1.5) for name in ("brightness", "contrast", "saturation")},
        "hue": draw.uniform(2, low=-0.25, high=0.25),
        "grey": np.array([1, 0], np.uint8),
    }
    yield Case(
        "augment.augment",
        "all of it",
        images | {"view": view},
        of_arguments(amdim_augmentation.augment, "images", "view"),
    )
    shapes = {"starts": np.array([0, 1, 3]), "sides": np.array([5, 3, 2])}
    crops = of_arguments(amdim_augmentation.crop_positions, *shapes, size=5)
    yield Case("augment.crop_positions", "of 5", shapes, crops, {"size": 5})


def _encoder(draw: Draw) -> Iterator[Case]:
    for name, kernel, stride, c_out in (("1×1", 1, 1, 2), ("3×3, more channels", 3, 1, 3), ("4×4, stride 2", 4, 2, 2)):
        options = {"kernel": kernel, "stride": stride}
        parameters = {"conv": {"w": draw.uniform(2 * kernel**2, c_out)}, "out": {"w": draw.uniform(c_out, c_out)}}
        x = draw.uniform(2, 6, 6, 2)
        inputs = {"parameters": parameters, "x": x}
        run = of_arguments(amdim_encoder.residual, "parameters", "x", **options)
        inputs["weight"] = draw.uniform(*run(inputs)["value"].shape)
        yield Case("multiscale.residual", name, inputs, run, options, ("parameters", "x"))
    parameters = {"hidden": {"w": draw.uniform(2, 3)}, "out": {"w": draw.uniform(3, 3)}}
    parameters["shortcut"] = {"w": draw.uniform(2, 3), "b": draw.uniform(3)}
    inputs = {"parameters": parameters, "x": draw.uniform(2, 2, 2, 2), "weight": draw.uniform(2, 2, 2, 3)}
    run = of_arguments(amdim_encoder.embed, "parameters", "x")
    yield Case("multiscale.embed", "2 to 3", inputs, run, {}, ("parameters", "x"))
    network = _network(draw)
    for training in (True, False):

        def encode(inputs: Tree, training: bool = training) -> Tree:
            found, new_state = amdim_encoder.encode(
                inputs["parameters"], inputs["state"], inputs["images"], LAYOUT, training
            )
            return {"seven": found.seven, "five": found.five, "one": found.one, "state": new_state}

        inputs = {**network, "weight": draw.uniform(2, 49, LAYOUT.nrkhs)}
        name = "training" if training else "inference"
        options = {"training": training, **_sizes()}
        yield Case("multiscale.encode", name, inputs, encode, options, ("parameters",), of="seven")

    def features(inputs: Tree) -> Tree:
        return {"value": amdim_encoder.features(inputs["parameters"], inputs["state"], inputs["images"], LAYOUT)}

    inputs = {**network, "weight": draw.uniform(2, LAYOUT.nrkhs)}
    yield Case("multiscale.features", "inference", inputs, features, _sizes(), ("parameters",))


def _network(draw: Draw) -> Tree:
    parameters, state = amdim_encoder.init_encoder(ANY, LAYOUT)
    drawn = {name: {part: draw.uniform(4, low=0.5) for part in running} for name, running in state.items()}
    return {
        "parameters": draw.like(parameters, 0.5),
        "state": drawn,
        "images": draw.uniform(2, LAYOUT.padded, LAYOUT.padded, 1, low=-1.0, high=1.0),
    }


def _sizes() -> dict[str, Any]:
    return {"ndf": LAYOUT.ndf, "ndepth": LAYOUT.ndepth, "nrkhs": LAYOUT.nrkhs, "padded": LAYOUT.padded}


def _window_mean(draw: Draw) -> Case:
    inputs = {"x": draw.uniform(2, 3, 6, 2), "weight": draw.uniform(2, 2, 2, 2)}
    options = {"kernel": (2, 3), "stride": (1, 2)}
    run = lambda i: {"value": amdim_encoder.window_mean(i["x"], *options.values())}  # noqa: E731
    return Case("multiscale.window_mean", "2×3, stride 1×2", inputs, run, options, ("x",))


def _directions(draw: Draw) -> Iterator[Case]:
    inputs = {"scores": np.array([-1e4, -30.0, -1.5, 0.0, 0.75, 20.0, 1e4])}
    for clip in (20.0, 0.0):
        run = of_arguments(amdim.soft_clip, "scores", clip=clip)
        yield Case("amdim.soft_clip", f"c = {clip:g}", inputs, run, {"clip": clip}, float32=True)
    seen = ("anchors", "candidates")
    for name, clip, penalty in (("as published", 20.0, 0.05), ("clipped hard", 0.5, 1.0), ("not clipped", 0.0, 0.0)):

        def direction(inputs: Tree, clip: float = clip, penalty: float = penalty) -> dict[str, Array]:
            value, found = amdim.contrast(inputs["anchors"], inputs["candidates"], clip, penalty)
            return {
                "value": value,
                **{name: getattr(found, name) for name in ("mean_square", "nats", "certified_nats")},
            }

        inputs = {"anchors": draw.uniform(3, 4), "candidates": draw.uniform(3, 2, 4)}
        yield Case("amdim.contrast", name, inputs, direction, {"clip": clip, "penalty": penalty}, seen, float32=True)


def _loss(draw: Draw) -> Case:
    """Without augmentation the views are alike, but for the anchors' locations."""
    objective = Objective(clip=2.0, penalty=0.25, augmentation="none")
    network = _network(draw)

    def loss(inputs: Tree) -> Tree:
        parameters, state = {"encoder": inputs["parameters"]}, {"encoder": inputs["state"]}
        noise = {"anchors": inputs["anchors"]}
        value, found = amdim.loss(parameters, state, inputs["images"], noise, objective, LAYOUT)
        return {"value": ops.reshape(value, ()), "terms": found["terms"], "y": found["y"]}

    anchors = {"first": np.array([3, 31]), "second": np.array([24, 25])}
    options = {"scales": ",".join(objective.scales), "clip": 2.0, "penalty": 0.25, **_sizes()}
    return Case("amdim.loss", "3 pairs of scales", {**network, "anchors": anchors}, loss, options, ("parameters",))
