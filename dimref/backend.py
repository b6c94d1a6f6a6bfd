"""Which array library, on which device.

Once autograd has unboxed an array, NumPy's functions reach an array of another library by its array protocols
(`__array_ufunc__`, `__array_function__`), so the mathematics is written once, with NumPy's names. A backend adds
the moves of an array to the device and back. Nothing moves by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from dimref.errors import DimrefError
from dimref.trees import Array, Tree, map_tree

BACKENDS = ("numpy", "cupy")


class BackendError(DimrefError):
    """The requested backend cannot be used on this machine."""


@dataclass(frozen=True)
class Backend:
    """An array library on one device: explicit moves to the device and back, and a wait for its queue."""

    name: str
    device: str
    to_device: Callable[[np.ndarray], Array]
    to_host: Callable[[Array], np.ndarray]
    synchronize: Callable[[], None]
    queue: Callable[[], Any] | None = None  # of a device that can be ahead of the host
    memory_in_use: Callable[[], int] | None = None  # bytes of a device that has a memory of its own, by all processes

    def tree_to_device(self, tree: Tree) -> Tree:
        """Move every leaf of nested dicts to the device."""
        return map_tree(self.to_device, tree)

    def tree_to_host(self, tree: Tree) -> Tree:
        """Move every leaf of nested dicts to the host."""
        return map_tree(self.to_host, tree)


def _nothing() -> None:
    """NumPy computes when it is called: there is no queue to wait for."""


NUMPY = Backend("numpy", "cpu", np.asarray, np.asarray, _nothing)


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
        backend: Backend = import_module("dimref.engine.cupy").open_backend(tf32)
        return backend
    raise BackendError(f"backend: expected one of {', '.join(BACKENDS)}, found {name!r}")
