"""The nearest-neighbour estimate of mutual information, to compare with the bounds: no bound, and no critic."""

from __future__ import annotations

import numpy as np

from dimref.errors import DimrefError
from dimref.estimation.transforms import TRANSFORMS

NEIGHBOURS = 10
MOST = 10_000  # samples: the trees' time grows faster than the samples, in many dimensions
JITTER = 1e-10  # of a standard deviation: equal values have no nearest neighbour


def ksg(x: np.ndarray, y: np.ndarray, transform: str = "rank", neighbours: int = NEIGHBOURS, seed: int = 0) -> float:
    """The first estimator of Kraskov, Stögbauer & Grassberger, in nats, by scikit-learn's trees.

    ψ(k) + ψ(N) − mean_i [ψ(n_x(i) + 1) + ψ(n_y(i) + 1)]: ε_i is the distance to the k-th nearest neighbour of
    (x_i, y_i) in the maximum norm, n_x(i) how many other x are nearer to x_i than ε_i. Values that repeat, as those of
    discrete variables do, are separated by noise of 1e-10.

    Args:
        x, y: (N, D), (N, D'), float64; of more than 10,000 samples, so many are drawn.
        transform: of every column; monotone ones leave I as it is.
    Raises:
        DimrefError: scikit-learn is not installed.
        ValueError: neighbours is not in 1..N − 1.
    Source: Kraskov et al. 2004, Physical Review E 69, 066138, eq. (8).
    """
    try:
        from sklearn.neighbors import KDTree, NearestNeighbors
    except ImportError:
        raise DimrefError("KSG: expected scikit-learn, found none; install it with pip install '.[eval]'") from None
    rng = np.random.default_rng(seed)
    if len(x) > MOST:
        rows = rng.choice(len(x), MOST, replace=False)
        x, y = x[rows], y[rows]
    n = len(x)
    if not 1 <= neighbours < n:
        raise ValueError(f"ksg: neighbours must be in 1..{n - 1}, was {neighbours}")
    x, y = (TRANSFORMS[transform](part)(part) for part in (x, y))
    x, y = (part + JITTER * rng.standard_normal(part.shape) for part in (x, y))
    trees = NearestNeighbors(n_neighbors=neighbours, metric="chebyshev").fit(np.hstack([x, y]))
    distances = trees.kneighbors()[0][:, -1]  # without arguments: a sample is not its own neighbour
    nearer = np.nextafter(distances, 0)
    # A tree counts the sample itself among those within the radius: n_x + 1.
    counts = [KDTree(part, metric="chebyshev").query_radius(part, nearer, count_only=True) for part in (x, y)]
    digamma = np.concatenate([[np.nan, 0.0], np.cumsum(1 / np.arange(1, n))])  # ψ(m) + γ; γ cancels
    return float(digamma[neighbours] + digamma[n] - sum(digamma[count].mean() for count in counts))
