"""A trace's description of itself: format, configuration, and name, shape, dtype, meaning and layout of every array."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from dimref import __version__, amdim
from dimref.amdim import encoder as amdim_encoder
from dimref.audit.trace.layouts import LAYOUTS, parameter_layout, recipe
from dimref.audit.trace.pieces import Piece
from dimref.audit.trace.step import forward, state_after
from dimref.errors import DimrefError, named
from dimref.training import config as configs
from dimref.training import machine
from dimref.training.config import Config
from dimref.training.method import METHODS, AnyLayout, AnyObjective
from dimref.training.task import Task

FORMAT = 2
MOST = 1 << 20  # of any size in a manifest

_INPUTS = {
    "batch/images": ("the batch as it was read, uint8", "images"),
    "batch/scaled": ("images/127.5 − 1, padded with −1 to a whole number of halvings: what the encoder sees", "images"),
    "noise/index": (
        "negatives: at location l, x_i meets y[index[i, l]] (one axis: the same at every location)",
        "plain",
    ),
    "noise/candidates": ("negatives: y_j meets x_candidates[k, j] for each k, (K−1, N)", "plain"),
    "noise/z": ("draws of the prior, (B, D)", "plain"),
    "noise/rows": ("where in the image each row of the view is read, (B, H)", "plain"),
    "noise/columns": ("where in the image each column of the view is read, (B, W)", "plain"),
    "noise/brightness": ("factor of brightness, (B,)", "plain"),
    "noise/contrast": ("factor of contrast, (B,)", "plain"),
    "noise/saturation": ("factor of saturation, (B,)", "plain"),
    "noise/hue": ("turn of the colour circle as a share of 1, (B,)", "plain"),
    "noise/grey": ("whether the view is grey, (B,)", "plain"),
    "noise/anchors/first": (
        "5-5: row of the (N·25, E) features f5 of the first view that is image j's anchor",
        "plain",
    ),
    "noise/anchors/second": (
        "5-5: row of the (N·25, E) features f5 of the second view that is image j's anchor",
        "plain",
    ),
}
_TORCH_NAMES = {"w": "weight", "b": "bias", "gain": "weight", "shift": "bias", "mean": "running_mean"}


WHAT = {"dim": "Deep InfoMax", "amdim": "Augmented Multiscale Deep InfoMax"}
DEEPEST = 100  # residual layers in a block


def describe(
    task: Task, objective: AnyObjective, arrays: dict[str, np.ndarray], dtype: str, step: int
) -> dict[str, Any]:
    """The manifest of a step's arrays."""
    layout = task.layout
    steps = {piece.name: piece for piece in [*forward(objective, layout), *state_after(objective, layout)]}
    sizes = _sizes(layout, len(arrays["batch/images"]))
    return {
        "what": f"one training step of {WHAT[task.config.method]}",
        "format": FORMAT,
        "dimref": __version__,
        "dtype": dtype,
        "seed": task.config.seed,
        "steps_before": step,
        "config": dataclasses.asdict(task.config),
        "objective": _plain(objective),
        "encoder": dataclasses.asdict(layout),
        "sizes": sizes,
        "data": task.source,
        "machine": machine.description(task.backend.name, task.backend.device),
        "layouts": LAYOUTS,
        "arrays": [
            _entry(k, name, array, steps, layout, sizes["last_side"]) for k, (name, array) in enumerate(arrays.items())
        ],
    }


def _sizes(layout: AnyLayout, n: int) -> dict[str, int]:
    if isinstance(layout, amdim_encoder.Layout):
        five, seven = amdim.LOCATIONS["5"], amdim.LOCATIONS["7"]
        return {"B": n, "N": n, "L5": five, "L7": seven, "F": layout.map_channels, "E": layout.nrkhs, "last_side": 1}
    m, features = layout.local
    return {
        "B": n, "N": n, "L": m**2, "M": m, "F": features, "D": layout.representation, "last_side": layout.last[0],
    }  # fmt: skip


def _entry(
    order: int, name: str, array: np.ndarray, steps: dict[str, Piece], encoder: AnyLayout, side: int
) -> dict[str, Any]:
    meaning, layout, made_from = meaning_of(name, steps, encoder)
    entry = {
        "order": order,
        "name": name,
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "meaning": meaning,
        "layout": layout,
        "from": list(made_from),
    }
    how = recipe(layout, array.shape, side)
    if how is not None:
        entry["torch"] = {"reshape": list(how.split), "axes": list(how.axes), "shape": list(how.shape)}
    return entry


def meaning_of(name: str, steps: dict[str, Piece], encoder: AnyLayout) -> tuple[str, str, tuple[str, ...]]:
    """What an array is, how it lies, and the names that it is computed from."""
    if name in steps:
        return steps[name].meaning, steps[name].layout, steps[name].inputs
    if name.startswith("gradient/"):
        of = name.removeprefix("gradient/")
        _, layout, _ = meaning_of(of, steps, encoder)
        return f"∂ loss / ∂ {of}", layout, tuple(f"gradient/{p.name}" for p in steps.values() if of in p.inputs)
    section, _, rest = name.partition("/")
    if section in ("adam", "after"):
        path = rest.removeprefix("parameters/").removeprefix("adam/").removeprefix("m/").removeprefix("v/")
        inputs = (f"parameters/{path}", f"gradient/parameters/{path}") if section == "after" else ()
        when = "after the step" if section == "after" else "before the step"
        what = {"p": "parameters", "m": "Adam's first moment", "v": "Adam's second moment"}[_which(rest)]
        return f"{what} {when}", _parameter_layout(path, steps, encoder), inputs
    if section == "parameters":
        torch_name = _TORCH_NAMES[rest.rpartition("/")[2]]
        return f"before the step; PyTorch's {torch_name} of the layer", _parameter_layout(rest, steps, encoder), ()
    if section == "state":
        return (
            "before the step: " + ("log of MINE's moving average" if "mine" in rest else "running statistics"),
            "plain",
            (),
        )
    meaning, layout = _INPUTS.get(name) or _INPUTS[f"{section}/{rest.rpartition('/')[2]}"]
    return meaning, layout, ()


def _parameter_layout(path: str, steps: dict[str, Piece], encoder: AnyLayout) -> str:
    whole = path == "global/feature/w" and steps["global/features"].layout == "flat local map"
    return parameter_layout(path, encoder) + " local map" * whole


def _which(rest: str) -> str:
    if rest.startswith("parameters/"):
        return "p"
    return rest.removeprefix("adam/")[0]


def read(content: np.ndarray, source: str) -> dict[str, Any]:
    """The manifest in a trace, checked as far as the comparison relies on it.

    Raises:
        DimrefError: it is no manifest, or of another format.
    """
    try:
        found = json.loads(content.tobytes().decode())
        version = found["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DimrefError(f"{source}: expected a trace's manifest, found {named(error)}") from None
    if version != FORMAT:
        raise DimrefError(f"{source}: expected trace format {FORMAT}, found {version!r}")
    return found


def step_of(found: dict[str, Any], source: str) -> tuple[Config, AnyObjective, AnyLayout]:
    """Configuration, objective and encoder of a manifest; of its other numbers, that they are what follows from these.

    Raises:
        DimrefError: they are not those of a step that dimref can take.
    """
    try:
        config = Config(**configs.checked_types(found["config"], source))
        n, step, encoder = found["sizes"]["N"], found["steps_before"], found["encoder"]
        for name, value in {**encoder, "N": n}.items():
            if type(value) is not int or not 0 < value <= MOST:
                raise ValueError(f"{name} of {str(value)[:40]}")
        if encoder.get("ndepth", 1) > DEEPEST:
            raise ValueError(f"blocks of {encoder['ndepth']} layers")
        if type(step) is not int or not 0 <= step < 1 << 63 or found["dtype"] not in ("float32", "float64"):
            raise ValueError("no step or no dtype")
        objective, layout = config.objective().for_batch(n), METHODS[config.method].layout(**encoder)
        for part, expected in (("objective", _plain(objective)), ("sizes", _sizes(layout, n))):
            for name, value in expected.items():
                if found[part][name] != value:
                    raise ValueError(f"{name} {str(found[part][name])[:40]!r} in place of {value!r}")
        return config, objective, layout
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DimrefError(f"{source}: expected a manifest of a step of dimref, found {error}") from None


def _plain(objective: AnyObjective) -> dict[str, Any]:
    """Its options as JSON gives them back."""
    found: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(objective)))
    return found
