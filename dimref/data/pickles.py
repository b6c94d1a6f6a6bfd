"""Pickled NumPy arrays, read without running anything that the file names.

A pickle is a program. This reader lets it build numbers, text and plain containers, and answers the few NumPy names
that arrays are written with by stand-ins that only note what they are told: neither code from the file nor NumPy's own
unpickling ever runs on its content. Any other name ends the reading.
"""

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dimref.data.dataset import fault
from dimref.data.files import need_file

MOST_BYTES = 1 << 30  # the largest pickle worth reading: CIFAR's are below 160 MB


class PickledType:
    """Stands in for `numpy.dtype`: keeps the type's name alone."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Byte order and the like say nothing about single bytes."""


class PickledArray:
    """Stands in for an array under construction: keeps shape, type and bytes."""

    def __init__(self, *_: object) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def uint8(self) -> np.ndarray:
        """The array, if it is one of bytes in C order; else a ValueError."""
        _, shape, kind, fortran, raw = self.state
        if not isinstance(kind, PickledType) or kind.code not in ("u1", "|u1", "uint8", "B"):
            raise ValueError("an array of another type than uint8")
        data = raw.encode("latin1") if isinstance(raw, str) else raw
        if fortran or not isinstance(data, bytes | bytearray) or not isinstance(shape, tuple):
            raise ValueError("an array not in C order, or without bytes")
        if not all(type(n) is int and n >= 0 for n in shape) or len(data) != math.prod(shape):
            raise ValueError(f"an array said to be {shape} with {len(data)} bytes")
        return np.frombuffer(data, np.uint8).reshape(shape)


class BufferedArray(PickledArray):
    """Stands in for `_frombuffer`, with which protocol 5 writes arrays."""

    def __init__(self, raw: object, kind: object, shape: object, order: object = "C", *_: object) -> None:
        self.state = (1, shape, kind, order != "C", raw)


class ArrayUnpickler(pickle._Unpickler):
    """Unpickles containers and arrays of bytes alone.

    It is the one written in Python on purpose: its memo is a dictionary, where the compiled one's is a table that a
    single hostile index makes gigabytes large.
    """

    def __init__(self, data: bytes) -> None:
        # Python 2 wrote text and bytes alike as strings of bytes; latin1 maps each byte to one character and back.
        super().__init__(io.BytesIO(data), encoding="latin1")
        self.bytes_left = len(data)

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """The stand-in for one of the few names allowed."""
        home = module.replace("numpy.core", "numpy._core")
        if (home, name) in (("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray")):
            return PickledArray
        if (home, name) == ("numpy._core.numeric", "_frombuffer"):
            return BufferedArray
        if (home, name) == ("numpy", "dtype"):
            return PickledType
        if (home, name) == ("_codecs", "encode"):
            return self._encoder()
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def _encoder(self) -> Callable[[str, str], bytes]:
        """How Python 3 writes bytes for Python 2; made anew each time, so that no pickle can alter the next one's."""

        def encode(text: str, encoding: str) -> bytes:
            # An honest file encodes each string once; one that repeats a long one would fill the memory.
            self.bytes_left -= len(text)
            if encoding not in ("latin1", "latin-1") or self.bytes_left < 0:
                raise pickle.UnpicklingError("it encodes more text than it holds, or not as latin1")
            return text.encode("latin1")

        return encode


def read_pickle(path: Path) -> dict[str, Any]:
    """The dictionary in a pickle, its keys as text; arrays in it are `PickledArray`.

    Raises:
        DataError: damaged, too large, not a dictionary, or asking for anything but containers and arrays.
    """
    size = need_file(path).stat().st_size
    if size > MOST_BYTES:
        raise fault(path, f"a pickle of at most {MOST_BYTES} bytes", f"{size} bytes")
    try:
        content = ArrayUnpickler(path.read_bytes()).load()
    except OSError:
        raise
    except Exception as error:  # a damaged program may fail in any way whatever
        raise fault(path, "a pickle of plain containers and arrays", f"{type(error).__name__}: {error}") from error
    if not isinstance(content, dict):
        raise fault(path, "a pickled dictionary", type(content).__name__)
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in content.items()}
