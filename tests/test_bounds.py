"""Bounds against loops over single scores, against the theory they obey, and against exact expectations."""

import itertools
import math
import re

import numpy as np
import pytest
from autograd.tracer import isbox
from fake_cupy import STRICT, DeviceArray
from finite_differences import check_all, draw
from hypothesis import given
from hypothesis import strategies as st

from dimref import bounds, negatives
from dimref.backend import NUMPY
from dimref.tape import value_and_gradients

pytestmark = pytest.mark.usefixtures("plain_forms")
PAIR = {"dv": bounds.dv, "nwj": bounds.nwj, "jsd": bounds.jsd}
SQUARE = {
    "same-location": lambda s: bounds.infonce(s),
    "all-locations": lambda s: bounds.infonce(s, "all-locations"),
    "certified": bounds.infonce_certified,
}
seeds = st.integers(0, 2**32 - 1)
batches = st.integers(2, 6)
scales = st.sampled_from([1e-3, 1.0, 30.0, 300.0])


def normal(seed, *shape, scale=1.0):
    return scale * np.random.default_rng(seed).standard_normal(shape)


def gradients(function, *arrays):
    tree = {str(k): array for k, array in enumerate(arrays)}
    _, slopes, _ = value_and_gradients(lambda t: (function(*t.values()), {}), tree)
    return list(slopes.values())


def slack(*scores):
    """How far rounding may carry a law that holds exactly: eps·max|T|, and a little for the sums."""
    return 100 * np.finfo(scores[0].dtype).eps * (1 + max(abs(s).max() for s in scores))


def check_gradients(function, *arrays, step=1e-5):
    """Every entry against the central difference; scores of order 1 in float64 leave 1e-10 of error."""
    for k, slope in enumerate(gradients(function, *arrays)):
        for at in np.ndindex(arrays[k].shape):
            ends = []
            for sign in (1, -1):
                moved = [a.copy() for a in arrays]
                moved[k][at] += sign * step
                ends.append(float(function(*moved)))
            assert slope[at] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8)


# ---- values against loops over single scores


def loop_dv(joint, product):
    return sum(joint) / len(joint) - math.log(sum(math.exp(t) for t in product) / len(product))


def loop_nwj(joint, product):
    return sum(joint) / len(joint) - sum(math.exp(t - 1) for t in product) / len(product)


def loop_jsd(joint, product):
    real = sum(math.log(1 + math.exp(-t)) for t in joint) / len(joint)
    fake = sum(math.log(1 + math.exp(t)) for t in product) / len(product)
    return 2 * math.log(2) - real - fake


LOOP = {"dv": loop_dv, "nwj": loop_nwj, "jsd": loop_jsd}


def loop_by_location(loop, joint, product):
    if joint.ndim == 1:
        joint, product = joint[:, None], product[:, None]
    locations = joint.shape[1]
    return sum(loop(joint[:, k].tolist(), product[:, k].tolist()) for k in range(locations)) / locations


def loop_infonce(scores, kind):
    """Each positive (i, l): x_i's location l with y_i, against the candidates x' of that y_i."""
    if scores.ndim == 2:
        scores = scores[:, :, None]
    n, _, locations = scores.shape
    terms = []
    for i, k in itertools.product(range(n), range(locations)):
        positive = math.exp(scores[i, i, k])
        if kind == "same-location":
            others, candidates = sum(math.exp(scores[j, i, k]) for j in range(n) if j != i), n
        else:
            others = sum(math.exp(scores[j, i, m]) for j in range(n) for m in range(locations) if j != i)
            candidates = 1 + (n - 1) * locations
            if kind == "certified":
                others, candidates = others / locations, n
        terms.append(math.log(candidates) + math.log(positive / (positive + others)))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("name", PAIR)
@given(seeds, st.integers(1, 5), st.integers(1, 7), st.sampled_from([(), (1,), (3,)]))
def test_pair_bound_equals_its_loop(name, seed, n, p, tail):
    joint, product = normal(seed, n, *tail), normal(seed + 1, p, *tail)
    value = PAIR[name](joint, product)
    assert np.shape(value) == ()
    assert float(value) == pytest.approx(loop_by_location(LOOP[name], joint, product), abs=1e-12)


@pytest.mark.parametrize("kind", SQUARE)
@given(seeds, batches, st.sampled_from([(), (1,), (3,)]))
def test_infonce_equals_its_loop(kind, seed, n, tail):
    scores = normal(seed, n, n, *tail)
    value = SQUARE[kind](scores)
    assert np.shape(value) == ()
    assert float(value) == pytest.approx(loop_infonce(scores, kind), abs=1e-12)


@given(seeds, st.integers(1, 5), st.integers(1, 4), st.sampled_from([(), (1,), (3,)]))
def test_sampled_infonce_equals_its_loop(seed, n, others, tail):
    positives, negative = normal(seed, n, *tail), normal(seed + 1, others, n, *tail)
    terms = []
    for at in np.ndindex(positives.shape):
        candidates = [math.exp(positives[at]), *(math.exp(negative[(k, *at)]) for k in range(others))]
        terms.append(math.log(len(candidates)) + math.log(candidates[0] / sum(candidates)))
    value = bounds.infonce_sampled(positives, negative)
    assert np.shape(value) == ()
    assert float(value) == pytest.approx(sum(terms) / len(terms), abs=1e-12)


# ---- a second formulation of each


@given(seeds, st.integers(1, 5), st.integers(1, 7))
def test_dv_is_the_best_shift_of_nwj(seed, n, p):
    joint, product = normal(seed, n), normal(seed + 1, p)
    value = bounds.dv(joint, product)
    best = 1 - math.log(np.exp(product).mean())  # where d/dc of c − E_Q[e^{T+c−1}] is 0
    assert bounds.nwj(joint + best, product + best) == pytest.approx(value, abs=1e-12)
    for shift in (best - 0.1, best + 0.1):
        assert bounds.nwj(joint + shift, product + shift) < value


@given(seeds, st.integers(1, 5), st.integers(1, 7))
def test_jsd_is_log_4_less_the_two_cross_entropies_of_a_classifier(seed, n, p):
    joint, product = normal(seed, n), normal(seed + 1, p)
    is_joint, is_product = 1 / (1 + np.exp(-joint)), 1 / (1 + np.exp(product))
    expected = math.log(4) + np.log(is_joint).mean() + np.log(is_product).mean()
    assert bounds.jsd(joint, product) == pytest.approx(expected, abs=1e-12)


@given(seeds, batches, st.integers(1, 3))
def test_infonce_is_the_mean_dv_of_its_columns(seed, n, locations):
    scores = normal(seed, n, n, locations)
    columns = [bounds.dv(scores[j, j][None], scores[:, j]) for j in range(n)]
    assert bounds.infonce(scores) == pytest.approx(np.mean(columns), abs=1e-12)


@given(seeds, batches, st.integers(1, 3))
def test_infonce_agrees_with_its_sampled_form_when_every_other_image_is_drawn(seed, n, locations):
    scores = normal(seed, n, n, locations)
    positives = np.stack([scores[j, j] for j in range(n)])
    others = np.stack([np.delete(scores[:, j], j, axis=0) for j in range(n)], axis=1)  # (N−1, N, L)
    assert bounds.infonce(scores) == pytest.approx(bounds.infonce_sampled(positives, others), abs=1e-12)


@pytest.mark.parametrize("tail", [(), (1,)])
def test_with_one_location_the_candidate_sets_are_one(tail):
    scores = normal(0, 4, 4, *tail)
    expected = bounds.infonce(scores)
    assert bounds.infonce(scores, "all-locations") == pytest.approx(expected, abs=1e-14)
    assert bounds.infonce_certified(scores) == pytest.approx(expected, abs=1e-14)


@given(seeds, st.integers(1, 5), st.integers(1, 4))
def test_pooling_the_locations_changes_dv_alone_and_never_raises_it(seed, n, locations):
    joint, product = normal(seed, n, locations), normal(seed + 1, 2 * n, locations)
    for name, bound in PAIR.items():
        apart, pooled = bound(joint, product), bound(joint.reshape(-1), product.reshape(-1))
        if name == "dv":
            assert pooled <= apart + 1e-12
        else:
            assert pooled == pytest.approx(apart, abs=1e-12)


# ---- gradients


@pytest.mark.parametrize("name", PAIR)
@pytest.mark.parametrize("tail", [(), (2,)])
def test_pair_gradients_are_central_differences(name, tail):
    check_gradients(PAIR[name], normal(1, 3, *tail), normal(2, 4, *tail))


@pytest.mark.parametrize("kind", SQUARE)
@pytest.mark.parametrize("tail", [(), (2,)])
def test_infonce_gradients_are_central_differences(kind, tail):
    check_gradients(SQUARE[kind], normal(3, 3, 3, *tail))


@pytest.mark.parametrize("tail", [(), (2,)])
def test_sampled_infonce_gradients_are_central_differences(tail):
    check_gradients(bounds.infonce_sampled, normal(4, 3, *tail), normal(5, 2, 3, *tail))


@given(seeds, st.integers(1, 5), st.integers(1, 7))
def test_dv_gradient_is_joint_weights_less_tilted_product_weights(seed, n, p):
    product = normal(seed + 1, p)
    of_joint, of_product = gradients(bounds.dv, normal(seed, n), product)
    np.testing.assert_allclose(of_joint, np.full(n, 1 / n), atol=1e-14)
    np.testing.assert_allclose(of_product, -np.exp(product) / np.exp(product).sum(), atol=1e-14)
    assert abs(of_joint.sum() + of_product.sum()) < 1e-13


@given(seeds, st.integers(1, 5), st.integers(1, 7))
def test_nwj_gradient_is_minus_the_ratio_under_the_product(seed, n, p):
    product = normal(seed + 1, p)
    of_joint, of_product = gradients(bounds.nwj, normal(seed, n), product)
    np.testing.assert_allclose(of_joint, np.full(n, 1 / n), atol=1e-14)
    np.testing.assert_allclose(of_product, -np.exp(product - 1) / p, rtol=1e-12)


@given(seeds, st.integers(1, 5), st.integers(1, 7))
def test_jsd_gradient_is_sigmoids(seed, n, p):
    joint, product = normal(seed, n), normal(seed + 1, p)
    of_joint, of_product = gradients(bounds.jsd, joint, product)
    np.testing.assert_allclose(of_joint, 1 / (1 + np.exp(joint)) / n, atol=1e-14)
    np.testing.assert_allclose(of_product, -1 / (1 + np.exp(-product)) / p, atol=1e-14)


@given(seeds, batches, st.integers(1, 3))
def test_infonce_gradient_is_identity_less_softmax_and_its_columns_sum_to_0(seed, n, locations):
    scores = normal(seed, n, n, locations)
    (slope,) = gradients(bounds.infonce, scores)
    softmax = np.exp(scores) / np.exp(scores).sum(axis=0, keepdims=True)
    np.testing.assert_allclose(slope, (np.eye(n)[:, :, None] - softmax) / (n * locations), atol=1e-14)
    np.testing.assert_allclose(slope.sum(axis=0), 0, atol=1e-14)
    for kind in ("all-locations", "certified"):  # there, the candidates of y_j are all of column j
        (slope,) = gradients(SQUARE[kind], scores)
        np.testing.assert_allclose(slope.sum(axis=(0, 2)), 0, atol=1e-14)


# ---- MINE: DV's value, another gradient


@pytest.mark.parametrize("tail", [(), (2,)])
def test_mine_has_dvs_value_and_at_the_first_batch_dvs_gradient(tail):
    joint, product = normal(6, 3, *tail), normal(7, 4, *tail)
    value, average = bounds.mine(joint, product, None)
    assert value == pytest.approx(bounds.dv(joint, product), abs=1e-14)
    np.testing.assert_allclose(average, np.log(np.exp(product).mean(axis=0)), atol=1e-14)
    assert np.shape(average) == tail
    first = gradients(lambda j, p: bounds.mine(j, p, None)[0], joint, product)
    for ours, dvs in zip(first, gradients(bounds.dv, joint, product), strict=True):
        np.testing.assert_allclose(ours, dvs, atol=1e-14)


@given(seeds, st.sampled_from([(), (1,), (3,)]), st.sampled_from([0.01, 0.3, 1.0]))
def test_mine_divides_by_the_moved_average(seed, tail, rate):
    joint, product = normal(seed, 3, *tail), normal(seed + 1, 4, *tail)
    before = normal(seed + 2, *tail)
    value, after = bounds.mine(joint, product, before, rate)
    average = (1 - rate) * np.exp(before) + rate * np.exp(product).mean(axis=0)  # it moves before it is used
    np.testing.assert_allclose(after, np.log(average), atol=1e-12)
    assert value == pytest.approx(bounds.dv(joint, product), abs=1e-12)
    of_joint, of_product = gradients(lambda j, p: bounds.mine(j, p, before, rate)[0], joint, product)
    locations = math.prod(tail)
    np.testing.assert_allclose(of_joint, np.full(joint.shape, 1 / (3 * locations)), atol=1e-14)
    np.testing.assert_allclose(of_product, -np.exp(product) / average / (4 * locations), rtol=1e-10)


def test_mine_moves_at_one_percent_unless_told():
    product = np.zeros(4)
    _, after = bounds.mine(np.zeros(3), product, np.array(1.0))
    assert after == pytest.approx(math.log(0.99 * math.e + 0.01), abs=1e-14)


def test_mine_at_rate_1_forgets_what_was():
    joint, product = normal(8, 3), normal(9, 4)
    for before in (-500.0, 500.0):
        value, after = bounds.mine(joint, product, np.array(before), 1)
        assert after == pytest.approx(math.log(np.exp(product).mean()), abs=1e-14)
        assert value == pytest.approx(bounds.dv(joint, product), abs=1e-12)


@given(seeds, st.sampled_from([0.01, 0.5, 1.0]), st.sampled_from([-1e4, -10.0, 0.0, 10.0]), scales)
def test_mine_ratio_never_exceeds_one_over_the_rate(seed, rate, before, scale):
    joint, product = normal(seed, 3), normal(seed + 1, 4, scale=scale)
    _, of_product = gradients(lambda j, p: bounds.mine(j, p, np.array(before), rate)[0], joint, product)
    ratio = -of_product.sum()  # E_Q[e^T] / A
    assert 0 <= ratio <= (1 + 1e-9) / rate
    if before == -1e4:  # an average of 0 leaves the newest batch alone: the ratio is attained
        assert ratio == pytest.approx(1 / rate, rel=1e-9)


def test_mine_state_leaves_the_tape_and_follows_the_batches():
    batches_of_scores = [normal(seed, 4, 2) for seed in range(5)]
    average, expected = None, np.exp(batches_of_scores[0]).mean(axis=0)
    for k, product in enumerate(batches_of_scores):
        if k:
            expected = 0.9 * expected + 0.1 * np.exp(product).mean(axis=0)
        seen = []

        def play(scores, seen=seen, average=average):
            value, moved = bounds.mine(scores, scores, average, 0.1)
            seen.append(moved)
            return value

        gradients(play, product)
        average = seen[0]
        assert not isbox(average)
        np.testing.assert_allclose(np.exp(average), expected, rtol=1e-12)


# ---- laws of every batch


@given(seeds, batches, st.integers(1, 3), scales)
def test_nwj_dv_infonce_log_n_in_that_order_on_all_pairs(seed, n, locations, scale):
    scores = normal(seed, n, n, locations, scale=scale)
    joint, every = scores[np.arange(n), np.arange(n)], scores.reshape(n * n, locations)
    order = [bounds.nwj(joint, every), bounds.dv(joint, every), bounds.infonce(scores), math.log(n)]
    for smaller, larger in itertools.pairwise(order):
        assert smaller <= larger + slack(scores)


@given(seeds, batches, st.integers(1, 3), scales)
def test_jsd_stays_below_log_4_and_over_all_pairs_below_its_sharp_ceiling(seed, n, locations, scale):
    scores = normal(seed, n, n, locations, scale=scale)
    joint, off = negatives.all_pairs(scores)
    assert bounds.jsd(joint, off) <= math.log(4) + 1e-12
    sharp = math.log(4) - math.log(1 + 1 / n) - math.log(1 + n) / n
    assert bounds.jsd(joint, scores.reshape(n * n, locations)) <= sharp + 1e-12


def test_the_sharp_ceiling_of_jsd_is_reached():
    """At T = log N on the diagonal and −∞ off it: each diagonal pair is one of N² pairs of the product too."""
    n = 5
    scores = np.where(np.eye(n) > 0, math.log(n), -1e4)
    sharp = math.log(4) - math.log(1 + 1 / n) - math.log(1 + n) / n
    assert bounds.jsd(np.diag(scores), scores.reshape(-1)) == pytest.approx(sharp, abs=1e-12)


@given(seeds, st.integers(1, 5), st.integers(1, 7), st.integers(1, 3), scales)
def test_nwj_stays_below_dv_on_the_same_pairs(seed, n, p, locations, scale):
    joint, product = normal(seed, n, locations, scale=scale), normal(seed + 1, p, locations, scale=scale)
    assert bounds.nwj(joint, product) <= bounds.dv(joint, product) + slack(joint, product)


@given(seeds, batches, st.integers(1, 4), scales)
def test_infonce_stays_below_log_k_for_every_candidate_set(seed, n, locations, scale):
    scores = normal(seed, n, n, locations, scale=scale)
    for kind, k in {"same-location": n, "all-locations": 1 + (n - 1) * locations, "certified": n}.items():
        assert SQUARE[kind](scores) <= math.log(k) + slack(scores)
    positives, others = normal(seed, n, locations, scale=scale), normal(seed + 1, 3, n, locations, scale=scale)
    assert bounds.infonce_sampled(positives, others) <= math.log(4) + slack(positives, others)


@pytest.mark.parametrize("kind", SQUARE)
def test_infonce_reaches_log_k_on_separated_scores_and_0_on_equal_ones(kind):
    n, locations = 4, 3
    count = 1 + (n - 1) * locations if kind == "all-locations" else n
    separated = np.where(np.eye(n)[:, :, None] > 0, 1e4, -1e4) * np.ones((n, n, locations))
    assert SQUARE[kind](separated) == pytest.approx(math.log(count), abs=1e-12)
    assert SQUARE[kind](np.full((n, n, locations), 7.0)) == pytest.approx(0, abs=1e-12)


@given(seeds, st.integers(1, 5), st.integers(1, 4), st.floats(-5, 5))
def test_dv_ignores_a_constant_at_each_location(seed, n, locations, shift):
    joint, product = normal(seed, n, locations), normal(seed + 1, n + 1, locations)
    shifts = shift * normal(seed + 2, locations)
    assert bounds.dv(joint + shifts, product + shifts) == pytest.approx(bounds.dv(joint, product), abs=1e-11)


@given(seeds, batches, st.integers(1, 3))
def test_infonce_ignores_a_function_of_y_and_the_order_of_the_batch(seed, n, locations):
    scores = normal(seed, n, n, locations)
    of_y = 10 * normal(seed + 1, 1, n, 1)
    order = np.random.default_rng(seed).permutation(n)
    for infonce in SQUARE.values():
        value = infonce(scores)
        assert infonce(scores + of_y) == pytest.approx(value, abs=1e-11)
        assert infonce(scores[order][:, order]) == pytest.approx(value, abs=1e-12)
    of_y_and_location = normal(seed + 2, 1, n, locations)  # where the candidates share the positive's location
    assert bounds.infonce(scores + of_y_and_location) == pytest.approx(bounds.infonce(scores), abs=1e-11)


def test_infonce_sees_a_function_of_x():
    """The candidates are x' for a fixed y: adding c(x) is a change, and so is the transpose."""
    scores = normal(10, 4, 4)
    assert abs(bounds.infonce(scores + normal(11, 4, 1)) - bounds.infonce(scores)) > 0.05
    assert abs(bounds.infonce(scores.T) - bounds.infonce(scores)) > 0.05


@given(seeds, st.integers(1, 5), st.integers(1, 4))
def test_pair_bounds_ignore_the_order_of_the_pairs(seed, n, locations):
    joint, product = normal(seed, n, locations), normal(seed + 1, n + 2, locations)
    rng = np.random.default_rng(seed)
    for bound in PAIR.values():
        mixed = bound(rng.permutation(joint), rng.permutation(product))
        assert mixed == pytest.approx(bound(joint, product), abs=1e-12)


# ---- exact expectations: equally likely pairs, so that a mean over them is the expectation

COUNTS = np.array([[3, 1, 1], [1, 2, 4]])  # p(x, y) in twelfths
P = COUNTS / COUNTS.sum()
PRODUCT = np.outer(P.sum(axis=1), P.sum(axis=0))
R = np.log(P / PRODUCT)
INFORMATION = float((P * R).sum())
JENSEN_SHANNON = float((P * np.log(2 * P / (P + PRODUCT)) + PRODUCT * np.log(2 * PRODUCT / (P + PRODUCT))).sum()) / 2


def population(critic):
    """T at every pair of the joint, and of the product, each as often as it is likely."""
    of_product = np.outer(COUNTS.sum(axis=1), COUNTS.sum(axis=0))
    return np.repeat(critic.ravel(), COUNTS.ravel()), np.repeat(critic.ravel(), of_product.ravel())


@given(seeds, st.sampled_from([0.1, 1.0, 5.0]))
def test_expectations_stay_below_the_information_for_any_critic(seed, scale):
    joint, product = population(R + normal(seed, 2, 3, scale=scale))
    assert bounds.nwj(joint, product) <= bounds.dv(joint, product) + 1e-12
    assert bounds.dv(joint, product) <= INFORMATION + 1e-12
    assert bounds.jsd(joint, product) <= 2 * JENSEN_SHANNON + 1e-12


def test_expectations_are_tight_at_the_optimal_critic():
    assert bounds.dv(*population(R)) == pytest.approx(INFORMATION, abs=1e-12)
    assert bounds.dv(*population(R - 3)) == pytest.approx(INFORMATION, abs=1e-12)
    assert bounds.nwj(*population(R + 1)) == pytest.approx(INFORMATION, abs=1e-12)
    assert bounds.nwj(*population(R)) < INFORMATION - 0.1
    assert bounds.jsd(*population(R)) == pytest.approx(2 * JENSEN_SHANNON, abs=1e-12)
    assert bounds.jsd(*population(R + 1)) < 2 * JENSEN_SHANNON - 0.05


def expected_infonce(critic, k, infonce=bounds.infonce):
    """Over all K-tuples of pairs (x, y) of the joint, each with its probability."""
    pairs = list(np.ndindex(P.shape))
    value = 0.0
    for drawn in itertools.product(pairs, repeat=k):
        x, y = [p[0] for p in drawn], [p[1] for p in drawn]
        value += math.prod(P[p] for p in drawn) * infonce(critic[np.ix_(x, y)])
    return value


def test_infonce_expected_over_k_tuples_rises_to_the_information_at_r():
    values = [expected_infonce(R, k) for k in (2, 3, 4)]
    assert 0 < values[0] < values[1] < values[2] < INFORMATION
    assert values[2] > 0.7 * INFORMATION
    for seed in range(5):
        critic = R + normal(seed, 2, 3)
        assert expected_infonce(critic, 2) < values[0]
        assert expected_infonce(critic, 3) < values[1]
    assert expected_infonce(R + normal(0, 1, 3), 2) == pytest.approx(values[0], abs=1e-12)  # R + c(y)


def test_nwj_and_jsd_of_a_batch_are_unbiased_over_its_off_diagonal_pairs_and_dv_is_high():
    critic = R + normal(12, 2, 3)
    expected = {
        name: expected_infonce(critic, 2, lambda s, bound=bound: bound(*negatives.all_pairs(s)))
        for name, bound in PAIR.items()
    }
    for name in ("nwj", "jsd"):
        assert expected[name] == pytest.approx(PAIR[name](*population(critic)), abs=1e-12)
    assert expected["dv"] > bounds.dv(*population(critic)) + 0.01


def test_all_locations_infonce_is_no_bound_and_its_certified_form_is():
    """One fair bit copied to 64 locations, y = the bit, T = 50·[equal], two images: I = log 2."""
    expected = {kind: 0.0 for kind in SQUARE}
    for bits in itertools.product((0, 1), repeat=2):
        bits = np.array(bits)
        scores = np.repeat(50.0 * (bits[:, None] == bits[None, :])[:, :, None], 64, axis=2)
        for kind, infonce in SQUARE.items():
            expected[kind] += float(infonce(scores)) / 4
    assert expected["all-locations"] == pytest.approx(math.log(65) / 2, abs=1e-12)  # 2.087 > 0.693
    assert expected["certified"] == pytest.approx(math.log(2) / 2, abs=1e-12)
    assert expected["same-location"] == pytest.approx(math.log(2) / 2, abs=1e-12)


def test_certified_form_stays_below_the_information_of_a_uniform_location():
    """Two binary locations of an image, dependent on each other; arbitrary critics, pairs of images enumerated."""
    rng = np.random.default_rng(13)
    p = rng.random((2, 2, 2)) ** 3  # p(x at location 0, x at location 1, y)
    p /= p.sum()
    uniform = (p.sum(axis=1) + p.sum(axis=0)) / 2  # p(x at a uniform location, y)
    outer = np.outer(uniform.sum(axis=1), uniform.sum(axis=0))
    information = (uniform * np.log(uniform / outer)).sum()
    best = np.log(uniform / outer)
    values = []
    for critic in [best, *(best + rng.standard_normal((2, 2)) for _ in range(5))]:
        value = 0.0
        for a, b in itertools.product(np.ndindex(2, 2, 2), repeat=2):
            scores = np.array([[[critic[x[0], y], critic[x[1], y]] for y in (a[2], b[2])] for x in (a, b)])
            value += p[a] * p[b] * float(bounds.infonce_certified(scores))
        values.append(value)
    assert max(values) <= information
    assert values[0] > 0


# ---- extremes, types, devices, ceilings


@pytest.mark.parametrize("tail", [(), (1,), (3,)])
def test_bounds_on_every_kind_of_array(tail):
    """Gradients, second derivatives, float32 in and out, and the strict device equal to NumPy to the last bit."""
    joint, product, state, square, others = draw(0, (3, *tail), (4, *tail), tail, (3, 3, *tail), (2, 3, *tail))
    for bound in PAIR.values():
        check_all(bound, joint, product)
    for infonce in SQUARE.values():
        check_all(infonce, square)
    check_all(bounds.infonce_sampled, joint, others)

    for dtype in (np.float32, np.float64):
        for before in (None, state.astype(dtype)):

            def on(backend, dtype=dtype, before=before):
                arrays = {"joint": joint.astype(dtype), "product": product.astype(dtype)}
                average = None if before is None else backend.to_device(before)
                return value_and_gradients(
                    lambda a: bounds.mine(a["joint"], a["product"], average), backend.tree_to_device(arrays)
                )

            (value, slopes, after), (on_device, device_slopes, device_after) = on(NUMPY), on(STRICT)
            found = [on_device, *device_slopes.values(), device_after]
            for ours, device in zip([value, *slopes.values(), after], found, strict=True):
                assert isinstance(device, DeviceArray)
                assert device.dtype == dtype
                np.testing.assert_array_equal(device.get(), ours)


EXTREMES = np.array([[1e4, -1e4, 3.0], [-1e4, 1e4, 0.0], [1e4, 1e4, -1e4]], np.float32)


def finite(*arrays):
    return all(np.isfinite(a).all() for a in arrays)


@pytest.mark.parametrize("kind", SQUARE)
@pytest.mark.parametrize("sign", [1, -1])
def test_infonce_is_finite_at_1e4_in_float32(kind, sign):
    for scores in (sign * EXTREMES, sign * np.stack([EXTREMES, EXTREMES.T], axis=2)):
        assert finite(SQUARE[kind](scores), *gradients(SQUARE[kind], scores))


@pytest.mark.parametrize("sign", [1, -1])
def test_pair_bounds_at_1e4_in_float32(sign):
    joint, product = sign * EXTREMES[0], sign * EXTREMES[1]
    for bound in (bounds.dv, bounds.jsd, lambda j, p: bounds.mine(j, p, np.float32(-1e4))[0]):
        assert finite(bound(joint, product), *gradients(bound, joint, product))
    assert bounds.nwj(joint, product) == -math.inf  # e^{T−1} is beyond the number range: the right limit
    assert finite(bounds.nwj(joint, -abs(product)))
    assert finite(bounds.infonce_sampled(joint, product[None]))
    assert bounds.dv(joint, product) == pytest.approx(sign * (1e4 + 3 - 1e4) / 3 - (1e4 - math.log(3)), rel=1e-5)


def test_float32_stays_float32():
    joint, product, square = normal(1, 3, 2), normal(2, 4, 2), normal(3, 3, 3, 2)
    joint, product, square = (a.astype(np.float32) for a in (joint, product, square))
    state = np.zeros(2, np.float32)
    _, average = bounds.mine(joint, product, state)
    assert average.dtype == np.float32
    assert bounds.mine(joint, product, None)[1].dtype == np.float32
    calls = [(bound, (joint, product)) for bound in PAIR.values()]
    calls += [(lambda j, p: bounds.mine(j, p, state)[0], (joint, product))]
    calls += [(infonce, (square,)) for infonce in SQUARE.values()]
    calls += [(bounds.infonce_sampled, (joint, np.stack([joint, -joint])))]
    for bound, arrays in calls:
        assert bound(*arrays).dtype == np.float32
        assert all(slope.dtype == np.float32 for slope in gradients(bound, *arrays))


def test_float32_value_is_float64s_to_single_precision():
    square = normal(4, 5, 5, 3)
    for infonce in SQUARE.values():
        assert infonce(square.astype(np.float32)) == pytest.approx(infonce(square), abs=1e-5)


def test_ceilings():
    assert bounds.ceiling("jsd") == bounds.LOG_4 == math.log(4)
    assert bounds.ceiling("infonce", 2) == math.log(2)
    assert bounds.ceiling("infonce", 64) == math.log(64)
    assert [bounds.ceiling(name) for name in ("dv", "mine", "nwj")] == [math.inf] * 3


# ---- errors


@pytest.mark.parametrize("name", [*PAIR, "mine"])
@pytest.mark.parametrize(
    ("joint", "product", "argument"),
    [
        ((), (), "joint"),
        ((2, 2, 2), (2, 2, 2), "joint"),
        ((0,), (3,), "joint"),
        ((3, 0), (3, 0), "joint"),
        ((3,), (3, 2), "product"),
        ((3, 2), (3,), "product"),
        ((3, 2), (3, 4), "product"),
        ((3,), (0,), "product"),
        ((3, 2), (0, 2), "product"),
    ],
)
def test_pair_shapes_are_checked(name, joint, product, argument):
    call = {**PAIR, "mine": lambda j, p: bounds.mine(j, p, None)}[name]
    wanted = "(N,) or (N, L)" if argument == "joint" else f"(P, *{joint[1:]})"
    wrong = joint if argument == "joint" else product
    message = re.escape(f"{name}: {argument} must be {wanted} and not empty, was {wrong}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        call(np.zeros(joint), np.zeros(product))


@pytest.mark.parametrize("shape", [(), (3,), (1, 1), (2, 3), (3, 2), (2, 2, 0), (2, 2, 2, 2), (1, 1, 4), (0, 0)])
@pytest.mark.parametrize("infonce", [bounds.infonce, bounds.infonce_certified])
def test_square_shapes_are_checked(infonce, shape):
    name = infonce.__name__
    wrong = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=rf"^{name}: scores must be \(N, N\) or \(N, N, L\) with N ≥ 2, was {wrong}$"):
        infonce(np.zeros(shape))


@pytest.mark.parametrize("name", ["nearby", "all", "some-location", ""])
def test_candidates_must_be_named(name):
    with pytest.raises(ValueError, match=rf"^infonce: candidates must be .*'{name}'"):
        bounds.infonce(np.zeros((2, 2)), name)


@pytest.mark.parametrize(
    ("positives", "others", "argument"),
    [
        ((), (2,), "positives"),
        ((3, 2, 2), (1, 3, 2, 2), "positives"),
        ((0,), (2, 0), "positives"),
        ((3,), (3,), "negatives"),
        ((3,), (2, 4), "negatives"),
        ((3, 2), (2, 3), "negatives"),
        ((3,), (0, 3), "negatives"),
    ],
)
def test_sampled_shapes_are_checked(positives, others, argument):
    wrong = re.escape(str(positives if argument == "positives" else others))
    with pytest.raises(ValueError, match=f"^infonce_sampled: {argument} must be .*, was {wrong}$"):
        bounds.infonce_sampled(np.zeros(positives), np.zeros(others))


@pytest.mark.parametrize("rate", [0, -0.1, 1.1, math.nan])
def test_mine_rate_is_checked(rate):
    with pytest.raises(ValueError, match=rf"^mine: rate must be in \(0, 1\], was {rate}$"):
        bounds.mine(np.zeros(3), np.zeros(3), np.array(0.0), rate)


@pytest.mark.parametrize(("tail", "state"), [((), (3,)), ((2,), ()), ((2,), (3,)), ((2,), (1, 2))])
def test_mine_state_has_one_average_a_location(tail, state):
    message = re.escape(f"mine: log_average must be {tail}, was {state}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        bounds.mine(np.zeros((3, *tail)), np.zeros((3, *tail)), np.zeros(state))


@pytest.mark.parametrize("candidates", [None, 1, 0])
def test_ceiling_of_infonce_needs_its_candidates(candidates):
    with pytest.raises(ValueError, match=rf"^ceiling: infonce needs K ≥ 2 candidates, was {candidates}$"):
        bounds.ceiling("infonce", candidates)


def test_ceiling_of_an_unknown_bound():
    with pytest.raises(ValueError, match=r"^ceiling: bound must be .*'tuba'"):
        bounds.ceiling("tuba")


# ---- TUBA, the plug-in reading of a JSD critic, and SMILE


def loop_plug_in(joint, product):
    return 1 + sum(joint) / len(joint) - sum(math.exp(t) for t in product) / len(product)


@given(seeds, st.integers(1, 5), st.integers(1, 7), st.sampled_from([(), (1,), (3,)]))
def test_plug_in_and_tuba_equal_their_loops(seed, n, p, tail):
    joint, product = normal(seed, n, *tail), normal(seed + 1, p, *tail)
    value = bounds.plug_in(joint, product)
    assert np.shape(value) == ()
    assert float(value) == pytest.approx(loop_by_location(loop_plug_in, joint, product), abs=1e-12)
    log_a = normal(seed + 2, n, *tail), normal(seed + 3, p, *tail)
    expected = loop_by_location(loop_plug_in, joint - log_a[0], product - log_a[1])
    assert float(bounds.tuba(joint, product, *log_a)) == pytest.approx(expected, abs=1e-11)


@given(seeds, st.integers(1, 5), st.integers(1, 7), st.sampled_from([(), (1,), (3,)]), st.sampled_from([0.0, 0.5, 2.0]))
def test_smile_equals_its_loop(seed, n, p, tail, tau):
    joint, product = normal(seed, n, *tail), normal(seed + 1, p, *tail)

    def loop(joint, product):
        clipped = [min(max(math.exp(t), math.exp(-tau)), math.exp(tau)) for t in product]
        return sum(joint) / len(joint) - math.log(sum(clipped) / len(clipped))

    value = bounds.smile(joint, product, tau)
    assert np.shape(value) == ()
    assert float(value) == pytest.approx(loop_by_location(loop, joint, product), abs=1e-12)
    assert bounds.smile(joint, product, math.inf) == pytest.approx(bounds.dv(joint, product), abs=1e-14)


@pytest.mark.parametrize("tail", [(), (2,)])
def test_further_bounds_on_every_kind_of_array(tail):
    joint, product = draw(20, (3, *tail), (4, *tail))
    check_all(bounds.plug_in, joint, product)
    check_all(bounds.tuba, joint, product, *draw(21, (3, *tail), (4, *tail)))
    product = product + 0.1 * np.where(
        np.abs(product) < 0.8, -np.sign(product), np.sign(product)
    )  # off the kinks at ±τ
    check_all(lambda j, p: bounds.smile(j, p, 0.8), joint, product)


def test_smile_has_no_gradient_where_it_clips():
    joint, product = np.zeros(2), np.array([-3.0, 0.2, 0.5, 4.0])
    of_joint, of_product = gradients(lambda j, p: bounds.smile(j, p, 1.0), joint, product)
    clipped = np.exp(np.clip(product, -1, 1))
    np.testing.assert_allclose(of_joint, [0.5, 0.5])
    np.testing.assert_allclose(of_product, -clipped * [0, 1, 1, 0] / clipped.sum(), atol=1e-14)


def test_plug_in_and_tuba_end_at_minus_infinity_without_a_warning():
    joint, product = np.zeros(2, np.float32), np.full(3, 1e4, np.float32)
    assert bounds.plug_in(joint, product) == -math.inf
    assert bounds.tuba(joint, product, 0 * joint, 0 * product) == -math.inf
    assert bounds.tuba(joint, product, 0 * joint, product) == 0


@pytest.mark.parametrize("locations", [1, 2, 4])
def test_joint_and_product_have_the_same_locations(locations):
    """Each side is averaged by itself, so nothing else would notice."""
    match = rf"^dv: product must be \(P, \*\(3,\)\) and not empty, was \(5, {locations}\)$"
    with pytest.raises(ValueError, match=match):
        bounds.dv(np.zeros((4, 3)), np.zeros((5, locations)))


def test_one_score_without_an_axis_is_no_batch():
    with pytest.raises(ValueError, match=r"^dv: product must be \(P, \*\(\)\) and not empty, was \(\)$"):
        bounds.dv(np.zeros(3), np.zeros(()))


def test_shapes_of_further_bounds_are_checked():
    for name, bound in {
        "plug_in": bounds.plug_in,
        "tuba": lambda j, p: bounds.tuba(j, p, j, p),
        "smile": lambda j, p: bounds.smile(j, p, 1.0),
        "club": bounds.club,
    }.items():
        with pytest.raises(ValueError, match=rf"^{name}: product must be \(P, \*\(2,\)\) and not empty, was \(3,\)$"):
            bound(np.zeros((3, 2)), np.zeros(3))
    joint, product = np.zeros(3), np.zeros(4)
    for log_a, argument in (((product, product), "joint"), ((joint, joint), "product")):
        with pytest.raises(ValueError, match=rf"^tuba: {argument}_log_a must be \((3|4),\), was \((3|4),\)$"):
            bounds.tuba(joint, product, *log_a)


@pytest.mark.parametrize("tau", [-0.1, math.nan])
def test_tau_is_checked(tau):
    with pytest.raises(ValueError, match=rf"^smile: tau must be ≥ 0, was {tau}$"):
        bounds.smile(np.zeros(3), np.zeros(4), tau)


# ---- upper bounds, and the interpolation of TUBA and InfoNCE


def loop_leave_one_out(s):
    n = len(s)
    means = [sum(math.exp(s[i, j]) for i in range(n) if i != j) / (n - 1) for j in range(n)]
    return sum(s[j, j] - math.log(means[j]) for j in range(n)) / n


def loop_interpolated(s, log_a, alpha):
    """Every y with every other x left out, one exponential after the other."""
    n, terms, ratios = len(s), [], []
    for j, k in itertools.permutations(range(n), 2):
        b, b_of_others = (
            alpha * sum(math.exp(s[i, j]) for i in range(n) if i != out) / (n - 1) + (1 - alpha) * math.exp(log_a)
            for out in (k, j)
        )
        terms.append(s[j, j] - math.log(b))
        ratios.append(math.exp(s[k, j]) / b_of_others)
    return 1 + sum(terms) / len(terms) - sum(ratios) / len(ratios)


@given(seeds, st.integers(3, 5), st.sampled_from([(), (1,), (3,)]), st.sampled_from([0.0, 0.3, 1.0]))
def test_further_bounds_of_a_matrix_equal_their_loops(seed, n, tail, alpha):
    scores, log_a = normal(seed, n, n, *tail), float(normal(seed + 1))
    for bound, loop in (
        (bounds.leave_one_out, loop_leave_one_out),
        (lambda s: bounds.infonce_interpolated(s, log_a, alpha), lambda s: loop_interpolated(s, log_a, alpha)),
    ):
        by_location = scores.reshape(n, n, -1)
        expected = np.mean([loop(by_location[:, :, at]) for at in range(by_location.shape[2])])
        assert float(bound(scores)) == pytest.approx(expected, abs=1e-10)
    joint, product = negatives.all_pairs(scores)
    assert float(bounds.club(joint, product)) == pytest.approx(joint.mean() - product.mean(), abs=1e-12)


@pytest.mark.parametrize("tail", [(), (2,)])
def test_further_bounds_of_a_matrix_on_every_kind_of_array(tail):
    (scores,) = draw(22, (3, 3, *tail))
    check_all(bounds.leave_one_out, scores)
    check_all(bounds.club, *draw(23, (3, *tail), (4, *tail)))
    for alpha in (0.0, 0.4, 1.0):
        check_all(lambda s, alpha=alpha: bounds.infonce_interpolated(s, 0.5, alpha), scores)


def test_the_interpolation_stays_in_range():
    scores = np.float32(1e4) * np.eye(3, dtype=np.float32)
    assert bounds.infonce_interpolated(scores, 1.0, 1.0) == pytest.approx(math.log(2), rel=1e-3)  # beside 1e4
    assert bounds.infonce_interpolated(-scores, 1.0, 0.0) == pytest.approx(1 - 1e4 - 1 - 1 / math.e)
    assert bounds.infonce_interpolated(np.full((3, 3), 1e4, np.float32), 1.0, 0.0) == -math.inf


@pytest.mark.parametrize(("n", "alpha"), [(2, 0.5), (3, -0.1), (3, 1.1), (3, math.nan)])
def test_arguments_of_the_interpolation_are_checked(n, alpha):
    with pytest.raises(ValueError, match=rf"N must be ≥ 3 and alpha in \[0, 1\], was {n} and {alpha}$"):
        bounds.infonce_interpolated(np.zeros((n, n)), 1.0, alpha)
