"""Vectors of `ops` (those that are mathematics), `layers` and `discriminators`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dimref import discriminators, layers, ops
from dimref.audit.vectors.case import Case, Draw
from dimref.trees import Tree

ANY = np.random.default_rng(0)  # for the shapes of parameters alone: their numbers are drawn by `Draw`


def cases() -> Iterator[Case]:
    """Every case of this family."""
    yield from _ops(Draw(21))
    yield from _convolutions(Draw(22))
    yield from _layers(Draw(23))
    yield _inference(Draw(26))
    yield from _scorers(Draw(24))
    yield from _prior(Draw(25))
    yield _pair_of_layers(Draw(27))


def of_arguments(function: Callable[..., Any], *names: str, **options: Any) -> Callable[[Tree], Tree]:
    """The function of inputs by name, as a case runs it."""
    return lambda inputs: {"value": function(*(inputs[name] for name in names), **options)}


def _ops(draw: Draw) -> Iterator[Case]:
    x = np.array([-1e4, -100.0, -1.5, -0.0, 0.0, 0.75, 100.0, 1e4])
    for name in ("relu", "softplus", "sigmoid"):
        inputs = {"x": x, "weight": draw.uniform(8)}
        yield Case(
            f"ops.{name}", "small and large", inputs, of_arguments(getattr(ops, name), "x"), {}, ("x",), float32=True
        )
    for name in ("logsumexp", "logmeanexp"):
        for axis in (0, 1):
            inputs = {"x": draw.uniform(3, 4), "weight": draw.uniform(4 if axis == 0 else 3)}
            run = of_arguments(getattr(ops, name), "x", axis=axis)
            yield Case(f"ops.{name}", f"axis {axis}", inputs, run, {"axis": axis}, ("x",))
        run = of_arguments(getattr(ops, name), "x", axis=0)
        yield Case(f"ops.{name}", "large", {"x": np.array([1e4, -1e4, 1e4])}, run, {"axis": 0}, float32=True)
    inputs = {"x": draw.uniform(5, 3), "weight": draw.uniform(5, 3)}
    yield _positional("ops.standardize", "columns", inputs, {"axis": 0, "epsilon": 1e-5})
    windows = {"kernel": (2, 3), "stride": (1, 2), "padding": (1, 0)}
    inputs = {"x": draw.uniform(2, 3, 5, 2), "weight": draw.uniform(2, 4, 2, 12)}
    yield _positional("ops.im2col", "2×3, stride 1×2", inputs, windows)
    inputs = {"columns": draw.uniform(2, 4, 2, 12), "weight": draw.uniform(2, 3, 5, 2)}
    yield _positional("ops.col2im", "2×3, stride 1×2", inputs, {"shape": (2, 3, 5, 2), **windows})


def _positional(function: str, name: str, inputs: Tree, options: dict[str, Any]) -> Case:
    """A primitive: its VJP takes arguments by position alone."""
    primitive, x = getattr(ops, function.removeprefix("ops.")), next(iter(inputs))
    return Case(function, name, inputs, lambda i: {"value": primitive(i[x], *options.values())}, options, (x,))


def _convolutions(draw: Draw) -> Iterator[Case]:
    seen = ("parameters", "x")
    for kernel, stride, padding in ((4, 2, 1), (3, 1, 1), (2, 3, 0)):
        options: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding}
        x = draw.uniform(2, 6, 6, 2)
        parameters = draw.like(layers.init_conv2d(ANY, 2, 3, kernel))
        shape = layers.conv2d(parameters, x, **options).shape
        inputs = {"parameters": parameters, "x": x, "weight": draw.uniform(*shape)}
        name = f"{kernel}×{kernel}, stride {stride}, padding {padding}"
        yield Case(
            "layers.conv2d", name, inputs, of_arguments(layers.conv2d, *seen, **options), options, seen, float32=True
        )
    options = {"kernel": 4, "stride": 2, "padding": 1}
    parameters = draw.like(layers.init_conv_transpose2d(ANY, 2, 3, 4))
    inputs = {"parameters": parameters, "x": draw.uniform(2, 3, 3, 2), "weight": draw.uniform(2, 6, 6, 3)}
    run = of_arguments(layers.conv_transpose2d, *seen, **options)
    yield Case("layers.conv_transpose2d", "4×4, stride 2, padding 1", inputs, run, options, seen)


def _layers(draw: Draw) -> Iterator[Case]:
    seen = ("parameters", "x")
    inputs = {
        "parameters": draw.like(layers.init_linear(ANY, 3, 2)),
        "x": draw.uniform(4, 3),
        "weight": draw.uniform(4, 2),
    }
    yield Case("layers.linear", "rows", inputs, of_arguments(layers.linear, *seen), {}, seen)
    inputs = {"parameters": draw.like(layers.init_norm(4)), "x": draw.uniform(3, 4), "weight": draw.uniform(3, 4)}
    yield Case("layers.layer_norm", "rows", inputs, of_arguments(layers.layer_norm, *seen), {}, seen)
    for training in (True, False):

        def norm(inputs: Tree, training: bool = training) -> Tree:
            out, running = layers.batch_norm(inputs["parameters"], inputs["running"], inputs["x"], training)
            return {"value": out, "new_running": running}

        running = {"mean": draw.uniform(3), "variance": draw.uniform(3, low=0.5)}
        inputs = {
            "parameters": draw.like(layers.init_norm(3)),
            "running": running,
            "x": draw.uniform(2, 2, 2, 3),
            "weight": draw.uniform(2, 2, 2, 3),
        }
        name = "training" if training else "inference"
        yield Case("layers.batch_norm", name, inputs, norm, {"training": training}, seen, float32=True)
    yield Case("layers.init_norm", "3", {}, lambda _: layers.init_norm(3), {"features": 3})
    yield Case("layers.init_running", "3", {}, lambda _: layers.init_running(3), {"features": 3})


def _pair_of_layers(draw: Draw) -> Case:
    inputs = {
        "first": draw.like(layers.init_linear(ANY, 3, 2)),
        "x": draw.uniform(4, 3),
        "second": draw.like(layers.init_linear(ANY, 5, 2, bias=False)),
        "y": draw.uniform(4, 5),
        "weight": draw.uniform(4, 2),
    }
    seen = ("first", "x", "second", "y")
    return Case("layers.linear_sum", "rows", inputs, of_arguments(layers.linear_sum, *seen), {}, seen)


def _inference(draw: Draw) -> Case:
    def scale(inputs: Tree) -> Tree:
        found, offset = layers.inference_scale(inputs["parameters"], inputs["running"])
        return {"scale": found, "offset": offset}

    running = {"mean": draw.uniform(3), "variance": draw.uniform(3, low=0.5)}
    inputs = {"parameters": draw.like(layers.init_norm(3)), "running": running, "weight": draw.uniform(3)}
    return Case("layers.inference_scale", "3", inputs, scale, {}, ("parameters",), of="offset")


def _scorers(draw: Draw) -> Iterator[Case]:
    seen = ("parameters", "features", "y")
    n, places, f, d = 3, 2, 4, 3
    concat = draw.like(discriminators.init_concat(ANY, f, d, hidden=5))
    inputs = {"parameters": concat, "features": draw.uniform(n, places, f), "y": draw.uniform(n, d)}
    for name, index in (("by location", np.array([[1, 2], [2, 0], [0, 1]])), ("rolled", np.array([1, 2, 0]))):

        def pairs(inputs: Tree) -> Tree:
            joint, product = discriminators.concat_pairs(
                inputs["parameters"], inputs["features"], inputs["y"], inputs["index"]
            )
            return {"joint": joint, "product": product}

        more = {"index": index, "weight": draw.uniform(n, places)}
        yield Case("discriminators.concat_pairs", name, {**inputs, **more}, pairs, {}, seen, of="product")
    more = {"weight": draw.uniform(n, n, places)}
    run = of_arguments(discriminators.concat_scores, *seen)
    yield Case("discriminators.concat_square", "3 images", {**inputs, **more}, run, {}, seen)

    def candidates(inputs: Tree) -> Tree:
        positives, negatives = discriminators.concat_candidates(
            inputs["parameters"], inputs["features"], inputs["y"], inputs["index"]
        )
        return {"positives": positives, "negatives": negatives}

    more = {"index": (np.array([[2], [1]]) + np.arange(n)) % n, "weight": draw.uniform(2, n, places)}
    yield Case("discriminators.concat_candidates", "K = 3", {**inputs, **more}, candidates, {}, seen, of="negatives")
    dot = draw.like(discriminators.init_dot(ANY, f, d, units=6))
    more = {"parameters": dot, "weight": draw.uniform(n, n, places)}
    run = of_arguments(discriminators.dot_scores, *seen)
    yield Case("discriminators.dot_square", "3 images", {**inputs, **more}, run, {}, seen, float32=True)


def _prior(draw: Draw) -> Iterator[Case]:
    parameters = draw.like(discriminators.init_prior(ANY, 3, hidden=(5, 4)))
    inputs = {"parameters": parameters, "y": draw.uniform(4, 3), "weight": draw.uniform(4)}
    seen = ("parameters", "y")
    yield Case("discriminators.prior_logits", "4", inputs, of_arguments(discriminators.prior_logits, *seen), {}, seen)
    inputs = {"parameters": parameters, "z": draw.uniform(4, 3, low=0.0, high=1.0)}
    run = of_arguments(discriminators.gradient_penalty, "parameters", "z")
    yield Case("discriminators.gradient_penalty", "4", inputs, run, {}, ("parameters",))
