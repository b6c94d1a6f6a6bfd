"""f-divergences against sums written out, conjugates against a brute-force supremum, and their duality."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimref.theory.f_divergences import GENERATORS, Generator, f_divergence, optimal_f_critic, variational_f_divergence
from dimref.theory.information import jensen_shannon, kl_divergence

LOG_2 = math.log(2)
NAMES = ["kl", "reverse_kl", "jsd", "gan", "chi2", "total_variation", "squared_hellinger"]
seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=2)
P, Q = [0.5, 0.25, 0.25, 0.0], [0.25, 0.5, 0.125, 0.125]

# The generators once more, one number at a time: f(u), f'(u), f*(t), the largest t with f*(t) < ∞ or the limit of such.
SCALAR = {
    "kl": (lambda u: u * math.log(u), lambda u: 1 + math.log(u), lambda t: math.exp(t - 1), math.inf),
    "reverse_kl": (lambda u: -math.log(u), lambda u: -1 / u, lambda t: -1 - math.log(-t), 0.0),
    "jsd": (
        lambda u: u * math.log(u) - (1 + u) * math.log((1 + u) / 2),
        lambda u: math.log(2 * u / (1 + u)),
        lambda t: -math.log(2 - math.exp(t)),
        LOG_2,
    ),
    "gan": (
        lambda u: u * math.log(u) - (1 + u) * math.log(1 + u),
        lambda u: math.log(u / (1 + u)),
        lambda t: -math.log(1 - math.exp(t)),
        0.0,
    ),
    "chi2": (lambda u: u * u - 2 * u + 1, lambda u: 2 * u - 2, lambda t: t * t / 4 + t if t > -2 else -1.0, math.inf),
    "total_variation": (lambda u: abs(u - 1) / 2, lambda u: (u > 1) - 0.5, lambda t: max(t, -0.5), 0.5),
    "squared_hellinger": (lambda u: u - 2 * math.sqrt(u) + 1, lambda u: 1 - u**-0.5, lambda t: t / (1 - t), 1.0),
}


def draw_table(seed, shape, zeros):
    rng = np.random.default_rng(seed)
    table = rng.exponential(size=shape) ** 2 * (rng.random(shape) >= zeros)
    table.flat[rng.integers(table.size)] += 0.1
    return table / table.sum()


def near(value, expected, tolerance=1e-11):
    assert type(value) is float
    assert value == expected or abs(value - expected) <= tolerance * max(1, abs(expected))


def test_the_names():
    assert list(GENERATORS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_formulas_one_number_at_a_time(name):
    f, derivative, conjugate, end = SCALAR[name]
    generator = GENERATORS[name]
    assert generator.slope_at_infinity == end
    u = np.array([1e-3, 0.2, 0.7, 1.5, 3.0, 40.0])
    np.testing.assert_allclose(generator.f(u), [f(v) for v in u.tolist()], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(generator.derivative(u), [derivative(v) for v in u.tolist()], rtol=1e-12, atol=1e-14)
    t = np.minimum(end, 3.0) - np.array([0.01, 0.3, 0.9, 1.5, 2.4, 3.0, 7.0])
    np.testing.assert_allclose(generator.conjugate(t), [conjugate(v) for v in t.tolist()], rtol=1e-12, atol=1e-14)


AT_THE_ENDS = {  # f(0), f(1), f'(0), f'(1), f*(−∞), f* at the end of its domain
    "kl": (0.0, 0.0, -math.inf, 1.0, 0.0, math.inf),
    "reverse_kl": (math.inf, 0.0, -math.inf, -1.0, -math.inf, math.inf),
    "jsd": (LOG_2, 0.0, -math.inf, 0.0, -LOG_2, math.inf),
    "gan": (0.0, -2 * LOG_2, -math.inf, -LOG_2, 0.0, math.inf),
    "chi2": (1.0, 0.0, -2.0, 0.0, -1.0, math.inf),
    "total_variation": (0.5, 0.0, -0.5, 0.0, -0.5, 0.5),
    "squared_hellinger": (1.0, 0.0, -math.inf, 0.0, -1.0, math.inf),
}


@pytest.mark.parametrize("name", NAMES)
def test_limits_at_the_ends_without_a_warning(name):
    g = GENERATORS[name]
    f_0, f_1, slope_0, slope_1, lowest, highest = AT_THE_ENDS[name]
    np.testing.assert_allclose(g.f(np.array([0.0, 1.0])), [f_0, f_1], atol=1e-15)
    np.testing.assert_allclose(g.derivative(np.array([0.0, 1.0])), [slope_0, slope_1], atol=1e-15)
    np.testing.assert_allclose(g.conjugate(np.array([-math.inf, g.slope_at_infinity])), [lowest, highest], atol=1e-15)
    if math.isfinite(g.slope_at_infinity):
        beyond = g.slope_at_infinity + np.array([1e-12, 0.5, 1.5, 800.0, math.inf])
        assert (g.conjugate(beyond) == math.inf).all()
    else:
        assert (g.conjugate(np.array([1e200, math.inf])) == math.inf).all()


def test_overflow_is_a_limit_too():
    assert GENERATORS["chi2"].f(np.array([1e200])) == math.inf
    assert GENERATORS["gan"].derivative(np.array([1e-310])) == -math.inf
    assert GENERATORS["reverse_kl"].derivative(np.array([1e-310])) == -math.inf
    assert GENERATORS["jsd"].derivative(np.array([1e-310])) == -math.inf


@pytest.mark.parametrize("name", NAMES)
def test_conjugate_is_the_supremum_over_nonnegative_u(name):
    generator = GENERATORS[name]
    u = np.concatenate([[0.0], np.geomspace(1e-6, 1e6, 40001), np.linspace(0.5, 2.0, 3001)])
    end = min(generator.slope_at_infinity, 3.0)
    for t in end - np.array([0.05, 0.3, 0.9, 1.4, 2.5, 4.0, 9.0]):
        brute = float((u * t - generator.f(u)).max())
        value = float(generator.conjugate(np.array([t]))[0])
        assert brute <= value + 1e-9
        assert value == pytest.approx(brute, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_slope_at_infinity_is_the_limit(name):
    generator = GENERATORS[name]
    u = np.array([1e9, 1e12])
    slopes = generator.derivative(u)
    if math.isinf(generator.slope_at_infinity):
        assert (slopes > 20).all()
    else:
        np.testing.assert_allclose(slopes, generator.slope_at_infinity, atol=4e-5)
        assert (slopes <= generator.slope_at_infinity).all()


EXPECTED = {  # for P and Q above, written out
    "kl": lambda: 0.5 * math.log(2) + 0.25 * math.log(0.5) + 0.25 * math.log(2),
    "reverse_kl": lambda: math.inf,
    "chi2": lambda: 0.25 + 0.125 + 0.125 + 0.125,
    "total_variation": lambda: 0.5 * (0.25 + 0.25 + 0.125 + 0.125),
    "squared_hellinger": lambda: sum((math.sqrt(a) - math.sqrt(b)) ** 2 for a, b in zip(P, Q, strict=True)),
    "jsd": lambda: 2 * jensen_shannon(P, Q),
    "gan": lambda: 2 * jensen_shannon(P, Q) - math.log(4),
}


@pytest.mark.parametrize("name", NAMES)
def test_values_by_hand(name):
    near(f_divergence(P, Q, GENERATORS[name]), EXPECTED[name]())
    critic = optimal_f_critic(P, Q, GENERATORS[name])
    assert critic.shape == (4,)
    near(variational_f_divergence(P, Q, critic, GENERATORS[name]), EXPECTED[name]())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kl", math.inf),
        ("reverse_kl", math.inf),
        ("jsd", 2 * LOG_2),
        ("gan", 0.0),
        ("chi2", math.inf),
        ("total_variation", 1.0),
        ("squared_hellinger", 2.0),
    ],
)
def test_disjoint_supports(name, value):
    p, q, generator = [1, 0, 0], [0, 1, 0], GENERATORS[name]
    near(f_divergence(p, q, generator), value)
    critic = optimal_f_critic(p, q, generator)
    assert critic[0] == critic[2] == generator.slope_at_infinity
    near(variational_f_divergence(p, q, critic, generator), value)


def test_a_ratio_beyond_the_largest_float_counts_as_q_zero():
    near(f_divergence([0.5, 0.5], [1.0, 1e-310], GENERATORS["total_variation"]), 0.5)
    assert optimal_f_critic([0.5, 0.5], [1.0, 1e-310], GENERATORS["total_variation"]).tolist() == [-0.5, 0.5]


@settings(deadline=None)
@given(seeds, shapes, st.sampled_from(NAMES), st.sampled_from([0.0, 0.4]))
def test_duality(seed, shape, name, zeros):
    generator = GENERATORS[name]
    p, q = draw_table(seed, shape, zeros), draw_table(seed + 1, shape, zeros)
    value = f_divergence(p, q, generator)
    best = optimal_f_critic(p, q, generator)
    near(variational_f_divergence(p, q, best, generator), value)
    rng = np.random.default_rng(seed)
    other = np.minimum(rng.normal(size=shape) * 2, generator.slope_at_infinity)
    assert variational_f_divergence(p, q, other, generator) <= value + 1e-11
    for nearby in (best - rng.exponential(size=shape) * 0.1, np.minimum(best + 0.01, generator.slope_at_infinity)):
        assert variational_f_divergence(p, q, nearby, generator) <= value + 1e-11


@settings(deadline=None)
@given(seeds, shapes)
def test_agreement_with_the_named_divergences(seed, shape):
    p, q = draw_table(seed, shape, 0.2), draw_table(seed + 1, shape, 0.2)
    near(f_divergence(p, q, GENERATORS["kl"]), kl_divergence(p, q))
    near(f_divergence(p, q, GENERATORS["reverse_kl"]), kl_divergence(q, p))
    near(f_divergence(p, q, GENERATORS["jsd"]), 2 * jensen_shannon(p, q))
    near(f_divergence(p, q, GENERATORS["gan"]), 2 * jensen_shannon(p, q) - math.log(4))


@settings(deadline=None)
@given(seeds, st.integers(2, 5), st.sampled_from(NAMES))
def test_data_processing(seed, n, name):
    p, q = draw_table(seed, n, 0.2), draw_table(seed + 1, n, 0.2)
    channel = np.stack([draw_table(seed + 2 + i, 3, 0.2) for i in range(n)])
    processed = f_divergence(p @ channel, q @ channel, GENERATORS[name])
    assert processed <= f_divergence(p, q, GENERATORS[name]) + 1e-11


def test_own_generator():
    triangular = Generator(  # Σ (p − q)² / (p + q)
        f=lambda u: (u - 1) ** 2 / (u + 1),
        derivative=lambda u: (u - 1) * (u + 3) / (u + 1) ** 2,
        conjugate=lambda t: 4 - t - 4 * np.sqrt(np.maximum(1 - t, 0)) if (t <= 1).all() else math.nan,
        slope_at_infinity=1.0,
    )
    value = sum((a - b) ** 2 / (a + b) for a, b in zip(P, Q, strict=True))
    near(f_divergence(P, Q, triangular), value)
    near(variational_f_divergence(P, Q, optimal_f_critic(P, Q, triangular), triangular), value)


def test_infinite_scores_take_their_limits():
    kl, reverse = GENERATORS["kl"], GENERATORS["reverse_kl"]
    half = [0.5, 0.5]
    assert variational_f_divergence(half, half, [-math.inf, 0.0], kl) == -math.inf
    assert variational_f_divergence(half, half, [math.inf, 0.0], kl) == -math.inf
    assert variational_f_divergence(half, half, [-math.inf, -1.0], reverse) == -math.inf
    assert variational_f_divergence([0, 1], half, [-math.inf, -1.0], reverse) == math.inf
    assert variational_f_divergence([1, 0], [0, 1], [math.inf, -math.inf], kl) == math.inf
    near(variational_f_divergence([0, 1], [0, 1], [math.inf, 1.0], kl), 0.0)  # never sampled: costs nothing


def test_a_generator_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GENERATORS["kl"].slope_at_infinity = 0.0


def test_critic_is_checked():
    gan = GENERATORS["gan"]
    for critic, message in (
        ([-1.0, 0.5], "critic[1] is 0.5, expected at most 0.0, the upper end of the domain of f*"),
        ([math.nan, -1.0], "critic[0] is nan, expected at most 0.0, the upper end of the domain of f*"),
        ([-1.0], "critic has shape (1,), expected (2,), the shape of p"),
        ([[-1.0, -1.0]] * 2, "critic has shape (2, 2), expected (2,), the shape of p"),
        ([-1.0] * 3, "critic has shape (3,), expected (2,), the shape of p"),
        (["a", "b"], "critic has dtype <U1, expected real numbers"),
    ):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 (compared whole)
            variational_f_divergence([0.5, 0.5], [0.5, 0.5], critic, gan)
        assert str(caught.value) == message


@pytest.mark.parametrize("call", [f_divergence, optimal_f_critic, lambda p, q, g: variational_f_divergence(p, q, p, g)])
def test_tables_are_checked(call):
    with pytest.raises(ValueError, match=r"^p\[1\] is -0\.5, expected a finite probability ≥ 0$"):
        call([1.5, -0.5], [0.5, 0.5], GENERATORS["kl"])
    with pytest.raises(ValueError, match=r"^q sums to 0\.75, expected 1 within 1e-09$"):
        call([0.5, 0.5], [0.5, 0.25], GENERATORS["kl"])
