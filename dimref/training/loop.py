"""The training loop: from a task to a trained encoder, resumable at every checkpoint."""

from __future__ import annotations

import contextlib
import math
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dimref import encoders, engine, ranks, step
from dimref.engine import malloc
from dimref.errors import DimrefError
from dimref.training import metrics
from dimref.training.checkpoint import Checkpoint
from dimref.training.collapse import health
from dimref.training.device_steps import DeviceSteps
from dimref.training.files import copy
from dimref.training.method import AnyObjective
from dimref.training.nonfinite import Diverged, diverged
from dimref.training.run_directory import BEST, METRICS, NEWEST
from dimref.training.state import State, initial_state, restore, save
from dimref.training.task import HELD, STEP, Task, batch_at, noise_at
from dimref.trees import Array, Tree, leaves


class Interrupted(DimrefError):
    """The user stopped the run; its state is saved."""

    exit_code = 130


@dataclass(frozen=True)
class Progress:
    """What a watcher of the run sees after each step, and at the end of each epoch."""

    step: int
    total: int
    epoch: int
    terms: dict[str, float]  # nats
    images_per_second: float
    images_left: int
    held_out: dict[str, float] | None = None  # at the end of an epoch


# ---- one step


def train_step(task: Task, state: State) -> tuple[State, dict[str, Any]]:
    """One step: gradient of the loss, check, Adam. The arrays of `state` may be overwritten.

    Returns:
        The new state, and {"terms", "saturated": floats by name, "gradient_norm": float, "y": (B, D) on the host,
        "images": the batch}.
    Raises:
        Diverged: a term of the loss or a gradient is not finite; nothing has been updated then.
    """
    images = batch_at(task, state.step)
    noise = noise_at(task, STEP, state.step, len(images))
    now = task.ranks(len(images))
    batch = task.backend.to_device(encoders.scale(now.own(images), task.layout))
    numbers: dict[str, Any] = {"images": images}

    def check(value: Array, gradients: Tree, report: dict[str, Any]) -> None:
        squares = {path: (g * g).sum() for path, g in leaves(gradients) if g is not None}
        terms = _numbers(task, report["terms"])
        total = _numbers(task, {"squares": sum(squares.values()), "loss": value * now.size})
        if not all(map(math.isfinite, total.values())):
            raise diverged(state.step, {**terms, "loss": total["loss"]}, _numbers(task, squares))
        numbers.update(terms=terms, gradient_norm=math.sqrt(total["squares"]))

    with ranks.among(now):
        parameters, model, adam, report = step.train_step(
            task.loss, state.parameters, state.model, state.adam, batch, noise, task.config.lr,
            betas=task.config.betas, check=check,
        )  # fmt: skip
        y = now.all_gather(report["y"])
    numbers |= {"saturated": _numbers(task, report["saturated"]), "y": task.backend.to_host(y)}
    return State(state.step + 1, parameters, model, adam, state.best), numbers


def _numbers(task: Task, values: dict[str, Array]) -> dict[str, float]:
    return {name: float(task.backend.to_host(value)) for name, value in values.items()}


def held_out_terms(task: Task, state: State) -> dict[str, float]:
    """Every term in nats on the held-out images, with the same draws each time; batch norm in inference mode."""
    n = task.held_out_batch
    sums: dict[str, float] = {}
    count = len(task.held_out) // n
    for k in range(count):
        now = task.ranks(n)
        images = now.own(task.held_out[k * n : (k + 1) * n])
        batch = task.backend.to_device(encoders.scale(images, task.layout))
        noise = noise_at(task, HELD, k, n)
        with ranks.among(now):
            _, report = task.loss(state.parameters, state.model, batch, noise, training=False)
        for name, value in _numbers(task, report["terms"]).items():
            sums[name] = sums.get(name, 0.0) + value / count
    return sums


def weighted_bound(objective: AnyObjective, terms: dict[str, float]) -> float:
    """α·I_global + β·I_local, or the sum over pairs of scales, in nats: the largest is "best"."""
    return sum(weight * terms[name] for name, weight in objective.weights.items())


# ---- the loop


class HostSteps:
    """The steps of a run, each read as it is made."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._numbers: dict[str, Any] = {}
        self.terms: dict[str, float] = {}  # nats

    def run(self, state: State) -> State:
        """The state after the next step."""
        state, self._numbers = train_step(self._task, state)
        self.terms = self._numbers["terms"]
        return state

    def read(self) -> dict[str, Any]:
        """What `train_step` returned of the last step."""
        return self._numbers


@contextlib.contextmanager
def _steps(task: Task, state: State, report: Callable[[str], None]) -> Iterator[HostSteps | DeviceSteps]:
    """Step by step on the host and among ranks, rows shared among threads; on one device, in its queue."""
    if task.backend.queue is None or task.world is not None:
        with engine.sharing():
            yield HostSteps(task)
        return
    queue = task.backend.queue()
    with queue.running():
        yield DeviceSteps(task, state, queue, report)


def images_per_second(images: int, start: float) -> float:
    """Since the first step of this process, everything between the steps included."""
    return images / (time.perf_counter() - start)


@contextlib.contextmanager
def _naming(checkpoint: Path) -> Iterator[None]:
    """Add to the message of a run that diverged where it was last sound."""
    try:
        yield
    except Diverged as error:
        raise Diverged(f"{error}; the last good checkpoint is {checkpoint}") from None


@np.errstate(all="ignore")  # every number is checked, and reported in one line
def train(
    task: Task,
    run: Path,
    watch: Callable[[Progress], None],
    stopped: Callable[[], bool],
    resume: Checkpoint | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> State:
    """Train until `task.total_steps`, writing metrics and checkpoints into the run directory.

    Args:
        watch: called after each step. stopped: called after each step; True saves the state and ends the run.
        resume: the checkpoint to go on from; None starts afresh.
        report: called with one line where a device cannot replay the step as a graph.
    Raises:
        Interrupted: `stopped` returned True. Diverged: see `train_step`. RunError: a file cannot be written.
    """
    malloc.keep_freed_memory()
    state = initial_state(task) if resume is None else restore(task, run / NEWEST, resume)
    if resume is None:
        task.once(save, task, run / NEWEST, state)
    first = saved = state.step
    total, size, start = task.total_steps, task.config.batch_size, time.perf_counter()
    if first == total:
        return state
    with _naming(run / NEWEST), _steps(task, state, report) as steps:
        while state.step < total:
            state = steps.run(state)
            epoch = (state.step - 1) // task.steps_per_epoch + 1
            last = state.step == total
            speed = images_per_second((state.step - first) * size, start)
            if task.logs(state.step):
                task.once(metrics.append, run / METRICS, _step_line(state.step, epoch, steps.read(), speed))
            held_out = None
            if state.step % task.steps_per_epoch == 0 or last:
                steps.read()  # nothing is evaluated or saved that was not checked
                held_out = held_out_terms(task, state)
                _end_epoch(task, run, state, epoch, held_out)
                saved = state.step
            elif state.step % task.config.checkpoint_steps == 0:
                steps.read()
                task.once(save, task, run / NEWEST, state)
                saved = state.step
            watch(Progress(state.step, total, epoch, steps.terms, speed, (total - state.step) * size, held_out))
            if task.any(stopped()):
                if saved != state.step:
                    steps.read()
                    task.once(save, task, run / NEWEST, state)
                raise Interrupted(
                    f"stopped after step {state.step} of {total}; go on with: "
                    f"dimref train --resume {shlex.quote(str(run))}"
                )
    return state


def _step_line(step: int, epoch: int, numbers: dict[str, Any], images_per_second: float) -> dict[str, Any]:
    return {
        "kind": "step",
        "step": step,
        "epoch": epoch,
        "nats": numbers["terms"],
        "gradient_norm": numbers["gradient_norm"],
        "saturated": numbers["saturated"],
        **health(numbers["y"], numbers["images"]),
        "images_per_second": images_per_second,
    }


def _end_epoch(task: Task, run: Path, state: State, epoch: int, held_out: dict[str, float]) -> None:
    """Write the epoch's line, with the bound on the held-out images, and its checkpoints."""
    value = weighted_bound(task.objective, held_out)
    better = value > state.best
    state.best = value if better else state.best
    line = {"step": state.step, "epoch": epoch, "held_out_nats": held_out, "bound": value, "best": better}
    kept = better and task.config.keep != "newest"

    def write() -> None:
        metrics.append(run / METRICS, {"kind": "epoch", **line})
        save(task, run / (BEST if kept else NEWEST), state)
        if kept:
            copy(run / BEST, run / NEWEST)

    task.once(write)
