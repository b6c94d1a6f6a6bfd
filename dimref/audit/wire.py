"""Arrays and words between two processes, without pickle: what arrives can be looked at, never run.

A message is a tree of dicts, lists, words, numbers and arrays. On the pipe: a mark that both sides know, if they agreed on
one; 16 bytes with the two lengths that follow; the tree as JSON in which each array is {"array": [dtype, shape]}; and the
arrays' bytes one after another. The mark distinguishes a message from foreign output on the same pipe.
"""

from __future__ import annotations

import json
import math
import struct
from typing import IO, Any

import numpy as np

LENGTHS = struct.Struct(">QQ")
MOST_BYTES = 1 << 30  # of one message; what an audit asks and is answered is far smaller
PIECE = 1 << 20
KINDS = "biuf"  # truth values, integers, real numbers


class WireError(Exception):
    """What arrived is no message, or more than a message may be."""


def send(stream: IO[bytes], message: Any, mark: bytes = b"") -> None:
    """Write one message.

    Raises:
        TypeError: something in it is none of the above.
        OSError: nobody listens.
    """
    arrays: list[np.ndarray] = []
    words = json.dumps(_packed(message, arrays)).encode()
    body = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    stream.write(mark + LENGTHS.pack(len(words), len(body)) + words + body)
    stream.flush()


def receive(stream: IO[bytes], mark: bytes = b"") -> Any:
    """Read one message; its arrays are new and can be written to.

    Raises:
        EOFError: the stream has ended.
        WireError: what arrives is no message, or is longer than `MOST_BYTES`.
    """
    found = _exactly(stream, len(mark))
    if found != mark:
        raise WireError(f"message: expected its mark, found {found!r}: the target wrote to a descriptor of another's")
    n_words, n_body = LENGTHS.unpack(_exactly(stream, LENGTHS.size))
    if n_words + n_body > MOST_BYTES:
        raise WireError(f"message: expected at most {MOST_BYTES} bytes, found {n_words + n_body}")
    words, body = _exactly(stream, n_words), memoryview(_exactly(stream, n_body))
    try:
        tree = json.loads(words)
        message, end = _unpacked(tree, body, 0)
    except Exception as error:  # whatever somebody made of it
        raise WireError(f"message: expected words and arrays, found {str(error)[:200]}") from None
    if end != n_body:
        raise WireError(f"message: expected {end} bytes of arrays, found {n_body}")
    return message


def _packed(tree: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(tree, (np.ndarray, np.generic)):
        array = np.asarray(tree)
        if array.dtype.kind not in KINDS:
            raise TypeError(f"array: expected numbers, found {array.dtype}")
        arrays.append(array.astype(array.dtype.newbyteorder("="), copy=False))
        return {"array": [array.dtype.newbyteorder("=").str, list(array.shape)]}
    if isinstance(tree, dict):
        return {"dict": {name: _packed(entry, arrays) for name, entry in tree.items()}}
    if isinstance(tree, (list, tuple)):
        return [_packed(entry, arrays) for entry in tree]
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise TypeError(f"message: expected words, numbers and arrays, found {type(tree).__name__}")


def _unpacked(tree: Any, body: memoryview, at: int) -> tuple[Any, int]:
    if isinstance(tree, list):
        entries = []
        for entry in tree:
            found, at = _unpacked(entry, body, at)
            entries.append(found)
        return entries, at
    if not isinstance(tree, dict):
        return tree, at
    if "dict" in tree:
        named = {}
        for name, entry in tree["dict"].items():
            named[name], at = _unpacked(entry, body, at)
        return named, at
    code, shape = tree["array"]
    dtype = np.dtype(str(code))
    if dtype.kind not in KINDS or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError(f"an array of {dtype} {shape}")
    end = at + math.prod(shape) * dtype.itemsize
    if end > len(body):
        raise ValueError(f"{len(body)} bytes for arrays that need {end}")
    return np.frombuffer(bytearray(body[at:end]), dtype).reshape(shape), end


def _exactly(stream: IO[bytes], count: int) -> bytes:
    """`count` bytes; memory is taken for what comes, not for what was promised."""
    pieces = []
    while count:
        piece = stream.read(min(count, PIECE))
        if not piece:
            raise EOFError
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
