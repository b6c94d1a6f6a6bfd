"""Adam against the textbook's loop and against PyTorch, in blocks, in place, on every backend."""

import math
import types
from typing import ClassVar

import numpy as np
import pytest
from helpers import draw
from hypothesis import given
from hypothesis import strategies as st
from sharing import shared
from strict import STRICT, DeviceArray

from dimref import optim
from dimref.engine import kernels
from dimref.trees import leaves, map_tree


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


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 3, 4, 5, 9])
def test_blocks_of_any_parameter_are_shared_among_threads(monkeypatch, size, threads):
    theta, *gradients = draw(3, (size,), *[(size,)] * 3)
    whole, _ = run_adam(theta, gradients)
    monkeypatch.setattr(optim, "BLOCK", 2)
    with shared(monkeypatch, threads):
        found, _ = run_adam(theta, gradients)
    np.testing.assert_array_equal(found, whole)


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


@pytest.mark.parametrize("size", [optim.BLOCK - 1, optim.BLOCK, optim.BLOCK + 1, 2 * optim.BLOCK, 2 * optim.BLOCK + 7])
def test_blocks_change_nothing(size):
    """On the host in blocks, on a device in one piece: the same numbers to the last bit, at every block's border."""
    theta, *gradients = draw(3, (size,), (size,), (size,), dtype=np.float32)
    host, state = run_adam(theta, gradients)
    device, device_state = run_adam(theta, gradients, STRICT)
    np.testing.assert_array_equal(host, device.get())
    for name in "mv":
        np.testing.assert_array_equal(state[name]["net"]["theta"], device_state[name]["net"]["theta"].get())
    assert np.all(host != theta)


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_blocks_of_any_size(size, block, seed):
    theta, *gradients = draw(seed, (size,), (size,), (size,))
    whole, _ = run_adam(theta, gradients)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optim, "BLOCK", block)
        np.testing.assert_array_equal(run_adam(theta, gradients)[0], whole)


def test_corrections_divide_the_bias_out():
    """lr·m̂/(√v̂ + ε) = rate·m/(√v + floor), m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ)."""
    m, v, epsilon = 0.3, 0.2, 0.05
    for t in (1, 2, 7, 1000):
        for betas in ((0.9, 0.999), (0.4, 0.3)):
            expected = 0.1 * m / (1 - betas[0] ** t) / (math.sqrt(v / (1 - betas[1] ** t)) + epsilon)
            rate, floor = optim.corrections(t, 0.1, betas, epsilon)
            assert math.isclose(rate * m / (math.sqrt(v) + floor), expected, rel_tol=1e-12)
        assert optim.corrections(t, 0.1) == optim.corrections(t, 0.1, (0.9, 0.999), 1e-8)


def test_corrections_may_be_given_as_an_array(backend):
    """As a captured step has them: the same to the last bit, and what they would be at this step does not matter."""
    theta, gradient = draw(5, (3, 2), (3, 2))
    moved = backend.tree_to_device({"theta": theta.copy(), "gradient": gradient})
    expected, _ = run_adam(theta, [gradient], lr=0.1)
    parameters = {"a": moved["theta"]}
    corrected = backend.to_device(np.array(optim.corrections(1, 0.1)))
    found, _ = optim.adam_step(
        parameters, {"a": moved["gradient"]}, optim.init_adam(parameters), lr=7.0, corrected=corrected
    )
    np.testing.assert_array_equal(backend.to_host(found["a"]), expected)


def test_a_devices_kernel_gets_everything_in_one_call(monkeypatch):
    calls = []
    device = types.SimpleNamespace(adam=lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(kernels, "_OF", {DeviceArray: device})
    trees = [STRICT.tree_to_device({"a": np.full((2, 3), x), "b": np.full(4, x), "c": np.full(1, x)}) for x in (1, 2)]
    trees[1]["b"] = None
    state = optim.init_adam(trees[0])
    found, state = optim.adam_step(*trees, {**state, "step": 4}, 0.1, (0.5, 0.75), 0.25)
    assert found is trees[0]
    assert state["step"] == 5
    corrected = STRICT.to_device(np.array([7.0, 8.0]))
    optim.adam_step(*trees, state, 0.1, (0.5, 0.75), corrected=corrected)
    optim.adam_step({"a": trees[0]["a"]}, {"a": None}, optim.init_adam({"a": trees[0]["a"]}))  # nothing to do: no call
    (groups, numbers, betas), (_, array, _) = calls
    assert [[a.shape for a in group] for group in groups] == [[(6,)] * 4, [(1,)] * 4]
    assert [[float(a.get()[0]) for a in group] for group in groups] == [[1, 2, 0, 0]] * 2
    assert numbers == optim.corrections(5, 0.1, (0.5, 0.75), 0.25)
    assert array is corrected
    assert betas == (0.5, 0.75)


class Watched(np.ndarray):
    """A host array that notes how it is cut."""

    cuts: ClassVar[list] = []

    def __getitem__(self, index):
        Watched.cuts.append(index)
        return super().__getitem__(index)


def test_the_host_gets_blocks(monkeypatch):
    monkeypatch.setattr(optim, "BLOCK", 4)
    parameters = {"a": np.ones(10).view(Watched)}
    optim.adam_step(parameters, {"a": np.ones(10)}, {"step": 0, "m": {"a": np.zeros(10)}, "v": {"a": np.zeros(10)}})
    assert Watched.cuts == [slice(0, 4), slice(4, 8), slice(8, 12)]


def test_the_device_gets_one_block(monkeypatch):
    """Small blocks would be thousands of kernel launches."""
    seen = []
    monkeypatch.setattr(optim, "BLOCK", 4)
    cut = DeviceArray.__getitem__
    monkeypatch.setattr(DeviceArray, "__getitem__", lambda self, index: seen.append(index) or cut(self, index))
    run_adam(np.ones(10), [np.ones(10)], STRICT)
    assert seen == [slice(0, 10)] * 4


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


def test_parameters_and_moments_are_overwritten_and_gradients_are_not():
    parameters, gradients = {"a": np.ones(3)}, {"a": np.array([1.0, -2.0, 3.0])}
    state = optim.init_adam(parameters)
    given_state = map_tree(lambda leaf: leaf, state)
    new_parameters, new_state = optim.adam_step(parameters, gradients, state)
    assert new_parameters["a"] is parameters["a"]
    assert new_state["m"]["a"] is given_state["m"]["a"]
    assert new_state["v"]["a"] is given_state["v"]["a"]
    assert given_state["step"] == 0
    np.testing.assert_array_equal(gradients["a"], [1, -2, 3])


def test_a_parameter_that_cannot_be_overwritten_in_place_is_refused(backend):
    """Flattening an array in another order copies it: the step would be lost without a word."""
    turned = backend.to_device(np.ones((2, 3))).T
    parameters = {"net": {"w": turned}}
    with pytest.raises(ValueError, match=r"^adam_step: net/w must be C-contiguous"):
        optim.adam_step(parameters, {"net": {"w": turned}}, optim.init_adam(parameters))


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


@pytest.mark.parametrize("scalar", [np.float64(1.0), np.float32(1.0), 1.0])
@pytest.mark.parametrize("which", ["parameter", "m", "v"])
def test_a_number_in_place_of_an_array_is_refused(which, scalar):
    """NumPy's own numbers have flags and a flat view too, but that is a copy: the step would be lost without a word."""
    parameters, state = {"net": {"scale": np.array(1.0)}}, {"step": 0}
    state |= {name: {"net": {"scale": np.array(0.0)}} for name in "mv"}
    (parameters if which == "parameter" else state[which])["net"]["scale"] = scalar
    message = rf"^adam_step: net/scale must be an array, to be overwritten, was a {type(scalar).__name__}$"
    with pytest.raises(ValueError, match=message):
        optim.adam_step(parameters, {"net": {"scale": np.array(1.0)}}, state)


def test_a_gradient_of_another_shape_is_refused(backend):
    parameters, gradients = (
        backend.tree_to_device({"a": np.ones((2, 3))}),
        backend.tree_to_device({"a": np.ones((3, 2))}),
    )
    with pytest.raises(ValueError, match=r"^adam_step: the gradient of a must be \(2, 3\), was \(3, 2\)$"):
        optim.adam_step(parameters, gradients, optim.init_adam(parameters))


def test_a_gradient_of_another_type_is_taken_in_the_parameters(backend):
    """A float32 gradient of 1e-30 has a square of 0 in float32 and of 1e-60 in float64."""
    theta, gradient = np.ones(3), np.full(3, 1e-30, np.float32)
    found, _ = run_adam(theta, [gradient], backend, lr=0.25, epsilon=0.0)
    expected, _ = run_adam(theta, [gradient.astype(np.float64)], lr=0.25, epsilon=0.0)
    np.testing.assert_array_equal(backend.to_host(found), expected)
    found, state = run_adam(theta.astype(np.float32), [np.ones(3)], backend)
    assert found.dtype == state["m"]["net"]["theta"].dtype == np.float32
