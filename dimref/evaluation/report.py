"""What evaluations result in, as data: what closes a run, and the content of evaluation.json."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dimref import __version__, engine
from dimref.evaluation.evaluate import Cell, Requested, Watch, evaluate
from dimref.evaluation.labelled import Labelled, labelled_images
from dimref.evaluation.ssim import scales
from dimref.export.inference import Encoder, untrained
from dimref.training import loop, machine
from dimref.training.method import AnyObjective
from dimref.training.state import State
from dimref.training.task import Task

PROBED = 2_500  # training images of the probe that closes a run: a quarter of an evaluation's, in half of its steps
IN_NATS = ("mine", "ndm")


# ---- what closes a run


@dataclass(frozen=True)
class Bound:
    """A bound on the held-out images, in nats."""

    term: str
    nats: float
    ceiling: float  # inf where there is none
    certified: float | None  # a bound on I, where `nats` is none
    beyond_sample: bool  # without a ceiling, above log of the images: no sample of so many certifies it


@dataclass(frozen=True)
class HeldOut:
    """Every bound and every other term on the held-out images."""

    images: int
    bounds: tuple[Bound, ...]
    terms: dict[str, float]  # nats, by name: those of the bounds, and "prior", "loss", "penalty"


@dataclass(frozen=True)
class Probed:
    """A linear probe of the trained encoder, beside its baselines."""

    images: Labelled
    requested: Requested
    cells: tuple[Cell, ...]

    def percent(self, encoder: str, feature: str) -> float:
        """One accuracy of the table."""
        return next(100 * cell.mean for cell in self.cells if (cell.encoder, cell.feature) == (encoder, feature))


def ceilings(objective: AnyObjective, n: int, locations: int) -> dict[str, float]:
    """The ceiling in nats of each bound that is maximized, on batches of n images."""
    return {term: objective.for_batch(n).ceiling(term, n, locations) for term in objective.weights}


def held_out(task: Task, state: State) -> HeldOut:
    """A run's bounds with their ceilings."""
    terms, n = loop.held_out_terms(task, state), task.held_out_batch
    images = len(task.held_out) // n * n  # what fills no batch is not evaluated
    bounds = [
        Bound(
            term, terms[term], ceiling, terms.get(f"{term}_certified"),
            beyond_sample=math.isinf(ceiling) and terms[term] > math.log(images),
        )
        for term, ceiling in ceilings(task.objective, n, task.locations).items()
    ]  # fmt: skip
    return HeldOut(images, tuple(bounds), terms)


def encoder_of(task: Task, state: State) -> Encoder:
    """A run's encoder in inference mode."""
    return Encoder(task.layout, task.backend, state.parameters["encoder"], state.model["encoder"])


def probed(task: Task, state: State, progress: Callable[[int], AbstractContextManager[Watch]]) -> Probed | str:
    """A run's encoder as a linear probe sees it; or why there is none.

    Args:
        progress: opens what watches so many values.
    Raises:
        DataError: the labelled images cannot be read.
    """
    images = labelled_images(task.config, most=PROBED)
    if images.unfit:
        return images.unfit
    trained = encoder_of(task, state)
    encoders = {"trained": trained, "untrained": untrained(task.config, task.layout, task.backend, images.train[0])}
    requested = Requested(("linear",), (), (task.config.seed,), trained.kinds)
    # A probe's products are small: two BLAS threads wait for each other, three times the CPU seconds.
    with progress(requested.count(len(encoders))) as watch, engine.sharing():
        return Probed(images, requested, tuple(evaluate(encoders, images, requested, watch)))


# ---- evaluation.json


def as_json(
    checkpoint: Path, step: int, images: Labelled, requested: Requested, cells: list[Cell], left_out: dict[str, str],
    encoder: Encoder,
) -> dict[str, Any]:  # fmt: skip
    """The content of evaluation.json."""
    return {
        "version": __version__,
        "checkpoint": str(checkpoint),
        "step": step,
        "seeds": list(requested.seeds),
        "data": {
            "source": images.source,
            "test_images": images.origin,
            "train_count": len(images.train[1]),
            "test_count": len(images.test[1]),
            "chance": None if images.unfit else images.chance,
        },
        "machine": machine.description(encoder.backend.name, encoder.backend.device),
        "results": [_cell_as_json(cell, images, encoder.layout.size) for cell in cells],
        "left_out": left_out,
    }


def _cell_as_json(cell: Cell, images: Labelled, size: int) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if cell.name in (*IN_NATS, "sandwich"):
        known = {"certifiable": math.log(len(images.test[1]))}
    elif cell.name == "ms-ssim":
        known = {"weights": list(scales(size))}
    if cell.interval:
        known["interval"] = list(cell.interval)
    return {
        "kind": cell.kind, "name": cell.name, "encoder": cell.encoder, "feature": cell.feature,
        "mean": cell.mean, "std": cell.std, "values": list(cell.values), **known, "details": list(cell.details),
    }  # fmt: skip
