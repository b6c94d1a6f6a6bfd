"""Every law that is not a counter-law holds, under Hypothesis, and runs on the strict device.

What breaks a law is tested beside its family's file; the counter-laws have tests of their own.
"""

import pytest
from hypothesis import given
from lawful import assert_obeyed
from strict import STRICT

from dimref.laws import LAWS
from dimref.laws.search import seeds, sizes

TRUE_LAWS = {law.name: law for law in LAWS if law.kind != "counterexample"}


@pytest.mark.parametrize("law", TRUE_LAWS.values(), ids=TRUE_LAWS)
@given(sizes(), seeds)
def test_law_holds(law, drawn, seed):
    assert_obeyed(law, seed, drawn)


@pytest.mark.parametrize("law", TRUE_LAWS.values(), ids=TRUE_LAWS)
def test_law_runs_on_the_strict_device(law):
    for seed in range(3):
        assert_obeyed(law, seed, backend=STRICT)
