"""The nearest-neighbour estimate against loops and against scikit-learn's own in 1 + 1 dimensions."""

import math

import numpy as np
import pytest

from dimref.estimation import ksg as module
from dimref.estimation.ksg import ksg


def gaussian(n, d, rho, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    return x, rho * x + math.sqrt(1 - rho**2) * rng.standard_normal((n, d))


def test_the_formula_by_loops():
    digamma = pytest.importorskip("scipy.special").digamma
    x, y = gaussian(60, 2, 0.7)
    x, y = (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean(axis=0)) / y.std(axis=0)
    n, k, terms = len(x), 3, []
    for i in range(n):
        dx, dy = np.abs(x - x[i]).max(axis=1), np.abs(y - y[i]).max(axis=1)
        others = np.arange(n) != i
        radius = np.sort(np.maximum(dx, dy)[others])[k - 1]
        counts = [(d[others] < radius * (1 - 1e-7)).sum() for d in (dx, dy)]
        terms.append(sum(digamma(count + 1) for count in counts))
    expected = digamma(k) + digamma(n) - np.mean(terms)
    assert ksg(x, y, "standardize", k) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
def test_scikit_learns_estimate_in_one_and_one_dimension(rho):
    feature_selection = pytest.importorskip("sklearn.feature_selection")
    x, y = gaussian(1000, 1, rho, seed=1)
    expected = feature_selection.mutual_info_regression(x, y[:, 0], n_neighbors=5, random_state=0)[0]  # not below 0
    assert max(ksg(x, y, "standardize", 5), 0) == pytest.approx(expected, abs=1e-6)


def test_near_the_truth_and_the_same_for_other_margins():
    x, y = gaussian(3000, 2, 0.7)
    truth = -math.log(1 - 0.49)
    assert ksg(x, y) == pytest.approx(truth, abs=0.06)
    assert ksg(np.sinh(3 * x), y**3) == pytest.approx(ksg(x, y), abs=1e-12)  # ranks do not see it


def test_repeated_values_are_told_apart():
    rng = np.random.default_rng(2)
    x = rng.integers(0, 2, (2000, 1)).astype(float)
    assert ksg(x, x) == pytest.approx(math.log(2), abs=0.02)
    assert np.isfinite(ksg(np.zeros((100, 1)), np.zeros((100, 1))))


def test_of_very_many_samples_some_are_drawn(monkeypatch):
    monkeypatch.setattr(module, "MOST", 500)
    x, y = gaussian(5000, 1, 0.8)
    assert ksg(x, y) == pytest.approx(-0.5 * math.log(0.36), abs=0.15)


def test_too_many_neighbours():
    with pytest.raises(ValueError, match=r"neighbours must be in 1\.\.19, was 20"):
        ksg(*gaussian(20, 1, 0.5), neighbours=20)
