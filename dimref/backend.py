"""Which array library, which device. The only file that imports CuPy.

Once autograd has unboxed an array, NumPy's functions reach a CuPy array by its array protocols (`__array_ufunc__`,
`__array_function__`), so the mathematics is written once, with NumPy's names. Three things are left to say, and are said
here alone: how an array gets to the device, how it gets back, and how autograd's tape holds it. Nothing moves by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from autograd.extend import VSpace
from autograd.numpy.numpy_boxes import ArrayBox

from dimref.errors import DimrefError
from dimref.training.choices import BACKENDS

if TYPE_CHECKING:
    from dimref.engine.cuda_graph import Queue

Array = Any  # numpy.ndarray, cupy.ndarray, or autograd's box of either
Tree = Any  # an array, or a dict of trees: parameters, model state, gradients


class BackendError(DimrefError):
    """The backend asked for cannot be used on this machine."""


@dataclass(frozen=True)
class Backend:
    """An array library on one device: explicit moves to the device and back, and a wait for its queue."""

    name: str
    device: str
    to_device: Callable[[np.ndarray], Array]
    to_host: Callable[[Array], np.ndarray]
    synchronize: Callable[[], None]
    queue: Callable[[], Queue] | None = None  # of a device that can be ahead of the host
    memory_in_use: Callable[[], int] | None = None  # bytes of a device that has a memory of its own, by all processes

    def tree_to_device(self, tree: Tree) -> Tree:
        """Move every leaf of nested dicts to the device."""
        return map_tree(self.to_device, tree)

    def tree_to_host(self, tree: Tree) -> Tree:
        """Move every leaf of nested dicts to the host."""
        return map_tree(self.to_host, tree)


def get_backend(name: str, tf32: bool = False) -> Backend:
    """The backend of that name.

    Args:
        tf32: let the matrix products of a CUDA device round their float32 factors to TF32's 10 bits.
    Raises:
        BackendError: the name is unknown, CuPy is not installed, or there is no CUDA device.
    """
    if name == "numpy":
        return NUMPY
    if name == "cupy":
        return _cupy_backend(tf32)
    raise BackendError(f"backend: expected one of {', '.join(BACKENDS)}, found {name!r}")


def map_tree(function: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Apply `function` to every leaf of nested dicts that share one structure."""
    if isinstance(tree, dict):
        return {key: map_tree(function, tree[key], *(other[key] for other in rest)) for key in tree}
    return function(tree, *rest)


def leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested dicts with its path, as `("encoder/conv1/w", array)`, in the order of the keys."""
    if isinstance(tree, dict):
        for key in tree:
            yield from leaves(tree[key], f"{path}/{key}" if path else key)
    else:
        yield path, tree


def register_array_type(array_type: type, to_device: Callable[[np.ndarray], Array]) -> None:
    """Teach autograd's tape a foreign array type that follows NumPy's array protocols (idempotent)."""
    ArrayBox.register(array_type)
    VSpace.register(array_type, lambda value: ForeignVSpace(value, to_device))


class ForeignVSpace(VSpace):
    """autograd's vector space of a device array; its own one calls `np.asarray`, an implicit move to the host."""

    def __init__(self, value: Array, to_device: Callable[[np.ndarray], Array]) -> None:
        self.shape, self.dtype = value.shape, value.dtype
        self.size, self.ndim = math.prod(self.shape), len(self.shape)
        self._to_device = to_device

    def zeros(self) -> Array:
        return self._to_device(np.zeros(self.shape, self.dtype))

    def ones(self) -> Array:
        return self._to_device(np.ones(self.shape, self.dtype))

    def randn(self) -> Array:
        # The global generator, as in autograd's own vector spaces: its gradient checker seeds that one.
        return self._to_device(np.asarray(np.random.randn(*self.shape), self.dtype))  # noqa: NPY002

    def standard_basis(self) -> Iterator[Array]:
        for index in np.ndindex(*self.shape):
            vector = np.zeros(self.shape, self.dtype)
            vector[index] = 1
            yield self._to_device(vector)

    def _inner_prod(self, x: Array, y: Array) -> Array:
        return (x * y).sum()


def _nothing() -> None:
    """NumPy computes when it is called: there is no queue to wait for."""


NUMPY = Backend("numpy", "cpu", np.asarray, np.asarray, _nothing)


def _cupy_backend(tf32: bool) -> Backend:
    """CuPy on the current CUDA device. It imports without a driver, so the device is asked for, not the import."""
    try:
        import cupy
    except ImportError as error:
        raise BackendError(
            "backend cupy: CuPy is not installed; install it with pip install 'dimref[cuda12]' (CUDA 12) "
            f"or 'dimref[cuda13]' (CUDA 13) ({first_line(error)})"
        ) from None
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # a RuntimeError of CuPy's own, or an OSError of a library that is not there
        raise BackendError(_no_device(cupy.__version__, first_line(error))) from None
    if count == 0:
        raise BackendError(_no_device(cupy.__version__, "0 devices"))
    from cupyx import empty_pinned

    from dimref.engine import kernels
    from dimref.engine.cuda_graph import Queue

    register_array_type(cupy.ndarray, cupy.asarray)
    kernels.register(cupy.ndarray, kernels.cupy_kernels(cupy, _products(cupy, tf32)))
    rounding = ", TF32" if tf32 else ""
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return Backend(
        name="cupy",
        device=f"{properties['name'].decode()} (CuPy {cupy.__version__}, CUDA {_cuda_version(cupy)}{rounding})",
        to_device=cupy.asarray,
        to_host=cupy.asnumpy,
        synchronize=lambda: cupy.cuda.get_current_stream().synchronize(),
        queue=lambda: Queue(cupy, empty_pinned),
        memory_in_use=lambda: _in_use(*cupy.cuda.runtime.memGetInfo()),
    )


def _in_use(free: int, total: int) -> int:
    return total - free


def _products(cupy: Any, tf32: bool) -> Callable[..., Array]:
    """How this device multiplies matrices: by cuBLAS itself, or, where that cannot be had, by CuPy.

    Raises:
        BackendError: TF32 was asked for, which CuPy's own products take from the environment alone.
    """
    from dimref.engine.cublas import Cublas, plain_matmul

    try:
        from cupy_backends.cuda.libs import cublas

        return Cublas.open(cupy, cublas, tf32).matmul
    except Exception as error:  # of the loader, of CuPy or of cuBLAS
        if tf32:
            raise BackendError(f"--tf32: expected cuBLAS to be opened, found: {first_line(error)}") from None
        return plain_matmul


def _cuda_version(cupy: Any) -> str:
    """The CUDA runtime's 12040 as "12.4"."""
    number = cupy.cuda.runtime.runtimeGetVersion()
    return f"{number // 1000}.{number % 1000 // 10}"


def _no_device(version: str, found: str) -> str:
    return (
        f"backend cupy: CuPy {version} is installed but there is no CUDA device ({found}); "
        "install an NVIDIA driver (nvidia-smi must list a GPU), or use --backend numpy"
    )


def first_line(error: BaseException) -> str:
    """What an error says, on one line; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()
