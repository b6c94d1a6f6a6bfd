"""The fused kernels' texts: compiled for the host they compute what the plain forms do, and nvcc takes them."""

import shutil
import subprocess

import compiled
import numpy as np
import pytest
from helpers import draw

from dimref import kernels, ops, optim
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
    found = host.standardize(x, axis, 1e-5)
    np.testing.assert_allclose(found, plain, rtol=tolerance, atol=10 * tolerance)
    _, gradient, _ = value_and_gradients(lambda x: (ops.total(ops.multiply(ops.standardize(x, axis, 1e-5), g)), {}), x)
    found = host.standardize_gradient(g, x, plain, axis, 1e-5)
    np.testing.assert_allclose(found, gradient, rtol=tolerance, atol=10 * tolerance)


@BOTH
def test_adam(host, dtype, tolerance):
    shape = (4, 5)
    p, *gradients = draw(3, *[shape] * 5, dtype=dtype)
    m, v, q = np.zeros_like(p), np.zeros_like(p), p.copy()
    state = optim.init_adam({"w": p})
    for t, g in enumerate(gradients, start=1):
        _, state = optim.adam_step({"w": p}, {"w": g}, state, 1e-2)
        corrections = np.array(optim.corrections(t, 1e-2), dtype)
        host.adam(q, g, m, v, corrections, (0.9, 0.999), 1e-8)
    for found, expected in ((q, p), (m, state["m"]["w"]), (v, state["v"]["w"])):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@BOTH
def test_sums(host, dtype, tolerance):
    x, y = draw(4, (3, 4), (3, 4), dtype=dtype)
    np.testing.assert_allclose(host.sum_of_squares(x), (x * x).sum(), rtol=tolerance)
    found = host.named["sum_of_products"](x, y, axis=0, keepdims=True)
    np.testing.assert_allclose(found, (x * y).sum(axis=0, keepdims=True), rtol=10 * tolerance, atol=tolerance)
    assert found.shape == (1, 4)


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
