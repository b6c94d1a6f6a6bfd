"""Canonical correlations give the Gaussian's log ratio in closed form."""

import numpy as np
import pytest

from dimref.estimation import gaussian_critic
from dimref.theory.gaussian import gaussian_mutual_information


def gaussian(seed, n, d_x, d_y):
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((n, d_x + d_y)) @ rng.standard_normal((d_x + d_y, d_x + d_y)) + rng.standard_normal()
    return mixed[:, :d_x], mixed[:, d_x:]


def log_ratio(x, y):
    """log p(x, y)/(p(x) p(y)) of the Gaussian with the samples' own moments, by densities, for every pair."""
    stats = pytest.importorskip("scipy.stats")
    both = np.hstack([x, y])
    mean, cov, d = both.mean(axis=0), np.cov(both.T, bias=True), x.shape[1]
    joint = stats.multivariate_normal(mean, cov)
    of_x, of_y = stats.multivariate_normal(mean[:d], cov[:d, :d]), stats.multivariate_normal(mean[d:], cov[d:, d:])
    return np.array(
        [[joint.logpdf(np.concatenate([a, b])) - of_x.logpdf(a) - of_y.logpdf(b) for b in y[:9]] for a in x[:9]]
    )


@pytest.mark.parametrize(("d_x", "d_y"), [(1, 1), (2, 3), (4, 1)])
def test_features_multiply_to_the_log_ratio_of_densities(d_x, d_y):
    x, y = gaussian(d_x + 10 * d_y, 200, d_x, d_y)
    left, right = gaussian_critic.fit(x, y).features(x[:9], y[:9], 1.0)
    np.testing.assert_allclose(left @ right.T, log_ratio(x, y), rtol=1e-3, atol=1e-3)


def test_the_correlations_give_the_mutual_information():
    x, y = gaussian(3, 500, 3, 2)
    rho = gaussian_critic.fit(x, y).rho
    expected = gaussian_mutual_information(np.cov(np.hstack([x, y]).T, bias=True), 3)
    np.testing.assert_allclose(-0.5 * np.log(1 - rho**2).sum(), expected, rtol=1e-9)


def test_factor_0_is_independence():
    x, y = gaussian(4, 100, 2, 2)
    left, right = gaussian_critic.fit(x, y).features(x, y, 0.0)
    np.testing.assert_array_equal(left @ right.T, 0)


@pytest.mark.parametrize("case", ["equal", "constant", "collinear", "more columns than rows"])
def test_singular_covariances_stay_finite(case):
    x, y = gaussian(5, 30, 2, 2)
    if case == "equal":
        y = x
    elif case == "constant":
        x = np.zeros_like(x)
    elif case == "collinear":
        x = np.column_stack([x, x @ [1, 2]])
    else:
        y = np.random.default_rng(6).standard_normal((30, 50))
    left, right = gaussian_critic.fit(x, y).features(x, y, 1.0)
    assert np.isfinite(left @ right.T).all()
    assert case != "constant" or not (left @ right.T).any()
