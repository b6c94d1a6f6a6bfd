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
    draw_pairs,
    draw_square,
    everything,
    on_everything,
    on_pairs,
    on_split,
    on_square,
    same_law,
    sum_law,
)
from dimref.audit.contract import Contract, Form, Sizes, TargetLaw, Variant
from dimref.audit.edits import Formula, rewritten
from dimref.tape import stop_gradient
from dimref.trees import Array

LOG_2 = math.log(2)
Pairs = Callable[..., Array]


def _spec(
    key: str, function: Pairs, title: str, consequence: str, fix: str, source: str = "", exact: bool = False
) -> Variant:
    """A variant whose function still takes (joint, product): each form wraps it."""
    return Variant(key, title, function, consequence, fix, source, exact)


# ---- what else a bound of pairs may be


def _naive_softplus(x: Array) -> Array:
    return anp.log(1.0 + anp.exp(x))


def _naive_sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + anp.exp(-x))


def _dv_pooled(joint: Array, product: Array) -> Array:
    return ops.mean(joint) - ops.logmeanexp(product)


def _jsd_counted(joint: Array, product: Array) -> Array:
    n, p = float(joint.shape[0]), float(product.shape[0])
    both = n * ops.mean(ops.softplus(-joint)) + p * ops.mean(ops.softplus(product))
    return 2 * (LOG_2 - both / (n + p))


def _surrogate(gradient_of: Array, value_of: Array) -> Array:
    """The value of one, the gradient of the other."""
    return gradient_of + (stop_gradient(value_of) - stop_gradient(gradient_of))


DV_CONVENTIONS = (
    _spec(
        "locations-pooled", _dv_pooled, "DV with all locations in one expectation",
        "never above the mean over locations, because log is concave",
        "take log E_Q[e^T] at each location, then the mean", f"official code of {HJELM}",
    ),
)  # fmt: skip
DV_NUMERICAL = (
    _spec(
        "naive-exp-mean-log", lambda j, p: ops.mean(j) - ops.mean(anp.log(ops.mean(anp.exp(p), axis=0))),
        "log(mean(exp(T))) without subtracting the maximum",
        "inf above 88.7 in float32 (709.8 in float64), −inf far below 0", "use logsumexp",
    ),
)  # fmt: skip
NWJ_CONVENTIONS = (
    _spec(
        "critic-less-one", lambda j, p: bounds.plug_in(j, p), "NWJ of T + 1: 1 + E_P[T] − E_Q[e^T]",
        "as tight a bound, at T = R in place of R + 1", "NWJ of T itself is E_P[T] − E_Q[e^{T−1}]", POOLE,
    ),
)  # fmt: skip
NWJ_MISTAKES = (
    _spec(
        "softplus-for-exp", lambda j, p: ops.mean(j) - ops.mean(ops.softplus(p)), "E_P[T] − E_Q[log(1 + e^T)]",
        "grows without limit with a constant: no bound", "e^{T−1}",
    ),
)  # fmt: skip
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
        "",
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


def _multiplied_after(name: str, bound: Pairs) -> Variant:
    """The terms of all N² pairs, those left out times 0: 0 · ∞ where one of them leaves the number range."""

    def function(inputs: Inputs) -> dict[str, Array]:
        pairs = everything(inputs["scores"])[1]
        return {"value": on_split(bound)(inputs)["value"] + 0.0 * bound(pairs, pairs)}

    return Variant(
        "masked-infinity", f"{name}'s terms of all N² pairs, those left out multiplied by 0 afterwards: 0 · ∞", function,
        "NaN where a pair that does not count leaves the number range", "index the pairs that count, or torch.where before "
        "the exponential", "github.com/rdevon/DIM, cortex_DIM/functions/dim_losses.py, fenchel_dual_loss",
    )  # fmt: skip


def _dv_below_masked(scores: Array) -> Array:
    """DV's log Σ with the diagonal lowered by 100 under the maximum that is subtracted, and 1e-6 in the logarithm."""
    n = scores.shape[0]
    own = np.eye(n, dtype=stop_gradient(scores).dtype).reshape(n, n, *(1 for _ in scores.shape[2:]))
    lowered = scores - 100.0 * own
    highest = stop_gradient(lowered).max()
    total = ops.total(anp.exp(lowered - highest) * (1 - own)) / math.prod(scores.shape[2:])
    return ops.mean(everything(scores)[0]) - (anp.log(total + 1e-6) + highest - math.log(n * n - n))


DV_SQUARE_NUMERICAL = Variant(
    "epsilon", "ε = 1e-6 inside the logarithm, beside exponentials less a maximum that a left-out pair may hold",
    on_square(_dv_below_masked), "", "take the maximum of the pairs that count: logsumexp of them alone",
    "github.com/sunfanyunn/InfoGraph, unsupervised/cortex_DIM/functions/dim_losses.py, donsker_varadhan_loss",
)  # fmt: skip
OTHERS = (("DV", bounds.dv), ("NWJ", bounds.nwj), ("JSD", bounds.jsd), ("the plug-in", bounds.plug_in))


def forms(
    name: str,
    bound: Pairs,
    conventions: tuple[Variant, ...],
    mistakes: tuple[Variant, ...] = (),
    numerical: tuple[Variant, ...] = (),
    laws: tuple[TargetLaw, ...] = (),
    square_laws: tuple[TargetLaw, ...] = (),
    square_numerical: tuple[Variant, ...] = (),
) -> tuple[Form, ...]:
    """The two ways to call a bound of two sets of scores: as pairs, and as a square.

    Args:
        bound, conventions, mistakes, numerical: functions of (joint, product).
        laws, square_laws: of each form.
        square_numerical: more of these, of the square alone.
    """
    formula = Formula(bound)
    more = (_mask_multiplied(name, bound), _masked_by_minus_ten(name, bound))
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
        **rewritten((formula, on_pairs, name), others=OTHERS),
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
        (*_wrapped(numerical, on_split), _multiplied_after(name, bound), *square_numerical),
        (ORDER, *square_laws),
        range_of=("scores",),
        **rewritten((formula, on_split, name), others=OTHERS),
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


def _with_tau(rng: np.random.Generator, sizes: Sizes, square: bool = False) -> Inputs:
    """No score lies at ±τ, where a clip has a kink: whether its gradient there is 0 or 1 is the framework's choice."""
    draw = draw_square if square else draw_pairs
    return {**draw(rng, sizes), "tau": float(rng.choice([0.503, 1.003, 2.003, 5.003]))}


def _with_baselines(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    case = draw_pairs(rng, sizes)
    logs = {f"{name}_log_a": np.round(rng.standard_normal(a.shape), 2).astype(a.dtype) for name, a in case.items()}
    return {**case, **logs}


def _clipped_outside(j: Array, p: Array, tau: float) -> Array:
    return ops.mean(j) - ops.mean(anp.log(ops.mean(anp.clip(anp.exp(p), -tau, tau), axis=0)))


SMILE_MISTAKES = (
    _spec(
        "clipped-without-exponential", _clipped_outside, "SMILE with e^T clipped to ±τ instead of e^{±τ}",
        "clips at log τ nats", "clip T to ±τ, or e^T to e^{±τ}",
    ),
)  # fmt: skip


def _smile_forms() -> tuple[Form, ...]:
    formula = Formula(bounds.smile)
    pairs = Form(
        "pairs", Signature(("joint", "product", "tau"), differentiate=("joint", "product")),
        "joint (N,) or (N, L), product (P,) or (P, L), tau a number; returns a scalar in nats",
        _with_tau, on_pairs(bounds.smile, "tau"), True, _wrapped(SMILE_CONVENTIONS, partial_more("tau", on_pairs)),
        _wrapped(SMILE_MISTAKES, partial_more("tau", on_pairs)), laws=(ORDER,), range_of=("joint", "product"),
        **rewritten((formula, partial_more("tau", on_pairs), "SMILE")),
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
        laws=(ORDER,), range_of=("scores",), **rewritten((formula, partial_more("tau", on_split), "SMILE")),
    )  # fmt: skip
    return pairs, square


def partial_more(name: str, wrap: Callable[..., Callable]) -> Callable[..., Callable]:
    """A wrapper that also passes the input of that name."""
    return lambda function: wrap(function, name)


def _tuba_forms() -> tuple[Form, ...]:
    names = ("joint", "product", "joint_log_a", "product_log_a")
    return (
        Form(
            "pairs", Signature(names, differentiate=names),
            "joint, joint_log_a (N,) or (N, L); product, product_log_a (P,) or (P, L): scores, and log a(y) of each pair",
            _with_baselines, on_pairs(bounds.tuba, *names[2:]), True, laws=(ORDER,), range_of=("joint", "product"),
            **rewritten((Formula(bounds.tuba, bounds.plug_in), lambda f: on_pairs(f, *names[2:]), "TUBA")),
        ),
    )  # fmt: skip


CONTRACTS = (
    Contract(
        "bound", "dv", "Donsker–Varadhan's bound, E_P[T] − log E_Q[e^T]",
        forms("DV", bounds.dv, DV_CONVENTIONS, (), DV_NUMERICAL, (SHIFT, DV_GRADIENT), (SHIFT, DV_SQUARE_GRADIENT),
              (DV_SQUARE_NUMERICAL,)),
        f"{BELGHAZI}, eq. (10)",
    ),
    Contract(
        "bound", "nwj", "Nguyen–Wainwright–Jordan's bound (f-GAN's KL), E_P[T] − E_Q[e^{T−1}]",
        forms("NWJ", bounds.nwj, NWJ_CONVENTIONS, NWJ_MISTAKES, laws=(_joint_gradient(NOWOZIN),)), f"{NOWOZIN}, eq. (4)",
    ),
    Contract(
        "bound", "jsd", "the Jensen–Shannon bound, 2 log 2 − E_P[sp(−T)] − E_Q[sp(T)]",
        forms("JSD", bounds.jsd, JSD_CONVENTIONS, (), JSD_NUMERICAL, (JSD_CEILING,), (JSD_CEILING,)), f"{HJELM}, eq. (4)",
    ),
    Contract(
        "bound", "plug_in", "an estimate of I from JSD's critic, 1 + E_P[T] − E_Q[e^T]",
        forms("the plug-in", bounds.plug_in, (), laws=(_joint_gradient(POOLE),)), f"{POOLE}, section 2",
    ),
    Contract("bound", "smile", "SMILE, E_P[T] − log E_Q[clip(e^T, e^−τ, e^τ)]", _smile_forms(), "arXiv 1910.06222"),
    Contract("bound", "tuba", "TUBA, 1 + E_P[T − log a] − E_Q[e^T/a]", _tuba_forms(), f"{POOLE}, eq. (6)"),
)  # fmt: skip
