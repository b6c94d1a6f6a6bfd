"""Contracts of layers: linear, convolutions, batch norm, layer norm.

The variants are written for channels last, as `dimref.layers`; the form "channels-first" transposes around them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from dimref import layers, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import numbers, reference, transposed, variant, weights
from dimref.audit.contract import Contract, Form, Sizes
from dimref.tape import stop_gradient
from dimref.trees import Array

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # NCHW -> NHWC and back


def _divided_gradient(w: Array, batch: int) -> Array:
    """w, with a gradient divided by the size of the batch."""
    return stop_gradient(w) + (w - stop_gradient(w)) * (1.0 / batch)


# ---- linear


def linear(x: Array, w: Array, b: Array) -> Array:
    """x·w + b: (B, n_in), (n_in, n_out), (n_out,) → (B, n_out)."""
    return layers.linear({"w": w, "b": b}, x)


def linear_without_bias(x: Array, w: Array, b: Array) -> Array:
    """x·w."""
    return layers.linear({"w": w}, x)


def linear_reshaped(x: Array, w: Array, b: Array) -> Array:
    """The numbers of w read in the order of the other layout: reshaped where they should be transposed."""
    return linear(x, ops.transpose(ops.reshape(w, w.shape[::-1]), (1, 0)), b)


def linear_torch_reshaped(x: Array, w: Array, b: Array) -> Array:
    """The numbers of w (n_out, n_in) read as (n_in, n_out)."""
    return linear(x, ops.reshape(w, w.shape[::-1]), b)


def linear_relu(x: Array, w: Array, b: Array) -> Array:
    """max(x·w + b, 0)."""
    return ops.relu(linear(x, w, b))


def linear_divided_gradient(x: Array, w: Array, b: Array) -> Array:
    """x·w + b, whose gradients in w and b are divided by B."""
    return linear(x, _divided_gradient(w, x.shape[0]), _divided_gradient(b, x.shape[0]))


# ---- convolution


def conv2d(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """Cross-correlation: (B, H, W, C_in), (k, k, C_in, C_out), (C_out,) → (B, H', W', C_out)."""
    k, _, c_in, c_out = w.shape
    return layers.conv2d({"w": ops.reshape(w, (k * k * c_in, c_out)), "b": b}, x, k, stride, padding)


def conv2d_flipped(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """A true convolution: the kernel turned by 180°."""
    return conv2d(x, _flipped(w), b, stride, padding)


def conv2d_transposed_kernel(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """The rows of the kernel taken as its columns."""
    return conv2d(x, ops.transpose(w, (1, 0, 2, 3)), b, stride, padding)


def conv2d_without_bias(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """Cross-correlation, no bias."""
    return conv2d(x, w, stop_gradient(b) * 0, stride, padding)


def conv2d_behind(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """All of the padding below and to the right."""
    return conv2d(_padded(x, 0, 2 * padding), w, b, stride, 0)


def conv2d_in_front(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """All of the padding above and to the left."""
    return conv2d(_padded(x, 2 * padding, 0), w, b, stride, 0)


def conv2d_replicated(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """Padded by repeating the border in place of zeros."""
    rows, columns = (np.clip(np.arange(-padding, n + padding), 0, n - 1) for n in x.shape[1:3])
    return conv2d(_picked(x, rows, columns), w, b, stride, 0)


def conv2d_relu(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """A ReLU after the convolution."""
    return ops.relu(conv2d(x, w, b, stride, padding))


def conv2d_divided_gradient(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """Cross-correlation, whose gradients in w and b are divided by B."""
    return conv2d(x, _divided_gradient(w, x.shape[0]), _divided_gradient(b, x.shape[0]), stride, padding)


def conv2d_reshaped_image(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """The numbers of the images read as (B, C, H, W): reshaped where they should be transposed."""
    n, high, wide, c = x.shape
    return conv2d(ops.transpose(ops.reshape(x, (n, c, high, wide)), TO_LAST), w, b, stride, padding)


def conv2d_reshaped_weight(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """The numbers of the weight read as (C_out, C_in, k, k): reshaped where they should be transposed."""
    k, _, c_in, c_out = w.shape
    return conv2d(x, ops.transpose(ops.reshape(w, (c_out, c_in, k, k)), (2, 3, 1, 0)), b, stride, padding)


def conv2d_first_reshaped_image(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """Channels first: the numbers of the images read as (B, H, W, C)."""
    n, c, high, wide = x.shape
    last = conv2d(ops.reshape(x, (n, high, wide, c)), ops.transpose(w, (2, 3, 1, 0)), b, stride, padding)
    return ops.transpose(last, TO_FIRST)


def conv2d_first_reshaped_weight(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """Channels first: the numbers of the weight read as (k, k, C_in, C_out)."""
    c_out, c_in, k, _ = w.shape
    last = conv2d(ops.transpose(x, TO_LAST), ops.reshape(w, (k, k, c_in, c_out)), b, stride, padding)
    return ops.transpose(last, TO_FIRST)


def _flipped(w: Array) -> Array:
    return ops.cut(w, (slice(None, None, -1), slice(None, None, -1)))


def _padded(x: Array, front: int, behind: int) -> Array:
    n, high, wide, c = x.shape
    shape = (n, high + front + behind, wide + front + behind, c)
    return ops.paste(x, shape, (slice(None), slice(front, front + high), slice(front, front + wide)))


def _picked(x: Array, rows: np.ndarray, columns: np.ndarray) -> Array:
    """x[:, rows][:, :, columns], repeats allowed."""
    by_row = ops.gather(ops.transpose(x, (1, 0, 2, 3)), rows)  # (rows, B, W, C)
    by_column = ops.gather(ops.transpose(by_row, (2, 1, 0, 3)), columns)  # (columns, B, rows, C)
    return ops.transpose(by_column, (1, 2, 0, 3))


# ---- transposed convolution


def conv_transpose2d(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """The adjoint of conv2d: (B, H, W, C_in), (k, k, C_out, C_in), (C_out,) → (B, H', W', C_out)."""
    k, _, c_out, c_in = w.shape
    rows = ops.transpose(ops.reshape(w, (k * k * c_out, c_in)), (1, 0))
    return layers.conv_transpose2d({"w": rows, "b": b}, x, k, stride, padding)


def conv_transpose2d_flipped(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """Zeros put between the pixels and a cross-correlation with the kernel as it is: it should be turned by 180°."""
    return conv_transpose2d(x, _flipped(w), b, stride, padding)


def conv_transpose2d_transposed_kernel(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """The rows of the kernel taken as its columns."""
    return conv_transpose2d(x, ops.transpose(w, (1, 0, 2, 3)), b, stride, padding)


def conv_transpose2d_without_bias(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """No bias."""
    return conv_transpose2d(x, w, stop_gradient(b) * 0, stride, padding)


def conv_transpose2d_cropped(behind: bool, x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """The padding cut off one side alone: below and to the right, or above and to the left."""
    full = conv_transpose2d(x, w, b, stride, 0)
    begin, cut = (0, 2 * padding) if behind else (2 * padding, 0)
    return ops.cut(full, (slice(None), *(slice(begin, n - cut) for n in full.shape[1:3])))


def conv_transpose2d_overwritten(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """Overlapping patches overwrite each other, the last one wins, where they should add."""
    k, (n, high, wide, _) = w.shape[0], x.shape
    c_out = w.shape[2]
    columns = ops.reshape(
        layers.linear({"w": ops.transpose(ops.reshape(w, (k * k * c_out, -1)), (1, 0))}, x),
        (n, high, wide, k, k, c_out),
    )
    kept = np.zeros((1, high, wide, k, k, 1), columns.dtype if hasattr(columns, "dtype") else np.float64)
    taken: set[tuple[int, int]] = set()
    for p in reversed(range(high)):
        for q in reversed(range(wide)):
            for i in range(k):
                for j in range(k):
                    place = (p * stride + i, q * stride + j)
                    if place not in taken:
                        taken.add(place)
                        kept[0, p, q, i, j] = 1
    sizes = ((high - 1) * stride - 2 * padding + k, (wide - 1) * stride - 2 * padding + k)
    winners = ops.reshape(columns * kept, (n, high, wide, k * k * c_out))
    return ops.add(ops.col2im(winners, (n, *sizes, c_out), (k, k), (stride, stride), (padding, padding)), b)


# ---- what is asked


BIAS = "add the bias: one number for each output channel"
PER_BATCH = "sum the gradient over the batch; the mean belongs into the loss, once"

# ---- linear

LINEAR = Signature(("x", "w", "b"), differentiate=("x", "w", "b"))


def _draw_linear(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    n_in, n_out = sizes.m, sizes.locations
    return {
        "x": numbers(rng, sizes, sizes.n, n_in),
        "w": weights(rng, sizes, n_in, n_out),
        "b": weights(rng, sizes, n_out),
        "weight": weights(rng, sizes, sizes.n, n_out),
    }


_linear = partial(variant, LINEAR)
LINEAR_ROWS = Form(
    name="rows",
    signature=LINEAR,
    meaning="f(x (B, n_in), w (n_in, n_out), b (n_out,)) -> (B, n_out)",
    draw=_draw_linear,
    reference=reference(linear, LINEAR),
    mistakes=(
        _linear("bias-left-out", linear_without_bias, "a linear layer without its bias", BIAS),
        _linear("weight-reshaped", linear_reshaped,
                "a linear layer whose weight was reshaped where it should be transposed",
                "transpose the weight (w.T): reshape keeps the order of the numbers in memory"),
        _linear("relu-on-output", linear_relu, "a linear layer with a ReLU on its output",
                "leave the ReLU to the caller; a last layer has none"),
        _linear("gradient-per-batch", linear_divided_gradient,
                "a linear layer whose gradients in weight and bias are divided by the batch size", PER_BATCH),
    ),
)  # fmt: skip

# ---- convolution

CONV = Signature(("x", "w", "b", "stride", "padding"), differentiate=("x", "w", "b"))


def _draw_conv(transposed: bool, rng: np.random.Generator, sizes: Sizes) -> Inputs:
    k, stride, padding = sizes.kernel[0], sizes.stride[0], min(sizes.padding[0], sizes.kernel[0] - 1)
    c_in, c_out, n = sizes.m, sizes.locations, sizes.n
    if transposed:  # (H − 1)·stride − 2·padding + k ≥ 1
        high, wide = (1 + -(-2 * padding // stride) + extra for extra in sizes.extra)
        w = weights(rng, sizes, k, k, c_out, c_in)
        seen = tuple((side - 1) * stride - 2 * padding + k for side in (high, wide))
    else:
        high, wide = (max(1, k - 2 * padding) + extra for extra in sizes.extra)
        w = weights(rng, sizes, k, k, c_in, c_out)
        seen = ops.out_sizes((n, high, wide, c_in), (k, k), (stride, stride), (padding, padding))
    return {
        "x": numbers(rng, sizes, n, high, wide, c_in),
        "w": w,
        "b": weights(rng, sizes, c_out),
        "stride": stride,
        "padding": padding,
        "weight": weights(rng, sizes, n, *seen, c_out),
    }


_conv = partial(variant, CONV)
CONV_LAST = Form(
    name="channels-last",
    signature=CONV,
    meaning="f(x (B, H, W, C_in), w (k, k, C_in, C_out), b (C_out,), stride, padding) -> (B, H', W', C_out)",
    draw=partial(_draw_conv, False),
    reference=reference(conv2d, CONV),
    mistakes=(
        _conv("kernel-flipped", conv2d_flipped, "a true convolution: the kernel is turned by 180°",
              "use the kernel as it is: every framework's convolution is a cross-correlation",
              "Goodfellow, Bengio & Courville 2016, section 9.1; scipy.signal.convolve2d flips, correlate2d does not"),
        _conv("kernel-transposed", conv2d_transposed_kernel,
              "a convolution whose kernel has rows and columns exchanged",
              "index the kernel [row, column] as the image"),
        _conv("bias-left-out", conv2d_without_bias, "a convolution without its bias", BIAS),
        _conv("padding-behind", conv2d_behind, "a convolution padded below and to the right alone",
              "pad on every side; TensorFlow's SAME puts the odd pixel behind, so pad by hand and use VALID",
              "TensorFlow, padding='SAME' with stride 2"),
        _conv("padding-in-front", conv2d_in_front, "a convolution padded above and to the left alone",
              "pad on every side"),
        _conv("padding-replicated", conv2d_replicated, "a convolution padded by repeating the border",
              "pad with zeros"),
        _conv("image-reshaped", conv2d_reshaped_image,
              "a convolution of an image reshaped to another layout where it should be transposed",
              "transpose the axes; reshape keeps the order of the numbers in memory"),
        _conv("weight-reshaped", conv2d_reshaped_weight,
              "a convolution whose weight was reshaped to another layout where it should be transposed",
              "transpose the axes; reshape keeps the order of the numbers in memory"),
        _conv("relu-on-output", conv2d_relu, "a convolution with a ReLU on its output",
              "leave the ReLU to the caller: batch norm comes before it"),
        _conv("gradient-per-batch", conv2d_divided_gradient,
              "a convolution whose gradients in weight and bias are divided by the batch size", PER_BATCH),
    ),
)  # fmt: skip
TRANSPOSE_LAST = Form(
    name="channels-last",
    signature=CONV,
    meaning="f(x (B, H, W, C_in), w (k, k, C_out, C_in), b (C_out,), stride, padding) -> (B, H', W', C_out)",
    draw=partial(_draw_conv, True),
    reference=reference(conv_transpose2d, CONV),
    mistakes=(
        _conv("kernel-flipped", conv_transpose2d_flipped, "a transposed convolution whose kernel is turned by 180°",
              "turn the kernel when zeros are put between the pixels, or add kernel-sized patches",
              "arXiv 1603.07285, section 4 (Dumoulin & Visin)"),
        _conv("kernel-transposed", conv_transpose2d_transposed_kernel,
              "a transposed convolution whose kernel has rows and columns exchanged",
              "transpose the channels of the weight, not its rows and columns"),
        _conv("bias-left-out", conv_transpose2d_without_bias, "a transposed convolution without its bias", BIAS),
        _conv("cropped-behind", partial(conv_transpose2d_cropped, True),
              "a transposed convolution whose padding is cut off below and to the right alone",
              "cut `padding` off every side"),
        _conv("cropped-in-front", partial(conv_transpose2d_cropped, False),
              "a transposed convolution whose padding is cut off above and to the left alone",
              "cut `padding` off every side"),
        _conv("overlaps-overwritten", conv_transpose2d_overwritten,
              "a transposed convolution whose overlapping patches overwrite each other",
              "add the patches: out[...] += patch"),
    ),
)  # fmt: skip

_IMAGES = {"x": TO_FIRST, "value": TO_FIRST}


def _with_reshaped(form: Form, functions: Mapping[str, Callable[..., Array]]) -> Form:
    """A form in another layout, in which what is reshaped is another function: of the numbers in its own order."""
    return replace(
        form,
        mistakes=tuple(
            replace(each, function=reference(functions[each.key], form.signature)) if each.key in functions else each
            for each in form.mistakes
        ),
    )


_LINEAR_TORCH = transposed(
    "torch", LINEAR_ROWS, "f(x (B, n_in), w (n_out, n_in), b (n_out,)) -> (B, n_out)", {"w": (1, 0)}
)
_CONV_FIRST = transposed(
    "channels-first",
    CONV_LAST,
    "f(x (B, C_in, H, W), w (C_out, C_in, k, k), b (C_out,), stride, padding) -> (B, C_out, H', W')",
    {**_IMAGES, "w": (3, 2, 0, 1)},
)
CONTRACTS: tuple[Contract, ...] = (
    Contract(
        "layer", "linear", "x·w + b",
        (LINEAR_ROWS, _with_reshaped(_LINEAR_TORCH, {"weight-reshaped": linear_torch_reshaped})),
        "dimref.layers.linear",
    ),
    Contract(
        "layer", "conv2d", "cross-correlation of images, padded with zeros",
        (CONV_LAST, _with_reshaped(_CONV_FIRST, {
            "image-reshaped": conv2d_first_reshaped_image, "weight-reshaped": conv2d_first_reshaped_weight})),
        "dimref.layers.conv2d",
    ),
    Contract(
        "layer", "conv_transpose2d", "the adjoint of conv2d in its input, plus a bias",
        (TRANSPOSE_LAST, transposed(
            "channels-first", TRANSPOSE_LAST,
            "f(x (B, C_in, H, W), w (C_in, C_out, k, k), b (C_out,), stride, padding) -> (B, C_out, H', W')",
            {**_IMAGES, "w": (3, 2, 0, 1)})),
        "dimref.layers.conv_transpose2d",
    ),
)  # fmt: skip
