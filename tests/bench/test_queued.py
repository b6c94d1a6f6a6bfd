"""dimref's side on a device with a queue: the same steps, replayed, on a device that is not there."""

import fake_stream
import numpy as np
import pytest
from fake_cupy import DeviceArray

from dimref.backend import NUMPY
from dimref.bench import products, proof, queued, worker
from dimref.bench.reference import Reference
from dimref.engine import cuda_graph, threads, tuning
from dimref.training.choices import BENCH_PRESETS
from dimref.trees import leaves


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("preset", BENCH_PRESETS)
def test_steps_are_the_hosts(monkeypatch, make, preset, graph):
    monkeypatch.setattr(threads, "_blas", lambda: None)  # threads of the host's own would sum in another order
    found = make(preset)
    host, there = Reference(found, NUMPY), queued.reference(found, fake_stream.device(), graph)
    reads = DeviceArray.transfers
    for _ in range(6):
        host.step()
        there.step()
    there.synchronize()
    assert DeviceArray.transfers == reads
    assert (there.captured, there.why_no_graph) == (graph, "")
    state = dict(leaves({"p": there.parameters, "s": there.state}))
    for path, array in leaves({"p": host.parameters, "s": host.state}):
        np.testing.assert_array_equal(state[path].get(), array, err_msg=path)


def test_wide_work_is_stepped_in_float64(make):
    found = proof.as_float64(make("mixed"))
    host, there = Reference(found, NUMPY), queued.reference(found, fake_stream.device(), True)
    for _ in range(4):
        host.step()
        there.step()
    there.synchronize()
    for (path, a), (_, b) in zip(leaves(host.parameters), leaves(there.parameters), strict=True):
        assert b.dtype == np.float64
        np.testing.assert_array_equal(b.get(), a, err_msg=path)


def test_a_backend_without_a_queue_steps_as_it_did(make):
    assert type(queued.reference(make("global"), NUMPY, True)) is Reference


@pytest.mark.parametrize("graph", [True, False])
def test_bare_products_are_replayed_as_the_step_is(monkeypatch, graph):
    made, multiplied = [], []
    there = fake_stream.device()
    monkeypatch.setattr(
        cuda_graph.Queue, "capture", lambda self, f, own=cuda_graph.Queue.capture: made.append(1) or own(self, f)
    )
    own = DeviceArray.__matmul__
    monkeypatch.setattr(DeviceArray, "__matmul__", lambda x, y: multiplied.append((x.shape, y.shape)) or own(x, y))
    call = queued.bare_products([(2, 3, 4), (5, 2, 1)], there, graph)
    for _ in range(6):
        call()
    assert len(made) == graph
    assert multiplied == [((2, 3), (3, 4)), ((5, 2), (2, 1))] * (tuning.CAPTURE_WARM_UP + 1 if graph else 6)


def test_bare_products_of_the_host_are_just_called(monkeypatch):
    multiplied = []
    monkeypatch.setattr(products, "product", lambda x, y: multiplied.append((x.shape, y.shape)))
    queued.bare_products([(2, 3, 4)], NUMPY, True)()
    assert multiplied == [((2, 3), (3, 4))]


def test_a_worker_says_how_the_step_was_queued_and_profiles_it_without_the_graph(monkeypatch, local, tiny_layouts):
    monkeypatch.setattr(worker, "get_backend", lambda name, tf32: fake_stream.device())
    opening = {"side": "dimref", "preset": "local-jsd", "batch": 4, "seed": 0, "backend": "cupy", "threads": 1}
    with local(1) as side:
        side.ask("open", **opening, layout=tiny_layouts["dim"])
        assert side.ask("graph") == "kernel by kernel, without a graph"
        side.ask("turn", what="step", seconds=0.05)
        side.server.reference.step()
        side.server.reference.step()
        assert side.ask("graph") == "one CUDA graph a step"
        assert side.ask("profile")["groups"]["matrix products"] > 0

        def failing(self, function):
            raise RuntimeError("no capture")

        monkeypatch.setattr(cuda_graph.Queue, "capture", failing)
        side.ask("open", **opening, layout=tiny_layouts["dim"])
        for _ in range(3):
            side.server.reference.step()
        assert side.ask("graph").startswith("graph: expected the step to be captured, found: no capture")
    with local(1) as side:
        monkeypatch.undo()
        side.ask("open", **{**opening, "backend": "numpy"}, layout=tiny_layouts["dim"])
        assert side.ask("graph") == ""
