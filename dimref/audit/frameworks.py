"""How each framework is handed arrays, is differentiated by its own means, and is read back.

A framework is imported when it is asked for or found. NumPy has no autodiff: what is written with its functions is run a
second time with autograd's in their place, and has a gradient if that run gives the same numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from dimref import ops
from dimref.audit import reach
from dimref.audit.answer import Signature
from dimref.audit.loading import where
from dimref.backend import NUMPY, Backend, get_backend
from dimref.errors import DimrefError
from dimref.tape import stop_gradient, value_and_gradients
from dimref.trees import Tree, leaves, map_tree

# What a target computes: inputs by name -> a scalar to differentiate (None if there is none), and its outputs.
Run = Callable[[dict[str, Any]], tuple[Any, dict[str, Any]]]
Found = tuple[dict[str, Any], Tree | None, str]  # outputs, gradients, why there are none

STANDS_FOR = {  # autograd's own version of a module
    "numpy": "autograd.numpy",
    "numpy.linalg": "autograd.numpy.linalg",
    "scipy.special": "autograd.scipy.special",
    "cupy": "autograd.numpy",  # NumPy's functions reach an array on the device by its array protocols
    "cupy.linalg": "autograd.numpy.linalg",
}
FOREIGN = ("torch", "jax")  # frameworks with arrays of their own
HALF = ("float16", "bfloat16")
BFLOAT16 = 2.0**-7  # its rounding unit


class Unusable(Exception):
    """The target's result is no value; the message names the reason."""


class Framework:
    """One framework.

    Attributes:
        name: as in `dimref.training.choices.FRAMEWORKS`.
        mutable: whether its arrays can be changed in place.
    """

    name: str
    mutable = True

    def array(self, host: np.ndarray) -> Any:
        """An array of this framework with the same numbers and dtype; the host's may share its memory."""
        raise NotImplementedError

    def cast(self, host: np.ndarray, dtype: str) -> Any:
        """The same numbers rounded to a dtype, in memory of its own."""
        if dtype == "bfloat16":
            raise Unusable(f"{self.name} has no bfloat16")
        return self.array(host.astype(dtype))

    def host(self, found: Any) -> np.ndarray:
        """The target's result, as an untraced NumPy array.

        Raises:
            Unusable: it is no array of real numbers.
        """
        return host(found)

    def differentiable(self, found: Any) -> bool:
        """Whether it is an array of this framework, of floating point numbers."""
        raise NotImplementedError

    def weighted(self, found: Any, weight: Any) -> Any:
        """Σ weight · found, a scalar; found itself, of one element, where weight is None."""
        return found.reshape(()) if weight is None else (weight * found).sum()

    def context(self) -> AbstractContextManager[Any]:
        """What holds as long as a call lasts."""
        return nullcontext()

    def use_cpu(self) -> bool:
        """Let what asks for a device that is not there stay on the CPU; whether that is possible and new."""
        return False

    def evaluate(self, run: Run, inputs: dict[str, Any], signature: Signature) -> Found:
        """Run, and differentiate the scalar by `signature.differentiate`; zeros where it does not depend on an input."""
        raise NotImplementedError


def get(name: str, function: Callable[..., Any]) -> Framework:
    """The framework of that name, to run `function`.

    Raises:
        DimrefError: it is not installed, or has no device.
    """
    if name == "numpy":
        return Plain("numpy", NUMPY, function)
    if name == "autograd":
        return Taped("autograd", NUMPY)
    if name == "cupy":
        return Plain("cupy", get_backend("cupy"), function)
    return Torch() if name == "torch" else Jax()


def candidates(function: Callable[..., Any]) -> list[str]:
    """The frameworks that `function` may be written in, the likeliest first: those that its code refers to."""
    found = [name for name in reach.roots(function) if name in ("torch", "jax", "cupy", "autograd")]
    if found or "numpy" in reach.roots(function):
        return [*found, "numpy"]
    return ["numpy"]  # methods and operators alone


def differentiated(inputs: dict[str, Any], signature: Signature) -> Tree:
    """The inputs whose gradients are requested."""
    return {name: inputs[name] for name in signature.differentiate}


def copied(tree: Any) -> Any:
    """A tree with copies of its arrays."""
    return map_tree(lambda leaf: leaf.copy() if hasattr(leaf, "copy") else leaf, tree)


def host(found: Any) -> np.ndarray:
    """NumPy's view of a number or an array on the host; by DLPack, where it is another framework's.

    Raises:
        Unusable: it is neither, or no real numbers.
    """
    if isinstance(found, (np.ndarray, np.generic, bool, int, float)):
        array = np.array(found)
    elif hasattr(found, "__dlpack__"):
        try:
            array = np.array(np.from_dlpack(found))
        except (BufferError, RuntimeError, TypeError, ValueError):
            raise Unusable(f"returned {described(found)} that NumPy cannot read") from None
    else:
        raise Unusable(f"returned {described(found)}; expected an array of real numbers")
    if array.dtype.kind not in "biuf":
        what = "complex numbers" if array.dtype.kind == "c" else f"an array of {array.dtype}"
        raise Unusable(f"returned {what}; expected an array of real numbers")
    return array


def _halved(found: np.ndarray) -> np.ndarray:
    """bfloat16, which NumPy lacks, as float16, the nearest in rounding; as float32 where that range ends."""
    beyond = np.abs(found[np.isfinite(found)]).max(initial=0.0) > np.finfo(np.float16).max
    return found if beyond else found.astype(np.float16)


def described(thing: Any) -> str:
    """A few words on something that is no array."""
    if thing is None:
        return "None"
    if isinstance(thing, (list, tuple, dict, set)):
        return f"a {type(thing).__name__} of {len(thing)}"
    kind, dtype = type(thing), getattr(thing, "dtype", None)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}" + (f" of {dtype}" if dtype is not None else "")


# ---- autograd, NumPy, CuPy


class Taped(Framework):
    """Functions that autograd's tape runs through."""

    def __init__(self, name: str, backend: Backend) -> None:
        self.name, self._backend = name, backend
        self._type = type(backend.to_device(np.zeros(1)))

    def array(self, host: np.ndarray) -> Any:
        return self._backend.to_device(host)

    def host(self, found: Any) -> np.ndarray:
        found = stop_gradient(found)
        return host(self._backend.to_host(found) if isinstance(found, self._type) else found)

    def differentiable(self, found: Any) -> bool:
        found = stop_gradient(found)
        return isinstance(found, float) or getattr(getattr(found, "dtype", None), "kind", "") == "f"

    def weighted(self, found: Any, weight: Any) -> Any:
        if weight is None:
            return ops.reshape(found, ()) if hasattr(found, "shape") else found
        return ops.total(ops.multiply(found, weight))

    def evaluate(self, run: Run, inputs: dict[str, Any], signature: Signature) -> Found:
        at = differentiated(inputs, signature)

        def scalar(boxed: Tree) -> tuple[Any, Any]:
            total, outputs = run({**inputs, **boxed})
            return total, {"outputs": outputs, "scalar": np.array(total is not None)}

        _, gradients, found = value_and_gradients(scalar, at)
        outputs = found["outputs"]
        if not found["scalar"]:
            return outputs, None, ""
        reported = map_tree(self._gradient, gradients, at)
        if any(g.shape != np.shape(x) for (_, g), (_, x) in zip(leaves(reported), leaves(at), strict=True)):
            return outputs, None, "no gradient: autograd returned one of another shape than the input's"
        return outputs, reported, ""

    def _gradient(self, gradient: Any, leaf: Any) -> np.ndarray:
        return np.zeros(leaf.shape, leaf.dtype) if gradient is None else self.host(gradient)


class Plain(Taped):
    """Functions of a library without autodiff: run as they are, then once more with autograd's functions."""

    def __init__(self, name: str, backend: Backend, function: Callable[..., Any]) -> None:
        super().__init__(name, backend)
        self._function = function

    def evaluate(self, run: Run, inputs: dict[str, Any], signature: Signature) -> Found:
        copies = copied(inputs)  # the first run may change its inputs
        _, outputs = run(inputs)
        title = {"numpy": "NumPy", "cupy": "CuPy"}[self.name]
        try:
            with autograd_for_numpy(reach.namespaces(self._function)):
                traced, gradients, _ = super().evaluate(run, copies, signature)
            same = all(_close(self.host(traced[name]), self.host(outputs[name])) for name in outputs)
        except Exception:  # whatever autograd makes of code that was not written for it
            return outputs, None, f"no gradient: {title} has no autodiff, and autograd cannot trace this function"
        if gradients is None or not same:
            return outputs, None, f"no gradient: {title} has no autodiff, and autograd's trace differs"
        at = differentiated(inputs, signature)
        return outputs, map_tree(lambda g, leaf: g.astype(leaf.dtype), gradients, at), ""


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True))


@contextmanager
def autograd_for_numpy(namespaces: list[dict[str, Any]]) -> Iterator[None]:
    """Let the names that stand for NumPy's functions stand for autograd's, for a while."""
    linalg = vars(import_module("autograd.numpy.linalg"))
    before = [(linalg, "norm", linalg["norm"])]
    try:
        linalg["norm"] = partial(_norm, linalg["norm"])
        for namespace in namespaces:
            for name, thing in list(namespace.items()):
                other = _autograds(thing)
                if other is not None:
                    before.append((namespace, name, thing))
                    namespace[name] = other
        yield
    finally:
        for namespace, name, thing in reversed(before):
            namespace[name] = thing


def _norm(norm: Callable[..., Any], x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """autograd's norm, whose gradient is wrong with keepdims; the axes are put back outside it."""
    found = norm(x, ord, axis)
    if not keepdims:
        return found
    axes = range(np.ndim(x)) if axis is None else np.atleast_1d(axis) % np.ndim(x)
    return ops.reshape(found, tuple(1 if k in axes else size for k, size in enumerate(np.shape(x))))


def _autograds(thing: Any) -> Any:
    """autograd's version of a module or a function of NumPy's; None if there is none."""
    if isinstance(thing, ModuleType):
        return import_module(STANDS_FOR[thing.__name__]) if thing.__name__ in STANDS_FOR else None
    if not callable(thing) or isinstance(thing, type):
        return None
    for module, other in STANDS_FOR.items():
        name = getattr(thing, "__name__", "")
        if module in sys.modules and name and getattr(sys.modules[module], name, None) is thing:
            return getattr(import_module(other), name, None)
    return None


# ---- PyTorch


class Torch(Framework):
    """PyTorch, with its own autograd."""

    name = "torch"

    def __init__(self) -> None:
        self._torch = _imported("torch", "PyTorch", "torch")
        self._on_cpu = False

    def array(self, host: np.ndarray) -> Any:
        return self._torch.from_dlpack(host) if host.size else self._torch.from_numpy(host)

    def cast(self, host: np.ndarray, dtype: str) -> Any:
        return self.array(host.copy()).to(getattr(self._torch, dtype))

    def host(self, found: Any) -> np.ndarray:
        if not isinstance(found, self._torch.Tensor):
            return host(found)
        found = found.detach().cpu().resolve_conj()
        return _halved(found.float().numpy()) if found.dtype == self._torch.bfloat16 else host(found)

    def context(self) -> AbstractContextManager[Any]:
        return _on_cpu(self._torch) if self._on_cpu else nullcontext()

    def use_cpu(self) -> bool:
        new = not (self._on_cpu or self._torch.cuda.is_available())
        self._on_cpu |= new
        return new

    def differentiable(self, found: Any) -> bool:
        return isinstance(found, self._torch.Tensor) and found.is_floating_point()

    def evaluate(self, run: Run, inputs: dict[str, Any], signature: Signature) -> Found:
        at = differentiated(inputs, signature)
        roots: list[Any] = []

        def as_root(leaf: Any) -> Any:
            roots.append(leaf.requires_grad_())
            return leaf.clone()  # a root may not be changed in place, what is computed from it may

        with self._torch.enable_grad():
            total, outputs = run({**inputs, **map_tree(as_root, at)})
        if total is None:
            return outputs, None, ""
        found: Any = [None] * len(roots)
        if total.requires_grad:
            try:
                found = self._torch.autograd.grad(total, roots, allow_unused=True)
            except RuntimeError as error:
                return outputs, None, _raised("torch.autograd", error)
        gradients_of = iter(
            [
                np.zeros(tuple(r.shape), self.host(r).dtype) if g is None else self.host(g)
                for g, r in zip(found, roots, strict=True)
            ]
        )
        return outputs, map_tree(lambda _: next(gradients_of), at), ""


def _on_cpu(torch: Any) -> Any:
    """A mode of PyTorch in which tensors that are sent to a CUDA device stay where they are."""

    def here(asked: Any) -> Any:
        cuda = isinstance(asked, (str, torch.device)) and str(asked).startswith("cuda")
        return torch.device("cpu") if cuda else asked

    class OnCpu(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function is torch.Tensor.cuda:
                return args[0]
            return function(*map(here, args), **{key: here(each) for key, each in (kwargs or {}).items()})

    return OnCpu()


# ---- JAX


class Jax(Framework):
    """JAX, with jax.grad. Value and gradient are compiled as one for each shape, where the function can be traced."""

    name, mutable = "jax", False

    def __init__(self) -> None:
        self._jax = _imported("jax", "JAX", "jax[cpu]")
        self._compiled: dict[str, Callable[..., Any]] = {}
        self._numbers = True  # a float is traced as arrays are: one compilation for all temperatures
        self._as_written = 2  # calls that are run line by line, so that what changes from call to call shows

    def array(self, host: np.ndarray) -> Any:
        return self._jax.numpy.from_dlpack(host) if host.size and host.dtype != bool else self._jax.numpy.asarray(host)

    def cast(self, host: np.ndarray, dtype: str) -> Any:
        return self._jax.numpy.asarray(host, dtype)

    def host(self, found: Any) -> np.ndarray:
        half = getattr(found, "dtype", None) == self._jax.numpy.bfloat16
        return _halved(np.asarray(found.astype("float32"))) if half else host(found)

    def context(self) -> AbstractContextManager[Any]:
        return self._jax.enable_x64(True)  # float64 inputs would become float32

    def differentiable(self, found: Any) -> bool:
        return isinstance(found, self._jax.Array) and self._jax.numpy.issubdtype(found.dtype, np.floating)

    def evaluate(self, run: Run, inputs: dict[str, Any], signature: Signature) -> Found:
        arrays, rest = self._split(inputs)
        at = {name: arrays.pop(name) for name in signature.differentiate}

        def scalar(at: Tree, arrays: Tree) -> tuple[Any, Any]:
            total, outputs = run(_joined({**at, **arrays}, rest))
            if total is None:
                raise Unusable
            return total, outputs

        differentiate = self._jax.value_and_grad(scalar, has_aux=True)
        self._as_written, compiles = self._as_written - 1, True
        if self._as_written < 0:
            key = f"{signature} {rest}"
            compiled = self._compiled.setdefault(key, self._jax.jit(differentiate))
            try:
                (_, outputs), gradients = compiled(at, arrays)
                return outputs, map_tree(self.host, gradients), ""
            except Exception:  # its code reads the numbers; or it fails at this input, which shows below
                if self._numbers:
                    self._numbers = False
                    return self.evaluate(run, inputs, signature)
                compiles = False
        try:
            (_, outputs), gradients = differentiate(at, arrays)
            if not compiles:
                self._as_written = sys.maxsize
        except Exception as error:  # the target's own fault shows when it is run without a tape
            outputs = run(inputs)[1]
            return outputs, None, "" if isinstance(error, Unusable) else _raised("jax.grad", error)
        return outputs, map_tree(self.host, gradients), ""

    def _split(self, tree: Any) -> tuple[Any, Any]:
        """The arrays (and numbers) of a tree, and all else in it: None where the other has an entry."""
        if isinstance(tree, dict):
            parts = {name: self._split(entry) for name, entry in tree.items()}
            return {name: part[0] for name, part in parts.items()}, {name: part[1] for name, part in parts.items()}
        traced = isinstance(tree, self._jax.Array) or (self._numbers and type(tree) is float)
        return (tree, None) if traced else (None, tree)


def _joined(arrays: Any, rest: Any) -> Any:
    """What `Jax._split` took apart."""
    if isinstance(rest, dict):
        return {name: _joined(arrays[name], entry) for name, entry in rest.items()}
    return rest if arrays is None else arrays


def _raised(what: str, error: Exception) -> str:
    """Without its words, which name shapes: the same remark for every input."""
    return f"no gradient: {what} raised {type(error).__name__}{where(error)}"


def _imported(module: str, title: str, package: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise DimrefError(
            f"--framework {module}: expected {title}, found it not installed; install it with pip install {package!r}"
        ) from None
