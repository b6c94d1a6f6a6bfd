"""Batch norm and layer norm: PyTorch conforms, every variant departs as much as it says, other defaults are conventions."""

import numpy as np
import pytest
from catalogue_checks import PLAIN, SIZES, answered, drawn, forms, off, percent, refuse_two_alike, same, variants

from dimref.audit.catalogue.norms import CONTRACTS
from dimref.audit.contract import Sizes

FORMS = dict(forms(CONTRACTS))
KNOWN = variants(CONTRACTS)


def torch_functions():
    torch = pytest.importorskip("torch")
    f = torch.nn.functional

    def training(x, gain, shift, mean, variance):
        mean, variance = mean.clone(), variance.clone()
        return f.batch_norm(x, mean, variance, gain, shift, training=True), mean, variance

    def inference(x, gain, shift, mean, variance):
        return f.batch_norm(x, mean, variance, gain, shift)

    def last(function):
        def call(x, *rest):
            found = function(x.permute(0, 3, 1, 2), *rest)
            out, *state = found if isinstance(found, tuple) else (found,)
            return (out.permute(0, 2, 3, 1), *state) if state else out.permute(0, 2, 3, 1)

        return call

    def output(x, gain, shift):
        return f.batch_norm(x, None, None, gain, shift, training=True)

    return {
        "batch_norm-channels-first": training,
        "batch_norm-channels-last": last(training),
        "batch_norm-output-first": output,
        "batch_norm-output-last": last(output),
        "batch_norm_inference-channels-first": inference,
        "batch_norm_inference-channels-last": last(inference),
        "layer_norm-rows": lambda x, gain, shift: f.layer_norm(x, x.shape[-1:], gain, shift),
    }


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_pytorch_conforms(name, dtype):
    torch, function, form = pytest.importorskip("torch"), torch_functions()[name], FORMS[name]
    for k, sizes in enumerate(SIZES):
        sizes = Sizes(**{**vars(sizes), "dtype": dtype})
        inputs = drawn(form, sizes, k)
        expected = answered(form.reference, form, inputs)
        tensors = {key: torch.tensor(inputs[key], requires_grad=True) for key in form.signature.differentiate}
        rest = [torch.tensor(inputs[key]) for key in form.signature.arguments[3:]]
        found = function(*tensors.values(), *rest)
        outputs = found if isinstance(found, tuple) else (found,)
        (outputs[0] * torch.tensor(inputs["weight"])).sum().backward()
        found = dict(zip(form.signature.outputs, (each.detach().numpy() for each in outputs), strict=True))
        found.update({f"∂{key}": each.grad.numpy() for key, each in tensors.items()})
        same(found, expected, 1e-9 if dtype == "float64" else 2e-4)


@pytest.mark.parametrize(("form", "variant"), [each[1:] for each in KNOWN], ids=[each[0] for each in KNOWN])
def test_a_variant_departs_as_much_as_it_says(form, variant):
    size = off(form, variant, Sizes(**PLAIN))
    assert size > 1e-6
    if "random" in variant.consequence or "gradient in x" in variant.consequence:
        assert percent(variant.consequence) == pytest.approx(size, rel=0.1)


# One layout of a batch norm stands for the others.
@pytest.mark.parametrize(
    "form",
    [
        form
        if not name.startswith("batch_norm-") or name == "batch_norm-output-last"
        else pytest.param(form, marks=pytest.mark.exhaustive)
        for name, form in FORMS.items()
    ],
    ids=FORMS,
)
def test_variants_differ_from_each_other(form):
    refuse_two_alike(form)


def test_what_epsilon_does_is_what_is_said():
    """At variance 1e-4, of two values ±0.01 about a mean."""
    x = np.array([[-0.01], [0.01]]).reshape(2, 1, 1, 1)
    form = FORMS["batch_norm-output-last"]
    inputs = {"x": x, "gain": np.ones(1), "shift": np.zeros(1), "weight": np.ones_like(x)}
    right = form.reference(inputs)["out"].max()
    for each in form.conventions:
        found = each.function(inputs)["out"].max()
        said = float(each.consequence.rsplit(" by ", 1)[1].split(" %")[0]) / 100
        assert abs(found / right - 1) == pytest.approx(said, rel=0.06)


@pytest.mark.parametrize("name", ["batch_norm-output-last", "layer_norm-rows"])
def test_without_epsilon_a_constant_gives_nan(name):
    form = FORMS[name]
    (without,) = (each for each in form.mistakes if each.key == "epsilon-left-out")
    inputs = drawn(form, Sizes(**{**PLAIN, "regime": "shifted"}))
    assert np.isnan(answered(without.function, form, inputs)["out"]).any()
    assert np.isfinite(form.reference(inputs)["out"]).all()
