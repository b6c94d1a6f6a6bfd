"""How many nats a deterministic encoder keeps: I(x; y + σε) between two bounds, with no critic to train.

I(x; E(x)) itself is the entropy of x. With noise of known size on y the conditional is known, p(z|x) = N(z; E(x), σ²), so
T(x, z) = log p(z|x) is the optimal critic of InfoNCE up to a function of z, and leaving the positive out of its candidates
makes an upper bound of the lower one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dimref.estimation.held_out import HeldOut, combine, infonce, interval


@dataclass(frozen=True)
class Sandwich:
    """Bounds on I(x; y + σε) in nats, and the lower end of the lower one's 95 % interval to the upper end of the upper's."""

    lower: float
    upper: float
    interval: tuple[float, float]


def sandwich(y: np.ndarray, sigma: float, seed: int) -> Sandwich:
    """The multi-sample lower bound and the leave-one-out upper bound on I(x; y + σε), ε a standard normal vector.

    lower  log N + mean_j (T_jj − log Σ_i e^T_ij), at most log N          T_ij = −|z_j − y_i|² / 2σ²
    upper  log (N − 1) + mean_j (T_jj − log Σ_{i≠j} e^T_ij)

    Args:
        y: (N, D) of N independent x.
        sigma: > 0, in the units of y.
    Source: arXiv 1905.06922, section 2.3 ("InfoNCE with a tractable conditional") and eq. (13).
    """
    y = y.astype(np.float64) / sigma
    z = y + np.random.default_rng(seed).standard_normal(y.shape)

    def columns(block: slice) -> np.ndarray:
        return y @ z[block].T - 0.5 * (y**2).sum(axis=1)[:, None]  # −½|z|² is a function of z: it falls out

    ends: list[HeldOut] = [infonce(columns, len(y), positive=positive) for positive in (True, False)]
    lower, upper = (combine([end]) for end in ends)
    return Sandwich(lower[0], upper[0], (interval(*lower)[0], interval(*upper)[1]))
