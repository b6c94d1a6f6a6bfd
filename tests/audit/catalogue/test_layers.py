"""Linear layers and convolutions: PyTorch and naive loops conform, every variant departs as much as it says."""

import numpy as np
import pytest
from catalogue_checks import SIZES, answered, drawn, forms, same

from dimref.audit.catalogue.layers import CONTRACTS
from dimref.audit.contract import Sizes

FORMS = dict(forms(CONTRACTS))


def torch_functions():
    torch = pytest.importorskip("torch")
    f = torch.nn.functional

    def last(function, axes):
        def call(x, w, b, stride, padding):
            out = function(x.permute(0, 3, 1, 2), w.permute(axes), b, stride, padding)
            return out.permute(0, 2, 3, 1)

        return call

    return {
        "linear-rows": lambda x, w, b: x @ w + b,
        "linear-torch": f.linear,
        "conv2d-channels-first": f.conv2d,
        "conv2d-channels-last": last(f.conv2d, (3, 2, 0, 1)),
        "conv_transpose2d-channels-first": f.conv_transpose2d,
        "conv_transpose2d-channels-last": last(f.conv_transpose2d, (3, 2, 0, 1)),
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
        value = function(*tensors.values(), *(inputs[key] for key in form.signature.arguments[3:]))
        (value * torch.tensor(inputs["weight"])).sum().backward()
        found = {"value": value.detach().numpy(), **{f"∂{key}": each.grad.numpy() for key, each in tensors.items()}}
        same(found, expected, 1e-12 if dtype == "float64" else 1e-5)


def test_a_convolution_is_that_of_a_naive_loop():
    form = FORMS["conv2d-channels-last"]
    for k, sizes in enumerate(SIZES[:4]):
        x, w, b, stride, padding = (drawn(form, sizes, k)[name] for name in form.signature.arguments)
        padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
        side, value = w.shape[0], form.reference(drawn(form, sizes, k))["value"]
        for n, p, q, o in np.ndindex(*value.shape):
            window = padded[n, p * stride : p * stride + side, q * stride : q * stride + side]
            assert np.isclose(value[n, p, q, o], (window * w[..., o]).sum() + b[o], rtol=1e-12, atol=1e-12)
