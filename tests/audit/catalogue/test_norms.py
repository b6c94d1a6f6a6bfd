"""Batch norm and layer norm: PyTorch conforms, every variant departs as much as it says, other defaults are conventions."""

import numpy as np
import pytest
from catalogue_checks import PLAIN, SIZES, answered, drawn, forms, same

from dimref.audit.catalogue.norms import CONTRACTS
from dimref.audit.contract import Sizes

FORMS = dict(forms(CONTRACTS))


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


@pytest.mark.parametrize("name", ["batch_norm-output-last", "layer_norm-rows"])
def test_without_epsilon_a_constant_gives_nan(name):
    form = FORMS[name]
    (without,) = (each for each in form.edits() if each.key == "epsilon-left-out")
    inputs = drawn(form, Sizes(**{**PLAIN, "regime": "shifted"}))
    assert np.isnan(answered(without.function, form, inputs)["out"]).any()
    assert np.isfinite(form.reference(inputs)["out"]).all()
