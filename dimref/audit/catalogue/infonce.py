"""InfoNCE as people call it: on a square of scores, on sampled negatives, on logits; over one location or over all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np

from dimref import bounds, negatives, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import Row, wrapped
from dimref.audit.catalogue.pieces import (
    HJELM,
    OORD,
    ORDER,
    POOLE,
    ceiling_law,
    draw_local_square,
    draw_square,
    everything,
    noise,
    on_square,
    same_law,
    shift,
    sum_law,
    tail,
)
from dimref.audit.contract import Contract, Form, Sizes
from dimref.audit.edits import Formula, rewritten
from dimref.tape import stop_gradient
from dimref.trees import Array, Tree

MASKED = -10.0  # what public code writes over a score that is to be left out
Parts = Callable[[Array, Array], Array]


# ---- from one column: the positive (N, [L]) and its K − 1 negatives (K−1, N, [L])


def _count(others: Array) -> int:
    return 1 + others.shape[0]


def everything_of(positives: Array, others: Array) -> Array:
    """log Σ e^T over the positive and its negatives."""
    return anp.logaddexp(positives, ops.logsumexp(others, axis=0))


def reference(positives: Array, others: Array) -> Array:
    """log K + mean(T_pos − log Σ_K e^T)."""
    return math.log(_count(others)) + ops.mean(positives - everything_of(positives, others))


def _excluded(positives: Array, others: Array) -> Array:
    return math.log(others.shape[0]) + ops.mean(positives - ops.logsumexp(others, axis=0))


def _masked(positives: Array, others: Array) -> Array:
    """One more candidate of the score −10."""
    more = anp.logaddexp(everything_of(positives, others), np.asarray(MASKED, stop_gradient(positives).dtype))
    return math.log(_count(others)) + ops.mean(positives - more)


def _softmax_first(positives: Array, others: Array) -> Array:
    log_sum = everything_of(positives, others)
    return reference(anp.exp(positives - log_sum), anp.exp(ops.subtract(others, log_sum)))


def _uniform(positives: Array, others: Array) -> Array:
    """Every candidate is as much a positive as the others."""
    mean = ops.add(positives, ops.total(others, axis=0)) * (1 / _count(others))
    return math.log(_count(others)) + ops.mean(mean - everything_of(positives, others))


def _naive(positives: Array, others: Array) -> Array:
    total = anp.exp(positives) + ops.total(anp.exp(others), axis=0)
    return math.log(_count(others)) + ops.mean(anp.log(anp.exp(positives) / total))


def naive_sum(positives: Array, others: Array) -> Array:
    """log K + mean(T_pos − log Σ_K e^T), the exponentials as they are."""
    total = anp.exp(positives) + ops.total(anp.exp(others), axis=0)
    return math.log(_count(others)) + ops.mean(positives - anp.log(total))


# fmt: off
MISTAKES: tuple[Row, ...] = (
    ("positive-excluded", _excluded, "InfoNCE with the positive left out of the denominator",
     "the positive is one of its candidates", f"{POOLE}, section 2.1; on purpose in arXiv 2110.06848",
     "nothing bounds it: at T = R it lies above I, and it grows without limit as the critic does"),
    ("masked-by-minus-10", _masked, "InfoNCE with a candidate masked by the number −10 instead of removed",
     "remove the candidate, or mask with −inf", f"official code of {HJELM}",
     "not invariant to a shift: for scores near or below −10 the masked candidate takes over"),
    ("softmax-first", _softmax_first, "a softmax before a cross entropy that takes logits", "pass the raw scores",
     "torch.nn.functional.cross_entropy takes logits",
     "the second softmax sees numbers in [0, 1]: at most log K − log(1 + (K−1)/e), small gradients"),
)
UNIFORM: Row = ("label-smoothing", _uniform, "with label smoothing α = {}", "labels of 0 and 1: its optimum is no log ratio",
                "arXiv 1512.00567, section 7")
NUMERICAL: tuple[Row, ...] = (
    ("naive-softmax", _naive, "log(e^T / Σ e^T) written out", "use logsumexp", "",
     "NaN above 88.7 in float32 (709.8 in float64), −inf where the share is below the number range"),
    ("naive-exp-sum-log", naive_sum, "T − log Σ e^T without subtracting the maximum", "use logsumexp", "",
     "−inf above 88.7 in float32 (709.8 in float64), +inf far below 0"),
)
# fmt: on
FORMULA = Formula(bounds.infonce_sampled, bounds._log_softmax_of_positive)


# ---- the square of scores


def split(scores: Array) -> tuple[Array, Array]:
    """For each y_j: its positive (N, [L]), and the N − 1 other images' scores (N−1, N, [L])."""
    n, rest = scores.shape[0], scores.shape[2:]
    turned = ops.transpose(scores, (1, 0, *range(2, scores.ndim)))
    positives, others = negatives.all_pairs(turned)  # row j of `turned`: the images of y_j
    return positives, ops.transpose(ops.reshape(others, (n, n - 1, *rest)), (1, 0, *range(2, scores.ndim)))


def _on_columns(function: Parts) -> Callable[[Inputs], Tree]:
    return on_square(lambda scores: function(*split(scores)))


def _on_rows(function: Parts) -> Callable[[Inputs], Tree]:
    return on_square(lambda scores: function(*split(_turned(scores))))


def _on_both(function: Parts) -> Callable[[Inputs], Tree]:
    return on_square(lambda scores: 0.5 * (function(*split(scores)) + function(*split(_turned(scores)))))


def _turned(scores: Array) -> Array:
    return ops.transpose(scores, (1, 0, *range(2, scores.ndim)))


def _all_pairs_apart(scores: Array) -> Array:
    """−mean over all pairs of the cross entropy with logits, label 1 on the diagonal."""
    joint, product = negatives.all_pairs(scores)
    n = scores.shape[0]
    return -(ops.mean(ops.softplus(-joint)) + (n - 1) * ops.mean(ops.softplus(product))) * (1 / n)


def _over_locations(scores: Array) -> Array:
    """The candidates of a positive are the locations of its own image."""
    square = scores if scores.ndim == 3 else ops.reshape(scores, (*scores.shape, 1))
    joint = negatives.all_pairs(square)[0]
    return math.log(square.shape[2]) + ops.mean(joint) - ops.mean(ops.logsumexp(joint, axis=1))


# fmt: off
OTHER_AXIS: Row = ("other-axis", lambda s: bounds.infonce(_turned(s)),
                   "InfoNCE over the other axis: candidates y' for a fixed x",
                   "logsumexp over axis 0 of scores[i, j] = T(x_i, y_j)", OORD,
                   "as good a bound; invariant to c(x), not c(y)")
ALL: Row = ("all-locations", lambda s: bounds.infonce(s, "all-locations"),
            "InfoNCE with all locations of the other images as candidates", "the same location of the other images",
            f"{HJELM}, eq. (5)", "the papers' loss, but no bound on I")
CERTIFIED: Row = ("certified", bounds.infonce_certified, "InfoNCE over all locations, averaged to one candidate an image",
                  "take the candidates that are asked for", POOLE, "a bound on I too")
SAME: Row = ("same-location", bounds.infonce, "InfoNCE with the same location of the other images",
             "take all locations of the others", HJELM, "a bound on I, of N candidates")
SQUARE_CONVENTIONS: tuple[Row, ...] = (
    OTHER_AXIS,
    ("both-axes", lambda s: 0.5 * (bounds.infonce(s) + bounds.infonce(_turned(s))), "InfoNCE averaged over both axes",
     "take axis 0 alone", "arXiv 2103.00020 (CLIP)", "as good a bound, of twice the work"),
    ("dv-over-all-pairs", lambda s: bounds.dv(*everything(s)), "DV over all N² pairs: one denominator for the whole batch",
     "a denominator for each column", POOLE, "never above InfoNCE, a bound too"),
    ALL, CERTIFIED,
)
SQUARE_MISTAKES: tuple[Row, ...] = (
    ("maximum-off-other-axis", lambda s: bounds.infonce(s - stop_gradient(s).max(axis=1, keepdims=True)),
     "InfoNCE of scores whose maximum was subtracted along the other axis",
     "subtract the maximum along the candidates' axis", "", "another critic: the value is invariant to c(y), not to c(x)"),
    ("binary-cross-entropy", _all_pairs_apart, "a binary cross entropy over all N² pairs, each a decision of its own",
     "a softmax over the candidates; as it is, audit it as jsd", "arXiv 1406.2661",
     "JSD with weights 1/N and 1 − 1/N, no InfoNCE"),
    ("all-entries-averaged", lambda s: math.log(len(s)) + ops.mean(s) - ops.mean(ops.logsumexp(s, axis=0)),
     "the mean of the log softmax over all pairs instead of the diagonal", "take the diagonal", "",
     "every pair counts as a positive"),
    ("candidates-along-locations", _over_locations, "InfoNCE whose candidates are the locations of the positive's own image",
     "logsumexp over the images", "", "no other image takes part"),
    ("locations-averaged-first", lambda s: bounds.infonce(ops.mean(s, axis=2) if s.ndim == 3 else s),
     "InfoNCE of the scores' mean over locations", "the bound at each location, then the mean", "",
     "one score for an image: the local objective becomes a global one"),
    ("off-diagonal-dv", lambda s: bounds.dv(*negatives.all_pairs(s)),
     "DV over the off-diagonal pairs: positives left out, one denominator for the batch",
     "a denominator for each column, the positive in it", POOLE, "without a ceiling: no estimate that N can certify"),
)
# fmt: on


def _shifted(inputs: Inputs) -> Inputs:
    scores = inputs["scores"]
    c = np.arange(scores.shape[1], dtype=scores.dtype).reshape(1, -1, *(1 for _ in scores.shape[2:]))
    return {"scores": scores + 2 * c - 3}


SHIFT = same_law("c(y)", "InfoNCE(T + c(y)) = InfoNCE(T)", f"{POOLE}, section 2.3", _shifted)
CEILING = ceiling_law("ceiling", "InfoNCE ≤ log N", f"{OORD}, eq. (5)", lambda i: math.log(len(i["scores"])))
COLUMNS = sum_law(
    "columns", "each column of the gradient sums to 0", f"{HJELM}, eq. (5)", lambda g: g["scores"].sum(axis=0)
)
# ---- sampled negatives, and logits with the positive in front


def _draw_sampled(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    c, sure = shift(rng, sizes), 6.0 * (sizes.regime == "separated")
    positives = noise(rng, sizes, sizes.n, *tail(sizes)) + c + sure
    others = noise(rng, sizes, sizes.m, sizes.n, *tail(sizes)) + c - sure
    return {"positives": positives.astype(sizes.dtype), "negatives": others.astype(sizes.dtype)}


def _on_sampled(function: Parts) -> Callable[[Inputs], Tree]:
    return lambda inputs: {"value": function(inputs["positives"], inputs["negatives"])}


def _draw_logits(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    logits = noise(rng, sizes, sizes.n, 1 + sizes.m) + shift(rng, sizes)
    logits[:, 0] += 6.0 * (sizes.regime == "separated")
    return {"logits": logits.astype(sizes.dtype)}


def _on_logits(function: Parts) -> Callable[[Inputs], Tree]:
    def of_logits(inputs: Inputs) -> Tree:
        logits = ops.transpose(inputs["logits"], (1, 0))
        first = ops.reshape(ops.cut(logits, (slice(0, 1),)), logits.shape[1:])
        return {"value": function(first, ops.cut(logits, (slice(1, None),)))}

    return of_logits


# ---- all locations


def _local_positives(scores: Array) -> tuple[Array, Array]:
    """Positives (L, N) and the scores of all other images at all locations ((N−1)·L, N)."""
    positives, others = split(scores)
    n, locations = positives.shape
    spread = ops.reshape(ops.transpose(others, (0, 2, 1)), ((n - 1) * locations, n))
    return ops.transpose(positives, (1, 0)), spread


def _on_all_locations(function: Callable[[Array, Array], Array]) -> Callable[[Inputs], Tree]:
    """The variant of one column, each positive against all locations of the other images."""

    def value(inputs: Inputs) -> Tree:
        positives, others = _local_positives(inputs["scores"])
        wide = ops.broadcast_to(
            ops.reshape(others, (others.shape[0], 1, others.shape[1])), (len(others), *positives.shape)
        )
        return {"value": function(positives, wide)}

    return value


def _own_image_kept(kept: Callable[[Array], Array], in_front: bool = True) -> Parts:
    """The positive's own image is among the negatives, its scores (L, N) changed; the positive stands before them."""

    def bound(positives: Array, others: Array) -> Array:
        own = ops.logsumexp(kept(positives), axis=0)
        rest = anp.logaddexp(ops.logsumexp(others, axis=0), own)
        everything = anp.logaddexp(positives, rest) if in_front else rest
        return math.log(_count(others)) + ops.mean(positives - everything)

    return bound


def _own_locations_too(scores: Array) -> Array:
    """Every location of every image is a candidate, the positive's own image included."""
    n, _, locations = scores.shape
    flat = ops.reshape(ops.transpose(scores, (0, 2, 1)), (n * locations, n))
    joint = negatives.all_pairs(scores)[0]
    return math.log(n * locations) + ops.mean(joint) - ops.mean(ops.logsumexp(flat, axis=0))


def _wrong_axis(inputs: Inputs) -> Tree:
    first = ops.cut(inputs["logits"], (slice(None), slice(0, 1)))
    return {"value": math.log(len(first)) + ops.mean(first) - ops.mean(ops.logsumexp(first, axis=0))}


# fmt: off
OWN_IMAGE: tuple[Row, ...] = tuple(
    (key, _own_image_kept(kept, in_front), f"InfoNCE with the positive's own image {what}", "leave the image out whole", "",
     "its locations count as negatives")
    for key, kept, in_front, what in (
        ("masked-by-minus-10", lambda own: 0 * own + MASKED, True, "masked by the score −10 instead of removed"),
        ("ten-subtracted", lambda own: own + MASKED, False,
         "masked by subtracting 10 from its scores instead of removing it"),
        ("ten-subtracted", lambda own: own + MASKED, True,
         "masked by subtracting 10 from its scores, and the positive besides"),
        ("mask-multiplied", lambda own: 0 * own, True, "multiplied by 0 instead of removed"),
        ("positive-twice", lambda own: own, True, "among its negatives: the positive counts twice"),
    )
)
SCORES = Signature(("scores",), differentiate=("scores",))
LOGITS, SAMPLED = Signature(("logits",), differentiate=("logits",)), ("positives", "negatives")
AXES = ((_on_columns, ""), (_on_rows, " over the other axis"), (_on_both, " averaged over both axes"))


def _more(row: Row, words: str) -> Row:
    key, function, title, *rest = row
    return key, function, f"{title},{words}" if words else title, *rest


def _form(name: str, signature: Signature, meaning: str, draw: Callable[..., Inputs], right: Callable[[Inputs], Tree],
          axes: tuple[tuple[Any, str], ...], conventions: Any = (), mistakes: Any = (),
          documented: tuple[Row, ...] = MISTAKES,
          mixed: tuple[Any, ...] = (), title: str = "InfoNCE", **how: Any) -> Form:
    """A way to call it; axes: how a function of (positives, others) is applied, and in words."""
    wrap = axes[0][0]
    return Form(
        name, signature, meaning, draw, right, True, conventions,
        (*wrapped(documented, wrap), *mistakes,
         *(v for wrap, words in axes[1:] for v in wrapped((_more(row, words) for row in documented), wrap))),
        wrapped(NUMERICAL, wrap), range_of=signature.arguments,
        mixed=tuple(v for wrap in mixed for v in wrapped((UNIFORM,), wrap)),
        **how, **rewritten(*((FORMULA, wrap, title + words) for wrap, words in axes)),
    )


def _ceiling(name: str, axis: int, more: int) -> Any:
    return ceiling_law("ceiling", "InfoNCE ≤ log K", f"{OORD}, eq. (4)", lambda i: math.log(i[name].shape[axis] + more))


SQUARE_FORM = _form(
    "matrix", SCORES, "scores[i, j(, l)] = T(x_i, y_j), (N, N) or (N, N, L): candidates x' of one y along axis 0, K = N",
    draw_square, on_square(bounds.infonce), AXES, wrapped(SQUARE_CONVENTIONS, on_square),
    wrapped(SQUARE_MISTAKES, on_square),
    mixed=(_on_columns, _on_rows), laws=(ORDER, CEILING, SHIFT, COLUMNS),
)
SAMPLED_FORM = _form(
    "sampled", Signature(SAMPLED, differentiate=SAMPLED),
    "positives (N,) or (N, L): T(x_j, y_j); negatives (K−1, N) or (K−1, N, L): T(x', y_j)", _draw_sampled,
    _on_sampled(reference), ((_on_sampled, ""),), laws=(_ceiling("negatives", 0, 1),),
)
LOGITS_FORM = _form(
    "logits", LOGITS,
    "logits (N, K), one row a positive in column 0 and its K − 1 negatives, as for a cross entropy with label 0",
    _draw_logits, _on_logits(reference), ((_on_logits, ""),), mistakes=wrapped((
        ("candidates-along-batch", _wrong_axis, "a softmax over the batch instead of over the candidates",
         "softmax over axis 1", "",
         "positives of other rows are the competitors"),), lambda function: function),
    mixed=(_on_logits,), laws=(_ceiling("logits", 1, 0),),
)
ALL_LOCATIONS_FORM = _form(
    "matrix", SCORES, "scores[i, j, l] = T(x_i at location l, y_j), (N, N, L): K = 1 + (N−1)·L candidates of each positive",
    draw_local_square, on_square(ALL[1]), ((_on_all_locations, ""),), wrapped((
        SAME, CERTIFIED,
        ("own-locations-too", _own_locations_too,
         "InfoNCE with the other locations of the positive's own image among the candidates",
         "leave the image's other locations out", "public code of arXiv 1905.09272's kind, on purpose",
         "K = N·L; the image competes with itself"),
    ), on_square), wrapped(OWN_IMAGE, _on_all_locations), tuple(row for row in MISTAKES if row[0] != "masked-by-minus-10"),
    laws=(ORDER,), title="InfoNCE over all locations",
)
CERTIFIED_FORM = Form(
    "matrix", SCORES, "scores[i, j, l] = T(x_i at location l, y_j), (N, N, L): the others' locations are averaged",
    draw_local_square, on_square(bounds.infonce_certified), True, wrapped((SAME, ALL), on_square), wrapped((
        ("missing-log-k", lambda s: bounds.infonce_certified(s) - math.log(len(s)), "certified InfoNCE without log N",
         "add log N",
         POOLE, "low by log N", True),
        ("log-k-of-all-locations",
         lambda s: bounds.infonce_certified(s) - math.log(len(s)) + math.log(1 + (len(s) - 1) * s.shape[2]),
         "certified InfoNCE with log(1 + (N−1)L) for log N", "add log N", POOLE, "above the ceiling log N: no bound", True),
    ), on_square), laws=(ORDER, CEILING), range_of=("scores",),
)
CONTRACTS = (
    Contract("bound", "infonce", "InfoNCE, log K + mean(T_pos − log Σ_K e^T)", (SQUARE_FORM, SAMPLED_FORM, LOGITS_FORM),
             f"{HJELM}, eq. (5); {OORD}, eq. (4)"),
    Contract("bound", "infonce_all_locations", "InfoNCE over all locations of the other images", (ALL_LOCATIONS_FORM,),
             f"{HJELM}, eq. (5)"),
    Contract("bound", "infonce_certified", "InfoNCE over all locations, the others' averaged", (CERTIFIED_FORM,),
             f"{POOLE}, eq. (10)"),
)
