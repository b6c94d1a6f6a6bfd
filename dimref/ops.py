"""Differentiable primitives, each with its hand-written VJP right below it.

A primitive is a function of raw arrays that autograd's tape records. autograd brings its own for arithmetic, exp, log and
sqrt; the ones here are those that it lacks, that its own break on a CuPy array, or that silently turn float32 into
float64 (see `backend.py`). Where a VJP is written with primitives, second derivatives come for free; where it is
not, asking for one raises an error.

A VJP that needs an array's shape alone takes the shape when it is made, `s=x.shape`: one that kept x would keep its memory.

Reductions and broadcasts are one adjoint pair, `sum_to` and `broadcast_to`; convolutions are another, `im2col` and `col2im`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, defvjp_argnum, defvjp_argnums
from autograd.tracer import isbox
from numpy.lib.array_utils import normalize_axis_index

from dimref import kernels, parallel
from dimref.backend import Array
from dimref.tape import primitive, stop_gradient

Shape = tuple[int, ...]
Pair = tuple[int, int]


# ---- moving elements about


@primitive
def reshape(x: Array, shape: Shape) -> Array:
    """The same elements in another shape."""
    return x.reshape(shape)


defvjp(reshape, lambda ans, x, shape: lambda g, s=x.shape: reshape(g, s))


@primitive
def transpose(x: Array, axes: Shape) -> Array:
    """Permute the axes: result axis k is axis `axes[k]` of x."""
    return x.transpose(axes)


defvjp(transpose, lambda ans, x, axes: lambda g: transpose(g, _inverse(axes)))


def _inverse(axes: Shape) -> Shape:
    return tuple(np.argsort([k % len(axes) for k in axes]).tolist())


@primitive
def cut(x: Array, window: tuple[slice, ...]) -> Array:
    """x[window] for a tuple of slices, one per leading axis. (autograd's own indexing scatters element by element.)"""
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
    """Rows of x: result[p, ...] = x[index[p], ...], for an integer index of any shape; negative: from the last row."""
    return x[index]


defvjp(gather, lambda ans, x, index: lambda g, n=x.shape[0]: scatter_add(g, index, n))


@primitive
def scatter_add(g: Array, index: Array, rows: int) -> Array:
    """The adjoint of `gather`: result[r] = the sum of g[p] over all p with index[p] = r or r − rows.

    A product with a one-hot matrix, which BLAS does faster than NumPy adds row by row.
    """
    device = kernels.of(g)
    if device is not None:
        return device.scatter_add(g, index, rows)
    row = np.arange(rows, like=index)
    one_hot = (row.reshape(rows, 1) == row[index].reshape(1, -1)).astype(g.dtype)
    tail = g.shape[index.ndim :]
    return kernels.product(one_hot, g.reshape(index.size, math.prod(tail))).reshape(rows, *tail)


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


def total(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """Sum over one axis, or over all of them."""
    kept = _reduced_shape(x.shape, axis)
    return _drop(sum_to(x, kept), axis, keepdims)


def mean(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """Mean over one axis, or over all of them."""
    count = math.prod(x.shape) if axis is None else x.shape[axis]
    return total(x, axis, keepdims) * (1.0 / count)


def logsumexp(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """log Σ exp(x) over one axis, or over all of them; finite for finite x of any size."""
    return _drop(_logsumexp(x, axis), axis, keepdims)


def logmeanexp(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """log of the mean of exp(x) over one axis, or over all of them."""
    count = math.prod(x.shape) if axis is None else x.shape[axis]
    return logsumexp(x, axis, keepdims) - math.log(count)


@primitive
def _logsumexp(x: Array, axis: int | None) -> Array:
    top = x.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, np.zeros_like(top))  # all −inf must give −inf, not NaN
    with np.errstate(divide="ignore"):
        return np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top


# d/dx log Σ exp(x) = softmax(x) = exp(x − log Σ exp(x)), by convention 0 where all are −inf
defvjp(_logsumexp, lambda ans, x, axis: lambda g: multiply(g, anp.exp(subtract(x, _above_minus_infinity(ans)))))


def _above_minus_infinity(x: Array) -> Array:
    return anp.clip(x, float(np.finfo(x.dtype).min), math.inf)


def _reduced_shape(shape: Shape, axis: int | None) -> Shape:
    if axis is not None:
        axis = normalize_axis_index(axis, len(shape))
    return tuple(1 if axis in (None, k) else n for k, n in enumerate(shape))


def _drop(x: Array, axis: int | None, keepdims: bool) -> Array:
    if keepdims:
        return x
    return reshape(x, () if axis is None else tuple(n for k, n in enumerate(x.shape) if k != axis % x.ndim))


# ---- sums and products of two arrays


@primitive
def add(x: Array, y: Array) -> Array:
    """Elementwise x + y of two arrays, whichever of them is on the tape."""
    return x + y


defvjp(
    add,
    lambda ans, x, y: lambda g, s=x.shape: sum_to(g, s),
    lambda ans, x, y: lambda g, s=y.shape: sum_to(g, s),
)


@primitive
def multiply(x: Array, y: Array) -> Array:
    """Elementwise x·y of two arrays, whichever of them is on the tape.

    `*` does the same for boxes and numbers, but a bare CuPy array on its left does not know autograd's box on its right.
    """
    return x * y


defvjp(
    multiply,
    lambda ans, x, y: lambda g, s=x.shape: sum_to(multiply(g, y), s),
    lambda ans, x, y: lambda g, s=y.shape: sum_to(multiply(g, x), s),
)


@primitive
def subtract(x: Array, y: Array) -> Array:
    """Elementwise x − y of two arrays, whichever of them is on the tape."""
    return x - y


defvjp(
    subtract,
    lambda ans, x, y: lambda g, s=x.shape: sum_to(g, s),
    lambda ans, x, y: lambda g, s=y.shape: sum_to(-g, s),
)


WORTH = 1 << 20  # multiplications that a thread must have to be worth its start
LARGE = 1 << 20  # numbers of a matrix that is not in the cache when its product begins


def _product(x: Array, y: Array) -> Array:
    """x @ y on the host's threads: each has its rows of the result, or its columns where there are more of those."""
    (m, k), n = x.shape, y.shape[1]
    if k == 1:
        return x * y  # of rank one: no sums, and BLAS takes three times as long
    if not isinstance(x, np.ndarray):
        return kernels.product(x, y)
    count = min(parallel.threads(), m * k * n // WORTH)
    if m < n and y.flags.f_contiguous and (count > 1 or (y.size >= LARGE and 16 * m <= n)):
        # Rows of yᵀ, each in one piece: up to twice as fast as columns of y.
        return np.ascontiguousarray(_by_threads(y.T, x.T, count).T)
    return kernels.product(x, y) if count < 2 else _by_threads(x, y, count)


def _by_threads(x: Array, y: Array, count: int) -> Array:
    m, n = x.shape[0], y.shape[1]
    out = np.empty((m, n), np.result_type(x, y))
    if m >= n:
        parallel.run(lambda rows: np.matmul(x[rows], y, out[rows]), parallel.shares(m, count))
    else:
        parallel.run(lambda part: np.matmul(x, y[:, part], out[:, part]), parallel.shares(n, count))
    return out


@primitive
def matmul(x: Array, y: Array) -> Array:
    """The matrix product of two matrices."""
    return _product(x, y)


defvjp(
    matmul,
    lambda ans, x, y: lambda g: matmul(g, transpose(y, (1, 0))),
    lambda ans, x, y: lambda g: matmul(transpose(x, (1, 0)), g),
)


@primitive
def column_sums(x: Array) -> Array:
    """The sum of the rows of a matrix, by a product with ones: BLAS takes a quarter of the time of `x.sum(axis=0)`."""
    device = kernels.of(x)
    return _product(np.ones_like(x, shape=(1, x.shape[0])), x)[0] if device is None else device.column_sums(x)


defvjp(column_sums, lambda ans, x: lambda g, s=x.shape: broadcast_to(g, s))


@primitive
def affine(x: Array, w: Array, b: Array, rectified: bool, /) -> Array:
    """x·w + b for a matrix x of rows, or max(·, 0) of it, in the product's own memory."""
    return _biased(_product(x, w), b, rectified)


def _biased(out: Array, b: Array, rectified: bool) -> Array:
    """out + b, or max(·, 0) of it, over `out` itself unless b is of a wider type."""
    out = _widened(out, b)
    device = kernels.of(out)
    if device is not None:
        return device.biased(out, _widened(b, out), rectified)
    out += b
    return out.clip(0, math.inf, out=out) if rectified else out


def _widened(x: Array, *others: Array) -> Array:
    """x, in the type of its sum with the others."""
    return kernels.converted(x, np.result_type(*(a.dtype for a in (x, *others))))


def _affine_vjp(argnums: Sequence[int], ans: Array, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    x, w, _, rectified = args
    x, w = x if 1 in argnums else None, w if 0 in argnums else None  # what no gradient needs is not kept
    kept = stop_gradient(ans) if rectified else None

    def vjp(g: Array) -> list[Array]:
        g = g if kept is None else gate(g, kept)
        gradients = {
            0: lambda: matmul(g, transpose(w, (1, 0))),
            1: lambda: matmul(transpose(x, (1, 0)), g),
            2: lambda: column_sums(g),
        }
        return [gradients[k]() for k in argnums]

    return vjp


defvjp_argnums(affine, _affine_vjp)


@primitive
def affine_pair(x: Array, w: Array, y: Array, v: Array, b: Array) -> Array:
    """x·w + y·v + b for two matrices of rows, in the first product's own memory."""
    out = _product(x, w)
    out = _widened(out, y, v)
    device = kernels.of(out)
    if device is None:
        out += _product(y, v)
    else:
        out = device.matmul(y, v, out)
    return _biased(out, b, False)


defvjp(
    affine_pair,
    lambda ans, x, w, y, v, b: lambda g: matmul(g, transpose(w, (1, 0))),
    lambda ans, x, w, y, v, b: lambda g: matmul(transpose(x, (1, 0)), g),
    lambda ans, x, w, y, v, b: lambda g: matmul(g, transpose(v, (1, 0))),
    lambda ans, x, w, y, v, b: lambda g: matmul(transpose(y, (1, 0)), g),
    lambda ans, x, w, y, v, b: column_sums,
)


# ---- elementwise functions


@primitive
def relu(x: Array) -> Array:
    """max(x, 0), with gradient 0 at 0 (autograd's `maximum` has ½ there; PyTorch has 0)."""
    return x.clip(0, math.inf)  # NumPy's maximum with a number takes four times as long


defvjp(relu, lambda ans, x: lambda g: gate(g, stop_gradient(ans)))


@primitive
def gate(g: Array, kept: Array) -> Array:
    """g where `kept` is above 0, else 0·g: relu's gradient, linear in g."""
    device = kernels.of(g)
    if device is not None:
        return device.gate(g, kept)
    out = (kept > 0).astype(g.dtype)  # a product with truth values converts them piece by piece, and takes longer
    out *= g
    return out


defvjp(gate, lambda ans, g, kept: lambda h: gate(h, kept), argnums=(0,))


@primitive
def softplus(x: Array) -> Array:
    """sp(x) = log(1 + eˣ), by `logaddexp`: no overflow at +1e4, no NaN in the gradient."""
    return np.logaddexp(x, 0)


defvjp(softplus, lambda ans, x: lambda g: multiply(g, sigmoid(x)))


@primitive
def sigmoid(x: Array) -> Array:
    """σ(x) = 1/(1 + e⁻ˣ) = exp(−sp(−x)): full relative accuracy at both ends."""
    device = kernels.of(x)
    return np.exp(-np.logaddexp(-x, 0)) if device is None else device.sigmoid(x)


defvjp(sigmoid, lambda ans, x: lambda g: multiply(g, multiply(ans, sigmoid(-x))))


# ---- standardization: layer norm, and the plain form of `normalization`


def standardize(x: Array, axis: int, epsilon: float) -> Array:
    """x̂ = (x − μ) / √(σ² + ε), with the mean μ and the (biased) variance σ² of x along one axis."""
    return _standardize(x, axis, epsilon, [])


@primitive
def _standardize(x: Array, axis: int, epsilon: float, squares: list[Array]) -> Array:
    """Appends Σ (x − μ)² to `squares`, for the way back: x itself is not kept."""
    device = kernels.of(x)
    if device is not None:
        out, found = device.standardize(x, axis, epsilon)
        squares.append(found)
        return out
    out = x - x.mean(axis=axis, keepdims=True)
    squares.append(_sum_of_products(out, out, axis))
    out *= 1 / np.sqrt(squares[0] * (1 / x.shape[axis]) + epsilon)
    return out


def _standardize_vjp(argnums: Any, ans: Array, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    x, axis, epsilon, (squares,) = args
    nested = isbox(x)

    def vjp(g: Array) -> tuple[Array]:
        """(g − mean g − x̂·mean(g·x̂)) / √(σ² + ε): what is left of g is orthogonal to 1 and (for ε = 0) to x̂."""
        if nested or isbox(g):
            raise ValueError("standardize: its VJP is fused, so it has no second derivative")
        device = kernels.of(g)
        if device is not None:
            return (device.standardize_gradient(g, ans, squares, axis, epsilon),)
        n = ans.shape[axis]
        out = ans * (_sum_of_products(g, ans, axis) * (-1 / n))
        out += g
        out -= g.mean(axis=axis, keepdims=True)
        out *= 1 / np.sqrt(squares * (1 / n) + epsilon)
        return (out,)

    return vjp


def _sum_of_products(x: Array, y: Array, axis: int) -> Array:
    """(x·y).sum(axis, keepdims=True), without an array of the products."""
    axes = "abcdefgh"[: x.ndim]
    return np.expand_dims(np.einsum(f"{axes},{axes}->{axes.replace(axes[axis], '')}", x, y), axis)


defvjp_argnums(_standardize, _standardize_vjp)


# ---- convolution: a gather of windows and a matrix product


def out_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Number of windows along one axis: ⌊(size + 2·padding − kernel) / stride⌋ + 1."""
    return (size + 2 * padding - kernel) // stride + 1


@primitive
def im2col(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """Every window of zero-padded images as a row: (B, H, W, C) → (B, H', W', kh·kw·C).

    One copy from a strided view. In a padded image whose last two axes are merged, a row of a window is one contiguous
    run of kw·C numbers, so the copy moves runs instead of numbers.
    """
    (kh, kw), (sh, sw) = kernel, stride
    b, h, w, c = x.shape
    high, wide = out_size(h, kh, sh, padding[0]), out_size(w, kw, sw, padding[1])
    device = kernels.of(x)
    if device is not None:
        return device.im2col(x, (high, wide), kernel, stride, padding)
    merged = _pad(x, padding).reshape(b, h + 2 * padding[0], (w + 2 * padding[1]) * c)
    runs = np.lib.stride_tricks.sliding_window_view(merged, kw * c, axis=2)[:, :, :: sw * c]
    windows = np.lib.stride_tricks.sliding_window_view(runs, kh, axis=1)[:, ::sh]  # (B, H', W', kw·C, kh)
    return windows.transpose(0, 1, 2, 4, 3).reshape(b, high, wide, kh * kw * c)


defvjp(im2col, lambda ans, x, kernel, stride, padding: lambda g, s=x.shape: col2im(g, s, kernel, stride, padding))


def _pad(x: Array, padding: Pair) -> Array:
    ph, pw = padding
    if ph == pw == 0:
        return x
    b, h, w, c = x.shape
    out = np.empty_like(x, shape=(b, h + 2 * ph, w + 2 * pw, c), order="C")
    out[:, :ph] = out[:, ph + h :] = out[:, :, :pw] = out[:, :, pw + w :] = 0
    out[:, ph : ph + h, pw : pw + w] = x
    return out


@primitive
def col2im(columns: Array, shape: Shape, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """The adjoint of `im2col`: add every window back to where it came from; (B, H', W', kh·kw·C) → shape (B, H, W, C).

    Blocks of stride × stride taps of neighbouring windows touch but never overlap, so each block is one addition to a
    canvas that is cut into stride × stride tiles: ⌈kh/sh⌉·⌈kw/sw⌉ additions in place of kh·kw.
    """
    (kh, kw), (sh, sw), (ph, pw) = kernel, stride, padding
    device = kernels.of(columns)
    if device is not None:
        return device.col2im(columns, shape, kernel, stride, padding)
    b, h, w, c = shape
    high, wide = columns.shape[1:3]
    columns = columns.reshape(b, high, wide, kh, kw, c)
    tiles_h, tiles_w = -(-(h + 2 * ph) // sh), -(-(w + 2 * pw) // sw)  # the last window ends within them
    canvas = np.empty_like(columns, shape=(b, tiles_h, sh, tiles_w, sw, c), order="C")
    for axis, covered in ((1, high), (2, kh), (3, wide), (4, kw)):  # by the first block, which is not added but written
        canvas[(slice(None),) * axis + (slice(covered, None),)] = 0
    for i in range(0, kh, sh):
        for j in range(0, kw, sw):
            block = columns[:, :, :, i : i + sh, j : j + sw].transpose(0, 1, 3, 2, 4, 5)
            top, left = i // sh, j // sw
            place = canvas[:, top : top + high, : block.shape[2], left : left + wide, : block.shape[4]]
            if i == j == 0:
                place[...] = block
            else:
                place += block
    return canvas.reshape(b, tiles_h * sh, tiles_w * sw, c)[:, ph : ph + h, pw : pw + w]


defvjp(
    col2im,
    lambda ans, columns, shape, kernel, stride, padding: lambda g: im2col(g, kernel, stride, padding),
)


@primitive
def window_sums(x: Array, kernel: Pair, stride: Pair) -> Array:
    """The sum of each channel over every window of images: (B, H, W, C) → (B, H', W', C), along one axis after the other."""
    for axis, k, s in zip((1, 2), kernel, stride, strict=True):
        count = out_size(x.shape[axis], k, s, 0)
        sums = x[_every(axis, 0, s, count)].copy()
        for i in range(1, k):
            sums += x[_every(axis, i, s, count)]
        x = sums
    return x


defvjp(window_sums, lambda ans, x, kernel, stride: lambda g, s=x.shape: spread_windows(g, s, kernel, stride))


@primitive
def spread_windows(g: Array, shape: Shape, kernel: Pair, stride: Pair) -> Array:
    """The adjoint of `window_sums`: add each window's number to every pixel that it sees; (B, H', W', C) → (B, H, W, C)."""
    for axis, k, s in zip((2, 1), kernel[::-1], stride[::-1], strict=True):
        canvas = np.zeros_like(g, shape=(*g.shape[:axis], shape[axis], *g.shape[axis + 1 :]), order="C")
        for i in range(k):
            canvas[_every(axis, i, s, g.shape[axis])] += g
        g = canvas
    return g


defvjp(spread_windows, lambda ans, g, shape, kernel, stride: lambda h: window_sums(h, kernel, stride))


def _every(axis: int, start: int, step: int, count: int) -> tuple[slice, ...]:
    """`count` positions along an axis, each `step` after the one before it."""
    return (slice(None),) * axis + (slice(start, start + step * (count - 1) + 1, step),)
