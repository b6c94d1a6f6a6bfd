"""I(x; y + σε) lies between both bounds, each equal to its formula by loops."""

import math

import numpy as np
import pytest

from dimref.evaluation.sandwich import sandwich


def test_eight_dimensions_are_held_between_two_bounds():
    """A Gaussian's I is d/2 log(1 + 1/σ²): 6.438 nats."""
    d, sigma = 8, 0.5
    truth = d / 2 * math.log(1 + 1 / sigma**2)
    y = np.random.default_rng(0).standard_normal((4000, d))
    found = sandwich(y, sigma, seed=1)
    assert (round(truth, 2), found.lower, found.upper) == (
        6.44,
        pytest.approx(6.04, abs=0.05),
        pytest.approx(6.83, abs=0.05),
    )
    assert found.interval[0] < found.lower < truth < found.upper < found.interval[1]
    assert found.lower < math.log(4000)


def test_both_are_the_formulas_by_loops_and_their_interval_the_jackknife():
    n, sigma = 12, 0.7
    y = np.random.default_rng(2).standard_normal((n, 3))
    z = y / sigma + np.random.default_rng(5).standard_normal((n, 3))

    def bounds_of(rows):
        values = []
        for out in (False, True):
            total = 0.0
            for j in rows:
                t = {i: -((z[j] - y[i] / sigma) ** 2).sum() / 2 for i in rows}
                others = [math.exp(t[i]) for i in rows if not (out and i == j)]
                total += t[j] - math.log(sum(others) / len(others))
            values.append(total / len(rows))
        return np.array(values)

    found = sandwich(y.astype(np.float64), sigma, seed=5)
    whole = bounds_of(range(n))
    np.testing.assert_allclose([found.lower, found.upper], whole, rtol=1e-9)
    without = np.array([bounds_of([k for k in range(n) if k != i]) for i in range(n)])
    error = np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    np.testing.assert_allclose(found.interval, [whole[0] - 1.96 * error[0], whole[1] + 1.96 * error[1]], rtol=1e-6)
