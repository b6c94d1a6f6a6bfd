"""Estimates as lines of text."""

from __future__ import annotations

import math

import numpy as np

from dimref.estimation.estimator import Estimate, MutualInformation
from dimref.estimation.ksg import NEIGHBOURS


def opening(x: np.ndarray, y: np.ndarray, fit: MutualInformation) -> list[str]:
    """The samples, and how they are split."""
    n, folds = len(x), fit.folds
    outside = n - n // folds
    stopping = max(2, round(fit.validation * outside))
    constant = [
        f"note          {name}: {k} of {part.shape[1]} columns constant, which say nothing"
        for name, part in (("x", x), ("y", y))
        if (k := int((part.min(axis=0) == part.max(axis=0)).sum()))
    ]
    critics = f"{fit.critic} critics, {fit.restarts} in each fold" if fit.restarts > 1 else f"{fit.critic} critic"
    return [
        f"samples       {n:,} of x in {_dimensions(x)} and y in {_dimensions(y)}; transform: {fit.transform}",
        f"held out      each once, in {folds} folds of {n // folds:,}; {outside - stopping:,} to train on, "
        f"{stopping:,} to stop by; {critics}",
        *constant,
    ]


def closing(fits: list[MutualInformation], neighbours: float | str, seconds: float) -> list[str]:
    """The table: a row for each estimate, and below it the notes."""
    lines = ["", f"{'':<18}{'nats':>8}   {'95 % interval':<20}{'at most':>8}"]
    notes = [f"note          {note}" for note in fits[0].notes_]
    for fit in fits:
        for estimate in fit.estimates_.values():
            name = label(fit.bound, estimate.reading)
            lines.append(_row(name, estimate))
            notes += [f"note          {name}: {note}" for note in estimate.notes]
    if isinstance(neighbours, float):
        lines.append(f"{'KSG':<18}{_nats(neighbours):>8}   {f'{NEIGHBOURS} neighbours':<20}{'none':>8}   no bound")
    else:
        notes.append(f"note          {neighbours}")
    return [
        *lines,
        "",
        *notes,
        "The interval covers what these critics have in expectation; I lies above that by what they miss.",
        f"time          {seconds:.1f} s",
    ]


def label(bound: str, reading: str) -> str:
    """The name of an estimate, with the bound its critics were trained with where that is not clear."""
    return reading if reading == bound else f"{bound}, {reading}" if reading == "plug-in" else reading


def _row(name: str, estimate: Estimate) -> str:
    interval = f"{_nats(estimate.interval[0])} … {_nats(estimate.interval[1])}"
    top = f"{estimate.ceiling:.3f}" if math.isfinite(estimate.ceiling) else "none"
    kind = {"jsd": "bound on 2·JS", "smile": "no bound"}.get(estimate.reading, "lower bound on I")
    return f"{name:<18}{_nats(estimate.nats):>8}   {interval:<20}{top:>8}   {kind}"


def _nats(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"


def _dimensions(samples: np.ndarray) -> str:
    d = samples.shape[1]
    return f"{d} dimension" + ("s" if d > 1 else "")
