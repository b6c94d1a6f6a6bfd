"""The pieces of AMDIM's step: both views of the batch through the encoder, then every direction of each pair of scales.

What belongs to a view stands below first/ and second/; the parameters are the same for both. What belongs to a direction
stands below the pair of scales and the view that its anchors come from: 1-5/first has anchors f1 of the first view, and
candidates f5 of the second. Training computes the scores in blocks; here the whole score matrix is an array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import autograd.numpy as anp

from dimref import amdim, layers, negatives, ops
from dimref.amdim import augmentation as amdim_augmentation
from dimref.amdim.encoder import FIRST, SIDES, Layer, Layout
from dimref.amdim.objective import LOCATIONS, Objective
from dimref.audit.trace.pieces import Piece, batch_norm, linear, relu, running
from dimref.tape import stop_gradient
from dimref.trees import Array

VIEWS = ("first", "second")


def forward(objective: Objective, layout: Layout) -> list[Piece]:
    """From the scaled batch to the loss."""
    found: list[Piece] = []
    for view in VIEWS:
        found += [*_view(view, objective, layout), *_encoder(view, layout)]
        if view == "first":
            found += _statistics(view, "state/", "first/state/")
    for term in objective.scales:
        found += _term(term, objective)
    inputs = tuple(f"{term}/loss" for term in objective.scales)
    return [*found, Piece("loss", inputs, _sum, f"{' + '.join(inputs)}, to be minimized", kind="sum of terms")]


def state_after(objective: Objective, layout: Layout) -> list[Piece]:
    """The running statistics after the step: updated by the first view, then by the second."""
    return list(_statistics("second", "first/state/", "after/state/"))


def _sum(*values: Array) -> Array:
    total: Array = 0.0
    for value in values:
        total = total + value
    return total


# ---- views


def _view(view: str, objective: Objective, layout: Layout) -> Iterator[Piece]:
    """The transforms one by one, in [0, 1], and the view as the encoder sees it."""
    if objective.augmentation_for(layout) == "none":
        yield Piece(f"{view}/view", ("batch/scaled",), lambda x: x, "the image itself", "images")
        return
    draws = f"noise/{view}"
    yield _transform(f"{view}/unit", ("batch/scaled",), _to_unit, "scaled/2 + ½, cut to [0, 1]")
    steps = ["brightness", "contrast", *(["saturation", "hue"] if layout.channels == 3 else [])]
    x = f"{view}/resampled"
    meaning = "read at rows and columns, between pixels by linear interpolation: shift or crop, and flip"
    yield _transform(x, (f"{view}/unit", f"{draws}/rows", f"{draws}/columns"), amdim_augmentation.resample, meaning)
    for step in steps:
        yield _transform(f"{view}/{step}", (x, f"{draws}/{step}"), getattr(amdim_augmentation, step), _COLOURS[step])
        x = f"{view}/{step}"
    if layout.channels == 3:
        yield _transform(f"{view}/greyed", (x, f"{draws}/grey"), _greyed, "greyscale where `grey` is set")
        x = f"{view}/greyed"
    yield _transform(f"{view}/view", (x,), lambda images: 2 * images - 1, "2·x − 1: what the encoder sees")


_COLOURS = {
    "brightness": "factor·x, cut at 1",
    "contrast": "m + factor·(x − m), cut to [0, 1], m the mean of the image's greyscale",
    "saturation": "g + factor·(x − g), cut to [0, 1], g the pixel's greyscale 0.299 R + 0.587 G + 0.114 B",
    "hue": "H of HSV turned by `hue`, a share of a full turn; S and V unchanged",
}


def _transform(name: str, inputs: tuple[str, ...], function: Callable[..., Array], meaning: str) -> Piece:
    """Off the tape, as in training."""
    return Piece(name, inputs, lambda *arrays: function(*map(stop_gradient, arrays)), meaning, "images")


def _to_unit(images: Array) -> Array:
    return (0.5 * images + 0.5).clip(0, 1)


def _greyed(images: Array, grey: Array) -> Array:
    chosen = grey.reshape(grey.shape[0], 1, 1, 1).astype(images.dtype)
    return chosen * amdim_augmentation.greyscale(images) + (1 - chosen) * images


# ---- encoder


def _encoder(view: str, layout: Layout) -> list[Piece]:
    """first/view → first/f7 (B, 49, E), first/f5 (B, 25, E), first/f1 (B, E)."""
    weights = "parameters/encoder"
    x = f"{view}/first"
    found = [
        Piece(
            x,
            (f"{view}/view", f"{weights}/first/w", f"{weights}/first/b"),
            _convolution(FIRST, 1),
            "convolution 3×3 of the view, no padding, before its ReLU; (B, H, W, C)",
            "images",
        ),
        relu(f"{x}_relu", x, "max(first, 0)", "images"),
    ]
    x = f"{x}_relu"
    for side, stage in layout.stages.items():
        for layer in stage:
            found += _residual(view, layer, x)
            x = f"{view}/{layer.name}/sum"
        embedded = x
        if side > 1:
            found += _embedding(view, side, x)
            embedded = f"{view}/embed{side}/sum"
        found.append(batch_norm(f"{view}/norm{side}", f"norm{side}", embedded, "images", "no ReLU after it"))
        found.append(_embeddings(view, side, layout))
    return found


def _convolution(kernel: int, stride: int) -> Callable[..., Array]:
    def conv(x: Array, w: Array, b: Array | None = None) -> Array:
        return layers.conv2d({"w": w} if b is None else {"w": w, "b": b}, x, kernel, stride)

    return conv


def _residual(view: str, layer: Layer, x: str) -> Iterator[Piece]:
    at, weights = f"{view}/{layer.name}", f"parameters/encoder/{layer.name}"
    size = f"{layer.kernel}×{layer.kernel}, stride {layer.stride}"
    conv = _convolution(layer.kernel, layer.stride)
    yield Piece(
        f"{at}/conv",
        (x, f"{weights}/conv/w"),
        conv,
        f"convolution {size}, no padding, no bias, before its ReLU",
        "images",
    )
    yield relu(f"{at}/conv_relu", f"{at}/conv", "max(conv, 0)", "images")
    yield linear(
        f"{at}/out", f"{at}/conv_relu", f"{weights}/out", "conv_relu·w, 1×1, no bias", bias=False, layout="images"
    )
    shortcut = x
    if layer.kernel > 1 or layer.c_out > layer.c_in:
        shortcut = f"{at}/mean"
        meaning = f"mean of each window of {size}, 0 in the channels that it lacks"
        yield Piece(
            shortcut, (x,), _window_mean(layer), meaning, "images", f"window mean of {layer.kernel} by {layer.stride}"
        )
    yield Piece(f"{at}/sum", (f"{at}/out", shortcut), ops.add, "out + shortcut, no ReLU", "images", "residual sum")


def _window_mean(layer: Layer) -> Callable[[Array], Array]:
    k = layer.kernel

    def mean(x: Array) -> Array:
        columns = ops.im2col(x, (k, k), (layer.stride, layer.stride), (0, 0))
        b, high, wide, _ = columns.shape
        means = ops.mean(ops.reshape(columns, (b, high, wide, k * k, layer.c_in)), axis=3)
        if layer.c_out == layer.c_in:
            return means
        inside = slice(None), slice(None), slice(None), slice(0, layer.c_in)
        return ops.paste(means, (b, high, wide, layer.c_out), inside)

    return mean


def _embedding(view: str, side: int, x: str) -> list[Piece]:
    at, weights = f"{view}/embed{side}", f"parameters/encoder/embed{side}"
    return [
        linear(
            f"{at}/hidden", x, f"{weights}/hidden", "to E units, no bias, before its ReLU", bias=False, layout="images"
        ),
        relu(f"{at}/hidden_relu", f"{at}/hidden", "max(hidden, 0)", "images"),
        linear(
            f"{at}/out", f"{at}/hidden_relu", f"{weights}/out", "hidden_relu·w, no bias", bias=False, layout="images"
        ),
        linear(f"{at}/shortcut", x, f"{weights}/shortcut", "linear shortcut, with a bias", layout="images"),
        Piece(
            f"{at}/sum", (f"{at}/out", f"{at}/shortcut"), ops.add, "out + shortcut, no ReLU", "images", "residual sum"
        ),
    ]


def _embeddings(view: str, side: int, layout: Layout) -> Piece:
    places = side * side

    def by_location(x: Array) -> Array:
        shape = (x.shape[0], places, layout.nrkhs) if side > 1 else (x.shape[0], layout.nrkhs)
        return ops.reshape(x, shape)

    shape = f"(N, {places}, E), locations row by row" if side > 1 else "(N, E)"
    where = "locations" if side > 1 else "plain"
    return Piece(f"{view}/f{side}", (f"{view}/norm{side}",), by_location, f"norm{side}: {shape}", where, "move")


def _statistics(view: str, before: str, after: str) -> Iterator[Piece]:
    for side in SIDES:
        x = f"{view}/embed{side}/sum" if side > 1 else f"{view}/one/sum"
        for which, toward in (("mean", "μ"), ("variance", "unbiased n/(n−1)·σ²")):
            path = f"encoder/norm{side}/{which}"
            meaning = f"running {which} after the {view} view: 0.9·before + 0.1·{toward} of that view"
            yield Piece(f"{after}{path}", (x, f"{before}{path}"), running(which), meaning, kind=f"running {which}")


# ---- scores and loss


def _term(term: str, objective: Objective) -> list[Piece]:
    """Both directions of a pair of scales, then their mean."""
    found: list[Piece] = []
    for one, other in (VIEWS, VIEWS[::-1]):
        found += _direction(term, one, other, objective)
    both = tuple(f"{term}/{view}/{{}}" for view in VIEWS)

    def of(*names: str) -> tuple[str, ...]:
        return tuple(each.format(name) for each in both for name in names)

    locations = LOCATIONS[term[-1]]
    log_k = "log K − the mean of both cross entropies, K = 1 + (N − 1)·L: InfoNCE in nats, no bound on I"
    certified = "log N + mean[t − log(e^t + (1/L)·Σ_others e^t)] of the positives, both directions: nats, ≤ log N"
    return [
        *found,
        Piece(f"{term}/bound", of("positives", "cross_entropy"), _nats(locations), log_k, kind="nats"),
        Piece(f"{term}/certified", of("positives", "log_others"), _certified(locations), certified, kind="nats"),
        Piece(
            f"{term}/loss", of("loss"), lambda a, b: 0.5 * (a + b), "the mean over both directions", kind="directions"
        ),
    ]


def _direction(term: str, one: str, other: str, objective: Objective) -> list[Piece]:
    at, candidates = f"{term}/{one}", f"{other}/f{term[-1]}"
    found, anchors = [], f"{one}/f1"
    if term[0] == "5":
        anchors = f"{at}/anchors"
        meaning = "y: one location of f5 for each image, rows `anchors` of the (N·25, E) features; (N, E)"
        found.append(Piece(anchors, (f"{one}/f5", f"noise/anchors/{one}"), anchored, meaning, kind="anchors"))
    scores = "⟨f, y⟩/√E before clipping: (N, N, L), scores[i, j, l] of location l of image i and of anchor j"
    found.append(Piece(f"{at}/scores", (candidates, anchors), scored, scores, kind="scaled dot"))
    clipped = f"{at}/scores"
    if c := objective.clip:
        clipped, clip = f"{at}/clipped", partial(amdim.soft_clip, clip=c)
        meaning = f"t = {c:g}·tanh(scores/{c:g})"
        found.append(Piece(clipped, (f"{at}/scores",), clip, meaning, kind=f"soft clip of {c:g}"))
    positives, others, entropy = (f"{at}/{name}" for name in ("positives", "log_others", "cross_entropy"))
    sum_ = "log Σ e^t over every location of all other images, for each anchor: (N,)"
    log_share = "−mean over anchors and locations of [t − log(e^t + Σ_others e^t)], nats"
    weight = objective.penalty
    return [
        *found,
        Piece(positives, (clipped,), _positives, "t of each anchor's own image: (N, L)", kind="positives"),
        Piece(others, (clipped,), _log_others, sum_, kind="log others"),
        Piece(entropy, (positives, others), _cross_entropy, log_share, kind="cross entropy"),
        Piece(f"{at}/penalty", (f"{at}/scores",), _penalty(weight), f"{weight:g}·mean of scores², before clipping",
              kind=f"score penalty of {weight:g}"),
        Piece(f"{at}/loss", (entropy, f"{at}/penalty"), ops.add, "cross_entropy + penalty", kind="sum of terms"),
    ]  # fmt: skip


def anchored(f: Array, rows: Array) -> Array:
    """One location of each image: rows of the (N·L, E) features."""
    return ops.gather(ops.reshape(f, (f.shape[0] * f.shape[1], f.shape[2])), rows)


def scored(f: Array, y: Array, power: float = 0.5) -> Array:
    """scores[i, j, l] = ⟨f_il, y_j⟩/E^power: (N, N, L)."""
    n, locations, units = f.shape
    products = ops.matmul(ops.reshape(f, (n * locations, units)), ops.transpose(y, (1, 0)))
    return ops.transpose(ops.reshape(products * units**-power, (n, locations, n)), (0, 2, 1))


def _positives(clipped: Array) -> Array:
    return negatives.all_pairs(clipped)[0]


def _log_others(clipped: Array) -> Array:
    n, _, locations = clipped.shape
    others = negatives.all_pairs(ops.transpose(clipped, (1, 0, 2)))[1]
    return ops.logsumexp(ops.reshape(others, (n, (n - 1) * locations)), axis=1)


def _beside(positives: Array, others: Array) -> Array:
    return anp.logaddexp(positives, ops.reshape(others, (others.shape[0], 1)))


def _cross_entropy(positives: Array, others: Array) -> Array:
    return ops.mean(_beside(positives, others) - positives)


def _penalty(weight: float) -> Callable[[Array], Array]:
    return lambda scores: weight * ops.mean(scores * scores)


def _nats(locations: int) -> Callable[..., Array]:
    def nats(positives: Array, first: Array, _: Array, second: Array) -> Array:
        return math.log(1 + (positives.shape[0] - 1) * locations) - 0.5 * stop_gradient(first + second)

    return nats


def _certified(locations: int) -> Callable[..., Array]:
    def nats(*arrays: Array) -> Array:
        untraced = [stop_gradient(array) for array in arrays]
        both = [_cross_entropy(p, q - math.log(locations)) for p, q in (untraced[:2], untraced[2:])]
        return math.log(untraced[0].shape[0]) - 0.5 * (both[0] + both[1])

    return nats
