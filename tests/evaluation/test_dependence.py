"""MINE and NDM on data whose answer is known; the interval's coverage; training that stops; refusals."""

import functools
import itertools
import math

import numpy as np
import pytest
import tiny
from strict import STRICT

from dimref import bounds, discriminators, encoders, negatives
from dimref.backend import NUMPY
from dimref.evaluation import dependence
from dimref.evaluation.dependence import mine, ndm

LAYOUT = encoders.Layout(4, 1, width=16, fc=4, representation=1)


@pytest.fixture(autouse=True)
def _smaller_critics(monkeypatch):
    """Two or three dimensions need no thousand units."""
    monkeypatch.setattr(discriminators, "init_concat", functools.partial(discriminators.init_concat, hidden=32))
    monkeypatch.setattr(discriminators, "init_prior", functools.partial(discriminators.init_prior, hidden=(50, 20)))
    monkeypatch.setattr(dependence, "LR", 5e-3)


def images_and_y(n, rho, seed):
    """Grey images whose level is a normal number, and a y correlated with it by ρ: I = −½ log(1 − ρ²)."""
    rng = np.random.default_rng(seed)
    level = rng.standard_normal(n)
    y = rho * level + math.sqrt(1 - rho**2) * rng.standard_normal(n)
    grey = np.clip(np.rint(128 + 30 * level), 0, 255).astype(np.uint8)
    return np.broadcast_to(grey[:, None, None, None], (n, 4, 4, 1)).copy(), y[:, None].astype(np.float32)


# ---- MINE


def test_mine_of_gaussians_is_their_information():
    truth = -0.5 * math.log(1 - 0.9**2)  # 0.830; a grey level of 30 to a deviation costs under 0.001
    found = mine(images_and_y(1500, 0.9, 0), images_and_y(1000, 0.9, 1), LAYOUT, 0, NUMPY)
    low, high = found.interval
    assert low < found.nats < high
    assert high - low < 0.4
    assert truth - 0.25 < found.nats < high
    assert low < truth  # a lower bound, up to the sample


def test_mine_of_independent_pairs_is_nothing():
    found = mine(images_and_y(600, 0.0, 0), images_and_y(600, 0.0, 1), LAYOUT, 0, NUMPY)
    assert -0.1 < found.nats < 0.05


def test_mine_does_not_see_the_scale_of_y(monkeypatch):
    monkeypatch.setattr(dependence, "ROUNDS", 1)
    train, test = images_and_y(80, 0.9, 0), images_and_y(60, 0.9, 1)
    plain = mine(train, test, LAYOUT, 0, NUMPY)
    assert mine((train[0], 1024 * train[1]), (test[0], 1024 * test[1]), LAYOUT, 0, NUMPY) == plain


def test_the_interval_covers_the_critics_expectation():
    """Squares of 50 Gaussian pairs scored by the log ratio itself, whose DV is I: 300 samples of 20 squares."""
    rho = 0.6
    information = -0.5 * math.log(1 - rho**2)
    rng = np.random.default_rng(0)

    def square():
        x = rng.standard_normal(50)
        y = rho * x + math.sqrt(1 - rho**2) * rng.standard_normal(50)
        log_ratio = information - (rho**2 * (x[:, None] ** 2 + y**2) - 2 * rho * x[:, None] * y) / (2 * (1 - rho**2))
        return negatives.all_pairs(log_ratio)

    intervals = [dependence._with_interval([square() for _ in range(20)], 1)[2] for _ in range(300)]
    covered = np.mean([low <= information <= high for low, high in intervals])
    assert 0.9 <= covered <= 0.98  # 95 % by right, with a standard error of 1.3


def test_the_value_with_its_interval_is_dv_and_the_naive_jackknife():
    rng = np.random.default_rng(0)
    squares = [(rng.standard_normal(n), 3 * rng.standard_normal(n * (n - 1))) for n in (5, 4, 6, 5)]

    def value(parts):
        return float(bounds.dv(*(np.concatenate(part) for part in zip(*parts, strict=True))))

    without = np.array([value(squares[:k] + squares[k + 1 :]) for k in range(4)])
    error = math.sqrt(3 / 4 * ((without - without.mean()) ** 2).sum())
    found, steps, interval = dependence._with_interval(squares, 7)
    assert steps == 7
    assert found == pytest.approx(value(squares), rel=1e-12)
    assert interval == pytest.approx((found - 1.96 * error, found + 1.96 * error), rel=1e-9)


def test_huge_scores_leave_finite_numbers():
    squares = [(np.full(5, 1e4), np.full(20, -1e4)), (np.full(5, 1e4), np.r_[np.full(19, -1e4), 1e4])]
    found, _, interval = dependence._with_interval(squares, 0)
    assert np.isfinite([found, *interval]).all()
    assert found == pytest.approx(math.log(40))


# ---- NDM


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


def test_shuffled_samples_keep_each_dimension_and_break_the_pairs(monkeypatch):
    """What the critic is shown: the product's columns are values of the same column, and the joint's rows are rows."""
    seen = []

    def maximize(score, draw, parameters, n, rng, backend):
        seen.append(draw(rng, np.arange(100)))
        return parameters, 0

    monkeypatch.setattr(dependence, "_maximize", maximize)
    y = correlated(400, 1.0, 0)
    ndm(y, y, 0, NUMPY)
    joint, product = seen[0]["joint"], seen[0]["product"]
    center, scale = y.mean(axis=0), 1 / y.std(axis=0)
    np.testing.assert_array_equal(joint, (y[:100] - center) * scale)
    for k in range(3):
        assert set(product[:, k]) <= set(((y - center) * scale)[:, k])
    assert abs(np.corrcoef(joint[:, :2].T)[0, 1]) > 0.999
    assert abs(np.corrcoef(product[:, :2].T)[0, 1]) < 0.4


# ---- training


def test_training_ends_without_improvement_and_gives_the_best(monkeypatch):
    monkeypatch.setattr(dependence, "LEAST_STEPS", 2)
    values = iter([0.0, 1.0, 3.0, 2.0, 2.5, 3.0, 1.0, 9.0])
    monkeypatch.setattr(dependence, "_judge", lambda *args: next(values))
    steps = itertools.count()

    def adam_step(parameters, gradients, adam, lr):
        parameters["score"]["b"][:] = next(steps)
        return parameters, adam

    monkeypatch.setattr(dependence, "adam_step", adam_step)
    seen = []
    prior_logits = dependence.discriminators.prior_logits

    def logits(parameters, y):
        seen.append(float(np.ravel(getattr(parameters["score"]["b"], "_value", parameters["score"]["b"]))[0]))
        return prior_logits(parameters, y)

    monkeypatch.setattr(dependence.discriminators, "prior_logits", logits)
    found = ndm(correlated(60, 0.5, 0), correlated(60, 0.5, 1), 0, NUMPY)
    assert found.steps == 4  # round 2 of two steps each had 3.0, which four further rounds did not exceed
    assert next(values) == 9.0
    assert seen[-1] == 3.0  # the bias as it was after four steps, 0, 1, 2, 3


def test_batches_are_whole_and_every_pass_has_another_order():
    batches = dependence._batches(np.arange(10), 4, np.random.default_rng(0))
    passes = [[*next(batches), *next(batches)] for _ in range(3)]
    assert all(len(set(rows)) == 8 for rows in passes)
    assert passes[0] != passes[1] != passes[2]


def test_what_trains_is_not_what_judges_while_training(monkeypatch):
    """A fifth of the training images is never in a batch."""
    batches, checks = [], []
    draw_batches = dependence._batches

    def spy(rows, size, rng):
        batches.append(set(rows))
        return draw_batches(rows, size, rng)

    monkeypatch.setattr(dependence, "_batches", spy)
    monkeypatch.setattr(dependence, "ROUNDS", 1)

    def draw(rng, rows):
        checks.append(set(rows))
        y = np.ones((len(rows), 2), np.float32)
        return {"joint": y, "product": y}

    def score(parameters, sample):
        return (sample["joint"] @ parameters["w"])[:, 0], (sample["product"] @ parameters["w"])[:, 0]

    dependence._maximize(score, draw, {"w": np.ones((2, 1), np.float32)}, 50, np.random.default_rng(0), NUMPY)
    assert len(batches[0]) == 40
    assert checks[0] == set(range(50)) - batches[0]
    assert all(rows <= batches[0] for rows in checks[1:])


# ---- seeds, devices, refusals


@pytest.fixture
def quick(monkeypatch):
    tiny.narrow(monkeypatch)


def test_the_same_seed_gives_the_same_value_and_another_seed_another(quick):
    train, test = images_and_y(60, 0.9, 0), images_and_y(50, 0.9, 1)
    for measure in (
        lambda seed: mine(train, test, LAYOUT, seed, NUMPY),
        lambda seed: ndm(correlated(60, 0.9, 0), correlated(50, 0.9, 1), seed, NUMPY),
    ):
        assert measure(0) == measure(0)
        assert measure(0) != measure(1)


def test_the_strict_device_gives_numpys_value(quick):
    train, test = images_and_y(60, 0.9, 0), images_and_y(50, 0.9, 1)
    assert mine(train, test, LAYOUT, 0, STRICT) == mine(train, test, LAYOUT, 0, NUMPY)
    y = correlated(60, 0.9, 0), correlated(50, 0.9, 1)
    assert ndm(*y, 0, STRICT) == ndm(*y, 0, NUMPY)


def test_the_fewest_images_will_do_and_fewer_are_refused(quick):
    for n, m in ((40, 40), (40, 45), (40, 59), (39, 60), (60, 39)):
        train, test = images_and_y(n, 0.9, 0), images_and_y(m, 0.9, 1)
        for call in (
            lambda train=train, test=test: mine(train, test, LAYOUT, 0, NUMPY),
            lambda train=train, test=test: ndm(train[1], test[1], 0, NUMPY),
        ):
            if min(n, m) >= 40:
                assert np.isfinite(call().nats)
            else:
                with pytest.raises(ValueError, match=f"needs 40 training and 40 test images, had {n} and {m}"):
                    call()


def test_a_constant_dimension_is_no_trouble(quick):
    y = np.c_[correlated(60, 0.5, 0), np.ones(60, np.float32)]
    assert np.isfinite(ndm(y, y, 0, NUMPY).nats)
