"""CuPy as a backend: what is missing is named in one line; autograd's vector space of a device array."""

import sys
import types

import fake_cupy
import numpy as np
import pytest
from autograd.extend import vspace
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.test_util import check_grads
from autograd.tracer import new_box
from fake_cupy import STRICT, DeviceArray
from finite_differences import draw

from dimref import ops
from dimref.backend import BackendError, get_backend
from dimref.engine import cublas, kernels
from dimref.engine.cupy import ForeignVSpace, register_array_type

# ---- on this machine, or on none


def test_cupy_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # what makes `import cupy` fail
    with pytest.raises(BackendError) as caught:
        get_backend("cupy")
    message = str(caught.value)
    assert message.startswith("backend cupy: CuPy is not installed; install it with pip install '.[cuda12]'")
    assert "'.[cuda13]'" in message
    assert message.endswith("None in sys.modules)")  # the reason that Python gives
    assert "\n" not in message
    assert caught.value.__suppress_context__


def cupy_of(device_count):
    """A module that stands for CuPy: `device_count()` answers or raises, arrays are strict ones."""
    module = types.ModuleType("cupy")
    module.__version__ = "13.9"
    module.ndarray, module.asarray, module.asnumpy = DeviceArray, fake_cupy.to_device, fake_cupy.to_host
    runtime = types.SimpleNamespace(
        getDeviceCount=device_count,
        getDeviceProperties=lambda index: {"name": f"Imaginary {index}".encode()},
        runtimeGetVersion=lambda: 12040,
        memGetInfo=lambda: (30, 100),  # free, all
    )
    module.waits = []
    module.ElementwiseKernel = module.ReductionKernel = lambda *text: None
    stream = types.SimpleNamespace(synchronize=lambda: module.waits.append(1))
    module.cuda = types.SimpleNamespace(
        runtime=runtime, Device=lambda: types.SimpleNamespace(id=3), get_current_stream=lambda: stream
    )
    return module


def raises(error):
    def count():
        raise error

    return count


@pytest.mark.parametrize(
    ("device_count", "found"),
    [
        (lambda: 0, "(0 devices)"),
        (raises(RuntimeError("\n  no driver  \nand more")), "(no driver)"),
        (raises(OSError()), "(OSError)"),
    ],
)
def test_cupy_without_a_device(device_count, found, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", cupy_of(device_count))
    with pytest.raises(BackendError) as caught:
        get_backend("cupy")
    assert str(caught.value) == (
        f"backend cupy: CuPy 13.9 is installed but there is no CUDA device {found}; "
        "install an NVIDIA driver (nvidia-smi must list a GPU), or use --backend numpy"
    )
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.usefixtures("no_kernels")
def test_cupy_with_a_device(monkeypatch):
    module = cupy_of(lambda: 1)
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setitem(sys.modules, "cupyx", types.SimpleNamespace(empty_pinned=np.empty))
    backend = get_backend("cupy")
    assert (backend.name, backend.device) == ("cupy", "Imaginary 3 (CuPy 13.9, CUDA 12.4)")
    x = backend.to_device(np.ones(3))
    assert isinstance(x, DeviceArray)
    np.testing.assert_array_equal(backend.to_host(x), np.ones(3))
    backend.synchronize()
    assert module.waits == [1]
    assert backend.memory_in_use() == 70
    assert kernels.of(x).matmul is cublas.plain_matmul  # no cuBLAS lies behind the imaginary CuPy
    with pytest.raises(BackendError, match="--tf32: expected cuBLAS to be opened, found: "):
        get_backend("cupy", tf32=True)
    opened = types.SimpleNamespace(matmul=fake_cupy.DeviceArray.__matmul__)
    monkeypatch.setattr(cublas.Cublas, "open", lambda cupy, wrapper, tf32: opened)
    libs = types.SimpleNamespace(cublas=None)
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda.libs", libs)
    monkeypatch.setitem(sys.modules, "cupy_backends", libs)
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda", libs)
    assert get_backend("cupy", tf32=True).device == "Imaginary 3 (CuPy 13.9, CUDA 12.4, TF32)"
    assert kernels.of(x).matmul is opened.matmul


def test_real_cupy_says_what_is_missing_or_works():
    cupy = pytest.importorskip("cupy")
    try:
        backend, message = get_backend("cupy"), ""
    except BackendError as error:
        backend, message = None, str(error)
    if backend is None:
        assert message.startswith(f"backend cupy: CuPy {cupy.__version__} is installed but there is no CUDA device (")
    else:
        np.testing.assert_array_equal(backend.to_host(backend.to_device(np.arange(3)) * 2), [0, 2, 4])


# ---- the tape's vector space of a device array


def test_registering_twice_changes_nothing():
    register_array_type(DeviceArray, fake_cupy.to_device)
    register_array_type(DeviceArray, fake_cupy.to_device)
    x = STRICT.to_device(np.ones((2, 3), np.float32))
    assert isinstance(vspace(x), ForeignVSpace)
    assert type(new_box(x, 0, None)) is ArrayBox
    assert vspace(x) == vspace(x)
    assert vspace(x) != vspace(STRICT.to_device(np.ones((3, 2), np.float32)))
    assert vspace(x) != vspace(STRICT.to_device(np.ones((2, 3))))


@pytest.mark.parametrize("shape", [(2, 3), (1,), ()])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vector_space_of_a_device_array(shape, dtype):
    x, y = (STRICT.to_device(a) for a in draw(0, shape, shape, dtype=dtype))
    space = vspace(x)
    assert (space.shape, space.dtype, space.size, space.ndim) == (shape, dtype, int(np.prod(shape)), len(shape))
    basis = list(space.standard_basis())
    for vector in [space.zeros(), space.ones(), space.randn(), *basis]:
        assert isinstance(vector, DeviceArray)
        assert (vector.shape, vector.dtype) == (shape, dtype)
    np.testing.assert_array_equal(space.zeros().get(), np.zeros(shape))
    np.testing.assert_array_equal(space.ones().get(), np.ones(shape))
    np.testing.assert_array_equal([v.get().ravel() for v in basis], np.eye(space.size))
    assert space.inner_prod(x, y).item() == pytest.approx((x.get() * y.get()).sum(), rel=1e-5)


def test_random_vectors_come_from_the_generator_that_autograds_checker_seeds():
    space = vspace(STRICT.to_device(np.ones((2, 3))))
    np.random.seed(5)  # noqa: NPY002
    first = space.randn().get()
    np.random.seed(5)  # noqa: NPY002
    np.testing.assert_array_equal(first, np.random.randn(2, 3))  # noqa: NPY002


def test_autograds_own_checker_on_a_device_array(monkeypatch):
    """Its reverse mode, to second order; it compares inner products as Python does, so they may be read here."""
    monkeypatch.setattr(DeviceArray, "__bool__", lambda self: bool(self.item()))
    x, w = (STRICT.to_device(a) for a in draw(1, (3, 4), (4, 2)))

    def function(x, w):
        return ops.logsumexp(ops.softplus(ops.matmul(x, w)) * 2.0, 0)

    check_grads(function, modes=["rev"], order=2)(x, w)
