"""The fused kernels' texts: compiled for the host they compute what the plain forms do, and nvcc takes them."""

import dataclasses
import functools
import re
import shutil
import subprocess
from unittest import mock

import fake_cupy
import fake_stream
import host_compiled_kernels
import numpy as np
import pytest
from finite_differences import draw

from dimref import ops, optim
from dimref.engine import cuda_source, kernels, pair_layer
from dimref.training import device_steps, loop
from dimref.training import state as states
from dimref.trees import leaves


@pytest.fixture
def host(host_kernels):
    return host_kernels


SIZES = {  # of each of SHAPED
    "im2col": (8, 8, 3, 4, 4, 4, 4, 2, 2, 1, 1),
    "col2im": (8, 8, 3, 4, 4, 4, 4, 2, 2, 1, 1),
    "pairs": (4, 5, 6),
}
DTYPES = {np.float32: 1e-5, np.float64: 1e-13}
BOTH = pytest.mark.parametrize(("dtype", "tolerance"), DTYPES.items(), ids=["float32", "float64"])


@BOTH
def test_sigmoid_at_every_size(host, dtype, tolerance):
    x = np.array([-1e4, -100, -80, -20, -1, -1e-3, -0.0, 0, 1e-3, 1, 20, 100, 1e4, np.nan, np.inf, -np.inf], dtype)
    with np.errstate(under="ignore", invalid="ignore"):
        np.testing.assert_allclose(
            host.named["sigmoid"](x), ops.sigmoid(x), rtol=10 * tolerance, atol=np.finfo(dtype).tiny
        )


@BOTH
def test_the_gradient_of_relu(host, dtype, tolerance):
    g, kept = draw(1, (5, 7), (5, 7), dtype=dtype)
    kept[0, :3] = 0, -0.0, np.inf
    np.testing.assert_array_equal(host.named["gate"](g, kept), g * (kept > 0))
    g[0, 0] = np.inf  # what is not finite does not vanish behind a closed gate
    assert np.isnan(host.named["gate"](g, kept)[0, 0])


SHAPES = ((4, 5), (), (cuda_source.PIECE - 1,), (2, cuda_source.PIECE), (0,), (cuda_source.PIECE + 1,), (3, 1, 2))


@BOTH
@pytest.mark.parametrize("many", [2, cuda_source.MANY])
def test_adam_of_many_parameters(host, monkeypatch, dtype, tolerance, many):
    monkeypatch.setattr(kernels, "MANY", many)  # so that there is more than one launch
    p = dict(zip("abcdefg", draw(3, *SHAPES, dtype=dtype), strict=True))
    gradients = [dict(zip(p, draw(seed, *SHAPES, dtype=dtype), strict=True)) for seed in range(4, 8)]
    groups = {name: [a.copy().ravel(), None, *np.zeros((2, a.size), dtype)] for name, a in p.items()}
    state = optim.init_adam(p)
    for t, g in enumerate(gradients, start=1):
        p, state = optim.adam_step(p, g, state, 1e-2, (0.8, 0.95))
        rates = optim.step_rates(t, 1e-2, (0.8, 0.95))
        for name, group in groups.items():
            group[1] = g[name].ravel()
        # as an array, as a captured step has them, and as numbers
        host.adam([tuple(a) for a in groups.values()], np.array(rates, dtype) if t % 2 else rates, (0.8, 0.95))
    for name, (found, _, m, v) in groups.items():
        for one, expected in ((found, p[name]), (m, state["m"][name]), (v, state["v"][name])):
            np.testing.assert_allclose(one, expected.ravel(), rtol=10 * tolerance, atol=tolerance, err_msg=name)


@BOTH
@pytest.mark.parametrize("many", [2, cuda_source.MANY])
def test_sums_of_squares(host, monkeypatch, dtype, tolerance, many):
    monkeypatch.setattr(kernels, "MANY", many)
    arrays = draw(4, *SHAPES, dtype=dtype)
    arrays[0] = np.asfortranarray(arrays[0])
    found = host.sums_of_squares(arrays)
    assert found.shape == (len(SHAPES),)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, [(x.astype(np.float64) ** 2).sum() for x in arrays], rtol=tolerance)


def test_lists_of_nothing_and_of_two_types(host):
    """No block would be no launch; and a kernel reads all places as numbers of one type."""
    (nothing,) = host.sums_of_squares([np.zeros((0, 3), np.float32)])
    assert nothing == 0
    with pytest.raises(ValueError, match="too many values"):
        host.sums_of_squares([np.zeros(3), np.zeros(3, np.float32)])


def test_the_table_of_lists_is_small_enough_to_be_passed_by_value():
    numbers = 8 + 2 * 8 + 2 * 8  # the address and the four numbers that Adam is given beside it
    assert kernels.LISTS.itemsize + numbers <= 4096
    assert kernels.LISTS.itemsize == 8 * 6 * cuda_source.MANY  # as C lays it out: nothing between


@BOTH
def test_scattering_rows(host, dtype, tolerance):
    """More places than a block looks at at once, more columns than it has threads, and a row that nothing falls on."""
    (g,) = draw(11, (3, 101, 70), dtype=dtype)
    index = np.random.default_rng(0).choice([0, 1, 2, 5, -1, -6], (3, 101))
    expected = np.zeros((6, 70), dtype)
    np.add.at(expected, index, g)
    for kind in (np.int64, np.int32):
        found = host.scatter_add(np.asfortranarray(g), index.astype(kind).T.copy().T, 6)
        np.testing.assert_array_equal(found, expected, strict=True)  # in the same order


@BOTH
@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding"),
    [
        ((2, 8, 8, 3), (4, 4), (2, 2), (1, 1)),
        ((3, 7, 5, 2), (3, 2), (1, 2), (0, 1)),
        ((2, 5, 4, 8), (3, 2), (2, 1), (1, 1)),
    ],
)
def test_windows(host, dtype, tolerance, shape, kernel, stride, padding):
    (x,) = draw(7, shape, dtype=dtype)
    sides = ops.out_sizes(shape, kernel, stride, padding)
    expected = ops.im2col(x, kernel, stride, padding)
    turned = np.asfortranarray(x)  # not as a kernel reads it
    np.testing.assert_array_equal(host.im2col(turned, sides, kernel, stride, padding), expected, strict=True)
    (g,) = draw(8, expected.shape, dtype=dtype)
    found = host.col2im(g, shape, kernel, stride, padding)
    np.testing.assert_allclose(found, ops.col2im(g, shape, kernel, stride, padding), rtol=tolerance, atol=tolerance)
    assert found.dtype == dtype


@BOTH
@pytest.mark.parametrize("relu", [False, True])
def test_a_bias_over_what_it_is_added_to(host, dtype, tolerance, relu):
    x, b = draw(9, (4, 3), (3,), dtype=dtype)
    x[0, 0] = np.nan
    expected = x + b
    found = host.biased(x, b, relu)
    assert found is x
    np.testing.assert_array_equal(found, expected.clip(0) if relu else expected)


def test_an_array_of_the_host_has_no_kernels():
    assert kernels.of(np.ones(3)) is None


def test_a_type_has_the_kernels_that_it_was_registered_with(monkeypatch):
    class Foreign:
        pass

    found = mock.MagicMock()
    monkeypatch.setattr(kernels, "_OF", {})
    kernels.register(Foreign, found)
    assert kernels.of(Foreign()) is found


def test_cupy_takes_the_texts():
    """CuPy reads the parameter lists when a kernel is made, and compiles only when it is called."""
    cupy = pytest.importorskip("cupy")
    found = kernels.cupy_kernels(cupy, lambda x, y: x @ y)
    assert found.named.keys() == cuda_source.ELEMENTWISE.keys()
    for name in cuda_source.ELEMENTWISE:
        assert isinstance(found.named[name], cupy.ElementwiseKernel)
    assert (found.named["through_relu"].nin, found.named["through_relu"].nout) == (5, 2)
    for name, sizes in SIZES.items():
        assert isinstance(found.shaped(name, sizes), cupy.ElementwiseKernel)
        assert found.shaped(name, sizes) is found.shaped(name, sizes)


@pytest.mark.exhaustive
def test_nvcc_compiles_the_texts(tmp_path):
    """For a device, as a kernel of each text; CuPy's own wrapping is not part of it."""
    compiler = shutil.which("nvcc")
    if compiler is None:
        pytest.skip("needs nvcc")
    shaped = [
        f"namespace {name} {{{host_compiled_kernels.shaped_source(name, sizes)}}}" for name, sizes in SIZES.items()
    ]
    functions = "\n".join([host_compiled_kernels.source(), *shaped]).replace("#include <cmath>", "")
    functions = functions.replace("using std::exp; using std::sqrt;", "")
    functions = re.sub(r'(extern "C" )?void ', "__device__ void ", functions)
    functions = functions.replace("explicit Complex", "__device__ explicit Complex")
    blocks = [f"namespace blocks_{dtype} {{{cuda_source.block_text(dtype)}}}" for dtype in cuda_source.C_TYPES]
    functions += "\n".join(blocks).replace('extern "C" ', "")
    path = tmp_path / "kernels.cu"
    path.write_text(functions)
    done = subprocess.run(
        [compiler, "-arch=sm_90", "-dc", "-o", str(tmp_path / "kernels.o"), str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# ---- where they are called from


def windows_of(sizes):
    """Kernel, stride and padding of a geometry."""
    *_, kh, kw, sh, sw, ph, pw = sizes
    return (kh, kw), (sh, sw), (ph, pw)


def plain_standardize(epsilon, x):
    squares = ((x - x.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1, keepdims=True)
    return ops.standardize(x, -1, epsilon), squares


def plain_standardize_gradient(epsilon, g, standard, squares):
    along = (g * standard).mean(axis=-1, keepdims=True)
    level = g.mean(axis=-1, keepdims=True)
    return ((g - level - standard * along) / np.sqrt(squares / g.shape[-1] + epsilon),)


def plain_scatter(rows, g, index):
    return (ops.scatter_add(g, index, rows),)


PLAIN = {  # of host arrays
    "im2col": lambda sizes, shape, x: ops.im2col(x.reshape(-1, *sizes[:3]), *windows_of(sizes)).reshape(shape),
    "col2im": lambda sizes, shape, columns: ops.col2im(columns, shape, *windows_of(sizes)),
    "pairs": lambda sizes, shape, *a: pair_layer.side_by_side(*a),
    "standardize": plain_standardize,
    "standardize_gradient": plain_standardize_gradient,
    "scatter": plain_scatter,
}


def strict_kernels(calls):
    """Kernels of the strict type, in its own operations, each call noted by name."""

    own = fake_cupy.DeviceArray.__matmul__

    def product(x, y, onto=None):
        calls.append("matmul" if onto is None else "matmul onto")
        if onto is None:
            return own(x, y)
        onto += own(x, y)
        return onto

    def note(name, function):
        def call(*values, **options):
            calls.append(name)
            return function(*values, **options)

        return call

    def adam(groups, blocks, more):
        fed, rate, floor, beta1, beta2 = more
        rate, floor = (fed[0:1], fed[1:2]) if isinstance(fed, fake_cupy.DeviceArray) else (rate, floor)
        for p, g, m, v in groups:
            m[...] = m * beta1 + g * (1 - beta1)
            v[...] = v * beta2 + (g * g) * (1 - beta2)
            p -= m * rate / (np.sqrt(v) + floor)

    def totals(groups, blocks, more):
        for k, (x,) in enumerate(groups):
            more[1][k] = (x * x).sum()

    def behind(g, kept, x, mean, relu):
        g = g * (kept > 0) if relu else g
        return g, g * (x - mean)

    def biased(b, relu, out):
        out += b
        return out.clip(0, np.inf, out=out) if relu else out

    def shaped(name, sizes):
        def call(*arrays):
            calls.append(name)
            *read, out = arrays
            out[...] = fake_cupy._compute(lambda *a: PLAIN[name](sizes, out.shape, *a), *read)
            return out

        return call

    def rows(name, dtype):
        def call(blocks, arguments):
            calls.append(name)
            *arrays, _, second = arguments
            count = {"standardize": 1, "standardize_gradient": 3, "scatter": 2}[name]
            number = {"scatter": blocks[0]}.get(name, float(second))
            for k, out in enumerate(arrays[count:]):
                out[...] = fake_cupy._compute(lambda *a, k=k: PLAIN[name](number, *a)[k], *arrays[:count])

        return call

    functions = {
        "gate": lambda g, kept: g * (kept > 0),
        "sigmoid": lambda x: np.exp(-np.logaddexp(-x, 0)),
        "biased": biased,
        "squared_deviations": lambda x, mean: (x - mean) * (x - mean),
        "normalize": lambda x, mean, gain, shift, variance, epsilon, relu: (
            (x - mean) * (gain / np.sqrt(variance + epsilon)) + shift
        ).clip(0 if relu else -np.inf, np.inf),
        "through_relu": behind,
        "per_deviation": lambda x, variance, epsilon: x / np.sqrt(variance + epsilon),
        "normalize_gradient": lambda g, x, mean, gain, variance, of_gain, of_shift, count, epsilon: (
            (g - ((x - mean) * (1 / np.sqrt(variance + epsilon)) * of_gain + of_shift) / count)
            * (gain * (1 / np.sqrt(variance + epsilon)))
        ),
        "toward": lambda running, newest, momentum, factor: running * (1 - momentum) + newest * (momentum * factor),
    }
    many = {"adam": adam, "squares": lambda groups, blocks, more: None, "totals": totals}
    row = functools.cache(lambda n, dtype, number: fake_cupy.to_device(np.full((1, n), number, dtype)))
    named = {name: note(name, function) for name, function in functions.items()}
    return kernels.Kernels(product, named, shaped, rows, lambda name, dtype: note(name, many[name]), row)


@pytest.fixture
def calls(monkeypatch, no_kernels):
    """What was called of the strict type's kernels."""
    found = []
    kernels.register(fake_cupy.DeviceArray, strict_kernels(found))

    def refuse(x, y):
        raise RuntimeError("calling cuBLAS API during stream capture is currently unsupported")

    monkeypatch.setattr(
        fake_cupy.DeviceArray, "__matmul__", refuse
    )  # as CuPy's own product does while a step is captured
    return found


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("graph", [True, False])
def test_a_run_calls_every_kernel_and_is_the_hosts_to_rounding(prepare, calls, graph):
    task = prepare(steps=8, batch_size=4, local_scorer="dot", global_weight=0.5, graph=graph, gradient_penalty=0.5)
    host = states.initial_state(task)
    for _ in range(8):
        host, seen = loop.train_step(task, host)
    calls.clear()

    backend, told = fake_stream.device(), []
    task = dataclasses.replace(task, backend=backend)
    state, queue = states.initial_state(task), backend.queue()
    with queue.running():
        steps = device_steps.DeviceSteps(task, state, queue, told.append)
        for k in range(8):
            if k == 3:
                count = len(calls)
            state = steps.run(state)
        found = steps.read()
    assert told == []
    assert set(calls) == {"matmul", "matmul onto", *cuda_source.ELEMENTWISE, *PLAIN, "adam", "squares", "totals"}
    assert graph == (len(calls) < 2 * count)
    np.testing.assert_allclose(found["gradient_norm"], seen["gradient_norm"], rtol=1e-3)
    for (path, a), (_, b) in zip(leaves(host.parameters), leaves(state.parameters), strict=True):
        np.testing.assert_allclose(b.get(), a, rtol=1e-3, atol=1e-4, err_msg=path)
