"""Bounds from the scores of pairs: Donsker–Varadhan, NWJ, Jensen–Shannon, plug-in, TUBA, SMILE."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import autograd.numpy as anp
import numpy as np

from dimref import bounds, negatives, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.pieces import (
    BELGHAZI,
    HJELM,
    NOWOZIN,
    ORDER,
    POOLE,
    ceiling_law,
    constant,
    draw_pairs,
    draw_square,
    everything,
    on_everything,
    on_pairs,
    on_split,
    same_law,
    sum_law,
)
from dimref.audit.contract import Contract, Form, Sizes, TargetLaw, Variant
from dimref.tape import stop_gradient
from dimref.trees import Array

LOG_2 = math.log(2)
PUBLIC = "seen in public code"
Pairs = Callable[..., Array]


def _spec(
    key: str, function: Pairs, title: str, consequence: str, fix: str, source: str = PUBLIC, exact: bool = False
) -> Variant:
    """A variant whose function still takes (joint, product): each form wraps it."""
    return Variant(key, title, function, consequence, fix, source, exact)


# ---- the pieces that are put together wrongly


def _mean_exp(product: Array) -> Array:
    return ops.mean(anp.exp(product))


def _naive_softplus(x: Array) -> Array:
    return anp.log(1.0 + anp.exp(x))


def _naive_sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + anp.exp(-x))


def _top(x: Array) -> Array:
    """The maximum, as a constant."""
    return stop_gradient(x).max()


def _count(joint: Array, product: Array) -> tuple[float, float]:
    return float(joint.shape[0]), float(product.shape[0])


# ---- faults that any bound E_P[a(T)] − penalty may have


def _common(name: str, bound: Pairs) -> tuple[Variant, ...]:
    return (
        _spec(
            "product-detached", lambda j, p: bound(j, stop_gradient(p)), f"{name} with the product scores detached",
            "the value is right, the gradient in the product scores is 0: the critic grows without limit",
            "do not detach (stop_gradient, .data, no_grad) the scores of the product", exact=True,
        ),
        _spec(
            "joint-detached", lambda j, p: bound(stop_gradient(j), p), f"{name} with the joint scores detached",
            "the value is right, the gradient in the joint scores is 0",
            "do not detach (stop_gradient, .data, no_grad) the scores of the joint", exact=True,
        ),
        _spec(
            "roles-swapped", lambda j, p: bound(p, j), f"{name} with joint and product exchanged",
            "it is maximized by a critic that is wrong about every pair", "pass the diagonal pairs as the joint",
        ),
        _spec(
            "no-gradient", lambda j, p: bound(stop_gradient(j), stop_gradient(p)), f"{name} with all scores detached",
            "the value is right and nothing is learned", "keep the scores on the tape", exact=True,
        ),
        _spec(
            "relu-on-scores", lambda j, p: bound(ops.relu(j), ops.relu(p)), f"{name} of scores that end in a ReLU",
            "no score falls below 0: a pair of the product cannot be told to be one", "no ReLU on a final score", HJELM,
        ),
    )  # fmt: skip


def _both_summed(bound: Pairs) -> Pairs:
    """Both terms summed over their pairs: N·(term of the joint) + P·(term of the product)."""

    def value(joint: Array, product: Array) -> Array:
        at_zero = bound(0.0 * joint, 0.0 * product)
        of_joint = bound(joint, 0.0 * product) - at_zero
        n, p = _count(joint, product)
        return n * of_joint + p * (bound(joint, product) - of_joint - at_zero)

    return value


# ---- DV


def _dv_pooled(joint: Array, product: Array) -> Array:
    return ops.mean(joint) - ops.logmeanexp(product)


DV_CONVENTIONS = (
    _spec(
        "locations-pooled", _dv_pooled, "DV with all locations in one expectation",
        "never above the mean over locations, because log is concave",
        "take log E_Q[e^T] at each location, then the mean", f"official code of {HJELM}",
    ),
)  # fmt: skip
DV_MISTAKES = (
    _spec(
        "no-log", lambda j, p: ops.mean(j) - _mean_exp(p), "DV without the logarithm, E_P[T] − E_Q[e^T]",
        "a bound looser by 1 nat and more (the plug-in less 1); no longer invariant to a constant",
        "subtract log E_Q[e^T]", BELGHAZI,
    ),
    _spec(
        "sum-in-log", lambda j, p: ops.mean(j) - ops.mean(ops.logsumexp(p, axis=0)),
        "DV with the sum of e^T where its mean belongs", "low by log P: the gradient is right, the value no estimate",
        "use logmeanexp: logsumexp − log P", exact=True,
    ),
    _spec(
        "mean-of-scores", lambda j, p: ops.mean(j) - ops.mean(p), "E_P[T] − E_Q[T]: logarithm and mean exchanged",
        "above DV (Jensen) and without limit: no bound at all", "log of the mean of e^T, in that order",
    ),
    _spec(
        "joint-summed", lambda j, p: ops.total(j) / math.prod(j.shape[1:]) - ops.mean(ops.logmeanexp(p, axis=0)),
        "DV with the joint's scores summed instead of averaged", "the joint weighs N times too much: no bound",
        "take the mean over the joint",
    ),
    _spec(
        "both-exponential", lambda j, p: ops.mean(ops.logmeanexp(j, axis=0)) - ops.mean(ops.logmeanexp(p, axis=0)),
        "DV with log E[e^T] over the joint too", "above DV (Jensen): no bound", "E_P[T] is a plain mean",
    ),
    _spec(
        "maximum-kept", lambda j, p: ops.mean(j) - ops.mean(ops.logmeanexp(p, axis=0) - stop_gradient(p).max(axis=0)),
        "DV whose subtracted maximum is not added back", "the value is off by the largest score",
        "log E[e^T] = m + log E[e^{T−m}]",
    ),
    *(
        _spec(
            f"epsilon-{e:.0e}".replace("e-0", "e-"),
            lambda j, p, e=e: ops.mean(j) - ops.mean(anp.log(ops.mean(anp.exp(p), axis=0) + e)),
            f"DV with {e:g} added inside the logarithm", f"log E_Q[e^T] cannot fall below {math.log(e):.1f} nats",
            "use logsumexp: nothing has to be added",
        )
        for e in (1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5)
    ),
)  # fmt: skip
DV_NUMERICAL = (
    _spec(
        "naive-exp-mean-log", lambda j, p: ops.mean(j) - ops.mean(anp.log(ops.mean(anp.exp(p), axis=0))),
        "log(mean(exp(T))) without subtracting the maximum",
        "inf above 88.7 in float32 (709.8 in float64), −inf far below 0", "use logsumexp",
    ),
)  # fmt: skip


# ---- NWJ and the plug-in


NWJ_CONVENTIONS = (
    _spec(
        "critic-less-one", lambda j, p: bounds.plug_in(j, p), "NWJ of T + 1: 1 + E_P[T] − E_Q[e^T]",
        "as tight a bound, at T = R in place of R + 1", "NWJ of T itself is E_P[T] − E_Q[e^{T−1}]", POOLE,
    ),
)  # fmt: skip
NWJ_MISTAKES = (
    _spec(
        "no-minus-one", lambda j, p: ops.mean(j) - _mean_exp(p), "NWJ without the −1, E_P[T] − E_Q[e^T]",
        "still below I, but by 1 nat at its best: its maximum is I − 1", "E_P[T] − E_Q[e^{T−1}], or add 1", NOWOZIN, True,
    ),
    _spec(
        "minus-one-on-both", lambda j, p: bounds.nwj(j, p) - 1.0, "NWJ with the −1 on the joint's scores too",
        "low by 1 nat", "the −1 stands in the exponent alone", exact=True,
    ),
    _spec(
        "logarithm-kept", lambda j, p: bounds.dv(j, p), "DV: a logarithm where NWJ has none",
        "larger than NWJ and biased from one batch", "E_Q[e^{T−1}] without log",
    ),
    _spec(
        "plus-one", lambda j, p: ops.mean(j) - ops.mean(anp.exp(p + 1.0)), "NWJ with e^{T+1} for e^{T−1}",
        "its maximum is I − 2", "e^{T−1}",
    ),
    _spec(
        "scores-averaged", lambda j, p: ops.mean(j) - anp.exp(ops.mean(p) - 1.0),
        "NWJ with the product's scores averaged before the exponential", "above NWJ (Jensen): no bound",
        "the mean of e^{T−1}",
    ),
    _spec(
        "product-summed", lambda j, p: ops.mean(j) - ops.mean(ops.total(anp.exp(p - 1.0), axis=0)),
        "NWJ with the product's e^{T−1} summed instead of averaged", "far too low, the more so the larger the batch",
        "take the mean over the product",
    ),
    _spec(
        "scores-averaged-by-location", lambda j, p: ops.mean(j) - ops.mean(anp.exp(ops.mean(p, axis=0) - 1.0)),
        "NWJ with the product's scores averaged at each location before the exponential", "above NWJ (Jensen): no bound",
        "the mean of e^{T−1}",
    ),
    _spec(
        "both-summed", _both_summed(bounds.nwj), "NWJ with both terms summed instead of averaged",
        "the larger set weighs more: no bound", "take the mean of each",
    ),
    _spec(
        "softplus-for-exp", lambda j, p: ops.mean(j) - ops.mean(ops.softplus(p)), "E_P[T] − E_Q[log(1 + e^T)]",
        "grows without limit with a constant: no bound", "e^{T−1}",
    ),
)  # fmt: skip
PLUG_IN_CONVENTIONS: tuple[Variant, ...] = ()
PLUG_IN_MISTAKES = (
    _spec(
        "read-by-nwj", lambda j, p: bounds.nwj(j, p), "a critic trained with JSD, read through NWJ's e^{T−1}",
        "low by 1/e = 0.37 nats at JSD's best critic", "1 + E_P[T] − E_Q[e^T]", POOLE,
    ),
    _spec(
        "no-constant", lambda j, p: ops.mean(j) - _mean_exp(p), "the plug-in without its 1",
        "low by 1 nat", "add 1", exact=True,
    ),
    _spec(
        "joint-mean-alone", lambda j, p: ops.mean(j) + 0.0 * ops.mean(p), "E_P[T] alone",
        "no bound: it doubles when the critic does", "1 + E_P[T] − E_Q[e^T]", POOLE,
    ),
    _spec(
        "logarithm-kept", lambda j, p: bounds.dv(j, p), "DV: a logarithm where the plug-in has none",
        "larger, and biased from one batch", "E_Q[e^T] without log",
    ),
    _spec(
        "product-summed", lambda j, p: 1.0 + ops.mean(j) - ops.mean(ops.total(anp.exp(p), axis=0)),
        "the plug-in with e^T summed instead of averaged",
        "far too low, the more so the larger the batch", "take the mean over the product", PUBLIC,
    ),
)  # fmt: skip


# ---- JSD


def _jsd_counted(joint: Array, product: Array) -> Array:
    n, p = _count(joint, product)
    both = n * ops.mean(ops.softplus(-joint)) + p * ops.mean(ops.softplus(product))
    return 2 * (LOG_2 - both / (n + p))


JSD_CONVENTIONS = (
    _spec(
        "js-itself", lambda j, p: 0.5 * bounds.jsd(j, p), "half of JSD: a bound on JS(P‖Q) itself, ≤ log 2, not on 2·JS",
        "half of the reference's value and gradient", "double it", NOWOZIN, True,
    ),
    _spec(
        "weighted-by-count", _jsd_counted, "JSD with every pair of equal weight, as a plain binary cross entropy",
        "a JS with weights N and P instead of ½, ½: its ceiling is lower, but for P = N",
        "take the two means apart", "the binary cross entropy of arXiv 1406.2661 on an unbalanced batch",
    ),
)  # fmt: skip
JSD_MISTAKES = (
    _spec(
        "log-2-dropped-once", constant(bounds.jsd, lambda *_: -LOG_2), "JSD with log 2 in one term only",
        "low by log 2 = 0.693 nats; the gradient is right", "the two terms carry log 2 each", HJELM, True,
    ),
    _spec(
        "log-2-dropped-twice", constant(bounds.jsd, lambda *_: -2 * LOG_2), "JSD without its 2 log 2",
        "low by log 4 = 1.386 nats, never above 0; the gradient is right", "add 2 log 2", NOWOZIN, True,
    ),
    _spec(
        "log-2-wrong-sign", constant(bounds.jsd, lambda *_: -4 * LOG_2), "JSD with 2 log 2 subtracted",
        "low by 2.77 nats; the gradient is right", "add 2 log 2", exact=True,
    ),
    _spec(
        "logits-averaged", lambda j, p: 2 * LOG_2 - ops.mean(ops.softplus(-j)) - ops.softplus(ops.mean(p)),
        "JSD with the negatives' logits averaged before softplus",
        "too high (Jensen): confident mistakes among the negatives cancel", "softplus first, then the mean",
    ),
    _spec(
        "logits-averaged-by-location",
        lambda j, p: 2 * LOG_2 - ops.mean(ops.softplus(-j)) - ops.mean(ops.softplus(ops.mean(p, axis=0))),
        "JSD with the negatives' logits averaged at each location before softplus",
        "too high (Jensen): confident mistakes among the negatives cancel", "softplus first, then the mean",
    ),
    _spec(
        "all-logits-averaged", lambda j, p: 2 * LOG_2 - ops.softplus(-ops.mean(j)) - ops.softplus(ops.mean(p)),
        "JSD of the mean scores", "too high (Jensen), and blind to all but two numbers", "softplus first, then the mean",
    ),
    _spec(
        "maximum-subtracted", lambda j, p: 2 * LOG_2 - ops.mean(ops.softplus(-j)) - ops.mean(ops.softplus(p - _top(p))),
        "JSD with the product's maximum subtracted inside softplus",
        "the negatives' scale is lost: softplus, unlike logsumexp, is not invariant to a shift",
        "softplus by logaddexp needs no maximum",
    ),
    _spec(
        "maximum-subtracted-both",
        lambda j, p: 2 * LOG_2
        - ops.mean(ops.softplus(-(j - _both_top(j, p))))
        - ops.mean(ops.softplus(p - _both_top(j, p))),
        "JSD with the maximum of all scores subtracted first",
        "softplus, unlike logsumexp, is not invariant to a shift", "softplus by logaddexp needs no maximum",
    ),
    _spec(
        "maximum-subtracted-each",
        lambda j, p: 2 * LOG_2 - ops.mean(ops.softplus(-(j - _top(j)))) - ops.mean(ops.softplus(p - _top(p))),
        "JSD with each part's own maximum subtracted first",
        "softplus, unlike logsumexp, is not invariant to a shift", "softplus by logaddexp needs no maximum",
    ),
    _spec(
        "same-sign", lambda j, p: 2 * LOG_2 - ops.mean(ops.softplus(-j)) - ops.mean(ops.softplus(-p)),
        "JSD with −T in both softplus", "the negatives are pushed up with the positives",
        "sp(−T) on the joint, sp(T) on the product",
    ),
    _spec(
        "product-summed",
        lambda j, p: 2 * LOG_2 - ops.mean(ops.softplus(-j)) - ops.mean(ops.total(ops.softplus(p), axis=0)),
        "JSD with the negatives' terms summed instead of averaged", "the negatives weigh P times too much",
        "take the mean over the product",
    ),
    _spec(
        "both-summed", _both_summed(bounds.jsd), "JSD with both terms summed instead of averaged",
        "the larger set weighs more, and the step grows with the batch", "take the mean of each",
    ),
    _spec(
        "negatives-alone", lambda j, p: 2 * LOG_2 - ops.mean(ops.softplus(p)) + 0.0 * ops.mean(j),
        "JSD's term of the product alone", "the joint has no gradient", "add −E_P[sp(−T)]",
    ),
    _spec(
        "positives-alone", lambda j, p: 2 * LOG_2 - ops.mean(ops.softplus(-j)) + 0.0 * ops.mean(p),
        "JSD's term of the joint alone", "the product has no gradient", "add −E_Q[sp(T)]",
    ),
    _spec(
        "product-exponential", lambda j, p: 2 * LOG_2 - ops.mean(ops.softplus(-j)) - _mean_exp(p),
        "JSD with e^T in place of sp(T)", "overflows, and is no bound on JS", "softplus",
    ),
    _spec(
        "softplus-squashed",
        lambda j, p: 2 * LOG_2 - ops.mean(ops.softplus(-ops.sigmoid(j))) - ops.mean(ops.softplus(ops.sigmoid(p))),
        "JSD of σ(T): a sigmoid before a cross entropy that takes logits",
        "the scores are squeezed into (0, 1): the bound cannot come near log 4", "pass the raw scores",
    ),
    *(
        _spec(
            f"epsilon-{e:.0e}".replace("e-0", "e-"),
            lambda j, p, e=e: 2 * LOG_2
            + ops.mean(anp.log(ops.sigmoid(j) + e))
            + ops.mean(anp.log(ops.sigmoid(-p) + e)),
            f"JSD by log(σ + {e:g})", f"a term cannot fall below {math.log(e):.1f} nats: no gradient where it matters most",
            "use softplus of the logits: nothing has to be added",
        )
        for e in (1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5)
    ),
)  # fmt: skip


def _both_top(joint: Array, product: Array) -> Array:
    return anp.maximum(_top(joint), _top(product))


JSD_NUMERICAL = (
    _spec(
        "naive-softplus",
        lambda j, p: 2 * LOG_2 - ops.mean(_naive_softplus(-j)) - ops.mean(_naive_softplus(p)),
        "log(1 + e^t) written out", "inf, with a NaN gradient, above 88.7 in float32 (709.8 in float64)",
        "logaddexp(0, t), or the framework's softplus",
    ),
    _spec(
        "naive-log-sigmoid",
        lambda j, p: 2 * LOG_2 + ops.mean(anp.log(_naive_sigmoid(j))) + ops.mean(anp.log(1.0 - _naive_sigmoid(p))),
        "log σ(T) and log(1 − σ(T)) written out",
        "log(1 − σ) is −inf from T = 17 on in float32 (37 in float64)", "−softplus(−T) and −softplus(T)",
    ),
    _spec(
        "naive-cross-entropy-clamped",
        lambda j, p: 2 * LOG_2
        + ops.mean(anp.maximum(anp.log(_naive_sigmoid(j)), -100.0))
        + ops.mean(anp.maximum(anp.log(1.0 - _naive_sigmoid(p)), -100.0)),
        "a binary cross entropy of σ(T), its logarithms clamped at −100",
        "loses its accuracy, then its gradient, from T = 17 on in float32 (37 in float64)",
        "the cross entropy that takes logits",
    ),
)  # fmt: skip


# ---- SMILE and TUBA


def _smile_clipped_both(joint: Array, product: Array, tau: float) -> Array:
    return bounds.smile(anp.clip(joint, -tau, tau), product, tau)


def _smile_above_only(joint: Array, product: Array, tau: float) -> Array:
    return ops.mean(joint) - ops.mean(ops.logmeanexp(anp.clip(product, -np.inf, tau), axis=0))


def _smile_log_clipped(joint: Array, product: Array, tau: float) -> Array:
    return ops.mean(joint) - ops.mean(anp.clip(ops.logmeanexp(product, axis=0), -tau, tau))


def _smile_pooled(joint: Array, product: Array, tau: float) -> Array:
    return _dv_pooled(joint, anp.clip(product, -tau, tau))


SMILE_CONVENTIONS = (
    _spec(
        "locations-pooled", _smile_pooled, "SMILE with all locations in one expectation",
        "never above the mean over locations, because log is concave",
        "take log E_Q[clip(e^T)] at each location, then the mean",
    ),
    _spec(
        "jsd-gradient", lambda j, p, tau: _surrogate(bounds.jsd(j, p), bounds.smile(j, p, tau)),
        "SMILE's value with JSD's gradient, as its authors train it", "an estimate, not an objective of its own",
        "no need", "arXiv 1910.06222, section 5; its public code",
    ),
)  # fmt: skip
SMILE_MISTAKES = (
    _spec(
        "joint-clipped-too", _smile_clipped_both, "SMILE with the joint's scores clipped too",
        "the value cannot exceed 2τ, and large scores have no gradient", "clip the product alone",
    ),
    _spec(
        "clipped-above-only", _smile_above_only, "SMILE clipped at +τ alone", "small e^T count as they are",
        "clip to [−τ, τ]",
    ),
    _spec(
        "logarithm-clipped", _smile_log_clipped, "SMILE with log E_Q[e^T] clipped instead of e^T",
        "one large score still rules the mean", "clip T before the exponential",
    ),
    _spec(
        "not-clipped", lambda j, p, tau: bounds.dv(j, p), "DV: nothing is clipped", "the variance that τ is to cut stays",
        "clip T of the product to ±τ",
    ),
    _spec(
        "clipped-without-exponential",
        lambda j, p, tau: ops.mean(j) - ops.mean(anp.log(ops.mean(anp.clip(anp.exp(p), -tau, tau), axis=0))),
        "SMILE with e^T clipped to ±τ instead of e^{±τ}", "clips at log τ nats", "clip T to ±τ, or e^T to e^{±τ}",
    ),
)  # fmt: skip


def _surrogate(gradient_of: Array, value_of: Array) -> Array:
    """The value of one, the gradient of the other."""
    return gradient_of + (stop_gradient(value_of) - stop_gradient(gradient_of))


TUBA_MISTAKES = (
    _spec(
        "baseline-on-joint-missing", lambda j, p, a, b: bounds.tuba(j, p, 0.0 * a, b),
        "TUBA without −log a(y) on the joint", "high by E_P[log a]: no bound", "subtract log a(y) there too", POOLE,
    ),
    _spec(
        "baseline-ignored", lambda j, p, a, b: bounds.plug_in(j, p) + 0.0 * (ops.mean(a) + ops.mean(b)),
        "the plug-in: a(y) is not used", "looser than with its baseline", "subtract log a(y) from T", POOLE,
    ),
    _spec(
        "baseline-multiplied", lambda j, p, a, b: 1.0 + ops.mean(j - a) - ops.mean(anp.exp(p + b)),
        "TUBA with e^T·a for e^T/a", "no bound", "divide by a(y)", POOLE,
    ),
    _spec(
        "no-constant", lambda j, p, a, b: bounds.tuba(j, p, a, b) - 1.0, "TUBA without its 1", "low by 1 nat", "add 1",
        POOLE, True,
    ),
    _spec(
        "baseline-detached", lambda j, p, a, b: bounds.tuba(j, p, stop_gradient(a), stop_gradient(b)),
        "TUBA with the baseline detached", "the baseline is never trained", "keep log a on the tape", POOLE, True,
    ),
)  # fmt: skip


# ---- forms


def _wrapped(variants: tuple[Variant, ...], wrap: Callable[..., Callable]) -> tuple[Variant, ...]:
    return tuple(replace(v, function=wrap(v.function)) for v in variants)


def _together(bound: Pairs, conventions: tuple[Variant, ...]) -> list[tuple[Pairs, str, str]]:
    """The bound at each location and, where that is a convention, of all of them together; suffixes of key and title."""
    pooled = [v.function for v in conventions if v.key == "locations-pooled"]
    return [(bound, "", ""), *((function, "-pooled", ", all locations together") for function in pooled)]


def _with_diagonal(name: str, bound: Pairs, conventions: tuple[Variant, ...], *more: str) -> Iterator[Variant]:
    """All N² pairs as the product."""
    for function, suffix, words in _together(bound, conventions):
        yield Variant(
            f"diagonal-included{suffix}", f"{name} with the diagonal among the product's pairs (all N²){words}",
            on_everything(function, *more),
            "it bounds the divergence of P from (1 − 1/N)·Q + P/N, which is below that from Q: valid, and biased low",
            "leave the N diagonal pairs out of the product", HJELM,
        )  # fmt: skip


def _neighbours(name: str, bound: Pairs, conventions: tuple[Variant, ...], *more: str) -> Iterator[Variant]:
    """N sampled pairs in place of all N(N − 1)."""

    def value(function: Pairs, shift: int, inputs: Inputs) -> dict[str, Array]:
        joint, pairs = everything(inputs["scores"])
        n = joint.shape[0]
        product = ops.gather(pairs, np.arange(n) * n + negatives.roll(n, shift))
        return {"value": function(joint, product, *(inputs[each] for each in more))}

    for function, suffix, words in _together(bound, conventions):
        for shift, which in ((1, "next"), (-1, "previous")):
            yield Variant(
                f"{which}-neighbour{suffix}", f"{name} whose negatives are each sample's {which} neighbour alone{words}",
                partial(value, function, shift), "N sampled pairs for N(N − 1): the same expectation, with more noise",
                "average over all off-diagonal pairs", "`dimref.negatives.roll`",
            )  # fmt: skip


def _mask_multiplied(name: str, bound: Pairs) -> Variant:
    def function(inputs: Inputs) -> dict[str, Array]:
        scores = inputs["scores"]
        n = scores.shape[0]
        off = np.ones((n, n, *(1 for _ in scores.shape[2:])), stop_gradient(scores).dtype)
        off[np.arange(n), np.arange(n)] = 0
        joint, masked = everything(scores)[0], everything(scores * off)[1]
        return {"value": bound(joint, masked)}

    return Variant(
        "mask-multiplied",
        f"{name} with the scores multiplied by the mask: the diagonal counts as N negatives of score 0",
        function,
        "N negatives that nobody scored are added: a constant pull, not invariant to a shift",
        "drop the diagonal, or give it weight 0 after the nonlinearity",
        PUBLIC,
    )


def _masked_by_minus_ten(name: str, bound: Pairs) -> Variant:
    def function(inputs: Inputs) -> dict[str, Array]:
        scores = inputs["scores"]
        n = scores.shape[0]
        own = np.eye(n, dtype=stop_gradient(scores).dtype).reshape(n, n, *(1 for _ in scores.shape[2:]))
        return {"value": bound(everything(scores)[0], everything(scores * (1 - own) - 10 * own)[1])}

    return Variant(
        "masked-by-minus-10",
        f"{name} with the diagonal masked by the number −10 instead of removed",
        function,
        "not invariant to a shift: N negatives of score −10, which for scores near or below that take over",
        "drop the diagonal, or mask with −inf",
        f"official code of {HJELM}",
    )


def _diagonal_over_all(name: str, bound: Pairs) -> Variant:
    """Off-diagonal terms summed and divided by N²: e.g. (softplus(T) * mask).mean()."""
    return Variant(
        "masked-mean",
        f"{name} with the off-diagonal terms divided by N² instead of N(N − 1)",
        on_split(bound),
        "the negatives weigh (N − 1)/N of what they should",
        "divide by the number of pairs that are left",
        PUBLIC,
        exact=name == "DV",
    )


def forms(
    name: str,
    bound: Pairs,
    conventions: tuple[Variant, ...],
    mistakes: tuple[Variant, ...],
    numerical: tuple[Variant, ...] = (),
    laws: tuple[TargetLaw, ...] = (),
    square_laws: tuple[TargetLaw, ...] = (),
    masked: Pairs | None = None,
    symmetric: bool = False,
) -> tuple[Form, ...]:
    """The two ways to call a bound of two sets of scores: as pairs, and as a square.

    Args:
        bound, conventions, mistakes, numerical: functions of (joint, product).
        laws, square_laws: of each form.
        masked: the bound with its off-diagonal terms divided by N² instead of N(N − 1).
        symmetric: whether exchanging joint and product gives the same bound of −T.
    """
    common = tuple(v for v in _common(name, bound) if not (symmetric and v.key == "roles-swapped"))
    mistakes = (*mistakes, *common)
    more = (
        _mask_multiplied(name, bound),
        _masked_by_minus_ten(name, bound),
        *((_diagonal_over_all(name, masked),) if masked else ()),
    )
    pairs = Form(
        "pairs",
        Signature(("joint", "product"), differentiate=("joint", "product")),
        "joint (N,) or (N, L), product (P,) or (P, L): scores of pairs; returns a scalar in nats",
        draw_pairs,
        on_pairs(bound),
        True,
        _wrapped(conventions, on_pairs),
        _wrapped(mistakes, on_pairs),
        _wrapped(numerical, on_pairs),
        (ORDER, *laws),
        range_of=("joint", "product"),
    )
    square = Form(
        "matrix",
        Signature(("scores",), differentiate=("scores",)),
        "scores[i, j(, l)] = T(x_i, y_j), (N, N) or (N, N, L): the diagonal is the joint, the rest the product",
        draw_square,
        on_split(bound),
        True,
        (
            *_wrapped(conventions, on_split),
            *_with_diagonal(name, bound, conventions),
            *_neighbours(name, bound, conventions),
        ),
        (*more, *_wrapped(mistakes, on_split)),
        _wrapped(numerical, on_split),
        (ORDER, *square_laws),
        range_of=("scores",),
    )
    return pairs, square


def _shifted(inputs: Inputs) -> Inputs:
    return {name: (a + np.asarray(3, a.dtype)) if isinstance(a, np.ndarray) else a for name, a in inputs.items()}


SHIFT = same_law("constant", "DV(T + c) = DV(T)", f"{BELGHAZI}, eq. (10)", _shifted)
JSD_CEILING = ceiling_law("ceiling", "JSD ≤ log 4", f"{NOWOZIN}, table 2", lambda inputs: math.log(4))
DV_GRADIENT = sum_law(
    "gradient", "∂DV/∂joint sums to 1, ∂DV/∂product to −1", f"{BELGHAZI}, eq. (12)",
    lambda g: np.array([g["joint"].sum() - 1, g["product"].sum() + 1]),
)  # fmt: skip
DV_SQUARE_GRADIENT = sum_law(
    "gradient", "the gradient of DV sums to 0", f"{BELGHAZI}, eq. (12)", lambda g: g["scores"].sum()
)


def _joint_gradient(which: str) -> TargetLaw:
    return sum_law("gradient", "∂/∂joint sums to 1", which, lambda g: g["joint"].sum() - 1)


def _off_mean(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Over the off-diagonal pairs only, but divided by N² as if there were as many."""

    def mean(product: Array) -> Array:
        pairs = product.shape[0]
        n = (1 + math.sqrt(1 + 4 * pairs)) / 2
        return ops.mean(function(product)) * ((n - 1) / n)

    return mean


def _with_tau(rng: np.random.Generator, sizes: Sizes, square: bool = False) -> Inputs:
    """No score lies at ±τ, where a clip has a kink: whether its gradient there is 0 or 1 is the framework's choice."""
    draw = draw_square if square else draw_pairs
    return {**draw(rng, sizes), "tau": float(rng.choice([0.503, 1.003, 2.003, 5.003]))}


def _with_baselines(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    case = draw_pairs(rng, sizes)
    logs = {f"{name}_log_a": np.round(rng.standard_normal(a.shape), 2).astype(a.dtype) for name, a in case.items()}
    return {**case, **logs}


def _smile_forms() -> tuple[Form, ...]:
    pairs = Form(
        "pairs", Signature(("joint", "product", "tau"), differentiate=("joint", "product")),
        "joint (N,) or (N, L), product (P,) or (P, L), tau a number; returns a scalar in nats",
        _with_tau, on_pairs(bounds.smile, "tau"), True,
        _wrapped(SMILE_CONVENTIONS, partial_more("tau", on_pairs)),
        _wrapped(SMILE_MISTAKES, partial_more("tau", on_pairs)), laws=(ORDER,), range_of=("joint", "product"),
    )  # fmt: skip
    square = Form(
        "matrix", Signature(("scores", "tau"), differentiate=("scores",)),
        "scores (N, N) or (N, N, L), tau a number; the diagonal is the joint, the rest the product",
        partial(_with_tau, square=True), on_split(bounds.smile, "tau"), True,
        (
            *_wrapped(SMILE_CONVENTIONS, partial_more("tau", on_split)),
            *_with_diagonal("SMILE", bounds.smile, SMILE_CONVENTIONS, "tau"),
            *_neighbours("SMILE", bounds.smile, SMILE_CONVENTIONS, "tau"),
        ),
        _wrapped(SMILE_MISTAKES, partial_more("tau", on_split)),
        laws=(ORDER,), range_of=("scores",),
    )  # fmt: skip
    return pairs, square


def partial_more(name: str, wrap: Callable[..., Callable]) -> Callable[..., Callable]:
    """A wrapper that also passes the input of that name."""
    return lambda function: wrap(function, name)


def _tuba_forms() -> tuple[Form, ...]:
    names = ("joint", "product", "joint_log_a", "product_log_a")
    more = names[2:]
    return (
        Form(
            "pairs", Signature(names, differentiate=names),
            "joint, joint_log_a (N,) or (N, L); product, product_log_a (P,) or (P, L): scores, and log a(y) of each pair",
            _with_baselines, on_pairs(bounds.tuba, *more), True,
            mistakes=tuple(replace(v, function=on_pairs(v.function, *more)) for v in TUBA_MISTAKES), laws=(ORDER,),
            range_of=("joint", "product"),
        ),
    )  # fmt: skip


CONTRACTS = (
    Contract(
        "bound", "dv", "Donsker–Varadhan's bound, E_P[T] − log E_Q[e^T]",
        forms("DV", bounds.dv, DV_CONVENTIONS, DV_MISTAKES, DV_NUMERICAL, (SHIFT, DV_GRADIENT),
              (SHIFT, DV_SQUARE_GRADIENT),
              masked=lambda j, p: ops.mean(j) - ops.mean(ops.logmeanexp(p, axis=0))
              - math.log((n := (1 + math.sqrt(1 + 4 * p.shape[0])) / 2) - 1) + math.log(n)),
        f"{BELGHAZI}, eq. (10)",
    ),
    Contract(
        "bound", "nwj", "Nguyen–Wainwright–Jordan's bound (f-GAN's KL), E_P[T] − E_Q[e^{T−1}]",
        forms("NWJ", bounds.nwj, NWJ_CONVENTIONS, NWJ_MISTAKES, laws=(_joint_gradient(NOWOZIN),),
              masked=lambda j, p: ops.mean(j) - _off_mean(lambda t: anp.exp(t - 1.0))(p)),
        f"{NOWOZIN}, eq. (4)",
    ),
    Contract(
        "bound", "jsd", "the Jensen–Shannon bound, 2 log 2 − E_P[sp(−T)] − E_Q[sp(T)]",
        forms("JSD", bounds.jsd, JSD_CONVENTIONS, JSD_MISTAKES, JSD_NUMERICAL, (JSD_CEILING,), (JSD_CEILING,),
              masked=lambda j, p: 2 * LOG_2 - ops.mean(ops.softplus(-j)) - _off_mean(ops.softplus)(p)),
        f"{HJELM}, eq. (4)",
    ),
    Contract(
        "bound", "plug_in", "an estimate of I from JSD's critic, 1 + E_P[T] − E_Q[e^T]",
        forms("the plug-in", bounds.plug_in, PLUG_IN_CONVENTIONS, PLUG_IN_MISTAKES, laws=(_joint_gradient(POOLE),),
              masked=lambda j, p: 1.0 + ops.mean(j) - _off_mean(anp.exp)(p)),
        f"{POOLE}, section 2",
    ),
    Contract("bound", "smile", "SMILE, E_P[T] − log E_Q[clip(e^T, e^−τ, e^τ)]", _smile_forms(), "arXiv 1910.06222"),
    Contract("bound", "tuba", "TUBA, 1 + E_P[T − log a] − E_Q[e^T/a]", _tuba_forms(), f"{POOLE}, eq. (6)"),
)  # fmt: skip
