"""Every entry of the catalogue: it is documented, and it differs from its reference, which conforms."""

import numpy as np
import pytest
from audit_targets import as_target

from dimref.audit import cases, matching, verdict
from dimref.audit.answering import evaluate
from dimref.audit.cases import Limits
from dimref.audit.contract import contracts

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
KINDS = ("bound", "negatives")
FORMS = [(contract, form) for kind in KINDS for contract in contracts(kind) for form in contract.forms]
WITH_REFERENCE = [(c, f) for c, f in FORMS if f.reference is not None]


def named(pairs):
    return [f"{contract.name}-{form.name}" for contract, form in pairs]


@pytest.mark.parametrize(("contract", "form"), FORMS, ids=named(FORMS))
def test_entries_are_documented(contract, form):
    variants = (*form.conventions, *form.mistakes, *form.numerical)
    assert len({v.key for v in form.conventions} & {v.key for v in form.mistakes}) == 0
    for v in variants:
        assert all((v.title, v.fix, v.source, v.consequence)), v.key
        assert len(v.title) < 160
    for name in ("mild", "large"):
        sizes = cases.Sizes(n=3, m=2, locations=2, flat=False, regime=name)
        inputs = form.draw(np.random.default_rng(0), sizes)
        assert set(form.signature.arguments) <= inputs.keys()


@pytest.mark.parametrize(("contract", "form"), WITH_REFERENCE, ids=named(WITH_REFERENCE))
def test_each_variant_differs_from_the_reference(contract, form):
    seen = cases.observe(form, as_target(form, form.reference), Limits(), 24, 0)
    for v in (*form.conventions, *form.mistakes):
        told = matching.answers(form, v.function, seen)
        assert not all(matching.agrees(form, case, answer) for case, answer in zip(seen, told, strict=True)), v.key


@pytest.mark.parametrize(("contract", "form"), WITH_REFERENCE, ids=named(WITH_REFERENCE))
def test_the_reference_conforms(contract, form):
    seen = cases.observe(form, as_target(form, form.reference), Limits(), 16, 1)
    assert verdict.evaluate(form, contract.title, seen).verdict == "conforms"


@pytest.mark.parametrize(("contract", "form"), WITH_REFERENCE, ids=named(WITH_REFERENCE))
def test_naive_formulas_are_right_at_small_scores(contract, form):
    rng = np.random.default_rng(3)
    for v in form.numerical:
        inputs = form.draw(rng, cases.Sizes(n=3, m=2))
        naive, right = (evaluate(function, form.signature, inputs) for function in (v.function, form.reference))
        np.testing.assert_allclose(naive.value["value"], right.value["value"], rtol=1e-10)
