"""Contracts of layers: linear, convolutions, batch norm, layer norm.

Formulas are written for channels last, as `dimref.layers`; the form "channels-first" transposes around them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dimref import layers, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import Row, numbers, reference, transposed, variants, weights
from dimref.audit.contract import Contract, Form, Sizes
from dimref.audit.edits import Formula, Instead, Rule, rewritten
from dimref.tape import stop_gradient
from dimref.trees import Array

# ---- formulas, edited


def linear(x: Array, w: Array, b: Array) -> Array:
    """x·w + b: (B, n_in), (n_in, n_out), (n_out,) → (B, n_out)."""
    return ops.matmul(x, w) + b


def conv2d(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """Cross-correlation: (B, H, W, C_in), (k, k, C_in, C_out), (C_out,) → (B, H', W', C_out)."""
    return convolved(x, w, stride, padding) + b


def conv_transpose2d(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """The adjoint of conv2d: (B, H, W, C_in), (k, k, C_out, C_in), (C_out,) → (B, H', W', C_out)."""
    return spread(x, w, stride, padding) + b


# ---- pieces


def convolved(x: Array, w: Array, stride: int, padding: int) -> Array:
    """Cross-correlation without a bias."""
    k, _, c_in, c_out = w.shape
    return layers.conv2d({"w": ops.reshape(w, (k * k * c_in, c_out))}, x, k, stride, padding)


def spread(x: Array, w: Array, stride: int, padding: int) -> Array:
    """Its adjoint."""
    return layers.conv_transpose2d({"w": _rows(w)}, x, w.shape[0], stride, padding)


def _rows(w: Array) -> Array:
    k, _, c_out, c_in = w.shape
    return ops.transpose(ops.reshape(w, (k * k * c_out, c_in)), (1, 0))


def flipped(w: Array) -> Array:
    """The kernel turned by 180°."""
    return ops.cut(w, (slice(None, None, -1), slice(None, None, -1)))


def turned(w: Array) -> Array:
    """The rows of the kernel taken as its columns."""
    return ops.transpose(w, (1, 0, 2, 3))


def padded(x: Array, front: int, behind: int) -> Array:
    """Zeros above and to the left, below and to the right."""
    n, high, wide, c = x.shape
    shape = (n, high + front + behind, wide + front + behind, c)
    return ops.paste(x, shape, (slice(None), slice(front, front + high), slice(front, front + wide)))


def replicated(x: Array, padding: int) -> Array:
    """The border repeated."""
    rows, columns = (np.clip(np.arange(-padding, n + padding), 0, n - 1) for n in x.shape[1:3])
    by_row = ops.gather(turned(x), rows)  # (rows, B, W, C)
    by_column = ops.gather(ops.transpose(by_row, (2, 1, 0, 3)), columns)  # (columns, B, rows, C)
    return ops.transpose(by_column, (1, 2, 0, 3))


def cropped(x: Array, front: int, behind: int) -> Array:
    """So much cut off above and to the left, below and to the right."""
    return ops.cut(x, (slice(None), *(slice(front, n - behind) for n in x.shape[1:3])))


def per_batch(w: Array, x: Array) -> Array:
    """w, with a gradient divided by the size of the batch."""
    return stop_gradient(w) + (w - stop_gradient(w)) * (1.0 / x.shape[0])


def reshaped(x: Array, axes: tuple[int, ...]) -> Array:
    """The numbers of x in the order of its axes permuted: reshaped where it should be transposed."""
    return ops.transpose(ops.reshape(x, tuple(x.shape[k] for k in axes)), tuple(int(k) for k in np.argsort(axes)))


def overwritten(x: Array, w: Array, stride: int, padding: int) -> Array:
    """Overlapping patches overwrite each other, the last one wins, where they should add."""
    k, (n, high, wide, _) = w.shape[0], x.shape
    c_out = w.shape[2]
    columns = ops.reshape(
        layers.linear({"w": _rows(w)}, x),
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
    return ops.col2im(winners, (n, *sizes, c_out), (k, k), (stride, stride), (padding, padding))


# ---- what is asked

LINEAR = Signature(("x", "w", "b"), differentiate=("x", "w", "b"))
CONV = Signature(("x", "w", "b", "stride", "padding"), differentiate=("x", "w", "b"))


def _draw_linear(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    n_in, n_out = sizes.m, sizes.locations
    return {
        "x": numbers(rng, sizes, sizes.n, n_in),
        "w": weights(rng, sizes, n_in, n_out),
        "b": weights(rng, sizes, n_out),
        "weight": weights(rng, sizes, sizes.n, n_out),
    }


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


# fmt: off
INSTEAD: Instead = {
    "convolved": (
        ("kernel-transposed", "convolved({x}, turned({y}), stride, padding)", "rows and columns of its kernel exchanged"),
        ("padding-in-front", "convolved(padded({x}, 2 * padding, 0), {y}, stride, 0)",
         "its padding above and to the left alone"),
        ("padding-replicated", "convolved(replicated({x}, padding), {y}, stride, 0)", "its border repeated for zeros"),
    ),
    "spread": (
        ("kernel-transposed", "spread({x}, turned({y}), stride, padding)", "rows and columns of its kernel exchanged"),
        ("cropped-behind", "cropped(spread({x}, {y}, stride, 0), 0, 2 * padding)",
         "its padding cut off below and to the right alone"),
        ("cropped-in-front", "cropped(spread({x}, {y}, stride, 0), 2 * padding, 0)",
         "its padding cut off above and to the left alone"),
        ("overlaps-overwritten", "overwritten({x}, {y}, stride, padding)", "overlapping patches that overwrite each other"),
    ),
}
ON_OUTPUT = Rule("squash", "relu-on-output", "a ReLU on its output", "ops.relu({it})")
MEMORY = "transpose the axes; reshape keeps the order of the numbers in memory"


def _form(name: str, signature: Signature, meaning: str, draw: Callable[..., Inputs], function: Callable[..., Array],
          title: str, *mistakes: Row) -> Form:
    def averaged(x: Array, w: Array, b: Array, *more: int) -> Array:
        return function(x, per_batch(w, x), per_batch(b, x), *more)

    formula = Formula(function, instead=INSTEAD, whole=(ON_OUTPUT,), squashes=(), scope=globals())
    more = ("gradient-per-batch", averaged, f"{title} whose gradients in weight and bias are divided by the batch size",
            "sum the gradient over the batch; the mean belongs into the loss, once")
    made = rewritten((formula, partial(reference, signature=signature), title), without=("maximum",))
    return Form(name, signature, meaning, draw, reference(function, signature), mistakes=variants(signature, mistakes),
                edits=functools.cache(lambda: (*made["edits"](), *variants(signature, (more,)))), pairs=made["pairs"])


def _weight_reshaped(function: Callable[..., Array], axes: tuple[int, ...], title: str) -> Row:
    return ("weight-reshaped", lambda x, w, b, *more: function(x, reshaped(w, axes), b, *more),
            f"{title} whose weight was reshaped to another layout where it should be transposed", MEMORY)


def _image_reshaped(axes: tuple[int, ...]) -> Row:
    return ("image-reshaped", lambda x, *more: conv2d(reshaped(x, axes), *more),
            "a convolution of an image reshaped to another layout where it should be transposed", MEMORY)


def _in_own_order(form: Form, *rows: Row) -> Form:
    """A form in another layout, in which what is reshaped has the numbers in its own order."""
    mine = {each.key: each for each in variants(form.signature, rows)}
    return replace(form, mistakes=tuple(mine.get(each.key, each) for each in form.mistakes))


LINEAR_ROWS = _form("rows", LINEAR, "f(x (B, n_in), w (n_in, n_out), b (n_out,)) -> (B, n_out)", _draw_linear, linear,
                    "a linear layer", _weight_reshaped(linear, (1, 0), "a linear layer"))
CONV_LAST = _form(
    "channels-last", CONV, "f(x (B, H, W, C_in), w (k, k, C_in, C_out), b (C_out,), stride, padding) -> (B, H', W', C_out)",
    partial(_draw_conv, False), conv2d, "a convolution",
    ("kernel-flipped", lambda x, w, *more: conv2d(x, flipped(w), *more), "a true convolution: the kernel is turned by 180°",
     "use the kernel as it is: every framework's convolution is a cross-correlation",
     "Goodfellow, Bengio & Courville 2016, section 9.1; scipy.signal.convolve2d flips, correlate2d does not"),
    ("padding-behind", lambda x, w, b, stride, padding: conv2d(padded(x, 0, 2 * padding), w, b, stride, 0),
     "a convolution padded below and to the right alone",
     "pad on every side; TensorFlow's SAME puts the odd pixel behind, so pad by hand and use VALID",
     "TensorFlow, padding='SAME' with stride 2"),
    _image_reshaped((0, 3, 1, 2)), _weight_reshaped(conv2d, (3, 2, 0, 1), "a convolution"),
)
TRANSPOSE_LAST = _form(
    "channels-last", CONV, "f(x (B, H, W, C_in), w (k, k, C_out, C_in), b (C_out,), stride, padding) -> (B, H', W', C_out)",
    partial(_draw_conv, True), conv_transpose2d, "a transposed convolution",
    ("kernel-flipped", lambda x, w, *more: conv_transpose2d(x, flipped(w), *more),
     "a transposed convolution whose kernel is turned by 180°",
     "turn the kernel when zeros are put between the pixels, or add kernel-sized patches",
     "arXiv 1603.07285, section 4 (Dumoulin & Visin)"),
)
TO_FIRST = {"x": (0, 3, 1, 2), "value": (0, 3, 1, 2), "w": (3, 2, 0, 1)}
_LINEAR_TORCH = transposed("torch", LINEAR_ROWS, "f(x (B, n_in), w (n_out, n_in), b (n_out,)) -> (B, n_out)", {"w": (1, 0)})
_CONV_FIRST = transposed("channels-first", CONV_LAST,
                         "f(x (B, C_in, H, W), w (C_out, C_in, k, k), b (C_out,), stride, padding) "
                         "-> (B, C_out, H', W')", TO_FIRST)
_TRANSPOSE_FIRST = transposed(
    "channels-first", TRANSPOSE_LAST,
    "f(x (B, C_in, H, W), w (C_in, C_out, k, k), b (C_out,), stride, padding) -> (B, C_out, H', W')", TO_FIRST)


def _linear_torch(x: Array, w: Array, b: Array) -> Array:
    return linear(x, ops.reshape(w, w.shape[::-1]), b)


def _first_image(x: Array, w: Array, *more: Any) -> Array:
    n, c, high, wide = x.shape
    last = conv2d(ops.reshape(x, (n, high, wide, c)), ops.transpose(w, (2, 3, 1, 0)), *more)
    return ops.transpose(last, (0, 3, 1, 2))


def _first_weight(x: Array, w: Array, *more: Any) -> Array:
    c_out, c_in, k, _ = w.shape
    last = conv2d(ops.transpose(x, (0, 2, 3, 1)), ops.reshape(w, (k, k, c_in, c_out)), *more)
    return ops.transpose(last, (0, 3, 1, 2))


CONTRACTS: tuple[Contract, ...] = (
    Contract("layer", "linear", "x·w + b", (LINEAR_ROWS, _in_own_order(
        _LINEAR_TORCH, ("weight-reshaped", _linear_torch, *_weight_reshaped(linear, (1, 0), "a linear layer")[2:]))),
        "dimref.layers.linear"),
    Contract("layer", "conv2d", "cross-correlation of images, padded with zeros", (CONV_LAST, _in_own_order(
        _CONV_FIRST, ("image-reshaped", _first_image, *_image_reshaped((0, 3, 1, 2))[2:]),
        ("weight-reshaped", _first_weight, *_weight_reshaped(conv2d, (3, 2, 0, 1), "a convolution")[2:]))),
        "dimref.layers.conv2d"),
    Contract("layer", "conv_transpose2d", "the adjoint of conv2d in its input, plus a bias",
             (TRANSPOSE_LAST, _TRANSPOSE_FIRST),
             "dimref.layers.conv_transpose2d"),
)
