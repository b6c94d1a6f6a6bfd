"""pytest: one test for each check of an audit, which runs once.

    @pytest.mark.conforms("bound", "infonce", expected={"range": "e^T is written out, ticket 12"})
    def test_infonce(dimref_check):
        dimref_check(infonce)

is collected as test_infonce[value], [gradient], [laws], [range] and [dtypes]. pytest loads this file at every start, in
every project: it imports nothing of dimref until a test asks for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dimref.audit.callables import Report

MARK = (
    'conforms(kind, name, form="", expected={check: reason}, strict=False, cases=96, seed=0, **how): one test for each '
    "check of `dimref audit KIND NAME`; the test calls dimref_check(target). how: framework, adapter, … as of "
    "dimref.audit.audit."
)
REPORTS = pytest.StashKey[dict[Any, "Report"]]()


class CheckFailed(AssertionError):
    """A check of the audit fails."""


@dataclass(frozen=True)
class Plan:
    """One check of one audit."""

    kind: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    strict: bool = False
    check: str = ""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARK)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test with the mark one id for each check."""
    mark = metafunc.definition.get_closest_marker("conforms")
    if mark is None:
        return
    from dimref.errors import DimrefError

    if "dimref_check" not in metafunc.fixturenames:
        _refuse("expected an argument dimref_check, which the test calls with the target; found none")
    try:
        checks = conforms(*mark.args, **mark.kwargs)
    except (TypeError, DimrefError) as error:
        _refuse(str(error))
    metafunc.parametrize("dimref_check", checks, indirect=True)


def _refuse(why: str) -> None:
    pytest.fail(f"@pytest.mark.conforms: {why.removeprefix('conforms() ')}", pytrace=False)


def conforms(kind: str, name: str, form: str = "", expected: Mapping[str, str] | None = None, strict: bool = False,
             **options: Any) -> list[Any]:  # fmt: skip
    """The checks of a mark, each as a parameter of its test."""
    from dimref.audit import callables, sandbox
    from dimref.audit.checks import expected_of, of_form
    from dimref.audit.contract import AuditError, find

    known = {"cases", "seed", *[*inspect.signature(sandbox.opened).parameters][1:]}
    for option in options.keys() - known:
        raise AuditError(f"expected options of form, expected, strict, {', '.join(sorted(known))}; found {option!r}")
    chosen = find(kind, name).form(form)
    reasons = expected_of(chosen, expected or {})
    how = {"form": chosen.name, "cases": callables.CASES, **options}
    return [
        pytest.param(Plan(kind, name, how, strict, check), id=check, marks=_marks(reasons.get(check, "")))
        for check in of_form(chosen)
    ]


def _marks(reason: str) -> list[pytest.MarkDecorator]:
    """Of an expected failure: anything else than a check that fails is an error, and so is a check that passes."""
    return [pytest.mark.xfail(reason=reason, strict=True, raises=CheckFailed)] if reason else []


@pytest.fixture
def dimref_check(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    """Call it with the target: a function, or "module:function" as a text, which runs in a process of its own."""
    plan = getattr(request, "param", None)
    if not isinstance(plan, Plan):
        line = "dimref_check: expected @pytest.mark.conforms(KIND, NAME) on the test, found none"
        raise pytest.fail.Exception(line, pytrace=False)

    def check(target: Any) -> None:
        __tracebackhide__ = True
        from dimref.audit.checks import FAILS, NOT_MADE, outcomes
        from dimref.audit.verdict import FAILED

        report = _report(request, plan, target)
        if report.verdict == FAILED:
            pytest.fail(str(report), pytrace=False)
        outcome = outcomes(report, plan.strict)[plan.check]
        if outcome.status == NOT_MADE:
            pytest.skip(f"{plan.check}: {outcome.words}")
        if outcome.status == FAILS:
            raise CheckFailed(f"{plan.check}: {outcome.words}\n\n{report}")

    return check


def _report(request: pytest.FixtureRequest, plan: Plan, target: Any) -> Report:
    """The audit of a test, run for the first of its checks; each set of its other parameters has its own."""
    from dimref.audit import audit
    from dimref.errors import DimrefError

    node: Any = request.node
    others = sorted((name, id(value)) for name, value in node.callspec.params.items() if name != "dimref_check")
    reports = request.config.stash.setdefault(REPORTS, {})
    key = (node.parent.nodeid, node.originalname, tuple(others))
    if key not in reports:
        try:
            reports[key] = audit(target, plan.kind, plan.name, **plan.options)
        except DimrefError as error:
            pytest.fail(str(error), pytrace=False)
    return reports[key]
