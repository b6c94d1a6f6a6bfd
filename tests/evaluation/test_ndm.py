"""NDM on data whose answer is known; what is shuffled; seeds, devices, refusals."""

import functools
import math

import numpy as np
import pytest
import tiny_runs
from fake_cupy import STRICT

from dimref import discriminators
from dimref.backend import NUMPY
from dimref.evaluation import dv_critic
from dimref.evaluation import ndm as module
from dimref.evaluation.ndm import ndm


@pytest.fixture(autouse=True)
def _smaller_critics(monkeypatch):
    """Three dimensions need no thousand units."""
    monkeypatch.setattr(discriminators, "init_prior", functools.partial(discriminators.init_prior, hidden=(50, 20)))
    monkeypatch.setattr(dv_critic, "LR", 5e-3)


@pytest.fixture
def quick(monkeypatch):
    tiny_runs.narrow(monkeypatch)


def correlated(n, rho, seed):
    """Pairs of normal numbers, correlated by ρ, and a third that is independent: total correlation −½ log(1 − ρ²)."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 3))
    z[:, 1] = rho * z[:, 0] + math.sqrt(1 - rho**2) * z[:, 1]
    return (z * (1, 10, 0.1) + 5).astype(np.float32)


def test_ndm_of_gaussians_is_their_total_correlation():
    found = ndm(correlated(2000, 0.9, 0), correlated(4000, 0.9, 1), 0, NUMPY)
    assert found.nats == pytest.approx(0.830, abs=0.12)
    assert found.interval is None


def test_ndm_of_independent_dimensions_is_nothing():
    found = ndm(correlated(1000, 0.0, 0), correlated(1000, 0.0, 1), 0, NUMPY)
    assert abs(found.nats) < 0.05


def test_ndm_of_a_dimension_that_is_there_twice_is_large():
    y = correlated(1000, 0.0, 0)[:, :1]
    assert ndm(np.repeat(y[:500], 2, axis=1), np.repeat(y[500:], 2, axis=1), 0, NUMPY).nats > 1.5


def test_shuffled_samples_preserve_each_dimension_and_break_the_pairs(monkeypatch):
    """What the critic sees: columns of negatives are values of the same column, and rows of positives are rows."""
    seen = []

    def maximize(score, draw, parameters, n, rng, backend):
        seen.append(draw(rng, np.arange(100)))
        return parameters, 0

    monkeypatch.setattr(module, "maximize", maximize)
    y = correlated(400, 1.0, 0)
    ndm(y, y, 0, NUMPY)
    positive, negative = seen[0]["positive"], seen[0]["negative"]
    center, scale = y.mean(axis=0), 1 / y.std(axis=0)
    np.testing.assert_array_equal(positive, (y[:100] - center) * scale)
    for k in range(3):
        assert set(negative[:, k]) <= set(((y - center) * scale)[:, k])
    assert abs(np.corrcoef(positive[:, :2].T)[0, 1]) > 0.999
    assert abs(np.corrcoef(negative[:, :2].T)[0, 1]) < 0.4


def test_seeds_and_devices(quick):
    y = correlated(60, 0.9, 0), correlated(50, 0.9, 1)
    found = ndm(*y, 0, NUMPY)
    assert found == ndm(*y, 0, NUMPY) == ndm(*y, 0, STRICT)
    assert found != ndm(*y, 1, NUMPY)


def test_the_fewest_images_will_do_and_fewer_are_refused(quick):
    assert np.isfinite(ndm(correlated(40, 0.9, 0), correlated(40, 0.9, 1), 0, NUMPY).nats)
    for n, m in ((39, 60), (60, 39)):
        with pytest.raises(ValueError, match=f"ndm: needs 40 training and 40 test images, found {n} and {m}"):
            ndm(correlated(n, 0.9, 0), correlated(m, 0.9, 1), 0, NUMPY)


def test_a_constant_dimension_is_no_trouble(quick):
    y = np.c_[correlated(60, 0.5, 0), np.ones(60, np.float32)]
    assert np.isfinite(ndm(y, y, 0, NUMPY).nats)
