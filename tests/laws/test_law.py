"""What a law is made of: slack, tolerance, verdicts, and the catalogue as a whole."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from law_cases import some_sizes

from dimref import laws
from dimref.errors import DimrefError
from dimref.laws import cases, equations
from dimref.laws import law as parts
from dimref.laws.law import Slack
from dimref.laws.search import search, seeds, sizes


def test_slack_of_an_inequality():
    assert parts.at_most(1, 3, 0.5) == Slack(2.0, 0.5)
    assert parts.at_most([1, 2], [3, 1], 0).value == -1
    assert parts.at_most(-math.inf, -math.inf, 0).value == 0
    assert parts.at_most(-math.inf, 1, 0).value == math.inf
    assert math.isnan(parts.at_most([0, math.nan], 1, 0).value)


def test_slack_of_an_identity():
    assert parts.equal([1, 2], [1, 5], 0.5) == Slack(-3.0, 0.5)
    assert parts.equal(math.inf, math.inf, 0).holds
    assert not parts.equal(math.nan, math.nan, 1).holds
    with pytest.raises(ValueError, match=r"shapes \(1,\) and \(2,\) should be equal"):
        parts.equal([1], [1, 1], 0)


def test_holds_up_to_the_tolerance():
    assert Slack(-0.5, 0.5).holds
    assert not Slack(-0.6, 0.5).holds
    assert not Slack(math.nan, 0.5).holds


def test_tightest_is_the_one_closest_to_breaking():
    assert parts.tightest(Slack(0.0, 1.0), Slack(-1.0, 1.5), Slack(3.0, 0.0)) == Slack(-1.0, 1.5)
    assert math.isnan(parts.tightest(Slack(-9.0, 0.0), Slack(math.nan, 0.0)).value)


@given(seeds, sizes())
def test_a_distribution_is_one(seed, drawn):
    p = cases.distribution(np.random.default_rng(seed), drawn.n, drawn.m)
    assert p.shape == (drawn.n, drawn.m)
    assert p.min() >= 0
    assert p.sum() == pytest.approx(1)


def test_every_law_is_documented_and_named_once():
    assert len(laws.LAWS) >= 100
    assert len({law.name for law in laws.LAWS}) == len(laws.LAWS)
    for law in laws.LAWS:
        assert law.kind in ("inequality", "identity", "counterexample")
        assert law.statement
        assert len(law.why) > 3, law.name
        assert len(law.name) <= 44, law.name
        assert equations.parse(law.source), law.source
    assert sum(law.kind == "counterexample" for law in laws.LAWS) >= 6


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.name)
def test_the_same_seed_draws_the_same_case(law):
    first, second = (law.draw(np.random.default_rng(3), some_sizes(3)) for _ in range(2))
    np.testing.assert_equal(first, second)


def test_matching():
    assert [law.name for law in laws.matching("batch.jsd_below_log_4")] == ["batch.jsd_below_log_4"]
    assert {law.family for law in laws.matching("gaussian.")} == {"gaussian"}
    assert laws.matching() == laws.LAWS
    assert laws.matching("batch.*jsd") == tuple(law for law in laws.matching("batch") if "jsd" in law.name)
    with pytest.raises(DimrefError, match=r"laws: expected part of a law's name .* found 'nothing'"):
        laws.matching("nothing")


def broken_law(measure):
    return dataclasses.replace(laws.matching("jsd_below_log_4")[0], measure=measure)


def test_search_shrinks_a_counterexample():
    law = broken_law(lambda case, backend: Slack(2.5 - case["joint"].shape[0], 0.0))
    result = search(law, parts.Backend, 50, 0)
    assert not result.obeyed
    assert result.counterexample["joint"].shape == (3, 1)
    assert result.tightest.value == -0.5


def test_search_reports_what_a_law_raises():
    def fail(case, backend):
        raise TypeError("no such axis")

    result = search(broken_law(fail), None, 50, 0)
    assert (result.error, result.tightest, result.examples) == ("TypeError: no such axis", None, 1)
    assert result.counterexample is not None


@pytest.mark.parametrize("seed", [0, 5])
def test_search_is_deterministic(seed):
    seen = []
    law = broken_law(lambda case, backend: seen.append(case["joint"].sum()) or Slack(0.0, 0.0))
    search(law, None, 5, seed)
    half = len(seen)
    search(law, None, 5, seed)
    assert half in (5, 10)  # on the plain forms, and on what else is there
    assert seen[:half] == seen[half:]


@pytest.mark.parametrize(
    ("name", "statement"),
    {
        "tables.log_ratio_is_normalized": "E_P[R] = I and E_Q[e^R] = 1",
        "forms.dv_is_the_best_shift_of_nwj": "DV(T) = NWJ(T + 1 − log E_Q[e^T])",
        "gaussian.monte_carlo_infonce": "¾·I ≤ InfoNCE(R) by Monte Carlo ≤ I, within 7 standard errors",
        "gaussian.invertible_maps_keep_information": (
            "I(A X; Y) = I(X; Y) for an invertible A; h(A X, Y) = h(X, Y) + log |det A|"
        ),
        "batch.bounds_ignore_the_order": "DV, JSD and InfoNCE ignore the order of the batch",
        "counter.mean_score_below_information": "E_P[T] ≤ I for every critic T",
    }.items(),
)
def test_a_statement_is_what_is_measured(name, statement):
    """Each of these once said more than its code tries, or something else."""
    assert {law.name: law.statement for law in laws.LAWS}[name] == statement
