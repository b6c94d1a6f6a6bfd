"""CuPy as a backend: moves of its arrays to the device and back, registered with autograd. Needs a CUDA device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from autograd.extend import VSpace
from autograd.numpy.numpy_boxes import ArrayBox

from dimref.backend import Backend, BackendError
from dimref.engine import kernels, turn_on
from dimref.engine.cublas import Cublas, plain_matmul
from dimref.engine.cuda_graph import Queue
from dimref.errors import first_line
from dimref.trees import Array


def open_backend(tf32: bool) -> Backend:
    """CuPy on the current CUDA device. It imports without a driver, so the test is for a device, not for the import."""
    try:
        import cupy
    except ImportError as error:
        raise BackendError(
            "backend cupy: CuPy is not installed; install it with pip install '.[cuda12]' (CUDA 12) "
            f"or '.[cuda13]' (CUDA 13) ({first_line(error)})"
        ) from None
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # a RuntimeError of CuPy's own, or an OSError of a library that is not there
        raise BackendError(_no_device(cupy.__version__, first_line(error))) from None
    if count == 0:
        raise BackendError(_no_device(cupy.__version__, "0 devices"))
    from cupyx import empty_pinned

    turn_on()
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
    """The device's matrix product: by cuBLAS itself, or, where it cannot be opened, by CuPy.

    Raises:
        BackendError: TF32 is requested, which CuPy's own products take from the environment alone.
    """
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


def _no_device(version: str, cause: str) -> str:
    return (
        f"backend cupy: CuPy {version} is installed but there is no CUDA device ({cause}); "
        "install an NVIDIA driver (nvidia-smi must list a GPU), or use --backend numpy"
    )


# ---- arrays of another library


def register_array_type(array_type: type, to_device: Callable[[np.ndarray], Array]) -> None:
    """Register with autograd a foreign array type that follows NumPy's array protocols (idempotent)."""
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
