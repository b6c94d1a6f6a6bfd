"""Lower bounds on other f-divergences, E_P[T] − E_Q[f*(T)], from raw scores v by an output activation T = g(v)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import autograd.numpy as anp

from dimref import ops
from dimref.audit.catalogue.bounds import forms
from dimref.audit.catalogue.pieces import HJELM, NOWOZIN
from dimref.audit.contract import Contract, Variant
from dimref.trees import Array

PUBLIC = "seen in public code"
OFFICIAL = f"official code of {HJELM}"


@dataclass(frozen=True)
class Divergence:
    """gain(v) = g(v) and cost(v) = f*(g(v)): the bound is E_P[gain] − E_Q[cost]."""

    gain: Callable[[Array], Array]
    cost: Callable[[Array], Array]

    def __call__(self, joint: Array, product: Array) -> Array:
        return ops.mean(self.gain(joint)) - ops.mean(self.cost(product))


def _identity(v: Array) -> Array:
    return v


def _v(key: str, function: Callable[..., Array], title: str, consequence: str, fix: str,
       source: str = PUBLIC, exact: bool = False) -> Variant:  # fmt: skip
    return Variant(key, title, function, consequence, fix, source, exact)


def _square(v: Array) -> Array:
    return v * v


CHI2 = Divergence(_identity, lambda v: v + 0.25 * _square(v))
REVERSE_KL = Divergence(lambda v: -anp.exp(-v), lambda v: v - 1.0)
HELLINGER = Divergence(lambda v: 1.0 - anp.exp(-v), lambda v: anp.exp(v) - 1.0)
TOTAL_VARIATION = Divergence(lambda v: 0.5 * anp.tanh(v), lambda v: 0.5 * anp.tanh(v))
GAN = Divergence(lambda v: -ops.softplus(-v), ops.softplus)


def _mixed(gain: Callable[[Array], Array], cost: Callable[[Array], Array]) -> Divergence:
    return Divergence(gain, cost)


CHI2_MISTAKES = (
    _v(
        "squared-scores", _mixed(_square, lambda v: 0.5 * _square(anp.abs(v) + 1.0)),
        "E_P[v²] − E_Q[½(|v| + 1)²]", "no bound on χ²: even in v, so a critic's sign is lost",
        "E_P[v] − E_Q[v + v²/4]", OFFICIAL,
    ),
    _v(
        "squared-scores-negative", _mixed(_square, lambda v: -0.5 * _square(anp.abs(v) + 1.0)),
        "E_P[v²] + E_Q[½(|v| + 1)²]", "both terms are pushed up: no divergence", "E_P[v] − E_Q[v + v²/4]", OFFICIAL,
    ),
    _v(
        "quarter-missing", _mixed(_identity, lambda v: v + _square(v)), "χ² with v² for v²/4 in the conjugate",
        "its maximum is χ²/4", "f*(t) = t + t²/4", NOWOZIN,
    ),
    _v(
        "half-for-quarter", _mixed(_identity, lambda v: v + 0.5 * _square(v)), "χ² with v²/2 for v²/4 in the conjugate",
        "its maximum is χ²/2", "f*(t) = t + t²/4", NOWOZIN,
    ),
    _v(
        "linear-term-missing", _mixed(_identity, lambda v: 0.25 * _square(v)), "χ² without the linear term of f*",
        "above χ²: no bound", "f*(t) = t + t²/4", NOWOZIN,
    ),
    _v(
        "linear-term-sign", _mixed(_identity, lambda v: 0.25 * _square(v) - v), "χ² with −v in the conjugate",
        "no bound", "f*(t) = t + t²/4", NOWOZIN,
    ),
)  # fmt: skip
REVERSE_KL_CONVENTIONS = (
    _v(
        "sign-turned", _mixed(lambda v: -anp.exp(v), lambda v: -v - 1.0), "the same bound of −v",
        "tight at v = −log P/Q", "T = −e^{−v}", f"{NOWOZIN}, table 2",
    ),
)  # fmt: skip
REVERSE_KL_MISTAKES = (
    _v(
        "constant", _mixed(lambda v: -anp.exp(-v), _identity), "reverse KL without its −1 in the conjugate",
        "low by 1 nat; the gradient is right", "f*(t) = −1 − log(−t)", NOWOZIN, True,
    ),
    _v(
        "constant-sign", _mixed(lambda v: -anp.exp(-v), lambda v: v + 1.0), "reverse KL with +1 in the conjugate",
        "low by 2 nats; the gradient is right", "f*(t) = −1 − log(−t)", NOWOZIN, True,
    ),
    _v(
        "product-sign", _mixed(lambda v: -anp.exp(-v), lambda v: -v - 1.0), "reverse KL with −v in the conjugate",
        "both terms are pushed up: without a maximum", "f*(g(v)) = v − 1", NOWOZIN,
    ),
    _v(
        "joint-sign", _mixed(lambda v: -anp.exp(v), lambda v: v - 1.0), "reverse KL with e^v for e^{−v}",
        "both terms are pushed down: without a maximum", "T = −e^{−v}", NOWOZIN,
    ),
    _v(
        "forward-kl", _mixed(_identity, lambda v: anp.exp(v - 1.0)), "the forward KL (NWJ)", "another divergence",
        "E_P[−e^{−v}] − E_Q[v − 1]", NOWOZIN,
    ),
)  # fmt: skip
HELLINGER_CONVENTIONS = (
    _v(
        "sign-turned", _mixed(lambda v: 1.0 - anp.exp(v), lambda v: anp.exp(-v) - 1.0), "the same bound of −v",
        "tight at v = −½ log P/Q", "T = 1 − e^{−v}", f"{NOWOZIN}, table 2",
    ),
)  # fmt: skip
HELLINGER_MISTAKES = (
    _v(
        "exponential-on-joint", _mixed(lambda v: 1.0 - anp.exp(-v), lambda v: anp.exp(-v) - 1.0),
        "squared Hellinger with e^{−v} in the conjugate", "without a maximum", "f*(g(v)) = e^v − 1", NOWOZIN,
    ),
    _v(
        "joint-sign", _mixed(lambda v: 1.0 - anp.exp(v), lambda v: anp.exp(v) - 1.0),
        "squared Hellinger with e^v for e^{−v} on the joint", "both terms are pushed down: 0 at its best",
        "T = 1 − e^{−v}", NOWOZIN,
    ),
    _v(
        "no-activation", _mixed(_identity, lambda v: v / (1.0 - v)), "squared Hellinger of v itself, f*(t) = t/(1 − t)",
        "right for v < 1 only: beyond, f* is infinite and t/(1 − t) is not", "T = 1 − e^{−v} keeps T < 1", NOWOZIN,
    ),
    _v(
        "constant", _mixed(lambda v: -anp.exp(-v), lambda v: anp.exp(v) - 1.0), "squared Hellinger without the 1 of T",
        "low by 1; the gradient is right", "T = 1 − e^{−v}", NOWOZIN, True,
    ),
    _v(
        "constants", _mixed(lambda v: -anp.exp(-v), anp.exp), "squared Hellinger without its constants",
        "low by 2; the gradient is right", "E_P[1 − e^{−v}] − E_Q[e^v − 1]", NOWOZIN, True,
    ),
)  # fmt: skip
TOTAL_VARIATION_CONVENTIONS = (
    _v(
        "sum-of-differences", _mixed(anp.tanh, anp.tanh), "Σ|p − q|, twice the total variation", "twice the value",
        "T = ½ tanh v", NOWOZIN, True,
    ),
)  # fmt: skip
TOTAL_VARIATION_MISTAKES = (
    _v(
        "no-activation", _mixed(_identity, _identity), "E_P[v] − E_Q[v] without an activation",
        "without a maximum: a Wasserstein critic that is not Lipschitz", "T = ½ tanh v", OFFICIAL,
    ),
    _v(
        "sigmoid-for-tanh", _mixed(ops.sigmoid, lambda v: 0.5 * anp.tanh(v)), "σ(v) on the joint, ½ tanh v on the product",
        "high by up to ½", "½ tanh v on both",
    ),
)  # fmt: skip
GAN_MISTAKES = (
    _v(
        "same-sign", _mixed(lambda v: -ops.softplus(-v), lambda v: ops.softplus(-v)), "sp(−v) in both terms",
        "the negatives are pushed up with the positives", "sp(v) on the product",
    ),
    _v(
        "product-alone", _mixed(lambda v: 0.0 * v, ops.softplus), "the product's term alone", "the joint has no gradient",
        "add −E_P[sp(−v)]",
    ),
)  # fmt: skip


CONTRACTS = (
    Contract(
        "bound", "chi2", "the bound on χ², E_P[v] − E_Q[v + v²/4]", forms("χ²", CHI2, (), CHI2_MISTAKES), NOWOZIN
    ),
    Contract(
        "bound", "reverse_kl", "the bound on KL(Q‖P), E_P[−e^{−v}] − E_Q[v − 1]",
        forms("reverse KL", REVERSE_KL, REVERSE_KL_CONVENTIONS, REVERSE_KL_MISTAKES), NOWOZIN,
    ),
    Contract(
        "bound", "squared_hellinger", "the bound on squared Hellinger, E_P[1 − e^{−v}] − E_Q[e^v − 1]",
        forms("squared Hellinger", HELLINGER, HELLINGER_CONVENTIONS, HELLINGER_MISTAKES, symmetric=True), NOWOZIN,
    ),
    Contract(
        "bound", "total_variation", "the bound on total variation, E_P[½ tanh v] − E_Q[½ tanh v]",
        forms("total variation", TOTAL_VARIATION, TOTAL_VARIATION_CONVENTIONS, TOTAL_VARIATION_MISTAKES, symmetric=True),
        NOWOZIN,
    ),
    Contract(
        "bound", "gan", "the GAN's bound on 2·JS − log 4, −E_P[sp(−v)] − E_Q[sp(v)]",
        forms("GAN", GAN, (), GAN_MISTAKES), NOWOZIN,
    ),
)  # fmt: skip
