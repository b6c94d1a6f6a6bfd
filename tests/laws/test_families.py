"""Every law that is not a counter-law holds, under Hypothesis, and runs on the strict device and on the engine.

What breaks a law is tested beside its family's file; the counter-laws have tests of their own.
"""

import contextlib

import pytest
from fake_cupy import STRICT
from hypothesis import given
from law_cases import assert_obeyed

from dimref import tape
from dimref.engine import turn_on
from dimref.laws import LAWS
from dimref.laws.search import seeds, sizes

# The law of whole trainings has a test of every objective: tests/distributed/test_ranks.py.
TRUE_LAWS = {law.name: law for law in LAWS if law.kind != "counterexample" and law.weight < 50}


@pytest.mark.usefixtures("plain_forms")
@pytest.mark.parametrize("law", TRUE_LAWS.values(), ids=TRUE_LAWS)
@given(sizes(), seeds)
def test_law_holds(law, drawn, seed):
    assert_obeyed(law, seed, drawn)


@pytest.mark.parametrize("form", ["plain", "engine"])
@pytest.mark.parametrize("law", TRUE_LAWS.values(), ids=TRUE_LAWS)
def test_law_runs_on_both_backends_in_both_forms(law, form):
    turn_on()
    with tape.plain_forms() if form == "plain" else contextlib.nullcontext():
        for seed in range(3):
            assert_obeyed(law, seed, backend=STRICT)
            assert_obeyed(law, seed)
