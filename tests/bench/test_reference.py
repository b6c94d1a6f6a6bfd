"""dimref's side: steps on every backend, replayed where there is a queue, from weights that stay as they were drawn."""

import dataclasses

import fake_stream
import numpy as np
import pytest
from fake_cupy import STRICT, DeviceArray

from dimref import objectives
from dimref.backend import NUMPY
from dimref.bench import products, reference, work
from dimref.bench.reference import LR, Reference
from dimref.engine import cuda_graph, threads, tuning
from dimref.optim import adam_step, init_adam
from dimref.tape import value_and_gradients
from dimref.training.choices import BENCH_PRESETS
from dimref.trees import leaves, map_tree


def same(device, host):
    """Parameters and state of a side on a device are those of one on the host, bit for bit."""
    ours, theirs = (leaves({"p": side.parameters, "s": side.state}) for side in (host, device))
    for (path, a), (_, b) in zip(ours, theirs, strict=True):
        assert isinstance(b, DeviceArray), path
        assert b.dtype == a.dtype, path
        np.testing.assert_array_equal(b.get(), a, err_msg=path)


@pytest.mark.parametrize("preset", BENCH_PRESETS)
def test_a_step_on_the_device_is_the_step_on_the_host(make, preset):
    found = make(preset)
    before = [array.copy() for _, array in leaves(found.parameters)]
    host, device = Reference(found, NUMPY), Reference(found, STRICT)
    for side in (host, device):
        side.step()
        side.step()
        side.synchronize()
    same(device, host)
    for array, (path, now) in zip(before, leaves(found.parameters), strict=True):
        np.testing.assert_array_equal(now, array, err_msg=path)  # another side starts from the same


@pytest.mark.parametrize("preset", ["dim-mixed", "dim-infonce"])
def test_two_steps_are_two_of_the_objectives(make, preset):
    found = make(preset)
    side = Reference(found, NUMPY)
    parameters, state = map_tree(np.array, found.parameters), found.state
    adam = init_adam(parameters)
    for _ in range(2):
        side.step()
        _, gradients, rest = value_and_gradients(
            objectives.loss, parameters, state, found.images, found.noise, found.objective, found.layout
        )
        parameters, adam = adam_step(parameters, gradients, adam, LR)
        state = rest["state"]
    expected = dict(leaves({"p": parameters, "s": state}))
    for path, array in leaves({"p": side.parameters, "s": side.state}):
        np.testing.assert_array_equal(array, expected[path], err_msg=path)


def test_encodings_are_named_and_leave_everything_as_it_was(make):
    side = Reference(make("encode"), NUMPY)
    first = side.encodings()
    side.step()
    assert list(first) == ["local_map", "last_map", "fc", "y"]
    for name, array in side.encodings().items():
        np.testing.assert_array_equal(array, first[name])


# ---- with a queue


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("preset", [*BENCH_PRESETS, "dim-mixed in float64"])
def test_queued_steps_are_the_hosts(monkeypatch, make, preset, graph):
    monkeypatch.setattr(threads, "_blas", lambda: None)  # threads of the host's own would sum in another order
    found = make(preset.split()[0])
    if "float64" in preset:
        wide = {name: work.in_float64(getattr(found, name)) for name in ("parameters", "state", "images", "noise")}
        found = dataclasses.replace(found, **wide)
    host, there = Reference(found, NUMPY), reference.start(found, fake_stream.device(), graph)
    reads = DeviceArray.transfers
    for _ in range(6):
        host.step()
        there.step()
    there.synchronize()
    assert DeviceArray.transfers == reads
    assert there.graph() == ("one CUDA graph a step" if graph else "kernel by kernel, without a graph")
    same(there, host)


def test_a_graph_that_is_refused_is_reported(monkeypatch, make):
    def failing(self, function):
        raise RuntimeError("no capture")

    monkeypatch.setattr(cuda_graph.Queue, "capture", failing)
    there = reference.start(make("dim-global"), fake_stream.device(), True)
    for _ in range(4):
        there.step()
    assert there.graph().startswith("graph: expected the step to be captured, found: no capture;")


def test_a_backend_without_a_queue_steps_as_it_did(make):
    side = reference.start(make("dim-global"), NUMPY, True)
    assert type(side) is Reference
    assert side.graph() == ""


@pytest.mark.parametrize("graph", [True, False])
def test_bare_products_are_replayed_as_the_step_is(monkeypatch, make, graph):
    there, made, multiplied = reference.start(make("dim-global"), fake_stream.device(), graph), [], []
    capture, matmul = cuda_graph.Queue.capture, DeviceArray.__matmul__
    monkeypatch.setattr(cuda_graph.Queue, "capture", lambda self, f: made.append(1) or capture(self, f))
    monkeypatch.setattr(DeviceArray, "__matmul__", lambda x, y: multiplied.append((x.shape, y.shape)) or matmul(x, y))
    call = there.bare_products([(2, 3, 4), (5, 2, 1)])
    for _ in range(6):
        call()
    assert len(made) == graph
    assert multiplied == [((2, 3), (3, 4)), ((5, 2), (2, 1))] * (tuning.CAPTURE_WARM_UP + 1 if graph else 6)


def test_bare_products_of_the_host_are_just_called(monkeypatch, make):
    multiplied = []
    monkeypatch.setattr(products, "product", lambda x, y: multiplied.append((x.shape, y.shape)))
    Reference(make("dim-global"), NUMPY).bare_products([(2, 3, 4)])()
    assert multiplied == [((2, 3), (3, 4))]
