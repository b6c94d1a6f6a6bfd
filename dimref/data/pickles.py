"""Pickled NumPy arrays, read without running anything that the file names.

A pickle is a program. This reader lets it build numbers, text and plain containers, and answers the few NumPy names
that arrays are written with by stand-ins that only record their arguments: neither code from the file nor NumPy's own
unpickling ever runs on its content. Any other name ends the reading, and so does an opcode that no such file needs, a key
that is no text, and a program that could take much longer or more memory than its size suggests.
"""

import io
import math
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dimref.data.dataset import DataError, fault
from dimref.data.files import need_file
from dimref.errors import named

MOST_BYTES = 1 << 30  # the largest pickle worth reading: CIFAR's are below 160 MB
# An honest batch has hundreds of bytes for each opcode; an opcode of one byte makes an object of 64.
FREE_OPCODES, BYTES_PER_OPCODE = 1000, 64
MOST_ARGUMENTS = 8  # of a call: NumPy's have four at most
OPCODES = (
    "PROTO FRAME MARK STOP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT STRING "
    "BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES BYTEARRAY8 EMPTY_TUPLE "
    "TUPLE1 TUPLE2 TUPLE3 TUPLE EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS GLOBAL STACK_GLOBAL "
    "REDUCE BUILD PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET"
)
ALLOWED = {getattr(pickle, name)[0] for name in OPCODES.split()}


class PickledType:
    """Stands in for `numpy.dtype`: keeps the type's name alone."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Byte order and the like do not matter for single bytes."""


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
        if fortran or not isinstance(data, bytes):
            raise ValueError("an array not in C order, or without bytes")
        if (
            type(shape) is not tuple
            or len(shape) > 4
            or not all(type(n) is int and 0 <= n <= MOST_BYTES for n in shape)
        ):
            raise ValueError("an array whose shape is no tuple of sizes")
        if len(data) != math.prod(shape):
            raise ValueError(f"an array of shape {shape} with {len(data)} bytes")
        return np.frombuffer(data, np.uint8).reshape(shape)


class BufferedArray(PickledArray):
    """Stands in for `_frombuffer`, with which protocol 5 writes arrays."""

    def __init__(self, raw: object, kind: object, shape: object, order: object = "C", *_: object) -> None:
        self.state = (1, shape, kind, order != "C", raw)


class Opcodes:
    """The dispatch table for a program of `size` bytes: which opcodes it may have, and how many."""

    def __init__(self, size: int) -> None:
        self.left = FREE_OPCODES + size // BYTES_PER_OPCODE

    def __getitem__(self, code: int) -> Callable[["ArrayUnpickler"], None]:
        """The method for an opcode."""
        self.left -= 1
        if code not in ALLOWED:
            raise pickle.UnpicklingError(f"it has the opcode {bytes([code])!r}")
        if self.left < 0:
            raise pickle.UnpicklingError("it has more opcodes than arrays need")
        return getattr(ArrayUnpickler, pickle._Unpickler.dispatch[code].__name__)


class ArrayUnpickler(pickle._Unpickler):
    """Unpickles containers and arrays of bytes alone.

    It is the one written in Python on purpose: its memo is a dictionary, where the compiled one's is a table that a
    single hostile index makes gigabytes large. And each opcode has a method, which can be replaced.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]

    def __init__(self, data: bytes) -> None:
        # Python 2 wrote text and bytes alike as strings of bytes; latin1 maps each byte to one character and back.
        super().__init__(io.BytesIO(data), encoding="latin1")
        self.bytes_left = len(data)
        self.dispatch = Opcodes(len(data))  # type: ignore[assignment, misc]

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
        """How Python 3 writes bytes for Python 2; made for each file, so that no pickle can alter the next one's."""

        def encode(text: str, encoding: str) -> bytes:
            # An honest file encodes each string once; one that repeats a long one would fill the memory.
            self.bytes_left -= len(text)
            if encoding not in ("latin1", "latin-1") or self.bytes_left < 0:
                raise pickle.UnpicklingError("it encodes more text than it holds, or not as latin1")
            return text.encode("latin1")

        return encode

    def load_reduce(self) -> None:
        """Call one of the stand-ins. Every call copies its arguments, which might be one long tuple each time."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(arguments) is not tuple or len(arguments) > MOST_ARGUMENTS:
            raise pickle.UnpicklingError("it calls with other arguments than arrays need")
        self.stack.append(function(*arguments))

    def load_build(self) -> None:
        """Set the state of an array or a type."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], PickledArray | PickledType):
            raise pickle.UnpicklingError("it sets the state of something that is no array")
        self.stack[-1].__setstate__(state)

    def load_dict(self) -> None:
        """A dictionary of what follows the mark."""
        entries = _entries(self.pop_mark())
        self.stack.append(entries)

    def load_setitems(self) -> None:
        """Add what follows the mark to the dictionary before it."""
        entries = _entries(self.pop_mark())
        dict.update(self.stack[-1], entries)

    def load_setitem(self) -> None:
        """Add one key with its value."""
        value, key = self.stack.pop(), self.stack.pop()
        dict.update(self.stack[-1], _entries([key, value]))

    def load_bytearray8(self) -> None:
        """Bytes will do: a bytearray is made as large as is promised before any of it is read."""
        (size,) = struct.unpack("<Q", self.read(8))
        self.stack.append(self.read(size))


def _entries(items: list[Any]) -> dict[str | bytes, Any]:
    """Keys and values in turn as a dictionary; the hash of a key of nested tuples may never end, or crash."""
    if not all(isinstance(key, str | bytes) for key in items[::2]):
        raise pickle.UnpicklingError("it has a key that is no text")
    return dict(zip(items[::2], items[1::2], strict=True))


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
        if not isinstance(content, dict):
            raise fault(path, "a pickled dictionary", type(content).__name__)
        return {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in content.items()}
    except (OSError, DataError):
        raise
    except Exception as error:  # a damaged program may fail in any way whatever
        raise fault(path, "a pickle of plain containers and arrays", named(error)) from error
