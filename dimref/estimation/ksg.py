"""The nearest-neighbour estimate of mutual information, to compare with the bounds: no bound, and no critic."""

from __future__ import annotations

import math

import numpy as np

from dimref.estimation.transforms import TRANSFORMS

NEIGHBOURS = 10
MOST, PRODUCT = 10_000, 1e9  # samples, and their square times the columns
ROWS = 16  # whose distances to all samples stay in the cache
JITTER = 1e-10  # of a standard deviation: equal values have no nearest neighbour


def ksg(x: np.ndarray, y: np.ndarray, transform: str = "rank", neighbours: int = NEIGHBOURS, seed: int = 0) -> float:
    """The first estimator of Kraskov, Stögbauer & Grassberger, in nats, from all distances.

    ψ(k) + ψ(N) − mean_i [ψ(n_x(i) + 1) + ψ(n_y(i) + 1)]: ε_i is the distance to the k-th nearest neighbour of
    (x_i, y_i) in the maximum norm, n_x(i) how many other x are nearer to x_i than ε_i. Values that repeat, as those of
    discrete variables do, are separated by noise of 1e-10.

    Args:
        x, y: (N, D), (N, D'), float64; of more than 10,000 samples, or fewer in more than ten columns, some are drawn.
        transform: of every column; monotone ones leave I as it is.
    Raises:
        ValueError: neighbours is not in 1..N − 1.
    Source: Kraskov et al. 2004, Physical Review E 69, 066138, eq. (8).
    """
    rng = np.random.default_rng(seed)
    most = min(MOST, math.isqrt(int(PRODUCT / (x.shape[1] + y.shape[1]))))
    if len(x) > most:
        drawn = rng.choice(len(x), most, replace=False)
        x, y = x[drawn], y[drawn]
    n = len(x)
    if not 1 <= neighbours < n:
        raise ValueError(f"ksg: neighbours must be in 1..{n - 1}, was {neighbours}")
    x, y = (TRANSFORMS[transform](part)(part) for part in (x, y))
    x, y = (part + JITTER * rng.standard_normal(part.shape) for part in (x, y))
    counts: list[np.ndarray] = []
    for start in range(0, n, ROWS):
        rows = slice(start, start + ROWS)
        of_x, of_y = _distances(x[rows], x), _distances(y[rows], y)
        of_both = np.maximum(of_x, of_y)
        nearest = np.partition(of_both, neighbours, axis=1)[:, neighbours, None]  # 0 is the sample itself
        counts += [(of < nearest).sum(axis=1) for of in (of_x, of_y)]  # which is counted with the others: n_x + 1
    digamma = np.concatenate([[np.nan, 0.0], np.cumsum(1 / np.arange(1, n))])  # ψ(m) + γ; γ cancels
    return float(digamma[neighbours] + digamma[n] - 2 * digamma[np.concatenate(counts)].mean())


def _distances(rows: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Between rows (M, D) and samples (N, D) in the maximum norm, (M, N)."""
    largest, gap = np.zeros((2, len(rows), len(samples)))
    for k in range(samples.shape[1]):
        np.subtract.outer(rows[:, k], samples[:, k], out=gap)
        np.maximum(largest, np.abs(gap, out=gap), out=largest)
    return largest
