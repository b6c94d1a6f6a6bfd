"""The array type that stands for CuPy's: it never becomes NumPy's by itself, and knows what CuPy knows and no more."""

import inspect
import re

import fake_cupy
import numpy as np
import pytest
from autograd.numpy.numpy_boxes import ArrayBox
from fake_cupy import STRICT, DeviceArray


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


# ---- against CuPy, which imports and can be asked without a device


def signature_names(text):
    """Parameter names of a signature as CuPy's compiled methods print it: "_ndarray_base.sum(self, axis=None) -> …"."""
    inside = re.match(r"[\w.]+\((.*?)\)( ->.*)?$", text).group(1)
    names = [part.split("=")[0].split()[-1] for part in inside.split(",")]
    return [name for name in names if name != "self"]


def test_accepted_ufuncs_are_cupys():
    cupy = pytest.importorskip("cupy")
    for ufunc in fake_cupy.UFUNCS:
        found = getattr(cupy, ufunc.__name__)
        assert isinstance(found, cupy.ufunc) or ufunc is np.matmul, ufunc.__name__
        assert callable(found)


def test_accepted_functions_are_cupys():
    cupy = pytest.importorskip("cupy")
    for path, accepted in fake_cupy.FUNCTIONS.items():
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
    for path in fake_cupy.FUNCTIONS:
        function = np
        for name in path.split("."):
            function = getattr(function, name)
        assert ".".join([*function.__module__.split(".")[1:], function.__name__]) == path


def test_accepted_methods_are_cupys():
    cupy = pytest.importorskip("cupy")
    for name, accepted in fake_cupy.METHODS.items():
        names = signature_names(getattr(cupy.ndarray, name).__doc__.splitlines()[0])
        assert list(accepted) == names[: len(accepted)], name
    for name in [*fake_cupy.ATTRIBUTES, "T", "get", "item", "__len__", "__iter__"]:
        assert hasattr(cupy.ndarray, name), name


def test_operators_are_cupys():
    cupy = pytest.importorskip("cupy")
    names = [f"__{name}__" for name in [*fake_cupy.COMPARISONS, *fake_cupy.ARITHMETIC, "neg", "pos", "abs", "invert"]]
    names += [f"__{kind}{name}__" for name in fake_cupy.ARITHMETIC for kind in "ri"]
    names.remove("__imatmul__")  # CuPy has none
    assert not hasattr(DeviceArray, "__imatmul__")
    for name in names:
        assert hasattr(cupy.ndarray, name), name
    assert cupy.ndarray.__array_priority__ == DeviceArray.__array_priority__ == ArrayBox.__array_priority__
