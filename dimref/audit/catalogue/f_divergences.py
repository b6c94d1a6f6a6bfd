"""Lower bounds on other f-divergences, E_P[T] − E_Q[f*(T)], from raw scores v by an output activation T = g(v)."""

from __future__ import annotations

import autograd.numpy as anp

from dimref import ops
from dimref.audit.catalogue.bounds import forms
from dimref.audit.catalogue.pieces import HJELM, NOWOZIN
from dimref.audit.contract import Contract, Variant
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


def _squares(joint: Array, product: Array) -> tuple[Array, Array]:
    return ops.mean(joint**2), 0.5 * ops.mean((anp.abs(product) + 1.0) ** 2)


def _official(key: str, sign: float, title: str) -> Variant:
    return Variant(
        key, title, lambda j, p: _squares(j, p)[0] + sign * _squares(j, p)[1],  # type: ignore[arg-type, misc]
        "no bound on χ²: even in v, so a critic's sign is lost", "E_P[v] − E_Q[v + v²/4]", f"official code of {HJELM}",
    )  # fmt: skip


def _of_minus_v(tight: str, function: object, fix: str) -> Variant:
    return Variant(
        "sign-turned", "the same bound of −v", function, f"tight at v = {tight}", fix, f"{NOWOZIN}, table 2"  # type: ignore[arg-type]
    )  # fmt: skip


CONTRACTS = (
    Contract(
        "bound", "chi2", "the bound on χ², E_P[v] − E_Q[v + v²/4]",
        forms("χ²", chi2, (), (
            _official("squared-scores", -1.0, "E_P[v²] − E_Q[½(|v| + 1)²]"),
            _official("squared-scores-negative", 1.0, "E_P[v²] + E_Q[½(|v| + 1)²]"),
        )), NOWOZIN,
    ),
    Contract(
        "bound", "reverse_kl", "the bound on KL(Q‖P), E_P[−e^{−v}] − E_Q[v − 1]",
        forms("reverse KL", reverse_kl, (_of_minus_v("−log P/Q", lambda j, p: reverse_kl(-j, -p), "T = −e^{−v}"),)), NOWOZIN,
    ),
    Contract(
        "bound", "squared_hellinger", "the bound on squared Hellinger, E_P[1 − e^{−v}] − E_Q[e^v − 1]",
        forms("squared Hellinger", squared_hellinger,
              (_of_minus_v("−½ log P/Q", lambda j, p: squared_hellinger(-j, -p), "T = 1 − e^{−v}"),),
              (Variant(
                  "no-activation", "squared Hellinger of v itself, f*(t) = t/(1 − t)",
                  lambda j, p: ops.mean(j) - ops.mean(p / (1.0 - p)),  # type: ignore[arg-type, misc]
                  "right for v < 1 only: beyond, f* is infinite and t/(1 − t) is not", "T = 1 − e^{−v} keeps T < 1",
                  f"{NOWOZIN}, table 2",
              ),)), NOWOZIN,
    ),
    Contract(
        "bound", "total_variation", "the bound on total variation, E_P[½ tanh v] − E_Q[½ tanh v]",
        forms("total variation", total_variation, (Variant(
            "sum-of-differences", "Σ|p − q|, twice the total variation",
            lambda j, p: 2 * total_variation(j, p), "twice the value", "T = ½ tanh v", NOWOZIN, True,  # type: ignore[arg-type, misc]
        ),)), NOWOZIN,
    ),
    Contract(
        "bound", "gan", "the GAN's bound on 2·JS − log 4, −E_P[sp(−v)] − E_Q[sp(v)]", forms("GAN", gan, ()), NOWOZIN
    ),
)  # fmt: skip
