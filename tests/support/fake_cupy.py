"""A strict stand-in for a CuPy array: NumPy inside, CuPy's protocol rules outside.

`DeviceArray` answers NumPy's array protocols as `cupy.ndarray` does (CuPy 13 and 14, `cupy/_core/core.pyx`) and never
becomes a NumPy array by itself, so code that passes with it asks a device only for what CuPy answers. Like CuPy it

- refuses `np.asarray(x)`, and every operation that mixes it with a `numpy.ndarray`;
- knows only the ufuncs, functions, methods and keywords below, each held against CuPy's own by `test_backend.py`;
- keeps the result of a reduction on the device, as an array without axes;
- does not give way to autograd's box on its right: `device_array * box` is a TypeError, `box * device_array` is not.

It can be recorded as a CUDA stream is captured (`fake_stream.py`): the arrays that an operation touched are kept, its Python
numbers are frozen, and a replay computes again in the same places.

It is stricter than CuPy where CuPy moves data silently: `float(x)`, `bool(x)`, an index or an assigned value on the
host are refused; `x.get()` and `x.item()` move, and are counted. **It proves dispatch, not kernels:** the numbers are
NumPy's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dimref.backend import Backend
from dimref.engine import kernels
from dimref.engine.cupy import register_array_type

UFUNCS = (
    np.add, np.subtract, np.multiply, np.true_divide, np.power, np.remainder, np.floor_divide, np.matmul, np.negative,
    np.positive, np.absolute, np.sign, np.square, np.sqrt, np.exp, np.expm1, np.log, np.log1p, np.logaddexp, np.tanh,
    np.sin, np.cos, np.maximum, np.minimum, np.equal, np.not_equal, np.less, np.less_equal, np.greater,
    np.greater_equal, np.isfinite, np.isnan, np.isinf, np.logical_and, np.logical_or, np.logical_not, np.bitwise_and,
    np.bitwise_or, np.bitwise_xor, np.invert,
)  # fmt: skip

_LIKE = ("dtype", "order", "subok", "shape")
FUNCTIONS = {  # accepted parameters, in CuPy's order
    "concatenate": ("tup", "axis"),
    "stack": ("tup", "axis"),
    "where": ("condition", "x", "y"),
    "zeros_like": ("a", *_LIKE),
    "ones_like": ("a", *_LIKE),
    "full_like": ("a", "fill_value", *_LIKE),
    "empty_like": ("prototype", *_LIKE),
    "arange": ("start", "stop", "step", "dtype"),
    "broadcast_to": ("array", "shape"),
    "expand_dims": ("a", "axis"),
    "squeeze": ("a", "axis"),
    "repeat": ("a", "repeats", "axis"),
    "tile": ("A", "reps"),
    "roll": ("a", "shift", "axis"),
    "flip": ("a", "axis"),
    "pad": ("array", "pad_width", "mode"),
    "clip": ("a", "a_min", "a_max"),
    "reshape": ("a", "newshape"),
    "transpose": ("a", "axes"),
    "ravel": ("a",),
    "take": ("a", "indices", "axis"),
    "diagonal": ("a", "offset", "axis1", "axis2"),
    "sum": ("a", "axis", "dtype", "out", "keepdims"),
    "mean": ("a", "axis", "dtype", "out", "keepdims"),
    "max": ("a", "axis", "out", "keepdims"),
    "min": ("a", "axis", "out", "keepdims"),
    "var": ("a", "axis", "dtype", "out", "ddof", "keepdims"),
    "std": ("a", "axis", "dtype", "out", "ddof", "keepdims"),
    "any": ("a", "axis", "out", "keepdims"),
    "all": ("a", "axis", "out", "keepdims"),
    "argmax": ("a", "axis"),
    "tensordot": ("a", "b", "axes"),
    "dot": ("a", "b"),
    "einsum": ("*operands",),
    "shape": ("a",),
    "ndim": ("a",),
    "size": ("a",),
    "result_type": ("*arrays_and_dtypes",),
    "iscomplexobj": ("x",),
    "lib.stride_tricks.sliding_window_view": ("x", "window_shape", "axis"),
}

MOVES = ("lib.stride_tricks.sliding_window_view",)  # CuPy's puts the window's shape on the device and reads it back

METHODS = {  # accepted parameters, in CuPy's order
    "reshape": ("*shape",),
    "transpose": ("*axes",),
    "ravel": (),
    "flatten": (),
    "copy": (),
    "astype": ("dtype",),
    "view": ("dtype",),
    "squeeze": ("axis",),
    "swapaxes": ("axis1", "axis2"),
    "repeat": ("repeats", "axis"),
    "take": ("indices", "axis"),
    "diagonal": ("offset", "axis1", "axis2"),
    "clip": ("min", "max", "out"),
    "dot": ("b",),
    "sum": ("axis", "dtype", "out", "keepdims"),
    "mean": ("axis", "dtype", "out", "keepdims"),
    "prod": ("axis", "dtype", "out", "keepdims"),
    "max": ("axis", "out", "keepdims"),
    "min": ("axis", "out", "keepdims"),
    "var": ("axis", "dtype", "out", "ddof", "keepdims"),
    "std": ("axis", "dtype", "out", "ddof", "keepdims"),
    "any": ("axis", "out", "keepdims"),
    "all": ("axis", "out", "keepdims"),
    "argmax": ("axis",),
    "argmin": ("axis",),
    "fill": ("value",),
}

ATTRIBUTES = ("shape", "dtype", "size", "ndim", "nbytes", "itemsize", "strides", "flags")
_SCALARS = (bool, int, float, complex, np.generic)
_PLAIN = (*_SCALARS, str, type, np.dtype, slice, type(None), type(Ellipsis))


class DeviceArray:
    """An array that lives on a device which is not there."""

    __array_priority__ = 100.0  # as cupy.ndarray and as autograd's ArrayBox
    __hash__ = None  # type: ignore[assignment]  # arrays compare elementwise
    transfers = 0  # explicit moves to the host so far
    recording: Recording | None = None  # of the capture that is going on
    wait: Any = staticmethod(lambda: None)  # for the work that is queued before this operation
    later: Any = staticmethod(lambda work: work())  # queues work that has no result

    def __init__(self, host: np.ndarray) -> None:
        self._host = host

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`: it is explicit.")

    # ---- the two protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or ufunc not in UFUNCS:
            return NotImplemented
        if not all(isinstance(x, (DeviceArray, np.ndarray, *_SCALARS)) for x in (*inputs, *kwargs.get("out", ()))):
            return NotImplemented  # someone else's type, autograd's box among them, may answer
        return _call_ufunc(ufunc, *inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        path = ".".join([*function.__module__.split(".")[1:], function.__name__])
        if path not in FUNCTIONS or not all(issubclass(t, (DeviceArray, np.ndarray)) for t in types):
            return NotImplemented
        _check_parameters(path, FUNCTIONS[path], args, kwargs)
        if path in MOVES and kernels.of(self) is not None:  # without kernels a plain form may have no other way
            _refuse_while_capturing()
        return _compute(function, *args, **kwargs)

    # ---- methods and attributes

    def __getattr__(self, name: str) -> Any:
        if name in ATTRIBUTES:
            return getattr(self._host, name)
        if name not in METHODS:
            raise AttributeError(f"DeviceArray has no {name!r}: CuPy has none, or nothing here has needed it yet")

        def method(*args: Any, **kwargs: Any) -> Any:
            _check_parameters(name, METHODS[name], args, kwargs)
            if name == "fill":
                self[...] = args[0]
                return None
            return _compute(getattr(type(self._host), name), self, *args, **kwargs)

        return method

    @property
    def T(self) -> DeviceArray:
        return DeviceArray(self._host.T)

    def __len__(self) -> int:
        return len(self._host)

    def __repr__(self) -> str:
        return f"DeviceArray({self._host!r})"

    # ---- moves

    def get(self) -> np.ndarray:
        """A copy on the host: the explicit move, and the only one."""
        _refuse_while_capturing()
        DeviceArray.wait()
        DeviceArray.transfers += 1
        return self._host.copy()

    def set(self, array: np.ndarray, stream: Any) -> None:
        """Queue a copy from (pinned) host memory on a stream: what lies there when the copy runs arrives."""
        if array.shape != self.shape or array.dtype != self.dtype:
            raise TypeError(f"expected {self.dtype} {self.shape}, was {array.dtype} {array.shape}")
        stream.queue(lambda: np.copyto(self._host, array))

    def item(self) -> Any:
        """The only element, on the host."""
        return self.get().item()

    def _refuse(self) -> Any:
        raise TypeError("a device array is not read by itself: CuPy would wait for the device here. Use `.get()`")

    __float__ = __int__ = __bool__ = __index__ = __complex__ = _refuse

    # ---- elements

    def __getitem__(self, index: Any) -> DeviceArray:
        return _compute(_item, self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        host, where, what = self._host, _unwrap(index), _unwrap(value)

        def write() -> None:
            host[where] = what

        if DeviceArray.recording is not None:
            DeviceArray.recording.write(host, write)
        else:
            DeviceArray.later(write)

    def __iter__(self) -> Any:
        return (self[k] for k in range(len(self)))


def _call_ufunc(ufunc: np.ufunc, *inputs: Any, **kwargs: Any) -> DeviceArray:
    """Compute with device arrays and scalars only, as CuPy's kernels do."""
    if set(kwargs) - {"out"}:
        raise TypeError(f"{ufunc.__name__}: keywords {sorted(kwargs)} are not accepted")
    if "out" not in kwargs:
        return _compute(ufunc, *inputs)
    (target,) = kwargs["out"]
    if not isinstance(target, DeviceArray):
        raise TypeError(f"{ufunc.__name__}: out must be a device array, was {type(target)}")
    arrays = _unwrap(inputs)
    if DeviceArray.recording is not None:
        DeviceArray.recording.write(target._host, lambda: ufunc(*arrays, out=target._host))
    else:
        DeviceArray.wait()
        ufunc(*arrays, out=target._host)
    return target


def _item(x: np.ndarray, index: Any) -> Any:
    """x[index]; one element is a view too, as CuPy's is."""
    found = x[index]
    return found if isinstance(found, np.ndarray) else x[(*index, ...) if isinstance(index, tuple) else (index, ...)]


def _compute(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Compute with the host's arrays behind the arguments; a capture records it."""
    args, kwargs = _unwrap(args), {key: _unwrap(value) for key, value in kwargs.items()}
    DeviceArray.wait()
    found = function(*args, **kwargs)
    if not isinstance(found, (np.ndarray, np.generic)):
        return found
    out = np.asarray(found)
    if DeviceArray.recording is not None:
        DeviceArray.recording.result(out, lambda: function(*args, **kwargs), [*args, *kwargs.values()])
    return DeviceArray(out)


def _refuse_while_capturing() -> None:
    if DeviceArray.recording is not None:
        raise RuntimeError("cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing")


class Recording:
    """Work as it was captured: what to compute again, and where its result lies. What it wrote is put back at the end."""

    def __init__(self) -> None:
        self.work: list[Any] = []
        self._before: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._new: list[np.ndarray] = []

    def write(self, target: np.ndarray, work: Any) -> None:
        """Work that writes into an array that is there already."""
        base = target if target.base is None else target.base
        self._before.setdefault(id(base), (base, np.array(base)))
        work()
        self.work.append(work)

    def result(self, out: np.ndarray, work: Any, arguments: list[Any]) -> None:
        """Work whose result is a new array; a view of an argument needs no work."""
        if any(np.may_share_memory(out, a) for a in _arrays(arguments)):
            return
        self._new.append(out)
        self.work.append(lambda: np.copyto(out, work()))

    def end(self) -> None:
        """Captured work has not run: put back what was overwritten, and leave what is new undefined."""
        for out in self._new:
            out.fill(np.nan if out.dtype.kind == "f" else 1)
        for base, before in self._before.values():
            if all(base is not out for out in self._new):
                np.copyto(base, before)


def _arrays(values: Any) -> Any:
    for value in values:
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _arrays(value)


def _check_parameters(name: str, accepted: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    many = any(parameter.startswith("*") for parameter in accepted)
    if set(kwargs) - set(accepted) or (len(args) > len(accepted) and not many):
        raise TypeError(f"{name}: accepts {accepted}, was given {len(args)} arguments and keywords {sorted(kwargs)}")


def _unwrap(value: Any) -> Any:
    if isinstance(value, DeviceArray):
        return value._host
    if isinstance(value, (tuple, list)):
        return type(value)(_unwrap(v) for v in value)
    if isinstance(value, _PLAIN):
        return value
    raise TypeError(f"Unsupported type {type(value)} beside a device array")


def _wrap(value: Any) -> Any:
    return DeviceArray(np.asarray(value)) if isinstance(value, (np.ndarray, np.generic)) else value


def _binary(name: str, ufunc: np.ufunc) -> None:
    """The operator `x + y`, its mirror `y + x`, and its in-place form, for a device array x."""

    def forward(self: DeviceArray, other: Any) -> Any:
        # CuPy asks whether the other one has switched ufuncs off; autograd's box has not, so it is not given way to
        return NotImplemented if getattr(other, "__array_ufunc__", 0) is None else _call_ufunc(ufunc, self, other)

    def mirrored(self: DeviceArray, other: Any) -> Any:
        return _call_ufunc(ufunc, other, self)

    def in_place(self: DeviceArray, other: Any) -> Any:
        return _call_ufunc(ufunc, self, other, out=(self,))

    setattr(DeviceArray, f"__{name}__", forward)
    if name not in COMPARISONS:
        setattr(DeviceArray, f"__r{name}__", mirrored)
    if name not in COMPARISONS and name != "matmul":  # CuPy has no in-place matrix product
        setattr(DeviceArray, f"__i{name}__", in_place)


COMPARISONS = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
ARITHMETIC = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "pow": np.power,
    "matmul": np.matmul,
    "mod": np.remainder,
    "floordiv": np.floor_divide,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}
for _name, _ufunc in {**COMPARISONS, **ARITHMETIC}.items():
    _binary(_name, _ufunc)
for _name, _ufunc in {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}.items():
    setattr(DeviceArray, f"__{_name}__", lambda self, _ufunc=_ufunc: _call_ufunc(_ufunc, self))


def _clip(self: DeviceArray, min: Any, max: Any, out: DeviceArray | None = None) -> DeviceArray:
    """CuPy's is a ufunc, with an `out` like any other."""
    return _call_ufunc(np._core.umath.clip, self, min, max, **({} if out is None else {"out": (out,)}))


DeviceArray.clip = _clip


def to_device(x: Any) -> DeviceArray:
    """A copy on the device, as `cupy.asarray` makes one of a host array; a device array comes back as it is."""
    if isinstance(x, DeviceArray):
        return x
    _refuse_while_capturing()
    if not isinstance(x, (np.ndarray, *_SCALARS)):
        raise TypeError(f"only host arrays and numbers move to the device, was {type(x)}")
    return DeviceArray(np.array(x))


def to_host(x: Any) -> np.ndarray:
    """A copy on the host, as `cupy.asnumpy` makes one; a host array comes back as it is."""
    if isinstance(x, DeviceArray):
        return x.get()
    if not isinstance(x, np.ndarray):
        raise TypeError(f"only arrays move to the host, was {type(x)}")
    return x


register_array_type(DeviceArray, to_device)
STRICT = Backend("strict", "a device that is not there", to_device, to_host, lambda: None)
