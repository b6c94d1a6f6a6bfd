"""Steps on a device: numbers equal to the host's bit for bit, and nothing read inside a step."""

import dataclasses
import math

import fake_cupy
import fake_stream
import numpy as np
import pytest
import tiny_runs
from fake_cupy import DeviceArray

from dimref import bounds
from dimref.engine import cuda_graph
from dimref.training import checkpoint as checkpoints
from dimref.training import device_steps, loop, metrics, run_directory
from dimref.training import state as states
from dimref.training.loop import Diverged, Interrupted
from dimref.trees import leaves

pytestmark = pytest.mark.usefixtures("narrow")

EVERY = [
    {},
    {"bound": "mine", "global_weight": 1.0},
    {"bound": "infonce"},
    {"bound": "infonce", "negatives": "all-locations"},
    {"bound": "dv", "local_scorer": "dot"},
    {"bound": "nwj", "negatives": "roll"},
    {"prior": "gaussian", "gradient_penalty": 1.0, "prior_loss": "non-saturating"},
    {"global_weight": 1.0, "local_weight": 0.0, "prior_weight": 1.0},
    {"method": "amdim", "ndf": 2, "nrkhs": 8},
    {"bound": "infonce", "local_scorer": "concat", "candidates": 3},
]


def run(task, path, stop_after=math.inf, resume=None, report=lambda line: None):
    """Train in a run directory, and stop after a step."""
    if resume is None:
        with run_directory.create(path, task.config):
            pass
    seen = []
    return loop.train(task, path, seen.append, lambda: len(seen) >= stop_after, resume, report), seen


def on_device(task, eager=False):
    return dataclasses.replace(task, backend=fake_stream.device(eager))


WAYS = {(True, False): "late", (True, True): "early", (False, False): "late-no-graph", (False, True): "early-no-graph"}


@pytest.mark.parametrize(
    ("options", "graph", "eager"),
    [
        pytest.param(
            options, graph, eager,
            marks=[] if (way == "late" and k % 2) or (way == "early" and k == 1) else pytest.mark.exhaustive,
            id="-".join([way, *map(str, options.values())]),
        )
        for (graph, eager), way in WAYS.items() for k, options in enumerate(EVERY)
    ],
)  # fmt: skip
def test_a_run_on_the_device_is_the_hosts_bit_for_bit(prepare, tmp_path, options, graph, eager):
    """Captured and not; copies as late, or as early, as their events allow."""
    task = prepare(steps=15, log_every=4, checkpoint_every=6, **options)
    told = []
    run(task, tmp_path / "host")
    graphed = dataclasses.replace(task, config=dataclasses.replace(task.config, graph=graph))
    run(on_device(graphed, eager), tmp_path / "device", report=told.append)
    tiny_runs.assert_same_run(tmp_path / "device", tmp_path / "host")
    assert told == []


# ---- nothing waits inside a step


@pytest.mark.parametrize("options", [*EVERY, {"graph": False}], ids=lambda o: "-".join(map(str, o.values())))
def test_a_step_reads_and_sends_nothing_but_what_the_feed_carries(prepare, monkeypatch, options):
    task = prepare(steps=13, **options)
    backend, told = fake_stream.device(), []
    queue = backend.queue()
    state = states.initial_state(dataclasses.replace(task, backend=backend))
    with queue.running():
        steps = device_steps.DeviceSteps(dataclasses.replace(task, backend=backend), state, queue, told.append)
        for _ in range(3):
            state = steps.run(state)
        reads, waits = DeviceArray.transfers, []
        monkeypatch.setattr(fake_cupy, "to_device", lambda x: waits.append("to_device"))
        monkeypatch.setattr(fake_stream.Stream, "synchronize", lambda self: waits.append("synchronize"))
        for _ in range(9):
            state = steps.run(state)
        assert DeviceArray.transfers == reads
        assert waits == []
        monkeypatch.undo()
        seen = steps.read()
    assert told == []
    assert state.step == 12
    assert seen["terms"] == steps.terms
    assert math.isfinite(seen["gradient_norm"])


def test_a_host_read_inside_a_step_is_seen_by_these_tests(prepare, tmp_path, monkeypatch):
    """The tests above would fail on each of these; the capture fails on them too, and is told of."""
    jsd = bounds.jsd
    for read, words in {
        lambda x: float(x): "not read by itself",
        lambda x: bool((x > 0).any()): "not read by itself",
        lambda x: x.item(): "not permitted when stream is capturing",
        lambda x: fake_cupy.to_device(np.ones(3)): "not permitted when stream is capturing",
    }.items():

        def spoiled(joint, product, read=read):
            value = jsd(joint, product)
            if DeviceArray.recording is not None:
                read(value._value)
            return value

        monkeypatch.setattr(bounds, "jsd", spoiled)
        told = []
        run(on_device(prepare(steps=4)), tmp_path / f"run{hash(read)}", report=told.append)
        assert len(told) == 1
        assert told[0].startswith("graph: expected the step to be captured, found: ")
        assert words in told[0]
        assert told[0].endswith("; its kernels are queued one by one")
        assert "\n" not in told[0]


def test_a_step_that_cannot_be_captured_trains_all_the_same(prepare, tmp_path, monkeypatch):
    task = prepare(steps=8, log_every=3, bound="mine")
    run(task, tmp_path / "host")
    end = fake_stream.Stream.end_capture

    def failing(self):
        end(self)
        raise RuntimeError("cudaErrorNotSupported: no capture\nand a second line")

    monkeypatch.setattr(fake_stream.Stream, "end_capture", failing)
    told = []
    run(on_device(task), tmp_path / "device", report=told.append)
    tiny_runs.assert_same_run(tmp_path / "device", tmp_path / "host")
    assert told == [
        "graph: expected the step to be captured, found: cudaErrorNotSupported: no capture; "
        "its kernels are queued one by one"
    ]


# ---- runs that stop, and runs that diverge


@pytest.mark.parametrize(
    "stop", [3, 14, *(pytest.param(stop, marks=pytest.mark.exhaustive) for stop in (1, 2, 4, 6, 13, 17))]
)
def test_a_run_stopped_anywhere_and_resumed_is_the_uninterrupted_one(prepare, tmp_path, stop):
    task = prepare(steps=18, log_every=4, checkpoint_every=5, bound="mine")
    run(task, tmp_path / "whole")
    with pytest.raises(Interrupted, match=f"after step {stop} of 18"):
        run(on_device(task), tmp_path / "cut", stop_after=stop)
    checkpoint = checkpoints.load(tmp_path / "cut" / run_directory.NEWEST)
    assert checkpoint.step == stop
    metrics.cut(tmp_path / "cut" / run_directory.METRICS, stop)
    run(on_device(task), tmp_path / "cut", resume=checkpoint)
    tiny_runs.assert_same_run(tmp_path / "cut", tmp_path / "whole")


def poisoned(task, step, value):
    """The task with the draws of one step's prior spoiled: the prior's term and gradients are not finite from there on."""
    draw = device_steps.host_noise_at

    def draws(task, stream, position, n):
        noise = draw(task, stream, position, n)
        if position == step and stream == device_steps.STEP:
            noise["prior"]["z"][0, 0] = value
        return noise

    return draws


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("at", [0, 2, 4, 9])
def test_a_step_that_is_not_finite_is_reported_at_the_next_read_as_on_the_host(
    prepare, tmp_path, monkeypatch, at, value
):
    task = prepare(steps=13, log_every=5, checkpoint_every=4)
    draws = poisoned(task, at, value)
    monkeypatch.setattr("dimref.training.task.host_noise_at", draws)
    monkeypatch.setattr(device_steps, "host_noise_at", draws)
    with pytest.raises(Diverged) as host:
        run(task, tmp_path / "run")
    with pytest.raises(Diverged) as found:
        run(on_device(task), tmp_path / "dev")
    assert str(found.value) == str(host.value).replace("run/newest", "dev/newest")
    assert f"step {at + 1}:" in str(found.value)
    checkpoint = checkpoints.load(tmp_path / "dev" / run_directory.NEWEST)
    assert checkpoint.step == at // 4 * 4
    for array in tiny_runs.arrays(tmp_path / "dev" / run_directory.NEWEST).values():
        assert np.isfinite(array).all()


def test_nothing_that_diverged_is_saved_when_the_user_stops(prepare, tmp_path, monkeypatch):
    task = prepare(steps=13, log_every=50)
    monkeypatch.setattr(device_steps, "host_noise_at", poisoned(task, 5, np.nan))
    with pytest.raises(Diverged, match="step 6: expected finite numbers"):
        run(on_device(task), tmp_path / "run", stop_after=8)
    assert checkpoints.load(tmp_path / "run" / run_directory.NEWEST).step == 0


def test_gradients_beyond_float32s_range_are_no_finite_norm():
    backend = fake_stream.device()
    numbers = cuda_graph.Numbers(backend, ["loss", "squares/w", "squares/b"], ["terms/local"])
    rows = [(1.0, (2.0, 0.0), -1.0), (3.0, (1.0, 3e38), 5.0), (5.0, (2e38, 1.5e38), math.inf), (7.0, (1.0, 1.0), 0.0)]
    for row in rows:
        numbers.record([backend.to_device(np.array(scalars)) for scalars in row])
    found, good = numbers.read()
    assert good == 2
    # The first that was not finite stays; what is not guarded may be anything.
    assert found == {"loss": 5.0, "squares/w": 2e38, "squares/b": 1.5e38, "terms/local": math.inf}


def test_progress_shows_the_terms_of_the_last_look(prepare, tmp_path):
    _, seen = run(on_device(prepare(steps=13, log_every=5)), tmp_path / "run")
    assert all(progress.terms for progress in seen)
    lines = {line["step"]: line["nats"] for line in tiny_runs.metrics(tmp_path / "run") if line["kind"] == "step"}
    assert seen[4].terms == seen[8].terms == lines[5]
    assert seen[9].terms == lines[10]


def test_parameters_and_moments_stay_where_they_are(prepare):
    """A graph writes where it was captured: arrays that moved would be lost to it."""
    backend = fake_stream.device()
    task = dataclasses.replace(prepare(steps=13), backend=backend)
    queue, state = backend.queue(), states.initial_state(task)
    before = {"p": state.parameters, "m": state.adam["m"], "v": state.adam["v"]}
    with queue.running():
        steps = device_steps.DeviceSteps(task, state, queue, lambda line: None)
        for _ in range(6):
            state = steps.run(state)
    after = {"p": state.parameters, "m": state.adam["m"], "v": state.adam["v"]}
    for (path, a), (_, b) in zip(leaves(before), leaves(after), strict=True):
        assert a is b, path
    assert state.adam["step"] == 6
