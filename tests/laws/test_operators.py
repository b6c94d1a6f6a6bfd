"""Laws of operators hold, and a broken primitive or layer breaks the right one."""

import numpy as np
import pytest
from law_cases import broken_functions_break, laws_of

from dimref import layers, ops
from dimref.laws import operators

pytestmark = pytest.mark.usefixtures("plain_forms")
LAWS = laws_of(operators)


# ---- what each law is there to catch: (module, function, what replaces it given the original, the laws that break)


def flipped(good):
    """Convolution instead of cross-correlation."""
    return lambda p, x, *geometry: good({**p, "w": p["w"][::-1]}, x, *geometry)


def fixed_statistics(good):
    """The gradient does not flow through mean and variance."""

    def normalize(x, gain, shift, epsilon, relu):
        _, mu, variance = good(x, gain, shift, epsilon, relu)
        scale = gain / np.sqrt(variance + epsilon)
        return ops.add(ops.multiply(ops.subtract(x, mu), scale), shift), mu, variance

    return normalize


BROKEN = [
    (ops, "im2col", lambda good: lambda x, k, s, p: good(x[:, ::-1], k, s, p),
     ["im2col_and_col2im_are_adjoint", "convolution_is_its_sum_over_taps"]),
    (ops, "col2im", lambda good: lambda g, shape, k, s, p: np.minimum(good(g, shape, k, s, p), 1),
     ["im2col_and_col2im_are_adjoint", "transposed_convolution_is_adjoint"]),
    (ops, "sum_to", lambda good: lambda x, shape: good(x, shape) / 2, ["broadcast_and_sum_are_adjoint"]),
    (ops, "broadcast_to", lambda good: lambda x, shape: good(x, shape) * 2, ["broadcast_and_sum_are_adjoint"]),
    (ops, "scatter_add", lambda good: lambda g, index, rows: np.clip(good(g, index, rows), -1, 1),
     ["gather_and_scatter_are_adjoint"]),
    (ops, "gather", lambda good: lambda x, index: good(x[::-1], index), ["gather_and_scatter_are_adjoint"]),
    (ops, "paste", lambda good: lambda x, shape, window: good(x, shape, (slice(0, len(x)),)),
     ["cut_and_paste_are_adjoint"]),
    (ops, "cut", lambda good: lambda x, window: good(x, window) + 1, ["cut_and_paste_are_adjoint"]),
    (layers, "conv2d", flipped, ["convolution_is_its_sum_over_taps"]),
    (layers, "conv2d", lambda good: lambda p, x, *geometry: good(p, x * x, *geometry), ["convolution_is_bilinear"]),
    (layers, "conv2d", lambda good: lambda p, x, *geometry: good(p, ops.relu(x), *geometry),
     ["transposed_convolution_is_adjoint"]),
    (layers, "conv_transpose2d", lambda good: lambda p, x, *geometry: good({"w": p["w"][:, ::-1]}, x, *geometry),
     ["transposed_convolution_is_adjoint"]),
    (layers, "normalize", lambda good: lambda x, *rest: (good(x, *rest)[0] * 1.01, *good(x, *rest)[1:]),
     ["batch_norm_has_its_moments"]),
    (layers, "normalize", fixed_statistics, ["batch_norm_gradient_is_orthogonal"]),
    (layers, "normalize", lambda good: lambda x, gain, *rest: good(x, 1 + 0 * gain, *rest),
     ["batch_norm_has_its_moments"]),
    (ops, "softplus", lambda good: lambda x: np.log(1 + np.exp(x)), ["softplus_sigmoid_relu_mirror"]),
    (ops, "sigmoid", lambda good: lambda x: good(x) ** 2, ["softplus_sigmoid_relu_mirror"]),
    (ops, "relu", lambda good: lambda x: good(x) + 0.01 * x, ["softplus_sigmoid_relu_mirror"]),
    (ops, "logsumexp", lambda good: lambda x, axis=None: np.log(np.exp(x).sum(axis)), ["logsumexp_lies_above_the_maximum"]),
    (ops, "logsumexp", lambda good: lambda x, axis=None: good(x, None if axis is None else 1 - axis),
     ["logsumexp_lies_above_the_maximum"]),
    (ops, "logmeanexp", lambda good: lambda x, axis=None: -good(-x, axis), ["logsumexp_lies_above_the_maximum"]),
]  # fmt: skip


test_broken_function_breaks_its_laws = broken_functions_break(LAWS, BROKEN)
