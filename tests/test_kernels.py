"""The fused kernels' texts: compiled for the host they compute what the plain forms do, and nvcc takes them."""

import dataclasses
import shutil
import subprocess

import compiled
import numpy as np
import pytest
import simulated
import strict
from helpers import draw

from dimref import device_steps, kernels, normalization, ops, optim, training
from dimref.backend import leaves
from dimref.tape import value_and_gradients


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return compiled.host_kernels(compiled.build(tmp_path_factory.mktemp("kernels"), compiled.source()))


DTYPES = {np.float32: 1e-5, np.float64: 1e-13}
BOTH = pytest.mark.parametrize(("dtype", "tolerance"), DTYPES.items(), ids=["float32", "float64"])


@BOTH
def test_sigmoid_at_every_size(host, dtype, tolerance):
    x = np.array([-1e4, -100, -80, -20, -1, -1e-3, -0.0, 0, 1e-3, 1, 20, 100, 1e4, np.nan, np.inf, -np.inf], dtype)
    with np.errstate(under="ignore", invalid="ignore"):
        np.testing.assert_allclose(host.sigmoid(x), ops.sigmoid(x), rtol=10 * tolerance, atol=np.finfo(dtype).tiny)


@BOTH
def test_the_gradient_of_relu(host, dtype, tolerance):
    g, kept = draw(1, (5, 7), (5, 7), dtype=dtype)
    kept[0, :3] = 0, -0.0, np.inf
    np.testing.assert_array_equal(host.gate(g, kept), g * (kept > 0))
    g[0, 0] = np.inf  # what is not finite does not vanish behind a closed gate
    assert np.isnan(host.gate(g, kept)[0, 0])


@BOTH
@pytest.mark.parametrize("axis", [0, -1])
def test_standardization_and_its_gradient(host, dtype, tolerance, axis):
    x, g = draw(2, (9, 6), (9, 6), dtype=dtype)
    x = 3 * x + 5
    plain = ops.standardize(x, axis, 1e-5)
    found, squares = host.standardize(x, axis, 1e-5)
    np.testing.assert_allclose(found, plain, rtol=tolerance, atol=10 * tolerance)
    expected = x.shape[axis] * x.astype(np.float64).var(axis, keepdims=True)
    np.testing.assert_allclose(squares, expected, rtol=10 * tolerance)
    _, gradient, _ = value_and_gradients(lambda x: (ops.total(ops.multiply(ops.standardize(x, axis, 1e-5), g)), {}), x)
    found = host.standardize_gradient(g, plain, squares, axis, 1e-5)
    np.testing.assert_allclose(found, gradient, rtol=tolerance, atol=10 * tolerance)


@BOTH
def test_normalization_of_columns_and_its_gradient(host, dtype, tolerance):
    x, g, gain, shift = draw(5, (9, 6), (9, 6), (6,), (6,), dtype=dtype)
    x = 3 * x + 5
    mu, variance = normalization.moments(x)

    def plain(x):
        return normalization.normalize_columns(x, gain, shift, mu, variance, 1e-5, False)

    np.testing.assert_allclose(
        host.normalize(x, mu, gain, shift, variance, 1e-5), plain(x), rtol=tolerance, atol=10 * tolerance
    )
    _, gradient, _ = value_and_gradients(lambda x: (ops.total(ops.multiply(plain(x), g)), {}), x)
    of_gain = host.centred_products(g, x, mu) / np.sqrt(variance + dtype(1e-5))
    found = host.normalize_gradient(g, x, mu, gain, variance, of_gain, g.sum(axis=0), 1e-5)
    np.testing.assert_allclose(found, gradient, rtol=10 * tolerance, atol=10 * tolerance)


@BOTH
def test_adam(host, dtype, tolerance):
    shape = (4, 5)
    p, *gradients = draw(3, *[shape] * 5, dtype=dtype)
    m, v, q = np.zeros_like(p), np.zeros_like(p), p.copy()
    state = optim.init_adam({"w": p})
    for t, g in enumerate(gradients, start=1):
        _, state = optim.adam_step({"w": p}, {"w": g}, state, 1e-2)
        corrected = optim.corrections(t, 1e-2)
        if t % 2:  # as arrays, as a captured step has them
            corrected = tuple(np.array([c], dtype) for c in corrected)
        host.adam(q, g, m, v, corrected, (0.9, 0.999))
    for found, expected in ((q, p), (m, state["m"]["w"]), (v, state["v"]["w"])):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@BOTH
def test_sums(host, dtype, tolerance):
    x, y = draw(4, (3, 4), (3, 4), dtype=dtype)
    np.testing.assert_allclose(host.sum_of_squares(x), (x * x).sum(), rtol=tolerance)
    found = host.named["sum_of_products"](x, y, axis=0, keepdims=True)
    np.testing.assert_allclose(found, (x * y).sum(axis=0, keepdims=True), rtol=10 * tolerance, atol=tolerance)
    assert found.shape == (1, 4)
    mean = y.mean(axis=0)
    expected = (x * (y - mean)).sum(axis=0)
    np.testing.assert_allclose(host.centred_products(x, y, mean), expected, rtol=10 * tolerance, atol=tolerance)


def test_an_array_of_the_host_has_no_kernels():
    assert kernels.of(np.ones(3)) is None


def test_a_type_has_the_kernels_that_it_was_registered_with(monkeypatch):
    class Foreign:
        pass

    found = kernels.Kernels(lambda x, y: None, {})
    monkeypatch.setattr(kernels, "_OF", {})
    kernels.register(Foreign, found)
    assert kernels.of(Foreign()) is found


def test_cupy_takes_the_texts():
    """CuPy reads the parameter lists when a kernel is made, and compiles only when it is called."""
    cupy = pytest.importorskip("cupy")
    found = kernels.cupy_kernels(cupy, lambda x, y: x @ y)
    assert found.named.keys() == {*kernels.ELEMENTWISE, *kernels.SUMS}
    for name in kernels.ELEMENTWISE:
        assert isinstance(found.named[name], cupy.ElementwiseKernel)
    for name in kernels.SUMS:
        assert isinstance(found.named[name], cupy.ReductionKernel)
    assert (found.named["adam"].nin, found.named["adam"].nout) == (5, 3)


def test_nvcc_compiles_the_texts(tmp_path):
    """For a device, as a kernel of each text; CuPy's own wrapping is not part of it."""
    compiler = shutil.which("nvcc")
    if compiler is None:
        pytest.skip("needs nvcc")
    functions = compiled.source().replace('extern "C" void', "__device__ void").replace("#include <cmath>", "")
    path = tmp_path / "kernels.cu"
    path.write_text(functions)
    done = subprocess.run(
        [compiler, "-arch=sm_90", "-dc", "-o", str(tmp_path / "kernels.o"), str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# ---- where they are called from


def strict_kernels(calls):
    """Kernels of the strict type, in its own operations, each call noted by name."""

    own = strict.DeviceArray.__matmul__

    def product(x, y):
        calls.append("matmul")
        return own(x, y)

    def note(name, function):
        def call(*values, **options):
            calls.append(name)
            return function(*values, **options)

        return call

    def adam(g, rate, floor, beta1, beta2, p, m, v):
        m[...] = m * beta1 + g * (1 - beta1)
        v[...] = v * beta2 + (g * g) * (1 - beta2)
        p -= m * rate / (np.sqrt(v) + floor)

    functions = {
        "gate": lambda g, kept: g * (kept > 0),
        "sigmoid": lambda x: np.exp(-np.logaddexp(-x, 0)),
        "standardize": lambda x, mean, squares, count, epsilon: (x - mean) * (1 / np.sqrt(squares / count + epsilon)),
        "standardize_gradient": lambda g, standard, g_mean, along, squares, count, epsilon: (
            (g - g_mean - standard * (along / count)) * (1 / np.sqrt(squares / count + epsilon))
        ),
        "normalize": lambda x, mean, gain, shift, variance, epsilon: (
            (x - mean) * (gain / np.sqrt(variance + epsilon)) + shift
        ),
        "normalize_gradient": lambda g, x, mean, gain, variance, of_gain, of_shift, count, epsilon: (
            (g - ((x - mean) * (1 / np.sqrt(variance + epsilon)) * of_gain + of_shift) / count)
            * (gain * (1 / np.sqrt(variance + epsilon)))
        ),
        "adam": adam,
        "sum_of_squares": lambda x: (x * x).sum(),
        "sum_of_squared_deviations": lambda x, mean, axis, keepdims: ((x - mean) ** 2).sum(axis, keepdims=keepdims),
        "sum_of_products": lambda x, y, axis, keepdims=False: (x * y).sum(axis, keepdims=keepdims),
        "sum_of_centred_products": lambda g, x, mean, axis: (g * (x - mean)).sum(axis),
    }
    return kernels.Kernels(product, {name: note(name, function) for name, function in functions.items()})


@pytest.fixture
def calls(monkeypatch):
    """What was called of the strict type's kernels."""
    found = []
    monkeypatch.setattr(kernels, "_OF", {strict.DeviceArray: strict_kernels(found)})

    def refuse(x, y):
        raise RuntimeError("calling cuBLAS API during stream capture is currently unsupported")

    monkeypatch.setattr(strict.DeviceArray, "__matmul__", refuse)  # as CuPy's own product does while a step is captured
    return found


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("graph", [True, False])
def test_a_run_calls_every_kernel_and_is_the_hosts_to_rounding(prepare, calls, graph):
    task = prepare(steps=8, batch_size=4, local_scorer="dot", global_weight=0.5, graph=graph, gradient_penalty=0.5)
    host = training.initial_state(task)
    for _ in range(8):
        host, seen = training.train_step(task, host)
    calls.clear()

    backend, told = simulated.device(), []
    task = dataclasses.replace(task, backend=backend)
    state, queue = training.initial_state(task), backend.queue()
    with queue.running():
        steps = device_steps.DeviceSteps(task, state, queue, told.append)
        for k in range(8):
            if k == 3:
                count = len(calls)
            state = steps.run(state)
        found = steps.look()
    assert told == []
    assert set(calls) == {"matmul", *kernels.ELEMENTWISE, *kernels.SUMS}
    assert graph == (len(calls) < 2 * count)
    np.testing.assert_allclose(found["gradient_norm"], seen["gradient_norm"], rtol=1e-3)
    for (path, a), (_, b) in zip(leaves(host.parameters), leaves(state.parameters), strict=True):
        np.testing.assert_allclose(b.get(), a, rtol=1e-3, atol=1e-4, err_msg=path)
