"""Differentiable primitives, each with its hand-written VJP right below it.

A primitive is a function of raw arrays that autograd's tape records. autograd has its own for arithmetic, exp, log and
sqrt; below are those that it lacks, and those whose VJPs in autograd fail on an array of another library or silently turn
float32 into float64. Every VJP here is written with primitives, so second derivatives come for free. A VJP that needs only
an array's shape binds it when it is made, `s=x.shape`: one that held x would hold its memory.

Adjoint pairs: `cut` and `paste`, `gather` and `scatter_add`, `broadcast_to` and `sum_to`, `im2col` and `col2im`. Reductions
take one axis, or all of them where axis is None.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, defvjp_argnum
from numpy.lib.array_utils import normalize_axis_index

from dimref.tape import primitive, region, stop_gradient
from dimref.trees import Array

Shape = tuple[int, ...]
Pair = tuple[int, int]


# ---- moving elements


@primitive
def reshape(x: Array, shape: Shape) -> Array:
    """The same elements in another shape."""
    return x.reshape(shape)


defvjp(reshape, lambda ans, x, shape: lambda g, s=x.shape: reshape(g, s))


@primitive
def transpose(x: Array, axes: Shape) -> Array:
    """Permute the axes: result axis k is axis `axes[k]` of x."""
    return x.transpose(axes)


defvjp(
    transpose, lambda ans, x, axes: lambda g: transpose(g, tuple(np.argsort([k % len(axes) for k in axes]).tolist()))
)


@primitive
def cut(x: Array, window: tuple[slice, ...]) -> Array:
    """x[window] for a tuple of slices, one per leading axis. (autograd's own indexing adds gradients one by one.)"""
    return x[window]


defvjp(cut, lambda ans, x, window: lambda g, s=x.shape: paste(g, s, window))


@primitive
def paste(x: Array, shape: Shape, window: tuple[slice, ...]) -> Array:
    """The adjoint of `cut`: zeros of `shape` with x in their window."""
    out = np.zeros_like(x, shape=shape, order="C")
    out[window] = x
    return out


defvjp(paste, lambda ans, x, shape, window: lambda g: cut(g, window))


def concatenate(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Join arrays along one axis."""
    return _concatenate(axis, *arrays)


@primitive
def _concatenate(axis: int, *arrays: Array) -> Array:
    return np.concatenate(arrays, axis)


def _concatenate_vjp(argnum: int, ans: Array, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    axis, *arrays = args
    start = sum(a.shape[axis] for a in arrays[: argnum - 1])
    window = (slice(None),) * (axis % ans.ndim) + (slice(start, start + arrays[argnum - 1].shape[axis]),)
    return lambda g: cut(g, window)


defvjp_argnum(_concatenate, _concatenate_vjp)


@primitive
def gather(x: Array, index: Array) -> Array:
    """Rows of x: result[p, ...] = x[index[p], ...], for an integer index of any shape; −1 is the last row."""
    return x[index]


defvjp(gather, lambda ans, x, index: lambda g, n=x.shape[0]: scatter_add(g, index, n))


@primitive
def scatter_add(g: Array, index: Array, rows: int) -> Array:
    """The adjoint of `gather`: result[r] = the sum of g[p] over all p with index[p] = r or r − rows.

    A product with a one-hot matrix, which BLAS does faster than NumPy adds row by row.
    """
    row = np.arange(rows, like=index)
    one_hot = (row.reshape(rows, 1) == row[index].reshape(1, -1)).astype(g.dtype)
    tail = g.shape[index.ndim :]
    return matmul(one_hot, g.reshape(index.size, math.prod(tail))).reshape(rows, *tail)


defvjp(scatter_add, lambda ans, g, index, rows: lambda h: gather(h, index))


# ---- sums


@primitive
def broadcast_to(x: Array, shape: Shape) -> Array:
    """Repeat x along new and size-1 axes until it has `shape`."""
    return np.broadcast_to(x, shape)


defvjp(broadcast_to, lambda ans, x, shape: lambda g, s=x.shape: sum_to(g, s))


@primitive
def sum_to(x: Array, shape: Shape) -> Array:
    """The adjoint of `broadcast_to`: sum x over the axes along which `shape` would be repeated to become x.shape."""
    new = x.ndim - len(shape)
    axes = tuple(range(new)) + tuple(new + k for k, n in enumerate(shape) if n == 1 and x.shape[new + k] != 1)
    return x.sum(axis=axes).reshape(shape) if axes else x.reshape(shape)


defvjp(sum_to, lambda ans, x, shape: lambda g, s=x.shape: broadcast_to(g, s))


def _reduced(x: Array, axis: int | None, keepdims: bool) -> Shape:
    """x's shape after a reduction along an axis, or along all."""
    one = (1,) if keepdims else ()
    if axis is None:
        return one * x.ndim
    axis = normalize_axis_index(axis, x.ndim)
    return (*x.shape[:axis], *one, *x.shape[axis + 1 :])


def total(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """Σ x."""
    return reshape(sum_to(x, _reduced(x, axis, True)), _reduced(x, axis, keepdims))


def mean(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """(1/n) Σ x."""
    sums = total(x, axis, keepdims)
    return sums * (sums.size / x.size)


def logsumexp(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """log Σ exp(x); finite for finite x of any size."""
    return reshape(_logsumexp(x, axis), _reduced(x, axis, keepdims))


def logmeanexp(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """log (1/n) Σ exp(x)."""
    sums = logsumexp(x, axis, keepdims)
    return sums - math.log(x.size / sums.size)


@primitive
def _logsumexp(x: Array, axis: int | None) -> Array:
    top = x.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, np.zeros_like(top))  # all −inf must give −inf, not NaN
    with np.errstate(divide="ignore"):
        return np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top


defvjp(_logsumexp, lambda ans, x, axis: lambda g: multiply(g, _softmax(x, ans)))


def _softmax(x: Array, log_sum: Array) -> Array:
    """exp(x − log Σ exp(x)), by convention 0 where all are −inf."""
    return anp.exp(subtract(x, anp.clip(log_sum, float(np.finfo(x.dtype).min), math.inf)))


# ---- sums and products of two arrays


@primitive
def add(x: Array, y: Array) -> Array:
    """x + y of two arrays, either of them traced or not; so with `subtract` and `multiply`.

    `+` does the same, except where an untraced array of another library on its left meets autograd's box on its right.
    """
    return x + y


defvjp(
    add,
    lambda ans, x, y: lambda g, s=x.shape: sum_to(g, s),
    lambda ans, x, y: lambda g, s=y.shape: sum_to(g, s),
)


def subtract(x: Array, y: Array) -> Array:
    """x − y of two arrays."""
    return add(x, -y)


@primitive
def multiply(x: Array, y: Array) -> Array:
    """x·y, element by element, of two arrays."""
    return x * y


defvjp(
    multiply,
    lambda ans, x, y: lambda g, s=x.shape: sum_to(multiply(g, y), s),
    lambda ans, x, y: lambda g, s=y.shape: sum_to(multiply(g, x), s),
)


@primitive
def matmul(x: Array, y: Array) -> Array:
    """The matrix product of two matrices."""
    with np.errstate(invalid="ignore"):  # BLAS may load numbers beside the last row, and raise the flag for those
        return x @ y


defvjp(
    matmul,
    lambda ans, x, y: lambda g: matmul(g, transpose(y, (1, 0))),
    lambda ans, x, y: lambda g: matmul(transpose(x, (1, 0)), g),
)


# ---- elementwise functions


@primitive
def relu(x: Array) -> Array:
    """max(x, 0), with gradient 0 at 0 (autograd's `maximum` has ½ there; PyTorch has 0)."""
    return np.maximum(x, 0)


defvjp(relu, lambda ans, x: lambda g: gate(g, stop_gradient(ans)))


@primitive
def gate(g: Array, output: Array) -> Array:
    """g where a ReLU's `output` is above 0, else 0·g: its gradient, linear in g."""
    return g * (output > 0)


defvjp(gate, lambda ans, g, output: lambda h: gate(h, output), argnums=(0,))


@primitive
def softplus(x: Array) -> Array:
    """sp(x) = log(1 + eˣ), by `logaddexp`: no overflow at +1e4, no NaN in the gradient."""
    return np.logaddexp(x, 0)


defvjp(softplus, lambda ans, x: lambda g: multiply(g, sigmoid(x)))


@primitive
def sigmoid(x: Array) -> Array:
    """σ(x) = 1/(1 + e⁻ˣ) = exp(−sp(−x)): full relative accuracy at both ends."""
    return np.exp(-np.logaddexp(-x, 0))


defvjp(sigmoid, lambda ans, x: lambda g: multiply(g, multiply(ans, sigmoid(-x))))


@primitive
def tanh(x: Array) -> Array:
    """tanh(x). (autograd's own VJP divides by cosh²(x), which overflows.)"""
    return np.tanh(x)


defvjp(tanh, lambda ans, x: lambda g: multiply(g, 1 - multiply(ans, ans)))


@primitive
def reciprocal_root(x: Array) -> Array:
    """1/√x."""
    return 1 / np.sqrt(x)


defvjp(reciprocal_root, lambda ans, x: lambda g: multiply(g, multiply(ans, multiply(ans, ans))) * -0.5)


# ---- standardization: batch norm and layer norm


@region
def standardize(x: Array, axis: int, epsilon: float) -> Array:
    """x̂ = (x − μ)/√(σ² + ε), with the mean μ and the (biased) variance σ² of x along one axis."""
    return centred_and_scaled(x, axis, epsilon)[0]


def centred_and_scaled(
    x: Array, axis: int, epsilon: float, mean: Callable[..., Array] = mean
) -> tuple[Array, Array, Array]:
    """x̂ = (x − μ)/√(σ² + ε), μ and the (biased) σ² along one axis, which stays with size 1 in μ and σ²."""
    mu = mean(x, axis, keepdims=True)
    centred = subtract(x, mu)
    variance = mean(multiply(centred, centred), axis, keepdims=True)
    return multiply(centred, reciprocal_root(variance + epsilon)), mu, variance


# ---- convolution: its windows, as the rows of a matrix product


def out_sizes(shape: Shape, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """H' and W', the number of windows along each axis of images (B, H, W, C): ⌊(size + 2·padding − kernel)/stride⌋ + 1."""
    high, wide = ((n + 2 * p - k) // s + 1 for n, k, s, p in zip(shape[1:3], kernel, stride, padding, strict=True))
    return high, wide


def taps(sides: Pair, kernel: Pair, stride: Pair) -> list[tuple[slice, ...]]:
    """For each tap (i, j) of the kernel, in its order: its pixels of the padded images in all `sides` = H'·W' windows."""
    return [
        (slice(None), *(slice(k, k + s * (n - 1) + 1, s) for k, n, s in zip(tap, sides, stride, strict=True)))
        for tap in np.ndindex(*kernel)
    ]


@primitive
def im2col(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """Every window of zero-padded images as a row: (B, H, W, C) → (B, H', W', kh·kw·C)."""
    padded = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
    sides = out_sizes(x.shape, kernel, stride, padding)
    return np.concatenate([padded[tap] for tap in taps(sides, kernel, stride)], axis=3)


defvjp(im2col, lambda ans, x, kernel, stride, padding: lambda g, s=x.shape: col2im(g, s, kernel, stride, padding))


@primitive
def col2im(columns: Array, shape: Shape, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """The adjoint of `im2col`: add every window to its pixels; (B, H', W', kh·kw·C) → shape (B, H, W, C)."""
    (b, h, w, c), (ph, pw) = shape, padding
    padded = np.zeros_like(columns, shape=(b, h + 2 * ph, w + 2 * pw, c), order="C")
    for k, tap in enumerate(taps(columns.shape[1:3], kernel, stride)):
        padded[tap] += columns[..., k * c : (k + 1) * c]
    return padded[:, ph : ph + h, pw : pw + w]


defvjp(col2im, lambda ans, columns, shape, kernel, stride, padding: lambda g: im2col(g, kernel, stride, padding))
