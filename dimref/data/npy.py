"""Arrays from .npy and .npz files that nobody vouches for: nothing is unpickled, no promise in a header is believed.

A header says how large an array is. Memory is taken for what is there, not for what is promised: a shape that the file
cannot hold (more than its size; for a packed member, more than deflate can expand it to) is refused before a byte of it
is read, and so is a packed archive of more than `MOST_UNPACKED`, since a small one can truly unpack to very much.
Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

from __future__ import annotations

import codecs
import math
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from dimref.data.dataset import fault
from dimref.data.files import DEFLATE_RATIO, MOST_UNPACKED, USUAL_RATIO, need_file, read_exactly
from dimref.errors import DimrefError, named
from dimref.training.signals import killable

Check = Callable[[str, tuple[int, ...], np.dtype], None]


def numbers(where: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """The check of a reader that takes any array of real numbers or truth values.

    Raises:
        DataError: text, complex numbers, records or pickled objects.
    """
    if dtype.kind not in "biuf":
        raise fault(where, "numbers (float, integer or bool)", f"{dtype} {shape}")


def numbers_or_texts(where: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """The check of a reader that takes categories: numbers, or texts of fixed length."""
    if dtype.kind != "U":
        numbers(where, shape, dtype)


@killable()
def read_npy(path: Path, check: Check = numbers) -> np.ndarray:
    """The array in a .npy file, C-contiguous, in the file's own dtype.

    Args:
        check: called with place, shape and dtype before the array is read; raises `DataError` (by `fault`) to refuse it.
    Raises:
        DataError: the file is missing, damaged, pickled, or the check refuses it.
    """
    size = need_file(path).stat().st_size
    with _sound(path, "a sound .npy file of one plain array"), path.open("rb") as stream:
        return _read(stream, str(path), path, size, check, size)[0]


@contextmanager
def open_npz(path: Path) -> Iterator[zipfile.ZipFile]:
    """A .npz archive opened for `read_npz_array`; whatever turns out damaged in it is a `DataError`."""
    with killable(), _sound(path, "a sound .npz file of plain arrays"), zipfile.ZipFile(need_file(path)) as archive:
        yield archive


def npz_names(archive: zipfile.ZipFile) -> list[str]:
    """The names of the arrays in an archive, in its order."""
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def read_npz_array(
    path: Path,
    archive: zipfile.ZipFile,
    key: str,
    check: Check = numbers,
    limit: int | None = None,
    most_bytes: int = MOST_UNPACKED,
) -> tuple[np.ndarray, int]:
    """The first `limit` entries of an array that passes the check, and how many it has (1 for a scalar).

    Args:
        most_bytes: refuse to unpack more than this.
    Raises:
        DataError: as `read_npy`; also where more would be unpacked than allowed.
    """
    info = archive.getinfo(f"{key}.npy")
    with archive.open(info) as member:
        fits = min(info.file_size, info.compress_size * DEFLATE_RATIO)
        most_bytes = max(most_bytes, info.compress_size * USUAL_RATIO)  # what nearly lies there is no bomb
        return _read(member, f"{path}, array {key!r}", path, fits, check, most_bytes, limit)


def npz_header(path: Path, archive: zipfile.ZipFile, key: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype that an array claims to have; nothing of it is read.

    Raises:
        DataError: the header is damaged.
    """
    with archive.open(f"{key}.npy") as member:
        shape, _, dtype = _header(member, f"{path}, array {key!r}")
    return shape, dtype


def read_npz(path: Path, check: Check = numbers, most_bytes: int = MOST_UNPACKED) -> dict[str, np.ndarray]:
    """Every array of a .npz file by name.

    Raises:
        DataError: as `read_npz_array`; `most_bytes` is for all of them together.
    """
    arrays = {}
    with open_npz(path) as archive:
        for key in npz_names(archive):
            arrays[key] = read_npz_array(path, archive, key, check, most_bytes=most_bytes)[0]
            most_bytes -= arrays[key].nbytes
    return arrays


@contextmanager
def _sound(path: Path, expected: str) -> Iterator[None]:
    try:
        yield
    except (DimrefError, MemoryError):
        raise
    except Exception as error:  # damaged archives, and damaged headers of arrays in them, fail in many ways
        raise fault(path, expected, _another(path, expected) or named(error)) from error


def _another(path: Path, expected: str) -> str:
    """What a file is in place of the expected one, and how to make that of it; empty where that is not known."""
    try:
        with path.open("rb") as stream:
            start = stream.read(1024)
    except OSError:
        return ""
    npz = ".npz" in expected
    if start.startswith(b"\x93NUMPY") and npz:
        return "a .npy file of one array; np.savez(FILE, images=np.load(this)) makes one of it"
    if start.startswith(b"PK\x03\x04") and not npz:
        return "a .npz file of several arrays; np.save(FILE, np.load(this)[NAME]) makes one of it"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "text in UTF-16"
    if start and not any(byte < 9 or 13 < byte < 32 for byte in start):
        return 'text, as CSV is; np.save(FILE, np.loadtxt(this, delimiter=",")) makes a .npy file of numbers'
    return ""


def _read(
    stream: IO[bytes],
    where: str,
    path: Path,
    fits: int,
    check: Check,
    most_bytes: int,
    limit: int | None = None,
) -> tuple[np.ndarray, int]:
    shape, fortran, dtype = _header(stream, where)
    if any(n < 0 for n in shape) or dtype.hasobject:
        check(where, shape, dtype)  # it may have the better words
        raise fault(where, "an array of numbers", f"{dtype} {shape}")
    check(where, shape, dtype)
    size = math.prod(shape) * dtype.itemsize
    if size > fits:
        raise fault(where, f"{size} bytes for shape {shape}", f"at most {fits}")
    total = shape[0] if shape else 1
    count = total if limit is None else min(limit, total)
    rows = total if fortran else count  # stored by columns: the first entries lie all over the array
    needed = size // max(total, 1) * rows
    if needed > most_bytes:
        raise fault(
            where, f"at most {most_bytes} bytes (if it truly holds more, unpack it)", f"{needed} for shape {shape}"
        )
    data = read_exactly(stream, needed, path).view(dtype)
    if rows == total and stream.read(1):  # reaching the end also checks a zip's checksum
        raise fault(where, f"{size} bytes for shape {shape}", "more")
    if not shape:
        return data.reshape(()), 1
    return np.ascontiguousarray(data.reshape((rows, *shape[1:]), order="F" if fortran else "C")[:count]), total


def _header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise fault(where, "array format 1.0 or 2.0", f"{version[0]}.{version[1]}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's remark on arrays saved by Python 2
        shape, fortran, dtype = readers[version](stream)
    return shape, fortran, dtype
