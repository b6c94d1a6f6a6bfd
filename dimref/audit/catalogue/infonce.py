"""InfoNCE as people call it: on a square of scores, on sampled negatives, on logits; over one location or over all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import autograd.numpy as anp
import numpy as np

from dimref import bounds, negatives, ops
from dimref.audit.answer import Inputs, Signature
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
from dimref.audit.contract import Contract, Form, Sizes, Variant
from dimref.audit.edits import Formula, rewritten
from dimref.tape import stop_gradient
from dimref.trees import Array, Tree

MASKED = -10.0  # what public code writes over a score that is to be left out
Parts = Callable[[Array, Array], Array]


# ---- from one column: the positive (N, [L]) and its K − 1 negatives (K−1, N, [L])


def _mean_log_share(positives: Array, log_sum: Array) -> Array:
    return ops.mean(ops.subtract(positives, log_sum))


def _count(negatives_: Array) -> int:
    return 1 + negatives_.shape[0]


def _everything(positives: Array, others: Array) -> Array:
    """log Σ e^T over the positive and its negatives."""
    return anp.logaddexp(positives, ops.logsumexp(others, axis=0))


def reference(positives: Array, others: Array) -> Array:
    """log K + mean(T_pos − log Σ_K e^T)."""
    return math.log(_count(others)) + _mean_log_share(positives, _everything(positives, others))


def _excluded(positives: Array, others: Array) -> Array:
    return math.log(others.shape[0]) + _mean_log_share(positives, ops.logsumexp(others, axis=0))


def _with_extra(extra: float) -> Parts:
    """One more candidate of a fixed score."""

    def bound(positives: Array, others: Array) -> Array:
        more = anp.logaddexp(_everything(positives, others), np.asarray(extra, stop_gradient(positives).dtype))
        return math.log(_count(others)) + _mean_log_share(positives, more)

    return bound


def _softmax_first(positives: Array, others: Array) -> Array:
    log_sum = _everything(positives, others)
    p = anp.exp(positives - log_sum)
    rest = anp.exp(ops.subtract(others, log_sum))
    return math.log(_count(others)) + _mean_log_share(p, _everything(p, rest))


def _shares_themselves(positives: Array, others: Array) -> Array:
    return ops.mean(anp.exp(positives - _everything(positives, others)))


def _naive(positives: Array, others: Array) -> Array:
    total = anp.exp(positives) + ops.total(anp.exp(others), axis=0)
    return math.log(_count(others)) + ops.mean(anp.log(anp.exp(positives) / total))


def naive_sum(positives: Array, others: Array) -> Array:
    """log K + mean(T_pos − log Σ_K e^T), the exponentials as they are."""
    total = anp.exp(positives) + ops.total(anp.exp(others), axis=0)
    return math.log(_count(others)) + ops.mean(positives - anp.log(total))


def _v(key: str, function: Any, title: str, consequence: str, fix: str, source: str = "",
       exact: bool = False) -> Variant:  # fmt: skip
    return Variant(key, title, function, consequence, fix, source, exact)


MISTAKES = (
    _v(
        "positive-excluded", _excluded, "InfoNCE with the positive left out of the denominator",
        "nothing bounds it: at T = R it lies above I, and it grows without limit as the critic does",
        "the positive is one of its candidates", f"{POOLE}, section 2.1; on purpose in arXiv 2110.06848",
    ),
    _v(
        "masked-by-minus-10", _with_extra(MASKED),
        "InfoNCE with a candidate masked by the number −10 instead of removed",
        "not invariant to a shift: for scores near or below −10 the masked candidate takes over",
        "remove the candidate, or mask with −inf", "official code of " + HJELM,
    ),
    _v(
        "softmax-first", _softmax_first, "a softmax before a cross entropy that takes logits",
        "the second softmax sees numbers in [0, 1]: at most log K − log(1 + (K−1)/e), small gradients",
        "pass the raw scores", "torch.nn.functional.cross_entropy takes logits",
    ),
    _v(
        "no-logarithm", _shares_themselves, "the mean probability of the positive, without a logarithm",
        "no bound on I, in [0, 1]", "take its logarithm",
    ),
)  # fmt: skip


def _uniform(positives: Array, others: Array) -> Array:
    """Every candidate is as much a positive as the others."""
    mean = ops.add(positives, ops.total(others, axis=0)) * (1 / _count(others))
    return math.log(_count(others)) + _mean_log_share(mean, _everything(positives, others))


UNIFORM = _v(
    "label-smoothing", _uniform, "with label smoothing α = {}", "", "labels of 0 and 1: its optimum is no log ratio",
    "arXiv 1512.00567, section 7",
)  # fmt: skip
FORMULA = Formula(bounds.infonce_sampled, bounds._log_softmax_of_positive)
NUMERICAL = (
    _v(
        "naive-softmax", _naive, "log(e^T / Σ e^T) written out",
        "NaN above 88.7 in float32 (709.8 in float64), −inf where the share is below the number range", "use logsumexp",
    ),
    _v(
        "naive-exp-sum-log", naive_sum, "T − log Σ e^T without subtracting the maximum",
        "−inf above 88.7 in float32 (709.8 in float64), +inf far below 0", "use logsumexp",
    ),
)  # fmt: skip


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


def _both_axes(scores: Array) -> Array:
    return 0.5 * (bounds.infonce(scores) + bounds.infonce(_turned(scores)))


def _dv_all(scores: Array) -> Array:
    return bounds.dv(*everything(scores))


def _dv_off(scores: Array) -> Array:
    return bounds.dv(*negatives.all_pairs(scores))


def _all_pairs_apart(scores: Array) -> Array:
    """−mean over all pairs of the cross entropy with logits, label 1 on the diagonal."""
    joint, product = negatives.all_pairs(scores)
    n = scores.shape[0]
    return -(ops.mean(ops.softplus(-joint)) + (n - 1) * ops.mean(ops.softplus(product))) * (1 / n)


def _all_entries(scores: Array) -> Array:
    """log softmax over axis 0, averaged over all entries instead of the diagonal."""
    n = scores.shape[0]
    return math.log(n) + ops.mean(scores) - ops.mean(ops.logsumexp(scores, axis=0))


def _over_locations(scores: Array) -> Array:
    """The candidates of a positive are the locations of its own image."""
    square = scores if scores.ndim == 3 else ops.reshape(scores, (*scores.shape, 1))
    joint = negatives.all_pairs(square)[0]
    return math.log(square.shape[2]) + ops.mean(joint) - ops.mean(ops.logsumexp(joint, axis=1))


def _plus_location_pool(scores: Array) -> Array:
    """Scores averaged over the locations first."""
    return bounds.infonce(ops.mean(scores, axis=2) if scores.ndim == 3 else scores)


SQUARE_CONVENTIONS = (
    _v(
        "other-axis", lambda s: bounds.infonce(_turned(s)), "InfoNCE over the other axis: candidates y' for a fixed x",
        "as good a bound; invariant to c(x) in place of c(y)", "logsumexp over axis 0 of scores[i, j] = T(x_i, y_j)", OORD,
    ),
    _v(
        "both-axes", _both_axes, "InfoNCE averaged over both axes", "as good a bound, of twice the work",
        "take axis 0 alone", "arXiv 2103.00020 (CLIP)",
    ),
    _v(
        "dv-over-all-pairs", _dv_all, "DV over all N² pairs: one denominator for the whole batch",
        "never above InfoNCE, a bound too", "a denominator for each column", POOLE,
    ),
    _v(
        "all-locations", lambda s: bounds.infonce(s, "all-locations"),
        "InfoNCE with all locations of the other images as candidates", "the papers' loss, but no bound on I",
        "the same location of the other images", f"{HJELM}, eq. (5)",
    ),
    _v(
        "certified", bounds.infonce_certified, "InfoNCE over all locations, averaged to one candidate an image",
        "a bound on I too", "the same location of the other images", POOLE,
    ),
)  # fmt: skip
SQUARE_MISTAKES = (
    _v(
        "maximum-off-other-axis", lambda s: bounds.infonce(s - stop_gradient(s).max(axis=1, keepdims=True)),
        "InfoNCE of scores whose maximum was subtracted along the other axis",
        "another critic: the value is invariant to c(y), not to c(x)", "subtract the maximum along the candidates' axis",
    ),
    _v(
        "binary-cross-entropy", _all_pairs_apart,
        "a binary cross entropy over all N² pairs, each a decision of its own",
        "JSD with weights 1/N and 1 − 1/N, no InfoNCE",
        "a softmax over the candidates; as it is, audit it as jsd", "arXiv 1406.2661",
    ),
    _v(
        "all-entries-averaged", _all_entries, "the mean of the log softmax over all pairs instead of the diagonal",
        "every pair counts as a positive", "take the diagonal",
    ),
    _v(
        "candidates-along-locations", _over_locations,
        "InfoNCE whose candidates are the locations of the positive's own image",
        "no other image takes part", "logsumexp over the images",
    ),
    _v(
        "locations-averaged-first", _plus_location_pool, "InfoNCE of the scores' mean over locations",
        "one score for an image: the local objective becomes a global one", "the bound at each location, then the mean",
    ),
    _v(
        "off-diagonal-dv", _dv_off, "DV over the off-diagonal pairs: positives left out, one denominator for the batch",
        "without a ceiling: no estimate that N can certify", "a denominator for each column, the positive in it", POOLE,
    ),
)  # fmt: skip


def _wrap(variants: tuple[Variant, ...], wrap: Callable[[Any], Callable[[Inputs], Tree]]) -> tuple[Variant, ...]:
    return tuple(replace(v, function=wrap(v.function)) for v in variants)


def _shifted(inputs: Inputs) -> Inputs:
    scores = inputs["scores"]
    c = np.arange(scores.shape[1], dtype=scores.dtype).reshape(1, -1, *(1 for _ in scores.shape[2:]))
    return {"scores": scores + 2 * c - 3}


SHIFT = same_law("c(y)", "InfoNCE(T + c(y)) = InfoNCE(T)", f"{POOLE}, section 2.3", _shifted)
CEILING = ceiling_law("ceiling", "InfoNCE ≤ log N", f"{OORD}, eq. (5)", lambda i: math.log(len(i["scores"])))
COLUMNS = sum_law(
    "columns", "each column of the gradient sums to 0", f"{HJELM}, eq. (5)", lambda g: g["scores"].sum(axis=0)
)
SCORES = Signature(("scores",), differentiate=("scores",))


def _square_form() -> Form:
    return Form(
        "matrix",
        SCORES,
        "scores[i, j(, l)] = T(x_i, y_j), (N, N) or (N, N, L): candidates x' of one y along axis 0, K = N",
        draw_square,
        on_square(bounds.infonce),
        True,
        _wrap(SQUARE_CONVENTIONS, on_square),
        (
            *_wrap(MISTAKES, _on_columns),
            *_wrap(SQUARE_MISTAKES, on_square),
            *(replace(v, title=f"{v.title}, over the other axis") for v in _wrap(MISTAKES, _on_rows)),
            *(replace(v, title=f"{v.title}, averaged over both axes") for v in _wrap(MISTAKES, _on_both)),
        ),
        _wrap(NUMERICAL, _on_columns),
        (ORDER, CEILING, SHIFT, COLUMNS),
        range_of=("scores",),
        mixed=(
            *_wrap((UNIFORM,), _on_columns),
            *_wrap((UNIFORM,), _on_rows),
        ),
        **rewritten(
            (FORMULA, _on_columns, "InfoNCE"), (FORMULA, _on_rows, "InfoNCE over the other axis"),
            (FORMULA, _on_both, "InfoNCE averaged over both axes"),
        ),
    )  # fmt: skip


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


def _log_k(name: str, axis: int, more: int) -> Callable[[Inputs], float]:
    return lambda inputs: math.log(inputs[name].shape[axis] + more)


SAMPLED_FORM = Form(
    "sampled",
    Signature(("positives", "negatives"), differentiate=("positives", "negatives")),
    "positives (N,) or (N, L): T(x_j, y_j); negatives (K−1, N) or (K−1, N, L): T(x', y_j)",
    _draw_sampled,
    _on_sampled(reference),
    True,
    (),
    _wrap(MISTAKES, _on_sampled),
    _wrap(NUMERICAL, _on_sampled),
    (ceiling_law("ceiling", "InfoNCE ≤ log K", f"{OORD}, eq. (4)", _log_k("negatives", 0, 1)),),
    range_of=("positives", "negatives"),
    **rewritten((FORMULA, _on_sampled, "InfoNCE")),
)


def _wrong_axis(inputs: Inputs) -> Tree:
    first = ops.cut(inputs["logits"], (slice(None), slice(0, 1)))
    return {"value": math.log(len(first)) + ops.mean(first) - ops.mean(ops.logsumexp(first, axis=0))}


LOGITS_FORM = Form(
    "logits",
    Signature(("logits",), differentiate=("logits",)),
    "logits (N, K), one row a positive in column 0 and its K − 1 negatives, as for a cross entropy with label 0",
    _draw_logits,
    _on_logits(reference),
    True,
    (),
    (
        *_wrap(MISTAKES, _on_logits),
        Variant(
            "candidates-along-batch",
            "a softmax over the batch instead of over the candidates",
            _wrong_axis,
            "positives of other rows are the competitors",
            "softmax over axis 1",
            "",
        ),
    ),
    _wrap(NUMERICAL, _on_logits),
    (ceiling_law("ceiling", "InfoNCE ≤ log K", f"{OORD}, eq. (4)", _log_k("logits", 1, 0)),),
    range_of=("logits",),
    mixed=_wrap((UNIFORM,), _on_logits),
    **rewritten((FORMULA, _on_logits, "InfoNCE")),
)


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
        return math.log(_count(others)) + _mean_log_share(positives, everything)

    return bound


def _own_image_mistakes() -> tuple[Variant, ...]:
    """What one more candidate is on a square of images is the whole image of the positive here."""

    def of_all(key: str, kept: Callable[[Array], Array], what: str, in_front: bool = True) -> Variant:
        return _v(key, _own_image_kept(kept, in_front), f"InfoNCE with the positive's own image {what}",
                  "its locations count as negatives", "leave the image out whole")  # fmt: skip

    lowered = "masked by subtracting 10 from its scores instead of removing it"
    return (
        of_all("masked-by-minus-10", lambda own: 0 * own + MASKED, "masked by the score −10 instead of removed"),
        of_all("ten-subtracted", lambda own: own + MASKED, lowered, in_front=False),
        of_all("ten-subtracted", lambda own: own + MASKED, f"{lowered}, and the positive besides"),
        of_all("mask-multiplied", lambda own: 0 * own, "multiplied by 0 instead of removed"),
        of_all("positive-twice", lambda own: own, "among its negatives: the positive counts twice"),
    )


def _own_locations_too(scores: Array) -> Array:
    """Every location of every image is a candidate, the positive's own image included."""
    n, _, locations = scores.shape
    flat = ops.reshape(ops.transpose(scores, (0, 2, 1)), (n * locations, n))
    joint = negatives.all_pairs(scores)[0]
    return math.log(n * locations) + ops.mean(joint) - ops.mean(ops.logsumexp(flat, axis=0))


OWN_IMAGE = _own_image_mistakes()
ALL_LOCATIONS_MISTAKES = (*(v for v in MISTAKES if v.key != "masked-by-minus-10"), *OWN_IMAGE)
ALL_LOCATIONS_FORM = Form(
    "matrix",
    SCORES,
    "scores[i, j, l] = T(x_i at location l, y_j), (N, N, L): K = 1 + (N−1)·L candidates of each positive",
    draw_local_square,
    on_square(lambda s: bounds.infonce(s, "all-locations")),
    True,
    (
        _v(
            "same-location", on_square(bounds.infonce), "InfoNCE with the same location of the other images",
            "a bound on I, of N candidates", "take all locations of the others", HJELM,
        ),
        _v(
            "certified", on_square(bounds.infonce_certified), "InfoNCE over all locations, averaged to one an image",
            "a bound on I", "sum over the locations of the others", POOLE,
        ),
        _v(
            "own-locations-too", on_square(_own_locations_too),
            "InfoNCE with the other locations of the positive's own image among the candidates",
            "K = N·L; the image competes with itself", "leave the image's other locations out",
            "public code of arXiv 1905.09272's kind, on purpose",
        ),
    ),
    _wrap(ALL_LOCATIONS_MISTAKES, _on_all_locations),
    _wrap(NUMERICAL, _on_all_locations),
    (ORDER,),
    range_of=("scores",),
    **rewritten((FORMULA, _on_all_locations, "InfoNCE over all locations")),
)  # fmt: skip
CERTIFIED_FORM = replace(
    ALL_LOCATIONS_FORM,
    meaning="scores[i, j, l] = T(x_i at location l, y_j), (N, N, L): the others' locations are averaged",
    reference=on_square(bounds.infonce_certified),
    conventions=(
        ALL_LOCATIONS_FORM.conventions[0],
        replace(
            ALL_LOCATIONS_FORM.conventions[1], key="all-locations", title="InfoNCE over all locations",
            function=on_square(lambda s: bounds.infonce(s, "all-locations")), consequence="no bound on I",
            fix="average e^T over the locations of the others",
        ),
    ),
    mistakes=(
        _v(
            "missing-log-k", on_square(lambda s: bounds.infonce_certified(s) - math.log(len(s))),
            "certified InfoNCE without log N", "low by log N", "add log N", POOLE, True,
        ),
        _v(
            "log-k-of-all-locations",
            on_square(lambda s: bounds.infonce_certified(s) - math.log(s.shape[0])
                      + math.log(1 + (s.shape[0] - 1) * s.shape[2])),
            "certified InfoNCE with log(1 + (N−1)L) for log N", "above the ceiling log N: no bound", "add log N",
            POOLE, True,
        ),
    ),
    numerical=(),
    laws=(ORDER, CEILING),
    edits=tuple,
    pairs=tuple,
)  # fmt: skip


CONTRACTS = (
    Contract(
        "bound", "infonce", "InfoNCE, log K + mean(T_pos − log Σ_K e^T)", (_square_form(), SAMPLED_FORM, LOGITS_FORM),
        f"{HJELM}, eq. (5); {OORD}, eq. (4)",
    ),
    Contract(
        "bound", "infonce_all_locations", "InfoNCE over all locations of the other images", (ALL_LOCATIONS_FORM,),
        f"{HJELM}, eq. (5)",
    ),
    Contract(
        "bound", "infonce_certified", "InfoNCE over all locations, the others' averaged", (CERTIFIED_FORM,),
        f"{POOLE}, eq. (10)",
    ),
)  # fmt: skip
