"""The checks of an audit, one by one, and failures that are expected.

An audit has one verdict; its checks say what of the target is wrong: the value, the gradient, a law of the theory, the range
of scores, the dtype of the result. A check that is known to fail is expected to, with a reason, until it passes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dimref.audit.callables import Report
from dimref.audit.contract import AuditError, Form
from dimref.audit.verdict import FAILED, MISTAKE, VALUES

CHECKS = ("value", "gradient", "laws", "range", "dtypes")
PASSES, FAILS, NOT_MADE = "passes", "fails", "not made"
VISIBLE = 1e-4  # relative error beyond the rounding of single precision: here a part of a mistake shows


@dataclass(frozen=True)
class Outcome:
    """What became of one check.

    Attributes:
        status: PASSES, FAILS or NOT_MADE.
        words: what was measured, or what is wrong, or why it was not made.
        expected: the reason for which it is expected to fail, "" if it is not.
    """

    status: str
    words: str
    expected: str = ""

    @property
    def as_expected(self) -> bool:
        """Whether it fails where it is expected to, and nowhere else."""
        return self.status == NOT_MADE or (self.status == FAILS) == bool(self.expected)


def of_form(form: Form) -> tuple[str, ...]:
    """The checks that a form has."""
    compared = form.reference is not None
    there = {
        "value": compared,
        "gradient": compared and bool(form.signature.differentiate),
        "laws": bool(form.laws),
        "range": compared and form.ranged,
        "dtypes": compared,
    }
    return tuple(check for check in CHECKS if there[check])


def expected_of(form: Form, expected: Mapping[str, str], option: str = "expected") -> dict[str, str]:
    """Expected failures: {check: reason}.

    Raises:
        AuditError: the form has no such check, or there is no reason.
    """
    for check, reason in expected.items():
        if check not in of_form(form):
            raise AuditError(f"{option}: expected a check of {', '.join(of_form(form))}; found {check!r}")
        if not isinstance(reason, str) or not reason.strip():
            raise AuditError(f"{option} {check}: expected the reason for which it fails, found {reason!r}")
    return dict(expected)


def outcomes(report: Report, strict: bool = False, expected: Mapping[str, str] | None = None) -> dict[str, Outcome]:
    """Every check of a target that could be run.

    Args:
        strict: another valid convention fails, in its value.
        expected: as `expected_of` returns them.
    """
    found = {check: _outcome(check, report) for check in of_form(report.form)}
    if report.verdict == FAILED:
        return {check: Outcome(NOT_MADE, f"could not run: {report.judgement.diagnosis}") for check in found}
    if not report.passes(strict) and not any(o.status == FAILS for c, o in found.items() if c != "dtypes"):
        # The verdict sees more than a worst error does, as an ε of 1e-6, and a convention is right in its own way.
        found[next(iter(found))] = Outcome(FAILS, f"{report.verdict}: {report.judgement.diagnosis}")
    reasons = expected or {}
    return {check: Outcome(o.status, o.words, reasons.get(check, "")) for check, o in found.items()}


def passes(report: Report, found: Mapping[str, Outcome], strict: bool = False) -> bool:
    """Whether the target passes but for what is expected to fail, and all that fails."""
    if any(outcome.expected and outcome.status == PASSES for outcome in found.values()):
        return False
    failing = [outcome for check, outcome in found.items() if outcome.status == FAILS and check != "dtypes"]
    return report.passes(strict) or (bool(failing) and all(outcome.expected for outcome in failing))


def _outcome(check: str, report: Report) -> Outcome:
    if check in ("value", "gradient"):
        return _compared(check, report)
    if check == "range":
        return _range(report)
    if check == "dtypes":
        words = "; ".join(f"{given} in, {returned} out" for given, returned in report.dtypes)
        return Outcome(FAILS, words) if words else Outcome(PASSES, "the inputs' dtype is kept")
    due = [law for law in report.laws if not law.why_not]
    broken = [law for law in due if not law.holds]
    if broken:
        return Outcome(FAILS, "violated: " + "; ".join(law.statement for law in broken))
    return Outcome(PASSES, f"{len(due)} hold") if due else Outcome(NOT_MADE, "none applies to this target")


def _compared(check: str, report: Report) -> Outcome:
    error = {"value": report.value, "gradient": report.gradient}[check]
    if report.verdict == MISTAKE and _at_fault(check, error, report):
        return Outcome(FAILS, f"worst relative error {error:.1e}" if error > VISIBLE else report.judgement.diagnosis)
    if check == "gradient" and report.judgement.within == VALUES:
        return Outcome(FAILS, "a gradient is due and there is none")
    if math.isnan(error):
        return Outcome(NOT_MADE, next((n for n in report.notes if n.startswith("no gradient")), "not compared"))
    candidate = report.judgement.candidate
    if error > VISIBLE and candidate is not None and candidate.variant is not None:
        return Outcome(PASSES, f"that of {candidate.variant.title}")
    return Outcome(PASSES, f"worst relative error {error:.1e}")


def _at_fault(check: str, error: float, report: Report) -> bool:
    """Whether a mistake is one of the value, or one of the gradient."""
    judgement = report.judgement
    candidate = judgement.candidate
    if candidate is not None and candidate.role != "mistake" and report.range:
        return False  # right as far as it goes
    if candidate is not None and candidate.variant is None:  # the errors are those beyond its factor and constant
        return check == "value" or abs(candidate.fit.factor) != 1 or bool(candidate.fit.scaling)
    return error > VISIBLE and not (check == "gradient" and judgement.gradient_right)


def _range(report: Report) -> Outcome:
    if report.judgement.candidate is None:
        return Outcome(NOT_MADE, "what it computes is not known")
    if not report.range:
        return Outcome(PASSES, f"up to {report.form.range_to:.0f}{report.form.unit} in float32 and float64")
    first = {d.dtype: d for d in sorted(report.range, key=lambda d: -d.magnitude)}
    return Outcome(
        FAILS,
        "; ".join(f"{t}: {d.found} from {d.magnitude:.4g}{report.form.unit} ({d.pattern})" for t, d in first.items()),
    )
