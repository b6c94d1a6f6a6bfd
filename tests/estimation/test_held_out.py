"""Held-out estimates are the bounds of the score matrix; without a sample, of the matrix without its row and column."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimref import bounds, negatives
from dimref.estimation import blocks, held_out
from dimref.estimation.held_out import ESTIMATORS, TAU, HeldOut, combine


def oracle(name, scores):
    if name == "infonce":
        return float(bounds.infonce(scores))
    bound = {"dv": bounds.dv, "jsd": bounds.jsd}.get(name, bounds.plug_in)
    if name == "smile":
        return float(bounds.smile(*negatives.all_pairs(scores), TAU))
    return float(bound(*negatives.all_pairs(scores)))


def estimate(name, scores):
    return ESTIMATORS[name](lambda block: scores[:, block].copy(), len(scores))


@pytest.mark.parametrize("name", ESTIMATORS)
@given(n=st.integers(3, 20), seed=st.integers(0, 99), elements=st.integers(1, 100), scale=st.sampled_from([0.0, 1, 4]))
def test_value_and_leave_one_out_by_loops(name, n, seed, elements, scale):
    scores = scale * np.random.default_rng(seed).standard_normal((n, n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "ELEMENTS", elements)
        found = estimate(name, scores)
    assert found.nats == pytest.approx(oracle(name, scores), abs=1e-10)
    without = [oracle(name, np.delete(np.delete(scores, i, 0), i, 1)) for i in range(n)]
    np.testing.assert_allclose(found.without, without, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_blocks_that_come_in_are_left_as_they_are(name):
    scores = np.random.default_rng(0).standard_normal((9, 9))
    kept = scores.copy()
    ESTIMATORS[name](lambda block: scores[:, block], 9)
    np.testing.assert_array_equal(scores, kept)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_large_scores_give_finite_values_or_minus_infinity_where_it_is_right(name, scale):
    scores = scale * np.random.default_rng(1).standard_normal((8, 8))
    found = estimate(name, scores)
    if name in ("nwj", "plug-in") and scale == 1e4:
        assert found.nats == -np.inf
    else:
        assert found.nats == pytest.approx(oracle(name, scores), rel=1e-9)
    assert not np.isnan(found.without).any()


@pytest.mark.parametrize("name", ["dv", "jsd", "plug-in", "infonce"])
def test_the_jackknife_finds_the_spread_of_repeated_samples(name):
    """A fixed critic on Gaussian pairs: the mean error that is stated, against the spread over 400 samples."""
    rng, rho, n = np.random.default_rng(2), 0.6, 100
    found = []
    for _ in range(400):
        x = rng.standard_normal(n)
        y = rho * x + math.sqrt(1 - rho**2) * rng.standard_normal(n)
        ratio = (rho * np.outer(x, y) - rho**2 * (x[:, None] ** 2 + y**2) / 2) / (1 - rho**2) - 0.5 * np.log(1 - rho**2)
        found.append(estimate(name, ratio))
    spread = np.std([each.nats for each in found])
    assert np.sqrt(np.mean([each.variance for each in found])) == pytest.approx(spread, rel=0.15)


def test_combined_estimates_are_weighted_by_their_samples():
    parts = [HeldOut(1.0, np.array([0.9, 1.1])), HeldOut(3.0, np.array([2.0, 3.0, 4.0, 3.0]))]
    nats, error = combine(parts)
    assert nats == pytest.approx((2 * 1 + 4 * 3) / 6)
    first, second = 1 / 2 * 0.02, 3 / 4 * 2.0
    assert error == pytest.approx(math.sqrt((2 / 6) ** 2 * first + (4 / 6) ** 2 * second))


def test_a_block_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="must be"):
        held_out.dv(lambda block: np.zeros((4, 3)), 4)
