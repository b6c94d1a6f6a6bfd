"""CLIP's, SimCLR's and MoCo's losses at ever lower temperatures."""

import autograd.numpy as anp
import numpy as np
import pytest
from sampling import by_default

from dimref.audit import cases, contract
from dimref.audit.answering import evaluate
from dimref.audit.callables import audit

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
FORMS = {name: contract.find("bound", name).form() for name in ("clip", "nt_xent", "moco")}


def cosines(a, b):
    a, b = (x / anp.sqrt(anp.sum(x**2, axis=1, keepdims=True)) for x in (a, b))
    return anp.dot(a, b.T)


def log_sum(logits):
    top = anp.max(logits, axis=1, keepdims=True)
    return anp.log(anp.sum(anp.exp(logits - top), axis=1)) + top[:, 0]


def naive(logits):
    return anp.log(anp.sum(anp.exp(logits), axis=1))


def clip(of):
    def loss(image, text, temperature):
        logits = cosines(image, text) / temperature
        return anp.mean(of(logits) + of(logits.T)) / 2 - anp.mean(anp.diag(logits))

    return loss


def nt_xent(of, hidden):
    def loss(a, b, temperature):
        z = anp.concatenate([a, b])
        logits = anp.where(np.eye(len(z)) == 1, hidden, cosines(z, z) / temperature)
        return anp.mean(of(logits)) - anp.mean(anp.sum(logits * np.roll(np.eye(len(z)), len(a), 1), axis=1))

    return loss


def moco(of):
    def loss(q, k, queue, temperature):
        positive = anp.diag(cosines(q, k))[:, None]
        logits = anp.concatenate([positive, cosines(q, queue)], axis=1) / temperature
        return anp.mean(of(logits) - logits[:, 0])

    return loss


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_raised_logits_have_the_magnitude_asked_for(name, dtype):
    form = FORMS[name]
    base = form.draw(np.random.default_rng(0), cases.Sizes(n=2, m=2, dtype=dtype))
    told = set()
    for pattern, at in form.raised(base).items():
        inputs = at(50.0)
        features = [a for a in inputs.values() if isinstance(a, np.ndarray)]
        assert {a.dtype.name for a in features} == {dtype}
        assert [a.shape for a in features] == [a.shape for a in base.values() if isinstance(a, np.ndarray)]
        if "apart" not in pattern:
            assert all(np.array_equal(np.abs(a), np.eye(1, a.shape[1]).repeat(len(a), 0)) for a in features)
        assert inputs["temperature"] == pytest.approx(1 / 50)
        told.add(round(float(evaluate(form.reference, form.signature, inputs).value["value"]), 3))
    assert max(told) > 49  # a positive that is lost among its negatives
    assert min(told) < 1e-3  # and one that is alone


RIGHT = {
    "clip": clip(lambda logits: log_sum(anp.clip(logits, -100.0, 100.0))),
    "nt_xent": nt_xent(log_sum, -1e4),
    "moco": moco(log_sum),
}
NAIVE = {"clip": clip(naive), "nt_xent": nt_xent(naive, -1e4), "moco": moco(naive)}


@pytest.mark.parametrize("name", by_default(FORMS, "moco"))
def test_a_stabilised_loss_conforms_at_every_temperature(name):
    """Masks of −10⁴ and clamps at ±100 are beyond the lowest temperature that is tried."""
    report = audit(RIGHT[name], "bound", name, cases=32)
    assert report.verdict == "conforms"
    assert report.range == ()
    assert "up to 100 nats" in " ".join(str(report).split())


@pytest.mark.parametrize("name", by_default(FORMS, "nt_xent"))
def test_exponentials_written_out_are_named(name):
    report = audit(NAIVE[name], "bound", name, cases=32)
    assert (report.verdict, report.judgement.key) == ("mistake", "naive-softmax")
    assert {d.dtype for d in report.range} == {"float32"}
    assert min(d.magnitude for d in report.range) == pytest.approx(88, abs=2)
    assert report.counterexample.inputs["temperature"] < 0.0116
