"""Adam, as it is stated and in place, against the textbook's loop and against PyTorch, on every backend."""

import contextlib
import math
import re

import numpy as np
import pytest
from fake_cupy import STRICT
from finite_differences import draw

from dimref import optim, tape
from dimref.engine import turn_on
from dimref.trees import leaves, map_tree


@pytest.fixture(params=["plain", "in place"], autouse=True)
def form(request):
    """Both forms of `optim.update`."""
    turn_on()
    with tape.plain_forms() if request.param == "plain" else contextlib.nullcontext():
        yield request.param


def naive_adam(theta, gradients, lr=1e-4, betas=(0.9, 0.999), epsilon=1e-8):
    """Algorithm 1 of arXiv 1412.6980, one number at a time in Python's floats."""
    out = []
    for k, start in enumerate(theta.ravel().tolist()):
        x, m, v = start, 0.0, 0.0
        for t, gradient in enumerate(gradients, start=1):
            g = gradient.ravel()[k].item()
            m = betas[0] * m + (1 - betas[0]) * g
            v = betas[1] * v + (1 - betas[1]) * g * g
            m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
            x -= lr * m_hat / (math.sqrt(v_hat) + epsilon)
        out.append(x)
    return np.array(out).reshape(theta.shape)


def run_adam(theta, gradients, backend=None, **settings):
    move = np.array if backend is None else lambda a: backend.to_device(a.copy())
    parameters = {"net": {"theta": move(theta)}}
    state = optim.init_adam(parameters)
    for gradient in gradients:
        parameters, state = optim.adam_step(parameters, {"net": {"theta": move(gradient)}}, state, **settings)
    assert state["step"] == len(gradients)
    return parameters["net"]["theta"], state


SETTINGS = [{}, {"lr": 0.1}, {"lr": 0.01, "betas": (0.5, 0.9), "epsilon": 0.1}, {"betas": (0.4, 0.3)}]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("shape", [(), (1,), (3, 2), (0,), (2, 1, 3)])
def test_adam_is_algorithm_1(shape, settings):
    theta, *gradients = draw(0, shape, *[shape] * 5)
    expected = naive_adam(theta, gradients, **settings)
    np.testing.assert_allclose(run_adam(theta, gradients, **settings)[0], expected, rtol=1e-12)
    np.testing.assert_allclose(run_adam(theta, gradients, STRICT, **settings)[0].get(), expected, rtol=1e-12)


def test_first_step_is_lr_times_the_sign():
    """m̂ = g and v̂ = g² at t = 1: bias correction undoes the zeros that the moments start from."""
    found, _ = run_adam(np.zeros(3), [np.array([5.0, -1e-3, 100.0])], lr=0.25)
    np.testing.assert_allclose(found, [-0.25, 0.25, -0.25], rtol=1e-4)


def test_moments():
    _, state = run_adam(np.zeros(2), [np.array([1.0, -2.0]), np.array([3.0, 0.0])], betas=(0.5, 0.75))
    np.testing.assert_allclose(state["m"]["net"]["theta"], [0.25 + 1.5, -0.5])
    np.testing.assert_allclose(state["v"]["net"]["theta"], [0.1875 + 2.25, 0.75])


def test_defaults_are_those_of_the_paper():
    theta, *gradients = draw(2, (4,), (4,), (4,))
    spelled_out, _ = run_adam(theta, gradients, lr=1e-4, betas=(0.9, 0.999), epsilon=1e-8)
    np.testing.assert_array_equal(run_adam(theta, gradients)[0], spelled_out)


def test_rates_divide_the_bias_out():
    """lr·m̂/(√v̂ + ε) = rate·m/(√v + floor), m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ)."""
    m, v, epsilon = 0.3, 0.2, 0.05
    for t in (1, 2, 7, 1000):
        for betas in ((0.9, 0.999), (0.4, 0.3)):
            expected = 0.1 * m / (1 - betas[0] ** t) / (math.sqrt(v / (1 - betas[1] ** t)) + epsilon)
            rate, floor = optim.step_rates(t, 0.1, betas, epsilon)
            assert math.isclose(rate * m / (math.sqrt(v) + floor), expected, rel_tol=1e-12)
        assert optim.step_rates(t, 0.1) == optim.step_rates(t, 0.1, (0.9, 0.999), 1e-8)


def test_state_starts_at_zero_where_the_parameters_are(backend):
    parameters = backend.tree_to_device({"a": np.ones((2, 3), np.float32), "deep": {"b": np.ones(4)}})
    state = optim.init_adam(parameters)
    assert state["step"] == 0
    for moment in (state["m"], state["v"]):
        for (path, parameter), (other_path, zero) in zip(leaves(parameters), leaves(moment), strict=True):
            assert path == other_path
            assert type(zero) is type(parameter)
            assert zero.dtype == parameter.dtype
            np.testing.assert_array_equal(backend.to_host(zero), np.zeros(parameter.shape))
    assert state["m"]["a"] is not state["v"]["a"]


def test_a_leaf_without_gradient_stays_as_it_is(backend):
    parameters = backend.tree_to_device({"a": np.ones(3), "b": np.ones(2)})
    state = optim.init_adam(parameters)
    parameters, state = optim.adam_step(parameters, {"a": None, "b": backend.to_device(np.ones(2))}, state, lr=0.5)
    np.testing.assert_array_equal(backend.to_host(parameters["a"]), np.ones(3))
    np.testing.assert_array_equal(backend.to_host(state["m"]["a"]), np.zeros(3))
    np.testing.assert_array_equal(backend.to_host(state["v"]["a"]), np.zeros(3))
    np.testing.assert_allclose(backend.to_host(parameters["b"]), [0.5, 0.5])
    assert state["step"] == 1


def test_only_the_fast_form_overwrites_and_never_a_gradient(form):
    parameters, gradients = {"a": np.ones(3)}, {"a": np.array([1.0, -2.0, 3.0])}
    state = optim.init_adam(parameters)
    before = map_tree(lambda leaf: leaf, state)
    new_parameters, new_state = optim.adam_step(parameters, gradients, state)
    in_place = new_parameters["a"] is parameters["a"], *(new_state[k]["a"] is before[k]["a"] for k in "mv")
    assert in_place == (form == "in place",) * 3
    assert before["step"] == 0
    np.testing.assert_array_equal(gradients["a"], [1, -2, 3])


@pytest.mark.parametrize("turned", ["parameter", "m", "v"])
def test_an_array_in_another_memory_order_takes_the_same_step(turned, backend):
    """A flat view of it would be a copy: written over, the step would be lost without a word."""
    theta, *gradients = draw(5, (2, 3), (2, 3), (2, 3))
    expected, _ = run_adam(theta, gradients, lr=0.1)
    parameters = {"a": backend.to_device(theta.copy())}
    state = optim.init_adam(parameters)
    tree = parameters if turned == "parameter" else state[turned]
    tree["a"] = backend.to_device(np.asfortranarray(backend.to_host(tree["a"])))
    assert not tree["a"].flags.c_contiguous
    for gradient in gradients:
        parameters, state = optim.adam_step(parameters, {"a": backend.to_device(gradient)}, state, lr=0.1)
    np.testing.assert_allclose(backend.to_host(parameters["a"]), expected, rtol=1e-14)


@pytest.mark.parametrize("scalar", [np.float64, np.float32, float])
@pytest.mark.parametrize("which", ["parameter", "m", "v", "every"])
def test_a_number_in_place_of_an_array_takes_the_same_step(which, scalar):
    """NumPy's own numbers have flags and a flat view too, but that is a copy."""
    parameters, state = {"a": np.array(1.0)}, {"step": 0, "m": {"a": np.array(0.0)}, "v": {"a": np.array(0.0)}}
    for name, tree in {"parameter": parameters, "m": state["m"], "v": state["v"]}.items():
        if which in (name, "every"):
            tree["a"] = scalar(tree["a"])
    for g in (2.0, -1.0):
        parameters, state = optim.adam_step(parameters, {"a": np.array(g)}, state, lr=0.1)
    expected = naive_adam(np.array(1.0), [np.array(2.0), np.array(-1.0)], lr=0.1)
    np.testing.assert_allclose(parameters["a"], expected, rtol=1e-6)


def test_a_gradient_of_another_type_is_taken_in_the_parameters(backend):
    """A float32 gradient of 1e-30 has a square of 0 in float32 and of 1e-60 in float64."""
    theta, gradient = np.ones(3), np.full(3, 1e-30, np.float32)
    found, _ = run_adam(theta, [gradient], backend, lr=0.25, epsilon=0.0)
    np.testing.assert_allclose(backend.to_host(found), np.full(3, 0.75), rtol=1e-12)
    found, state = run_adam(theta.astype(np.float32), [np.ones(3)], backend)
    assert {found.dtype, *(state[k]["net"]["theta"].dtype for k in "mv")} == {np.dtype("float32")}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("of_rates", [np.float32, np.float64])
def test_rates_may_be_given_as_an_array(backend, dtype, of_rates):
    """As a captured step has them: what they would be at this step does not matter, nor does their type."""
    theta, gradient = draw(5, (3, 2), (3, 2), dtype=dtype)
    expected, _ = run_adam(theta, [gradient], lr=0.1)
    parameters = {"a": backend.to_device(theta.copy())}
    rates = backend.to_device(np.array(optim.step_rates(1, 0.1), of_rates))
    state = optim.init_adam(parameters)
    found, _ = optim.adam_step(parameters, {"a": backend.to_device(gradient)}, state, lr=7.0, rates=rates)
    assert found["a"].dtype == dtype
    np.testing.assert_allclose(backend.to_host(found["a"]), expected, rtol=2e-7)


def test_a_gradient_in_any_memory_order_is_taken():
    theta, gradient = draw(4, (2, 3), (3, 2))
    turned, _ = run_adam(theta, [gradient.T.copy()])
    parameters = {"a": theta.copy()}
    found, _ = optim.adam_step(parameters, {"a": gradient.T}, optim.init_adam(parameters))
    np.testing.assert_array_equal(found["a"], turned)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_adam_against_pytorch(dtype, tolerance):
    torch = pytest.importorskip("torch")
    theta, *gradients = draw(1, (7, 3), *[(7, 3)] * 20, dtype=dtype)
    twin = torch.nn.Parameter(torch.tensor(theta))
    optimizer = torch.optim.Adam([twin], lr=0.03, betas=(0.8, 0.95), eps=1e-6)
    for gradient in gradients:
        twin.grad = torch.tensor(gradient)
        optimizer.step()
    found, _ = run_adam(theta, gradients, lr=0.03, betas=(0.8, 0.95), epsilon=1e-6)
    np.testing.assert_allclose(found, twin.detach().numpy(), rtol=tolerance, atol=tolerance)
    assert found.dtype == dtype


@pytest.mark.parametrize("shape", [(3, 2), (1, 3)])  # one on each side of the parameter's in the order of tuples
def test_a_gradient_of_another_shape_is_refused(backend, shape):
    parameters, gradients = (backend.tree_to_device({"a": np.ones(sizes)}) for sizes in ((2, 3), shape))
    with pytest.raises(
        ValueError, match=rf"^adam_step: the gradient of a must be \(2, 3\), was {re.escape(str(shape))}$"
    ):
        optim.adam_step(parameters, gradients, optim.init_adam(parameters))
