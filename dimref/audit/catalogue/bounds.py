"""Bounds from the scores of pairs: Donsker–Varadhan, NWJ, Jensen–Shannon, plug-in, TUBA, SMILE."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

import autograd.numpy as anp
import numpy as np

from dimref import bounds, negatives, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import Row, wrapped
from dimref.audit.catalogue.pieces import (
    BELGHAZI,
    HJELM,
    NOWOZIN,
    ORDER,
    POOLE,
    ceiling_law,
    changed,
    draw_pairs,
    draw_square,
    everything,
    on_pairs,
    on_split,
    same_law,
    sum_law,
)
from dimref.audit.contract import Contract, Form, Sizes, TargetLaw
from dimref.audit.edits import Formula, rewritten
from dimref.tape import stop_gradient
from dimref.trees import Array, Tree

Pairs = Callable[..., Array]
CODE, PUBLIC = f"official code of {HJELM}", "github.com/rdevon/DIM, cortex_DIM/functions/dim_losses.py"


# ---- what else a bound of pairs may be


def _naive_softplus(x: Array) -> Array:
    return anp.log(1.0 + anp.exp(x))


def _sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + anp.exp(-x))


def _dv_pooled(joint: Array, product: Array) -> Array:
    return ops.mean(joint) - ops.logmeanexp(product)


def _jsd_counted(joint: Array, product: Array) -> Array:
    n, p = float(joint.shape[0]), float(product.shape[0])
    both = n * ops.mean(ops.softplus(-joint)) + p * ops.mean(ops.softplus(product))
    return 2 * (math.log(2) - both / (n + p))


def _jsd_of(log_share: Callable[[Array], Array], log_rest: Callable[[Array], Array]) -> Pairs:
    """JSD from log σ(T) and log(1 − σ(T)) as they are written."""
    return lambda j, p: math.log(4) + ops.mean(log_share(j)) + ops.mean(log_rest(p))


def _cut(x: Array) -> Array:
    return anp.maximum(anp.log(x), -100.0)


def _surrogate(gradient_of: Array, value_of: Array) -> Array:
    """The value of one, the gradient of the other."""
    return gradient_of + (stop_gradient(value_of) - stop_gradient(gradient_of))


# fmt: off
POOLED = "never above the mean over locations, because log is concave"
SOFTPLUS = "logaddexp(0, t), or the framework's softplus; the cross entropy that takes logits"
DV_CONVENTIONS: tuple[Row, ...] = (
    ("locations-pooled", _dv_pooled, "DV with all locations in one expectation",
     "take log E_Q[e^T] at each location, then the mean", CODE, POOLED),
)
DV_NUMERICAL: tuple[Row, ...] = (
    ("naive-exp-mean-log", lambda j, p: ops.mean(j) - ops.mean(anp.log(ops.mean(anp.exp(p), axis=0))),
     "log(mean(exp(T))) without subtracting the maximum", "use logsumexp", "",
     "inf above 88.7 in float32 (709.8 in float64), −inf far below 0"),
)
NWJ_CONVENTIONS: tuple[Row, ...] = (
    ("critic-less-one", lambda j, p: bounds.plug_in(j, p), "NWJ of T + 1: 1 + E_P[T] − E_Q[e^T]",
     "NWJ of T itself is E_P[T] − E_Q[e^{T−1}]", POOLE, "as tight a bound, at T = R in place of R + 1"),
)
NWJ_MISTAKES: tuple[Row, ...] = (
    ("softplus-for-exp", lambda j, p: ops.mean(j) - ops.mean(ops.softplus(p)), "E_P[T] − E_Q[log(1 + e^T)]", "e^{T−1}", "",
     "grows without limit with a constant: no bound"),
)
JSD_CONVENTIONS: tuple[Row, ...] = (
    ("js-itself", lambda j, p: 0.5 * bounds.jsd(j, p), "half of JSD: a bound on JS(P‖Q) itself, ≤ log 2, not on 2·JS",
     "double it",
     NOWOZIN, "half of the reference's value and gradient", True),
    ("weighted-by-count", _jsd_counted, "JSD with every pair of equal weight, as a plain binary cross entropy",
     "take the two means apart", "the binary cross entropy of arXiv 1406.2661 on an unbalanced batch",
     "a JS with weights N and P instead of ½, ½: its ceiling is lower, but for P = N"),
)
JSD_NUMERICAL: tuple[Row, ...] = (
    ("naive-softplus", _jsd_of(lambda t: -_naive_softplus(-t), lambda t: -_naive_softplus(t)),
     "log(1 + e^t) written out", SOFTPLUS,
     "", "inf, with a NaN gradient, above 88.7 in float32 (709.8 in float64)"),
    ("naive-log-sigmoid", _jsd_of(lambda t: anp.log(_sigmoid(t)), lambda t: anp.log(1.0 - _sigmoid(t))),
     "log σ(T) and log(1 − σ(T)) written out", SOFTPLUS, "", "log(1 − σ) is −inf from T = 17 on in float32 (37 in float64)"),
    ("naive-cross-entropy-clamped", _jsd_of(lambda t: _cut(_sigmoid(t)), lambda t: _cut(1.0 - _sigmoid(t))),
     "a binary cross entropy of σ(T), its logarithms clamped at −100", SOFTPLUS, "torch.nn.functional.binary_cross_entropy",
     "loses its accuracy, then its gradient, from T = 17 on in float32 (37 in float64)"),
)
SMILE_CONVENTIONS: tuple[Row, ...] = (
    ("locations-pooled", lambda j, p, tau: _dv_pooled(j, anp.clip(p, -tau, tau)),
     "SMILE with all locations in one expectation",
     "take log E_Q[clip(e^T)] at each location, then the mean", "", POOLED),
    ("jsd-gradient", lambda j, p, tau: _surrogate(bounds.jsd(j, p), bounds.smile(j, p, tau)),
     "SMILE's value with JSD's gradient, as its authors train it", "no need", "arXiv 1910.06222, section 5; its public code",
     "an estimate, not an objective of its own"),
)
SMILE_MISTAKES: tuple[Row, ...] = (
    ("clipped-without-exponential",
     lambda j, p, tau: ops.mean(j) - ops.mean(anp.log(ops.mean(anp.clip(anp.exp(p), -tau, tau), axis=0))),
     "SMILE with e^T clipped to ±τ instead of e^{±τ}", "clip T to ±τ, or e^T to e^{±τ}", "", "clips at log τ nats"),
)
# fmt: on


# ---- forms


def _of_square(
    name: str, bound: Pairs, conventions: Iterable[Row], more: tuple[str, ...]
) -> tuple[list[Row], list[Row], list[Row]]:
    """Conventions and mistakes of a square, also at its extremes: other pairs than the diagonal and the rest."""

    def on(pairs: Callable[[Array], tuple[Array, Array]], function: Pairs = bound) -> Callable[[Inputs], Tree]:
        return lambda inputs: {"value": function(*pairs(inputs["scores"]), *(inputs[each] for each in more))}

    def neighbours(shift: int, scores: Array) -> tuple[Array, Array]:
        joint, pairs = everything(scores)
        n = joint.shape[0]
        return joint, ops.gather(pairs, np.arange(n) * n + negatives.roll(n, shift))

    def masked(scores: Array, by: float) -> tuple[Array, Array]:
        return negatives.all_pairs(scores)[0], changed(scores, 0.0, by)

    def multiplied(inputs: Inputs) -> Tree:
        pairs, rest = everything(inputs["scores"])[1], tuple(inputs[each] for each in more)
        return {"value": bound(*negatives.all_pairs(inputs["scores"]), *rest) + 0.0 * bound(pairs, pairs, *rest)}

    valid: list[Row] = []
    pooled = [function for key, function, *_ in conventions if key == "locations-pooled"]
    for function, suffix, words in ((bound, "", ""), *((f, "-pooled", ", all locations together") for f in pooled)):
        valid.append((
            f"diagonal-included{suffix}", on(everything, function),
            f"{name} with the diagonal among the product's pairs (all N²){words}",
            "leave the N diagonal pairs out of the product", HJELM,
            "it bounds the divergence of P from (1 − 1/N)·Q + P/N, which is below that from Q: valid, and biased low",
        ))  # fmt: skip
        for shift, which in ((1, "next"), (-1, "previous")):
            valid.append((
                f"{which}-neighbour{suffix}", on(partial(neighbours, shift), function),
                f"{name} whose negatives are each sample's {which} neighbour alone{words}",
                "average over all off-diagonal pairs", "`dimref.negatives.roll`",
                "N sampled pairs for N(N − 1): the same expectation, with more noise",
            ))  # fmt: skip
    wrong: list[Row] = [
        ("mask-multiplied", on(partial(masked, by=0.0)),
         f"{name} with the scores multiplied by the mask: the diagonal counts as N negatives of score 0",
         "drop the diagonal, or give it weight 0 after the nonlinearity", "",
         "N negatives that nobody scored are added: a constant pull, not invariant to a shift"),
        ("masked-by-minus-10", on(partial(masked, by=-10.0)),
         f"{name} with the diagonal masked by the number −10 instead of removed",
         "drop the diagonal, or mask with −inf", CODE,
         "not invariant to a shift: N negatives of score −10, which for scores near or below that take over"),
    ]  # fmt: skip
    unstable: list[Row] = [
        ("masked-infinity", multiplied,
         f"{name}'s terms of all N² pairs, those left out multiplied by 0 afterwards: 0 · ∞",
         "index the pairs that count, or torch.where before the exponential", f"{PUBLIC}, fenchel_dual_loss",
         "NaN where a pair that does not count leaves the number range"),
    ]  # fmt: skip
    return valid, wrong, unstable


def _dv_below_masked(inputs: Inputs) -> Tree:
    """DV's log Σ with the diagonal lowered by 100 under the maximum that is subtracted, and 1e-6 in the logarithm."""
    joint, product = negatives.all_pairs(inputs["scores"])
    lowered = stop_gradient(changed(inputs["scores"], 1.0, -100.0))
    highest, pairs = lowered.max(), len(product)
    total = ops.total(anp.exp(product - highest)) / math.prod(product.shape[1:])
    return {"value": ops.mean(joint) - (anp.log(total + 1e-6) + highest - math.log(pairs))}


DV_SQUARE_NUMERICAL: tuple[Row, ...] = (
    ("epsilon", _dv_below_masked,
     "ε = 1e-6 inside the logarithm, beside exponentials less a maximum that a left-out pair may hold",
     "take the maximum of the pairs that count: logsumexp of them alone",
     "github.com/sunfanyunn/InfoGraph, unsupervised/cortex_DIM/functions/dim_losses.py, donsker_varadhan_loss"),
)  # fmt: skip
OTHERS = (("DV", bounds.dv), ("NWJ", bounds.nwj), ("JSD", bounds.jsd), ("the plug-in", bounds.plug_in))
Draw = Callable[[np.random.Generator, Sizes], Inputs]


def forms(
    name: str, bound: Pairs, conventions: tuple[Row, ...] = (), mistakes: tuple[Row, ...] = (),
    numerical: tuple[Row, ...] = (), laws: tuple[TargetLaw, ...] = (), square_laws: tuple[TargetLaw, ...] = (),
    more: tuple[str, ...] = (), draws: tuple[Draw, Draw] = (draw_pairs, draw_square), masks: bool = True,
    square_numerical: tuple[Row, ...] = (),
) -> tuple[Form, Form]:  # fmt: skip
    """The two ways to call a bound of two sets of scores: as pairs, and as a square.

    Args:
        bound, conventions, mistakes, numerical: functions of (joint, product), and of `more` inputs.
        laws, square_laws: of each form.
        masks: whether a square's diagonal may be masked by a number.
        square_numerical: more of `numerical`, of the square alone: functions of inputs by name.
    """
    valid, wrong, unstable = _of_square(name, bound, conventions, more)

    def form(kind: str, scores: tuple[str, ...], meaning: str, draw: Draw, on: Callable[..., Callable[[Inputs], Tree]],
             laws: tuple[TargetLaw, ...], valid: Iterable[Row] = (), wrong: Iterable[Row] = (),
             unstable: Iterable[Row] = ()) -> Form:  # fmt: skip
        def wrap(function: Pairs) -> Callable[[Inputs], Tree]:
            return on(function, *more)

        def same(function: Callable[[Inputs], Tree]) -> Callable[[Inputs], Tree]:
            return function

        return Form(
            kind, Signature((*scores, *more), differentiate=scores), meaning, draw, wrap(bound), True,
            (*wrapped(conventions, wrap), *wrapped(valid, same)), (*wrapped(wrong, same), *wrapped(mistakes, wrap)),
            (*wrapped(numerical, wrap), *wrapped(unstable, same)), (ORDER, *laws), range_of=scores,
            **rewritten((Formula(bound), wrap, name), others=() if more else OTHERS),
        )  # fmt: skip

    also = "".join(f", {each} a number" for each in more)
    return (
        form("pairs", ("joint", "product"), f"joint (N,) or (N, L), product (P,) or (P, L): scores of pairs{also}; returns "
             "a scalar in nats", draws[0], on_pairs, laws),
        form("matrix", ("scores",),
             f"scores[i, j(, l)] = T(x_i, y_j), (N, N) or (N, N, L){also}: the diagonal is the joint, "
             "the rest the product", draws[1], on_split, square_laws, valid, wrong if masks else (),
             (*unstable, *square_numerical)),
    )  # fmt: skip


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


def _tuba_form() -> Form:
    names = ("joint", "product", "joint_log_a", "product_log_a")
    return Form(
        "pairs", Signature(names, differentiate=names),
        "joint, joint_log_a (N,) or (N, L); product, product_log_a (P,) or (P, L): scores, and log a(y) of each pair",
        _with_baselines, on_pairs(bounds.tuba, *names[2:]), True, laws=(ORDER,), range_of=("joint", "product"),
        **rewritten((Formula(bounds.tuba, bounds.plug_in), lambda f: on_pairs(f, *names[2:]), "TUBA")),
    )  # fmt: skip


# fmt: off
CONTRACTS = (
    Contract("bound", "dv", "Donsker–Varadhan's bound, E_P[T] − log E_Q[e^T]",
             forms("DV", bounds.dv, DV_CONVENTIONS, (), DV_NUMERICAL, (SHIFT, DV_GRADIENT), (SHIFT, DV_SQUARE_GRADIENT),
                   square_numerical=DV_SQUARE_NUMERICAL),
             f"{BELGHAZI}, eq. (10)"),
    Contract("bound", "nwj", "Nguyen–Wainwright–Jordan's bound (f-GAN's KL), E_P[T] − E_Q[e^{T−1}]",
             forms("NWJ", bounds.nwj, NWJ_CONVENTIONS, NWJ_MISTAKES, laws=(_joint_gradient(NOWOZIN),)),
             f"{NOWOZIN}, eq. (4)"),
    Contract("bound", "jsd", "the Jensen–Shannon bound, 2 log 2 − E_P[sp(−T)] − E_Q[sp(T)]",
             forms("JSD", bounds.jsd, JSD_CONVENTIONS, (), JSD_NUMERICAL, (JSD_CEILING,), (JSD_CEILING,)),
             f"{HJELM}, eq. (4)"),
    Contract("bound", "plug_in", "an estimate of I from JSD's critic, 1 + E_P[T] − E_Q[e^T]",
             forms("the plug-in", bounds.plug_in, laws=(_joint_gradient(POOLE),)), f"{POOLE}, section 2"),
    Contract("bound", "smile", "SMILE, E_P[T] − log E_Q[clip(e^T, e^−τ, e^τ)]",
             forms("SMILE", bounds.smile, SMILE_CONVENTIONS, SMILE_MISTAKES, more=("tau",),
                   draws=(_with_tau, partial(_with_tau, square=True)), masks=False), "arXiv 1910.06222"),
    Contract("bound", "tuba", "TUBA, 1 + E_P[T − log a] − E_Q[e^T/a]", (_tuba_form(),), f"{POOLE}, eq. (6)"),
)
