"""Laws of Gaussians: closed forms against quadrature, against each other, and against Monte Carlo at I ≤ 1."""

import math

import numpy as np

from dimref import bounds
from dimref.backend import Backend
from dimref.laws.law import Case, Sizes, Slack, at_most, equal, in_nats, law
from dimref.theory import gaussian

COVER = "Cover & Thomas 2006"
EXACT = 1e-9  # a Cholesky factor of a matrix whose condition is at most some 1e3
SAMPLES = 2000
DEVIATIONS = 7.0  # of its own standard error, that a Monte Carlo estimate may be off


def covariance(rng: np.random.Generator, sizes: Sizes) -> Case:
    """A covariance of (X, Y) with n + m coordinates in units of their own, and an invertible map of X."""
    d = sizes.n + sizes.m
    a = rng.standard_normal((d, d))
    units = np.where(np.arange(d) < sizes.n, min(max(sizes.scale, 0.1), 10.0), 1.0)
    rotation, _ = np.linalg.qr(rng.standard_normal((sizes.n, sizes.n)))
    cov = (a @ a.T / d + 0.1 * np.eye(d)) * units * units[:, None]
    return {"cov": cov, "dim_x": sizes.n, "mix": rotation * rng.uniform(0.5, 2.0, sizes.n)}


def correlated(rng: np.random.Generator, sizes: Sizes) -> Case:
    """A correlation of at most 0.4, and samples of as many coordinate pairs as make I ≤ 1."""
    rho, shape = float(rng.uniform(-0.4, 0.4)), (SAMPLES, min(sizes.m, 2))
    x, noise = rng.standard_normal(shape), rng.standard_normal(shape)
    y = rho * x + math.sqrt(1 - rho**2) * noise
    return {"rho": rho, "x": x, "y": y, "other": rng.standard_normal(shape)}


def log_ratio(rho: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """R(x, y), summed over the last axis, of standard Gaussians whose coordinates are correlated by ρ in pairs."""
    quadratic = rho**2 * (x**2 + y**2) - 2 * rho * x * y
    return (-0.5 * math.log1p(-(rho**2)) - quadratic / (2 * (1 - rho**2))).sum(axis=-1)


def information(rho: float, pairs: int = 1) -> float:
    """I of that many correlated pairs, by the library's closed form for a covariance."""
    eye = np.eye(pairs)
    return gaussian.gaussian_mutual_information(np.block([[eye, rho * eye], [rho * eye, eye]]), pairs)


@law("identity", "I = h(X) + h(Y) − h(X,Y) = KL(P‖Q)", covariance, f"{COVER}, theorem 8.4.1; {COVER}, section 8.5")
def gaussian_information_three_ways(case: Case, backend: Backend) -> Slack:
    """Q is the block-diagonal Gaussian."""
    cov, d = case["cov"], case["dim_x"]
    x, y = cov[:d, :d], cov[d:, d:]
    q = np.block([[x, np.zeros((d, len(y)))], [np.zeros((len(y), d)), y]])
    zero = np.zeros(len(cov))
    entropies = gaussian.gaussian_entropy(x) + gaussian.gaussian_entropy(y) - gaussian.gaussian_entropy(cov)
    result = [entropies, gaussian.gaussian_kl(zero, cov, zero, q)]
    return equal(result, [gaussian.gaussian_mutual_information(cov, d)] * 2, EXACT)


@law("identity", "I = E_P[R] and E_Q[e^R] = 1, by Gauss–Hermite quadrature", correlated, f"{COVER}, example 8.5.1")
def closed_form_is_the_expectation_of_r(case: Case, backend: Backend) -> Slack:
    """One correlated pair; R is quadratic, so its quadrature is exact, and at |ρ| ≤ 0.4 that of e^R converges."""
    rho = case["rho"]
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = np.outer(weights, weights) / weights.sum() ** 2
    x, z = nodes[:, None] + 0 * nodes, nodes + 0 * nodes[:, None]
    of_joint = (weights * log_ratio(rho, x[..., None], (rho * x + math.sqrt(1 - rho**2) * z)[..., None])).sum()
    of_product = (weights * np.exp(log_ratio(rho, x[..., None], z[..., None]))).sum()
    return equal([of_joint, of_product], [information(rho), 1.0], EXACT)


@law("identity", "I = −(d/2) log(1 − ρ²), and ½ log(1 + S/N) through additive noise", correlated,
     f"{COVER}, example 8.5.1; {COVER}, eq. (9.17)")  # fmt: skip
def closed_forms_of_one_correlation(case: Case, backend: Backend) -> Slack:
    """The noise N makes ρ² = S/(S + N)."""
    rho, d = case["rho"], case["x"].shape[1]
    signal = 1.0 + abs(rho)
    channel = gaussian.gaussian_mutual_information([[signal, signal], [signal, signal + 0.5]], 1)
    expected = [-0.5 * d * math.log(1 - rho**2), 0.5 * math.log(1 + signal / 0.5)]
    return equal([information(rho, d), channel], expected, EXACT)


@law("identity", "E_P[R] by Monte Carlo = I, within 7 of its own standard errors", correlated,
     f"{COVER}, example 8.5.1")  # fmt: skip
def monte_carlo_mean_of_r(case: Case, backend: Backend) -> Slack:
    """The mean of R over 2000 samples of P."""
    ratio = log_ratio(case["rho"], case["x"], case["y"])
    error = float(ratio.std(ddof=1)) / math.sqrt(SAMPLES)
    return equal(float(ratio.mean()), information(case["rho"], case["x"].shape[1]), DEVIATIONS * error + EXACT)


@law("identity", "DV(R), NWJ(R+1) and 1 + E_P[R] − E_Q[e^R] by Monte Carlo = I, within 7 standard errors", correlated,
     "arXiv 1905.06922, section 2.2")  # fmt: skip
def monte_carlo_bounds(case: Case, backend: Backend) -> Slack:
    """2000 samples of P and of Q each. Only at small I: E_Q[e^{2R}] = (1 − ρ²)^−d, and the error of e^R grows with it."""
    joint = log_ratio(case["rho"], case["x"], case["y"])
    product = log_ratio(case["rho"], case["x"], case["other"])
    error = math.hypot(float(joint.std()), float(np.exp(product).std())) / math.sqrt(SAMPLES)
    shifts = {bounds.dv: 0.0, bounds.nwj: 1.0, bounds.plug_in: 0.0}
    values = [in_nats(backend, bound, joint + shift, product + shift) for bound, shift in shifts.items()]
    return equal(values, [information(case["rho"], case["x"].shape[1])] * 3, DEVIATIONS * error + EXACT)


@law("inequality", "¾·I ≤ InfoNCE(R) by Monte Carlo ≤ I, within 7 standard errors", correlated,
     "arXiv 1807.03748, section 2.3")  # fmt: skip
def monte_carlo_infonce(case: Case, backend: Backend) -> Slack:
    """Batches of 50 as locations of one score matrix: at I ≤ 0.2 and K = 50 the bound is nearly tight."""
    k = 50
    x, y = (case[name].reshape(-1, k, case[name].shape[1]) for name in ("x", "y"))
    scores = np.ascontiguousarray(log_ratio(case["rho"], x[:, :, None], y[:, None]).transpose(1, 2, 0))
    one_by_one = [in_nats(backend, bounds.infonce, scores[:, :, b].copy()) for b in range(len(x))]
    error = float(np.std(one_by_one, ddof=1)) / math.sqrt(len(x))
    truth, value = information(case["rho"], case["x"].shape[1]), float(np.mean(one_by_one))
    slack = min(truth - value, value - 0.75 * truth)
    return Slack(slack, DEVIATIONS * error + EXACT)


@law("identity", "I(A X; Y) = I(X; Y) for an invertible A; h(A X, Y) = h(X, Y) + log |det A|", covariance,
     f"{COVER}, eq. (8.71)")  # fmt: skip
def invertible_maps_keep_information(case: Case, backend: Backend) -> Slack:
    """Units, rotations and mixtures of X alone."""
    cov, d, mix = case["cov"], case["dim_x"], case["mix"]
    whole = np.eye(len(cov))
    whole[:d, :d] = mix
    mapped = whole @ cov @ whole.T
    mapped = (mapped + mapped.T) / 2
    result = [gaussian.gaussian_mutual_information(mapped, d), gaussian.gaussian_entropy(mapped)]
    grown = gaussian.gaussian_entropy(cov) + math.log(abs(np.linalg.det(mix)))
    return equal(result, [gaussian.gaussian_mutual_information(cov, d), grown], 1e-7)


@law("inequality", "I(X; Y + noise) ≤ I(X; Y)", covariance, f"{COVER}, theorem 2.8.1")
def noise_lowers_gaussian_information(case: Case, backend: Backend) -> Slack:
    """Data processing: independent noise on Y."""
    cov, d = case["cov"], case["dim_x"]
    noisy = cov + np.diag(np.where(np.arange(len(cov)) < d, 0.0, 0.5))
    return at_most(gaussian.gaussian_mutual_information(noisy, d), gaussian.gaussian_mutual_information(cov, d), EXACT)
