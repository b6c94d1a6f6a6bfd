"""Matrix products by cuBLAS itself, for a captured step: CuPy refuses its own during capture.

CuPy 14 raises "calling cuBLAS API during stream capture is currently unsupported" in every product of a capturing stream
(cupy issue 6290), although cuBLAS can be captured as long as its pointer mode is the host's and its workspace is set
beforehand. So float32 and float64 products of matrices go to the library directly, in and outside of a capture: the same
numbers in both. Their rounding is set here too, on a handle of our own, whatever CUPY_TF32 says.

Source: cuBLAS Library User Guide, `cublas<t>gemm`, `cublasSetWorkspace`, `cublasMath_t`, and "CUDA Graphs Support".
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np

from dimref.trees import Array

DEFAULT_MATH, TF32_MATH = 0, 3  # CUBLAS_DEFAULT_MATH: float32 in full; CUBLAS_TF32_TENSOR_OP_MATH
AS_IT_LIES, TRANSPOSED = 0, 1  # CUBLAS_OP_N, CUBLAS_OP_T
WORKSPACE = 32 << 20  # bytes: what NVIDIA recommends for Hopper, and more than older devices need
_GEMM = {"float32": ("cublasSgemm_v2", ctypes.c_float), "float64": ("cublasDgemm_v2", ctypes.c_double)}


def plain_matmul(x: Array, y: Array, onto: Array | None = None) -> Array:
    """x·y by the array library itself, or onto + x·y over `onto`."""
    if onto is None:
        return x @ y
    onto += x @ y
    return onto


class CublasError(RuntimeError):
    """A call of cuBLAS returned a status other than success."""


class Cublas:
    """A handle of cuBLAS, and products of CuPy matrices by it on CuPy's current stream."""

    def __init__(self, cupy: Any, library: Any, handle: int, tf32: bool) -> None:
        self._cupy, self._library, self._handle = cupy, library, ctypes.c_void_p(handle)
        self._stream: int | None = None
        self._workspace = cupy.empty(WORKSPACE, np.uint8)
        self._gemm = {}
        for dtype, (name, number) in _GEMM.items():
            gemm = getattr(library, name)
            pointer, size, place = ctypes.POINTER(number), ctypes.c_int, ctypes.c_void_p
            gemm.argtypes = [
                ctypes.c_void_p, size, size, size, size, size, pointer, place, size, place, size, pointer, place, size
            ]  # fmt: skip
            self._gemm[dtype] = gemm, number(1), number(0)
        self._check("cublasSetMathMode", ctypes.c_int(TF32_MATH if tf32 else DEFAULT_MATH))

    @classmethod
    def open(cls, cupy: Any, cublas: Any, tf32: bool) -> Cublas:
        """A handle of the library that CuPy has loaded, made by CuPy's own thin wrapper `cublas`.

        Raises:
            OSError or RuntimeError: there is none.
        """
        handle = cublas.create()
        major = cublas.getVersion(handle) // 10000
        name = f"cublas64_{major}.dll" if sys.platform == "win32" else f"libcublas.so.{major}"
        return cls(cupy, ctypes.CDLL(name), handle, tf32)

    def matmul(self, x: Array, y: Array, onto: Array | None = None) -> Array:
        """x·y of two matrices of one type, float32 or float64, or onto + x·y over `onto`; anything else is CuPy's."""
        if not self._takes(x, y, onto):
            return plain_matmul(x, y, onto)
        self._follow_stream()
        (m, k), n = x.shape, y.shape[1]
        x, x_turned, x_lead = self._laid_out(x)
        y, y_turned, y_lead = self._laid_out(y)
        out = self._cupy.empty((m, n), x.dtype) if onto is None else onto
        gemm, one, zero = self._gemm[x.dtype.name]
        # cuBLAS counts columns first: what lies there row by row is to it the transpose, and outᵀ = yᵀ·xᵀ.
        status = gemm(
            self._handle, y_turned, x_turned, n, m, k, one, y.data.ptr, y_lead, x.data.ptr, x_lead,
            zero if onto is None else one, out.data.ptr, n,
        )  # fmt: skip
        if status:
            raise CublasError(f"cuBLAS: expected the product of {x.shape} and {y.shape}, found status {status}")
        return out

    def _takes(self, x: Array, y: Array, onto: Array | None) -> bool:
        """Whether the product is one of those; CuPy has the error, or the empty result, of shapes that do not fit."""
        if x.ndim != 2 or y.ndim != 2 or x.dtype != y.dtype or x.dtype.name not in self._gemm:
            return False
        if x.shape[1] != y.shape[0] or 0 in x.shape or 0 in y.shape:
            return False
        shape = x.shape[0], y.shape[1]
        return onto is None or (onto.shape == shape and onto.dtype == x.dtype and bool(onto.flags.c_contiguous))

    def _laid_out(self, a: Array) -> tuple[Array, int, int]:
        """A matrix as cuBLAS can read it: itself or a copy, whether its columns lie in a row, and its leading dimension."""
        rows, columns = a.shape
        down, along = (stride // a.itemsize for stride in a.strides)
        if (columns == 1 or along == 1) and (rows == 1 or down >= columns):
            return a, AS_IT_LIES, columns if rows == 1 else down
        if (rows == 1 or down == 1) and (columns == 1 or along >= rows):
            return a, TRANSPOSED, rows if columns == 1 else along
        return self._cupy.ascontiguousarray(a), AS_IT_LIES, columns

    def _follow_stream(self) -> None:
        """Queue on CuPy's current stream. A change of stream resets the workspace, so it is set again."""
        stream = self._cupy.cuda.get_current_stream().ptr
        if stream != self._stream:
            self._check("cublasSetStream_v2", ctypes.c_void_p(stream))
            place, size = ctypes.c_void_p(self._workspace.data.ptr), ctypes.c_size_t(WORKSPACE)
            self._check("cublasSetWorkspace_v2", place, size)
            self._stream = stream

    def _check(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(self._handle, *arguments)
        if status:
            raise CublasError(f"cuBLAS: expected {name} to succeed, found status {status}")
