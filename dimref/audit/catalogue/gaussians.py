"""Contracts of information quantities of Gaussians, from means and covariances, in nats.

Values alone are compared: the references are float64 NumPy, off the tape. Each variant's consequence is its number at
EXAMPLES.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import reference, variant
from dimref.audit.catalogue.information import BITS
from dimref.audit.catalogue.tables import COVER, LOG_2, over, quiet
from dimref.audit.contract import Contract, Form, Sizes, Variant
from dimref.theory import gaussian
from dimref.trees import Array

COV, MOMENTS = Signature(("cov",)), Signature(("mean_p", "cov_p", "mean_q", "cov_q"))
PARTS = Signature(("cov", "dim_x"))
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
    return {
        "mean_p": mean_p,
        "cov_p": _covariance(rng, sizes, dim),
        "mean_q": mean_q,
        "cov_q": _covariance(rng, sizes, dim),
    }


# ---- entropy


def _log_det(cov: Array) -> Array:
    return np.linalg.slogdet(cov)[1]


def entropy(cov: Array) -> Array:
    """½ log[(2πe)^D det Σ]."""
    return 0.5 * (len(cov) * math.log(2 * math.pi * math.e) + _log_det(cov))


def one_dimension_of_constant(cov: Array) -> Array:
    """½ log(2πe) + ½ log det Σ: the constant of one dimension, whatever D is."""
    return 0.5 * (math.log(2 * math.pi * math.e) + _log_det(cov))


def without_e(cov: Array) -> Array:
    """½ log[(2π)^D det Σ]."""
    return entropy(cov) - 0.5 * len(cov)


def variances_alone(cov: Array) -> Array:
    """The sum of the entropies of the coordinates."""
    return sum(entropy(cov[k : k + 1, k : k + 1]) for k in range(len(cov)))


def deviation_for_variance(cov: Array) -> Array:
    """½ log(2πe)^D + log det Σ: the ½ before the determinant is left out."""
    return entropy(cov) + 0.5 * _log_det(cov)


def log_det_halved_again(cov: Array) -> Array:
    """½ log(2πe)^D + ¼ log det Σ: variances taken for squares of variances."""
    return entropy(cov) - 0.25 * _log_det(cov)


# ---- mutual information


def _blocks(cov: Array, dim_x: int) -> tuple[Array, Array]:
    return cov[:dim_x, :dim_x], cov[dim_x:, dim_x:]


def mutual_information(cov: Array, dim_x: int) -> Array:
    """½ log[det Σ_x det Σ_y/det Σ]."""
    return 0.5 * (sum(_log_det(block) for block in _blocks(cov, dim_x)) - _log_det(cov))


def total_correlation(cov: Array, dim_x: int) -> Array:
    """½ log[Π σ²/det Σ]: the dependence of all coordinates on each other."""
    return 0.5 * (np.log(np.diag(cov)).sum() - _log_det(cov))


def _canonical(cov: Array, dim_x: int) -> Array:
    """The canonical correlations of X and Y, not as roots of their squares, which are less exact near 0."""
    l_x, l_y = (np.linalg.cholesky(block) for block in _blocks(cov, dim_x))
    whitened = np.linalg.solve(l_y, np.linalg.solve(l_x, cov[:dim_x, dim_x:]).T)
    return np.linalg.svd(whitened, compute_uv=False)


def correlation_not_squared(cov: Array, dim_x: int) -> Array:
    """−½ Σ log(1 − |ρ|) over the canonical correlations."""
    return -0.5 * np.log(1 - _canonical(cov, dim_x)).sum()


def first_canonical(cov: Array, dim_x: int) -> Array:
    """−½ log(1 − ρ²) of the largest canonical correlation alone."""
    return -0.5 * np.log(1 - _canonical(cov, dim_x)[0] ** 2)


def small_correlations(cov: Array, dim_x: int) -> Array:
    """½ Σ ρ²: the first term of the series."""
    return 0.5 * (_canonical(cov, dim_x) ** 2).sum()


# ---- KL


def _quadratic(mean_p: Array, mean_q: Array, cov: Array) -> Array:
    shift = mean_q - mean_p
    return shift @ np.linalg.solve(cov, shift)


def kl(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> Array:
    """½ [tr(Σ_q⁻¹ Σ_p) + (μ_q − μ_p)ᵀ Σ_q⁻¹ (μ_q − μ_p) − D + log(det Σ_q/det Σ_p)]."""
    trace = np.trace(np.linalg.solve(cov_q, cov_p))
    return 0.5 * (trace + _quadratic(mean_p, mean_q, cov_q) - len(mean_p) + _log_det(cov_q) - _log_det(cov_p))


def reversed_kl(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> Array:
    """KL(Q‖P)."""
    return kl(mean_q, cov_q, mean_p, cov_p)


def kl_without_dimension(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> Array:
    """KL + D/2: the −D is left out."""
    return kl(mean_p, cov_p, mean_q, cov_q) + 0.5 * len(mean_p)


def kl_one_for_dimension(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> Array:
    """KL with −1 in place of −D."""
    return kl(mean_p, cov_p, mean_q, cov_q) + 0.5 * (len(mean_p) - 1)


def kl_determinants_exchanged(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> Array:
    """log(det Σ_p/det Σ_q) in place of log(det Σ_q/det Σ_p)."""
    return kl(mean_p, cov_p, mean_q, cov_q) + _log_det(cov_p) - _log_det(cov_q)


def kl_quadratic_by_p(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> Array:
    """The means' distance by Σ_p in place of Σ_q."""
    return kl(mean_p, cov_p, mean_q, cov_q) + 0.5 * (
        _quadratic(mean_p, mean_q, cov_p) - _quadratic(mean_p, mean_q, cov_q)
    )


def kl_euclidean(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> Array:
    """‖μ_q − μ_p‖² in place of the distance by Σ_q."""
    return kl(mean_p, cov_p, mean_q, cov_q) + 0.5 * (((mean_q - mean_p) ** 2).sum() - _quadratic(mean_p, mean_q, cov_q))


def kl_means_left_out(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> Array:
    """The means are not used."""
    return kl(mean_p, cov_p, mean_p, cov_q)


def kl_of_variances(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> Array:
    """The diagonals of the covariances alone."""
    return kl(mean_p, np.diag(np.diag(cov_p)), mean_q, np.diag(np.diag(cov_q)))


def kl_trace_inverted(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> Array:
    """tr(Σ_p⁻¹ Σ_q) in place of tr(Σ_q⁻¹ Σ_p)."""
    return kl(mean_p, cov_p, mean_q, cov_q) + 0.5 * (
        np.trace(np.linalg.solve(cov_p, cov_q)) - np.trace(np.linalg.solve(cov_q, cov_p))
    )


# ---- what is asked


def _bits(make: Callable[..., Variant], function: Callable[..., Array], title: str) -> Variant:
    key, unit, fix, source = BITS
    return make(key, over(1 / LOG_2, function), f"{title} {unit}", fix, source)


_h, _i, _kl = (partial(variant, each) for each in (COV, PARTS, MOMENTS))
ONE_HALF = "multiply by ½"
CONTRACTS: tuple[Contract, ...] = (
    Contract("information", "gaussian_entropy", "the differential entropy of a Gaussian in nats", (Form(
        name="covariance",
        signature=COV,
        meaning="f(cov (D, D)) -> h(X)",
        draw=_draw_entropy,
        reference=reference(quiet(gaussian.gaussian_entropy), COV),
        conventions=(_bits(_h, entropy, "the entropy of a Gaussian"),),
        mistakes=(
            _h("half-left-out", over(2.0, entropy), "log[(2πe)^D det Σ]: the ½ is left out", ONE_HALF),
            _h("e-left-out", without_e, "½ log[(2π)^D det Σ]: e is left out, D/2 too little",
               "2πe, not 2π: log density also has the quadratic form, whose mean is D", f"{COVER}, theorem 8.4.1"),
            _h("dimension-left-out", one_dimension_of_constant,
               "½ log(2πe) + ½ log det Σ: the constant of one dimension", "multiply log(2πe) by D"),
            _h("diagonal", variances_alone, "the sum of the entropies of the coordinates: covariances are not used",
               "take the determinant of Σ", f"{COVER}, corollary to theorem 8.6.2"),
            _h("deviations", deviation_for_variance,
               "½ log(2πe)^D + log det Σ: standard deviations taken for variances", "½ log det Σ"),
            _h("variances-squared", log_det_halved_again, "½ log(2πe)^D + ¼ log det Σ", "½ log det Σ"),
            _h("constant-left-out", lambda cov: 0.5 * _log_det(cov), "½ log det Σ: the constant is left out",
               "add D/2·log(2πe)"),
        ),
    ),), f"{COVER}, theorem 8.4.1"),
    Contract("information", "gaussian_mutual_information", "the mutual information of parts of a Gaussian in nats", (Form(
        name="covariance",
        signature=PARTS,
        meaning="f(cov (D, D), dim_x int) -> I(X; Y): X is the first dim_x coordinates",
        draw=_draw_parts,
        reference=reference(quiet(gaussian.gaussian_mutual_information), PARTS),
        conventions=(_bits(_i, mutual_information, "the mutual information of Gaussians"),),
        mistakes=(
            _i("half-left-out", over(2.0, mutual_information), "log[det Σ_x det Σ_y/det Σ]: the ½ is left out",
               ONE_HALF, f"{COVER}, example 8.5.1"),
            _i("sign", over(-1.0, mutual_information), "½ log[det Σ/(det Σ_x det Σ_y)], its negative",
               "det Σ goes below"),
            _i("total-correlation", total_correlation,
               "½ log[Π σ²/det Σ]: dependence within X and within Y is counted too",
               "take the determinants of the blocks, not the variances", "Watanabe 1960, total correlation"),
            _i("correlation-not-squared", correlation_not_squared, "−½ Σ log(1 − |ρ|): ρ is not squared",
               "−½ log(1 − ρ²)"),
            _i("first-canonical", first_canonical, "−½ log(1 − ρ²) of the largest canonical correlation alone",
               "sum over all canonical correlations"),
            _i("small-correlations", small_correlations, "½ Σ ρ², the first term of the series", "−½ Σ log(1 − ρ²)"),
        ),
    ),), f"{COVER}, example 8.5.1"),
    Contract("information", "gaussian_kl", "the Kullback–Leibler divergence of two Gaussians in nats", (Form(
        name="moments",
        signature=MOMENTS,
        meaning="f(mean_p (D,), cov_p (D, D), mean_q (D,), cov_q (D, D)) -> KL(P‖Q)",
        draw=_draw_kl,
        reference=reference(quiet(gaussian.gaussian_kl), MOMENTS),
        conventions=(_bits(_kl, kl, "the divergence of two Gaussians"),),
        mistakes=(
            _kl("reversed", reversed_kl, "KL(Q‖P): the two Gaussians are exchanged",
                "exchange the arguments: Σ_q is inverted, not Σ_p"),
            _kl("half-left-out", over(2.0, kl), "twice the divergence: the ½ is left out", ONE_HALF),
            _kl("dimension-left-out", kl_without_dimension, "the divergence plus D/2: −D is left out",
                "subtract D: KL of equal Gaussians is 0"),
            _kl("one-for-dimension", kl_one_for_dimension, "the divergence with −1 in place of −D",
                "subtract D, the number of coordinates"),
            _kl("determinants-exchanged", kl_determinants_exchanged, "the divergence with log(det Σ_p/det Σ_q)",
                "log(det Σ_q/det Σ_p)"),
            _kl("means-by-p", kl_quadratic_by_p, "the divergence with the means' distance by Σ_p", "divide by Σ_q"),
            _kl("means-euclidean", kl_euclidean, "the divergence with ‖μ_q − μ_p‖², not divided by Σ_q",
                "divide by Σ_q"),
            _kl("means-left-out", kl_means_left_out,
                "the divergence of the covariances alone: the means are left out",
                "add the quadratic form of μ_q − μ_p"),
            _kl("diagonal", kl_of_variances, "the divergence of the variances alone: covariances are left out",
                "use the whole matrices"),
            _kl("trace-inverted", kl_trace_inverted, "the divergence with tr(Σ_p⁻¹ Σ_q)", "tr(Σ_q⁻¹ Σ_p)"),
        ),
    ),), "Rasmussen & Williams 2006, eq. (A.23)"),
)  # fmt: skip
