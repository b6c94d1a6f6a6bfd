"""`dimref equations`: every public function of the mathematics has a source, every source a test, and the table shows it."""

import ast
import functools
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from dimref.cli import main
from dimref.laws import equations

# What states no equation of a paper: initial values, draws of indices, shapes, and the step from a term to its function.
WITHOUT_SOURCE = {
    "negatives": {"check_scores", "derangements", "inverse", "positives", "roll", "sampled", "without_positives"},
    "discriminators": {
        "check",
        "concat_head",
        "embed",
        "index_by_location",
        "init_concat",
        "init_dot",
        "init_prior",
        "score_matrix",
    },
    "objectives": {"Objective", "init_parameters", "draw_noise", "model_state", "score", "information"},
    "theory.channels": {"Capacity"},
}
MATHEMATICAL = ("bounds", "negatives", "discriminators", "objectives", "theory")
FUNCTIONS = {k: f for k, f in equations.public_functions().items() if k.partition(".")[0] in MATHEMATICAL}


TESTS_OF = functools.cache(equations.tests_of)  # which reads every test


@pytest.fixture(autouse=True)
def _this_checkout(monkeypatch):
    """The tests beside this file, also where the package under test is an installed one."""
    monkeypatch.setattr(equations, "TESTS", Path(__file__).parents[1])
    monkeypatch.setattr(equations, "tests_of", TESTS_OF)


def run(*arguments):
    return CliRunner().invoke(main, ["equations", *arguments])


def test_every_mathematical_function_has_a_source():
    missing = {name for name, function in FUNCTIONS.items() if not equations.parse(equations.source_of(function))}
    assert missing == {f"{module}.{name}" for module, names in WITHOUT_SOURCE.items() for name in names}


def test_every_function_with_a_source_is_named_by_its_oracle_test():
    tests = equations.tests_of()
    sourced = {name for name, function in equations.public_functions().items() if equations.source_of(function)}
    assert {name for name in sourced if equations.oracle_test(name) not in tests.get(name, [])} == set()


def test_oracle_test_mirrors_the_module():
    assert equations.oracle_test("bounds.dv") == "tests/test_bounds.py"
    assert equations.oracle_test("theory.information.entropy") == "tests/theory/test_information.py"


def test_every_cited_place_has_a_test():
    assert [(e.paper, e.place) for e in equations.entries() if not (e.oracles or e.tests)] == []


def test_every_paper_of_the_theory_is_cited():
    papers = {entry.paper for entry in equations.entries()}
    assert papers >= {"1808.06670", "1807.03748", "1801.04062", "1905.06922", "1606.00709"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("arXiv 1905.06922, eq. (10).", [("1905.06922", "eq. (10)")]),
        ("arXiv 1606.00709, eq. (4) and table 1 (KL row)", [("1606.00709", "eq. (4)"), ("1606.00709", "table 1")]),
        ("arXiv 1808.06670, section 4.1 and figure 6; eq. (6) for pairs",
         [("1808.06670", "section 4.1"), ("1808.06670", "figure 6"), ("1808.06670", "eq. (6)")]),
        ("Rasmussen & Williams 2006, eq. (A.23).", [("Rasmussen & Williams 2006", "eq. (A.23)")]),
        ("Blahut 1972, IEEE 18(4), theorems 1 and 2; Cover & Thomas 2006, section 10.8.",
         [("Blahut 1972", "theorem 1"), ("Cover & Thomas 2006", "section 10.8")]),
        ("Ba, Kiros & Hinton 2016, arXiv 1607.06450, eq. (3)-(4).", [("1607.06450", "eq. (3)")]),
        ("arXiv 2510.20644 (the tight bound)", [("2510.20644", "")]),
        ("by Jensen's inequality", []),
    ],
)  # fmt: skip
def test_parse(source, expected):
    assert equations.parse(source) == expected


def test_source_of_ends_with_its_section():
    def function():
        """One line.

        Source: arXiv 1234.56789, eq. (1);
            eq. (2).
        Raises: nothing.
        """

    assert equations.source_of(function) == "arXiv 1234.56789, eq. (1); eq. (2)."
    assert equations.source_of(test_parse) == ""


def test_mentioned_follows_aliases():
    code = (
        "from dimref.theory import information as info\nfrom dimref import bounds\nfrom dimref.bounds import dv\n"
        "info.entropy; bounds.nwj; x.jsd"
    )
    functions = {name for name in equations.mentioned(ast.parse(code)) if "." in name}
    assert functions == {"theory.information", "theory.information.entropy", "bounds.nwj", "bounds.dv"}


def test_table_of_one_equation():
    done = run("1905.06922:10")
    assert done.exit_code == 0
    assert done.output.splitlines()[0] == "arXiv 1905.06922"
    assert re.search(r"eq\. \(10\) +function +bounds\.infonce, bounds\.infonce_certified", done.output)
    assert "exact.infonce_below_information" in done.output
    assert "tests/laws/test_exact.py" in done.output
    assert "eq. (6)" not in done.output


def test_function_law_and_oracle_test_come_first_and_further_tests_after():
    (entry,) = equations.select("1808.06670:4")
    assert (entry.functions, entry.laws[0], entry.oracles) == (
        ["bounds.jsd"], "exact.jsd_below_divergence", ["tests/test_bounds.py"],
    )  # fmt: skip
    assert "tests/test_objectives.py" in entry.tests
    assert "tests/test_bounds.py" not in entry.tests
    titles = [line[19:31].rstrip() for line in run("1808.06670:4").output.splitlines()[1:] if line[19] != " "]
    assert titles == ["function", "law", "oracle test", "more tests"]


def test_whole_table_fits():
    output = run().output
    assert max(map(len, output.splitlines())) <= 110
    assert "arXiv 1808.06670" in output
    assert "Cover & Thomas 2006" in output


@pytest.mark.parametrize(("wanted", "known"), [("42", "1905.06922"), ("1905.06922:99", "6, 7, 10")])
def test_unknown_is_one_line_that_lists_what_is_known(wanted, known):
    done = run(wanted)
    assert done.exit_code == 2
    assert len(done.output.splitlines()) == 1
    assert known in done.output


def test_without_a_checkout_it_says_that_tests_are_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(equations, "TESTS", tmp_path / "tests")
    monkeypatch.setattr(equations, "tests_of", TESTS_OF.__wrapped__)
    output = run("1807.03748").output
    assert "tests/" not in output
    assert output.splitlines()[-1] == "(tests are listed in a checkout only: an installed package has none)"
