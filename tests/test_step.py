"""One training step against its two halves, gradient and Adam; and what it gives up or leaves when it is refused."""

import numpy as np
import pytest
from finite_differences import draw

from dimref import encoders, objectives, ops, optim
from dimref.encoders import Layout
from dimref.objectives import Objective
from dimref.step import train_step
from dimref.tape import value_and_gradients
from dimref.trees import leaves, map_tree

pytestmark = pytest.mark.usefixtures("plain_forms")
LAYOUT = Layout(8, 1, width=2, fc=5, representation=3)


def half_distance(parameters, state, images, noise):
    """½‖w − images‖² + ⟨w, noise⟩, whose gradient is w − images + noise; the state counts."""
    apart = ops.subtract(parameters["w"], images)
    value = ops.total(ops.multiply(apart, apart)) * 0.5 + ops.total(ops.multiply(parameters["w"], noise["c"]))
    return value, {"terms": {"value": value}, "state": {"steps": state["steps"] + 1}}


def arguments():
    w, images, c = draw(0, (4,), (4,), (4,))
    parameters = {"w": w}
    return parameters, {"steps": 3}, optim.init_adam(parameters), images, {"c": c}


def test_a_step_is_adam_on_the_gradient():
    parameters, state, adam, images, noise = arguments()
    found, model, new_adam, report = train_step(half_distance, parameters, state, adam, images, noise, lr=0.1)
    gradient = parameters["w"] - images + noise["c"]
    np.testing.assert_allclose(found["w"], parameters["w"] - 0.1 * np.sign(gradient), rtol=1e-6)
    np.testing.assert_allclose(new_adam["m"]["w"], 0.1 * gradient, rtol=1e-12)
    assert (new_adam["step"], model) == (1, {"steps": 4})
    expected, _ = half_distance(parameters, state, images, noise)
    assert float(report["terms"]["value"]) == float(expected)
    assert type(report["terms"]["value"]) is type(expected)  # off the tape


def test_a_step_is_a_pure_function():
    given = arguments()
    before = map_tree(np.copy, {str(k): tree for k, tree in enumerate(given)})
    first, second = (train_step(half_distance, *given, lr=0.1)[0] for _ in range(2))
    np.testing.assert_array_equal(first["w"], second["w"])
    for (path, now), (_, then) in zip(
        leaves({str(k): tree for k, tree in enumerate(given)}), leaves(before), strict=True
    ):
        np.testing.assert_array_equal(now, then, err_msg=path)


def test_rates_may_be_given_in_place_of_lr():
    expected, *_ = train_step(half_distance, *arguments(), lr=0.1)
    found, *_ = train_step(half_distance, *arguments(), lr=7.0, rates=np.array(optim.step_rates(1, 0.1)))
    np.testing.assert_allclose(found["w"], expected["w"], rtol=1e-14)


def test_what_a_check_refuses_is_not_done():
    given, seen = arguments(), []

    def check(value, gradients, report):
        seen.append((float(value), gradients["w"].tolist(), report["state"]))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train_step(half_distance, *given, lr=0.1, check=check)
    parameters, state, adam, images, noise = given
    assert seen == [
        (
            float(half_distance(parameters, state, images, noise)[0]),
            (parameters["w"] - images + noise["c"]).tolist(),
            {"steps": 4},
        )
    ]
    np.testing.assert_array_equal(parameters["w"], arguments()[0]["w"])
    assert adam["step"] == 0


def test_steps_of_the_objective_raise_its_bound():
    objective = Objective(0.5, 1, 0.1)
    rng = np.random.default_rng(0)
    parameters, state = objectives.init_parameters(rng, LAYOUT, objective)
    images = encoders.scale(rng.integers(0, 256, (8, 8, 8, 1)).astype(np.uint8), LAYOUT)
    noise = objectives.draw_noise(rng, objective, LAYOUT, 8)
    adam, local = optim.init_adam(parameters), []

    def loss(p, state, images, noise):
        return objectives.loss(p, state, images, noise, objective, LAYOUT)

    by_hand, gradients, report = value_and_gradients(loss, parameters, state, images, noise)
    expected, _ = optim.adam_step(parameters, gradients, adam, 1e-3)
    for k in range(12):
        parameters, state, adam, found = train_step(loss, parameters, state, adam, images, noise, 1e-3)
        local.append(float(found["terms"]["local"]))
        if k == 0:
            assert local[0] == float(report["terms"]["local"])
            for (path, ours), (_, theirs) in zip(leaves(parameters), leaves(expected), strict=True):
                np.testing.assert_array_equal(ours, theirs, err_msg=path)
    assert np.isfinite(by_hand)
    assert adam["step"] == 12
    assert local[-1] > local[0] + 0.02
