"""Channels against closed forms, and capacity against a search over inputs."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimref.theory.channels import (
    Capacity,
    binary_erasure_channel,
    binary_symmetric_channel,
    capacity,
    channel_information,
    channel_joint,
    output_distribution,
    z_channel,
)
from dimref.theory.information import entropy, mutual_information

LOG_2 = math.log(2)
seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 4)
crossovers = st.floats(0, 1)


def draw_channel(seed, n, m):
    return np.random.default_rng(seed).dirichlet(np.ones(m), size=n)


def binary_entropy(e):
    return -sum(v * math.log(v) for v in (e, 1 - e) if v > 0)


def certified(result, expected, slack=1e-12):
    assert isinstance(result, Capacity)
    assert type(result.information) is float
    assert type(result.gap) is float
    assert 0 <= result.gap <= 1e-9
    assert result.information - slack <= expected <= result.information + result.gap + slack


def test_the_standard_channels():
    assert binary_symmetric_channel(0.25).tolist() == [[0.75, 0.25], [0.25, 0.75]]
    assert binary_erasure_channel(0.25).tolist() == [[0.75, 0, 0.25], [0, 0.75, 0.25]]
    assert z_channel(0.25).tolist() == [[1, 0], [0.25, 0.75]]
    for make in (binary_symmetric_channel, binary_erasure_channel, z_channel):
        for e in (0, 1):
            assert make(e).dtype == np.float64
            assert (make(e).sum(axis=1) == 1).all()


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
@pytest.mark.parametrize(
    ("make", "name"), [(binary_symmetric_channel, "flip"), (binary_erasure_channel, "erasure"), (z_channel, "flip")]
)
def test_the_standard_channels_refuse(make, name, value):
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}, expected a probability in \[0, 1\]$"):
        make(value)


P, W = [0.25, 0.75], [[0.5, 0.5, 0.0], [0.0, 0.2, 0.8]]


def test_joint_and_output_by_hand():
    np.testing.assert_allclose(channel_joint(P, W), [[0.125, 0.125, 0], [0, 0.15, 0.6]])
    np.testing.assert_allclose(output_distribution(P, W), [0.125, 0.275, 0.6])
    terms = [(0.125, 0.5, 0.125), (0.125, 0.5, 0.275), (0.15, 0.2, 0.275), (0.6, 0.8, 0.6)]
    expected = sum(joint * math.log(w / q) for joint, w, q in terms)
    assert channel_information(P, W) == pytest.approx(expected, rel=1e-14)
    assert channel_information(P, W, base=2) == pytest.approx(expected / LOG_2, rel=1e-14)


@settings(deadline=None)
@given(seeds, sides, sides)
def test_ideal_and_disturbed_channels(seed, n, m):
    p = draw_channel(seed, 1, n)[0]
    assert channel_information(p, np.eye(n)) == pytest.approx(entropy(p), abs=1e-14)
    disturbed = np.tile(draw_channel(seed + 1, 1, m), (n, 1))
    assert channel_information(p, disturbed) == pytest.approx(0, abs=1e-14)
    certified(capacity(np.eye(n)), math.log(n))
    certified(capacity(disturbed), 0.0)


@settings(deadline=None)
@given(crossovers)
def test_capacity_of_the_symmetric_and_erasure_channels(e):
    certified(capacity(binary_symmetric_channel(e)), LOG_2 - binary_entropy(e))
    certified(capacity(binary_erasure_channel(e)), (1 - e) * LOG_2)


@pytest.mark.parametrize("e", [0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0])
def test_capacity_of_the_z_channel(e):
    closed = math.log1p((1 - e) * e ** (e / (1 - e))) if e < 1 else 0.0
    result = capacity(z_channel(e))
    certified(result, closed)
    assert result.input_distribution[0] >= 0.5


def test_capacity_of_the_half_z_channel_and_its_input():
    result = capacity(z_channel(0.5), base=2, tolerance=1e-12)
    assert result.information == pytest.approx(math.log2(1.25), abs=1e-11)
    np.testing.assert_allclose(result.input_distribution, [0.6, 0.4], atol=1e-5)


def test_capacity_against_every_input_of_a_grid():
    channel = draw_channel(3, 2, 4)
    best = max(channel_information([a, 1 - a], channel) for a in np.linspace(0, 1, 2001))
    certified(capacity(channel), best, 1e-7)


@settings(deadline=None, max_examples=40)
@given(seeds, sides, sides)
def test_both_ends_hold(seed, n, m):
    channel = draw_channel(seed, n, m)
    result = capacity(channel, tolerance=1e-6)
    p = result.input_distribution
    assert p.shape == (n,)
    assert result.information == pytest.approx(channel_information(p, channel), abs=1e-13)
    assert result.gap <= 1e-6
    q = output_distribution(p, channel)
    worst = max(sum(w * math.log(w / r) for w, r in zip(row, q, strict=True)) for row in channel.tolist())
    assert result.information + result.gap == pytest.approx(worst, abs=1e-12)
    other = draw_channel(seed + 1, 1, n)[0]
    assert channel_information(other, channel) <= result.information + result.gap + 1e-12
    assert 0 <= result.information <= math.log(min(n, m)) + 1e-12


def test_an_unhelpful_input_is_dropped():
    result = capacity([[1, 0], [0, 1], [0.5, 0.5]])
    certified(result, LOG_2)
    assert result.input_distribution[2] < 1e-6


def test_an_input_that_fades_keeps_its_output_in_the_certificate():
    """Its probability falls about 100-fold a step and it alone reaches the last output: at 0 the upper end were infinite.

    The sum of a slow Z channel and of 100 letters that always arrive: e^C = e^{C_Z} + 100, C_Z that of a flip of 0.9.
    """
    letters, rare = 100, 1e-3
    channel = np.zeros((letters + 3, letters + 3))
    channel[:2, :2] = z_channel(0.9)
    channel[2:-1, 2:-1] = np.eye(letters)
    channel[-1, 2:-1], channel[-1, -1] = (1 - rare) / letters, rare
    result = capacity(channel)
    certified(result, math.log(letters + 1 + 0.1 * 0.9**9))
    p = result.input_distribution
    assert 0 < p[-1] < 1e-140
    q = output_distribution(p, channel)
    worst = max(sum(w * math.log(w / r) for w, r in zip(row, q, strict=True) if w) for row in channel.tolist())
    assert result.information + result.gap == pytest.approx(worst, abs=1e-12)


def test_an_output_that_never_comes_changes_nothing():
    wide = np.hstack([z_channel(0.3), np.zeros((2, 1))])
    assert capacity(wide).information == pytest.approx(capacity(z_channel(0.3)).information, abs=1e-12)


def test_the_first_steps_are_blahuts():
    """From the uniform input, p(x) ← p(x) e^{KL(W_x‖q)} / Z, with more outputs than inputs."""
    channel = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    assert capacity(channel, tolerance=1.0).input_distribution.tolist() == [0.5, 0.5]

    def divergences(p):
        q = p @ channel
        return np.array([sum(w * math.log(w / b) for w, b in zip(row, q, strict=True)) for row in channel])

    first = divergences(np.array([0.5, 0.5]))
    moved = np.exp(first) / np.exp(first).sum()
    gap = divergences(moved).max() - moved @ divergences(moved)
    second = capacity(channel, tolerance=gap * (1 + 1e-6))
    assert second.gap == pytest.approx(gap, rel=1e-9)
    np.testing.assert_allclose(second.input_distribution, moved, rtol=1e-12)


def test_rounding_never_makes_a_negative_gap():
    for symbols in range(2, 40):
        assert 0 <= capacity(np.eye(symbols)).gap <= 1e-14


def test_units_and_tolerance():
    channel = z_channel(0.3)
    nats, bits = capacity(channel, tolerance=1e-11), capacity(channel, base=2, tolerance=1e-11)
    assert bits.information == pytest.approx(nats.information / LOG_2, abs=1e-10)
    loose = capacity(channel, tolerance=0.1)
    assert 1e-6 < loose.gap <= 0.1
    assert loose.information + loose.gap >= nats.information
    # The tolerance is in the unit of the result: 5 in units of 1/1000 nats is 0.005 nats.
    small = math.exp(0.001)
    fine = capacity(channel, base=small, tolerance=5)
    assert fine.gap <= 5
    assert fine.gap * 0.001 == pytest.approx(capacity(channel, tolerance=0.005).gap, rel=1e-9)
    assert fine.input_distribution.tolist() == capacity(channel, tolerance=0.005).input_distribution.tolist()


def test_the_default_tolerance_and_a_gap_equal_to_it():
    first = capacity(z_channel(0.3), tolerance=1.0)
    assert first.input_distribution.tolist() == [0.5, 0.5]
    again = capacity(z_channel(0.3), tolerance=first.gap)
    assert again.input_distribution.tolist() == [0.5, 0.5]
    assert 1e-12 < capacity(z_channel(0.3)).gap <= 1e-9


def test_not_converged_is_an_error_that_says_how_far_it_came():
    assert inspect.signature(capacity).parameters["iterations"].default == 100_000
    with pytest.raises(RuntimeError, match=r"^capacity is known to 0\.\d+ after 3 iterations, expected 1e-09$"):
        capacity(z_channel(0.3), iterations=3)
    with pytest.raises(RuntimeError, match=r"^capacity is known to inf after 0 iterations, expected 1e-09$"):
        capacity(z_channel(0.3), iterations=0)
    with pytest.raises(RuntimeError) as bits:
        capacity(z_channel(0.3), base=2, iterations=1)
    known = capacity(z_channel(0.3), tolerance=1.0).gap / LOG_2
    assert str(bits.value) == f"capacity is known to {known!r} after 1 iterations, expected 1e-09"


@pytest.mark.parametrize("tolerance", [0, -1e-9, math.nan])
def test_tolerance_must_be_positive(tolerance):
    with pytest.raises(ValueError, match=rf"^tolerance is {tolerance!r}, expected a number > 0$"):
        capacity(np.eye(2), tolerance=tolerance)


WRONG = [
    ([1.0], [[0.5, 0.25]], "channel[0] sums to 0.75, expected 1 within 1e-09: rows are P(y|x)"),
    ([0.5, 0.5], [[1.0, 0.0], [0.5, 1.0]], "channel[1] sums to 1.5, expected 1 within 1e-09: rows are P(y|x)"),
    ([0.5, 0.5], [[1.0, 0.0], [1.5, -0.5]], "channel[1, 1] is -0.5, expected a finite probability ≥ 0"),
    ([1.0], [1.0], "channel has shape (1,), expected 2 axes"),
    ([1.0], [[1 + 3e-9]], "channel[0] sums to 1.000000003, expected 1 within 1e-09: rows are P(y|x)"),
]


@pytest.mark.parametrize(("p", "channel", "message"), WRONG)
def test_wrong_channels(p, channel, message):
    calls = [
        lambda: capacity(channel),
        lambda: channel_joint(p, channel),
        lambda: output_distribution(p, channel),
        lambda: channel_information(p, channel),
    ]
    for call in calls:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 (compared whole)
            call()
        assert str(caught.value) == message


def test_wrong_inputs():
    for p, message in (
        ([0.5, 0.25, 0.25], "p_x has shape (3,), expected (2,), one entry for each row of channel"),
        ([1.0], "p_x has shape (1,), expected (2,), one entry for each row of channel"),
        ([0.5, 0.25], "p_x sums to 0.75, expected 1 within 1e-09"),
        ([[0.5, 0.5]], "p_x has shape (1, 2), expected 1 axes"),
    ):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 (compared whole)
            channel_joint(p, binary_erasure_channel(0.5))
        assert str(caught.value) == message


def test_wrong_base():
    for call in (lambda: capacity(np.eye(2), base=1), lambda: channel_information([1], [[1]], base=1)):
        with pytest.raises(ValueError, match=r"^base is 1, expected a finite number > 1"):
            call()


def test_integers_and_roundoff_are_fine():
    assert mutual_information(channel_joint([1], [[0, 1]])) == 0.0
    assert channel_joint([1.0], [[1 - 0.9e-9]]).shape == (1, 1)
