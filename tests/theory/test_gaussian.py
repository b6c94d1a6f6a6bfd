"""Gaussian quantities against one-dimensional closed forms, determinants by expansion, and each other."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimref.theory.gaussian import gaussian_entropy, gaussian_kl, gaussian_mutual_information

LOG_2 = math.log(2)
seeds = st.integers(0, 2**32 - 1)
dims = st.integers(1, 4)


def draw_covariance(seed, dim):
    factor = np.random.default_rng(seed).normal(size=(dim, dim + 2))
    return factor @ factor.T + 0.1 * np.eye(dim)


def det(matrix):
    """Laplace's expansion: no factorisation in common with the code."""
    if len(matrix) == 0:
        return 1.0
    minors = ([row[:j] + row[j + 1 :] for row in matrix[1:]] for j in range(len(matrix)))
    return sum((-1) ** j * matrix[0][j] * det(minor) for j, minor in enumerate(minors))


def near(value, expected, tolerance=1e-10):
    assert type(value) is float
    assert abs(value - expected) <= tolerance * max(1, abs(expected))


def test_one_dimension_by_hand():
    near(gaussian_entropy([[4]]), 0.5 * math.log(2 * math.pi * math.e * 4))
    near(gaussian_entropy([[4]], base=2), 0.5 * math.log2(2 * math.pi * math.e * 4))
    assert gaussian_entropy([[0.01]]) < 0
    # KL(N(1, 4) ‖ N(3, 9)) = log(3/2) + (4 + 4)/18 − ½
    near(gaussian_kl([1], [[4]], [3], [[9]]), math.log(1.5) + 8 / 18 - 0.5)
    near(gaussian_kl([1], [[4]], [3], [[9]], base=2), (math.log(1.5) + 8 / 18 - 0.5) / LOG_2)
    near(gaussian_mutual_information([[4, 3], [3, 9]], 1), -0.5 * math.log(1 - 0.25))
    near(gaussian_mutual_information([[4, 3], [3, 9]], 1, base=2), -0.5 * math.log2(1 - 0.25))


@settings(deadline=None)
@given(seeds, dims)
def test_entropy_by_expansion(seed, dim):
    cov = draw_covariance(seed, dim)
    near(gaussian_entropy(cov), 0.5 * math.log((2 * math.pi * math.e) ** dim * det(cov.tolist())))


@settings(deadline=None)
@given(seeds, dims)
def test_kl_by_the_inverse(seed, dim):
    rng = np.random.default_rng(seed)
    mean_p, mean_q = rng.normal(size=(2, dim))
    cov_p, cov_q = draw_covariance(seed, dim), draw_covariance(seed + 1, dim)
    inverse, shift = np.linalg.inv(cov_q), mean_q - mean_p
    ratio = det(cov_q.tolist()) / det(cov_p.tolist())
    expected = 0.5 * (np.trace(inverse @ cov_p) + shift @ inverse @ shift - dim + math.log(ratio))
    near(gaussian_kl(mean_p, cov_p, mean_q, cov_q), float(expected))
    near(gaussian_kl(mean_p, cov_p, mean_p, cov_p), 0.0)
    assert gaussian_kl(mean_p, cov_p, mean_p, cov_p) >= 0


@settings(deadline=None)
@given(seeds, dims, dims)
def test_mutual_information(seed, dim_x, dim_y):
    cov = draw_covariance(seed, dim_x + dim_y)
    x, y = cov[:dim_x, :dim_x], cov[dim_x:, dim_x:]
    value = gaussian_mutual_information(cov, dim_x)
    near(value, 0.5 * math.log(det(x.tolist()) * det(y.tolist()) / det(cov.tolist())))
    near(value, gaussian_entropy(x) + gaussian_entropy(y) - gaussian_entropy(cov))
    product = np.block([[x, np.zeros((dim_x, dim_y))], [np.zeros((dim_y, dim_x)), y]])
    zero = np.zeros(dim_x + dim_y)
    near(value, gaussian_kl(zero, cov, zero, product))
    assert 0 <= gaussian_mutual_information(product, dim_x) <= 1e-12
    near(gaussian_mutual_information(cov[::-1, ::-1], dim_y), value)  # I(Y; X)
    scale = np.exp(np.random.default_rng(seed).normal(size=dim_x + dim_y) * 5)
    near(gaussian_mutual_information(cov * np.outer(scale, scale), dim_x), value, 1e-8)


def test_kl_against_monte_carlo():
    rng = np.random.default_rng(0)
    x = rng.normal(1.0, 2.0, size=200_000)
    log_p = -0.5 * ((x - 1) / 2) ** 2 - math.log(2)
    log_q = -0.5 * ((x - 3) / 3) ** 2 - math.log(3)
    sample = log_p - log_q
    error = sample.std() / math.sqrt(len(x))
    assert abs(sample.mean() - gaussian_kl([1], [[4]], [3], [[9]])) < 5 * error


def test_units_of_the_variables_do_not_make_a_covariance_singular():
    near(gaussian_entropy([[1, 0], [0, 1e-40]]), math.log(2 * math.pi * math.e) - 20 * math.log(10))


def test_rounding_never_makes_a_negative_information():
    for seed in range(40):
        cov = draw_covariance(seed, 3)
        assert gaussian_kl(np.zeros(3), cov, np.zeros(3), cov) >= 0
        cov[0, 1:] = cov[1:, 0] = 0
        assert gaussian_mutual_information(cov, 1) >= 0


COVARIANCE_ERRORS = [
    ([1.0], "cov has shape (1,), expected a square matrix (D, D) with D ≥ 1"),
    (np.ones((2, 3)), "cov has shape (2, 3), expected a square matrix (D, D) with D ≥ 1"),
    (np.ones((3, 2)), "cov has shape (3, 2), expected a square matrix (D, D) with D ≥ 1"),
    (np.zeros((0, 0)), "cov has shape (0, 0), expected a square matrix (D, D) with D ≥ 1"),
    (np.zeros((2, 2, 2)), "cov has shape (2, 2, 2), expected a square matrix (D, D) with D ≥ 1"),
    ([[1, 0], [math.nan, 1]], "cov[1, 0] is nan, expected a finite number"),
    ([[1, math.inf], [0, 1]], "cov[0, 1] is inf, expected a finite number"),
    ([[1, 0], [0, -2]], "cov[1, 1] is -2.0, expected a variance > 0"),
    ([[0, 0], [0, 1]], "cov[0, 0] is 0.0, expected a variance > 0"),
    ([[1, 0.5], [0.25, 1]], "cov[0, 1] is 0.5, expected a symmetric matrix"),
    ([[1, 0, 0], [0, 4, -0.5], [0, 0.5, 1]], "cov[1, 2] is -0.5, expected a symmetric matrix"),
    ([["a"]], "cov has dtype <U1, expected real numbers"),
]


@pytest.mark.parametrize(("cov", "message"), COVARIANCE_ERRORS)
def test_wrong_covariances(cov, message):
    for call in (gaussian_entropy, lambda c: gaussian_mutual_information(c, 1)):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 (compared whole)
            call(cov)
        assert str(caught.value) == message


SINGULAR = "is singular or indefinite: the smallest eigenvalue of its correlation matrix is"


@pytest.mark.parametrize("cov", [np.ones((2, 2)), np.full((3, 3), 0.1), [[1, 2], [2, 1]], [[4, 6], [6, 9]]])
def test_singular_and_indefinite_covariances(cov):
    with pytest.raises(ValueError, match=rf"^cov {SINGULAR} \S+, expected > 0$"):
        gaussian_entropy(cov)


def test_the_edge_of_singularity():
    # The smallest eigenvalue of [[1, r], [r, 1]] is 1 − r; the limit is D eps = 2 · 2.2e-16.
    gaussian_entropy([[1, 1 - 2e-15], [1 - 2e-15, 1]])
    with pytest.raises(ValueError, match=SINGULAR):
        gaussian_entropy([[1, 1 - 2.3e-16], [1 - 2.3e-16, 1]])
    with pytest.raises(ValueError, match=r"is -0\.(5|49)\d*, expected > 0"):
        gaussian_entropy([[1, 1.5], [1.5, 1]])


def test_an_eigenvalue_at_the_edge_is_refused(monkeypatch):
    monkeypatch.setattr(np.linalg, "eigvalsh", lambda _: np.array([2 * np.finfo(np.float64).eps, 1.0]))
    with pytest.raises(ValueError, match=SINGULAR):
        gaussian_entropy(np.eye(2))


def test_asymmetry_within_rounding_is_allowed_in_any_unit():
    near(gaussian_entropy([[1, 0.5 + 5e-11], [0.5, 1]]), gaussian_entropy([[1, 0.5], [0.5, 1]]))
    gaussian_entropy([[1e20, 5e19 + 1e6], [5e19, 1e20]])
    gaussian_entropy([[1, 1e-10], [0, 1]])  # the limit itself
    for wrong in ([[1, 0.5 + 2e-10], [0.5, 1]], [[1e-20, 5e-21], [4e-21, 1e-20]], [[1, 0.5], [0.5 + 2e-10, 1]]):
        with pytest.raises(ValueError, match=r"^cov\[0, 1\] is .*, expected a symmetric matrix$"):
            gaussian_entropy(wrong)


KL_ERRORS = [
    (([0, 0], [[1]], [0], [[1]]), "mean_p has shape (2,), expected (1,) as its covariance"),
    (([0], [[1]], [[0]], [[1]]), "mean_q has shape (1, 1), expected (1,) as its covariance"),
    (([0], [[1]], [math.inf], [[1]]), "mean_q[0] is inf, expected a finite number"),
    (([math.nan], [[1]], [0], [[1]]), "mean_p[0] is nan, expected a finite number"),
    (([0], np.eye(2), [0, 0], np.eye(2)), "mean_p has shape (1,), expected (2,) as its covariance"),
    (([0], [[1]], [0, 0], np.eye(2)), "cov_q has shape (2, 2), expected (1, 1), the shape of cov_p"),
    (([0, 0], np.eye(2), [0], [[1]]), "cov_q has shape (1, 1), expected (2, 2), the shape of cov_p"),
    (([0], [[0]], [0], [[1]]), "cov_p[0, 0] is 0.0, expected a variance > 0"),
    (([0], [[1]], [0], [[-1]]), "cov_q[0, 0] is -1.0, expected a variance > 0"),
    ((["a"], [[1]], [0], [[1]]), "mean_p has dtype <U1, expected real numbers"),
    (([0], [[1]], ["a"], [[1]]), "mean_q has dtype <U1, expected real numbers"),
]


@pytest.mark.parametrize(("args", "message"), KL_ERRORS)
def test_wrong_arguments_of_kl(args, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (compared whole)
        gaussian_kl(*args)
    assert str(caught.value) == message


@pytest.mark.parametrize("dim_x", [0, 3, -1, 4])
def test_wrong_split(dim_x):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (compared whole)
        gaussian_mutual_information(np.eye(3), dim_x)
    assert str(caught.value) == f"dim_x is {dim_x}, expected from 1 to 2 for a covariance of shape (3, 3)"
    assert gaussian_mutual_information(np.eye(3), 1) == gaussian_mutual_information(np.eye(3), 2) == 0.0


def test_wrong_base():
    eye = np.eye(2)
    for call in (
        lambda: gaussian_entropy(eye, base=1),
        lambda: gaussian_kl([0, 0], eye, [0, 0], eye, base=1),
        lambda: gaussian_mutual_information(eye, 1, base=1),
    ):
        with pytest.raises(ValueError, match=r"^base is 1, expected a finite number > 1"):
            call()
