"""Lower bounds on other f-divergences, E_P[T] − E_Q[f*(T)], from raw scores v by an output activation T = g(v)."""

from __future__ import annotations

from collections.abc import Callable

import autograd.numpy as anp

from dimref import ops
from dimref.audit.catalogue.bounds import forms
from dimref.audit.catalogue.forms import Row
from dimref.audit.catalogue.pieces import HJELM, NOWOZIN
from dimref.audit.contract import Contract
from dimref.trees import Array


def chi2(joint: Array, product: Array) -> Array:
    """T = v, f*(t) = t + t²/4."""
    return ops.mean(joint) - ops.mean(product + 0.25 * product**2)


def reverse_kl(joint: Array, product: Array) -> Array:
    """T = −e^{−v}, f*(g(v)) = v − 1."""
    return -ops.mean(anp.exp(-joint)) - ops.mean(product - 1.0)


def squared_hellinger(joint: Array, product: Array) -> Array:
    """T = 1 − e^{−v}, f*(g(v)) = e^v − 1."""
    return ops.mean(1.0 - anp.exp(-joint)) - ops.mean(anp.exp(product) - 1.0)


def total_variation(joint: Array, product: Array) -> Array:
    """T = ½ tanh v, f*(t) = t."""
    return 0.5 * ops.mean(ops.tanh(joint)) - 0.5 * ops.mean(ops.tanh(product))


def gan(joint: Array, product: Array) -> Array:
    """T = −sp(−v), f*(g(v)) = sp(v)."""
    return -ops.mean(ops.softplus(-joint)) - ops.mean(ops.softplus(product))


def _squares(joint: Array, product: Array, sign: float) -> Array:
    return ops.mean(joint**2) + sign * 0.5 * ops.mean((anp.abs(product) + 1.0) ** 2)


def _official(key: str, sign: float, title: str) -> Row:
    return (key, lambda j, p: _squares(j, p, sign), title, "E_P[v] − E_Q[v + v²/4]", f"official code of {HJELM}",
            "no bound on χ²: even in v, so a critic's sign is lost")  # fmt: skip


def _of_minus_v(function: Callable[..., Array], tight: str, fix: str) -> Row:
    return ("sign-turned", lambda j, p: function(-j, -p), "the same bound of −v", fix, f"{NOWOZIN}, table 2",
            f"tight at v = {tight}")  # fmt: skip


NO_ACTIVATION: Row = (
    "no-activation", lambda j, p: ops.mean(j) - ops.mean(p / (1.0 - p)), "squared Hellinger of v itself, f*(t) = t/(1 − t)",
    "T = 1 − e^{−v} keeps T < 1", f"{NOWOZIN}, table 2", "right for v < 1 only: beyond, f* is infinite and t/(1 − t) is not",
)  # fmt: skip
DIFFERENCES: Row = (
    "sum-of-differences", lambda j, p: 2 * total_variation(j, p), "Σ|p − q|, twice the total variation", "T = ½ tanh v",
    NOWOZIN, "twice the value", True,
)  # fmt: skip
SQUARED = (
    _official("squared-scores", -1.0, "E_P[v²] − E_Q[½(|v| + 1)²]"),
    _official("squared-scores-negative", 1.0, "E_P[v²] + E_Q[½(|v| + 1)²]"),
)


CONTRACTS = tuple(Contract("bound", name, title, told, NOWOZIN) for name, title, told in (
    ("chi2", "the bound on χ², E_P[v] − E_Q[v + v²/4]", forms("χ²", chi2, (), SQUARED)),
    ("reverse_kl", "the bound on KL(Q‖P), E_P[−e^{−v}] − E_Q[v − 1]",
     forms("reverse KL", reverse_kl, (_of_minus_v(reverse_kl, "−log P/Q", "T = −e^{−v}"),))),
    ("squared_hellinger", "the bound on squared Hellinger, E_P[1 − e^{−v}] − E_Q[e^v − 1]",
     forms("squared Hellinger", squared_hellinger, (_of_minus_v(squared_hellinger, "−½ log P/Q", "T = 1 − e^{−v}"),),
           (NO_ACTIVATION,))),
    ("total_variation", "the bound on total variation, E_P[½ tanh v] − E_Q[½ tanh v]",
     forms("total variation", total_variation, (DIFFERENCES,))),
    ("gan", "the GAN's bound on 2·JS − log 4, −E_P[sp(−v)] − E_Q[sp(v)]", forms("GAN", gan)),
))  # fmt: skip
