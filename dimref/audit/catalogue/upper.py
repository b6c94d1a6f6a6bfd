"""Upper bounds on I, and the interpolation of TUBA and InfoNCE: from scores, as `dimref.bounds` has them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import autograd.numpy as anp
import numpy as np

from dimref import bounds, negatives, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import Row, wrapped
from dimref.audit.catalogue.pieces import (
    ORDER,
    POOLE,
    draw_pairs,
    draw_square,
    everything,
    on_pairs,
    on_split,
    on_square,
    same_law,
    sum_law,
)
from dimref.audit.contract import Contract, Form, Sizes, TargetLaw
from dimref.audit.edits import Formula, rewritten
from dimref.trees import Array, Tree

CLUB, CLUB_CODE = "arXiv 2006.12013, theorem 3.1", "github.com/Linear95/CLUB, mi_estimators.py"
LEAVE_ONE_OUT = f"{POOLE}, section 2 (leave one out upper bound)"
INTERPOLATED = f"{POOLE}, section 2 (nonlinearly interpolated lower bounds)"


def _columns(scores: Array) -> tuple[Array, Array]:
    """The positive of each column, (N, L), and its N − 1 others, (N − 1, N, L)."""
    joint, product = negatives.all_pairs(_turned(scores))
    n = joint.shape[0]
    return ops.reshape(joint, (n, -1)), ops.transpose(ops.reshape(product, (n, n - 1, -1)), (1, 0, 2))


def _turned(scores: Array) -> Array:
    return ops.transpose(scores, (1, 0, *range(2, scores.ndim)))


def _shifted(*names: str) -> Callable[[Inputs], Inputs]:
    """3 added to some inputs, arrays or numbers."""
    return lambda inputs: {name: entry + 3 if name in names else entry for name, entry in inputs.items()}


# ---- leave one out


def _masked(scores: Array) -> Array:
    """The positive lowered by 20 in place of left out."""
    positive, others = _columns(scores)
    every = anp.logaddexp(ops.logsumexp(others, axis=0), positive - 20.0)
    return ops.mean(positive - every) + math.log(others.shape[0])


def _mask_broadcast(scores: Array) -> Array:
    """A mask (N, N, 1) beside scores (N, N): the logarithm sums over copies of one score, and the mean is over all pairs."""
    n = scores.shape[0]
    joint, every = everything(scores)
    return ops.mean(joint) - ops.mean(every) - math.log((n - 1 + math.exp(-20)) / (n - 1))


# ---- the interpolated InfoNCE


def _draw_interpolated(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    drawn = draw_square(rng, replace(sizes, n=max(3, sizes.n)))
    return {**drawn, "log_a": float(rng.choice([-1.0, 0.5, 1.0])), "alpha": float(rng.choice([0.01, 0.25, 0.5, 0.9]))}


def _interpolated(function: Callable[[Array, float, float], Array]) -> Callable[[Inputs], Tree]:
    return lambda inputs: {"value": function(inputs["scores"], inputs["log_a"], inputs["alpha"])}


def _b(log_m: Array, log_a: float, alpha: float) -> Array:
    return anp.logaddexp(log_m + math.log(alpha), math.log(1 - alpha) + log_a)


def _one_average(which: str) -> Callable[[Array, float, float], Array]:
    """One m for both terms: over all N candidates, or over the N − 1 negatives."""

    def function(scores: Array, log_a: float, alpha: float) -> Array:
        positive, others = _columns(scores)
        log_sum, count = ops.logsumexp(others, axis=0), others.shape[0]
        if which == "all":
            log_sum, count = anp.logaddexp(log_sum, positive), count + 1
        log_b = _b(log_sum - math.log(count), log_a, alpha)
        return 1.0 + ops.mean(positive - log_b) - ops.mean(anp.exp(others - log_b))

    return function


# ---- forms


def _of_scores(signature: Signature, meaning: str, draw: Any, function: Callable[..., Array], title: str, wrap: Any,
               conventions: tuple[Row, ...], mistakes: tuple[Row, ...], laws: tuple[TargetLaw, ...]) -> Form:  # fmt: skip
    return Form(
        "matrix", signature, meaning, draw, wrap(function), True, wrapped(conventions, wrap), wrapped(mistakes, wrap),
        laws=(ORDER, *laws), range_of=("scores",), **rewritten((Formula(function), wrap, title)),
    )  # fmt: skip


# fmt: off
SCORES = Signature(("scores",), differentiate=("scores",))
LEAVE_ONE_OUT_FORM = _of_scores(
    SCORES, "scores[i, j(, l)] = log p(y_j | x_i), (N, N) or (N, N, L): each y_j against the N − 1 other x; above I at R",
    draw_square, bounds.leave_one_out, "leave-one-out", on_square, (
        ("other-axis", lambda s: bounds.leave_one_out(_turned(s)), "leave-one-out over the y of one x",
         "average over axis 0",
         LEAVE_ONE_OUT, "a bound on I too, for scores log p(x|y)"),
    ), (
        ("positive-included", bounds.infonce, "InfoNCE: the positive is among the candidates", "leave the positive out",
         LEAVE_ONE_OUT, "a lower bound on I, at most log N"),
        ("positive-lowered-by-20", _masked, "leave-one-out whose positive is lowered by 20, not left out",
         "mask it with −inf",
         CLUB_CODE, "from 20 nats above the others on it counts again: the value ends at log(N − 1) + 20"),
        ("mask-broadcast", _mask_broadcast, "CLUB: a mask (N, N, 1) beside scores (N, N) makes an axis of copies",
         "a mask of the scores' own shape", CLUB_CODE, "no mean of e^T is left: E[T_pos] − E[T] over all pairs"),
    ), (
        same_law("shift-of-y", "leave-one-out(T + c) is the same", LEAVE_ONE_OUT, _shifted("scores")),
        sum_law("columns", "each column of the gradient sums to 0", LEAVE_ONE_OUT, lambda g: g["scores"].sum(axis=0)),
    ))
CLUB_OTHERS = (("DV", bounds.dv), ("the plug-in", bounds.plug_in))
CLUB_PAIRS = Form(
    "pairs", Signature(("joint", "product"), differentiate=("joint", "product")),
    "joint (N,) or (N, L), product (P,) or (P, L): log q(y|x) of pairs; no bound on I unless q is p(y|x)",
    draw_pairs, on_pairs(bounds.club), True,
    laws=(ORDER, same_law("shift", "CLUB(T + c) = CLUB(T)", CLUB, _shifted("joint", "product"))),
    range_of=("joint", "product"),
    **rewritten((Formula(bounds.club), on_pairs, "CLUB"), others=CLUB_OTHERS),
)
CLUB_MATRIX = Form(
    "matrix", SCORES,
    "scores[i, j(, l)] = log q(y_j | x_i), (N, N) or (N, N, L): the diagonal is the joint, the rest the product",
    draw_square, on_split(bounds.club), True, wrapped((
        ("diagonal-included", lambda s: bounds.club(*everything(s)),
         "CLUB with the diagonal among the product's pairs (all N²), as its authors have it",
         "leave the diagonal out of the product", CLUB_CODE,
         "(N − 1)/N times the other: at R no longer above I where KL(Q‖P) < I/(N − 1)"),
    ), on_square), laws=(ORDER, same_law("shift", "CLUB(T + c) = CLUB(T)", CLUB, _shifted("scores"))), range_of=("scores",),
    **rewritten((Formula(bounds.club), on_split, "CLUB"), others=CLUB_OTHERS),
)
INTERPOLATED_FORM = _of_scores(
    Signature(("scores", "log_a", "alpha"), differentiate=("scores",)),
    "scores (N, N) or (N, N, L), N ≥ 3; log a, α numbers; K = N − 1 candidates in both terms, one x left out in turn",
    _draw_interpolated, bounds.infonce_interpolated, "the interpolated bound", _interpolated, (
        ("other-axis", lambda s, a, w: bounds.infonce_interpolated(_turned(s), a, w),
         "the interpolated bound over the y of one x",
         "m over axis 0", INTERPOLATED, "a bound on I too"),
    ), (
        ("alpha-swapped", lambda s, a, w: bounds.infonce_interpolated(s, a, 1 - w),
         "the interpolated bound with α and 1 − α exchanged", "b = α·m + (1 − α)·a", INTERPOLATED,
         "near TUBA where InfoNCE is meant"),
        ("a-for-log-a", lambda s, a, w: bounds.infonce_interpolated(s, math.exp(a), w),
         "the interpolated bound with e^a for a",
         "a is e^{log a}", INTERPOLATED, "another baseline"),
        ("positive-in-both", _one_average("all"), "the interpolated bound whose m has the positive in the second term too",
         "leave the positive out of m there", INTERPOLATED, "E[e^T/b] is of dependent pairs: no bound"),
        ("positive-in-neither", _one_average("negatives"), "the interpolated bound whose m has the positive in no term",
         "m has the positive where T_pos is", INTERPOLATED, "at α = 1 it is leave-one-out, an upper bound at R"),
    ), (same_law("shift", "the bound of (T + c, log a + c) is that of (T, log a)", INTERPOLATED,
                 _shifted("scores", "log_a")),))
CONTRACTS = (
    Contract("bound", "leave_one_out", "the leave-one-out upper bound, E[T_pos − log mean of the others' e^T]",
             (LEAVE_ONE_OUT_FORM,), LEAVE_ONE_OUT),
    Contract("bound", "club", "CLUB, E_P[T] − E_Q[T]: above I only if q is p(y|x)", (CLUB_PAIRS, CLUB_MATRIX), CLUB),
    Contract("bound", "infonce_interpolated", "α-InfoNCE, between TUBA and InfoNCE", (INTERPOLATED_FORM,), INTERPOLATED),
)
