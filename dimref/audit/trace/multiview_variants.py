"""Wrong pieces of AMDIM's step, by the kind of the right one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import autograd.numpy as anp

from dimref import amdim, ops
from dimref.audit.trace.graph import Function, Graph, Variant
from dimref.audit.trace.multiview import anchored, scored
from dimref.audit.trace.pieces import Piece
from dimref.trees import Array

OTHER_CLIPS = (10.0, 20.0, 1.0, 5.0, 15.0, 25.0, 30.0, 50.0, 100.0)


def of(piece: Piece, graph: Graph) -> Iterator[Variant]:
    """The variants of a piece, likeliest first."""
    kind, _, size = piece.kind.partition(" of ")
    if kind == "soft clip":
        yield from _clips(float(size))
    elif kind == "score penalty":
        yield from _penalties(piece, float(size), graph)
    elif kind == "window mean":
        k, stride = map(int, size.split(" by "))
        yield from _window_means(piece.function, k, stride)
    else:
        yield from FIXED.get(kind, ())


def _clips(c: float) -> Iterator[Variant]:
    yield Variant("not-clipped", "the scores are not clipped", lambda s: s * 1.0)
    hard = "clipped hard at ±c: no gradient beyond it"
    yield Variant("clipped-hard", hard, lambda s: ops.relu(s + c) - ops.relu(s - c) - c)
    yield Variant(
        "clip-not-divided", "c·tanh(s): the scores are not divided by c", lambda s: c * amdim.soft_clip(s, 1.0)
    )
    yield Variant("clip-not-multiplied", "tanh(s/c): not multiplied by c", lambda s: amdim.soft_clip(s * (1 / c), 1.0))
    for other in OTHER_CLIPS:
        if other != c:
            yield Variant(
                "other-clip", f"clipped at ±{other:g} in place of ±{c:g}", partial(amdim.soft_clip, clip=other)
            )


def _penalties(piece: Piece, weight: float, graph: Graph) -> Iterator[Variant]:
    clipped = graph.pieces.get(piece.name.replace("penalty", "clipped"))
    if clipped is not None:
        clip = clipped.function
        text = "the penalty is on the clipped scores in place of the raw ones"
        yield Variant("penalty-clipped", text, lambda s: weight * ops.mean(clip(s) * clip(s)))
    yield Variant(
        "penalty-absolute", "the mean |score| in place of its square", lambda s: weight * ops.mean(anp.abs(s))
    )


def _window_means(right: Function, k: int, stride: int) -> Iterator[Variant]:
    """`right` pads with channels of 0 as well; the others do so by being made from it."""

    def first_pixel(x: Array) -> Array:
        _, high, wide, c = x.shape
        ends = [stride * ((size - k) // stride) + 1 for size in (high, wide)]
        window = slice(None), slice(0, ends[0], stride), slice(0, ends[1], stride)
        part = ops.cut(x, window)
        shape = *part.shape[:3], right(x).shape[3]
        return ops.paste(part, shape, (slice(None), slice(None), slice(None), slice(0, c)))

    yield Variant(
        "sum-pooled", f"the sum of each window in place of its mean: {k * k} times", lambda x: k * k * right(x)
    )
    yield Variant("not-pooled", "the first pixel of each window in place of its mean", first_pixel)


def _all_in_denominator(clipped: Array) -> Array:
    n, _, locations = clipped.shape
    turned = ops.reshape(ops.transpose(clipped, (1, 0, 2)), (n, n * locations))
    return ops.logsumexp(turned, axis=1)


def _other_locations(place: int) -> Callable[[Array, Array], Array]:
    return lambda f, rows: anchored(f, rows // f.shape[1] * f.shape[1] + place)


FIXED: dict[str, list[Variant]] = {
    "log others": [
        Variant(
            "own-locations-among-negatives",
            "the locations of the anchor's own image are among its negatives",
            _all_in_denominator,
        ),
    ],
    "cross entropy": [
        Variant(
            "positive-excluded",
            "the positive is left out of the denominator",
            lambda positives, others: ops.mean(others) - ops.mean(positives),
        ),
    ],
    "directions": [
        Variant("directions-summed", "the sum over both directions in place of their mean", lambda a, b: a + b),
        Variant("one-direction", "the anchors of the first view alone", lambda a, b: a * 1.0),
        Variant("one-direction", "the anchors of the second view alone", lambda a, b: b * 1.0),
        Variant("one-direction", "half of the anchors of the first view alone", lambda a, b: 0.5 * a),
    ],
    "residual sum": [Variant("shortcut-left-out", "the shortcut is left out", lambda out, shortcut: out * 1.0)],
    "anchors": [
        Variant("other-anchors", "the noise is not used: the middle of the 5×5 map", _other_locations(12)),
        Variant("other-anchors", "the noise is not used: the first location", _other_locations(0)),
        Variant("other-anchors", "the mean over locations in place of one of them", lambda f, rows: ops.mean(f, 1)),
    ],
    "scaled dot": [
        Variant("not-scaled", "⟨f, y⟩, not divided by √E", lambda f, y: scored(f, y, 0.0)),
        Variant("scaled-by-e", "⟨f, y⟩/E in place of /√E", lambda f, y: scored(f, y, 1.0)),
        Variant(
            "cosine",
            "cosines: both embeddings are normalized to length 1",
            lambda f, y: scored(_unit(f), _unit(y), 0.0),
        ),
    ],
}


def _unit(x: Array) -> Array:
    return x / anp.sqrt(ops.total(x * x, x.ndim - 1, keepdims=True))
