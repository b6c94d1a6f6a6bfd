"""Memoryless channels: a table of P(y|x), what passes through it, and the most that can.

`channel[x, y]` = P(Y = y | X = x): one row for each input symbol, each row a distribution. `p_x` is the distribution of the
input, (X,). A row or a `p_x` that is no distribution, or a number of symbols that does not fit, is a ValueError, and so is a
probability ε (`flip`, `erasure`) outside [0, 1].
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dimref.theory.information import mutual_information
from dimref.theory.probability_tables import SUM_TOLERANCE, Table, as_probabilities, as_table, nats_per_unit

# No input is abandoned for good: one that underflowed to 0 would take its outputs' q(y) with it, and with them the upper
# end of the certificate. With this floor q ≥ 1e-150 W, so that q underflows only where W < 1e-170 and W log(W/q) is 0.
SMALLEST_INPUT = 1e-150


class Capacity(NamedTuple):
    """A channel's capacity C between two certified ends: `information` ≤ C ≤ `information` + `gap`."""

    information: float  # I(X; Y) at input_distribution
    gap: float  # max_x KL(W_x ‖ q) − information
    input_distribution: Table  # (X,)


def _as_channel(channel: ArrayLike) -> Table:
    rows = as_probabilities(channel, "channel", 2)
    for x, total in enumerate(rows.sum(axis=1).tolist()):
        if abs(total - 1.0) > SUM_TOLERANCE:
            raise ValueError(f"channel[{x}] sums to {total!r}, expected 1 within {SUM_TOLERANCE}: rows are P(y|x)")
    return rows


def _crossover(probability: float, name: str) -> float:
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"{name} is {probability!r}, expected a probability in [0, 1]")
    return float(probability)


def binary_symmetric_channel(flip: float) -> Table:
    """A bit that arrives flipped with probability ε.

    W = [[1 − ε, ε], [ε, 1 − ε]],  C = log 2 − H(ε)

    Source: Cover & Thomas 2006, section 7.1.4.
    """
    e = _crossover(flip, "flip")
    return np.array([[1.0 - e, e], [e, 1.0 - e]])


def binary_erasure_channel(erasure: float) -> Table:
    """A bit that is lost, and known to be lost, with probability ε.

    W = [[1 − ε, 0, ε], [0, 1 − ε, ε]],  C = (1 − ε) log 2

    Convention: outputs 0, 1, erased, in this order (the book draws the erasure in the middle).
    Source: Cover & Thomas 2006, section 7.1.5.
    """
    e = _crossover(erasure, "erasure")
    return np.array([[1.0 - e, 0.0, e], [0.0, 1.0 - e, e]])


def z_channel(flip: float) -> Table:
    """A bit whose 0 always arrives and whose 1 arrives as 0 with probability ε.

    W = [[1, 0], [ε, 1 − ε]],  C = log(1 + (1 − ε) ε^{ε/(1 − ε)})

    Source: Cover & Thomas 2006, problem 7.8 (there with ε = ½).
    """
    e = _crossover(flip, "flip")
    return np.array([[1.0, 0.0], [e, 1.0 - e]])


def channel_joint(p_x: ArrayLike, channel: ArrayLike) -> Table:
    """The joint distribution of what is sent and what arrives.

    p(x, y) = p(x) P(y|x), (X, Y)

    Source: Cover & Thomas 2006, section 7.1.
    """
    rows, p_x = _as_channel(channel), as_table(p_x, "p_x", 1)
    if p_x.size != rows.shape[0]:
        raise ValueError(f"p_x has shape {p_x.shape}, expected ({rows.shape[0]},), one entry for each row of channel")
    return p_x[:, None] * rows


def output_distribution(p_x: ArrayLike, channel: ArrayLike) -> Table:
    """The distribution of what arrives.

    q(y) = Σ_x p(x) P(y|x), (Y,)

    Source: Cover & Thomas 2006, section 7.1.
    """
    return channel_joint(p_x, channel).sum(axis=0)


def channel_information(p_x: ArrayLike, channel: ArrayLike, base: float = math.e) -> float:
    """The mutual information of a channel's input and output, of what is sent and what arrives.

    I(p, W) = Σ_{x,y} p(x) P(y|x) log [P(y|x) / q(y)]

    In [0, min(H(X), H(Y))], nats unless `base` differs.
    Source: Cover & Thomas 2006, eq. (2.28) and section 7.1.
    """
    return mutual_information(channel_joint(p_x, channel), base)


def _row_divergences(rows: Table, q: Table) -> Table:
    """KL(W_x ‖ q) for each input x, where q(y) = 0 only if W(y|x) is 0 or as good as 0 (see SMALLEST_INPUT)."""
    log_rows, log_q = (np.log(np.where(p > 0, p, 1.0)) for p in (rows, q))
    return (rows * (log_rows - log_q)).sum(axis=1)


def capacity(channel: ArrayLike, base: float = math.e, tolerance: float = 1e-9, iterations: int = 100_000) -> Capacity:
    """The most information that a use of the channel can carry, by the Blahut–Arimoto iteration.

    C = max_p I(p, W);  p(x) ← p(x) e^{KL(W_x‖q)} / Z;  I(p, W) ≤ C ≤ max_x KL(W_x ‖ q) for every p

    Both ends hold at every step whatever the iteration does, so the gap is a certificate (up to float64 rounding), not
    an estimate. It closes like 1/iterations at worst (when an input is on the verge of use), geometrically as a rule.

    Args:
        tolerance: largest gap accepted, in the unit of the result.
        iterations: how many steps to try.
    Returns:
        Capacity(information, gap, input_distribution): the achieved end in nats unless `base` differs, how far
        C can lie above it, and the input that achieves it.
    Raises:
        ValueError: tolerance is not > 0.
        RuntimeError: the gap is still above tolerance after the allowed iterations.
    Source: Blahut 1972, IEEE Trans. Inf. Theory 18(4), theorems 1 and 2; Cover & Thomas 2006, section 10.8.
    """
    rows, unit = _as_channel(channel), nats_per_unit(base)
    if not tolerance > 0:
        raise ValueError(f"tolerance is {tolerance!r}, expected a number > 0")
    p_x, gap = np.full(rows.shape[0], 1.0 / rows.shape[0]), math.inf
    for _ in range(iterations):
        divergences = _row_divergences(rows, p_x @ rows)
        information = float(p_x @ divergences)
        gap = max(0.0, float(divergences.max()) - information)
        if gap <= tolerance * unit:
            return Capacity(max(0.0, information) / unit, gap / unit, p_x)
        p_x = p_x * np.exp(divergences - divergences.max())  # the shift cancels in the normalisation
        p_x = np.maximum(p_x / p_x.sum(), SMALLEST_INPUT)
    raise RuntimeError(f"capacity is known to {gap / unit!r} after {iterations} iterations, expected {tolerance!r}")
