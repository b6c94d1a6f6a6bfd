"""Each bound on the mutual information of two correlated Gaussians, beside the truth and the bound's ceiling.

With the optimal critic R = log p(x, y)/(p(x) p(y)) nothing has to be learned: what is missing from the truth is the
bound's own doing. Run it with another correlation: python examples/bounds_of_a_gaussian.py 0.99
"""

import math
import sys

import numpy as np

from dimref import bounds, negatives

DIMENSIONS, SAMPLES = 4, 256


def main(correlation: float = 0.8) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((SAMPLES, DIMENSIONS))
    y = correlation * x + math.sqrt(1 - correlation**2) * rng.standard_normal((SAMPLES, DIMENSIONS))
    truth = -DIMENSIONS / 2 * math.log(1 - correlation**2)
    scores = log_ratio(x[:, None], y[None], correlation)  # scores[i, j] = R(x_i, y_j)
    joint, product = negatives.all_pairs(scores)
    print(f"truth     {truth:7.3f} nats")
    for name, value, ceiling in (
        ("DV", bounds.dv(joint, product), bounds.ceiling("dv")),
        ("NWJ", bounds.nwj(joint + 1, product + 1), bounds.ceiling("nwj")),
        ("InfoNCE", bounds.infonce(scores), bounds.ceiling("infonce", SAMPLES)),
        ("JSD", bounds.jsd(joint, product), bounds.ceiling("jsd")),
    ):
        print(f"{name:<9} {value:7.3f} nats, ceiling {ceiling:.3f}")


def log_ratio(x: np.ndarray, y: np.ndarray, rho: float) -> np.ndarray:
    """R(x, y) of standard Gaussians whose coordinates are pairwise correlated by rho."""
    quadratic = rho**2 * (x**2 + y**2) - 2 * rho * x * y
    return (-0.5 * math.log(1 - rho**2) - quadratic / (2 * (1 - rho**2))).sum(axis=-1)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
