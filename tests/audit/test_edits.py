"""Edits of a reference's source: what they compute, the names that they keep, and targets that they name."""

import functools
import math

import autograd.numpy as anp
import numpy as np
import pytest
from sampling import by_default

from dimref import bounds
from dimref.audit import audit, cases, edits, matching, verdict, wording
from dimref.audit.calling import InProcess
from dimref.audit.contract import Sizes, contracts, find

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
RNG = np.random.default_rng(0)
JOINT, PRODUCT = RNG.standard_normal((3, 2)), RNG.standard_normal((4, 2))
JSD_FORMULA = edits.Formula(bounds.jsd)


def softplus(x):
    return np.logaddexp(0, x)


JSD = {
    "LOG_4-left-out": lambda j, p: -softplus(-j).mean() - softplus(p).mean(),
    "LOG_4-halved": lambda j, p: math.log(2) - softplus(-j).mean() - softplus(p).mean(),
    "mean-softplus-product-left-out": lambda j, p: math.log(4) - softplus(-j).mean(),
    "product-negated": lambda j, p: math.log(4) - softplus(-j).mean() - softplus(-p).mean(),
    "roles-swapped": lambda j, p: math.log(4) - softplus(-p).mean() - softplus(j).mean(),
    "softplus-product-summed": lambda j, p: math.log(4) - softplus(-j).mean() - softplus(p).sum(0).mean(),
    "mean-inside-softplus-product": lambda j, p: math.log(4) - softplus(-j).mean() - softplus(p.mean()),
    "averaged-first-by-location": lambda j, p: math.log(4) - softplus(-j.mean(0)).mean() - softplus(p.mean(0)).mean(),
    "exp-for-softplus-of-product": lambda j, p: math.log(4) - softplus(-j).mean() - np.exp(p).mean(),
    "tanh-on-scores": lambda j, p: math.log(4) - softplus(-np.tanh(j)).mean() - softplus(np.tanh(p)).mean(),
    "maximum-off-product": lambda j, p: math.log(4) - softplus(-j).mean() - softplus(p - p.max()).mean(),
    "epsilon-1e-3": lambda j, p: math.log(4)
    + np.log(np.exp(-softplus(-j)) + 1e-3).mean() + np.log(np.exp(-softplus(p)) + 1e-3).mean(),
    "product-detached": lambda j, p: math.log(4) - softplus(-j).mean() - softplus(p).mean(),
    "minus-1": lambda j, p: math.log(4) - softplus(-j).mean() - softplus(p).mean() - 1,
    "joint-ignored": lambda j, p: math.log(4) - math.log(2) - softplus(p).mean(),
}  # fmt: skip


@pytest.mark.parametrize("key", JSD)
def test_an_edit_computes_what_it_says(key):
    formula = JSD_FORMULA
    (edit,) = (e for e in formula.edits() if e.key == key)
    found = formula.edited(edit).function()(JOINT, PRODUCT)
    assert float(found) == pytest.approx(JSD[key](JOINT, PRODUCT), rel=1e-12)


def test_an_edit_shows_the_line_that_differs():
    form = find("bound", "jsd").form("pairs")
    (variant,) = (v for v in form.edits() if v.key == "product-exponential")
    before, after = variant.lines()
    assert before == "LOG_4 - ops.mean(ops.softplus(-joint)) - ops.mean(ops.softplus(product))"
    assert after == "LOG_4 - ops.mean(ops.softplus(-joint)) - ops.mean(anp.exp(product))"
    assert variant.source == "an edit of `bounds.jsd`"


@functools.cache
def edited():
    """Of every formula the keys of its edits, without the ε in them."""
    found = {}
    for form in (form for contract in contracts() for form in contract.forms):
        for variant in form.edits():
            formula = variant.source.partition("`")[2].rstrip("`")
            found.setdefault(formula, set()).add(wording.stem(variant.key))
    return found


def test_known_names_belong_to_edits():
    """So that a change of a reference's source, which changes the keys of its edits, loses no name."""
    assert wording.KNOWN.keys() <= edited().keys()
    for name, known in wording.KNOWN.items():
        assert {new for old, new in known.items() if "+" not in old} <= edited()[name], name


EDITED = {f"{c.kind} {c.name} {f.name}": f for c in contracts() for f in c.forms if f.edits()}


@pytest.mark.parametrize("name", EDITED)
def test_what_is_edited_is_the_reference(name):
    """An edit that leaves the value, or doubles it, has the value of the reference, or twice that."""
    form = EDITED[name]
    found, times = next((v, k) for key, k in (("no-gradient", 1), ("doubled", 2), ("half-left-out", 2))
                        for v in form.edits() if v.key == key)  # fmt: skip
    for seed in range(3):
        inputs = form.draw(np.random.default_rng(seed), Sizes(n=4, m=3, locations=2))
        expected, value = form.reference(inputs), found.function(inputs)
        for output, right in expected.items():
            np.testing.assert_allclose(value[output], times * np.asarray(right), rtol=1e-9, atol=1e-12)


def test_keys_are_unique():
    found = [edit.key for edit in JSD_FORMULA.edits()]
    assert len(set(found)) == len(found) > 100
    assert {edit.kind for edit in JSD_FORMULA.edits()} <= wording.KINDS.keys()


def test_helpers_are_expanded_and_checks_left_out():
    (head, line) = edits.Formula(bounds.infonce_sampled, bounds._log_softmax_of_positive).lines()
    assert head == "infonce_sampled(positives, negatives)"
    assert line == (
        "math.log(1 + negatives.shape[0]) + "
        "ops.mean(positives - anp.logaddexp(positives, ops.logsumexp(negatives, axis=0)))"
    )


# ---- targets that are named in whatever spelling, here with autograd's functions


def columns(scores):
    s = scores if scores.ndim == 3 else scores[:, :, None]
    return s, anp.stack([s[k, k] for k in range(len(s))])


def excluded(scores):
    s, positive = columns(anp.exp(scores))
    return anp.mean(anp.log(positive / (anp.sum(s, 0) - positive)))


def squashed_and_excluded(scores):
    return excluded(anp.tanh(scores))


def squashed(function):
    return lambda joint, product: function(1 / (1 + anp.exp(-joint)), 1 / (1 + anp.exp(-product)))


def dv(joint, product):
    return anp.mean(joint) - anp.mean(anp.log(anp.mean(anp.exp(product), 0)))


def nwj(joint, product):
    return anp.mean(joint) - anp.mean(anp.exp(product - 1))


def jsd(joint, product):
    return math.log(4) - anp.mean(anp.log(1 + anp.exp(-joint))) - anp.mean(anp.log(1 + anp.exp(product)))


def squashed_and_averaged(joint, product):
    return jsd(anp.tanh(joint), anp.mean(anp.tanh(product), 0))


def log_scale(image, text, temperature):
    image, text = (x / anp.sqrt(anp.sum(x**2, 1, keepdims=True)) for x in (image, text))
    logits = anp.dot(image, text.T) * math.log(1 / temperature)
    return anp.mean(anp.log(anp.sum(anp.exp(logits), 0)) + anp.log(anp.sum(anp.exp(logits), 1))) / 2 - anp.mean(
        anp.diag(logits)
    )


SPELLED = {
    "subtracted": (excluded, "infonce matrix", "positive-excluded"),
    "two at once": (squashed_and_excluded, "infonce matrix", "positive-excluded+tanh-on-scores"),
    "NWJ squashed": (squashed(nwj), "nwj pairs", "sigmoid-on-scores"),
    "DV squashed": (squashed(dv), "dv pairs", "sigmoid-on-scores"),
    "JSD, two at once": (squashed_and_averaged, "jsd pairs", "logits-averaged-by-location+tanh-on-scores"),
    "log(1/τ) for 1/τ": (log_scale, "clip features", "temperature-logarithm"),
}


@pytest.mark.parametrize("name", by_default(SPELLED, "NWJ squashed"))
def test_a_mistake_is_named_in_another_spelling(name):
    function, contract, key = SPELLED[name]
    report = audit(function, "bound", *contract.split(), cases=48, framework="autograd")
    assert (report.verdict, report.judgement.key) == ("mistake", key)


def judged(function, name, form):
    of = find("bound", name).form(form)
    seen = cases.observe(of, InProcess(function, "autograd"), cases.Limits(), 48, 0)
    return verdict.evaluate(of, "the bound", seen), seen


@pytest.mark.exhaustive
def test_what_fits_in_part_is_said():
    def half(joint, product):
        value, gradient = nwj(joint, product), jsd(joint, product)
        return gradient + edits.stop_gradient(value - gradient)

    assert "its gradient is that of JSD" in judged(half, "nwj", "pairs")[0].diagnosis
    bounded, _ = judged(
        lambda joint, product: anp.mean(anp.sin(joint)) - anp.mean(anp.sin(product) ** 3), "nwj", "pairs"
    )
    assert "its scores are bounded" in bounded.diagnosis

    def above(scores):
        s, positive = columns(scores)
        return anp.mean(positive**3 / 10) - anp.mean(s**2)

    assert "InfoNCE ≤ log N is violated" in judged(above, "infonce", "matrix")[0].diagnosis


@pytest.mark.exhaustive
def test_a_candidates_answer_is_computed_once_and_most_are_refuted_by_one_case(monkeypatch):
    asked = []
    evaluate = matching.evaluate
    monkeypatch.setattr(matching, "evaluate", lambda *a: asked.append((a[0], id(a[2]))) or evaluate(*a))
    judgement, seen = judged(lambda scores: anp.mean(scores**2) - anp.mean(anp.abs(scores)), "infonce", "matrix")
    assert judgement.verdict == "mistake"
    assert len(asked) == len(set(asked)) < 0.2 * len(seen) * len(find("bound", "infonce").form("matrix").edits())
