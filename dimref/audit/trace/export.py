"""Run one training step piece by piece, and write every array of it.

The pieces are evaluated under the same tape as training. Between any two of them stands an identity whose VJP notes the
gradient that passes. The result is then held against `task.loss`, which training runs: loss and gradients must be
equal to rounding (training scores joint and product pairs in one product, and sums over rows in blocks).
The parameters' gradients, written and passed to Adam, come from training's own loss.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from autograd.extend import defvjp

from dimref import encoders
from dimref.audit.trace import manifest
from dimref.audit.trace.layouts import recipe
from dimref.audit.trace.pieces import Piece, evaluate
from dimref.audit.trace.step import forward
from dimref.errors import DimrefError
from dimref.optim import adam_step
from dimref.tape import primitive, stop_gradient, value_and_gradients
from dimref.training import loop
from dimref.training.config import Config
from dimref.training.files import writing
from dimref.training.nonfinite import Diverged
from dimref.training.state import State, initial_state
from dimref.training.task import STEP, Task, batch_at, noise_at
from dimref.trees import Array, Tree, leaves, map_tree


@dataclass(frozen=True)
class Trace:
    """One step: arrays by name, in step order and on the host, and their entries of the manifest."""

    arrays: dict[str, np.ndarray]
    manifest: dict[str, Any]


def trace(task: Task, dtype: str = "float32", after: int = 0) -> Trace:
    """Run `after` training steps, then one more piece by piece.

    Args:
        dtype: "float32", as training computes, or "float64": the same initial numbers, computed with more digits.
    Raises:
        Diverged: a gradient or a term of the loss is not finite. DimrefError: the step has pieces that have no trace.
    """
    if task.config.dot_critic is not None or task.config.beta1 != Config.beta1:
        raise DimrefError(
            f"audit trace: expected a configuration without --dot-critic and with --beta1 {Config.beta1}, found "
            f"{task.config.dot_critic or 'none'} and {task.config.beta1:g}; use another preset or configuration"
        )
    state = initial_state(task)
    for _ in range(after):
        state, _ = loop.train_step(task, state)
    images = batch_at(task, state.step)
    objective = task.objective.for_batch(len(images))
    cast = _caster(dtype)
    before = State(state.step, *(map_tree(cast, tree) for tree in (state.parameters, state.model, state.adam)))
    batch = cast(task.backend.to_device(encoders.scale(images, task.layout)))
    noise = map_tree(cast, noise_at(task, STEP, state.step, len(images)))
    arrays: dict[str, Array] = {"batch/images": images, "batch/scaled": batch}
    arrays |= dict(leaves({"noise": noise, "parameters": before.parameters, "state": before.model}))
    if state.step:  # before the first step they are 0
        arrays |= dict(leaves({"adam": {"m": before.adam["m"], "v": before.adam["v"]}}))
    steps = forward(objective, task.layout)
    with np.errstate(all="ignore"):  # every number is looked at below
        found, gradients = _run(steps, before.parameters, arrays)
        official = value_and_gradients(task.loss, before.parameters, before.model, batch, noise)
    arrays |= found
    _hold_against(task, found["loss"], gradients, official)
    gradients |= {f"parameters/{path}": g for path, g in leaves(official[1]) if g is not None}
    arrays |= {f"gradient/{name}": gradients[name] for name in gradient_order(steps) if name in gradients}
    parameters, adam = adam_step(
        map_tree(_copy, before.parameters), official[1], map_tree(_copy, before.adam), task.config.lr
    )
    moments = {"m": adam["m"], "v": adam["v"]}
    arrays |= dict(leaves({"after": {"state": official[2]["state"], "parameters": parameters, "adam": moments}}))
    host = {name: task.backend.to_host(stop_gradient(array)) for name, array in arrays.items()}
    return Trace(host, manifest.describe(task, objective, host, dtype, state.step))


def _caster(dtype: str) -> Any:
    def cast(array: Any) -> Any:
        return array.astype(dtype) if getattr(array, "dtype", np.dtype(int)).kind == "f" else array

    return cast


def _copy(array: Any) -> Any:
    return array.copy() if hasattr(array, "copy") else array


# ---- the tape


@primitive
def _noted(x: Array, name: str, note: dict[str, Array]) -> Array:
    """The array itself; in the backward pass, its gradient is recorded by name."""
    return x


def _note(g: Array, name: str, note: dict[str, Array]) -> Array:
    note[name] = g
    return g


defvjp(_noted, lambda ans, x, name, note: lambda g: _note(g, name, note))


def _run(steps: list[Piece], parameters: Tree, inputs: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Every piece's value, and the gradient of each that the loss depends on, by name."""
    gradients: dict[str, Array] = {}

    def step(tree: Tree) -> tuple[Array, dict[str, Array]]:
        values = {**inputs, **{f"parameters/{path}": leaf for path, leaf in leaves(tree)}}
        for piece in steps:
            values[piece.name] = _noted(evaluate(piece, values), piece.name, gradients)
        return values["loss"], {piece.name: values[piece.name] for piece in steps}

    _, of_parameters, values = value_and_gradients(step, parameters)
    return values, {**gradients, **{f"parameters/{path}": g for path, g in leaves(of_parameters) if g is not None}}


def _hold_against(task: Task, loss: Array, gradients: dict[str, Array], official: tuple[Array, Tree, Any]) -> None:
    host = task.backend.to_host
    value = float(host(official[0]))
    if not np.isfinite(value) or any(not np.isfinite(host(g)).all() for _, g in leaves(official[1]) if g is not None):
        raise Diverged("trace: expected a finite loss and finite gradients, found some that are not")
    if abs(float(host(loss)) - value) > 64 * np.finfo(host(loss).dtype).eps * max(1.0, abs(value)):
        raise RuntimeError(f"the step spelled out gives the loss {float(host(loss))!r}, training's own {value!r}")
    expected_of = {path: host(g) for path, g in leaves(official[1]) if g is not None}
    largest = max(np.abs(g).max() for g in expected_of.values())
    for path, expected in expected_of.items():
        found = host(gradients[f"parameters/{path}"])
        error, scale = np.abs(found - expected).max(), np.abs(expected).max()
        # Training sums over rows in blocks, the pieces in one go; no other difference is allowed. What is
        # left of a gradient that is 0 but for rounding, as DV's in the last bias, is measured by the largest.
        if error > np.finfo(expected.dtype).eps * (512 * scale + 1024 * largest):
            raise RuntimeError(f"the step spelled out gives another gradient of {path}: by {error} of {scale}")


def gradient_order(steps: list[Piece]) -> Iterator[str]:
    """Names in the order in which the sweep back completes their gradients; a parameter's after its first user's."""
    first: dict[str, str] = {}
    for piece in steps:
        for name in piece.inputs:
            if name.startswith("parameters/"):
                first.setdefault(name, piece.name)
    for piece in reversed(steps):
        yield piece.name
        yield from (name for name in piece.inputs if first.get(name) == piece.name)


# ---- the file


def in_pytorch(found: Trace) -> dict[str, np.ndarray]:
    """What the other side starts from, in PyTorch's layout, by name below torch/: batch, weights and running statistics."""
    side = found.manifest["sizes"]["last_side"]
    arrays = {}
    for entry in found.manifest["arrays"]:
        name = entry["name"]
        if name.startswith(("batch/", "parameters/")):
            array = found.arrays[name]
            how = recipe(entry["layout"], array.shape, side)
            arrays[f"torch/{name}"] = array if how is None else np.ascontiguousarray(how.apply(array))
    return arrays


def write(path: Path, found: Trace) -> int:
    """Write the trace as an uncompressed .npz, whole or not at all; returns its bytes.

    Raises:
        RunError: the file cannot be written.
    """
    text = np.frombuffer(json.dumps(found.manifest, ensure_ascii=False, indent=1).encode(), np.uint8)
    with writing(path) as file:
        np.savez(file, **{"manifest": text, **found.arrays, **in_pytorch(found)})  # type: ignore[arg-type]
    return path.stat().st_size
