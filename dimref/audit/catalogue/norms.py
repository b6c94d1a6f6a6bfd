"""Contracts of batch norm and layer norm.

The variants are written for channels last, as `dimref.layers`; the forms of channels first transpose around them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np

from dimref import layers, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import numbers, reference, transposed, variant, weights
from dimref.audit.contract import Contract, Form, Sizes, Variant
from dimref.tape import stop_gradient
from dimref.trees import Array

TO_FIRST = (0, 3, 1, 2)  # NHWC -> NCHW

# ---- batch norm


def standardized(
    x: Array, axis: int, epsilon: float = layers.EPSILON, correction: int = 0, outside: bool = False
) -> Array:
    """(x − μ)/√(σ² + ε) along one axis; correction 1: the unbiased variance; outside: (x − μ)/(σ + ε)."""
    centred = x - ops.mean(x, axis, keepdims=True)
    n = x.shape[axis]
    variance = ops.mean(centred * centred, axis, keepdims=True) * (n / max(n - correction, 1))
    return centred / (anp.sqrt(variance) + epsilon if outside else anp.sqrt(variance + epsilon))


def normalized(x: Array, gain: Array, shift: Array, **how: Any) -> Array:
    """Each channel over every other axis, with the batch's statistics: gain·x̂ + shift."""
    rows = ops.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
    return ops.reshape(standardized(rows, 0, **how), x.shape) * gain + shift


def moved(
    x: Array, mean: Array, variance: Array, momentum: float = layers.MOMENTUM, biased: bool = False
) -> tuple[Array, Array]:
    """The running statistics, moved toward the batch's: momentum is the weight of the batch."""
    values = stop_gradient(x)
    rows = values.reshape(-1, values.shape[-1])
    now = rows.mean(axis=0), rows.var(axis=0, ddof=0 if biased else 1)
    return tuple(
        (1 - momentum) * before + momentum * batch for before, batch in zip((mean, variance), now, strict=True)
    )


def batch_norm(x: Array, gain: Array, shift: Array, mean: Array, variance: Array) -> tuple[Array, Array, Array]:
    """Training: the batch's biased variance normalizes, the unbiased one moves the running statistics."""
    parameters, running = {"gain": gain, "shift": shift}, {"mean": mean, "variance": variance}
    out, new = layers.batch_norm(parameters, running, x, training=True)
    return out, new["mean"], new["variance"]


def batch_norm_output(x: Array, gain: Array, shift: Array) -> Array:
    """Training, the output alone."""
    return layers.batch_norm({"gain": gain, "shift": shift}, layers.init_running(len(gain)), x, training=True)[0]


def batch_norm_inference(x: Array, gain: Array, shift: Array, mean: Array, variance: Array) -> Array:
    """gain·(x − mean)/√(variance + ε) + shift, with the running statistics."""
    parameters, running = {"gain": gain, "shift": shift}, {"mean": mean, "variance": variance}
    return layers.batch_norm(parameters, running, x, training=False)[0]


def unscaled(x: Array, gain: Array, shift: Array) -> Array:
    """x̂: gain and shift left out."""
    return normalized(x, stop_gradient(gain) * 0 + 1, stop_gradient(shift) * 0)


def shifted_before_gain(x: Array, gain: Array, shift: Array) -> Array:
    """gain·(x̂ + shift)."""
    return normalized(x, stop_gradient(gain) * 0 + 1, shift) * gain


def divided_by_variance(x: Array, gain: Array, shift: Array) -> Array:
    """gain·(x − μ)/(σ² + ε) + shift: no root."""
    rows = ops.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
    centred = rows - ops.mean(rows, 0, keepdims=True)
    variance = ops.mean(centred * centred, 0, keepdims=True)
    return ops.reshape(centred / (variance + layers.EPSILON), x.shape) * gain + shift


def detached_statistics(x: Array, gain: Array, shift: Array) -> Array:
    """The right value; μ and σ² are constants to the gradient."""
    values = stop_gradient(x)
    rows = values.reshape(-1, values.shape[-1])
    mean, variance = rows.mean(axis=0), rows.var(axis=0)
    return (x - mean) * ((variance + layers.EPSILON) ** -0.5) * gain + shift


def by_image(x: Array, gain: Array, shift: Array) -> Array:
    """Each channel of each image on its own (instance norm)."""
    places = ops.reshape(x, (x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1]))
    return ops.reshape(standardized(places, 1), x.shape) * gain + shift


def by_place(x: Array, gain: Array, shift: Array) -> Array:
    """Each pixel on its own, over the images alone."""
    return standardized(x, 0) * gain + shift


def by_row(x: Array, gain: Array, shift: Array, **how: Any) -> Array:
    """Each pixel, or row, over its channels (layer norm)."""
    return standardized(x, x.ndim - 1, **how) * gain + shift


def over_everything(x: Array, gain: Array, shift: Array) -> Array:
    """One mean and one variance for the whole array."""
    flat = ops.reshape(x, (1, math.prod(x.shape)))
    return ops.reshape(standardized(flat, 1), x.shape) * gain + shift


def running_in_training(x: Array, gain: Array, shift: Array, mean: Array, variance: Array) -> tuple[Array, ...]:
    """Normalized with the running statistics while training."""
    return batch_norm_inference(x, gain, shift, mean, variance), *moved(x, mean, variance)


def moved_in_training(x: Array, gain: Array, shift: Array, mean: Array, variance: Array) -> tuple[Array, ...]:
    """Normalized with the running statistics while training, just after they were moved."""
    new = moved(x, mean, variance)
    return batch_norm_inference(x, gain, shift, *new), *new


def inference(
    x: Array, gain: Array, shift: Array, mean: Array, variance: Array, epsilon: float = layers.EPSILON,
    outside: bool = False, power: float = 0.5,
) -> Array:  # fmt: skip
    """gain·(x − mean)/(variance + ε)^power + shift; outside: (x − mean)/(√variance + ε)."""
    scale = variance**0.5 + epsilon if outside else (variance + epsilon) ** power
    return ops.multiply(x - mean, 1 / scale) * gain + shift


def moved_first(x: Array, gain: Array, shift: Array, mean: Array, variance: Array) -> Array:
    """The running statistics are moved toward those of x, and then normalize it."""
    return batch_norm_inference(x, gain, shift, *moved(x, mean, variance))


# ---- layer norm


def layer_norm(x: Array, gain: Array, shift: Array) -> Array:
    """gain·(x − μ)/√(σ² + ε) + shift over the last axis, σ² biased."""
    return layers.layer_norm({"gain": gain, "shift": shift}, x)


def root_mean_square(x: Array, gain: Array, shift: Array) -> Array:
    """Divided by the root of the mean square: no mean is taken off."""
    return x / anp.sqrt(ops.mean(x * x, x.ndim - 1, keepdims=True) + layers.EPSILON) * gain + shift


def unscaled_rows(x: Array, gain: Array, shift: Array) -> Array:
    """x̂: gain and shift left out."""
    return by_row(x, stop_gradient(gain) * 0 + 1, stop_gradient(shift) * 0)


def centred_rows(x: Array, gain: Array, shift: Array) -> Array:
    """The mean is taken off, nothing is divided by."""
    return (x - ops.mean(x, x.ndim - 1, keepdims=True)) * gain + shift


def detached_row_statistics(x: Array, gain: Array, shift: Array) -> Array:
    """The right value; μ and σ² are constants to the gradient."""
    values = stop_gradient(x)
    mean, variance = values.mean(axis=-1, keepdims=True), values.var(axis=-1, keepdims=True)
    return (x - mean) * ((variance + layers.EPSILON) ** -0.5) * gain + shift


# ---- what is asked

TRAINED = Signature(
    ("x", "gain", "shift", "mean", "variance"),
    ("out", "new_mean", "new_variance"),
    differentiate=("x", "gain", "shift"),
    of="out",
)
OUTPUT = Signature(("x", "gain", "shift"), ("out",), differentiate=("x", "gain", "shift"), of="out")
INFERRED = Signature(
    ("x", "gain", "shift", "mean", "variance"), ("out",), differentiate=("x", "gain", "shift"), of="out"
)
EPSILONS = (1e-3, 1e-4, 1e-6, 1e-8, 1e-12)
KERAS = "Keras and TensorFlow: ε = 1e-3, momentum 0.99 for the old value, the biased variance"


def _draw_norm(arguments: tuple[str, ...], rng: np.random.Generator, sizes: Sizes) -> Inputs:
    high, wide = (1 + extra for extra in sizes.extra)
    n, c = max(3, sizes.n), sizes.m  # of 2 values x̂ is ±1 whatever they are: the gradient is nothing but rounding
    drawn = {
        "x": numbers(rng, sizes, n, high, wide, c) + numbers(rng, sizes, c),  # channels of different means
        "gain": weights(rng, sizes, c),
        "shift": weights(rng, sizes, c),
        "mean": weights(rng, sizes, c),
        "variance": rng.uniform(0.5, 2, c).astype(sizes.dtype),
    }
    if sizes.regime == "shifted":
        drawn["x"][..., 0] = 0.5  # a constant channel: its variance is 0, which no naive formula survives
    return {**{key: drawn[key] for key in arguments}, "weight": weights(rng, sizes, n, high, wide, c)}


def _draw_rows(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    shape = sizes.n, 2 + sizes.m  # of 2 values x̂ is ±1 whatever they are: the gradient is nothing but rounding
    x = numbers(rng, sizes, *shape)
    if sizes.regime == "shifted":
        x[0] = 0.5  # a constant row: its variance is 0
    return {
        "x": x,
        "gain": weights(rng, sizes, shape[1]),
        "shift": weights(rng, sizes, shape[1]),
        "weight": weights(rng, sizes, *shape),
    }


def _beside_a_constant(base: Inputs) -> dict[str, Callable[[float], Inputs]]:
    """x beside a growing constant, which a normalization takes off."""
    x = base["x"]
    return {f"rows beside a constant {sign}": partial(lambda k, m: {**base, "x": x + np.asarray(k * m, x.dtype)}, k)
            for sign, k in (("+", 1), ("−", -1))}  # fmt: skip


def _epsilon(epsilon: float) -> tuple[str, str, str]:
    """Key, title and fix of another ε."""
    return f"epsilon-{epsilon:g}", f"with ε = {epsilon:g} in place of 1e-5", "set ε to 1e-5 (PyTorch's default)"


def _with_state(output: Callable[[Array, Array, Array], Array], **how: Any) -> Callable[..., tuple[Array, ...]]:
    """A function for the output, with the running statistics moved as the reference's or otherwise."""

    def norm(x: Array, gain: Array, shift: Array, mean: Array, variance: Array) -> tuple[Array, ...]:
        return output(x, gain, shift), *moved(x, mean, variance, **how)

    return norm


def _statistics_conventions() -> list[Variant]:
    """Running statistics and ε as others have them."""
    make = partial(variant, TRAINED)
    found = [
        make("running-variance-biased", _with_state(normalized, biased=True),
             "batch norm with the biased variance in its running statistics",
             "multiply the batch's variance by n/(n − 1) for the running statistics (PyTorch)", KERAS),
        make("keras-defaults", _with_state(partial(normalized, epsilon=1e-3), biased=True, momentum=0.01),
             "batch norm with Keras's defaults", "epsilon=1e-5, momentum=0.9, and the unbiased running variance",
             KERAS),
    ]  # fmt: skip
    for biased in (False, True):
        suffix, words = ("-biased", ", and the biased running variance") if biased else ("", "")
        for momentum, why in ((0.9, "PyTorch's momentum of 0.1 is Keras's 0.9"), (0.01, "Keras's default, 0.99")):
            found.append(
                make(f"momentum-{momentum:g}{suffix}", _with_state(normalized, momentum=momentum, biased=biased),
                     f"batch norm with the weight {momentum:g} for the newest batch in the running statistics{words}",
                     f"give the newest batch the weight 0.1 ({why})"))  # fmt: skip
        for epsilon in EPSILONS:
            key, title, fix = _epsilon(epsilon)
            found.append(
                make(key + suffix, _with_state(partial(normalized, epsilon=epsilon), biased=biased),
                     f"batch norm {title}{words}", fix))  # fmt: skip
    return found


# key, function of (x, gain, shift), title, fix: of the output of batch norm in training
_OUTPUT_MISTAKES: tuple[tuple[str, Callable[..., Array], str, str], ...] = (
    ("unbiased-variance", partial(normalized, correction=1), "batch norm with the unbiased variance",
     "divide by n, not by n − 1"),
    ("epsilon-outside-root", partial(normalized, outside=True), "batch norm divided by σ + ε, with ε outside the root",
     "divide by √(σ² + ε)"),
    ("epsilon-left-out", partial(normalized, epsilon=0.0), "batch norm without ε", "divide by √(σ² + 1e-5)"),
    ("no-root", divided_by_variance, "batch norm divided by the variance, without the root", "divide by √(σ² + ε)"),
    ("gain-and-shift-left-out", unscaled, "batch norm without gain and shift",
     "multiply by the gain and add the shift"),
    ("shift-before-gain", shifted_before_gain, "batch norm whose shift is added before the gain", "gain·x̂ + shift"),
    ("statistics-detached", detached_statistics, "batch norm whose statistics are constants to the gradient",
     "differentiate through mean and variance"),
    ("by-image", by_image, "instance norm: each image is normalized on its own",
     "take mean and variance over batch, rows and columns"),
    ("by-place", by_place, "batch norm over the batch alone: each pixel has statistics of its own",
     "take mean and variance over batch, rows and columns"),
    ("by-pixel", by_row, "layer norm: each pixel is normalized over its channels",
     "take mean and variance over batch, rows and columns, for each channel"),
    ("over-everything", over_everything, "batch norm with one mean and one variance for all channels",
     "keep the channels' axis"),
)  # fmt: skip
IOFFE = "arXiv 1502.03167, algorithm 1"


def _output_mistakes(signature: Signature, stateful: bool) -> list[Variant]:
    return [
        variant(signature, key, _with_state(function) if stateful else function, title, fix, IOFFE)
        for key, function, title, fix in _OUTPUT_MISTAKES
    ]


_trained, _output, _inferred = (partial(variant, each) for each in (TRAINED, OUTPUT, INFERRED))
BATCH_NORM_LAST = Form(
    name="channels-last",
    signature=TRAINED,
    meaning="training: f(x (B, H, W, C), gain (C,), shift, mean, variance) -> (out, new mean, new variance)",
    draw=partial(_draw_norm, TRAINED.arguments),
    reference=reference(batch_norm, TRAINED),
    raised=_beside_a_constant,
    conventions=tuple(_statistics_conventions()),
    mistakes=(
        *_output_mistakes(TRAINED, stateful=True),
        _trained("running-statistics-in-training", running_in_training,
                 "batch norm that normalizes with the running statistics while training",
                 "normalize with the batch's own statistics; the running ones are for inference", IOFFE),
        _trained("moved-statistics-in-training", moved_in_training,
                 "batch norm that moves its running statistics, then normalizes with them while training",
                 "normalize with the batch's own statistics; the running ones are for inference", IOFFE),
        _trained("running-statistics-not-moved",
                 lambda x, gain, shift, mean, variance: (normalized(x, gain, shift), mean, variance),
                 "batch norm whose running statistics never move",
                 "move them by 0.1 toward the batch's at every training step"),
        _trained("running-deviation",
                 lambda x, gain, shift, mean, variance: (
                     normalized(x, gain, shift), moved(x, mean, variance)[0],
                     0.9 * variance + 0.1 * stop_gradient(x).reshape(-1, x.shape[-1]).std(axis=0, ddof=1)),
                 "batch norm whose running variance is moved toward the standard deviation", "move it toward σ²"),
        _trained("running-sum",
                 lambda x, gain, shift, mean, variance: (
                     normalized(x, gain, shift),
                     *(m + b for m, b in zip((mean, variance), moved(x, 0 * mean, 0 * variance), strict=True))),
                 "batch norm whose running statistics add the newest batch without letting go of the old",
                 "new = 0.9·old + 0.1·batch"),
    ),
)  # fmt: skip
OUTPUT_LAST = Form(
    name="output-last",
    signature=OUTPUT,
    meaning="training, the output alone: f(x (B, H, W, C), gain (C,), shift (C,)) -> (B, H, W, C)",
    draw=partial(_draw_norm, OUTPUT.arguments),
    reference=reference(batch_norm_output, OUTPUT),
    raised=_beside_a_constant,
    conventions=tuple(
        _output(key, partial(normalized, epsilon=epsilon), f"batch norm {title}", fix)
        for epsilon in EPSILONS
        for key, title, fix in (_epsilon(epsilon),)
    ),
    mistakes=tuple(_output_mistakes(OUTPUT, stateful=False)),
)
INFERENCE_LAST = Form(
    name="channels-last",
    signature=INFERRED,
    meaning="inference: f(x (B, H, W, C), gain (C,), shift, mean, variance) -> (B, H, W, C)",
    draw=partial(_draw_norm, INFERRED.arguments),
    reference=reference(batch_norm_inference, INFERRED),
    conventions=tuple(
        _inferred(key, partial(inference, epsilon=epsilon), f"batch norm {title}", fix)
        for epsilon in EPSILONS
        for key, title, fix in (_epsilon(epsilon),)
    ),
    mistakes=(
        _inferred("batch-statistics", lambda x, gain, shift, mean, variance: normalized(x, gain, shift),
                  "batch norm that uses the batch's statistics at test time",
                  "use the running statistics (model.eval() in PyTorch, training=False in Keras)", IOFFE),
        _inferred("moved-on-test-images", moved_first,
                  "batch norm whose running statistics move by the test images before they are used",
                  "warm the statistics on training images, and leave them as they are at test time", IOFFE),
        _inferred("no-root", partial(inference, power=1.0),
                  "batch norm that divides by the running variance, without the root", "divide by √(variance + ε)"),
        _inferred("epsilon-outside-root", partial(inference, outside=True),
                  "batch norm that divides by √variance + ε, with ε outside the root", "divide by √(variance + ε)"),
        _inferred("gain-and-shift-left-out",
                  lambda x, gain, shift, mean, variance:
                      inference( x, stop_gradient(gain) * 0 + 1, stop_gradient(shift) * 0, mean, variance),
                  "batch norm in inference without gain and shift", "multiply by the gain and add the shift"),
        _inferred("mean-left-out",
                  lambda x, gain, shift, mean, variance: inference(x, gain, shift, 0 * mean, variance),
                  "batch norm in inference that takes no mean off", "subtract the running mean"),
    ),
)  # fmt: skip

_rows = partial(variant, OUTPUT)
LAYER_NORM = Form(
    name="rows",
    signature=OUTPUT,
    meaning="f(x (B, F), gain (F,), shift (F,)) -> (B, F)",
    draw=_draw_rows,
    reference=reference(layer_norm, OUTPUT),
    raised=_beside_a_constant,
    conventions=tuple(
        _rows(key, partial(by_row, epsilon=epsilon), f"layer norm {title}", fix, where)
        for epsilon, where in zip(EPSILONS, ("Keras", "", "TensorFlow 1, many transformers", "", "BERT"), strict=True)
        for key, title, fix in (_epsilon(epsilon),)
    ),
    mistakes=(
        _rows("annotated-transformer", partial(by_row, epsilon=1e-6, correction=1, outside=True),
              "layer norm by the unbiased deviation plus 1e-6, (x − μ)/(s + ε)",
              "divide by √(σ² + ε) with the biased variance: x.std() of PyTorch is unbiased",
              "The Annotated Transformer, class LayerNorm"),
        _rows("unbiased-variance", partial(by_row, correction=1), "layer norm with the unbiased variance",
              "divide by F, not by F − 1"),
        _rows("unbiased-epsilon-outside", partial(by_row, correction=1, outside=True),
              "layer norm by the unbiased deviation plus ε, with ε outside the root",
              "divide by √(σ² + ε) with the biased variance"),
        _rows("epsilon-outside-root", partial(by_row, outside=True),
              "layer norm divided by σ + ε, with ε outside the root", "divide by √(σ² + ε)"),
        _rows("epsilon-left-out", partial(by_row, epsilon=0.0), "layer norm without ε", "divide by √(σ² + 1e-5)"),
        _rows("root-mean-square", root_mean_square, "RMS norm: the mean is not taken off",
              "subtract the mean of each row first", "arXiv 1910.07467"),
        _rows("over-batch", normalized, "batch norm: each feature is normalized over the batch",
              "normalize over the last axis"),
        _rows("over-everything", over_everything, "layer norm with one mean and one variance for all rows",
              "normalize over the last axis alone"),
        _rows("not-divided", centred_rows, "layer norm that is centred but not divided by the deviation",
              "divide by √(σ² + ε)"),
        _rows("gain-and-shift-left-out", unscaled_rows, "layer norm without gain and shift",
              "multiply by the gain and add the shift"),
        _rows("statistics-detached", detached_row_statistics,
              "layer norm whose statistics are constants to the gradient", "differentiate through mean and variance"),
    ),
)  # fmt: skip

_STATE = {"x": TO_FIRST, "out": TO_FIRST}
CONTRACTS: tuple[Contract, ...] = (
    Contract(
        "layer", "batch_norm", "batch norm in training, with its running statistics",
        (
            BATCH_NORM_LAST,
            transposed("channels-first", BATCH_NORM_LAST,
                        "training: f(x (B, C, H, W), gain (C,), shift, mean, variance) -> (out, new mean, new variance)",
                        _STATE),
            OUTPUT_LAST,
            transposed("output-first", OUTPUT_LAST,
                        "training, the output alone: f(x (B, C, H, W), gain (C,), shift (C,)) -> (B, C, H, W)", _STATE),
        ),
        IOFFE,
    ),
    Contract(
        "layer", "batch_norm_inference", "batch norm with its running statistics",
        (INFERENCE_LAST, transposed(
            "channels-first", INFERENCE_LAST,
            "inference: f(x (B, C, H, W), gain (C,), shift, mean, variance) -> (B, C, H, W)", _STATE)),
        IOFFE,
    ),
    Contract("layer", "layer_norm", "normalization of each row over its features", (LAYER_NORM,),
             "arXiv 1607.06450, eq. (3)-(4)"),
)  # fmt: skip
