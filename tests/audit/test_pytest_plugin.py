"""The pytest plugin, as a project that uses it meets it: one id for each check, one audit, expected failures."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from dimref.audit import callables, checks
from dimref.audit.contract import contracts

pytest_plugins = "pytester"
ROOT = Path(__file__).parents[2]

TARGETS = """
import math
import numpy as np
import autograd.numpy as anp
import pytest

def softplus(t):
    return anp.logaddexp(t, 0.0 * t)

def jsd(joint, product):
    return math.log(4) - anp.mean(softplus(-joint)) - anp.mean(softplus(product))

def naive(joint, product):
    return math.log(4) - anp.mean(anp.log(1 + anp.exp(-joint))) - anp.mean(anp.log(1 + anp.exp(product)))

def once(joint, product):
    return math.log(2) - anp.mean(softplus(-joint)) - anp.mean(softplus(product))

def detached(joint, product):
    return jsd(joint, np.array(getattr(product, "_value", product)))

def doubled(joint, product):
    return 2 * jsd(joint, product)

def loss(joint, product):
    return anp.mean(softplus(-joint)) + anp.mean(softplus(product))

def widened(joint, product):
    return jsd(joint, product) * np.float64(1)

def refuses(joint, product):
    raise ValueError("a matrix, please")
"""


@pytest.fixture
def project(pytester, monkeypatch):
    """Runs a test file in a project of its own, and returns what pytest made of it: by id, and what it printed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(targets=TARGETS)

    def run(mark, body="dimref_check(targets.{})", target="jsd", arguments="dimref_check", options=()):
        pytester.makepyfile(
            test_it=f"import pytest, targets\n{mark}\ndef test_it({arguments}):\n    {body.format(target)}\n"
        )
        done = pytester.runpytest_inprocess("-p", "dimref.audit.pytest_plugin", "--strict-markers", "-rA", *options)
        found = [line.split(" - ")[0].split() for line in done.outlines]
        lines = {line[1].partition("::")[2]: line[0] for line in found if len(line) > 1 and "::test_it" in line[1]}
        return {name.removeprefix("test_it[").removesuffix("]"): status for name, status in lines.items()}, done

    return run


def marked(*more, kind="bound", name="jsd"):
    return f"@pytest.mark.conforms({', '.join([repr(kind), repr(name), *more, 'cases=16'])})"


@pytest.mark.parametrize(
    ("target", "failing"),
    [("jsd", ()), ("loss", ()), ("naive", ("range",)), ("once", ("value", "laws")), ("detached", ("gradient",)),
     ("doubled", ("value", "gradient", "laws")), ("widened", ("dtypes",))],
)  # fmt: skip
def test_each_check_has_an_id_and_the_ones_at_fault_fail(project, target, failing):
    found, done = project(marked(), target=target)
    assert {name for name, status in found.items() if status == "FAILED"} - {"laws"} == set(failing) - {"laws"}
    assert found.keys() == set(checks.CHECKS), done.stdout.str()
    assert set(found.values()) <= {"PASSED", "FAILED", "SKIPPED"}


def test_an_expected_failure_has_its_reason_and_is_refused_once_it_passes(project):
    expected = 'expected={"range": "ticket 12"}'
    found, done = project(marked(expected), target="naive")
    assert found["range"] == "XFAIL"
    assert "FAILED" not in found.values()
    done.stdout.fnmatch_lines(["XFAIL *test_it?range? - ticket 12"])
    found, done = project(marked(expected), target="jsd")
    assert found["range"] == "FAILED"
    done.stdout.fnmatch_lines(["*XPASS(strict)* ticket 12"])


@pytest.mark.parametrize("target", ["refuses", "nobody"])
def test_what_could_not_run_is_no_expected_failure(project, target):
    found, _ = project(marked('expected={"value": "ticket 12"}'), target=target)
    assert set(found.values()) == {"FAILED"}


def test_another_convention_fails_under_strict(project):
    assert project(marked("strict=True"), target="loss")[0]["value"] == "FAILED"


def test_the_report_is_shown_and_no_line_of_the_plugin(project):
    _, done = project(marked(), target="naive")
    done.stdout.fnmatch_lines(["E *range: float*inf from*", "E *MISTAKE  bound jsd  naive*", "E *fix *"])
    assert "pytest_plugin.py" not in done.stdout.str()


def test_one_audit_serves_every_check_of_a_test_and_each_parameter_has_its_own(project, monkeypatch):
    seen = []

    def audited(target, *args, **options):
        seen.append(args)
        return audit(target, *args, **options)

    audit = callables.audit
    monkeypatch.setattr(callables, "audit", audited)
    both = f'@pytest.mark.parametrize("name", ["jsd", "once"])\n{marked()}'
    found, _ = project(both, "dimref_check(lambda j, p: getattr(targets, name)(j, p))", arguments="name, dimref_check")
    assert [status for name, status in found.items() if "value" in name] == ["PASSED", "FAILED"]
    assert len(found) == 2 * len(checks.CHECKS)
    assert len(seen) == 2


def test_a_text_is_loaded_in_a_process_of_its_own(project):
    found, _ = project(marked(), 'dimref_check("targets.py:once")')
    assert found["value"] == "FAILED"


def test_a_form_without_a_reference_has_its_laws_alone(project):
    body = "import numpy as np; dimref_check(lambda n, rng=None: (np.arange(n) + 1) % n)"
    found, _ = project(marked(kind="negatives", name="derangements"), body)
    assert set(found) == {"laws"}


@pytest.mark.parametrize(
    ("mark", "arguments", "line"),
    [
        (marked(name="jds"), "dimref_check", "*audit bound: name must be one of dv, *was 'jds'; did you mean jsd?"),
        (marked('form="square"'), "dimref_check", "*form must be one of pairs, matrix, was 'square'"),
        ('@pytest.mark.conforms("bound")', "dimref_check", "*conforms: missing 1 required positional argument: 'name'"),
        (marked('fom="pairs"'), "dimref_check", "*expected options of form, expected, strict, *; found 'fom'"),
        (marked('expected={"speed": "slow"}'), "dimref_check", "*expected a check of value, *; found 'speed'"),
        (marked('expected={"range": ""}'), "dimref_check", "*range: expected the reason for which it fails, found ''"),
        (marked(), "", "*expected an argument dimref_check, which the test calls with the target; found none"),
        ("", "dimref_check", "*dimref_check: expected @pytest.mark.conforms(KIND, NAME) on the test, found none"),
    ],
)
def test_bad_arguments_get_one_line(project, mark, arguments, line):
    _, done = project(mark, "pass" if not arguments else "dimref_check(targets.{})", arguments=arguments)
    assert done.ret != 0
    done.stdout.fnmatch_lines([line])
    assert "Traceback" not in done.stdout.str()
    assert "pytest_plugin.py:" not in done.stdout.str()


def test_the_entry_point_loads_nothing_of_weight():
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]["dimref"]
    code = f"import pytest, sys, {named}; print([n for n in ('numpy', 'autograd', 'hypothesis') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_every_form_has_a_check():
    for contract in contracts():
        for form in contract.forms:
            assert checks.of_form(form), (contract.name, form.name)


@pytest.mark.exhaustive
def test_a_verdict_that_does_not_pass_fails_a_check_whatever_the_errors():
    """As an ε that no worst error shows."""
    report = callables.audit(lambda j, p: np.mean(j) - np.log(np.mean(np.exp(p)) + 1e-3), "bound", "dv", cases=24)
    assert not report.passes()
    small = callables.replace(report, value=1e-6, gradient=1e-6, range=(), laws=())
    found = checks.outcomes(small)
    assert [name for name, outcome in found.items() if outcome.status == checks.FAILS and name != "dtypes"] == ["value"]
