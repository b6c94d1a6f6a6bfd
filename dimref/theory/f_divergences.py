"""f-divergences twice: by their generator f, and as a supremum over critics through the convex conjugate f*.

D_f(P‖Q) = Σ q f(p/q) = sup_T E_P[T] − E_Q[f*(T)]: the second form is what a discriminator is trained with.

A generator is taken as a convex function on u ≥ 0 and +∞ below, so that f* is exact on all of ℝ. Where the table of
conjugates in arXiv 1606.00709 differs (chi² below t = −2, total variation below t = −½) its formula is the conjugate of
f extended to u < 0: larger there, so a looser bound. Values are in the generator's own units (nats for the logarithmic
ones), hence no `base`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dimref.theory.probability_tables import Table, as_pair, as_real, refuse

LOG_2 = math.log(2.0)


@dataclass(frozen=True)
class Generator:
    """A convex function on u ≥ 0 that defines an f-divergence.

    D_f(P‖Q) = Σ q f(p/q);  f*(t) = sup_{u ≥ 0} [u t − f(u)];  T = f'(p/q) is the critic that attains the supremum

    Args:
        f: the generator, for arrays u ≥ 0 (at u = 0 its limit, which may be ∞; without a warning).
        derivative: f'(u), for arrays u ≥ 0 (at u = 0 its limit, which may be −∞).
        conjugate: f*(t), for any real array t; ∞ outside its domain.
        slope_at_infinity: lim f(u)/u = lim f'(u) as u → ∞. It is also the upper end of the domain of f* (which
            reaches down to −∞), and what a unit of P costs where Q = 0.
    Source: arXiv 1606.00709, eq. (2), eq. (3) and eq. (5).
    """

    f: Callable[[Table], Table]
    derivative: Callable[[Table], Table]
    conjugate: Callable[[Table], Table]
    slope_at_infinity: float


# log 0 and 1/0 are the right limits at the ends of the domains, and so is an overflow to ∞.
_limits = np.errstate(divide="ignore", over="ignore")


def _u_log_u(u: Table) -> Table:
    return u * np.log(np.where(u > 0, u, 1.0))


@_limits
def _gan_conjugate(t: Table) -> Table:
    return -np.log(-np.expm1(np.minimum(t, 0.0)))  # −log(1 − e^t); log 0 = −∞ makes it ∞ from t = 0 on


def _total_variation_conjugate(t: Table) -> Table:
    return np.where(t <= 0.5, np.maximum(t, -0.5), math.inf)


# The names, formulas and scales of arXiv 1606.00709, Tables 1 and 2, but for f* on all of ℝ (above).
GENERATORS: dict[str, Generator] = {
    "kl": Generator(
        f=_u_log_u,
        derivative=_limits(lambda u: 1.0 + np.log(u)),
        conjugate=_limits(lambda t: np.exp(t - 1.0)),
        slope_at_infinity=math.inf,
    ),
    "reverse_kl": Generator(
        f=_limits(lambda u: -np.log(u)),
        derivative=_limits(lambda u: -1.0 / u),
        conjugate=_limits(lambda t: -1.0 - np.log(-np.minimum(t, 0.0))),
        slope_at_infinity=0.0,
    ),
    # Twice Jensen–Shannon: Table 1 prints a factor ½ in the divergence that its generator lacks. The generator stays,
    # because the bound `jsd` comes from it: f*(t) = −log(2 − e^t).
    "jsd": Generator(
        f=lambda u: _u_log_u(u) - (u + 1.0) * np.log((u + 1.0) / 2.0),
        derivative=_limits(lambda u: LOG_2 - np.log1p(1.0 / u)),
        conjugate=lambda t: _gan_conjugate(t - LOG_2) - LOG_2,
        slope_at_infinity=LOG_2,
    ),
    # f(1) = −log 4, not 0: the value is 2 JS − log 4, the optimum of the original game.
    "gan": Generator(
        f=lambda u: _u_log_u(u) - (u + 1.0) * np.log(u + 1.0),
        derivative=_limits(lambda u: -np.log1p(1.0 / u)),
        conjugate=_gan_conjugate,
        slope_at_infinity=0.0,
    ),
    # Σ (p − q)²/q, Pearson's, as the generator says: Table 1 prints its row with the denominator p, which is Neyman's.
    "chi2": Generator(
        f=_limits(lambda u: (u - 1.0) ** 2),
        derivative=lambda u: 2.0 * (u - 1.0),
        conjugate=_limits(lambda t: np.maximum(t, -2.0) * (np.maximum(t, -2.0) / 4.0 + 1.0)),
        slope_at_infinity=math.inf,
    ),
    # ½ Σ |p − q|, in [0, 1].
    "total_variation": Generator(
        f=lambda u: 0.5 * np.abs(u - 1.0),
        derivative=lambda u: 0.5 * np.sign(u - 1.0),
        conjugate=_total_variation_conjugate,
        slope_at_infinity=0.5,
    ),
    # Σ (√p − √q)², in [0, 2]; half of it goes by the same name elsewhere.
    "squared_hellinger": Generator(
        f=lambda u: (np.sqrt(u) - 1.0) ** 2,
        derivative=_limits(lambda u: 1.0 - 1.0 / np.sqrt(u)),
        conjugate=_limits(lambda t: 1.0 / (1.0 - np.minimum(t, 1.0)) - 1.0),  # t/(1 − t), also at t = −∞
        slope_at_infinity=1.0,
    ),
}


def _ratio(p: Table, q: Table) -> tuple[Table, NDArray[np.bool_]]:
    """p/q and where it is a number: not where q = 0, nor where it exceeds the largest float, which counts as q = 0."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        u = p / q
    return u, np.isfinite(u)


def f_divergence(p: ArrayLike, q: ArrayLike, generator: Generator) -> float:
    """An f-divergence by its definition.

    D_f(P‖Q) = Σ_{q > 0} q f(p/q) + f'(∞) P(q = 0)

    Args:
        p, q: distributions of one shape.
        generator: an entry of GENERATORS, or one's own.
    Returns:
        D_f(P‖Q) in the generator's units; ∞ where the limit is.
    Raises:
        ValueError: p or q is not a distribution, or their shapes differ.
    Source: arXiv 1606.00709, eq. (2); the term for q = 0 is Csiszár's convention 0 f(p/0) = p lim f(u)/u.
    """
    p, q = as_pair(p, q)
    u, seen = _ratio(p, q)
    value = float((q[seen] * generator.f(u[seen])).sum())
    unseen = float(p[~seen].sum())
    return value + generator.slope_at_infinity * unseen if unseen > 0 else value  # ∞ · 0 = 0 here


def optimal_f_critic(p: ArrayLike, q: ArrayLike, generator: Generator) -> Table:
    """The critic at which the variational form attains the f-divergence.

    T = f'(p/q), and f'(∞) where q = 0

    Args:
        p, q: distributions of one shape.
        generator: an entry of GENERATORS, or one's own.
    Returns:
        Scores of the shape of p, in the closure of the domain of f*. Convention: f'(∞) also where p = q = 0, where any
        will do. Float64 does not distinguish f'(u) from f'(∞) = log 2 for jsd from u = 1e16 on, nor from 1 for
        squared_hellinger from 1e32 on; there f* is ∞ and the variational value −∞.
    Raises:
        ValueError: p or q is not a distribution, or their shapes differ.
    Source: arXiv 1606.00709, eq. (5).
    """
    p, q = as_pair(p, q)
    u, seen = _ratio(p, q)
    critic = np.full(p.shape, generator.slope_at_infinity)
    critic[seen] = generator.derivative(u[seen])
    return critic


def variational_f_divergence(p: ArrayLike, q: ArrayLike, critic: ArrayLike, generator: Generator) -> float:
    """The lower bound on an f-divergence that a critic gives.

    E_P[T] − E_Q[f*(T)] ≤ D_f(P‖Q), with equality at T = f'(p/q)

    Args:
        p, q: distributions of one shape.
        critic: scores T of that shape, at most the upper end of the domain of f*, `generator.slope_at_infinity`
            (±∞ allowed, as the limit).
        generator: an entry of GENERATORS, or one's own.
    Returns:
        The value in the generator's units; −∞ where f*(T) = ∞ and Q > 0, or T = −∞ and P > 0.
    Raises:
        ValueError: p or q is not a distribution, shapes differ, or an entry of the critic is NaN or outside the domain.
    Source: arXiv 1606.00709, eq. (4).
    """
    p, q = as_pair(p, q)
    t = as_real(critic, "critic")
    if t.shape != p.shape:
        raise ValueError(f"critic has shape {t.shape}, expected {p.shape}, the shape of p")
    end = generator.slope_at_infinity
    refuse(t, ~(t <= end), "critic", f"at most {end!r}, the upper end of the domain of f*")
    gain, cost = p[p > 0] * t[p > 0], q[q > 0] * generator.conjugate(t[q > 0])
    # Where gain and cost are both infinite the limit decides: f* outgrows T as T → ∞, and T outgrows f* as T → −∞.
    if (gain == -math.inf).any() or (cost == math.inf).any():
        return -math.inf
    return float(gain.sum() - cost.sum())
