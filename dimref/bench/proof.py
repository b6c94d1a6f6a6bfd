"""Proof that the twin's step is dimref's step, before anything is timed.

Three statements, each about one step from the same weights, batch and draws:

- in float64 loss, every gradient and the new running statistics agree to rounding: the mathematics is the same, every
  weight has arrived in its place;
- in float32, which is what is timed, loss and gradients agree as far as float32 goes: a rounding error next to a ReLU's
  kink switches a unit on or off, which moves a gradient by far more than one rounding error (seen: by 0.016, where a
  global critic has only 2·N rows);
- Adam changes the weights by the same amounts from the same gradients, in float64.

The distance of two arrays is ‖a − b‖ / max(‖b‖, ‖all of them‖ / 1000): a gradient that is 0 in theory, such as that of a
shift that InfoNCE cancels, is rounding errors alone and is compared with the size of the others.

Imports PyTorch, as `twin` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dimref import optim
from dimref.backend import Backend
from dimref.bench.reference import LR, Reference
from dimref.bench.twin import Twin, named_arrays
from dimref.bench.work import Work
from dimref.errors import DimrefError
from dimref.export import torch_layout
from dimref.trees import map_tree

FLOAT64, FLOAT32, TF32 = 1e-9, 5e-2, 1e-1  # admitted distances; TF32 has 10 bits where float32 has 23
ADAM = 1e-6  # admitted difference of two weights after updates by the same gradients, in learning rates

Named = dict[str, np.ndarray]


class Disagreement(DimrefError):
    """The two sides do not compute the same: there is nothing to time."""

    exit_code = 1


@dataclass(frozen=True)
class Agreement:
    """The largest distances, and where."""

    float64: float
    float64_at: str
    float32: float
    float32_at: str
    adam: float | None = None  # in learning rates; None for encoding


def prove(work: Work, backend: Backend, twin: Twin) -> Agreement:
    """Compare a step of dimref's with one of a twin that has not stepped yet.

    Raises:
        Disagreement: a distance is larger than admitted.
    """
    wide = as_float64(work)
    exact, exact_at = _farthest(_both(wide, backend, twin.like(wide)), "in float64", FLOAT64)
    in_float32, at_float32 = _farthest(_both(work, backend, twin), "in float32", TF32 if twin.tf32 else FLOAT32)
    adam = _adam(wide, backend, twin.like(wide)) if work.trains else None
    return Agreement(exact, exact_at, in_float32, at_float32, adam)


def as_float64(work: Work) -> Work:
    """The same work with every float32 array in float64."""

    def widen(array: np.ndarray) -> np.ndarray:
        return array.astype(np.float64) if array.dtype == np.float32 else array

    trees = {name: map_tree(widen, getattr(work, name)) for name in ("parameters", "state", "images", "noise")}
    return replace(work, **trees)


def _both(work: Work, backend: Backend, twin: Twin) -> tuple[Named, Named]:
    """What a step computes on dimref's side and on the twin's, by PyTorch's names."""
    reference = Reference(work, backend)
    if not work.trains:
        return _channels_first(reference.encodings()), twin.encodings()
    value, gradients, state = reference.gradients()
    ours = {"the loss": np.array(value), **named_arrays(work.layout, gradients)}
    theirs_value, theirs = twin.gradients()
    theirs["the loss"] = np.array(theirs_value)
    running = {n: a for n, a in named_arrays(work.layout, work.parameters, state).items() if "running_" in n}
    weights = twin.weights()
    return {**ours, **running}, {**theirs, **{name: weights[name] for name in running}}


def _channels_first(encodings: Named) -> Named:
    return {name: torch_layout.channels_first(a) if a.ndim == 4 else a for name, a in encodings.items()}


def _farthest(both: tuple[Named, Named], where: str, admitted: float) -> tuple[float, str]:
    """The largest distance and its array's name."""
    ours, theirs = both
    if ours.keys() != theirs.keys():
        lacking = sorted(ours.keys() ^ theirs.keys())
        raise Disagreement(f"twin {where}: expected the same arrays on both sides, found {lacking[0]} on one only")
    floor = math.sqrt(sum(float((a.astype(np.float64) ** 2).sum()) for a in theirs.values())) / 1000
    distances = {name: _distance(ours[name], theirs[name], floor) for name in theirs}
    worst = max(distances, key=lambda name: distances[name])
    if not distances[worst] <= admitted:
        raise Disagreement(
            f"twin {where}: expected {worst} to agree to {admitted:.0e}, found a distance of {distances[worst]:.1e}; "
            "nothing was timed"
        )
    return distances[worst], worst


def _distance(a: np.ndarray, b: np.ndarray, floor: float) -> float:
    """‖a − b‖ / max(‖b‖, floor); inf where shapes differ or a number is not finite."""
    if a.shape != b.shape:
        return math.inf
    wide = a.astype(np.float64), b.astype(np.float64)
    distance = float(np.linalg.norm(wide[0] - wide[1])) / max(float(np.linalg.norm(wide[1])), floor)
    return distance if math.isfinite(distance) else math.inf


def _adam(work: Work, backend: Backend, twin: Twin) -> float:
    """The largest difference, in learning rates, of a weight after three updates by the same gradients."""
    _, gradients, _ = Reference(work, backend).gradients()
    reference = Reference(work, backend)
    for factor in (1.0, -0.5, 2.0):
        turned = map_tree(lambda g, factor=factor: factor * g, gradients)
        on_device = backend.tree_to_device(turned)
        reference.parameters, reference.adam = optim.adam_step(reference.parameters, on_device, reference.adam, LR)
        twin.update(named_arrays(work.layout, turned))
    ours, theirs = named_arrays(work.layout, backend.tree_to_host(reference.parameters)), twin.weights()
    worst = max(ours, key=lambda name: float(np.abs(ours[name] - theirs[name]).max()))
    distance = float(np.abs(ours[worst] - theirs[worst]).max()) / LR
    if not distance <= ADAM:
        raise Disagreement(
            f"twin: expected Adam to move {worst} alike, to {ADAM:.0e} of the learning rate, found {distance:.2g}; "
            "nothing was timed"
        )
    return distance
