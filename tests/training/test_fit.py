"""The one loop: Adam's steps at their rates, the early stop and its result, the running average, batches in whole passes."""

import itertools
import math

import numpy as np
import pytest

from dimref.engine import turn_on
from dimref.optim import adam_step, init_adam
from dimref.training.fit import Schedule, fit, shuffled, whole_passes


def loss(parameters, state, batch):
    """Σ batch·w: its gradient is the batch. The state counts the steps."""
    return (parameters["w"] * batch).sum(), (state or 0) + 1


def start():
    return {"w": np.zeros(2, np.float32)}


def batches(count=1000):
    return [np.float32([1 + k, -1]) for k in range(count)]


def by_hand(steps, rate):
    """The parameters before the first step and after each."""
    parameters, adam = start(), init_adam(start())
    states = [parameters["w"].copy()]
    for k, batch in enumerate(batches(steps), start=1):
        parameters, adam = adam_step(parameters, {"w": batch}, adam, rate(k))
        states.append(parameters["w"].copy())
    return states


@pytest.mark.parametrize("cosine", [False, True])
def test_without_an_evaluation_the_result_is_the_last_state(cosine):
    result = fit(loss, start(), batches(), Schedule(7, 0.1, cosine))
    rates = [0.05 * (1 + math.cos(math.pi * k / 7)) if cosine else 0.1 for k in range(7)]
    np.testing.assert_array_equal(result.parameters["w"], by_hand(7, lambda k: rates[k - 1])[-1])
    assert (result.step, result.state, result.history) == (7, 7, ())


def fitted(values, steps, **options):
    """A fit whose evaluations give the values, and the parameters that were evaluated."""
    seen, given = [], iter(values)

    def evaluate(parameters):
        seen.append(parameters["w"].copy())
        return next(given)

    return fit(loss, start(), batches(), Schedule(steps, 0.1, **options), evaluate=evaluate), seen


def test_the_result_is_the_best_state_and_training_stops_where_none_improves():
    turn_on()  # Adam overwrites the parameters
    result, seen = fitted([0.0, 1.0, 3.0, 2.0, 2.5, 3.0, 1.0, 9.0], 100, every=2, patience=4)
    assert result.history == tuple(zip(range(0, 14, 2), [0.0, 1.0, 3.0, 2.0, 2.5, 3.0, 1.0], strict=True))
    assert (result.step, result.state) == (4, 4)
    np.testing.assert_array_equal(result.parameters["w"], by_hand(4, lambda k: 0.1)[4])
    np.testing.assert_array_equal(seen, by_hand(12, lambda k: 0.1)[::2])


def test_the_initial_state_may_be_the_best_and_the_last_step_is_evaluated():
    result, _ = fitted([5.0, 1.0, 2.0, -math.inf], 7, every=3, patience=9)
    assert result.history == ((0, 5.0), (3, 1.0), (6, 2.0), (7, -math.inf))
    assert result.step == 0
    np.testing.assert_array_equal(result.parameters["w"], 0)
    assert fitted([5.0], 0)[0].history == ((0, 5.0),)


def test_the_running_average_is_evaluated_and_returned():
    result, seen = fitted(itertools.count(), 5, average=0.3)
    average, states = np.zeros(2), by_hand(5, lambda k: 0.1)
    for step, (state, evaluated) in enumerate(zip(states, seen, strict=True)):
        share = min(0.3, step / (step + 10))
        average = share * average + (1 - share) * state
        np.testing.assert_allclose(evaluated, average, rtol=1e-6)
    np.testing.assert_array_equal(result.parameters["w"], seen[-1])


def test_gradients_that_are_not_accepted_leave_the_parameters():
    result = fit(loss, start(), batches(), Schedule(4, 0.1), accept=lambda gradients: gradients["w"][0] < 3)
    np.testing.assert_array_equal(result.parameters["w"], by_hand(2, lambda k: 0.1)[-1])


def test_no_batch_is_drawn_that_no_step_takes():
    for evaluate, taken in ((None, 5), (lambda parameters: 0.0, 2)):
        source = iter(batches())
        fit(loss, start(), source, Schedule(5, 0.1, every=1, patience=2), evaluate=evaluate)
        assert next(source)[0] == 1 + taken


def test_batches_are_whole_and_every_pass_has_another_order():
    drawn = shuffled(np.random.default_rng(0), np.arange(10, 20), 4)
    passes = [[*next(drawn), *next(drawn)] for _ in range(3)]
    assert all(len(set(rows)) == 8 and set(rows) <= set(range(10, 20)) for rows in passes)
    assert passes[0] != passes[1] != passes[2]
    assert set(next(shuffled(np.random.default_rng(0), 3, 3))) == {0, 1, 2}


@pytest.mark.parametrize(("size", "least", "steps"), [(4, 1, 10), (4, 11, 12), (10, 7, 7), (10, 0, 5)])
def test_steps_make_up_whole_passes(size, least, steps):
    assert whole_passes(10, size, 5, least) == steps
