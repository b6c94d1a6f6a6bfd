"""Vectors of `ops` (those that are mathematics), `layers` and `discriminators`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dimref import discriminators, layers
from dimref.audit.vectors.case import ANY, Case, Draw

SEEN = ("parameters", "x")
WINDOWS = {"kernel": (2, 3), "stride": (1, 2), "padding": (1, 0)}


def cases() -> Iterator[Case]:
    """Every case of this family."""
    yield from _ops(Draw(21))
    yield from _convolutions(Draw(22))
    yield from _layers(Draw(23))
    running = (draw := Draw(26)).uniform(3), draw.uniform(3, low=0.5)
    inputs = {
        "parameters": draw.like(layers.init_norm(3)),
        "running": dict(zip(("mean", "variance"), running, strict=True)),
    }
    inputs["weight"] = draw.uniform(3)
    yield Case("layers.inference_scale", "3", inputs, {}, ("parameters",), ("scale", "offset"), "offset")
    yield from _critics(Draw(24))
    yield from _prior(Draw(25))
    draw = Draw(27)
    inputs = {"first": draw.like(layers.init_linear(ANY, 3, 2)), "x": draw.uniform(4, 3)}
    inputs |= {"second": draw.like(layers.init_linear(ANY, 5, 2, bias=False)), "y": draw.uniform(4, 5)}
    yield Case("layers.linear_sum", "rows", {**inputs, "weight": draw.uniform(4, 2)}, {}, tuple(inputs))


def _ops(draw: Draw) -> Iterator[Case]:
    x = np.array([-1e4, -100.0, -1.5, -0.0, 0.0, 0.75, 100.0, 1e4])
    for name in ("relu", "softplus", "sigmoid"):
        inputs = {"x": x, "weight": draw.uniform(8)}
        yield Case(f"ops.{name}", "small and large", inputs, {}, ("x",), float32=True)
    for name in ("ops.logsumexp", "ops.logmeanexp"):
        for axis in (0, 1):
            inputs = {"x": draw.uniform(3, 4), "weight": draw.uniform(4 if axis == 0 else 3)}
            yield Case(name, f"axis {axis}", inputs, {"axis": axis}, ("x",))
        yield Case(name, "large", {"x": np.array([1e4, -1e4, 1e4])}, {"axis": 0}, float32=True)
    inputs = {"x": draw.uniform(5, 3), "weight": draw.uniform(5, 3)}
    yield Case("ops.standardize", "columns", inputs, {"axis": 0, "epsilon": 1e-5}, ("x",))
    inputs = {"x": draw.uniform(2, 3, 5, 2), "weight": draw.uniform(2, 4, 2, 12)}
    yield Case("ops.im2col", "2×3, stride 1×2", inputs, WINDOWS, ("x",))
    inputs = {"columns": draw.uniform(2, 4, 2, 12), "weight": draw.uniform(2, 3, 5, 2)}
    yield Case("ops.col2im", "2×3, stride 1×2", inputs, {"shape": (2, 3, 5, 2), **WINDOWS}, ("columns",))


def _convolutions(draw: Draw) -> Iterator[Case]:
    for kernel, stride, padding in ((4, 2, 1), (3, 1, 1), (2, 3, 0)):
        options: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding}
        x = draw.uniform(2, 6, 6, 2)
        inputs = {"parameters": draw.like(layers.init_conv2d(ANY, 2, 3, kernel)), "x": x}
        inputs["weight"] = draw.uniform(*layers.conv2d(inputs["parameters"], x, **options).shape)
        name = f"{kernel}×{kernel}, stride {stride}, padding {padding}"
        yield Case("layers.conv2d", name, inputs, options, SEEN, float32=True)
    options = {"kernel": 4, "stride": 2, "padding": 1}
    parameters = draw.like(layers.init_conv_transpose2d(ANY, 2, 3, 4))
    inputs = {"parameters": parameters, "x": draw.uniform(2, 3, 3, 2), "weight": draw.uniform(2, 6, 6, 3)}
    yield Case("layers.conv_transpose2d", "4×4, stride 2, padding 1", inputs, options, SEEN)


def _layers(draw: Draw) -> Iterator[Case]:
    inputs = {"parameters": draw.like(layers.init_linear(ANY, 3, 2)), "x": draw.uniform(4, 3)}
    yield Case("layers.linear", "rows", {**inputs, "weight": draw.uniform(4, 2)}, {}, SEEN)
    inputs = {"parameters": draw.like(layers.init_norm(4)), "x": draw.uniform(3, 4), "weight": draw.uniform(3, 4)}
    yield Case("layers.layer_norm", "rows", inputs, {}, SEEN)
    for training in (True, False):
        running = {"mean": draw.uniform(3), "variance": draw.uniform(3, low=0.5)}
        inputs = {"parameters": draw.like(layers.init_norm(3)), "running": running, "x": draw.uniform(2, 2, 2, 3)}
        inputs["weight"] = draw.uniform(2, 2, 2, 3)
        name = "training" if training else "inference"
        returned = ("value", "new_running")
        yield Case("layers.batch_norm", name, inputs, {"training": training}, SEEN, returned, float32=True)
    for name in ("layers.init_norm", "layers.init_running"):
        yield Case(name, "3", {}, {"features": 3}, outputs=())


def _critics(draw: Draw) -> Iterator[Case]:
    seen = ("parameters", "features", "y")
    n, places, f, d = 3, 2, 4, 3
    concat = draw.like(discriminators.init_concat(ANY, f, d, hidden=5))
    inputs = {"parameters": concat, "features": draw.uniform(n, places, f), "y": draw.uniform(n, d)}
    for name, index in (("by location", np.array([[1, 2], [2, 0], [0, 1]])), ("rolled", np.array([1, 2, 0]))):
        more = {"index": index, "weight": draw.uniform(n, places)}
        returned = ("joint", "product")
        yield Case("discriminators.concat_pairs", name, {**inputs, **more}, {}, seen, returned, "product")
    more = {"weight": draw.uniform(n, n, places)}
    yield Case("discriminators.concat_square", "3 images", {**inputs, **more}, {}, seen)
    more = {"index": (np.array([[2], [1]]) + np.arange(n)) % n, "weight": draw.uniform(2, n, places)}
    returned = ("positives", "negatives")
    yield Case("discriminators.concat_candidates", "K = 3", {**inputs, **more}, {}, seen, returned, "negatives")
    more = {"parameters": draw.like(discriminators.init_dot(ANY, f, d, units=6)), "weight": draw.uniform(n, n, places)}
    yield Case("discriminators.dot_square", "3 images", {**inputs, **more}, {}, seen, float32=True)


def _prior(draw: Draw) -> Iterator[Case]:
    parameters = draw.like(discriminators.init_prior(ANY, 3, hidden=(5, 4)))
    inputs = {"parameters": parameters, "y": draw.uniform(4, 3), "weight": draw.uniform(4)}
    yield Case("discriminators.prior_logits", "4", inputs, {}, ("parameters", "y"))
    inputs = {"parameters": parameters, "z": draw.uniform(4, 3, low=0.0, high=1.0)}
    yield Case("discriminators.gradient_penalty", "4", inputs, {}, ("parameters",))
