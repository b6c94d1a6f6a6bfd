"""What W ranks should compute together, and what they compute instead: one plain formula for each quantity.

A formula gives the loss of one rank from a `View`: its anchors, the rows that it sees, and where among them each anchor's
positive is. One process is the view of everything. What public code does on W ranks differs in a `Way`: which rows are
anchors, which take a gradient, where labels point. `simulate` runs all ranks in one process and differentiates the sum of
their losses: that is what every rank's backward pass leaves at its own rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dimref import layers, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.contrastive import normalized, products
from dimref.tape import stop_gradient, value_and_gradients
from dimref.trees import Array, Tree, map_tree

Counts = tuple[int, ...]  # rows of each rank
HIDDEN = 1e9  # subtracted from a score that is no candidate


@dataclass(frozen=True)
class View:
    """What a rank computes its loss from.

    Attributes:
        own, seen: rows of anchors and of candidates, by argument.
        positive, itself: for each anchor the row in `seen` that is taken for its positive, and for itself; −1 for none.
        views: the same of two views stacked, (2N,), where it is another.
        counts: rows of each rank in `seen`.
        statistics: "" of all rows; "two passes", other ranks' squares being constants; "variances", the ranks' own averaged;
            "equal", the ranks' moments averaged.
    """

    own: dict[str, Array]
    seen: dict[str, Array]
    positive: np.ndarray
    itself: np.ndarray
    counts: Counts
    views: np.ndarray | None = None
    statistics: str = ""


# ---- the formulas


def _at(columns: np.ndarray, scores: Array) -> np.ndarray:
    """1 where a column is the one of its row."""
    return (np.arange(scores.shape[1]) == columns[:, None]).astype(np.float64)


def _cross_entropy(scores: Array, positive: np.ndarray, hidden: np.ndarray | float = 0.0, bound: bool = False) -> Array:
    """The mean over rows of logsumexp − the positive's score; as a bound, log K − that."""
    loss = ops.mean(ops.logsumexp(scores - hidden, axis=1)) - ops.total(scores * _at(positive, scores)) / len(positive)
    return np.log(scores.shape[1]) - loss if bound else loss


def _scores(anchors: Array, candidates: Array, temperature: float, cosine: bool) -> Array:
    unit = normalized if cosine else lambda x: x
    return products(unit(anchors), unit(candidates)) / temperature


def infonce(view: View, inputs: Inputs, bound: bool = False, cosine: bool = True) -> Array:
    scores = _scores(view.own["queries"], view.seen["keys"], inputs["temperature"], cosine)
    return _cross_entropy(scores, view.positive, bound=bound)


def clip(view: View, inputs: Inputs, cosine: bool = True) -> Array:
    sides = [_scores(view.own[a], view.seen[b], inputs["temperature"], cosine)
             for a, b in (("image", "text"), ("text", "image"))]  # fmt: skip
    return 0.5 * (_cross_entropy(sides[0], view.positive) + _cross_entropy(sides[1], view.positive))


def _two_views(view: View, inputs: Inputs, cosine: bool) -> tuple[Array, np.ndarray, np.ndarray]:
    """The scores of both views' anchors with both views' rows, their positives, and what hides each from itself."""
    own, seen = (ops.concatenate([rows["a"], rows["b"]]) for rows in (view.own, view.seen))
    scores, k = _scores(own, seen, inputs["temperature"], cosine), seen.shape[0] // 2
    across = np.where(view.positive < 0, -1, view.positive + k)
    positive = np.concatenate([across, view.positive]) if view.views is None else view.views
    return scores, positive, HIDDEN * _at(np.concatenate([view.itself, view.itself + k]), scores)


def nt_xent(view: View, inputs: Inputs, cosine: bool = True) -> Array:
    return _cross_entropy(*_two_views(view, inputs, cosine))


def dcl(view: View, inputs: Inputs, cosine: bool = True) -> Array:
    scores, positive, hidden = _two_views(view, inputs, cosine)
    return _cross_entropy(scores, positive, hidden + HIDDEN * _at(positive, scores))


def siglip(view: View, inputs: Inputs, cosine: bool = True) -> Array:
    logits = _scores(view.own["image"], view.seen["text"], 1.0, cosine) * np.e ** inputs["log_scale"] + inputs["bias"]
    return ops.total(ops.softplus(-((2 * _at(view.positive, logits) - 1) * logits))) / logits.shape[0]


def _moments(view: View) -> tuple[Array, Array]:
    """Mean and biased variance of each channel over the rows that are seen."""
    x = view.seen["x"]
    if view.statistics in ("", "two passes"):
        mean = ops.mean(x, 0)
        if view.statistics:  # the sums of the others' squares come without their part in the mean's gradient
            still, own = stop_gradient(mean), np.isin(np.arange(x.shape[0]), view.itself)[:, None]
            return mean, ops.mean((x - (still + own * (mean - still))) ** 2, 0)
        return mean, ops.mean((x - mean) ** 2, 0)
    ends = np.cumsum(view.counts)
    parts = [ops.cut(x, (slice(end - n, end),)) for n, end in zip(view.counts, ends, strict=True)]
    means = [ops.mean(part, 0) for part in parts]
    mean = sum(means[1:], means[0]) / len(parts)
    about = means if view.statistics == "variances" else [mean] * len(parts)
    squares = [ops.mean((part - m) ** 2, 0) for part, m in zip(parts, about, strict=True)]
    return mean, sum(squares[1:], squares[0]) / len(parts)


def moments(view: View, inputs: Inputs) -> Array:
    mean, variance = _moments(view)
    return ops.total(mean * inputs["weight"]["mean"]) + ops.total(variance * inputs["weight"]["variance"])


def batch_norm(view: View, inputs: Inputs) -> Array:
    mean, variance = _moments(view)
    scaled = (view.own["x"] - mean) * (variance + layers.EPSILON) ** -0.5
    return ops.total((scaled * inputs["gain"] + inputs["shift"]) * view.own["weight"])


# ---- what is audited


@dataclass(frozen=True)
class Quantity:
    """One quantity.

    Attributes:
        title: what it is.
        meaning: arguments and result of one rank.
        rows: the arguments, and the weight, of which a rank has its own rows alone.
        formulas: of one process, or of one rank, by what is said of it; the first is the reference.
        reduction: what is due where the audit forms the rank's loss itself; "" for a loss.
    """

    title: str
    meaning: str
    signature: Signature
    rows: tuple[str, ...]
    formulas: dict[str, Callable[[View, Inputs], Array]]
    draw: Callable[[np.random.Generator, int], Inputs]
    reduction: str = ""

    @property
    def views(self) -> bool:
        """Whether it is of two views of each image."""
        return "a" in self.rows


UNITS = 4


def _pair(first: str, second: str, rng: np.random.Generator, n: int) -> Inputs:
    a, noise = rng.standard_normal((2, n, UNITS))
    return {first: a, second: a + noise, "temperature": float(rng.choice([0.3, 0.5, 1.0]))}


def _draw_siglip(rng: np.random.Generator, n: int) -> Inputs:
    drawn = _pair("image", "text", rng, n)
    return {**drawn, "log_scale": np.asarray(-np.log(drawn.pop("temperature"))), "bias": np.asarray(-1.0)}


def _draw_x(rng: np.random.Generator, n: int) -> Inputs:
    """Ranks differ in their means, so that statistics that are not synchronized differ too."""
    return {"x": rng.standard_normal((n, UNITS)) + 3 * np.arange(n)[:, None] / n}


def _draw_batch_norm(rng: np.random.Generator, n: int) -> Inputs:
    return {**_draw_x(rng, n), "gain": 1 + 0.3 * rng.standard_normal(UNITS), "shift": rng.standard_normal(UNITS),
            "weight": rng.standard_normal((n, UNITS))}  # fmt: skip


def _draw_moments(rng: np.random.Generator, n: int) -> Inputs:
    return {**_draw_x(rng, n), "weight": {"mean": rng.standard_normal(UNITS), "variance": rng.standard_normal(UNITS)}}


def _loss(title: str, formula: Callable[..., Array], rows: tuple[str, str], more: tuple[str, ...] = ("temperature",),
          also: dict[str, Any] | None = None, draw: Callable[..., Inputs] | None = None) -> Quantity:  # fmt: skip
    signature = Signature((*rows, *more), differentiate=(*rows, *(more if len(more) > 1 else ())))
    formulas = {"": formula, "of dot products": partial(formula, cosine=False), **(also or {})}
    meaning = f"f({', '.join(signature.arguments)}) -> the rank's loss; {' and '.join(rows)}: the rank's rows, (n, D)"
    return Quantity(title, meaning, signature, rows, formulas, draw or partial(_pair, *rows))


QUANTITIES = {
    "infonce": _loss(
        "InfoNCE's cross entropy", infonce, ("queries", "keys"),
        also={"as a bound": partial(infonce, bound=True),
              "of dot products, as a bound": partial(infonce, bound=True, cosine=False)},
    ),
    "clip": _loss("CLIP's symmetric loss", clip, ("image", "text")),
    "nt_xent": _loss("NT-Xent", nt_xent, ("a", "b")),
    "siglip": _loss("SigLIP's loss", siglip, ("image", "text"), ("log_scale", "bias"), draw=_draw_siglip),
    "dcl": _loss("DCL's loss", dcl, ("a", "b")),
    "batch_norm": Quantity(
        "batch norm in training",
        "f(x, gain, shift) -> the rank's rows, normalized with the whole batch's statistics; x (n, C)",
        Signature(("x", "gain", "shift"), ("out",), ("x", "gain", "shift"), "out"), ("x", "weight"), {"": batch_norm},
        _draw_batch_norm, "sum",
    ),
    "moments": Quantity(
        "mean and variance over the batch",
        "f(x) -> (mean, variance) of each channel over the whole batch, biased; x (n, C)",
        Signature(("x",), ("mean", "variance"), ("x",), ""), ("x",), {"": moments}, _draw_moments, "mean",
    ),
}  # fmt: skip


# ---- W ranks in one process, with one thing changed


@dataclass(frozen=True)
class Way:
    """How W ranks compute a quantity.

    Attributes:
        everything: whether every rank has all rows as anchors (a global loss), not its own.
        gather: gradient weights of the own rows and of the others among those seen, given W; None: nothing is gathered.
        labels: (rank, counts, the anchors' own places among those seen) -> where their positives are taken to be.
        masked: whether an anchor is hidden from the row at its label's place, not from itself.
        statistics: as of `View`.
        by_rank: whether two views are gathered rank by rank and paired as if all of the first came first.
    """

    everything: bool
    gather: Callable[[int], tuple[float, float]] | None
    labels: Callable[[int, Counts, np.ndarray], np.ndarray] = lambda rank, counts, places: places
    masked: bool = False
    statistics: str = ""
    by_rank: bool = False


def simulate(quantity: Quantity, formula: Callable[[View, Inputs], Array], way: Way, inputs: Inputs,
             counts: Counts) -> tuple[np.ndarray, Tree]:  # fmt: skip
    """Each rank's loss, and the sum over ranks of the gradients that their backward passes leave."""
    names = quantity.signature.differentiate

    def total(at: Tree) -> tuple[Array, Array]:
        whole = {**inputs, **at}
        losses = [formula(_view(quantity, way, whole, counts, rank), whole) for rank in range(len(counts))]
        return sum(losses[1:], losses[0]), {"losses": losses}

    _, gradients, found = value_and_gradients(total, {name: inputs[name] for name in names})
    filled = map_tree(lambda g, x: np.zeros_like(x) if g is None else g, gradients, {n: inputs[n] for n in names})
    return np.array([float(loss) for loss in found["losses"]]), filled


def _view(quantity: Quantity, way: Way, whole: Inputs, counts: Counts, rank: int) -> View:
    first, n, size = sum(counts[:rank]), counts[rank], sum(counts)
    rows = (slice(first, first + n),)
    own = {name: ops.cut(whole[name], rows) for name in quantity.rows}
    if way.gather is None:
        positive = way.labels(rank, counts, np.arange(n))
        return View(own, own, np.where(positive < n, positive, -1), np.arange(n), (n,))
    alive, others = way.gather(len(counts))
    weight = np.full((size, 1), float(others))
    weight[rows] = alive

    def gathered(x: Array) -> Array:
        still = stop_gradient(x)
        return still if not weight.any() else x if (weight == 1).all() else still + weight * (x - still)

    seen = {name: gathered(whole[name]) for name in quantity.rows}
    places = np.arange(size) if way.everything else np.arange(first, first + n)
    positive = way.labels(rank, counts, places)
    return View(
        seen if way.everything else own, seen, positive, positive if way.masked else places, counts,
        _views_by_rank(counts) if way.by_rank else None, way.statistics,
    )  # fmt: skip


def _views_by_rank(counts: Counts) -> np.ndarray:
    """The positives of [a; b] where both views are gathered rank by rank, but paired as if all of a came first."""
    size, at, order = sum(counts), 0, []
    for n in counts:
        order += [*range(at, at + n), *range(size + at, size + at + n)]
        at += n
    positives = np.empty(2 * size, int)
    positives[order] = np.roll(order, -size)
    return positives
