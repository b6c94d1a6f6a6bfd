"""The training loop: from a task to a trained encoder, resumable at every checkpoint."""

from __future__ import annotations

import contextlib
import math
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dimref import encoders, engine
from dimref.engine import malloc
from dimref.errors import DimrefError
from dimref.optim import adam_step, init_adam
from dimref.tape import value_and_gradients
from dimref.training import checkpoints, machine, methods
from dimref.training.checkpoints import Checkpoint
from dimref.training.collapse import health
from dimref.training.device_steps import DeviceSteps
from dimref.training.methods import AnyObjective
from dimref.training.nonfinite import Diverged, diverged
from dimref.training.task import HELD, INIT, STEP, Task, batch_at, generator, noise_at
from dimref.trees import Array, Tree, leaves


class Interrupted(DimrefError):
    """The user stopped the run; its state is saved."""

    exit_code = 130


@dataclass
class State:
    """What changes from step to step, on the device."""

    step: int
    parameters: Tree
    model: Tree
    adam: Tree
    best: float = -math.inf


@dataclass(frozen=True)
class Progress:
    """What a watcher of the run is told after each step, and at the end of each epoch."""

    step: int
    total: int
    epoch: int
    terms: dict[str, float]  # nats
    images_per_second: float
    images_left: int
    held_out: dict[str, float] | None = None  # at the end of an epoch


def initial_state(task: Task) -> State:
    """Freshly drawn parameters, on the device."""
    parameters, model = methods.init_parameters(generator(task.config, INIT, 0), task.layout, task.objective)
    parameters, model = task.backend.tree_to_device(parameters), task.backend.tree_to_device(model)
    return State(0, parameters, model, init_adam(parameters))


# ---- one step


def train_step(task: Task, state: State) -> tuple[State, dict[str, Any]]:
    """One step: gradient of the loss, check, Adam. The arrays of `state` are given up.

    Returns:
        The new state, and {"terms", "saturated": floats by name, "gradient_norm": float, "y": (B, D) on the host,
        "images": the batch}.
    Raises:
        Diverged: a term of the loss or a gradient is not finite; nothing has been updated then.
    """
    images = batch_at(task, state.step)
    noise = noise_at(task, STEP, state.step, len(images))
    batch = task.backend.to_device(encoders.scale(images, task.layout))
    value, gradients, found = value_and_gradients(
        methods.loss, state.parameters, state.model, batch, noise, task.objective, task.layout
    )
    squares = {path: (g * g).sum() for path, g in leaves(gradients) if g is not None}
    terms = _numbers(task, found["terms"])
    total = _numbers(task, {"squares": sum(squares.values()), "loss": value})
    if not all(map(math.isfinite, total.values())):
        raise diverged(state.step, {**terms, "loss": total["loss"]}, _numbers(task, squares))
    parameters, adam = adam_step(state.parameters, gradients, state.adam, task.config.lr)
    seen = {
        "terms": terms,
        "saturated": _numbers(task, found["saturated"]),
        "gradient_norm": math.sqrt(total["squares"]),
        "y": task.backend.to_host(found["y"]),
        "images": images,
    }
    return State(state.step + 1, parameters, found["state"], adam, state.best), seen


def _numbers(task: Task, values: dict[str, Array]) -> dict[str, float]:
    return {name: float(task.backend.to_host(value)) for name, value in values.items()}


def held_out_terms(task: Task, state: State) -> dict[str, float]:
    """Every term in nats on the held-out images, with the same draws each time; batch norm in inference mode."""
    n = task.held_out_batch
    sums: dict[str, float] = {}
    count = len(task.held_out) // n
    for k in range(count):
        batch = task.backend.to_device(encoders.scale(task.held_out[k * n : (k + 1) * n], task.layout))
        noise = noise_at(task, HELD, k, n)
        _, found = methods.loss(
            state.parameters, state.model, batch, noise, task.objective, task.layout, training=False
        )
        for name, value in _numbers(task, found["terms"]).items():
            sums[name] = sums.get(name, 0.0) + value / count
    return sums


def weighted_bound(objective: AnyObjective, terms: dict[str, float]) -> float:
    """α·I_global + β·I_local, or the sum over pairs of scales, in nats: what "best" is judged by."""
    return sum(weight * terms[name] for name, weight in objective.weights.items())


# ---- the loop


class HostSteps:
    """The steps of a run, each looked at as it is made."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._seen: dict[str, Any] = {}
        self.terms: dict[str, float] = {}  # nats

    def run(self, state: State) -> State:
        """The state after the next step."""
        state, self._seen = train_step(self._task, state)
        self.terms = self._seen["terms"]
        return state

    def look(self) -> dict[str, Any]:
        """What `train_step` returned of the last step."""
        return self._seen


@contextlib.contextmanager
def _steps(task: Task, state: State, tell: Callable[[str], None]) -> Iterator[HostSteps | DeviceSteps]:
    """Step by step on the host, rows shared among threads; on a device, in its queue."""
    if task.backend.queue is None:
        with engine.sharing():
            yield HostSteps(task)
        return
    queue = task.backend.queue()
    with queue.running():
        yield DeviceSteps(task, state, queue, tell)


class Clock:
    """Images per second since the first step of this process, everything between the steps included."""

    def __init__(self, step: int, batch_size: int) -> None:
        self._step, self._batch_size, self._start = step, batch_size, time.perf_counter()

    def images_per_second(self, step: int) -> float:
        """The mean speed from the first step of this process to `step`."""
        return (step - self._step) * self._batch_size / max(time.perf_counter() - self._start, 1e-9)


def _silent(line: str) -> None:
    """Who trains from Python need not listen."""


def train(
    task: Task,
    run: Path,
    watch: Callable[[Progress], None],
    stopped: Callable[[], bool],
    resume: Checkpoint | None = None,
    tell: Callable[[str], None] = _silent,
) -> State:
    """Train until `task.total_steps`, writing metrics and checkpoints into the run directory.

    Args:
        watch: called after each step. stopped: asked after each step; True saves the state and ends the run.
        resume: the checkpoint to go on from; None starts afresh.
        tell: is told, in one line, when a device cannot replay the step as a graph.
    Raises:
        Interrupted: `stopped` said so. Diverged: see `train_step`. RunError: a file cannot be written.
    """
    malloc.keep_freed_memory()
    try:
        with np.errstate(all="ignore"):  # every number is looked at, and told in one line
            return _train(task, run, watch, stopped, resume, tell)
    except Diverged as error:
        raise Diverged(f"{error}; the last good checkpoint is {run / checkpoints.NEWEST}") from None


def _train(
    task: Task,
    run: Path,
    watch: Callable[[Progress], None],
    stopped: Callable[[], bool],
    resume: Checkpoint | None,
    tell: Callable[[str], None],
) -> State:
    state = initial_state(task) if resume is None else restore(task, run / checkpoints.NEWEST, resume)
    if resume is None:
        save(task, run / checkpoints.NEWEST, state)
    saved = state.step
    clock = Clock(state.step, task.config.batch_size)
    if state.step == task.total_steps:
        return state
    with _steps(task, state, tell) as steps:
        while state.step < task.total_steps:
            state = steps.run(state)
            epoch = (state.step - 1) // task.steps_per_epoch + 1
            last = state.step == task.total_steps
            speed = clock.images_per_second(state.step)
            if state.step % task.config.log_every == 0 or last:
                checkpoints.append_metrics(
                    run / checkpoints.METRICS, _step_line(state.step, epoch, steps.look(), speed)
                )
            held = None
            if state.step % task.steps_per_epoch == 0 or last:
                steps.look()  # nothing is judged or saved that was not looked at
                held = held_out_terms(task, state)
                _end_epoch(task, run, state, epoch, held)
                saved = state.step
            elif state.step % task.config.checkpoint_steps == 0:
                steps.look()
                save(task, run / checkpoints.NEWEST, state)
                saved = state.step
            left = (task.total_steps - state.step) * task.config.batch_size
            watch(Progress(state.step, task.total_steps, epoch, steps.terms, speed, left, held))
            if stopped():
                if saved != state.step:
                    steps.look()
                    save(task, run / checkpoints.NEWEST, state)
                raise Interrupted(
                    f"stopped after step {state.step} of {task.total_steps}; go on with: "
                    f"dimref train --resume {shlex.quote(str(run))}"
                )
    return state


def _step_line(step: int, epoch: int, seen: dict[str, Any], images_per_second: float) -> dict[str, Any]:
    return {
        "kind": "step",
        "step": step,
        "epoch": epoch,
        "nats": seen["terms"],
        "gradient_norm": seen["gradient_norm"],
        "saturated": seen["saturated"],
        **health(seen["y"], seen["images"]),
        "images_per_second": images_per_second,
    }


def _end_epoch(task: Task, run: Path, state: State, epoch: int, held: dict[str, float]) -> None:
    """Judge the epoch on the held-out images, write its line and its checkpoints."""
    value = weighted_bound(task.objective, held)
    better = value > state.best
    if better:
        state.best = value
    line = {"kind": "epoch", "step": state.step, "epoch": epoch, "held_out_nats": held, "bound": value, "best": better}
    checkpoints.append_metrics(run / checkpoints.METRICS, line)
    if better:
        save(task, run / checkpoints.BEST, state)
        checkpoints.copy(run / checkpoints.BEST, run / checkpoints.NEWEST)
    else:
        save(task, run / checkpoints.NEWEST, state)


def machine_of(task: Task) -> dict[str, str]:
    """What the run's bits depend on besides its configuration."""
    return machine.description(task.backend.name, task.backend.device)


def save(task: Task, path: Path, state: State) -> None:
    """Write a checkpoint of the state.

    Raises:
        Diverged: a number in it is not finite; the old checkpoint stays.
    """
    trees = {"parameters": state.parameters, "state": state.model, "adam": {k: state.adam[k] for k in ("m", "v")}}
    host = task.backend.tree_to_host(trees)
    bad = [name for name, array in leaves(host) if not np.isfinite(array).all()]
    if bad:
        raise Diverged(f"step {state.step}: expected finite numbers, found {bad[0]} not finite")
    meta = {
        "machine": machine_of(task),
        "images": task.fingerprint,
        "held_out_batch": task.held_out_batch,
        "layout": asdict(task.layout),
    }
    checkpoints.flush_metrics(path.with_name(checkpoints.METRICS))
    checkpoints.save_checkpoint(path, Checkpoint(state.step, host, task.config, state.best, meta))


def restore(task: Task, path: Path, checkpoint: Checkpoint) -> State:
    """The state in a checkpoint, on the device.

    Raises:
        RunError: its arrays are not those of the task's configuration, or it was trained on other images.
    """
    images = checkpoint.meta.get("images")
    if images != task.fingerprint:
        raise checkpoints.RunError(
            f"{path}: expected the images it was trained on ({images}), found {task.fingerprint}"
        )
    fresh = initial_state(task)
    trees = checkpoint.trees
    expected = {"parameters": fresh.parameters, "adam": {"m": fresh.adam["m"], "v": fresh.adam["v"]}}
    found = {name: trees.get(name, {}) for name in expected}
    checkpoints.check_same_shapes(path, found, task.backend.tree_to_host(expected))
    model = trees.get("state", {})
    checkpoints.check_same_shapes(path, model.get("encoder", {}), task.backend.tree_to_host(fresh.model["encoder"]))
    averages = model.setdefault("mine", {})
    sizes = {"local": task.locations, "global": 1}  # there is an average once there was a step
    expected = {name: np.zeros(size, np.float32) for name, size in sizes.items() if name in averages}
    checkpoints.check_same_shapes(path, averages, expected)
    move = task.backend.tree_to_device
    adam = {"step": checkpoint.step, **move(trees["adam"])}
    return State(checkpoint.step, move(trees["parameters"]), move(model), adam, checkpoint.best)
