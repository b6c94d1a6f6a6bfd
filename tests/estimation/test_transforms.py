"""Transforms see the training part alone, keep the order of a column, and give the critic numbers of order 1."""

import numpy as np
import pytest

from dimref.estimation.transforms import TRANSFORMS, asinh, normal_quantile, rank, standardize

NAMES = list(TRANSFORMS)


def draw(seed, n=200, d=3):
    return np.random.default_rng(seed).standard_t(3, (n, d))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_every_column_is_kept(name, seed):
    train, held = draw(seed), draw(seed + 100)
    transformed = TRANSFORMS[name](train)(held)
    for k in range(3):
        order = np.argsort(held[:, k])
        assert (np.diff(transformed[order, k]) >= 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_training_part_has_mean_0_and_deviation_1(name):
    train = draw(1, 2000)
    found = TRANSFORMS[name](train)(train)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=0.005)


@pytest.mark.parametrize("name", NAMES)
def test_units_and_offsets_do_not_matter(name):
    train, held = draw(2), draw(3)
    found = TRANSFORMS[name](train)(held)
    for scale, offset in ((1e-3, 5.0), (1e6, -3.0), (1e300, 0.0)):
        other = TRANSFORMS[name](scale * train + offset)(scale * held + offset)
        np.testing.assert_allclose(other, found, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_column_becomes_0(name):
    train = np.column_stack([np.full(50, 0.1), draw(4, 50, 1), np.zeros(50)])
    found = TRANSFORMS[name](train)(train)
    np.testing.assert_array_equal(found[:, [0, 2]], 0)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_column_that_hardly_varies_stays_finite(name):
    train = np.zeros((100, 1))
    train[0] = 1e-200
    assert np.isfinite(TRANSFORMS[name](train)(np.array([[0.0], [1e-200], [1.0]]))).all()


def test_standardize_is_scikit_learns():
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    train, held = draw(5), draw(6)
    expected = preprocessing.StandardScaler().fit(train).transform(held)
    np.testing.assert_allclose(standardize(train)(held), expected, atol=1e-12)


def test_rank_gives_normal_scores_of_mid_ranks():
    stats = pytest.importorskip("scipy.stats")
    train = np.random.default_rng(7).integers(0, 9, (300, 2)).astype(float)  # with ties
    expected = stats.norm.ppf((stats.rankdata(train, axis=0) - 0.5) / 300)
    np.testing.assert_allclose(rank(train)(train), expected, atol=1e-4)


def test_rank_is_near_scikit_learns_quantiles():
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    train, held = draw(8, 1000), draw(9, 500)
    scaler = preprocessing.QuantileTransformer(n_quantiles=1000, output_distribution="normal").fit(train)
    middle = np.abs(rank(train)(held)) < 2.5
    assert np.abs(rank(train)(held) - scaler.transform(held))[middle].max() < 0.1


def test_a_held_out_value_beyond_all_others_gets_the_last_rank():
    train = draw(10, 100, 1)
    found = rank(train)(np.array([[-1e9], [1e9]]))
    np.testing.assert_array_equal(found, [[rank(train)(train).min()], [rank(train)(train).max()]])


def test_asinh_bends_the_tails():
    train = np.random.default_rng(11).standard_cauchy((5000, 1))
    assert np.abs(asinh(train)(train)).max() < 10 < np.abs(standardize(train)(train)).max()


def test_normal_quantile_is_that_of_the_normal_distribution():
    stats = pytest.importorskip("scipy.stats")
    share = np.concatenate([np.linspace(1e-4, 1 - 1e-4, 2001), [1e-6, 1 - 1e-6]])
    np.testing.assert_allclose(normal_quantile(share), stats.norm.ppf(share), atol=1e-4)
