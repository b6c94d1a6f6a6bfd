"""Exact information quantities of Gaussians, from means and covariances. Nats unless `base` differs."""

import math

import numpy as np
from numpy.typing import ArrayLike

from dimref.theory.probability_tables import Table, as_real, nats_per_unit, refuse


def _as_covariance(values: ArrayLike, name: str) -> Table:
    """A symmetric positive definite matrix, or a ValueError that names its fault."""
    cov = as_real(values, name)
    if cov.ndim != 2 or cov.shape[0] != cov.shape[1] or cov.size == 0:
        raise ValueError(f"{name} has shape {cov.shape}, expected a square matrix (D, D) with D ≥ 1")
    refuse(cov, ~np.isfinite(cov), name, "a finite number")
    refuse(cov, np.eye(len(cov), dtype=bool) & ~(cov > 0), name, "a variance > 0")
    # Tested on the correlations, so that the units of the variables do not matter: diag(1, 1e-20) is a good covariance.
    scale = np.sqrt(np.diag(cov))
    correlation = cov / scale[:, None] / scale
    refuse(cov, np.abs(correlation - correlation.T) > 1e-10, name, "a symmetric matrix")
    smallest = float(np.linalg.eigvalsh(correlation)[0])
    if smallest <= len(cov) * np.finfo(np.float64).eps:
        raise ValueError(
            f"{name} is singular or indefinite: the smallest eigenvalue of its correlation matrix is {smallest!r}, "
            "expected > 0"
        )
    return cov


def _as_mean(values: ArrayLike, name: str, dim: int) -> Table:
    mean = as_real(values, name)
    if mean.shape != (dim,):
        raise ValueError(f"{name} has shape {mean.shape}, expected ({dim},) as its covariance")
    refuse(mean, ~np.isfinite(mean), name, "a finite number")
    return mean


def _log_det(cov: Table) -> float:
    return 2.0 * float(np.log(np.diag(np.linalg.cholesky(cov))).sum())


def gaussian_entropy(cov: ArrayLike, base: float = math.e) -> float:
    """Differential entropy of a Gaussian.

    h(X) = ½ log[(2πe)^D det Σ]

    Args:
        cov: (D, D) covariance Σ.
        base: unit of the result.
    Returns:
        h(X), nats unless `base` differs. A differential entropy depends on the units of X and may be negative.
    Raises:
        ValueError: cov is not square, finite, symmetric and positive definite.
    Source: Cover & Thomas 2006, theorem 8.4.1.
    """
    cov = _as_covariance(cov, "cov")
    return 0.5 * (len(cov) * math.log(2.0 * math.pi * math.e) + _log_det(cov)) / nats_per_unit(base)


def gaussian_kl(
    mean_p: ArrayLike, cov_p: ArrayLike, mean_q: ArrayLike, cov_q: ArrayLike, base: float = math.e
) -> float:
    """Kullback–Leibler divergence between two Gaussians.

    KL(P‖Q) = ½ [tr(Σ_q⁻¹ Σ_p) + (μ_q − μ_p)ᵀ Σ_q⁻¹ (μ_q − μ_p) − D + log(det Σ_q / det Σ_p)]

    Args:
        mean_p, mean_q: (D,) means.
        cov_p, cov_q: (D, D) covariances.
        base: unit of the result.
    Returns:
        KL(P‖Q) ≥ 0, nats unless `base` differs.
    Raises:
        ValueError: a covariance is not square, finite, symmetric and positive definite, or dimensions differ.
    Source: Rasmussen & Williams 2006, eq. (A.23).
    """
    cov_p, cov_q = _as_covariance(cov_p, "cov_p"), _as_covariance(cov_q, "cov_q")
    if cov_p.shape != cov_q.shape:
        raise ValueError(f"cov_q has shape {cov_q.shape}, expected {cov_p.shape}, the shape of cov_p")
    dim = len(cov_p)
    shift = _as_mean(mean_q, "mean_q", dim) - _as_mean(mean_p, "mean_p", dim)
    # With Σ_q = L Lᵀ: the trace is ‖L⁻¹ L_p‖², the quadratic form ‖L⁻¹ shift‖².
    factor_p, factor_q = np.linalg.cholesky(cov_p), np.linalg.cholesky(cov_q)
    trace = float((np.linalg.solve(factor_q, factor_p) ** 2).sum())
    distance = float((np.linalg.solve(factor_q, shift) ** 2).sum())
    nats = 0.5 * (trace + distance - dim + _log_det(cov_q) - _log_det(cov_p))
    return max(0.0, nats) / nats_per_unit(base)


def gaussian_mutual_information(cov: ArrayLike, dim_x: int, base: float = math.e) -> float:
    """Mutual information of two parts of a jointly Gaussian vector.

    I(X; Y) = ½ log[det Σ_x det Σ_y / det Σ];  for one dimension each, −½ log(1 − ρ²)

    Args:
        cov: (D, D) covariance Σ of (X, Y): X is the first `dim_x` coordinates, Y the rest.
        dim_x: dimension of X, from 1 to D − 1.
        base: unit of the result.
    Returns:
        I(X; Y) ≥ 0, nats unless `base` differs.
    Raises:
        ValueError: cov is not square, finite, symmetric and positive definite, or dim_x leaves X or Y empty.
    Source: Cover & Thomas 2006, theorem 8.4.1 and example 8.5.1.
    """
    cov = _as_covariance(cov, "cov")
    if not 1 <= dim_x < len(cov):
        raise ValueError(f"dim_x is {dim_x!r}, expected from 1 to {len(cov) - 1} for a covariance of shape {cov.shape}")
    nats = 0.5 * (_log_det(cov[:dim_x, :dim_x]) + _log_det(cov[dim_x:, dim_x:]) - _log_det(cov))
    return max(0.0, nats) / nats_per_unit(base)
