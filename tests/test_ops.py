"""Every primitive as stated: its value against NumPy or a naive loop, its gradients against differences, its limits."""

import itertools
import math

import numpy as np
import pytest
from fake_cupy import STRICT, DeviceArray
from finite_differences import (
    away_from_zero,
    check_all,
    check_backends,
    draw,
    is_kept,
)
from hypothesis import given
from hypothesis import strategies as st
from small_networks import GEOMETRIES

from dimref import ops
from dimref.tape import value_and_gradients

pytestmark = pytest.mark.usefixtures("plain_forms")
seeds = st.integers(0, 2**32 - 1)
small = st.integers(1, 4)
shapes = st.lists(small, min_size=1, max_size=3).map(tuple)
INF = math.inf


def same(found, expected, tolerance=1e-12):
    """The same shape, and the same numbers up to rounding."""
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def as_index(index, x):
    """The index array where x lives."""
    return STRICT.to_device(index) if isinstance(getattr(x, "_value", x), DeviceArray) else index


# ---- moving elements about


@given(shapes, seeds)
def test_reshape_and_transpose(shape, seed):
    (x,) = draw(seed, shape)
    axes = tuple(int(k) for k in np.random.default_rng(seed).permutation(len(shape)))
    np.testing.assert_array_equal(ops.reshape(x, (x.size, 1)), x.reshape(x.size, 1))
    np.testing.assert_array_equal(ops.transpose(x, axes), np.transpose(x, axes))
    check_all(lambda x: ops.reshape(x, (x.size, 1)), x)
    check_all(lambda x: ops.transpose(x, axes), x)
    from_the_end = tuple(k - len(shape) for k in axes)
    np.testing.assert_array_equal(ops.transpose(x, from_the_end), np.transpose(x, axes))
    check_all(lambda x: ops.transpose(x, from_the_end), x)


WINDOWS = [
    (slice(1, 3),),
    (slice(None), slice(2, None)),
    (slice(0, 4, 2), slice(None), slice(1, 2)),
    (slice(None), slice(-2, None)),
]


@pytest.mark.parametrize("window", WINDOWS)
def test_cut_and_paste(window):
    x, c = draw(0, (4, 5, 3), (4, 5, 3))
    np.testing.assert_array_equal(ops.cut(x, window), x[window])
    pasted = ops.paste(c[window], x.shape, window)
    np.testing.assert_array_equal(pasted[window], c[window])
    assert np.count_nonzero(pasted) == c[window].size  # zeros elsewhere
    same(np.sum(ops.cut(x, window) * c[window]), np.sum(x * pasted))  # each other's adjoint
    check_all(lambda x: ops.cut(x, window), x)
    check_all(lambda c: ops.paste(c, x.shape, window), c[window])


def test_paste_is_in_c_order_whatever_the_order_of_the_part():
    part = np.asfortranarray(np.ones((2, 3)))
    assert ops.paste(part, (4, 5), (slice(2), slice(3))).flags.c_contiguous


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_concatenate(axis):
    sizes = [1, 3, 2]
    parts = draw(1, *(tuple(n if k == axis % 3 else 2 for k in range(3)) for n in sizes))
    np.testing.assert_array_equal(ops.concatenate(parts, axis), np.concatenate(parts, axis))
    check_all(lambda *parts: ops.concatenate(parts, axis), *parts)


def test_concatenate_joins_along_the_first_axis_by_default():
    x, y = draw(1, (1, 2), (3, 2))
    np.testing.assert_array_equal(ops.concatenate([x, y]), np.concatenate([x, y], 0))


@given(small, shapes, st.lists(small, max_size=2).map(tuple), seeds)
def test_gather_and_scatter_add(rows, index_shape, tail, seed):
    (x,) = draw(seed, (rows, *tail))
    index = np.random.default_rng(seed).integers(-rows, rows, size=index_shape)
    gathered = ops.gather(x, index)
    assert gathered.shape == (*index_shape, *tail)
    for p in np.ndindex(*index_shape):
        np.testing.assert_array_equal(gathered[p], x[index[p]])
    (g,) = draw(seed + 1, gathered.shape)
    expected = np.zeros_like(x)
    np.add.at(expected, index, g)
    same(ops.scatter_add(g, index, rows), expected)
    same(np.sum(gathered * g), np.sum(x * ops.scatter_add(g, index, rows)))  # each other's adjoint
    check_all(lambda x: ops.gather(x, as_index(index, x)), x)
    check_all(lambda g: ops.scatter_add(g, as_index(index, g), rows), g)


@pytest.mark.parametrize("wrong", [3, -4])
def test_an_index_beyond_the_rows_is_refused_both_ways(wrong):
    (x,) = draw(1, (3, 2))
    for function in (
        lambda: ops.gather(x, np.array([0, wrong])),
        lambda: ops.scatter_add(x[:2], np.array([0, wrong]), 3),
    ):
        with pytest.raises(IndexError, match="out of bounds"):
            function()


# ---- sums


BROADCASTS = [
    ((), (2, 3)),
    ((1,), (4,)),
    ((3,), (2, 3)),
    ((1, 3), (2, 3)),
    ((2, 1), (2, 3)),
    ((2, 1, 1), (2, 3, 4)),
    ((1, 3, 1), (5, 2, 3, 4)),
    ((1, 1), (1, 1)),
    ((2, 3), (2, 3)),
    ((1, 3), (1, 1, 3)),
    ((1, 3), (0, 3)),  # nothing to sum: zeros
    ((0, 3), (2, 0, 3)),
]


@pytest.mark.parametrize(("few", "many"), BROADCASTS)
def test_broadcast_to_and_sum_to(few, many):
    x, g = draw(2, few, many)
    broadcast = ops.broadcast_to(x, many)
    np.testing.assert_array_equal(broadcast, np.zeros(many) + x)
    back = ops.sum_to(g, few)
    assert back.shape == few
    same(np.sum(broadcast * g), np.sum(x * back))  # each other's adjoint
    expected = np.zeros((1,) * (len(many) - len(few)) + few)
    for p in np.ndindex(*many):
        expected[tuple(k if n > 1 else 0 for k, n in zip(p, expected.shape, strict=True))] += g[p]
    same(back, expected.reshape(few))
    check_all(lambda x: ops.broadcast_to(x, many), x)
    check_all(lambda g: ops.sum_to(g, few), g)


REDUCTIONS = {
    "total": (ops.total, np.sum),
    "mean": (ops.mean, np.mean),
    "logsumexp": (ops.logsumexp, lambda x, **k: np.log(np.sum(np.exp(x), **k))),
    "logmeanexp": (ops.logmeanexp, lambda x, **k: np.log(np.mean(np.exp(x), **k))),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(name, axis, keepdims):
    function, oracle = REDUCTIONS[name]
    (x,) = draw(3, (2, 3, 4))
    same(function(x, axis, keepdims), oracle(x, axis=axis, keepdims=keepdims))
    check_all(lambda x: function(x, axis, keepdims), x)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_over_all_axes_by_default(name):
    function, oracle = REDUCTIONS[name]
    for shape in [(2, 3), (1,), ()]:
        (x,) = draw(4, shape)
        same(function(x), oracle(x))
        assert function(x, 0 if shape else None, True).shape == (1,) * bool(shape) + shape[1:]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logsumexp_is_stable(dtype):
    x = np.array([[1e4, 1e4, -1e4], [-1e4, -1e4, -1e4], [1e4, -1e4, 0], [3.0, 1.0, 2.0]], dtype)
    tail = 3 + math.log(1 + math.exp(-1) + math.exp(-2))
    expected = np.array([1e4 + math.log(2), -1e4 + math.log(3), 1e4, tail])
    np.testing.assert_allclose(ops.logsumexp(x, 1), expected, rtol=2 * np.finfo(dtype).eps)
    assert ops.logsumexp(x, 1).dtype == dtype
    named = {"x": x}
    _, found, _ = value_and_gradients(lambda p: (ops.total(ops.logsumexp(p["x"], 1)), None), named)
    softmax = np.exp(x.astype(float) - expected[:, None])
    # the error of a difference of numbers near 1e4 is that of the numbers
    np.testing.assert_allclose(found["x"], softmax, rtol=2e4 * np.finfo(dtype).eps)


def test_logsumexp_at_infinity():
    np.testing.assert_array_equal(ops.logsumexp(np.array([[-INF, -INF], [-INF, 2.0], [INF, 2.0]]), 1), [-INF, 2, INF])
    assert np.isnan(ops.logsumexp(np.array([np.nan, 1.0])))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gradient_of_logsumexp_at_minus_infinity(dtype, backend):
    """Where nothing has a share: 0, and no NaN; so the slope's own."""
    x = backend.to_device(np.array([[-INF, -INF], [-INF, 2.0], [1.0, 1.0]], dtype))

    def value(p):
        return ops.total(ops.multiply(ops.logsumexp(p, 1), backend.to_device(np.array([1, 2, 4], dtype)))), None

    _, found, _ = value_and_gradients(value, x)
    assert found.dtype == dtype
    np.testing.assert_allclose(backend.to_host(found), [[0, 0], [0, 2], [2, 2]], rtol=1e-6)
    _, again, _ = value_and_gradients(lambda p: (ops.total(value_and_gradients(value, p)[1]), None), x)
    np.testing.assert_allclose(backend.to_host(again), np.zeros((3, 2)), atol=1e-6)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [2, -3])
def test_an_axis_that_is_not_there_is_refused(name, axis):
    with pytest.raises(IndexError, match=r"out of (bounds|range)"):
        REDUCTIONS[name][0](np.ones((2, 3)), axis)


# ---- sums and products of two arrays

PAIRS = {
    "add": (ops.add, lambda x, y: x + y),
    "multiply": (ops.multiply, lambda x, y: x * y),
    "subtract": (ops.subtract, lambda x, y: x - y),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    "two_shapes", [((2, 3), (2, 3)), ((2, 1), (3,)), ((), (2, 2)), ((4, 1, 3), (1, 2, 1)), ((1, 1), ())]
)
def test_elementwise_pairs(name, two_shapes):
    function, oracle = PAIRS[name]
    x, y = draw(5, *two_shapes)
    np.testing.assert_array_equal(function(x, y), oracle(x, y))
    check_all(function, x, y)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("boxed", ["left", "right"])
def test_elementwise_pairs_with_one_side_on_the_tape(name, boxed, backend):
    """A bare device array on the left is what a bare operator cannot do."""
    function, oracle = PAIRS[name]
    x, y = (backend.to_device(a) for a in draw(5, (2, 3), (3,)))

    def loss(p):
        value = function(p, y) if boxed == "left" else function(x, p)
        return ops.total(value), value

    _, gradient, value = value_and_gradients(loss, x if boxed == "left" else y)
    same(backend.to_host(value), backend.to_host(oracle(x, y)))
    assert gradient.shape == (x.shape if boxed == "left" else y.shape)


@pytest.mark.parametrize("sizes", [(3, 4, 2), (1, 1, 1), (4, 1, 3), (2, 0, 3)])
def test_matmul(sizes):
    m, k, n = sizes
    x, w = draw(6, (m, k), (k, n))
    same(ops.matmul(x, w), [[math.fsum(x[i, h] * w[h, j] for h in range(k)) for j in range(n)] for i in range(m)])
    check_all(ops.matmul, x, w)


# ---- elementwise functions


def test_relu():
    (x,) = draw(7, (3, 4))
    np.testing.assert_array_equal(ops.relu(x), np.where(x > 0, x, 0))
    check_all(ops.relu, away_from_zero(x))


def test_relu_has_gradient_zero_at_zero():
    x = np.array([-1.0, -0.0, 0.0, 1e-300, 1.0])
    _, gradient, _ = value_and_gradients(lambda p: (ops.total(ops.relu(p)), None), x)
    np.testing.assert_array_equal(gradient, [0, 0, 0, 1, 1])


@pytest.mark.parametrize("function", [ops.softplus, ops.sigmoid], ids=["softplus", "sigmoid"])
@given(shape=shapes, seed=seeds)
def test_softplus_and_sigmoid(function, shape, seed):
    (x,) = draw(seed, shape, scale=2.0)
    oracle = {ops.softplus: lambda v: math.log1p(math.exp(v)), ops.sigmoid: lambda v: 1 / (1 + math.exp(-v))}[function]
    same(function(x), np.vectorize(oracle)(x))
    check_all(function, x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softplus_and_sigmoid_are_stable(dtype):
    eps = np.finfo(dtype).eps
    x = np.array([-1e4, -80, -30, -1, 0, 1, 30, 80, 1e4], dtype)
    # log(1 + e^x) = log1p(e^−|x|) + max(x, 0), and σ(x) = e^x·σ(−x): closed forms exact at both ends
    softplus = [math.log1p(math.exp(-abs(v))) + max(v, 0) for v in x.tolist()]
    sigmoid = [1 / (1 + math.exp(-v)) if v > -700 else 0.0 for v in x.tolist()]
    np.testing.assert_allclose(ops.softplus(x), softplus, rtol=4 * eps, atol=0)
    np.testing.assert_allclose(ops.sigmoid(x)[1:], sigmoid[1:], rtol=100 * eps, atol=0)
    assert ops.sigmoid(x)[0] == 0
    assert ops.sigmoid(x)[-1] == 1
    _, slope, _ = value_and_gradients(lambda p: (ops.total(ops.softplus(p)), None), x)
    np.testing.assert_allclose(slope, sigmoid, rtol=100 * eps)
    _, curve, _ = value_and_gradients(lambda p: (ops.total(ops.sigmoid(p)), None), x)
    mirrored = sigmoid[::-1]  # σ'(x) = σ(x)·σ(−x), and x is symmetric about 0
    np.testing.assert_allclose(curve, [s * t for s, t in zip(sigmoid, mirrored, strict=True)], rtol=300 * eps)
    assert slope.dtype == curve.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tanh(dtype):
    (x,) = draw(9, (3, 4))
    same(ops.tanh(x), (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)))
    check_all(ops.tanh, x)
    far = np.array([-1e4, -400, 0, 400, 1e4], dtype)
    value, slope, _ = value_and_gradients(lambda p: (ops.total(ops.tanh(p)), None), far)
    np.testing.assert_array_equal(slope, [0, 0, 1, 0, 0])
    assert value == 0


@pytest.mark.parametrize("function", [ops.relu, ops.softplus, ops.sigmoid, ops.tanh], ids=lambda f: f.__name__)
def test_an_elementwise_function_is_a_primitive(function):
    """So that the VJP beside it is the one that runs: NumPy's functions of a box would record autograd's own."""
    assert function._is_autograd_primitive


# ---- standardization


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("epsilon", [1e-5, 0.3])
def test_standardize(axis, epsilon):
    (x,) = draw(8, (5, 4))
    x = 3 * x + 2
    centred = x - x.mean(axis, keepdims=True)
    same(ops.standardize(x, axis, epsilon), centred / np.sqrt(x.var(axis, keepdims=True) + epsilon))
    check_all(lambda x: ops.standardize(x, axis, epsilon), x)


def test_standardize_takes_any_number_of_axes():
    (x,) = draw(8, (2, 3, 4))
    check_all(lambda x: ops.standardize(x, -1, 1e-5), x)
    check_all(lambda x: ops.standardize(x, 1, 1e-5), x)


# ---- convolution's gather and its adjoint


def naive_im2col(x, kernel, stride, padding):
    (kh, kw), (sh, sw), (ph, pw) = kernel, stride, padding
    b, h, w, c = x.shape
    high, wide = (h + 2 * ph - kh) // sh + 1, (w + 2 * pw - kw) // sw + 1
    out = np.zeros((b, high, wide, kh, kw, c))
    for n, p, q, i, j in itertools.product(range(b), range(high), range(wide), range(kh), range(kw)):
        row, column = p * sh + i - ph, q * sw + j - pw
        if 0 <= row < h and 0 <= column < w:
            out[n, p, q, i, j] = x[n, row, column]
    return out.reshape(b, high, wide, kh * kw * c)


def naive_col2im(columns, shape, kernel, stride, padding):
    (kh, kw), (sh, sw), (ph, pw) = kernel, stride, padding
    b, h, w, c = shape
    out = np.zeros(shape)
    high, wide = columns.shape[1:3]
    windows = columns.reshape(b, high, wide, kh, kw, c)
    for n, p, q, i, j in itertools.product(range(b), range(high), range(wide), range(kh), range(kw)):
        row, column = p * sh + i - ph, q * sw + j - pw
        if 0 <= row < h and 0 <= column < w:
            out[n, row, column] += windows[n, p, q, i, j]
    return out


def check_windows(x, kernel, stride, padding, seed=9):
    columns = ops.im2col(x, kernel, stride, padding)
    np.testing.assert_array_equal(columns, naive_im2col(x, kernel, stride, padding))
    assert columns.shape[1:3] == ops.out_sizes(x.shape, kernel, stride, padding)
    (c,) = draw(seed, columns.shape)
    folded = ops.col2im(c, x.shape, kernel, stride, padding)
    same(folded, naive_col2im(c, x.shape, kernel, stride, padding))
    same(np.sum(columns * c), np.sum(x * folded), 1e-10)  # each other's adjoint
    return c


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), GEOMETRIES)
def test_im2col_and_col2im(size, kernel, stride, padding):
    (x,) = draw(9, (2, *size, 3))
    c = check_windows(x, kernel, stride, padding)
    check_all(lambda x: ops.im2col(x, kernel, stride, padding), x)
    check_all(lambda c: ops.col2im(c, x.shape, kernel, stride, padding), c)


@given(st.data(), seeds)
def test_im2col_and_col2im_of_any_geometry(data, seed):
    kernel, stride = data.draw(st.tuples(small, small)), data.draw(st.tuples(small, small))
    padding = data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    size = [data.draw(st.integers(max(1, k - 2 * p), 8)) for k, p in zip(kernel, padding, strict=True)]
    (x,) = draw(seed, (data.draw(st.integers(1, 2)), *size, data.draw(st.integers(1, 3))))
    c = check_windows(x, kernel, stride, padding, seed)
    check_backends(lambda x: ops.im2col(x, kernel, stride, padding), x)
    check_backends(lambda c: ops.col2im(c, x.shape, kernel, stride, padding), c)


@pytest.mark.parametrize("padding", [(0, 0), (1, 0)])
def test_im2col_of_a_view(padding):
    """Images in another memory order, and the gradient of a sum, which is one number repeated by strides of 0."""
    (x,) = draw(10, (2, 3, 5, 4))
    view = x.transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(
        ops.im2col(view, (2, 2), (1, 1), padding), naive_im2col(view, (2, 2), (1, 1), padding)
    )
    flat = np.broadcast_to(np.float64(1.0), view.shape)
    np.testing.assert_array_equal(
        ops.im2col(flat, (2, 2), (1, 1), padding), naive_im2col(flat, (2, 2), (1, 1), padding)
    )


def test_float32_meets_python_scalars_only():
    """A NumPy scalar among the constants would turn every later array into float64."""
    (x,) = draw(12, (3, 4), dtype=np.float32)

    def loss(p):
        value = ops.mean(ops.logmeanexp(ops.softplus(p) * 2.0 - 1, 0) / 3 + ops.sigmoid(-p)) ** 2
        return value, value

    value, gradient, _ = value_and_gradients(loss, x)
    assert value.dtype == gradient.dtype == np.float32


@given(*[st.tuples(st.integers(a, b), st.integers(a, b)) for a, b in ((1, 40), (1, 6), (1, 6), (0, 3))])
def test_out_sizes_count_the_windows(size, kernel, stride, padding):
    counts = ops.out_sizes((2, *size, 3), kernel, stride, padding)
    for count, n, k, s, p in zip(counts, size, kernel, stride, padding, strict=True):
        if n + 2 * p >= k:
            assert count == len([start for start in range(0, n + 2 * p, s) if start + k <= n + 2 * p])


# ---- memory

NOT_KEPT = {
    "reshape": lambda x: ops.reshape(x, (6, 4)),
    "cut": lambda x: ops.cut(x, (slice(0, 2),)),
    "gather": lambda x: ops.gather(x, np.array([0, 2])),
    "broadcast_to": lambda x: ops.broadcast_to(x, (2, 4, 6)),
    "sum_to": lambda x: ops.sum_to(x, (1, 6)),
    "add": lambda x: ops.add(x, np.ones((4, 1))),
    "added": lambda x: ops.add(np.ones((4, 1)), x),
    "subtract": lambda x: ops.subtract(x, np.ones((4, 1))),
    "subtracted": lambda x: ops.subtract(np.ones((4, 1)), x),
    "concatenate": lambda x: ops.concatenate([x, np.ones((1, 6))]),
    "im2col": lambda x: ops.im2col(ops.reshape(x, (1, 4, 6, 1)), (2, 2), (1, 1), (0, 0)),
    "col2im": lambda x: ops.col2im(ops.reshape(x, (1, 2, 3, 4)), (1, 4, 6, 1), (2, 2), (2, 2), (0, 0)),
    "relu": ops.relu,
    "standardize": lambda x: ops.standardize(x, -1, 1e-5),
    "matmul": lambda x: ops.matmul(x, np.ones((6, 3))),
}


@pytest.mark.parametrize("name", NOT_KEPT)
def test_the_tape_does_not_keep_an_array_that_no_gradient_needs(name):
    assert not is_kept(NOT_KEPT[name])
    assert is_kept(lambda x: ops.multiply(x, x))
