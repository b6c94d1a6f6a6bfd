"""Exporting: gradients of intermediates, the state after, precision, the file, and what is refused."""

import json

import numpy as np
import pytest
import tiny_runs
from trace_graphs import graph_of

from dimref import objectives
from dimref.audit.trace import export
from dimref.audit.trace.step import forward
from dimref.data.npy import read_npz
from dimref.training import loop
from dimref.training import state as states
from dimref.trees import leaves


@pytest.mark.parametrize("name", ["encoder/conv1", "encoder/y", "local/feature", "local/joint/hidden", "local/scores"])
def test_gradients_of_intermediates_against_central_differences(name, traced):
    found = traced(dtype="float64", bound="infonce" if name == "local/scores" else "jsd", prior_weight=0.0)
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(found.arrays[name].shape)

    def loss(step):
        graph = graph_of(found)
        graph.accept({name: lambda *_: found.arrays[name] + step * direction})
        return float(graph.expected("loss"))

    along = float((found.arrays[f"gradient/{name}"] * direction).sum())
    assert along == pytest.approx((loss(1e-6) - loss(-1e-6)) / 2e-6, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("after", [0, 2])
def test_parameters_and_state_after_are_those_of_training(after, prepare):
    task = prepare(bound="mine")
    found = export.trace(task, after=after)
    assert found.manifest["steps_before"] == after
    assert ("adam/m/encoder/y/w" in found.arrays) == ("state/mine/local" in found.arrays) == (after > 0)
    state = states.initial_state(task)
    for _ in range(after + 1):
        state, seen = loop.train_step(task, state)
    moments = {"m": state.adam["m"], "v": state.adam["v"]}
    expected = dict(leaves({"after": {"state": state.model, "parameters": state.parameters, "adam": moments}}))
    for name, array in expected.items():
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)
    squares = sum(
        float((a.astype(float) ** 2).sum()) for n, a in found.arrays.items() if n.startswith("gradient/parameters")
    )
    assert squares**0.5 == pytest.approx(seen["gradient_norm"], rel=1e-5)


def test_float64_starts_from_the_same_numbers(traced):
    single, double = traced(), traced(dtype="float64")
    assert {a.dtype.name for a in single.arrays.values()} == {"uint8", "int64", "float32"}
    assert {a.dtype.name for a in double.arrays.values()} == {"uint8", "int64", "float64"}
    assert single.arrays.keys() == double.arrays.keys()
    for name, array in single.arrays.items():
        if name.startswith(("batch/", "noise/", "parameters/", "state/")):
            np.testing.assert_array_equal(double.arrays[name], array)
        elif not name.startswith(("after/parameters", "gradient/parameters")):
            np.testing.assert_allclose(double.arrays[name], array, rtol=2e-3, atol=2e-4, err_msg=name)


def test_another_seed_is_another_step(traced):
    assert traced().arrays["loss"] == traced().arrays["loss"]
    assert traced().arrays["loss"] != traced(seed=1).arrays["loss"]


def test_gradient_order_is_the_order_of_the_sweep(prepare):
    task = prepare()
    order = list(export.gradient_order(forward(task.objective, task.layout)))
    assert order[0] == "loss"
    assert len(order) == len(set(order))
    assert order.index("local/joint/scores") < order.index("local/representation") < order.index("encoder/y")
    assert order.index("encoder/conv1") < order.index("parameters/encoder/conv1/w") == len(order) - 1


def test_the_file(traced, tmp_path):
    found = traced()
    size = export.write(tmp_path / "ref.npz", found)
    assert size == (tmp_path / "ref.npz").stat().st_size
    arrays = read_npz(tmp_path / "ref.npz")
    assert json.loads(arrays.pop("manifest").tobytes()) == found.manifest
    torch = {name for name in arrays if name.startswith("torch/")}
    assert arrays.keys() - torch == found.arrays.keys()
    given = [name for name in found.arrays if name.startswith(("batch/", "parameters/"))]
    assert torch == {f"torch/{name}" for name in given}
    np.testing.assert_array_equal(arrays["torch/batch/images"], arrays["batch/images"].transpose(0, 3, 1, 2))
    assert arrays["torch/parameters/encoder/conv2/w"].shape == (8, 4, 4, 4)
    assert {path.name for path in tmp_path.iterdir()} == {"ref.npz", "images.npz"}


def test_a_step_that_is_not_trainings_is_no_trace(prepare, monkeypatch):
    right = objectives.loss

    def other(*args):
        value, found = right(*args)
        return value * (1 + 1e-3), found

    tiny_runs.change_method(monkeypatch, "dim", loss=other)
    with pytest.raises(RuntimeError, match="the step spelled out gives the loss"):
        export.trace(prepare())


def test_a_gradient_that_is_not_trainings_is_no_trace(prepare, monkeypatch):
    right = objectives.loss

    def other(parameters, *args):
        value, found = right(parameters, *args)
        extra = parameters["local"]["hidden"]["b"].sum() * 1e-3
        return value + (extra - float(extra._value)), found

    tiny_runs.change_method(monkeypatch, "dim", loss=other)
    with pytest.raises(RuntimeError, match="another gradient of local/hidden/b"):
        export.trace(prepare())


def test_a_loss_that_is_not_finite_is_told(prepare, monkeypatch):
    right = states.initial_state

    def broken(task):
        state = right(task)
        state.parameters["encoder"]["y"]["w"][:] = np.nan
        return state

    monkeypatch.setattr(export, "initial_state", broken)
    with pytest.raises(loop.Diverged, match="finite"):
        export.trace(prepare())
