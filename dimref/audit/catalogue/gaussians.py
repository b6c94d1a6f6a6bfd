"""Contracts of information quantities of Gaussians, from means and covariances. Values alone are compared."""

from __future__ import annotations

import math

import numpy as np

from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.tables import COVER, log_det, quantity
from dimref.audit.contract import Contract, Sizes
from dimref.theory import gaussian
from dimref.trees import Array

SCALES = {"tiny": 1e-2, "moderate": 30.0, "large": 1e3}  # of standard deviations


def _covariance(rng: np.random.Generator, sizes: Sizes, dim: int) -> Array:
    """Symmetric and well conditioned, in 64ths, exact in float32."""
    mix = rng.standard_normal((dim, dim))
    if sizes.regime == "separated":
        mix[:, 0] *= 3
    cov = mix @ mix.T / dim + 0.5 * np.eye(dim)
    return np.asarray(np.round(64 * cov) / 64 * SCALES.get(sizes.regime, 1.0) ** 2, sizes.dtype)


def _draw_entropy(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    return {"cov": _covariance(rng, sizes, 1 + sizes.m % 4)}


def _draw_parts(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    dim = 2 + (sizes.m - 1) % 4
    return {"cov": _covariance(rng, sizes, dim), "dim_x": 1 + (sizes.locations - 1) % (dim - 1)}


def _draw_kl(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    dim = 1 + sizes.m % 4
    size = SCALES.get(sizes.regime, 1.0)
    mean_p, mean_q = (np.asarray(np.round(rng.standard_normal(dim) * 64) / 64 * size, sizes.dtype) for _ in range(2))
    cov_p, cov_q = (_covariance(rng, sizes, dim) for _ in range(2))
    return {"mean_p": mean_p, "cov_p": cov_p, "mean_q": mean_q, "cov_q": cov_q}


# ---- formulas, edited


def entropy(cov: Array) -> Array:
    """½ log[(2πe)^D det Σ]."""
    return 0.5 * (len(cov) * math.log(2 * math.pi * math.e) + log_det(cov))


def mutual_information(cov: Array, dim_x: int) -> Array:
    """½ log[det Σ_x det Σ_y/det Σ]."""
    return 0.5 * (log_det(cov[:dim_x, :dim_x]) + log_det(cov[dim_x:, dim_x:]) - log_det(cov))


def distance(mean_p: Array, mean_q: Array, cov: Array) -> Array:
    """(μ_q − μ_p)ᵀ Σ⁻¹ (μ_q − μ_p)."""
    return (mean_q - mean_p) @ np.linalg.solve(cov, mean_q - mean_p)


def trace(cov: Array, other: Array) -> Array:
    """tr(Σ⁻¹ S)."""
    return np.trace(np.linalg.solve(cov, other))


def kl(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> Array:
    """½ [tr(Σ_q⁻¹ Σ_p) + (μ_q − μ_p)ᵀ Σ_q⁻¹ (μ_q − μ_p) − D + log(det Σ_q/det Σ_p)]."""
    spread = trace(cov_q, cov_p) + distance(mean_p, mean_q, cov_q)
    return 0.5 * (spread - len(mean_p) + (log_det(cov_q) - log_det(cov_p)))


# ---- more of them


def _canonical(cov: Array, dim_x: int) -> Array:
    """The canonical correlations of X and Y, not as roots of their squares, which are less exact near 0."""
    l_x, l_y = (np.linalg.cholesky(block) for block in (cov[:dim_x, :dim_x], cov[dim_x:, dim_x:]))
    whitened = np.linalg.solve(l_y, np.linalg.solve(l_x, cov[:dim_x, dim_x:]).T)
    return np.linalg.svd(whitened, compute_uv=False)


def _diagonal(cov: Array) -> Array:
    return np.diag(np.diag(cov))


def _euclidean(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> Array:
    return kl(mean_p, cov_p, mean_p, cov_q) + 0.5 * ((mean_q - mean_p) ** 2).sum()


def _by_p(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> Array:
    return kl(mean_p, cov_p, mean_p, cov_q) + 0.5 * distance(mean_p, mean_q, cov_p)


def _inverted(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> Array:
    return kl(mean_p, cov_p, mean_q, cov_q) + 0.5 * (trace(cov_p, cov_q) - trace(cov_q, cov_p))


# fmt: off
COVARIANCE = ("covariance", Signature(("cov",)), "f(cov (D, D)) -> h(X)", _draw_entropy)
PARTS = ("covariance", Signature(("cov", "dim_x")),
         "f(cov (D, D), dim_x int) -> I(X; Y): X is the first dim_x coordinates",
         _draw_parts)
MOMENTS = ("moments", Signature(("mean_p", "cov_p", "mean_q", "cov_q")),
           "f(mean_p (D,), cov_p (D, D), mean_q (D,), cov_q (D, D)) -> KL(P‖Q)", _draw_kl)
HALF, DETERMINANTS = "multiply by ½", "½ log det Σ"
CONTRACTS: tuple[Contract, ...] = (
    quantity("gaussian_entropy", "the differential entropy of a Gaussian", f"{COVER}, theorem 8.4.1",
             gaussian.gaussian_entropy,
             COVARIANCE, (entropy,), mistakes=(
        ("e-left-out", lambda cov: entropy(cov) - len(cov) / 2, "½ log[(2π)^D det Σ]: e is left out, D/2 too little",
         "2πe, not 2π: log density also has the quadratic form, whose mean is D", f"{COVER}, theorem 8.4.1"),
        ("diagonal", lambda cov: entropy(_diagonal(cov)),
         "the sum of the entropies of the coordinates: covariances are not used",
         "take the determinant of Σ", f"{COVER}, corollary to theorem 8.6.2"),
        ("deviations", lambda cov: entropy(cov) + log_det(cov) / 2,
         "½ log(2πe)^D + log det Σ: standard deviations taken for variances", DETERMINANTS),
        ("variances-squared", lambda cov: entropy(cov) - log_det(cov) / 4, "½ log(2πe)^D + ¼ log det Σ", DETERMINANTS),
    )),
    quantity("gaussian_mutual_information", "the mutual information of parts of a Gaussian", f"{COVER}, example 8.5.1",
             gaussian.gaussian_mutual_information, PARTS, (mutual_information,), mistakes=(
        ("half-left-out", lambda cov, d: 2 * mutual_information(cov, d),
         "log[det Σ_x det Σ_y/det Σ]: the ½ is left out", HALF,
         f"{COVER}, example 8.5.1"),
        ("total-correlation", lambda cov, d: (np.log(np.diag(cov)).sum() - log_det(cov)) / 2,
         "½ log[Π σ²/det Σ]: dependence within X and within Y is counted too",
         "take the determinants of the blocks, not the variances", "Watanabe 1960, total correlation"),
        ("correlation-not-squared", lambda cov, d: -np.log(1 - _canonical(cov, d)).sum() / 2,
         "−½ Σ log(1 − |ρ|): ρ is not squared", "−½ log(1 − ρ²)"),
        ("first-canonical", lambda cov, d: -np.log(1 - _canonical(cov, d)[0] ** 2) / 2,
         "−½ log(1 − ρ²) of the largest canonical correlation alone", "sum over all canonical correlations"),
        ("small-correlations", lambda cov, d: (_canonical(cov, d) ** 2).sum() / 2,
         "½ Σ ρ², the first term of the series",
         "−½ Σ log(1 − ρ²)"),
    )),
    quantity("gaussian_kl", "the Kullback–Leibler divergence of two Gaussians", "Rasmussen & Williams 2006, eq. (A.23)",
             gaussian.gaussian_kl, MOMENTS, (kl,), mistakes=(
        ("reversed", lambda m, p, n, q: kl(n, q, m, p), "KL(Q‖P): the two Gaussians are exchanged",
         "exchange the arguments: Σ_q is inverted, not Σ_p"),
        ("one-for-dimension", lambda m, p, n, q: kl(m, p, n, q) + (len(m) - 1) / 2,
         "the divergence with −1 in place of −D",
         "subtract D, the number of coordinates"),
        ("means-by-p", _by_p, "the divergence with the means' distance by Σ_p", "divide by Σ_q"),
        ("means-euclidean", _euclidean, "the divergence with ‖μ_q − μ_p‖², not divided by Σ_q", "divide by Σ_q"),
        ("diagonal", lambda m, p, n, q: kl(m, _diagonal(p), n, _diagonal(q)),
         "the divergence of the variances alone: covariances are left out", "use the whole matrices"),
        ("trace-inverted", _inverted, "the divergence with tr(Σ_p⁻¹ Σ_q)", "tr(Σ_q⁻¹ Σ_p)"),
    )),
)
