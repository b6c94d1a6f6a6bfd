"""Files that are written whole or not at all, and small files that are read up to a bounded size. Loads no NumPy.

A file is written beside its place, flushed to the disk and renamed over it: whatever happens, the complete old one or the
complete new one is there.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from dimref.errors import DimrefError

MOST_BYTES = 1 << 24  # of a configuration or an evaluation, which are a thousand times smaller
LONGEST = 230  # bytes of a name that can be made longer
WRITTEN = ("json", "jsonl", "npz", "npy", "png", "html")  # into a run directory, by the names' ends

locked_directories: dict[Path, os.stat_result] = {}  # the run directories that this process holds (`run_directory`)


class RunError(DimrefError):
    """A file or a run directory that cannot be written, read or resumed."""


# ---- reading


def no_file(path: Path) -> str:
    """What lies there in a regular file's place; "" where one does, or nothing at all.

    To open a pipe would be to wait for somebody who writes into it, and a device may never end.
    """
    if path.is_file() or not path.exists():
        return ""
    return "a directory" if path.is_dir() else "a device or a pipe"


def need_file(path: Path) -> None:
    """Raise RunError where something else than a file lies."""
    if other := no_file(path):
        raise RunError(f"{path}: expected a file, found {other}")


def read_small(path: Path) -> bytes:
    """All bytes of a regular file of at most `MOST_BYTES`.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger; `strerror` says so in words.
    """
    if other := no_file(path):
        raise OSError(errno.EINVAL, other)
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"more than {MOST_BYTES} bytes")
    return content


def read_text(path: Path) -> str:
    """The text of such a file, in UTF-8 or, with a mark of the byte order, in UTF-16, as some shells and editors write.

    Raises:
        OSError: as `read_small`. UnicodeDecodeError: it is no text.
    """
    content = read_small(path)
    utf_16 = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return content.decode("utf-16" if utf_16 else "utf-8-sig")


# ---- writing


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A temporary file that takes the place of `path`, or of the file that it links to, once it is complete and on the disk.

    Raises:
        RunError: the disk is full, the directory is gone or not writable, or a device lies there; the old file stays.
    """
    need_same_directory(path)
    need_file(path)
    path = Path(os.path.realpath(path))
    short = path.name if len(os.fsencode(path.name)) < LONGEST else f"{zlib.crc32(os.fsencode(path.name)):08x}"
    temporary = path.with_name(f".{short}.{os.getpid()}.tmp")
    try:
        with os_errors(path), _claimed(temporary):
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_directory(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def replace(path: Path, content: bytes) -> None:
    """Write a whole file or leave the old one."""
    with writing(path) as file:
        file.write(content)


def copy(source: Path, path: Path) -> None:
    """Write what another file holds, as a whole, or leave the old one."""
    with writing(path) as file, open(source, "rb") as original:
        shutil.copyfileobj(original, file, 1 << 20)


@contextlib.contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """Raise the system's error in writing a path as a RunError, in one line."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: expected to write it, found: {error.strerror or error}") from None


def need_same_directory(path: Path) -> None:
    """Raise RunError where a run directory was moved away while locked: another run may lie in its place by now."""
    locked = locked_directories.get(path.parent)
    if locked is None:
        return
    with contextlib.suppress(OSError):
        if os.path.samestat(locked, os.stat(path.parent)):
            return
    raise RunError(
        f"{path.parent}: expected the directory that this run began in, found it moved away or removed; "
        "go on with --resume and its new place"
    )


def remove_temporaries(directory: Path) -> None:
    """Remove half a file of a process that was killed, not that of a process that is writing it, as `plot` may be."""
    for end in WRITTEN:
        for left in directory.glob(f".*.{end}.*.tmp"):
            with contextlib.suppress(OSError), open(left, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()


@contextlib.contextmanager
def _claimed(temporary: Path) -> Iterator[None]:
    """Lock a temporary file until it has its place, where the system can: `remove_temporaries` leaves it alone."""
    if fcntl is None:
        yield
        return
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _sync_directory(path: Path) -> None:
    """Make the rename itself durable, where the system lets a directory be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
