"""The critic of a Gaussian with the samples' covariance: its log P/Q in closed form, which every critic begins with.

In canonical variables u_k of x and v_k of y (uncorrelated but for ρ_k between u_k and v_k) it is a sum over the pairs:

    R(x, y) = Σ_k −½ log(1 − ρ_k²) + [ρ_k·u_k·v_k − ½ρ_k²(u_k² + v_k²)] / (1 − ρ_k²)

so all N² pairs cost one matrix product. The network beside it only learns what is not Gaussian.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SMALLEST = 1e-6  # singular values, beside the largest: below, a direction is a combination of the others
STRONGEST = 0.9999**0.5  # ρ: equal variables would make R infinite


@dataclass(frozen=True)
class GaussianCritic:
    """Canonical correlations ρ (P,) of the training part, and how both sides become canonical variables (N, P)."""

    x_mean: np.ndarray
    y_mean: np.ndarray
    x_map: np.ndarray
    y_map: np.ndarray
    rho: np.ndarray

    def equal(self, x: np.ndarray, y: np.ndarray) -> bool:
        """Whether some combination of x equals one of y, or nearly, also on these held-out samples.

        On as few training samples as there are columns, combinations are equal that are not so anywhere else.
        """
        u, v = (x - self.x_mean) @ self.x_map, (y - self.y_mean) @ self.y_map
        both, each = 2 * (u * v).sum(axis=0), (u**2 + v**2).sum(axis=0)
        return bool((both > STRONGEST * each)[self.rho > STRONGEST].any())

    def features(self, x: np.ndarray, y: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
        """Rows whose dot product is R of a Gaussian with correlations factor·ρ: (N, P + 2), (M, P + 2), float32."""
        rho = np.minimum(factor * self.rho, STRONGEST)
        u, v = (x - self.x_mean) @ self.x_map, (y - self.y_mean) @ self.y_map
        rest = 1 - rho**2
        constant = -0.5 * np.log(rest).sum()
        u_term = constant - 0.5 * (u**2 @ (rho**2 / rest))[:, None]
        v_term = -0.5 * (v**2 @ (rho**2 / rest))[:, None]
        left = np.hstack([u * (rho / rest), u_term, np.ones_like(u_term)])
        return left.astype(np.float32), np.hstack([v, np.ones_like(v_term), v_term]).astype(np.float32)


def fit(x: np.ndarray, y: np.ndarray) -> GaussianCritic:
    """Canonical correlations of x (N, D) and y (N, D').

    Source: Hotelling 1936, Relations between two sets of variates; Kullback 1959, Information Theory and Statistics,
    chapter 9, for their mutual information −½ Σ log(1 − ρ²).
    """
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    x_white, y_white = _whitening(x - x_mean), _whitening(y - y_mean)
    cross = ((x - x_mean) @ x_white).T @ ((y - y_mean) @ y_white) / len(x)
    left, rho, right = np.linalg.svd(cross, full_matrices=False)
    return GaussianCritic(x_mean, y_mean, x_white @ left, y_white @ right.T, rho)


def _whitening(centred: np.ndarray) -> np.ndarray:
    """(D, P): centred @ this has the identity as its covariance; P is the rank."""
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    nonzero = sizes > SMALLEST * max(sizes[0], np.finfo(np.float64).tiny)
    return directions[nonzero].T * (len(centred) ** 0.5 / sizes[nonzero])
