"""A comparison as text for people and as JSON."""

from __future__ import annotations

import math
import textwrap
from typing import Any

from dimref.audit.trace.compare import UNKNOWN, Comparison, Departure
from dimref.errors import printable

WIDTH = 110


def text(result: Comparison, everything: bool = False) -> str:
    """What is printed: first the departures in step order, then what follows from them, then what is not there.

    Args:
        everything: list all names, not only the first few.
    """
    lines = []
    unrelated = [d.name for d in result.departures[1:] if d.finding is UNKNOWN]
    for k, departure in enumerate(result.departures):
        if departure.name not in unrelated[1:]:
            lines += _departure("also departs" if k else "DEPARTS", departure, everything)
    if unrelated[1:]:
        lines += _paragraph("", f"no simple relation at {len(unrelated) - 1} more: {_some(unrelated[1:], everything)}")
    for title, names in (("conforms", result.conforming), ("missing", result.missing), ("unknown", result.unknown)):
        if names:
            lines += _paragraph(title, f"{len(names)}: {_some(names, everything)}")
    for remark in result.remarks:
        lines += _paragraph("note", remark)
    lines += _paragraph("verdict", verdict(result))
    return "\n".join(lines)


def verdict(result: Comparison) -> str:
    """One sentence."""
    if not result.departures:
        return f"{result.source} conforms in all {len(result.conforming)} arrays that it has"
    first, *others = result.departures
    sentence = f"departs first at {first.name}: {first.finding.text}"
    if others:
        return f"{sentence}; {len(others)} more departure{'s' * (len(others) > 1)} not explained by it"
    return f"{sentence}; nothing else departs that does not follow from it"


def _departure(title: str, departure: Departure, everything: bool) -> list[str]:
    shape = " × ".join(map(str, departure.shape)) or "scalar"
    lines = _paragraph(title, f"{departure.name} ({shape}): {departure.finding.text}")
    worst = departure.worst
    if worst:
        at = f"[{', '.join(map(str, worst['at']))}]" if worst["at"] else ""
        relative = f"{worst['relative']:.2g} of the scale" if math.isfinite(worst["relative"]) else "where all is 0"
        lines += _paragraph("", f"worst {at} expected {worst['expected']:.7g}, found {worst['found']:.7g}: {relative}")
    if departure.also:
        lines += _paragraph("", f"the same at {len(departure.also)} more: {_some(departure.also, everything)}")
    if departure.explains:
        names = _some(departure.explains, everything)
        lines += _paragraph("", f"explains {len(departure.explains)} later arrays: {names}")
    return lines


def _some(names: list[str], everything: bool) -> str:
    shown = names if everything or len(names) <= 6 else [*names[:3], "…", *names[-2:]]
    return ", ".join(map(printable, shown))


def _paragraph(title: str, content: str) -> list[str]:
    return textwrap.wrap(
        content, WIDTH, initial_indent=f"{title:<13}", subsequent_indent=" " * 13, break_on_hyphens=False
    )


def as_json(result: Comparison) -> dict[str, Any]:
    """The same for programs; numbers that JSON has no name for are null."""
    departures = [
        {
            "name": d.name,
            "diagnosis": d.finding.id,
            "text": d.finding.text,
            "shape": list(d.shape),
            "worst": {key: _finite(value) for key, value in d.worst.items()},
            "also": d.also,
            "explains": d.explains,
        }
        for d in result.departures
    ]
    return {
        "verdict": result.verdict,
        "diagnosis": departures[0]["diagnosis"] if departures else None,
        "first": departures[0]["name"] if departures else None,
        "departures": departures,
        "conforming": result.conforming,
        "missing": result.missing,
        "unknown": result.unknown,
        "remarks": result.remarks,
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
