"""Wrong pieces, by the kind of the right one: what is commonly computed in its place.

A variant takes the inputs of the piece, so that it can stand in its place, forward and backward. The few that need more
of the step than that are made from the graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import autograd.numpy as anp
import numpy as np

from dimref import encoders, layers, ops
from dimref.audit.catalogue.norms import normalized
from dimref.audit.trace import multiview_variants
from dimref.audit.trace.graph import Function, Graph, Variant
from dimref.audit.trace.pieces import Piece
from dimref.trees import Array


def of(piece: Piece, graph: Graph) -> Iterator[Variant]:
    """The variants of a piece, likeliest first."""
    yield from multiview_variants.of(piece, graph)
    if piece.kind in VARIANTS:
        yield from VARIANTS[piece.kind]
    if piece.kind == "batch norm":
        yield _running_statistics(piece, graph)
    if piece.kind == "partner":
        yield from _partners(graph.filled(piece.inputs[1]))
    if piece.kind == "bound":
        yield from BOUNDS.get(piece.meaning.partition(" ")[0], ())


# ---- normalization


def _norms(make: Callable[..., Function], n: str) -> list[Variant]:
    unbiased = f"normalized with the unbiased variance {n}/({n} − 1)·σ² in place of the biased one"
    found = [
        Variant("unbiased-variance", unbiased, make(correction=1)),
        Variant("eps-outside-root", "divided by σ + ε: ε is added outside the root", make(outside=True)),
    ]
    for epsilon in (0.0, 1e-3, 1e-6, 1e-8, 1e-12, 1e-4, 1e-2):
        found.append(Variant("eps", f"ε = {epsilon:g} in place of 1e-5", make(epsilon=epsilon)))
    unscaled = make()
    return [
        *found,
        Variant("gain-left-out", "gain and shift are left out", lambda x, gain, shift: unscaled(x, 1.0, 0.0)),
        Variant("not-normalized", "not normalized at all", lambda x, gain, shift: x),
    ]


def _running_statistics(piece: Piece, graph: Graph) -> Variant:
    path = piece.inputs[1].removeprefix("parameters/").removesuffix("/gain")
    mean, variance = (graph.filled(f"state/{path}/{which}") for which in ("mean", "variance"))

    def norm(x: Array, gain: Array, shift: Array) -> Array:
        return (x - mean) / np.sqrt(variance + layers.EPSILON) * gain + shift

    return Variant("running-statistics", "normalized with the running statistics in place of the batch's", norm)


def _moved(momentum: float, biased: bool) -> Callable[[str], Function]:
    def make(which: str) -> Function:
        def updated(x: np.ndarray, before: np.ndarray) -> np.ndarray:
            rows = x.reshape(-1, x.shape[-1])
            now = rows.mean(axis=0) if which == "mean" else rows.var(axis=0, ddof=0 if biased else 1)
            return (1 - momentum) * before + momentum * now

        return updated

    return make


def _running(which: str) -> list[Variant]:
    swapped = "momentum the other way round: 0.1·before + 0.9·now"
    found = [Variant("momentum-swapped", swapped, _moved(0.9, False)(which))]
    if which == "variance":
        biased = "moved toward the biased variance of the batch (TensorFlow's convention)"
        found.append(Variant("biased-running-variance", biased, _moved(0.1, True)(which)))
        found.append(Variant("momentum-swapped", f"{swapped}, and the biased variance", _moved(0.9, True)(which)))
    for momentum in (0.01, 0.001, 1.0):
        text = f"momentum {momentum:g} in place of 0.1"
        found.append(Variant("momentum", text, _moved(momentum, False)(which)))
        if which == "variance":
            found.append(Variant("momentum", f"{text}, and the biased variance", _moved(momentum, True)(which)))
    return [*found, Variant("not-moved", "left as it was before the step", lambda x, before: before)]


# ---- layers


def _flipped_conv(x: Array, w: Array) -> Array:
    k, c_in, c_out = encoders.KERNEL, x.shape[3], w.shape[1]
    kernel = ops.cut(ops.reshape(w, (k, k, c_in, c_out)), (slice(None, None, -1), slice(None, None, -1)))
    return layers.conv2d({"w": ops.reshape(kernel, w.shape)}, x, k, encoders.STRIDE, encoders.PADDING)


def _one_sided(before: int) -> Function:
    def conv(x: Array, w: Array) -> Array:
        (b, high, wide, c), p = x.shape, 2 * encoders.PADDING
        inside = slice(None), slice(before, before + high), slice(before, before + wide)
        padded = ops.paste(x, (b, high + p, wide + p, c), inside)
        return layers.conv2d({"w": w}, padded, encoders.KERNEL, encoders.STRIDE, 0)

    return conv


def _transposed_weight(x: Array, w: Array, *b: Array) -> Array:
    return layers.linear(dict(zip("wb", (ops.transpose(w, (1, 0)), *b), strict=False)), x)


def _without_bias(x: Array, w: Array, *b: Array) -> Array:
    return layers.linear({"w": w}, x)


def _leaky(slope: float) -> Function:
    return lambda x: ops.relu(x) - slope * ops.relu(-x)


def _elu(x: Array) -> Array:
    return ops.relu(x) + anp.exp(-ops.relu(-x)) - 1.0


def _cosine(a: Array, b: Array) -> Array:
    def unit(x: Array) -> Array:
        return x / anp.sqrt(ops.total(x * x, x.ndim - 1, keepdims=True))

    n, locations, units = a.shape
    products = ops.matmul(ops.reshape(unit(a), (n * locations, units)), ops.transpose(unit(b), (1, 0)))
    return ops.transpose(ops.reshape(products, (n, locations, n)), (0, 2, 1))


# ---- negatives


def _partners(index: np.ndarray) -> Iterator[Variant]:
    """Other indices in place of the trace's noise."""
    n = len(index)
    here = np.arange(n)
    others = {
        "each x meets its own y: positives among the negatives": here,
        "the noise is not used: rolled by 1": (here + 1) % n,
        "the noise is not used: rolled by −1": (here - 1) % n,
        "the batch is reversed": here[::-1],
    }
    if index.ndim == 2:
        others["one permutation for all locations: the trace's at the first"] = index[:, 0]
        inverse = np.argsort(index, axis=0)
        others["the index is used the other way round: y_i meets x[index[i, l]]"] = inverse
        others["the index lies as (L, N): read in the wrong order"] = index.T.reshape(index.shape)
    else:
        others["the index is used the other way round: y_i meets x[index[i]]"] = np.argsort(index)
    for text, other in others.items():
        whole = other if other.ndim == index.ndim else np.repeat(other[:, None], index.shape[1], axis=1)
        yield Variant("other-negatives", text, lambda y, _, whole=whole: ops.gather(y, whole))


# ---- bounds


def _logmeanexp_of_all(product: Array) -> Array:
    return ops.logmeanexp(product)


_SP = ops.softplus
BOUNDS: dict[str, list[Variant]] = {
    "jsd": [
        Variant(
            "negatives-averaged",
            "the scores of the product are averaged before the softplus",
            lambda joint, product: math.log(4) - ops.mean(_SP(-joint)) - ops.mean(_SP(ops.mean(product, 0))),
        ),
        Variant(
            "swapped-signs",
            "the signs of joint and product are exchanged",
            lambda joint, product: math.log(4) - ops.mean(_SP(joint)) - ops.mean(_SP(-product)),
        ),
    ],
    "dv": [
        Variant(
            "pooled-locations",
            "all locations are pooled into one expectation inside the logarithm",
            lambda joint, product: ops.mean(joint) - _logmeanexp_of_all(product),
        ),
        Variant(
            "without-log",
            "E_P[T] − E_Q[e^T], the logarithm is left out",
            lambda joint, product: ops.mean(joint) - ops.mean(anp.exp(product)),
        ),
        Variant(
            "negatives-averaged",
            "the scores of the product are averaged before the exponential",
            lambda joint, product: ops.mean(joint) - ops.mean(product),
        ),
    ],
    "nwj": [
        Variant(
            "without-minus-one",
            "E_P[T] − E_Q[e^T]: the −1 in the exponent is left out",
            lambda joint, product: ops.mean(joint) - ops.mean(anp.exp(product)),
        ),
    ],
    "infonce": [
        Variant(
            "other-axis",
            "the candidates run along axis 1 (the representations of one image) in place of axis 0",
            lambda scores: _infonce(ops.transpose(scores, (1, 0, *range(2, scores.ndim)))),
        ),
        Variant(
            "symmetric",
            "the mean over both axes of candidates",
            lambda scores: 0.5 * (_infonce(scores) + _infonce(ops.transpose(scores, (1, 0, *range(2, scores.ndim))))),
        ),
        Variant("positive-excluded", "the positive is left out of the candidates", lambda scores: _without(scores)),
    ],
}


def _infonce(scores: Array) -> Array:
    positive = _diagonal(scores)
    return math.log(scores.shape[0]) + ops.mean(positive - ops.logsumexp(scores, axis=0))


def _without(scores: Array) -> Array:
    n = scores.shape[0]
    eye = np.eye(n).reshape(n, n, *(1,) * (scores.ndim - 2))
    others = ops.logsumexp(scores - 1e9 * eye, axis=0)
    return math.log(n) + ops.mean(_diagonal(scores) - others)


def _diagonal(scores: Array) -> Array:
    n = scores.shape[0]
    return ops.cut(ops.reshape(scores, (n * n, *scores.shape[2:])), (slice(None, None, n + 1),))


# ---- the table

VARIANTS: dict[str, list[Variant]] = {
    "batch norm": [
        *_norms(partial(partial, normalized), "n"),
        Variant(
            "wrong-axes", "normalized over the channels of each pixel (layer norm)", partial(normalized, which="rows")
        ),
        Variant("wrong-axes", "each image normalized on its own (instance norm)", partial(normalized, which="image")),
        Variant(
            "wrong-axes", "each pixel normalized on its own, over the batch alone", partial(normalized, which="place")
        ),
    ],
    "layer norm": [
        *_norms(partial(partial, normalized, which="rows"), "E"),
        Variant("wrong-axes", "normalized over the batch (batch norm)", normalized),
    ],
    "running mean": _running("mean"),
    "running variance": _running("variance"),
    "relu": [
        Variant("relu-missing", "no ReLU: negative elements are left", lambda x: x * 1.0),
        *(Variant("other-activation", f"leaky ReLU of slope {a:g}", _leaky(a)) for a in (0.01, 0.1, 0.2)),
        Variant("other-activation", "ELU in place of ReLU", _elu),
        Variant("other-activation", "tanh in place of ReLU", anp.tanh),
        Variant("other-activation", "sigmoid in place of ReLU", ops.sigmoid),
        Variant("other-activation", "softplus in place of ReLU", ops.softplus),
    ],
    "conv": [
        Variant(
            "true-convolution", "the kernel is flipped: a true convolution, not a cross-correlation", _flipped_conv
        ),
        Variant("padding-one-sided", "padded by 2 behind only, in place of 1 on every side", _one_sided(0)),
        Variant("padding-one-sided", "padded by 2 in front only, in place of 1 on every side", _one_sided(2)),
    ],
    "linear": [
        Variant("bias-left-out", "the bias is left out", _without_bias),
        Variant("weight-transposed", "multiplied by the transposed weight", _transposed_weight),
    ],
    "sigmoid": [
        Variant("sigmoid-missing", "no sigmoid: y itself is compared with the uniform prior", lambda y: y * 1.0),
        Variant("other-activation", "tanh in place of the sigmoid", anp.tanh),
    ],
    "dot": [Variant("cosine", "cosines: both embeddings are normalized to length 1", _cosine)],
}
