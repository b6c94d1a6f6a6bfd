"""Adam over the parameters' own memory: in blocks on the host, shared among threads, in one call of a device's kernel."""

import types
from typing import ClassVar

import numpy as np
import pytest
from fake_cupy import STRICT, DeviceArray
from finite_differences import draw

from dimref import optim
from dimref.engine import adam, kernels


def run_adam(theta, gradients, backend=None):
    move = np.array if backend is None else lambda a: backend.to_device(a.copy())
    parameters = {"theta": move(theta)}
    state = optim.init_adam(parameters)
    for gradient in gradients:
        parameters, state = optim.adam_step(parameters, {"theta": move(gradient)}, state)
    return parameters["theta"], state


@pytest.mark.parametrize("past", [-1, 0, 1, adam.ADAM_BLOCK, adam.ADAM_BLOCK + 7])
def test_blocks_change_nothing(past):
    """On the host in blocks, on a device in one piece: the same numbers to the last bit, at every block's border."""
    size = adam.ADAM_BLOCK + past
    theta, *gradients = draw(3, (size,), (size,), (size,), dtype=np.float32)
    host, state = run_adam(theta, gradients)
    device, device_state = run_adam(theta, gradients, STRICT)
    np.testing.assert_array_equal(host, device.get())
    for name in "mv":
        np.testing.assert_array_equal(state[name]["theta"], device_state[name]["theta"].get())
    assert np.all(host != theta)


def test_a_devices_kernel_gets_everything_in_one_call(monkeypatch):
    calls = []
    device = types.SimpleNamespace(adam=lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(kernels, "_OF", {DeviceArray: device})
    trees = [STRICT.tree_to_device({"a": np.full((2, 3), x), "b": np.full(4, x), "c": np.full(1, x)}) for x in (1, 2)]
    trees[1]["b"] = None
    state = optim.init_adam(trees[0])
    found, state = optim.adam_step(*trees, {**state, "step": 4}, 0.1, (0.5, 0.75), 0.25)
    assert all(found[name] is trees[0][name] for name in found)
    assert state["step"] == 5
    rates = STRICT.to_device(np.array([7.0, 8.0]))
    optim.adam_step(*trees, state, 0.1, (0.5, 0.75), rates=rates)
    optim.adam_step({"a": trees[0]["a"]}, {"a": None}, optim.init_adam({"a": trees[0]["a"]}))  # nothing to do: no call
    (groups, numbers, betas), (_, array, _) = calls
    assert [[a.shape for a in group] for group in groups] == [[(6,)] * 4, [(1,)] * 4]
    assert [[float(a.get()[0]) for a in group] for group in groups] == [[1, 2, 0, 0]] * 2
    assert numbers == optim.step_rates(5, 0.1, (0.5, 0.75), 0.25)
    assert array is rates
    assert betas == (0.5, 0.75)


class Watched(np.ndarray):
    """A host array that notes how it is cut."""

    cuts: ClassVar[list] = []

    def __getitem__(self, index):
        Watched.cuts.append(index)
        return super().__getitem__(index)


def test_the_host_gets_blocks(monkeypatch):
    monkeypatch.setattr(adam, "ADAM_BLOCK", 4)
    parameters = {"a": np.ones(10).view(Watched)}
    optim.adam_step(parameters, {"a": np.ones(10)}, {"step": 0, "m": {"a": np.zeros(10)}, "v": {"a": np.zeros(10)}})
    assert Watched.cuts == [slice(0, 4), slice(4, 8), slice(8, 12)]


def test_the_device_gets_one_block(monkeypatch):
    """Small blocks would be thousands of kernel launches."""
    seen = []
    monkeypatch.setattr(adam, "ADAM_BLOCK", 4)
    cut = DeviceArray.__getitem__
    monkeypatch.setattr(DeviceArray, "__getitem__", lambda self, index: seen.append(index) or cut(self, index))
    run_adam(np.ones(10), [np.ones(10)], STRICT)
    assert seen == [slice(0, 10)] * 4
