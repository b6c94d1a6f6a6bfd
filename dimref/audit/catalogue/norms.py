"""Contracts of batch norm and layer norm.

Formulas are written for channels last, as `dimref.layers`; the forms of channels first transpose around them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np

from dimref import layers, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import Row, numbers, reference, transposed, variants, weights
from dimref.audit.contract import Contract, Form, Sizes
from dimref.audit.edits import Formula, Instead, power, rewritten
from dimref.layers import EPSILON
from dimref.tape import stop_gradient
from dimref.trees import Array

TO_FIRST = (0, 3, 1, 2)  # NHWC -> NCHW
IOFFE = "arXiv 1502.03167, algorithm 1"
EPSILONS = (1e-3, 1e-4, 1e-6, 1e-8, 1e-12)

# ---- pieces


def standardized(
    x: Array, axis: int, epsilon: float = EPSILON, correction: int = 0, outside: bool = False, root: float = 0.5,
    centred: bool = True, detached: bool = False,
) -> Array:  # fmt: skip
    """(x − μ)/√(σ² + ε) along one axis, or what is done otherwise.

    Args:
        correction: 1 for the unbiased variance.
        outside: divided by σ + ε.
        root: the power of σ² + ε that is divided by.
        centred, detached: whether μ is taken off; whether μ and σ² are constants to the gradient.
    """
    seen = stop_gradient(x) if detached else x
    mean = ops.mean(seen, axis, keepdims=True) if centred else 0.0
    n = x.shape[axis]
    variance = ops.mean((seen - mean) * (seen - mean), axis, keepdims=True) * (n / max(n - correction, 1))
    return (x - mean) / (anp.sqrt(variance) + epsilon if outside else (variance + epsilon) ** root)


def over(x: Array, which: str, **how: Any) -> Array:
    """x̂ with the statistics of each channel, of that in each image, of each place, of each row, or of everything."""
    b, c = x.shape[0], x.shape[-1]
    shape, axis = {
        "channels": ((math.prod(x.shape[:-1]), c), 0), "image": ((b, math.prod(x.shape[1:-1]), c), 1),
        "place": (x.shape, 0), "rows": (x.shape, x.ndim - 1), "everything": ((1, math.prod(x.shape)), 1),
    }[which]  # fmt: skip
    return ops.reshape(standardized(ops.reshape(x, shape), axis, **how), x.shape)


def normalized(x: Array, gain: Array, shift: Array, which: str = "channels", **how: Any) -> Array:
    """gain·x̂ + shift."""
    return over(x, which, **how) * gain + shift


def now(x: Array, correction: int = 1) -> tuple[Array, Array]:
    """The batch's mean and variance, untraced."""
    rows = stop_gradient(x).reshape(-1, x.shape[-1])
    return rows.mean(axis=0), rows.var(axis=0, ddof=correction)


def moved(before: Array, batch: Array, momentum: float = layers.MOMENTUM) -> Array:
    """A running statistic, moved toward the batch's: momentum is the weight of the batch."""
    return (1 - momentum) * before + momentum * batch


def root(variance: Array, epsilon: float = EPSILON) -> Array:
    """√(σ² + ε)."""
    return (variance + epsilon) ** 0.5


# ---- formulas, edited


def batch_norm(x: Array, gain: Array, shift: Array, mean: Array, variance: Array) -> tuple[Array, Array, Array]:
    """Training: the batch's biased variance normalizes, the unbiased one moves the running statistics."""
    out = over(x, "channels") * gain + shift
    new_mean = moved(mean, now(x)[0])
    new_variance = moved(variance, now(x)[1])
    return out, new_mean, new_variance


def batch_norm_output(x: Array, gain: Array, shift: Array) -> Array:
    """Training, the output alone."""
    return over(x, "channels") * gain + shift


def batch_norm_inference(x: Array, gain: Array, shift: Array, mean: Array, variance: Array) -> Array:
    """With the running statistics."""
    return ops.multiply(x - mean, 1 / root(variance)) * gain + shift


def layer_norm(x: Array, gain: Array, shift: Array) -> Array:
    """Over the last axis."""
    return over(x, "rows") * gain + shift


# ---- the references


def _trained(x: Array, gain: Array, shift: Array, mean: Array, variance: Array) -> tuple[Array, Array, Array]:
    out, new = layers.batch_norm({"gain": gain, "shift": shift}, {"mean": mean, "variance": variance}, x, training=True)
    return out, new["mean"], new["variance"]


def _inferred(x: Array, gain: Array, shift: Array, mean: Array, variance: Array) -> Array:
    running = {"mean": mean, "variance": variance}
    return layers.batch_norm({"gain": gain, "shift": shift}, running, x, training=False)[0]


# ---- what is asked

_ROWS = ("x", "gain", "shift")
TRAINED = Signature((*_ROWS, "mean", "variance"), ("out", "new_mean", "new_variance"), differentiate=_ROWS, of="out")
OUTPUT = Signature(_ROWS, ("out",), differentiate=_ROWS, of="out")
INFERRED = Signature((*_ROWS, "mean", "variance"), ("out",), differentiate=_ROWS, of="out")


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


# fmt: off
_HOW = (
    ("unbiased-variance", "correction=1", "the unbiased variance: divided by n − 1"),
    ("epsilon-outside-root", "outside=True", "σ + ε for √(σ² + ε)"),
    ("unbiased-epsilon-outside", "correction=1, outside=True", "the unbiased deviation plus ε"),
    ("epsilon-left-out", "epsilon=0.0", "no ε"),
    ("no-root", "root=1.0", "σ² + ε for its root"),
    ("not-divided", "root=0.0", "no division by its deviation"),
    ("statistics-detached", "detached=True", "statistics that are constants to the gradient"),
)
_CHANNELS, _LAYER = (
    tuple((key, f"over({{x}}, {which!r})", words) for key, which, words in kinds) for kinds in (
        (("by-image", "image", "statistics of each image: instance norm"),
         ("by-place", "place", "statistics over the batch alone, of each pixel"),
         ("by-pixel", "rows", "statistics over the channels of each pixel: layer norm"),
         ("over-everything", "everything", "one mean and one variance for all channels")),
        (("over-batch", "channels", "statistics over the batch: batch norm"),
         ("over-everything", "everything", "one mean and one variance for all rows")),
    )
)


def _instead(which: tuple[tuple[str, str, str], ...]) -> Instead:
    return {
        "over": (*((key, f"over({{x}}, {{y}}, {how})", words) for key, how, words in _HOW), *which),
        "moved": (
            ("running-statistics-not-moved", "{x}", "its running statistics not moved"),
            ("running-sum", "({x} + moved(0 * {x}, {y}))",
             "the newest batch added to its running statistics, nothing let go"),
        ),
        "root": (
            ("no-root", f"({{x}} + {EPSILON})", "σ² + ε for its root"),
            ("epsilon-outside-root", f"({{x}} ** 0.5 + {EPSILON})", "σ + ε for √(σ² + ε)"),
        ),
    }


def _edits(function: Callable[..., Any], signature: Signature, title: str, which: Any = _CHANNELS) -> dict[str, Any]:
    formula = Formula(function, instead=_instead(which), scope=globals())
    return rewritten((formula, partial(reference, signature=signature), title), without=("maximum",))


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gain 1 and shift 0."""
    return lambda x, gain, shift, *more: function(x, stop_gradient(gain) * 0 + 1, stop_gradient(shift) * 0, *more)


def _of_epsilon(function: Callable[..., Any], title: str) -> Iterator[Row]:
    for epsilon in EPSILONS:
        yield (f"epsilon-{power(epsilon)}", partial(function, epsilon=epsilon),
               f"{title} with ε = {epsilon:g} in place of 1e-5",
               "set ε to 1e-5 (PyTorch's default); Keras has 1e-3, BERT 1e-12, many transformers 1e-6")


def _state(x: Array, gain: Array, shift: Array, mean: Array, variance: Array, epsilon: float = EPSILON,
           momentum: float = 0.1,
           correction: int = 1) -> tuple[Array, ...]:
    moving = (moved(a, b, momentum) for a, b in zip((mean, variance), now(x, correction), strict=True))
    return normalized(x, gain, shift, epsilon=epsilon), *moving


def _state_conventions() -> Iterator[Row]:
    """ε, momentum and the variance in the running statistics as others have them."""
    biased = "the biased variance in its running statistics"
    fix = "PyTorch: ε = 1e-5, the weight 0.1 for the newest batch, its variance times n/(n − 1) for the running one"
    keras = "Keras and TensorFlow: ε = 1e-3, momentum 0.99 for the old value, the biased variance"
    yield ("running-variance-biased", partial(_state, correction=0), f"batch norm with {biased}", fix, keras)
    yield ("keras-defaults", partial(_state, epsilon=1e-3, momentum=0.01, correction=0),
           "batch norm with Keras's defaults", fix,
           keras)
    for suffix, words, correction in (("", "", 1), ("-biased", f", and {biased}", 0)):
        for momentum in (0.9, 0.01):
            yield (f"momentum-{momentum:g}{suffix}", partial(_state, momentum=momentum, correction=correction),
                   f"batch norm with the weight {momentum:g} for the newest batch in the running statistics{words}", fix)
        for key, function, title, *_ in _of_epsilon(partial(_state, correction=correction), "batch norm"):
            yield f"{key}{suffix}", function, title + words, fix


def _running_mistakes() -> Iterator[Row]:
    def state(out: Callable[..., Array]) -> Callable[..., tuple[Array, ...]]:
        return lambda *arrays: (out(*arrays), *_state(*arrays)[1:])

    own = "normalize with the batch's own statistics; the running ones are for inference"
    yield ("running-statistics-in-training", state(_inferred),
           "batch norm that normalizes with the running statistics while training", own, IOFFE)
    yield ("moved-statistics-in-training", state(lambda x, gain, shift,
                                                 *old: _inferred(x, gain, shift, *_state(x, gain, shift, *old)[1:])),
           "batch norm that moves its running statistics, then normalizes with them while training", own, IOFFE)
    yield ("running-deviation", lambda *a: (*_state(*a)[:2], moved(a[4], now(a[0])[1] ** 0.5)),
           "batch norm whose running variance is moved toward the standard deviation", "move it toward σ²")
    yield ("gain-and-shift-left-out", _plain(_state), "batch norm without gain and shift",
           "multiply by the gain and add the shift")
    yield ("shift-before-gain", state(_before), "batch norm whose shift is added before the gain", "gain·x̂ + shift")


def _before(x: Array, gain: Array, shift: Array, *more: Array) -> Array:
    return (over(x, "channels") + shift) * gain


BATCH_NORM_LAST = Form(
    "channels-last", TRAINED,
    "training: f(x (B, H, W, C), gain (C,), shift, mean, variance) -> (out, new mean, new variance)",
    partial(_draw_norm, TRAINED.arguments), reference(_trained, TRAINED), raised=_beside_a_constant,
    conventions=variants(TRAINED, _state_conventions()), mistakes=variants(TRAINED, _running_mistakes()),
    **_edits(batch_norm, TRAINED, "batch norm"),
)
OUTPUT_LAST = Form(
    "output-last", OUTPUT, "training, the output alone: f(x (B, H, W, C), gain (C,), shift (C,)) -> (B, H, W, C)",
    partial(_draw_norm, OUTPUT.arguments),
    reference(lambda x, gain, shift: _trained(x, gain, shift, np.zeros(len(gain)), np.ones(len(gain)))[0], OUTPUT),
    raised=_beside_a_constant, conventions=variants(OUTPUT, _of_epsilon(normalized, "batch norm")),
    mistakes=variants(OUTPUT, (
        ("gain-and-shift-left-out", _plain(normalized), "batch norm without gain and shift",
         "multiply by the gain and add the shift"),
        ("shift-before-gain", _before, "batch norm whose shift is added before the gain", "gain·x̂ + shift"),
    )), **_edits(batch_norm_output, OUTPUT, "batch norm"),
)
INFERENCE_LAST = Form(
    "channels-last", INFERRED, "inference: f(x (B, H, W, C), gain (C,), shift, mean, variance) -> (B, H, W, C)",
    partial(_draw_norm, INFERRED.arguments), reference(_inferred, INFERRED),
    conventions=variants(INFERRED, _of_epsilon(
        lambda x, gain, shift, mean, variance, epsilon: (x - mean) * root(variance, epsilon) ** -1 * gain + shift,
        "batch norm")),
    mistakes=variants(INFERRED, (
        ("batch-statistics", lambda x, gain, shift, mean, variance: normalized(x, gain, shift),
         "batch norm that uses the batch's statistics at test time",
         "use the running statistics (model.eval() in PyTorch, training=False in Keras)", IOFFE),
        ("moved-on-test-images", lambda x, gain, shift, *old: _inferred(x, gain, shift, *_state(x, gain, shift, *old)[1:]),
         "batch norm whose running statistics move by the test images before they are used",
         "warm the statistics on training images, and leave them as they are at test time", IOFFE),
        ("gain-and-shift-left-out", _plain(_inferred), "batch norm in inference without gain and shift",
         "multiply by the gain and add the shift"),
    )), **_edits(batch_norm_inference, INFERRED, "batch norm in inference"),
)
LAYER_NORM = Form(
    "rows", OUTPUT, "f(x (B, F), gain (F,), shift (F,)) -> (B, F)", _draw_rows,
    reference(lambda x, gain, shift: layers.layer_norm({"gain": gain, "shift": shift}, x), OUTPUT),
    raised=_beside_a_constant,
    conventions=variants(OUTPUT, _of_epsilon(partial(normalized, which="rows"), "layer norm")), mistakes=variants(OUTPUT, (
        ("annotated-transformer", partial(normalized, which="rows", epsilon=1e-6, correction=1, outside=True),
         "layer norm by the unbiased deviation plus 1e-6, (x − μ)/(s + ε)",
         "divide by √(σ² + ε) with the biased variance: x.std() of PyTorch is unbiased",
         "The Annotated Transformer, class LayerNorm"),
        ("root-mean-square", partial(normalized, which="rows", centred=False), "RMS norm: the mean is not taken off",
         "subtract the mean of each row first", "arXiv 1910.07467"),
        ("gain-and-shift-left-out", _plain(partial(normalized, which="rows")), "layer norm without gain and shift",
         "multiply by the gain and add the shift"),
    )), **_edits(layer_norm, OUTPUT, "layer norm", _LAYER),
)

_STATE = {"x": TO_FIRST, "out": TO_FIRST}


def _first(form: Form) -> Form:
    """A form of channels last and that of channels first."""
    meaning = form.meaning.replace("(B, H, W, C)", "(B, C, H, W)")
    return transposed(form.name.replace("last", "first"), form, meaning, _STATE)


CONTRACTS: tuple[Contract, ...] = (
    Contract("layer", "batch_norm", "batch norm in training, with its running statistics",
             (BATCH_NORM_LAST, _first(BATCH_NORM_LAST), OUTPUT_LAST, _first(OUTPUT_LAST)), IOFFE),
    Contract("layer", "batch_norm_inference", "batch norm with its running statistics",
             (INFERENCE_LAST, _first(INFERENCE_LAST)),
             IOFFE),
    Contract("layer", "layer_norm", "normalization of each row over its features", (LAYER_NORM,),
             "arXiv 1607.06450, eq. (3)-(4)"),
)
