"""Exact information of discrete tables against sums written out entry by entry, and the identities they obey."""

import itertools
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimref.theory import information as info

LOG_2 = math.log(2)
seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 5)
BASES = [math.e, 2, 10]


def draw_table(seed, shape, zeros=0.3):
    """A distribution with spread-out values and, as a rule, exact zeros."""
    rng = np.random.default_rng(seed)
    table = rng.exponential(size=shape) ** 3 * (rng.random(shape) >= zeros)
    table.flat[rng.integers(table.size)] += 0.1
    return table / table.sum()


def near(value, expected, tolerance=1e-12):
    assert isinstance(value, float)
    assert not math.isnan(value)
    assert value == expected or abs(value - expected) <= tolerance * max(1, abs(expected))


def naive_entropy(p, base=math.e):
    return -sum(v * math.log(v, base) for v in np.ravel(p).tolist() if v > 0)


def naive_kl(p, q, base=math.e):
    pairs = list(zip(np.ravel(p).tolist(), np.ravel(q).tolist(), strict=True))
    if any(a > 0 and b == 0 for a, b in pairs):
        return math.inf
    return sum(a * math.log(a / b, base) for a, b in pairs if a > 0)


def naive_information(p_xy, base=math.e):
    return naive_kl(p_xy, np.outer(p_xy.sum(1), p_xy.sum(0)), base)


# Values one can check by hand


HAND = np.array([[1 / 2, 0], [1 / 4, 1 / 4]])  # X is a fair bit; Y = 0 if X = 0, else a fair bit


def test_hand_computed_table_in_bits():
    h_quarter = 2 - 0.75 * math.log2(3)
    near(info.entropy([1 / 2, 1 / 4, 1 / 8, 1 / 8], base=2), 1.75)
    near(info.joint_entropy(HAND, base=2), 1.5)
    near(info.conditional_entropy(HAND, base=2), 1.5 - h_quarter)  # H(X|Y) = H(X,Y) − H(Y)
    near(info.conditional_entropy(HAND.T, base=2), 0.5)  # H(Y|X): a fair bit half of the time
    near(info.mutual_information(HAND, base=2), h_quarter - 0.5)
    near(info.kl_divergence([1 / 2, 1 / 2], [1 / 4, 3 / 4], base=2), 1 - 0.5 * math.log2(3))
    near(info.cross_entropy([1 / 2, 1 / 2], [1 / 4, 3 / 4], base=2), 2 - 0.5 * math.log2(3))
    near(info.jensen_shannon([1, 0], [1 / 2, 1 / 2], base=2), 0.5 * math.log2(4 / 3) + 0.25 * math.log2(4 / 3))


def test_hand_computed_log_ratio():
    with np.errstate(divide="ignore"):
        expected = np.log([[4 / 3, 0], [2 / 3, 2]])
    np.testing.assert_allclose(info.log_ratio(HAND), expected, atol=1e-15)
    np.testing.assert_allclose(info.log_ratio(HAND, base=2), expected / LOG_2, atol=1e-15)


def test_certain_outcomes_have_a_plain_zero():
    for zero in (
        info.entropy([1, 0]),
        info.joint_entropy([[0, 1]]),
        info.conditional_entropy([[0, 1]]),
        info.cross_entropy([1, 0], [1, 0]),
        info.kl_divergence([1, 0], [1, 0]),
        info.jensen_shannon([1, 0], [1, 0]),
        info.mutual_information([[0, 1]]),
        info.conditional_mutual_information([[[0, 1]]]),
    ):
        assert math.copysign(1, zero) == 1
        assert zero == 0
        assert type(zero) is float


def test_a_common_cause_and_a_parity():
    copies = np.zeros((2, 2, 2))
    copies[0, 0, 0] = copies[1, 1, 1] = 0.5  # X = Y = Z: given Z nothing is left to share
    near(info.conditional_mutual_information(copies), 0.0)
    parity = np.zeros((2, 2, 2))
    for x, y in itertools.product(range(2), range(2)):
        parity[x, y, x ^ y] = 0.25  # X and Y independent, yet each tells the other once Z = X ⊕ Y is known
    near(info.mutual_information(parity.sum(2)), 0.0)
    near(info.conditional_mutual_information(parity), LOG_2)
    near(info.conditional_mutual_information(parity, base=2), 1.0)


def test_infinite_divergences():
    assert info.kl_divergence([0.5, 0.5], [1, 0]) == math.inf
    assert info.cross_entropy([0.5, 0.5], [1, 0]) == math.inf
    near(info.kl_divergence([1, 0], [0.5, 0.5]), LOG_2)
    near(info.jensen_shannon([1, 0], [0, 1]), LOG_2)


def test_small_probabilities_do_not_underflow():
    tiny = 1e-200  # its product of marginals, 1e-400, is no float
    table = np.array([[1.0, 0.0], [0.0, tiny]])
    near(info.mutual_information(table), 0.0)
    near(info.log_ratio(table)[1, 1], 200 * math.log(10))
    near(info.conditional_mutual_information(table[:, :, None]), 0.0)
    smallest = 5e-324  # half of it is 0
    near(info.jensen_shannon([1.0, smallest], [1.0, 0.0]), 0.0)


def test_entropy_is_not_negative_and_is_accurate_near_certainty():
    near(info.entropy([1 + 9e-10]), 0.0)
    assert info.entropy([1 + 9e-10]) == 0.0
    assert info.kl_divergence([1 - 9e-10], [1.0]) == 0.0


# Against sums written out


@settings(deadline=None)
@given(seeds, sides, st.sampled_from(BASES))
def test_one_table_against_written_out_sums(seed, n, base):
    p = draw_table(seed, n)
    near(info.entropy(p, base), naive_entropy(p, base))
    assert 0 <= info.entropy(p, base) <= math.log(n, base) + 1e-12


@settings(deadline=None)
@given(seeds, st.lists(sides, min_size=1, max_size=3), st.sampled_from(BASES), st.sampled_from([0.0, 0.4]))
def test_two_tables_against_written_out_sums(seed, shape, base, zeros):
    p, q = draw_table(seed, shape, zeros), draw_table(seed + 1, shape, zeros)
    near(info.kl_divergence(p, q, base), naive_kl(p, q, base))
    near(info.cross_entropy(p, q, base), naive_entropy(p, base) + naive_kl(p, q, base))
    m = (p + q) / 2
    near(info.jensen_shannon(p, q, base), naive_kl(p, m, base) / 2 + naive_kl(q, m, base) / 2)
    near(info.jensen_shannon(q, p), naive_entropy(m) - naive_entropy(p) / 2 - naive_entropy(q) / 2)
    assert 0 <= info.jensen_shannon(p, q) <= LOG_2 + 1e-15


@settings(deadline=None)
@given(seeds, sides, sides, st.sampled_from(BASES))
def test_joint_tables_against_written_out_sums(seed, n, m, base):
    p = draw_table(seed, (n, m))
    p_x, p_y = p.sum(1), p.sum(0)
    near(info.joint_entropy(p, base), naive_entropy(p, base))
    cells = [(x, y) for x in range(n) for y in range(m) if p[x, y] > 0]
    near(info.conditional_entropy(p, base), -sum(p[c] * math.log(p[c] / p_y[c[1]], base) for c in cells))
    near(info.mutual_information(p, base), naive_information(p, base))
    ratio = info.log_ratio(p, base)
    assert ratio.shape == p.shape
    for x, y in itertools.product(range(n), range(m)):
        near(float(ratio[x, y]), math.log(p[x, y] / (p_x[x] * p_y[y]), base) if p[x, y] > 0 else -math.inf)


@settings(deadline=None)
@given(seeds, st.tuples(sides, sides, sides), st.sampled_from(BASES))
def test_conditional_information_is_the_mean_over_the_condition(seed, shape, base):
    p = draw_table(seed, shape)
    slices = [(p[:, :, z].sum(), p[:, :, z]) for z in range(shape[2])]
    mean = sum(w * naive_information(s / w, base) for w, s in slices if w > 0)
    near(info.conditional_mutual_information(p, base), mean)


# The identities and inequalities


@settings(deadline=None)
@given(seeds, sides, sides)
def test_the_four_forms_of_mutual_information(seed, n, m):
    p = draw_table(seed, (n, m))
    i, p_x, p_y = info.mutual_information(p), p.sum(1), p.sum(0)
    h_x, h_y = info.entropy(p_x), info.entropy(p_y)
    near(i, h_x - info.conditional_entropy(p))
    near(i, h_y - info.conditional_entropy(p.T))
    near(i, h_x + h_y - info.joint_entropy(p))
    near(i, info.kl_divergence(p, np.outer(p_x, p_y)))
    near(i, info.cross_entropy(p, np.outer(p_x, p_y)) - info.joint_entropy(p))
    assert 0 <= i <= min(h_x, h_y) + 1e-12


@settings(deadline=None)
@given(seeds, st.tuples(sides, sides, sides))
def test_chain_rules(seed, shape):
    p = draw_table(seed, shape)
    p_xy = p.sum(2)
    near(info.joint_entropy(p_xy), info.entropy(p_xy.sum(0)) + info.conditional_entropy(p_xy))
    # I(X; (Y, Z)) = I(X; Z) + I(X; Y | Z)
    joined = p.reshape(shape[0], -1)
    near(info.mutual_information(joined), info.mutual_information(p.sum(1)) + info.conditional_mutual_information(p))


@settings(deadline=None)
@given(seeds, sides, sides, sides)
def test_data_processing(seed, n, m, k):
    p = draw_table(seed, (n, m))
    channel = np.stack([draw_table(seed + 1 + y, k) for y in range(m)])
    processed = p @ channel
    assert info.mutual_information(processed) <= info.mutual_information(p) + 1e-12
    q = np.outer(p.sum(1), p.sum(0))
    assert info.jensen_shannon(processed, q @ channel) <= info.jensen_shannon(p, q) + 1e-12


@settings(deadline=None)
@given(seeds, sides, sides)
def test_information_adds_over_independent_pairs(seed, n, m):
    p, q = draw_table(seed, (n, m)), draw_table(seed + 1, (m, n))
    both = np.einsum("ab,cd->acbd", p, q).reshape(n * m, m * n)
    near(info.mutual_information(both), info.mutual_information(p) + info.mutual_information(q))


@settings(deadline=None)
@given(seeds, sides, sides)
def test_names_of_outcomes_do_not_matter(seed, n, m):
    p = draw_table(seed, (n, m))
    rng = np.random.default_rng(seed)
    shuffled = p[rng.permutation(n)][:, rng.permutation(m)]
    for quantity in (info.joint_entropy, info.conditional_entropy, info.mutual_information):
        near(quantity(shuffled), quantity(p))
    near(info.mutual_information(p.T), info.mutual_information(p))


def test_integers_are_tables_too():
    assert info.entropy([0, 1]) == 0.0
    assert info.mutual_information(np.array([[1, 0]], np.int8)) == 0.0


# Critics


@pytest.mark.parametrize(("bound", "shift"), [("dv", 0.0), ("jsd", 0.0), ("infonce", 0.0), ("nwj", 1.0)])
def test_optimal_critic(bound, shift):
    np.testing.assert_array_equal(info.optimal_critic(HAND, bound), info.log_ratio(HAND) + shift)


def test_optimal_critic_of_tuba_adds_the_baseline_of_each_y():
    expected = info.log_ratio(HAND) + np.array([[0.5, -2.0]])
    np.testing.assert_array_equal(info.optimal_critic(HAND, "tuba", [0.5, -2.0]), expected)
    assert info.optimal_critic([[0.5, 0.25, 0.25]], "tuba", [1, 2, 3]).shape == (1, 3)


@settings(deadline=None)
@given(seeds, sides, sides)
def test_bounds_are_tight_at_their_critics(seed, n, m):
    p = draw_table(seed, (n, m))
    q, i = np.outer(p.sum(1), p.sum(0)), info.mutual_information(p)
    log_a = np.random.default_rng(seed).normal(size=m)
    seen = p > 0

    def mean_p(t):
        return (p[seen] * t[seen]).sum()

    t = info.optimal_critic(p, "dv")
    near(float(mean_p(t) - np.log((q * np.exp(t)).sum())), i)
    t = info.optimal_critic(p, "nwj")
    near(float(mean_p(t) - (q * np.exp(t - 1)).sum()), i)
    t = info.optimal_critic(p, "tuba", log_a)
    near(float(1 + mean_p(t - log_a) - (q * np.exp(t - log_a)).sum()), i)
    t = info.optimal_critic(p, "jsd")
    near(float(2 * LOG_2 - mean_p(np.logaddexp(0, -t)) - (q * np.logaddexp(0, t)).sum()), 2 * info.jensen_shannon(p, q))


@pytest.mark.parametrize(
    ("bound", "log_a", "message"),
    [
        ("mine", None, "bound is 'mine', expected one of dv, nwj, tuba, jsd, infonce"),
        ("tuba", None, "log_a is missing for tuba, expected it for tuba alone"),
        ("dv", [0.0, 0.0], "log_a is superfluous for dv, expected it for tuba alone"),
        ("tuba", [0.0], "log_a has shape (1,), expected (2,), one entry for each y"),
        ("tuba", [0.0, 0.0, 0.0], "log_a has shape (3,), expected (2,), one entry for each y"),
        ("tuba", [0.0, math.nan], "log_a[1] is nan, expected a finite number"),
        ("tuba", [-math.inf, 0.0], "log_a[0] is -inf, expected a finite number"),
        ("tuba", ["a", "b"], "log_a has dtype <U1, expected real numbers"),
    ],
)
def test_optimal_critic_refuses(bound, log_a, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (compared whole)
        info.optimal_critic(HAND, bound, log_a)
    assert str(caught.value) == message


# JS against I


def decimal_ceiling(nats):
    """log 2 − ½[(1 + e^{−I}) log(1 + e^{−I}) + I e^{−I}] with 60 digits."""
    with localcontext() as context:
        context.prec = 60
        i = Decimal(nats)
        e = (-i).exp()
        return Decimal(2).ln() - ((1 + e) * (1 + e).ln() + i * e) / 2


@pytest.mark.parametrize("nats", [1e-300, 1e-20, 1e-9, 1e-3, 0.1, 0.5, 1.0, LOG_2, 2.0, 5.0, 10.0, 30.0])
def test_js_ceiling_to_the_last_digits(nats):
    expected = float(decimal_ceiling(nats)) if nats > 1e-15 else nats * LOG_2 / 2
    assert info.js_from_information(nats) == pytest.approx(expected, rel=2e-15)


@pytest.mark.parametrize("nats", [0.1, 1.0, 4.0])
def test_newton_has_the_true_slope(nats):  # a wrong one still converges, slowly
    step = 1e-5
    difference = info.js_from_information(nats + step) - info.js_from_information(nats - step)
    assert info._js_ceiling_slope(nats) == pytest.approx(difference / (2 * step), rel=1e-8)


def test_js_ceiling_at_its_ends():
    assert info.js_from_information(0) == 0.0
    assert info.js_from_information(math.inf) == LOG_2
    assert info.js_from_information(1e6) == pytest.approx(LOG_2, rel=1e-15)
    assert info.js_from_information(math.inf, base=2) == 1.0
    near(info.js_from_information(1.0, base=2), info.js_from_information(LOG_2) / LOG_2)
    assert type(info.js_from_information(np.float64(1.0))) is float


@pytest.mark.parametrize("value", [-1e-9, -math.inf, math.nan])
def test_js_ceiling_refuses(value):
    with pytest.raises(ValueError, match=f"^information is {value!r}, expected a number ≥ 0$"):
        info.js_from_information(value)


@pytest.mark.parametrize("nats", [0.0, 1e-300, 1e-12, 1e-3, 0.3, 1.0, 3.0, 7.0, 12.0, 20.0])
def test_inverse(nats):
    js = info.js_from_information(nats)
    lost = 2e-16 / (0.5 * math.exp(-nats) * math.log1p(math.exp(nats)))  # one rounding of js, through the slope
    assert info.information_from_js(js) == pytest.approx(nats, rel=1e-14, abs=min(lost, 4e-16 * nats + lost))
    near(info.information_from_js(js / LOG_2, base=2) * LOG_2, nats, max(1e-14, 4 * lost))


@settings(deadline=None)
@given(st.floats(0, 0.6931471805599452))
def test_inverse_is_a_right_inverse(js):
    information = info.information_from_js(js)
    assert type(information) is float
    assert info.js_from_information(information) == pytest.approx(js, rel=1e-14, abs=1e-320)
    assert information >= 2 * js / LOG_2 * (1 - 1e-15)


def test_inverse_at_its_ends():
    assert info.information_from_js(0.0) == 0.0
    assert info.information_from_js(-0.5) == 0.0
    assert info.information_from_js(-math.inf) == 0.0
    assert info.information_from_js(LOG_2) == math.inf
    assert info.information_from_js(1.0, base=2) == math.inf
    assert info.information_from_js(LOG_2 * (1 + 5e-13)) == math.inf
    assert info.information_from_js(LOG_2 * (1 + 1e-12)) == math.inf  # the last that counts as rounding
    assert 30 < info.information_from_js(math.nextafter(LOG_2, 0)) < 60
    assert type(info.information_from_js(np.float64(0.1))) is float


def test_inverse_refuses():
    for value in (LOG_2 * (1 + 2e-12), 0.7, math.inf, math.nan):
        with pytest.raises(ValueError, match=rf"^js is {value!r}, expected at most log 2 = 0\.693147180559945\d$"):
            info.information_from_js(value)
    with pytest.raises(ValueError, match=r"^js is 1\.1, expected at most log 2 = 1\.0$"):
        info.information_from_js(1.1, base=2)


@pytest.mark.parametrize("n", [2, 3, 8])
def test_js_ceiling_is_attained_by_the_ideal_channel(n):
    joint = np.eye(n) / n
    js = info.jensen_shannon(joint, np.full((n, n), 1 / n**2))
    near(js, info.js_from_information(math.log(n)))
    near(info.information_from_js(js), math.log(n))


@settings(deadline=None)
@given(seeds, sides, sides)
def test_js_is_below_its_ceiling(seed, n, m):
    p = draw_table(seed, (n, m))
    js, i = info.jensen_shannon(p, np.outer(p.sum(1), p.sum(0))), info.mutual_information(p)
    assert js <= info.js_from_information(i) + 1e-12
    assert info.js_from_information(i) <= LOG_2 / 2 * i + 1e-12
    assert info.information_from_js(js) <= i + 1e-9


# Errors: every public function names its own argument

WRONG = [
    (info.entropy, ([0.5, -0.5, 1.0],), "p_x[1] is -0.5, expected a finite probability ≥ 0"),
    (info.entropy, ([[1.0]],), "p_x has shape (1, 1), expected 1 axes"),
    (info.joint_entropy, ([[0.5, 0.25]],), "p_xy sums to 0.75, expected 1 within 1e-09"),
    (info.joint_entropy, ([1.0],), "p_xy has shape (1,), expected 2 axes"),
    (info.conditional_entropy, ([[0.5, math.nan]],), "p_xy[0, 1] is nan, expected a finite probability ≥ 0"),
    (info.conditional_entropy, ([1.0],), "p_xy has shape (1,), expected 2 axes"),
    (info.cross_entropy, ([0.5, 0.5], [0.5, 1.0]), "q sums to 1.5, expected 1 within 1e-09"),
    (info.cross_entropy, ([1.0], [0.5, 0.5]), "q has shape (2,), expected (1,), the shape of p"),
    (info.kl_divergence, ([0.5, math.inf], [0.5, 0.5]), "p[1] is inf, expected a finite probability ≥ 0"),
    (info.jensen_shannon, ([[1.0]], [1.0]), "q has shape (1,), expected (1, 1), the shape of p"),
    (info.log_ratio, ([1.0],), "p_xy has shape (1,), expected 2 axes"),
    (info.optimal_critic, ([[0.5]], "dv"), "p_xy sums to 0.5, expected 1 within 1e-09"),
    (info.mutual_information, ([[0.5], [-0.5]],), "p_xy[1, 0] is -0.5, expected a finite probability ≥ 0"),
    (info.mutual_information, ([[[1.0]]],), "p_xy has shape (1, 1, 1), expected 2 axes"),
    (info.conditional_mutual_information, ([[1.0]],), "p_xyz has shape (1, 1), expected 3 axes"),
    (info.conditional_mutual_information, ([[[2.0]]],), "p_xyz sums to 2.0, expected 1 within 1e-09"),
]


@pytest.mark.parametrize(("function", "args", "message"), WRONG)
def test_wrong_tables(function, args, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (compared whole)
        function(*args)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (info.entropy, ([1],)),
        (info.joint_entropy, ([[1]],)),
        (info.conditional_entropy, ([[1]],)),
        (info.cross_entropy, ([1], [1])),
        (info.kl_divergence, ([1], [1])),
        (info.jensen_shannon, ([1], [1])),
        (info.log_ratio, ([[1]],)),
        (info.mutual_information, ([[1]],)),
        (info.conditional_mutual_information, ([[[1]]],)),
        (info.js_from_information, (0.5,)),
        (info.information_from_js, (0.5,)),
    ],
)
def test_wrong_base(function, args):
    with pytest.raises(ValueError, match=r"^base is 1, expected a finite number > 1"):
        function(*args, base=1)
