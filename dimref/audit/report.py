"""A report of an audit as text of at most 100 columns, and as JSON."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dimref.audit.answer import Answer, Inputs, Target
from dimref.audit.cases import Limits
from dimref.audit.contract import Contract, Form
from dimref.audit.numerical import Departure
from dimref.audit.verdict import CONFORMS, CONVENTION, Judgement
from dimref.laws.law import Slack
from dimref.laws.report import literal
from dimref.trees import leaves

WIDTH, INDENT = 98, 16
LONG = 24  # numbers; of more, those that differ most are printed
LINES = 5  # of an array that is printed
DIGITS = range(6, 18)


@dataclass(frozen=True)
class LawResult:
    """A law of the theory, tried on the target: the slack that came closest to breaking it.

    Attributes:
        why_not: why it does not apply to this target, "" if it does: another convention need not obey every law.
    """

    key: str
    statement: str
    source: str
    slack: Slack
    inputs: Inputs
    why_not: str = ""

    @property
    def holds(self) -> bool:
        return self.slack.holds


@dataclass(frozen=True)
class Counterexample:
    """The smallest case found on which target and reference differ."""

    inputs: Inputs
    found: Answer
    expected: Answer


@dataclass(frozen=True)
class Report:
    """What became of an audit.

    Attributes:
        value, gradient: the worst relative error against the reference (sign, factor and constant of the match taken
            out) over cases of a few nats; NaN where nothing can be compared.
        dtypes: (input, output) where the output has another dtype.
        range: the first departures at growing magnitude; empty if there are none.
        notes: what else was seen, a line each.
        named: the same against the convention or mistake that is named; None where the reference is.
    """

    contract: Contract
    form: Form
    target: Target
    judgement: Judgement
    cases: int
    value: float = math.nan
    gradient: float = math.nan
    laws: tuple[LawResult, ...] = ()
    dtypes: tuple[tuple[str, str], ...] = ()
    range: tuple[Departure, ...] = ()
    counterexample: Counterexample | None = None
    limits: Limits = field(default_factory=Limits)
    notes: tuple[str, ...] = ()
    named: tuple[float, float] | None = None

    @property
    def verdict(self) -> str:
        return self.judgement.verdict

    @property
    def words(self) -> str:
        """The verdict, with the limits within which it holds."""
        return f"{self.verdict} {self.judgement.within}".strip()

    def passes(self, strict: bool = False) -> bool:
        """Whether it conforms, or (unless strict) is another valid convention."""
        return self.verdict == CONFORMS or (self.verdict == CONVENTION and not strict)

    def __str__(self) -> str:
        return text(self)


def text(report: Report) -> str:
    """What is printed."""
    judgement = report.judgement
    head = (
        f"{report.verdict.upper()} {judgement.within}".strip()
        + f"  {report.contract.kind} {report.contract.name}  {report.target.name}"
    )
    lines = [head, *row("", judgement.diagnosis)]
    for title, words in (
        ("also", "; ".join(judgement.also)),
        ("consequence", judgement.consequence),
        ("fix", judgement.fix),
        ("source", judgement.source),
    ):
        if words:
            lines += row(title, words)
    before, after = edited(report)
    if before:
        lines += [*row("the line", before), *row("with the edit", after)]
    if report.cases:
        lines += ["", *row("called as", f"{report.form.name}: {report.form.meaning}")]
        lines += row("framework", f"{report.target.framework}; {report.cases} cases")
        lines += _measured(report)
    for note in report.notes:
        lines += row("note", note)
    if report.counterexample is not None:
        lines += ["", *pasted(report.counterexample, report)]
    return "\n".join(lines)


def edited(report: Report) -> tuple[str, str]:
    """The line of the reference that the target changes, and what it makes of it; empty where that is not known."""
    candidate = report.judgement.candidate
    lines = candidate.variant.lines if candidate is not None and candidate.variant is not None else None
    return lines() if lines else ("", "")


def _measured(report: Report) -> list[str]:
    lines = []
    if report.form.reference is not None:
        lines += row("value", f"worst relative error {_number(report.value)}, {_against(report)}")
        lines += row("gradient", f"worst relative error {_number(report.gradient)}")
        if report.named is not None:
            value, gradient = map(_number, report.named)
            lines += row("as named", f"worst relative error {value} of the value, {gradient} of the gradient")
        lines += row("dtype", "; ".join(f"{input_type} in, {out} out" for input_type, out in report.dtypes) or "kept")
    if report.form.ranged:
        lines += row("range", _range(report))
    for law in report.laws:
        lines += row("law", _law(law))
    return lines


def _law(law: LawResult) -> str:
    if law.why_not:
        return f"left out, {law.why_not}: {law.statement}"
    return f"{'holds' if law.holds else 'VIOLATED'}: {law.statement} (slack {law.slack.value + 0.0:.1e})"


def _against(report: Report) -> str:
    """What the errors are measured against."""
    candidate = report.judgement.candidate
    if candidate is None or candidate.variant is not None:
        return "against the reference"
    fit = candidate.fit
    factor = "" if fit.factor == 1 else f"{fit.factor:.6g} · "
    scaling = f"{fit.scaling} · " if fit.scaling else ""
    constant = "" if fit.constant == "zero" else " + a constant"
    return f"against {factor}{scaling}the reference{constant}"


def _range(report: Report) -> str:
    if report.judgement.candidate is None:
        return "not tried: what it computes is not known"
    if not report.range:
        return f"up to {report.form.range_to:.0f}{report.form.unit} in float32 and float64 as it should be"
    first: dict[str, Any] = {}
    for departure in sorted(report.range, key=lambda d: d.magnitude):
        first.setdefault(departure.dtype, departure)
    return "; ".join(
        f"{dtype}: {d.found} from {d.magnitude:.4g}{report.form.unit} ({d.pattern})" for dtype, d in first.items()
    )


def pasted(example: Counterexample, report: Report) -> list[str]:
    """Lines of Python that make the case, and in comments what was found and expected."""
    lines = ["# the smallest case found, to be pasted"]
    for name in report.form.signature.arguments:
        lines += _first_lines(f"{name} = {literal(example.inputs[name], before=len(name) + 3)}".splitlines())
    for name, found in example.found.value.items():
        expected = example.expected.value.get(name)
        lines += _compared(name, found, expected)
    theirs, ours = dict(leaves(example.found.gradients)), dict(leaves(example.expected.gradients))
    for name, found in theirs.items():
        lines += _compared(f"gradient in {name}", found, ours.get(name))
    return lines


def _first_lines(lines: list[str]) -> list[str]:
    """A long array's first lines, and where the rest is."""
    if len(lines) <= 2 * LINES:
        return lines
    return [*lines[:LINES], f"# … {len(lines) - LINES} more lines: --json FILE writes them all"]


def _compared(name: str, found: Any, expected: Any) -> list[str]:
    """What was found and what is due, in as many digits as it takes to tell them apart."""
    found, expected = (None if a is None else np.asarray(a) for a in (found, expected))
    if found.size > LONG and expected is not None and found.shape == expected.shape:  # the numbers that differ most
        with np.errstate(invalid="ignore"):
            at = np.sort(np.argsort(-np.nan_to_num(np.abs(found - expected), nan=np.inf), axis=None)[:LINES])
        name = f"{name}, its {LINES} worst numbers"
        found, expected = found.flat[at], expected.flat[at]
    for digits in DIGITS:
        words = [_short(a, digits) for a in (found, expected) if a is not None]
        if len(set(words)) == len(words) or np.array_equal(found, expected, equal_nan=True):
            break
    titles = (f"# {name}: found    ", f"# {' ' * len(name)}  expected ")
    return [title + each for title, each in zip(titles, words, strict=False)]


def _short(array: np.ndarray, digits: int) -> str:
    found = np.array2string(array, precision=digits, separator=", ", threshold=LONG, max_line_width=10_000)
    return " ".join(found.split())


def row(title: str, words: str) -> list[str]:
    return textwrap.wrap(words, WIDTH, initial_indent=f"  {title:<{INDENT - 2}}", subsequent_indent=" " * INDENT)


def _number(value: float) -> str:
    return "not compared" if math.isnan(value) else f"{value:.1e}"


def as_json(report: Report) -> dict[str, Any]:
    """What a program wants to know; numbers that JSON lacks are None, inputs are Python expressions."""
    judgement, example = report.judgement, report.counterexample
    return {
        "verdict": report.verdict,
        "within": judgement.within,
        "kind": report.contract.kind,
        "name": report.contract.name,
        "form": report.form.name,
        "target": report.target.name,
        "framework": report.target.framework,
        "key": judgement.key,
        "diagnosis": judgement.diagnosis,
        "also": list(judgement.also),
        "consequence": judgement.consequence,
        "mend": judgement.fix,
        "source": judgement.source,
        "edit": list(edited(report)),
        "cases": report.cases,
        "value": _finite(report.value),
        "gradient": _finite(report.gradient),
        "named": None
        if report.named is None
        else dict(zip(("value", "gradient"), map(_finite, report.named), strict=True)),
        "dtype": [{"given": input_type, "returned": out} for input_type, out in report.dtypes],
        "range": [
            {"dtype": d.dtype, "pattern": d.pattern, "magnitude": d.magnitude, "found": d.found} for d in report.range
        ],
        "laws": [
            {
                "key": law.key,
                "statement": law.statement,
                "source": law.source,
                "holds": law.holds,
                "slack": _finite(law.slack.value),
                "tolerance": _finite(law.slack.tolerance),
                "left_out": law.why_not,
            }
            for law in report.laws
        ],
        "limits": str(report.limits),
        "notes": list(report.notes),
        "counterexample": None
        if example is None
        else {
            "inputs": literal({name: example.inputs[name] for name in report.form.signature.arguments}),
            "found": literal({**example.found.value, "gradients": example.found.gradients}),
            "expected": literal({**example.expected.value, "gradients": example.expected.gradients}),
        },
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
