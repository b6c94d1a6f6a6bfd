"""Results of a check as text: rows of a table, a counterexample that can be pasted, and JSON."""

import re
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from dimref.laws.law import Case
    from dimref.laws.search import Result

NAME, SOURCE = 44, 34  # widths of the first two columns: a row is 109 wide
HEADER = f"{'law':<{NAME}}  {'source':<{SOURCE}}  {'tried':>5}  {'tightest':>10}  verdict"
LEGEND = (
    "tightest: ≥ the smallest slack of an inequality (rounding may put it a little below 0), = the largest\n"
    "difference of an identity in % of its tolerance, < by how much a false statement fails"
)
SIGNS = {"inequality": "≥", "identity": "=", "counterexample": "<"}


def row(result: "Result") -> str:
    """One line of the table."""
    law = result.law
    first, *more = law.source.split("; ")
    source = f"{first} …" if more and len(first) + 2 <= SOURCE else first
    return f"{law.name:<{NAME}}  {source:<{SOURCE}}  {result.examples:>5}  {_tightest(result):>10}  {verdict(result)}"


def verdict(result: "Result") -> str:
    """holds, refuted (a false statement, as it should be), or VIOLATED."""
    if not result.obeyed:
        return "VIOLATED"
    return "refuted" if result.law.kind == "counterexample" else "holds"


def _tightest(result: "Result") -> str:
    if result.tightest is None:
        return "error"
    value, tolerance = result.tightest.value, result.tightest.tolerance
    if result.law.kind == "identity" and tolerance and result.obeyed:
        return f"= {abs(value / tolerance):.1%}"
    return f"{SIGNS[result.law.kind]} {value + 0.0:.1e}"


def counterexample(result: "Result") -> str:
    """The broken law and its smallest case, as Python that can be pasted."""
    law = result.law
    if result.tightest is None:
        cause = result.error
    else:
        cause = f"slack {result.tightest.value!r}, tolerance {result.tightest.tolerance!r}"
    stands = " is false, and this case should refute it" if law.kind == "counterexample" else ""
    lines = [
        f"VIOLATED  {law.name}: {law.statement}{stands}",
        *(f"# {comment}" for comment in (law.source, law.why, " ".join(cause.split()))),
        "import numpy as np",
        "from dimref import laws",
        "from dimref.backend import NUMPY",
        f"case = {literal(result.counterexample or {})}",
        f'laws.matching("{law.name}")[0].measure(case, NUMPY)',
    ]
    return "\n".join(lines)


def literal(value: Any, indent: str = "", before: int = 0) -> str:
    """A case, or a part of one, as a Python expression that starts in column `before`."""
    if isinstance(value, dict):
        inner = indent + "    "
        lines = [f"{inner}{key!r}: {literal(part, inner, len(f'{inner}{key!r}: '))},\n" for key, part in value.items()]
        return "{\n" + "".join(lines) + indent + "}"
    if isinstance(value, np.ndarray):
        prefix = " " * before + "np.array("
        text = np.array2string(
            value, max_line_width=100, separator=", ", threshold=sys.maxsize, floatmode="unique", prefix=prefix
        )
        text = re.sub(r"\b(nan|inf)\b", r"np.\1", text)
        return f"np.array({text}, dtype=np.{value.dtype.name})"
    return repr(value.item() if isinstance(value, np.generic) else value)


def as_json(result: "Result") -> dict[str, Any]:
    """The result for a program. Numbers that JSON lacks are None; a counterexample is its Python expression."""
    law, slack = result.law, result.tightest
    case: Case | None = result.counterexample
    return {
        "name": law.name,
        "kind": law.kind,
        "statement": law.statement,
        "source": law.source,
        "examples": result.examples,
        "slack": None if slack is None or not np.isfinite(slack.value) else slack.value,
        "tolerance": None if slack is None else slack.tolerance,
        "verdict": verdict(result),
        "error": result.error,
        "counterexample": None if case is None else literal(case),
    }
