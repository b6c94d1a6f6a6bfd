"""MINE on data whose answer is known; the interval's coverage; seeds, devices, refusals."""

import functools
import math

import numpy as np
import pytest
import tiny_runs
from fake_cupy import STRICT

from dimref import bounds, discriminators, encoders, negatives
from dimref.backend import NUMPY
from dimref.estimation.held_out import combine, interval
from dimref.evaluation import dv_critic
from dimref.evaluation.mine import dv_of_groups, mine

LAYOUT = encoders.Layout(4, 1, width=16, fc=4, representation=1)


@pytest.fixture(autouse=True)
def _smaller_critics(monkeypatch):
    """One dimension needs no five hundred units."""
    monkeypatch.setattr(discriminators, "init_concat", functools.partial(discriminators.init_concat, hidden=32))
    monkeypatch.setattr(dv_critic, "LR", 5e-3)


@pytest.fixture
def quick(monkeypatch):
    tiny_runs.narrow(monkeypatch)


def images_and_y(n, rho, seed):
    """Grey images whose level is a normal number, and a y correlated with it by ρ: I = −½ log(1 − ρ²)."""
    rng = np.random.default_rng(seed)
    level = rng.standard_normal(n)
    y = rho * level + math.sqrt(1 - rho**2) * rng.standard_normal(n)
    grey = np.clip(np.rint(128 + 30 * level), 0, 255).astype(np.uint8)
    return np.broadcast_to(grey[:, None, None, None], (n, 4, 4, 1)).copy(), y[:, None].astype(np.float32)


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
    monkeypatch.setattr(dv_critic, "ROUNDS", 1)
    train, test = images_and_y(80, 0.9, 0), images_and_y(60, 0.9, 1)
    plain = mine(train, test, LAYOUT, 0, NUMPY)
    assert mine((train[0], 1024 * train[1]), (test[0], 1024 * test[1]), LAYOUT, 0, NUMPY) == plain


def test_the_interval_covers_the_critics_expectation():
    """Groups of 50 Gaussian pairs scored by the log ratio itself, whose DV is I: 300 samples of 20 groups."""
    rho = 0.6
    information = -0.5 * math.log(1 - rho**2)
    rng = np.random.default_rng(0)

    def group():
        x = rng.standard_normal(50)
        y = rho * x + math.sqrt(1 - rho**2) * rng.standard_normal(50)
        log_ratio = information - (rho**2 * (x[:, None] ** 2 + y**2) - 2 * rho * x[:, None] * y) / (2 * (1 - rho**2))
        return negatives.all_pairs(log_ratio)

    intervals = [interval(*combine([dv_of_groups([group() for _ in range(20)])])) for _ in range(300)]
    covered = np.mean([low <= information <= high for low, high in intervals])
    assert 0.9 <= covered <= 0.98  # 95 % by right, with a standard error of 1.3


def test_the_value_is_dv_of_all_groups_and_without_each_of_the_others():
    rng = np.random.default_rng(0)
    groups = [(rng.standard_normal(n), 3 * rng.standard_normal(n * (n - 1))) for n in (5, 4, 6, 5)]

    def value(parts):
        return float(bounds.dv(*(np.concatenate(part) for part in zip(*parts, strict=True))))

    found = dv_of_groups(groups)
    assert found.nats == pytest.approx(value(groups), rel=1e-12)
    assert found.without == pytest.approx([value(groups[:k] + groups[k + 1 :]) for k in range(4)], rel=1e-9)


def test_huge_scores_leave_finite_numbers():
    groups = [(np.full(5, 1e4), np.full(20, -1e4)), (np.full(5, 1e4), np.r_[np.full(19, -1e4), 1e4])]
    found = dv_of_groups(groups)
    assert np.isfinite([found.nats, *found.without, found.variance]).all()
    assert found.nats == pytest.approx(math.log(40))


def test_seeds_and_devices(quick):
    train, test = images_and_y(60, 0.9, 0), images_and_y(50, 0.9, 1)
    found = mine(train, test, LAYOUT, 0, NUMPY)
    assert found == mine(train, test, LAYOUT, 0, NUMPY) == mine(train, test, LAYOUT, 0, STRICT)
    assert found != mine(train, test, LAYOUT, 1, NUMPY)


@pytest.mark.parametrize(("n", "m"), [(40, 40), (40, 45), (40, 59), (39, 60), (60, 39)])
def test_the_fewest_images_will_do_and_fewer_are_refused(quick, n, m):
    train, test = images_and_y(n, 0.9, 0), images_and_y(m, 0.9, 1)
    if min(n, m) >= 40:
        assert np.isfinite(mine(train, test, LAYOUT, 0, NUMPY).nats)
    else:
        with pytest.raises(ValueError, match=f"mine: needs 40 training and 40 test images, found {n} and {m}"):
            mine(train, test, LAYOUT, 0, NUMPY)
