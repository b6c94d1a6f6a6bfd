"""The report of an audit on ranks, as text of at most 100 columns and as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dimref.audit.distributed.quantities import Counts, Quantity
from dimref.audit.report import row
from dimref.audit.verdict import CONFORMS, CONVENTION, FAILED, Judgement


@dataclass(frozen=True)
class Measured:
    """A target's numbers beside one process's, over cases of as many rows on each rank.

    Attributes:
        loss, norm, cosine: ratio of the losses, ratio of the gradients' norms, cosine between these.
        losses: each rank's loss in the first case; `due`: that of one process.
        problem: why there is no answer; the rest is then NaN.
    """

    counts: Counts
    loss: float = math.nan
    norm: float = math.nan
    cosine: float = math.nan
    losses: tuple[float, ...] = ()
    due: float = math.nan
    problem: str = ""


@dataclass(frozen=True)
class Report:
    """What became of an audit on ranks."""

    name: str
    quantity: Quantity
    target: str
    framework: str
    reduction: str
    judgement: Judgement
    even: Measured
    uneven: Measured | None = None
    notes: tuple[str, ...] = ()

    def passes(self, strict: bool = False) -> bool:
        """Whether it conforms, or (unless strict) is another valid convention."""
        return self.judgement.verdict == CONFORMS or (self.judgement.verdict == CONVENTION and not strict)

    def __str__(self) -> str:
        return text(self)


def text(report: Report) -> str:
    """What is printed."""
    judgement = report.judgement
    head = f"{judgement.verdict.upper()} {judgement.within}".strip()
    lines = [f"{head}  distributed {report.name}  {report.target}", *row("", judgement.diagnosis)]
    for title, words in (("consequence", judgement.consequence), ("fix", judgement.fix), ("source", judgement.source)):
        lines += row(title, words) if words else []
    if judgement.verdict != FAILED:
        of = "gloo processes" if report.framework == "torch" else "threads in lock step"
        applied = {"mean": "averaged, as DistributedDataParallel does", "sum": "summed"}[report.reduction]
        lines += ["", *row("called as", report.quantity.meaning)]
        lines += row("ranks", f"{len(report.even.counts)} {of} in {report.framework}; gradients are {applied}")
        lines += _measured("equal shares", report.even, report.reduction)
    if report.uneven is not None:
        lines += _measured("last batch", report.uneven, report.reduction)
    for note in report.notes:
        lines += row("note", note)
    return "\n".join(lines)


def _measured(title: str, found: Measured, reduction: str) -> list[str]:
    rows = ", ".join(map(str, found.counts))
    if found.problem:
        return row(title, f"of {rows} rows: {found.problem}")
    losses = f"{', '.join(f'{loss:.5g}' for loss in found.losses)} where {found.due:.5g} is due"
    return [
        *row(title, f"of {rows} rows, beside one process on all {sum(found.counts)}"),
        *row("", f"loss      {found.loss:.4g} of what is due ({reduction} over ranks); one case: {losses}"),
        *row("", f"gradient  norm {found.norm:.4g} of what is due, cosine {found.cosine:.4g}"),
    ]  # fmt: skip


def as_json(report: Report) -> dict[str, Any]:
    """What a program wants to know; what is no number is None."""
    judgement = report.judgement
    return {
        "verdict": judgement.verdict,
        "within": judgement.within,
        "kind": "distributed",
        "name": report.name,
        "target": report.target,
        "framework": report.framework,
        "key": judgement.key,
        "diagnosis": judgement.diagnosis,
        "consequence": judgement.consequence,
        "mend": judgement.fix,
        "source": judgement.source,
        "reduction": report.reduction,
        "even": _as_json(report.even),
        "uneven": None if report.uneven is None else _as_json(report.uneven),
        "notes": list(report.notes),
    }


def _as_json(found: Measured) -> dict[str, Any]:
    numbers = {"loss": found.loss, "norm": found.norm, "cosine": found.cosine, "due": found.due}
    return {
        "rows": list(found.counts),
        **{name: number if math.isfinite(number) else None for name, number in numbers.items()},
        "losses": list(found.losses),
        "problem": found.problem,
    }
