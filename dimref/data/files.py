"""What the readers share: finding files, and reading exactly as many bytes as were promised."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from dimref.data.dataset import fault
from dimref.training.files import no_file

CHUNK = 1 << 20
DEFLATE_RATIO = 1032  # no deflate stream (gzip, zip) expands further: a header that promises more is lying
# A packed file may hold so many bytes, or so many times its size: images and samples seldom shrink to an eighth.
MOST_UNPACKED, USUAL_RATIO = 1 << 30, 8


class Readable(Protocol):
    """An open file, packed or not."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


def need_file(path: Path) -> Path:
    """The path, if a regular file is there: opening a pipe or a device in its place could hang."""
    if not path.is_file():
        raise fault(path, "a file", no_file(path) or "no such file")
    return path


def need_folder(path: Path) -> Path:
    """The path, if a directory is there."""
    if not path.is_dir():
        advice = "--data npz reads it" if path.suffix == ".npz" else "unpack an archive first"
        raise fault(path, "a directory", f"a file ({advice})" if path.exists() else "no such directory")
    return path


def read_exactly(stream: Readable, count: int, path: Path) -> np.ndarray:
    """The next `count` bytes as uint8 (count,); memory grows with what is there, not with what is promised."""
    parts = bytearray()
    while len(parts) < count:
        piece = stream.read(min(CHUNK, count - len(parts)))
        if not piece:
            raise fault(path, f"{count} more bytes", f"the end after {len(parts)}")
        parts += piece
    return np.frombuffer(parts, np.uint8)


def read_records(path: Path, size: int, limit: int | None = None) -> np.ndarray:
    """The first `limit` records of `size` bytes, or all, as uint8 (records, size).

    Raises:
        DataError: the file is empty or no whole number of records.
    """
    held = need_file(path).stat().st_size
    if held == 0 or held % size:
        raise fault(path, f"a whole number of {size}-byte records", f"{held} bytes")
    count = held // size if limit is None else min(held // size, limit)
    data = np.fromfile(path, np.uint8, count * size)
    if data.size != count * size:
        raise fault(path, f"{count * size} bytes", f"{data.size}: the file changed while it was read")
    return data.reshape(count, size)


@contextmanager
def unpacked(path: Path) -> Iterator[Readable]:
    """A file opened for reading, through gzip if it ends in .gz; a damaged gzip stream is a `DataError`."""
    need_file(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            yield stream
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise fault(path, "a sound gzip stream", str(error)) from error


def most_bytes(path: Path) -> int:
    """No more bytes than this are to come out of an `unpacked` file; exactly as many if it is not packed."""
    size = path.stat().st_size
    return min(size * DEFLATE_RATIO, max(MOST_UNPACKED, size * USUAL_RATIO)) if path.suffix == ".gz" else size
