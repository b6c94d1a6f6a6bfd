"""Proof that the twin's step is dimref's step, before anything is timed.

Three statements, each about one step from the same weights, batch and draws:

- in float64 loss, every gradient and the new running statistics agree to rounding: the mathematics is the same, every
  weight has arrived in its place;
- in float32, which is what is timed, loss and gradients agree as far as float32 goes: a rounding error next to a ReLU's
  kink switches a unit on or off, which moves a gradient by far more than one rounding error (seen: by 0.016, where a
  global critic has only 2·N rows);
- Adam changes the weights by the same amounts from the same gradients, in float64.

The floor of distances (`work.distance`) is a thousandth of all arrays together. Imports PyTorch, as `twin` does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dimref import optim
from dimref.backend import Backend
from dimref.bench.oracle.twin import Named, Twin, named_arrays
from dimref.bench.reference import LR, Reference
from dimref.bench.work import Work, distance, in_float64, norm_of_all
from dimref.errors import DimrefError
from dimref.export import torch_layout
from dimref.trees import map_tree

FLOAT64, FLOAT32, TF32 = 1e-9, 5e-2, 1e-1  # admitted distances; TF32 has 10 bits where float32 has 23
ADAM = 1e-6  # admitted difference of two weights after updates by the same gradients, in learning rates


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
    exact = _farthest(_both(wide, backend, twin.like(wide)), "in float64", FLOAT64)
    in_float32 = _farthest(_both(work, backend, twin), "in float32", TF32 if twin.tf32 else FLOAT32)
    adam = _adam(wide, backend, twin.like(wide)) if work.trains else None
    return Agreement(*exact, *in_float32, adam)


def as_float64(work: Work) -> Work:
    """The same work with every float32 array in float64."""
    trees = {name: in_float64(getattr(work, name)) for name in ("parameters", "state", "images", "noise")}
    return replace(work, **trees)


def _both(work: Work, backend: Backend, twin: Twin) -> tuple[Named, Named]:
    """What a step computes on dimref's side and on the twin's, by PyTorch's names."""
    reference = Reference(work, backend)
    if not work.trains:
        ours = reference.encodings()
        maps = {name: torch_layout.channels_first(a) for name, a in ours.items() if a.ndim == 4}
        return {**ours, **maps}, twin.encodings()
    value, gradients, state = reference.gradients()
    theirs_value, theirs = twin.gradients()
    running = {n: a for n, a in named_arrays(work.layout, work.parameters, state).items() if "running_" in n}
    weights = twin.weights()
    return (
        {"the loss": np.array(value), **named_arrays(work.layout, gradients), **running},
        {"the loss": np.array(theirs_value), **theirs, **{name: weights[name] for name in running}},
    )


def _farthest(both: tuple[Named, Named], where: str, admitted: float) -> tuple[float, str]:
    """The largest distance and its array's name."""
    ours, theirs = both
    if ours.keys() != theirs.keys():
        lacking = sorted(ours.keys() ^ theirs.keys())
        raise Disagreement(f"twin {where}: expected the same arrays on both sides, found {lacking[0]} on one only")
    floor = norm_of_all(theirs.values()) / 1000
    far, worst = max((distance(ours[name], theirs[name], floor), name) for name in theirs)
    if far > admitted:
        raise Disagreement(
            f"twin {where}: expected {worst} to agree to {admitted:.0e}, found a distance of {far:.1e}; "
            "nothing was timed"
        )
    return far, worst


def _adam(work: Work, backend: Backend, twin: Twin) -> float:
    """The largest difference, in learning rates, of a weight after three updates by the same gradients."""
    reference = Reference(work, backend)
    _, gradients, _ = reference.gradients()
    for factor in (1.0, -0.5, 2.0):
        turned = map_tree(lambda g, factor=factor: factor * g, gradients)
        on_device = backend.tree_to_device(turned)
        reference.parameters, reference.adam = optim.adam_step(reference.parameters, on_device, reference.adam, LR)
        twin.update(named_arrays(work.layout, turned))
    ours, theirs = named_arrays(work.layout, backend.tree_to_host(reference.parameters)), twin.weights()
    moved = {name: float(np.abs(ours[name] - theirs[name]).max()) / LR for name in ours}
    far, worst = max((np.nan_to_num(d, nan=np.inf), name) for name, d in moved.items())
    if far > ADAM:
        raise Disagreement(
            f"twin: expected Adam to move {worst} alike, to {ADAM:.0e} of the learning rate, found {far:.2g}; "
            "nothing was timed"
        )
    return float(far)
