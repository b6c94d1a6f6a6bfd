"""Estimates as lines of text."""

from __future__ import annotations

import math
import textwrap

import numpy as np

from dimref.estimation.critics import CRITICS
from dimref.estimation.dependence import NEIGHBOURS as ALIKE
from dimref.estimation.estimator import ESTIMATES, Estimate, MutualInformation
from dimref.estimation.ksg import NEIGHBOURS
from dimref.theory.information import LOG_2

STEP, PAIR = {"separable": 4e-3, "concat": 2e-2}, {"separable": 5e-8, "concat": 2e-6}  # seconds on one core, about
LONG = 60  # seconds, from which on the cost is announced
CLOSING = "The interval covers what these critics have in expectation; I lies above that by what they miss."


def opening(parts: dict[str, np.ndarray], fits: list[MutualInformation]) -> list[str]:
    """The samples, as `MutualInformation.read` gives them, how they are split, and the cost where it is much."""
    fit, rows = fits[0], len(parts["x"])
    n, folds = min(rows, fit.limit or rows), fit.folds
    outside = n - n // folds
    stopping = max(2, round(fit.validation * outside))
    named = {"z" if name == "given" else name: part for name, part in parts.items()}
    constant = [
        f"note          {name}: {k} of {part.shape[1]} columns constant, which say nothing"
        for name, part in named.items()
        if (k := int((part.min(axis=0) == part.max(axis=0)).sum()))
    ]
    critics = f"{fit.critic} critics, {fit.restarts} in each fold" if fit.restarts > 1 else f"{fit.critic} critic"
    drawn = f", drawn of {rows:,}" if n < rows else ""
    blocks = f" of whole runs of {n // fit.blocks:,} rows" if fit.blocks else ""
    most, last = ", ".join(f"{name} in {_dimensions(part)}" for name, part in named.items()).rsplit(", ", 1)
    return [
        f"samples       {n:,} of {most} and {last}{drawn}; transform: {fit.transform}",
        f"held out      each once, in {folds} folds of {n // folds:,}{blocks}; {outside - stopping:,} to train on, "
        f"{stopping:,} to stop by; {critics}",
        *constant,
        *_cost(n, fits, len(parts) - 1),
    ]


def _cost(n: int, fits: list[MutualInformation], terms: int) -> list[str]:
    """How long it may take, where that is long."""
    fit = fits[0]
    together = min(n // fit.folds, CRITICS[fit.critic].held_out)
    training = STEP[fit.critic] * fit.steps * fit.folds * fit.restarts
    scoring = PAIR[fit.critic] * n * together * sum(len(ESTIMATES[each.bound]) for each in fits) / len(fits)
    runs = len(fits) * (terms + fit.null)
    if fit.null == 0 and n <= 20_000 and runs * (training + scoring) < 5 * LONG:
        return []
    low, high = (runs * (share * training + scoring) / 60 for share in (0.07, 1))
    return [
        f"cost          about {low:.0f} to {high:.0f} minutes on one core: {runs} × {fit.folds} critics, then "
        f"{n * together:.0e} pairs scored; fewer with --limit"
    ]


def closing(fits: list[MutualInformation], neighbours: float, seconds: float) -> list[str]:
    """What to know of the samples, the table with a row for each estimate, and the notes on these."""
    base, unit = fits[0].base, LOG_2 if fits[0].base == "bits" else 1.0
    lines = [""]
    for note in fits[0].notes_:
        lines += _wrapped("warning" if note.startswith(ALIKE) else "note", note)
    table: list[tuple[str, str, str, str, str]] = [("", base, "95 % interval", "at most", "")]
    notes: list[str] = []
    for fit in fits:
        for term, of_term in {**fit.terms_, "": fit.estimates_}.items():
            for estimate in of_term.values():
                name = label(fit.bound, estimate.reading)
                table.append(_row(f"{term}, {name}" if term else name, estimate, unit, bool(term)))
                if not term:
                    notes += [line for note in estimate.notes for line in _wrapped("note", f"{name}: {note}")]
        if fit.p_value_ is not None:
            reached, of = int((fit.null_ >= fit.nats_).sum()), len(fit.null_)
            notes += _wrapped("null", f"{fit.bound}: p = {fit.p_value_:.3g}; {reached} of {of} permutations of y reach "
                              f"{_number(fit.nats_ / unit)}, the largest has {_number(fit.null_.max() / unit)}")  # fmt: skip
    rows = [("KSG", neighbours, f"{NEIGHBOURS} neighbours")] if math.isfinite(neighbours) else []
    if fits[0].table_ is not None:
        rows += zip(("table", "table, corrected"), fits[0].table_, ("shares of counts", "Miller–Madow"), strict=True)
    table += [(name, _number(nats / unit), how, "none", "no bound") for name, nats, how in rows]
    width = max(18, 2 + max(len(name) for name, *_ in table))
    lines += [f"{name:<{width}}{nats:>8}   {how:<20}{top:>8}   {of}".rstrip() for name, nats, how, top, of in table]
    return [*lines, "", *notes, CLOSING, f"time          {seconds:.1f} s"]


def label(bound: str, reading: str) -> str:
    """The name of an estimate, with the bound its critics were trained with where that is not clear."""
    return reading if reading == bound else f"{bound}, {reading}" if reading == "plug-in" else reading


def kind(estimate: Estimate) -> str:
    """What an estimate is of I."""
    if estimate.is_bound and estimate.interval[1] < 0:
        return "certifies nothing"
    return {"jsd": "bound on 2·JS"}.get(estimate.reading, "lower bound on I") if estimate.is_bound else "no bound"


def _row(name: str, estimate: Estimate, unit: float, of_term: bool) -> tuple[str, str, str, str, str]:
    interval = f"{_number(estimate.interval[0] / unit)} … {_number(estimate.interval[1] / unit)}"
    top = _number(estimate.ceiling / unit) if math.isfinite(estimate.ceiling) else "none"
    of = "lower bound on it" if of_term and estimate.is_bound else kind(estimate)
    return name, _number(estimate.nats / unit), interval, top, of


def _number(value: float) -> str:
    return f"{value:z.3f}"


def _wrapped(name: str, text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=f"{name:<14}", subsequent_indent=" " * 14)


def _dimensions(samples: np.ndarray) -> str:
    d = samples.shape[1]
    return f"{d} dimension" + ("s" if d > 1 else "")
