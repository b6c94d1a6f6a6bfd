"""The choice of a backend, the vector space of a device array, and the strict array type held against CuPy itself."""

import inspect
import re
import sys
import types

import numpy as np
import pytest
import strict
from autograd.extend import vspace
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.test_util import check_grads
from autograd.tracer import new_box
from helpers import draw
from strict import STRICT, DeviceArray

from dimref import ops
from dimref.backend import NUMPY, Backend, BackendError, get_backend
from dimref.engine import cublas, kernels
from dimref.engine.cupy import ForeignVSpace, register_array_type
from dimref.errors import DimrefError
from dimref.trees import leaves, map_tree

# ---- which backend


def test_numpy_is_always_there():
    backend = get_backend("numpy")
    assert backend is NUMPY
    assert (backend.name, backend.device) == ("numpy", "cpu")
    x = np.ones(3)
    assert backend.to_device(x) is x
    assert backend.to_host(x) is x
    assert backend.synchronize() is None


def test_an_unknown_backend_is_named():
    with pytest.raises(BackendError, match=r"^backend: expected one of numpy, cupy, found 'torch'$"):
        get_backend("torch")
    assert issubclass(BackendError, DimrefError)  # the command line prints it as one line


def test_cupy_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # what makes `import cupy` fail
    with pytest.raises(BackendError) as caught:
        get_backend("cupy")
    message = str(caught.value)
    assert message.startswith("backend cupy: CuPy is not installed; install it with pip install 'dimref[cuda12]'")
    assert "'dimref[cuda13]'" in message
    assert message.endswith("None in sys.modules)")  # the reason that Python gives
    assert "\n" not in message
    assert caught.value.__suppress_context__


def fake_cupy(device_count):
    """A module that stands for CuPy: `device_count()` answers or raises, arrays are strict ones."""
    module = types.ModuleType("cupy")
    module.__version__ = "13.9"
    module.ndarray, module.asarray, module.asnumpy = DeviceArray, strict.to_device, strict.to_host
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
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(device_count))
    with pytest.raises(BackendError) as caught:
        get_backend("cupy")
    assert str(caught.value) == (
        f"backend cupy: CuPy 13.9 is installed but there is no CUDA device {found}; "
        "install an NVIDIA driver (nvidia-smi must list a GPU), or use --backend numpy"
    )
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_cupy_with_a_device(monkeypatch):
    module = fake_cupy(lambda: 1)
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setitem(sys.modules, "cupyx", types.SimpleNamespace(empty_pinned=np.empty))
    monkeypatch.setattr(kernels, "_OF", {})
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
    opened = types.SimpleNamespace(matmul=strict.DeviceArray.__matmul__)
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


# ---- trees

TREE = {"encoder": {"conv": {"w": 1, "b": 2}}, "bias": 3}


def test_map_tree():
    assert map_tree(lambda x: x + 1, TREE) == {"encoder": {"conv": {"w": 2, "b": 3}}, "bias": 4}
    assert map_tree(lambda x, y, z: (x, y, z), {"a": {"b": 1}}, {"a": {"b": 2}, "c": 0}, {"a": {"b": None}}) == {
        "a": {"b": (1, 2, None)}
    }
    assert map_tree(lambda x: -x, 5) == -5
    with pytest.raises(KeyError):
        map_tree(lambda x, y: x, {"a": 1}, {"b": 1})


def test_leaves_have_paths_in_the_order_of_the_keys():
    assert list(leaves(TREE)) == [("encoder/conv/w", 1), ("encoder/conv/b", 2), ("bias", 3)]
    assert list(leaves(5)) == [("", 5)]
    assert list(leaves(5, "x")) == [("x", 5)]
    assert list(leaves({"b": None}, "a")) == [("a/b", None)]
    assert list(leaves({})) == []


def test_trees_move_leaf_by_leaf(backend):
    tree = {"a": np.ones(2), "deep": {"b": np.zeros((1, 2), np.float32)}}
    there = backend.tree_to_device(tree)
    assert list(there) == ["a", "deep"]
    assert type(there["deep"]["b"]) is type(backend.to_device(np.ones(1)))
    back = backend.tree_to_host(there)
    for (path, x), (other, y) in zip(leaves(tree), leaves(back), strict=True):
        assert path == other
        np.testing.assert_array_equal(x, y, strict=True)


def test_a_backend_cannot_be_changed():
    with pytest.raises(AttributeError):
        NUMPY.name = "other"
    assert isinstance(NUMPY, Backend)


# ---- the tape's vector space of a device array


def test_registering_twice_changes_nothing():
    register_array_type(DeviceArray, strict.to_device)
    register_array_type(DeviceArray, strict.to_device)
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


# ---- the strict array type itself


def device(*shape):
    return STRICT.to_device(np.ones(shape))


def test_strict_arrays_never_become_numpy_arrays_by_themselves():
    x = device(2)
    for convert in [np.asarray, np.array, np.ascontiguousarray, lambda x: np.zeros(2) + np.asarray(x)]:
        with pytest.raises(TypeError, match="Implicit conversion"):
            convert(x)
    for read in [float, int, bool, complex, lambda x: [1, 2][x]]:
        with pytest.raises(TypeError, match="not read by itself"):
            read(device())
    before = DeviceArray.transfers
    assert device().item() == 1
    np.testing.assert_array_equal(x.get(), np.ones(2))
    assert DeviceArray.transfers == before + 2


def test_strict_arrays_do_not_mix_with_host_arrays():
    x, host = device(2), np.ones(2)
    for mix in [
        lambda: x + host,
        lambda: host + x,
        lambda: np.add(x, host),
        lambda: np.add(host, x),
        lambda: np.concatenate([x, host]),
        lambda: np.where(x > 0, x, host),
        lambda: x[np.array([0])],
        lambda: x[[np.array(0)]],
        lambda: x.__setitem__(slice(None), host),
        lambda: x.__iadd__(host),
        lambda: host.__iadd__(x),
        lambda: np.add(x, x, out=host),
        lambda: x + np.array(1.0),
        lambda: x @ host,
        lambda: x.take(np.array([0])),
    ]:
        with pytest.raises(TypeError):
            mix()
    np.testing.assert_array_equal(host, np.ones(2))


def test_strict_arrays_mix_with_numbers():
    x = device(2)
    for value in [x * 2, 2.0 * x, np.float64(2) * x, x * np.float32(2), x + True, 3 - x, x / 0.5, 2**x]:
        assert isinstance(value, DeviceArray)
        np.testing.assert_array_equal(value.get(), [2, 2])
    y = x
    y += 1
    assert y is x
    np.testing.assert_array_equal((-x).get(), [-2, -2])


def test_strict_reductions_stay_on_the_device():
    x = device(2, 3)
    for value in [x.sum(), x.mean(), x.max(), np.sum(x), np.max(x), x[0, 0], x.argmax(), (x > 0).all()]:
        assert isinstance(value, DeviceArray)
        assert value.shape == ()


def test_strict_arrays_know_what_cupy_knows_and_no_more():
    x = device(2, 2)
    for call in [
        lambda: np.vander(device(2)),  # no such function
        lambda: np.add.reduce(x),  # a ufunc's method
        lambda: np.nextafter(x, x),  # a ufunc not needed so far
        lambda: np.sum(x, initial=1),  # keywords that CuPy's function does not take
        lambda: np.max(x, where=True),
        lambda: np.add(x, x, where=True),
        lambda: x.sum(initial=1),
        lambda: x.sum(0, None, None, False, 1),
        lambda: np.broadcast_to(x, (2, 2, 2), subok=True),
        lambda: np.concatenate([x, x], 0, None, None),
    ]:
        with pytest.raises(TypeError):
            call()
    with pytest.raises(AttributeError, match="no 'tostring'"):
        x.tostring()


def test_strict_arrays_index_by_numbers_slices_and_device_arrays():
    x = STRICT.to_device(np.arange(6.0).reshape(2, 3))
    index = STRICT.to_device(np.array([1, 0]))
    np.testing.assert_array_equal(x[index].get(), [[3, 4, 5], [0, 1, 2]])
    np.testing.assert_array_equal(x[..., None, 1:].get(), np.arange(6.0).reshape(2, 3)[..., None, 1:])
    x[0] = 7
    x[1, 1:] = x[0, :2]
    np.testing.assert_array_equal(x.get(), [[7, 7, 7], [3, 7, 7]])
    assert [row.shape for row in x] == [(3,), (3,)]


def test_moving_to_the_strict_device_copies():
    host = np.ones(2)
    x = STRICT.to_device(host)
    host[0] = 5
    np.testing.assert_array_equal(x.get(), [1, 1])
    assert STRICT.to_device(x) is x
    assert STRICT.to_host(host) is host
    for wrong in [[1, 2], None, "x"]:
        with pytest.raises(TypeError):
            STRICT.to_device(wrong)
        with pytest.raises(TypeError):
            STRICT.to_host(wrong)


# ---- the strict array type against CuPy, which imports and can be asked without a device


def signature_names(text):
    """Parameter names of a signature as CuPy's compiled methods print it: "_ndarray_base.sum(self, axis=None) -> …"."""
    inside = re.match(r"[\w.]+\((.*?)\)( ->.*)?$", text).group(1)
    names = [part.split("=")[0].split()[-1] for part in inside.split(",")]
    return [name for name in names if name != "self"]


def test_accepted_ufuncs_are_cupys():
    cupy = pytest.importorskip("cupy")
    for ufunc in strict.UFUNCS:
        found = getattr(cupy, ufunc.__name__)
        assert isinstance(found, cupy.ufunc) or ufunc is np.matmul, ufunc.__name__
        assert callable(found)


def test_accepted_functions_are_cupys():
    cupy = pytest.importorskip("cupy")
    for path, accepted in strict.FUNCTIONS.items():
        found = cupy
        for name in path.split("."):
            found = getattr(found, name)
        assert callable(found)
        if not inspect.isfunction(found):  # compiled, with no signature to ask for: no keyword is ever needed
            assert len(accepted) == 1
            continue
        parameters = inspect.signature(found).parameters.values()
        names = [("*" if p.kind is p.VAR_POSITIONAL else "") + p.name for p in parameters]
        assert list(accepted) == names[: len(accepted)], path


def test_accepted_functions_answer_for_numpys_under_the_same_path():
    """`__array_function__` is asked with NumPy's function: its module path after "numpy." leads to CuPy's."""
    for path in strict.FUNCTIONS:
        function = np
        for name in path.split("."):
            function = getattr(function, name)
        assert ".".join([*function.__module__.split(".")[1:], function.__name__]) == path


def test_accepted_methods_are_cupys():
    cupy = pytest.importorskip("cupy")
    for name, accepted in strict.METHODS.items():
        names = signature_names(getattr(cupy.ndarray, name).__doc__.splitlines()[0])
        assert list(accepted) == names[: len(accepted)], name
    for name in [*strict.ATTRIBUTES, "T", "get", "item", "__len__", "__iter__"]:
        assert hasattr(cupy.ndarray, name), name


def test_operators_are_cupys():
    cupy = pytest.importorskip("cupy")
    names = [f"__{name}__" for name in [*strict.COMPARISONS, *strict.ARITHMETIC, "neg", "pos", "abs", "invert"]]
    names += [f"__{kind}{name}__" for name in strict.ARITHMETIC for kind in "ri"]
    names.remove("__imatmul__")  # CuPy has none
    assert not hasattr(DeviceArray, "__imatmul__")
    for name in names:
        assert hasattr(cupy.ndarray, name), name
    assert cupy.ndarray.__array_priority__ == DeviceArray.__array_priority__ == ArrayBox.__array_priority__
