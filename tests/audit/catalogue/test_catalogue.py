"""Every documented entry of the catalogue: it has words, it differs from its reference, and no two are alike."""

import numpy as np
import pytest
from audit_targets import as_target
from catalogue_checks import apart, refuse_two_alike

from dimref.audit import cases, verdict
from dimref.audit.answering import evaluate
from dimref.audit.cases import Limits
from dimref.audit.contract import contracts

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
FORMS = {f"{c.kind}-{c.name}-{form.name}": form for c in contracts() for form in c.forms if form.reference is not None}
BOUNDS = [name for name in FORMS if name.startswith("bound")]


@pytest.mark.parametrize("name", FORMS)
def test_entries_have_words_and_differ(name):
    form = FORMS[name]
    for v in (*form.conventions, *form.mistakes, *form.numerical):
        assert all((v.title, v.fix, len(v.title) < 160)), v.key
    for v in (*form.conventions, *form.mistakes):
        assert apart(form, form.reference, v.function, seeds=range(8)), v.key
    if len(form.mistakes) < 7:
        refuse_two_alike(form)


@pytest.mark.parametrize("name", BOUNDS)
def test_the_reference_conforms(name):
    form = FORMS[name]
    seen = cases.observe(form, as_target(form, form.reference), Limits(), 16, 1)
    assert verdict.evaluate(form, "it", seen).verdict == "conforms"


@pytest.mark.parametrize("name", BOUNDS)
def test_naive_formulas_are_right_at_small_scores(name):
    form, rng = FORMS[name], np.random.default_rng(3)
    for v in form.numerical:
        inputs = form.draw(rng, cases.Sizes(n=3, m=2))
        naive, right = (evaluate(function, form.signature, inputs) for function in (v.function, form.reference))
        np.testing.assert_allclose(
            naive.value["value"], right.value["value"], rtol=1e-5 if v.key == "epsilon" else 1e-10
        )
