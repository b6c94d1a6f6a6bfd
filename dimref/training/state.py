"""What changes from step to step of a run: drawn at its start, saved in a checkpoint and restored from one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dimref.optim import init_adam
from dimref.training import checkpoint as checkpoints
from dimref.training import machine, metrics
from dimref.training.checkpoint import Checkpoint
from dimref.training.files import RunError
from dimref.training.nonfinite import Diverged
from dimref.training.run_directory import METRICS
from dimref.training.task import INIT, Task, generator
from dimref.trees import Tree, leaves


@dataclass
class State:
    """What changes from step to step, on the device."""

    step: int
    parameters: Tree
    model: Tree
    adam: Tree
    best: float = -math.inf


def initial_state(task: Task) -> State:
    """Freshly drawn parameters, on the device."""
    trees = task.method.init_parameters(generator(task.config.seed, INIT, 0), task.layout, task.objective)
    parameters, model = map(task.backend.tree_to_device, trees)
    return State(0, parameters, model, init_adam(parameters))


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
    metrics.flush(path.with_name(METRICS))
    checkpoints.save(path, Checkpoint(state.step, host, task.config, state.best, meta))


def restore(task: Task, path: Path, checkpoint: Checkpoint) -> State:
    """The state in a checkpoint, on the device.

    Raises:
        RunError: its arrays are not those of the task's configuration, or it was trained on other images.
    """
    images = checkpoint.meta.get("images")
    if images != task.fingerprint:
        raise RunError(f"{path}: expected the images it was trained on ({images}), found {task.fingerprint}")
    fresh = initial_state(task)
    moments = {name: fresh.adam[name] for name in ("m", "v")}
    expected = task.backend.tree_to_host({"parameters": fresh.parameters, "state": fresh.model, "adam": moments})
    model = task.method.model_state(expected["state"]["encoder"], task.layout, task.objective, checkpoint.step)
    checkpoints.check_same_shapes(path, checkpoint.trees, {**expected, "state": model})
    # What has no arrays, as MINE's averages before the first step, is in no file.
    trees = task.backend.tree_to_device({**checkpoint.trees, "state": {**model, **checkpoint.trees["state"]}})
    adam = {"step": checkpoint.step, **trees["adam"]}
    return State(checkpoint.step, trees["parameters"], trees["state"], adam, checkpoint.best)
