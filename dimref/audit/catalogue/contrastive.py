"""The contrastive losses that people write on features: CLIP's, NT-Xent, MoCo's queue. Losses: they are minimized."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np

from dimref import ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue import infonce
from dimref.audit.catalogue.forms import Row, wrapped
from dimref.audit.contract import Contract, Form, Sizes, Variant
from dimref.audit.edits import Formula, Instead, rewritten, variants
from dimref.tape import stop_gradient
from dimref.trees import Array, Tree

CLIP, SIMCLR, MOCO = "arXiv 2103.00020, figure 3", "arXiv 2002.05709, eq. (1)", "arXiv 1911.05722, eq. (1)"
COLDEST = 0.01  # the lowest temperature that is tried: CLIP's own code clamps it there

Split = Callable[..., list[tuple[Array, Array]]]  # logits -> (positives (M,), negatives (K−1, M)), once or twice


# ---- features


def normalized(x: Array) -> Array:
    """Rows of length 1."""
    return x / (ops.total(x * x, axis=1, keepdims=True) ** 0.5)


def products(x: Array, y: Array) -> Array:
    """⟨x_i, y_j⟩ of all rows."""
    return ops.matmul(x, ops.transpose(y, (1, 0)))


def _features(rng: np.random.Generator, sizes: Sizes, rows: int, like: np.ndarray | None = None) -> np.ndarray:
    """Rows that are never near 0; repeated for ties, close to `like` for a critic that is sure."""
    drawn = np.round(rng.standard_normal((rows, 2 + sizes.m % 3)), 2)
    drawn[:, 0] += np.where(drawn[:, 0] < 0, -0.5, 0.5)
    if sizes.regime == "ties":
        drawn[:] = drawn[rng.integers(0, rows, rows)]
    if sizes.regime == "separated" and like is not None and len(like) == rows:
        drawn = like + 0.1 * drawn
    return (drawn * (1e4 if sizes.regime == "large" else 1.0)).astype(sizes.dtype)


def _temperature(rng: np.random.Generator, sizes: Sizes) -> float:
    return 0.01 if sizes.regime == "moderate" else float(rng.choice([0.1, 0.2, 0.5, 2.0]))


def _draw_two(first: str, second: str, rng: np.random.Generator, sizes: Sizes) -> Inputs:
    a = _features(rng, sizes, max(2, sizes.n))
    return {first: a, second: _features(rng, sizes, len(a), a), "temperature": _temperature(rng, sizes)}


def _draw_queue(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    q = _features(rng, sizes, sizes.n)
    k = _features(rng, sizes, sizes.n, q)
    return {"q": q, "k": k, "queue": _features(rng, sizes, sizes.m + 1), "temperature": _temperature(rng, sizes)}


# ---- a loss from logits, right or by one of InfoNCE's mistakes


def _cross_entropy(positives: Array, others: Array) -> Array:
    return math.log(1 + others.shape[0]) - infonce.reference(positives, others)


def _wrong(part: infonce.Parts) -> infonce.Parts:
    return lambda positives, others: math.log(1 + others.shape[0]) - part(positives, others)


def _loss(
    logits: Callable[[Inputs], Array], split: Split, part: infonce.Parts = _cross_entropy
) -> Callable[[Inputs], Tree]:
    """The mean of a cross entropy over the ways to split the logits."""

    def function(inputs: Inputs) -> Tree:
        parts = [part(*pair) for pair in split(logits(inputs))]
        return {"value": sum(parts[1:], parts[0]) * (1 / len(parts))}

    return function


def _form(
    signature: Signature, meaning: str, draw: Callable[..., Inputs], formula: Callable[..., Array], split: Split,
    conventions: tuple[Row, ...], mistakes: tuple[Row, ...], numerical: tuple[Row, ...] = (), without: str = "",
    smoothed: bool = False, **how: Any,
) -> Form:  # fmt: skip
    """A loss of features, by its logits and how these are split: its own rows, InfoNCE's and edits of both."""
    formula_of_logits = Formula(formula, instead=NORMALIZED)

    def on(function: Callable[..., Array]) -> Callable[[Inputs], Array]:
        return lambda inputs: function(*(inputs[name] for name in signature.arguments))

    def of_part(part: infonce.Parts) -> Callable[[Inputs], Tree]:
        return _loss(on(formula), split, _wrong(part))

    def of_infonce(*rows: Row) -> tuple[Variant, ...]:
        told = ((key, part, title.replace("InfoNCE", "the loss"), *rest) for key, part, title, *rest in rows)
        return wrapped(told, of_part)

    def unscaled(inputs: Inputs, numerator: bool) -> Tree:
        """The positive's own logit is not divided by τ, in the numerator alone or in the denominator too."""
        losses = []
        for positives, others in split(on(formula)(inputs)):
            bare = positives * inputs["temperature"]
            top = positives if numerator else bare
            losses.append(ops.mean(anp.logaddexp(top, ops.logsumexp(others, axis=0)) - bare))
        return {"value": sum(losses[1:], losses[0]) * (1 / len(losses))}

    forgotten: tuple[Row, ...] = tuple(
        (key, partial(unscaled, numerator=key.endswith("denominator-only")), f"the loss with the temperature on {words}",
         "divide all logits by τ", "", "positives are on another scale")
        for key, words in (("temperature-on-negatives-only", "the negatives alone"),
                           ("temperature-on-denominator-only", "the denominator alone"))
    )  # fmt: skip
    parts = (
        (formula_of_logits, lambda function: _loss(on(function), split), "the loss"),
        (infonce.FORMULA, of_part, "the loss"),
    )
    harmless = tuple(v for v in variants(*parts[1]) if v.key.startswith("denominator-epsilon"))  # τ is never so small
    return Form(
        "features", signature, meaning, draw, _loss(on(formula), split), True,
        (*wrapped(conventions, _same), *harmless),
        (*wrapped((*mistakes, *forgotten), _same), *of_infonce(*(row for row in infonce.MISTAKES if row[0] != without))),
        (*of_infonce(("naive-softmax", infonce.naive_sum, *NAIVE)), *wrapped(numerical, _same)),
        mixed=of_infonce(infonce.UNIFORM) if smoothed else (), range_to=1 / COLDEST, loss=True, **how,
        **rewritten(*parts, without=("constant", "whole")),
    )  # fmt: skip


def _same(function: Callable[[Inputs], Tree]) -> Callable[[Inputs], Tree]:
    return function


NAIVE = (
    "e^{cos/τ} written out", "subtract the largest logit, as logsumexp and a cross entropy of logits do", "",
    "inf or NaN in float32 for temperatures below 0.0113; a share e^{cos/τ}/Σ may be 0 from 0.0194 on",
)  # fmt: skip


APART = np.eye(4) - 0.25  # four rows, each cosine of two of them −1/3
LONE = np.eye(4)[[0, 0, 1, 2]]  # an equal pair, and two rows at right angles to all


def _raised(patterns: dict[str, dict[str, Any]]) -> Callable[[Inputs], dict[str, Callable[[float], Inputs]]]:
    """Features whose cosines do not change, most of them 1 and −1, at lower and lower temperatures.

    Args:
        patterns: by name, the rows of each feature, or their signs along the first axis, repeated as need be.
    """

    def along(like: np.ndarray, rows: Any) -> np.ndarray:
        rows = np.asarray(rows, like.dtype).reshape(len(rows), -1)
        found = np.zeros_like(like)
        found[:, : rows.shape[1]] = np.resize(rows, (len(like), rows.shape[1]))
        return found

    def at(base: Inputs, signs: dict[str, Any], magnitude: float) -> Inputs:
        features = {name: along(base[name], rows) for name, rows in signs.items()}
        return {**base, **features, "temperature": 1 / magnitude}

    return lambda base: {name: partial(at, base, signs) for name, signs in patterns.items()}


def _raised_two(first: str, second: str) -> Callable[[Inputs], dict[str, Callable[[float], Inputs]]]:
    return _raised({
        "all +": {first: (1,), second: (1,)},
        "all −": {first: (1,), second: (-1,)},
        "pairs +, rest −": {first: (1, -1), second: (1, -1)},
        "pairs −, rest +": {first: (1, -1), second: (-1, 1)},
        "all rows apart": {first: APART[:2], second: APART[2:]},
        "one pair equal, the rest apart": {first: LONE[::2], second: LONE[1::2]},
    })  # fmt: skip


def _over_batch(x: Array) -> Array:
    return x / (ops.total(x * x, axis=0, keepdims=True) ** 0.5)


def _squared_length(x: Array) -> Array:
    return x / ops.total(x * x, axis=1, keepdims=True)


NORMALIZED: Instead = {
    "normalized": (
        ("not-normalized", "{x}", "{_x} not normalized"),
        ("normalized-over-batch", "_over_batch({x})", "{_x} normalized along the batch, not along the features"),
        ("squared-length", "_squared_length({x})", "{_x} divided by its squared length"),
    )
}


# ---- CLIP


def clip_logits(image: Array, text: Array, temperature: float) -> Array:
    """Cosines by τ."""
    return products(normalized(image), normalized(text)) / temperature


def _clip_logits(inputs: Inputs) -> Array:
    return clip_logits(inputs["image"], inputs["text"], inputs["temperature"])


def _both_ways(logits: Array) -> list[tuple[Array, Array]]:
    return [infonce.split(logits), infonce.split(ops.transpose(logits, (1, 0)))]


def _one_denominator(inputs: Inputs) -> Tree:
    """One softmax over all N² pairs."""
    logits = _clip_logits(inputs)
    return {"value": ops.logsumexp(logits) - ops.mean(infonce.split(logits)[0])}


def _sigmoid_pairs(inputs: Inputs) -> Tree:
    logits = _clip_logits(inputs)
    n = logits.shape[0]
    sign = 2 * np.eye(n) - 1
    return {"value": ops.total(ops.softplus(-(logits * sign.astype(inputs["image"].dtype)))) * (1 / n)}


# fmt: off
BOTH, SOFTMAX, SIGLIP = "the mean of both directions", "a softmax over each row and each column", "arXiv 2303.15343 (SigLIP)"
CLIP_FORM = _form(
    Signature(("image", "text", "temperature"), differentiate=("image", "text")),
    "image, text (N, D), normalized by the loss; temperature; returns the mean cross entropy of both directions",
    partial(_draw_two, "image", "text"), clip_logits, _both_ways, (
        ("sigmoid", _sigmoid_pairs, "the sigmoid loss over all pairs", SOFTMAX, SIGLIP, "each pair a decision of its own"),
        ("sigmoid-mean", lambda i: {"value": _sigmoid_pairs(i)["value"] * (1 / len(i["image"]))},
         "a binary cross entropy, the mean over all N² pairs", SOFTMAX, f"{SIGLIP}, its sum over pairs divided by N",
         "each pair a decision of its own"),
    ), (
        ("image-to-text-only", _loss(_clip_logits, lambda s: _both_ways(s)[1:]),
         "CLIP's loss in one direction: texts are the candidates of an image", BOTH, CLIP,
         "images never compete for a text"),
        ("text-to-image-only", _loss(_clip_logits, lambda s: _both_ways(s)[:1]),
         "CLIP's loss in one direction: images are the candidates of a text", BOTH, CLIP,
         "texts never compete for an image"),
        ("one-denominator", _one_denominator, "one softmax over all N² pairs", SOFTMAX, "",
         "looser: DV in place of InfoNCE"),
    ), smoothed=True, raised=_raised_two("image", "text"),
)
# fmt: on


# ---- NT-Xent


def nt_xent_logits(a: Array, b: Array, temperature: float) -> Array:
    """The 2N × 2N logits, rows of the first view first."""
    z = normalized(ops.concatenate([a, b]))
    return products(z, z) / temperature


def _views(inputs: Inputs) -> Array:
    return nt_xent_logits(inputs["a"], inputs["b"], inputs["temperature"])


def _anchors(logits: Array, anchors: Any = slice(None)) -> list[tuple[Array, Array]]:
    """Each of the 2N anchors (or some): its other view, and the 2N − 2 rows that are neither that nor itself."""
    size = logits.shape[0]
    n = size // 2
    chosen = np.arange(size)[anchors]
    other = (chosen + n) % size
    flat = ops.reshape(logits, (size * size,))
    rest = np.array([[i for i in range(size) if i not in (k, o)] for k, o in zip(chosen, other, strict=True)])
    return [(ops.gather(flat, chosen * size + other), ops.gather(flat, (chosen[:, None] * size + rest).T))]


def _self_included(logits: Array, lowered: float = 0.0) -> list[tuple[Array, Array]]:
    positives, others = _anchors(logits)[0]
    size = logits.shape[0]
    own = ops.cut(ops.reshape(logits, (size * size,)), (slice(None, None, size + 1),)) - lowered
    return [(positives, ops.concatenate([others, ops.reshape(own, (1, size))]))]


def _across_only(logits: Array) -> list[tuple[Array, Array]]:
    n = logits.shape[0] // 2
    return _both_ways(ops.cut(logits, (slice(0, n), slice(n, None))))


def _one_way(part: slice, logits: Array) -> list[tuple[Array, Array]]:
    return _across_only(logits)[part]


def _same_view_only(logits: Array) -> list[tuple[Array, Array]]:
    """Negatives of the anchor's own view alone."""
    size = logits.shape[0]
    n = size // 2
    flat = ops.reshape(logits, (size * size,))
    anchors = np.arange(size)
    rest = np.array([[i + n * (k >= n) for i in range(n) if i != k % n] for k in anchors])
    return [
        (ops.gather(flat, anchors * size + (anchors + n) % size), ops.gather(flat, (anchors[:, None] * size + rest).T))
    ]


def _interleaved(inputs: Inputs) -> Array:
    """The logits of views that are stacked one after the other but read as neighbours (2i, 2i + 1)."""
    logits = _views(inputs)
    size = logits.shape[0]
    order = np.concatenate([np.arange(0, size, 2), np.arange(1, size, 2)])
    index = order[:, None] * size + order[None]
    return ops.gather(ops.reshape(logits, (size * size,)), index)


def _self_masked(positives: Array, others: Array) -> Array:
    """Each row's product with itself multiplied by 0 after the exponential: 0 · ∞ is NaN."""
    last = np.ones((len(others), 1), stop_gradient(others).dtype)
    last[-1] = 0
    return ops.mean(anp.log(ops.total(anp.exp(others) * last, axis=0) + anp.exp(positives)) - positives)


def _self_subtracted(positives: Array, others: Array) -> Array:
    """The sum over all rows less e^{1/τ}: at low temperatures the rest is lost in rounding."""
    exponentials = anp.exp(others)
    own = stop_gradient(exponentials)[-1]
    return ops.mean(anp.log(ops.total(exponentials, axis=0) + anp.exp(positives) - own) - positives)


def _above_all(positives: Array, others: Array) -> Array:
    """The maximum is that of all rows, the anchor's own (the last) too, which is then left out: log 0 far below it."""
    rest = ops.cut(others, (slice(0, len(others) - 1),))
    top = stop_gradient(anp.maximum(others.max(axis=0), positives))
    return ops.mean(anp.log(ops.total(anp.exp(rest - top), axis=0) + anp.exp(positives - top)) + top - positives)


def over_positive(losses: Array) -> Array:
    """The mean over the losses that are above 0."""
    return ops.total(losses) / max(1, int((stop_gradient(losses) > 0).sum()))


def _positive_alone(positives: Array, others: Array) -> Array:
    return over_positive(anp.logaddexp(positives, ops.logsumexp(others, axis=0)) - positives)


def above_all(function: Any) -> Row:
    """The row of a maximum that is the anchor's own product with itself."""
    return ("maximum-of-left-out", function, "a maximum that is taken over entries that are then left out",
            "leave them out (−inf) before the maximum, or take logsumexp of what counts",
            "github.com/HobbitLong/SupContrast, losses.py")  # fmt: skip


def among_positive(function: Any) -> Row:
    """The row of a mean that leaves out what is 0."""
    return ("mean-over-positive", function, "the mean over the anchors whose loss is above 0, not over all",
            "divide by the number of anchors",
            "github.com/KevinMusgrave/pytorch-metric-learning, reducers/avg_non_zero_reducer.py")  # fmt: skip


# fmt: off
TWO, DIAGONAL = "take both views as anchors and as candidates", "mask the diagonal with −inf before the exponential"
NT_XENT_FORM = _form(
    Signature(("a", "b", "temperature"), differentiate=("a", "b")),
    "a, b (N, D): two views, normalized by the loss; temperature; the mean over 2N anchors, each not its own candidate",
    partial(_draw_two, "a", "b"), nt_xent_logits, _anchors, (
        ("across-views-only", _loss(_views, _across_only), "the loss with the other view's rows alone as candidates",
         TWO, CLIP,
         "CLIP's symmetric loss: N candidates in place of 2N − 1"),
        *((f"across-views-{which}", _loss(_views, partial(_one_way, part)),
           f"InfoNCE from the {words}: N candidates, one direction", TWO, infonce.OORD, "N candidates in place of 2N − 1")
          for which, part, words in (("one-way", slice(1, None), "first view to the second"),
                                     ("other-way", slice(0, 1), "second view to the first"))),
    ), (
        ("self-not-masked", _loss(_views, _self_included), "NT-Xent with each row among its own candidates", DIAGONAL,
         SIMCLR,
         "a constant e^{1/τ} in every denominator, larger than the positive: the loss cannot come near 0"),
        ("one-view-anchors", _loss(_views, lambda s: _anchors(s, slice(0, s.shape[0] // 2))),
         "NT-Xent with the first view's anchors alone", TWO, SIMCLR, "half of the terms are missing"),
        ("same-view-negatives", _loss(_views, _same_view_only), "NT-Xent with negatives of the anchor's own view alone", TWO,
         SIMCLR, "the other view's rows are never pushed away"),
        ("wrong-pairs", _loss(_interleaved, _anchors),
         "NT-Xent that takes neighbours (2i, 2i + 1) for pairs where the views are stacked",
         "row i pairs with row i + N", SIMCLR,
         "other images are the positives"),
        ("ten-subtracted", _loss(_views, partial(_self_included, lowered=10.0)),
         "NT-Xent with each row masked by subtracting 10 from its product with itself", DIAGONAL, SIMCLR,
         "it still counts e^{1/τ − 10}: below τ = 0.1 it takes over"),
    ), (
        ("naive-softmax", _loss(_views, _self_included, _self_masked), *NAIVE),
        ("self-subtracted", _loss(_views, _self_included, _self_subtracted),
         "e^{1/τ} subtracted from the sum for each row's product with itself: a difference of large numbers", DIAGONAL),
        above_all(_loss(_views, _self_included, _above_all)), among_positive(_loss(_views, _anchors, _positive_alone)),
    ), raised=_raised_two("a", "b"),
)
# fmt: on


# ---- MoCo


def moco_logits(q: Array, k: Array, queue: Array, temperature: float) -> Array:
    """(N, 1 + K): the key's column first."""
    positive = ops.total(normalized(q) * normalized(k), axis=1, keepdims=True)
    return ops.concatenate([positive, products(normalized(q), normalized(queue))], axis=1) / temperature


def _queue_logits(inputs: Inputs) -> Array:
    return moco_logits(*(inputs[name] for name in ("q", "k", "queue", "temperature")))


def _first_column(logits: Array) -> list[tuple[Array, Array]]:
    turned = ops.transpose(logits, (1, 0))
    return [(ops.reshape(ops.cut(turned, (slice(0, 1),)), turned.shape[1:]), ops.cut(turned, (slice(1, None),)))]


def _counted_labels(logits: Array) -> list[tuple[Array, Array]]:
    """The labels of an in-batch loss, 0 … N − 1, where a queue's are all 0."""
    n, k = logits.shape
    label = np.arange(n) % k
    rest = np.array([[j for j in range(k) if j != label[i]] for i in range(n)])
    flat, start = ops.reshape(logits, (n * k,)), np.arange(n) * k
    return [(ops.gather(flat, start + label), ops.gather(flat, (start[:, None] + rest).T))]


def _with_batch(inputs: Inputs) -> Array:
    """The other keys of the batch are negatives too."""
    q, k = normalized(inputs["q"]), normalized(inputs["k"])
    square = products(q, k) * (1 / inputs["temperature"])
    n = square.shape[0]
    rest = np.array([[i for i in range(n) if i != j] for j in range(n)], dtype=int).reshape(n, n - 1)
    others = ops.gather(ops.reshape(square, (n * n,)), np.arange(n)[:, None] * n + rest)
    return ops.concatenate([_queue_logits(inputs), others], axis=1)


def _with_whole_batch(inputs: Inputs) -> Array:
    q, k = normalized(inputs["q"]), normalized(inputs["k"])
    return ops.concatenate([_queue_logits(inputs), products(q, k) * (1 / inputs["temperature"])], axis=1)


def _key_last(inputs: Inputs) -> Array:
    logits = _queue_logits(inputs)
    first, rest = (ops.cut(logits, (slice(None), part)) for part in (slice(0, 1), slice(1, None)))
    return ops.concatenate([rest, first], axis=1)


# fmt: off
MOCO_FORM = _form(
    Signature(("q", "k", "queue", "temperature"), differentiate=("q",)),
    "q, k (N, D), queue (K, D), normalized by the loss; temperature; the cross entropy of [q·k, q·queueᵀ]/τ, label 0",
    _draw_queue, moco_logits, _first_column, (
        ("batch-keys-too", _loss(_with_batch, _first_column), "MoCo's loss with the batch's other keys as negatives too",
         "take the queue alone", "arXiv 2104.02057 takes the batch's keys", "K + N − 1 negatives in place of K"),
    ), (
        ("own-key-among-negatives", _loss(_with_whole_batch, _first_column),
         "MoCo's loss with all keys of the batch among the negatives, the positive too",
         "take the queue before this batch's keys are put in", MOCO, "each positive is pushed away as well"),
        ("key-last", _loss(_key_last, _first_column), "MoCo's loss with the key's column last, the labels 0",
         "label 0: the key's own column comes first", MOCO, "keys of the queue are the positives"),
        ("wrong-label", _loss(_queue_logits, _counted_labels), "MoCo's loss with the labels 0 … N − 1 of an in-batch loss",
         "label 0: the key's own column comes first", MOCO, "keys of the queue are the positives"),
    ), without="masked-by-minus-10", raised=_raised({
        "all +": {"q": (1,), "k": (1,), "queue": (1,)},
        "all −": {"q": (1,), "k": (-1,), "queue": (-1,)},
        "key +, queue −": {"q": (1,), "k": (1,), "queue": (-1,)},
        "key −, queue +": {"q": (1,), "k": (-1,), "queue": (1,)},
    }),
)
CONTRACTS = (
    Contract("bound", "clip", "CLIP's symmetric loss", (CLIP_FORM,), CLIP),
    Contract("bound", "nt_xent", "NT-Xent, SimCLR's loss over 2N views", (NT_XENT_FORM,), SIMCLR),
    Contract("bound", "moco", "MoCo's loss against a queue", (MOCO_FORM,), MOCO),
)
