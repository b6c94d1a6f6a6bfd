"""Held-out estimates from a score matrix, and the same without each sample: the jackknife's standard error and interval.

Leaving a sample out removes a row and a column of the matrix, so nothing is computed twice: its own scores are taken
from the sums. The rest is exact to some digits as long as no pair outweighs all others by 1e12. (A bootstrap would
repeat rows, and a repeated row makes a positive pair of an off-diagonal one.)

Score matrices come in blocks of columns (see `blocks.py`); the negative pairs are the N(N − 1) off the diagonal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dimref import ops
from dimref.bounds import LOG_4
from dimref.estimation.blocks import Columns, blocks, checked, diagonal

TAU = 5.0  # of SMILE
NORMAL_95 = 1.96  # 95 % of a normal distribution lies within so many standard deviations


@dataclass(frozen=True)
class HeldOut:
    """An estimate in nats, and the estimate without each of N independent parts (samples, as a rule), (N,).

    Attributes:
        of: the number of samples where the parts are larger.
    """

    nats: float
    without: np.ndarray
    of: int = 0

    @property
    def samples(self) -> int:
        """The number of samples."""
        return self.of or len(self.without)

    @property
    def variance(self) -> float:
        """The jackknife's variance, (N − 1)/N Σ_i (value without i − their mean)².

        Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, eq. (11.5).
        """
        n = len(self.without)
        with np.errstate(invalid="ignore"):  # a value of −inf has no variance: NaN
            return float((n - 1) / n * ((self.without - self.without.mean()) ** 2).sum())

    def of_units(self, units: np.ndarray) -> HeldOut:
        """The same without each unit (N,) of samples: leaving out several changes the value by the sum of the changes.

        That is exact for a mean: without g of N samples it changes by N/(N − g) of N − 1 over N times their sum.
        """
        n, which = len(units), np.unique(units, return_inverse=True)[1]
        sizes = np.bincount(which)
        if len(sizes) == n:
            return self
        with np.errstate(invalid="ignore"):
            changes = np.bincount(which, self.without - self.nats)
        return HeldOut(self.nats, self.nats + changes * (n - 1) / (n - sizes), n)

    def __sub__(self, other: HeldOut) -> HeldOut:
        """The difference of two estimates from the same samples."""
        return HeldOut(self.nats - other.nats, self.without - other.without, self.of)


def dv(columns: Columns, n: int) -> HeldOut:
    """`bounds.dv` of the diagonal and the off-diagonal pairs."""
    return _dv(columns, n, lambda scores: scores)


def smile(columns: Columns, n: int) -> HeldOut:
    """`bounds.smile` with τ = 5: no bound."""
    return _dv(columns, n, lambda scores: np.clip(scores, -TAU, TAU))


def plug_in(columns: Columns, n: int) -> HeldOut:
    """`bounds.plug_in`, 1 + E_P[T] − E_Q[e^T], which is `bounds.nwj` of T + 1."""
    positive, rows, of_columns = _log_sums(columns, n, lambda scores: scores)
    log_mass = _log_off_diagonal(rows, of_columns)
    with np.errstate(over="ignore"):
        return _held_out(1 + _leave_out_mean(positive) - np.exp(log_mass))


def jsd(columns: Columns, n: int) -> HeldOut:
    """`bounds.jsd` of the diagonal and the off-diagonal pairs."""
    positive, rows, of_columns = np.empty(n), np.zeros(n), np.empty(n)
    for block in blocks(n):
        scores = checked(columns(block), n, block)
        positive[block] = diagonal(scores, block)
        soft = ops.softplus(scores)
        _set_diagonal(soft, block, 0.0)
        rows += soft.sum(axis=1)
        of_columns[block] = soft.sum(axis=0)
    return _held_out(LOG_4 - _leave_out_mean(ops.softplus(-positive)) - _off_diagonal(rows, of_columns))


def infonce(columns: Columns, n: int, positive: bool = True) -> HeldOut:
    """`bounds.infonce` with K = N candidates; without a sample, N − 1 positives with K = N − 1.

    Args:
        positive: whether it is one of its candidates. Without it, K = N − 1, the value at T = R, or at T = log p(y|x), is
            the leave-one-out *upper* bound on I.
    Source: arXiv 1905.06922, section 2.3 and eq. (13) for the upper bound.
    """
    value, lost, k = np.empty(n), np.zeros(n), n if positive else n - 1
    for block in blocks(n):
        scores = checked(columns(block), n, block)
        paired = diagonal(scores, block).copy()
        if not positive:
            scores = scores.copy()
            _set_diagonal(scores, block, -np.inf)
        everything = ops.logsumexp(scores, axis=0)
        value[block] = paired - everything
        share = np.exp(scores - everything)
        _set_diagonal(share, block, 0.0)
        # Without candidate i, log Σ falls by −log(1 − its share). A share of 1 to rounding would be all of the sum.
        lost += np.log1p(-np.minimum(share, 1 - np.finfo(share.dtype).eps)).sum(axis=1)
    without = math.log(k - 1) + (value.sum() - value - lost) / (n - 1)
    return HeldOut(math.log(k) + float(value.mean()), without)


ESTIMATORS: dict[str, Callable[[Columns, int], HeldOut]] = {
    "dv": dv,
    "nwj": plug_in,  # of the log ratio R: NWJ's optimal critic is R + 1
    "jsd": jsd,
    "infonce": infonce,
    "plug-in": plug_in,
    "smile": smile,
}


def combine(parts: list[HeldOut]) -> tuple[float, float]:
    """The mean of estimates from different samples, weighted by how many, and its standard error."""
    weights = np.array([part.samples for part in parts]) / sum(part.samples for part in parts)
    nats = float(weights @ [part.nats for part in parts])
    return nats, math.sqrt(float(weights**2 @ [part.variance for part in parts]))


def interval(nats: float, error: float) -> tuple[float, float]:
    """The 95 % interval of an estimate with this standard error."""
    return nats - NORMAL_95 * error, nats + NORMAL_95 * error


# ---- sums over the score matrix, of which index 0 has all samples and index 1 + i is without sample i


def _held_out(values: np.ndarray) -> HeldOut:
    return HeldOut(float(values[0]), values[1:])


def _leave_out_mean(positive: np.ndarray) -> np.ndarray:
    n = len(positive)
    return np.concatenate([[positive.mean()], (positive.sum() - positive) / (n - 1)])


def _off_diagonal(rows: np.ndarray, of_columns: np.ndarray) -> np.ndarray:
    """Means over the off-diagonal pairs, from the sums of each row and of each column without the diagonal."""
    n, total = len(rows), rows.sum()
    without = np.maximum(total - rows - of_columns, 0.0)  # rounding may leave −1e-17
    return np.concatenate([[total / (n * (n - 1))], without / ((n - 1) * (n - 2))])


def _log_off_diagonal(rows: np.ndarray, of_columns: np.ndarray) -> np.ndarray:
    """The logarithm of `_off_diagonal`, from the logarithms of the sums."""
    top = rows.max()
    mass = _off_diagonal(np.exp(rows - top), np.exp(of_columns - top))
    return np.log(np.maximum(mass, np.finfo(np.float64).tiny)) + top


def _dv(columns: Columns, n: int, clip: Callable[[np.ndarray], np.ndarray]) -> HeldOut:
    positive, rows, of_columns = _log_sums(columns, n, clip)
    return _held_out(_leave_out_mean(positive) - _log_off_diagonal(rows, of_columns))


def _log_sums(
    columns: Columns, n: int, clip: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The positive pairs' scores, and log Σ e^T of each row and of each column without the diagonal, T clipped there."""
    positive, rows, of_columns = np.empty(n), np.full(n, -np.inf), np.empty(n)
    for block in blocks(n):
        scores = checked(columns(block), n, block)
        positive[block] = diagonal(scores, block)
        negative = clip(scores).copy()
        _set_diagonal(negative, block, -np.inf)
        rows = np.logaddexp(rows, ops.logsumexp(negative, axis=1))
        of_columns[block] = ops.logsumexp(negative, axis=0)
    return positive, rows, of_columns


def _set_diagonal(scores: np.ndarray, block: slice, value: float) -> None:
    scores[np.arange(block.start, block.stop), np.arange(block.stop - block.start)] = value
