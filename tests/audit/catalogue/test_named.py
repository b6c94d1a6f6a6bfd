"""Layers, scorers, prior, information and measures through the comparison: each variant is named, PyTorch conforms."""

import pytest
from catalogue_checks import forms

from dimref.audit import cases, verdict
from dimref.audit.calling import Here
from dimref.audit.catalogue import (
    discriminators,
    divergences,
    evaluation,
    gaussians,
    information,
    layers,
    measures,
    norms,
    prior,
)

FAMILIES = (layers, norms, discriminators, prior, information, divergences, gaussians, measures, evaluation)
FORMS = {name: form for family in FAMILIES for name, form in forms(family.CONTRACTS)}
CASES = 32


def positional(function, form):
    """A function of named inputs as one that is called as a target is."""
    names = form.signature.outputs

    def call(*arguments):
        found = function(dict(zip(form.signature.arguments, arguments, strict=True)))
        return tuple(found[name] for name in names) if len(names) > 1 else found[names[0]]

    return call


def judged(target, form):
    return verdict.evaluate(form, "it", cases.observe(form, target, cases.Limits(), CASES, 0))


# A form with the channels first has the variants of the one with the channels last: the tests of its family hold it.
@pytest.mark.parametrize("name", [name for name in FORMS if "first" not in name and name != "batch_norm-channels-last"])
def test_each_variant_is_named(name):
    form = FORMS[name]
    assert judged(Here(positional(form.reference, form), "autograd"), form).verdict == verdict.CONFORMS
    for expected, variants in ((verdict.CONVENTION, form.conventions), (verdict.MISTAKE, form.mistakes)):
        for variant in variants:
            found = judged(Here(positional(variant.function, form), "autograd"), form)
            assert (found.verdict, found.key) == (expected, variant.key)


def test_pytorchs_own_functions_conform():
    torch = pytest.importorskip("torch")
    f, form = torch.nn.functional, FORMS
    own = {
        "linear-torch": f.linear,
        "conv2d-channels-first": lambda x, w, b, stride, padding: f.conv2d(x, w, b, stride, padding),
        "conv_transpose2d-channels-first": lambda x, w, b, s, p: f.conv_transpose2d(x, w, b, s, p),
        "layer_norm-rows": lambda x, gain, shift: f.layer_norm(x, x.shape[-1:], gain, shift),
        "batch_norm-output-first": lambda x, gain, shift: f.batch_norm(x, None, None, gain, shift, training=True),
        "batch_norm_inference-channels-first": lambda x, g, s, mean, var: f.batch_norm(x, mean, var, g, s),
    }
    for name, function in own.items():
        assert judged(Here(function, "torch", name), form[name]).verdict == verdict.CONFORMS, name


def test_kl_div_of_a_logarithm_of_0_is_named_a_convention():
    torch = pytest.importorskip("torch")
    target = Here(lambda p, q: torch.nn.functional.kl_div(q.log(), p, reduction="sum"), "torch", "kl_div")
    found = judged(target, FORMS["kl_divergence-table"])
    assert (found.verdict, found.key) == (verdict.CONVENTION, "zero-over-zero")
