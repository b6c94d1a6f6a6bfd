"""PyTorch's own functions through the comparison: they conform, or follow a convention that is named."""

import pytest
from catalogue_checks import forms

from dimref.audit import cases, verdict
from dimref.audit.calling import InProcess
from dimref.audit.catalogue import divergences, layers, norms

FORMS = {name: form for family in (layers, norms, divergences) for name, form in forms(family.CONTRACTS)}
CASES = 32


def judged(target, form):
    return verdict.evaluate(form, "it", cases.observe(form, target, cases.Limits(), CASES, 0))


def test_pytorchs_own_functions_conform():
    torch = pytest.importorskip("torch")
    f, form = torch.nn.functional, FORMS

    def last(x):
        return x.permute(0, 2, 3, 1)

    def training(x, gain, shift, mean, variance):
        mean, variance = mean.clone(), variance.clone()
        return f.batch_norm(x, mean, variance, gain, shift, training=True), mean, variance

    own = {
        "linear-torch": f.linear,
        "conv2d-channels-first": lambda x, w, b, stride, padding: f.conv2d(x, w, b, stride, padding),
        "conv_transpose2d-channels-first": lambda x, w, b, s, p: f.conv_transpose2d(x, w, b, s, p),
        "conv_transpose2d-channels-last": lambda x, w, b, s, p: last(
            f.conv_transpose2d(x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1), b, s, p)
        ),
        "batch_norm-channels-first": training,
        "layer_norm-rows": lambda x, gain, shift: f.layer_norm(x, x.shape[-1:], gain, shift),
        "batch_norm-output-first": lambda x, gain, shift: f.batch_norm(x, None, None, gain, shift, training=True),
        "batch_norm_inference-channels-first": lambda x, g, s, mean, var: f.batch_norm(x, mean, var, g, s),
    }
    for name, function in own.items():
        assert judged(InProcess(function, "torch", name), form[name]).verdict == verdict.CONFORMS, name


def test_nan_where_both_probabilities_are_0_is_a_mistake_in_either_divergence():
    f = pytest.importorskip("torch").nn.functional
    for name, key, function in (
        ("kl_divergence", "zero-over-zero", lambda p, q: f.kl_div(q.log(), p, reduction="sum")),
        ("cross_entropy", "zero-log-zero", lambda p, q: f.cross_entropy(q.log()[None], p[None])),
    ):
        found = judged(InProcess(function, "torch", name), FORMS[f"{name}-table"])
        assert (found.verdict, found.key) == (verdict.MISTAKE, key)
