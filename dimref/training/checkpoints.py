"""The run directory: config.json, metrics.jsonl, newest.npz and best.npz.

Every file but the metrics is written beside its place, flushed to the disk and renamed over it, so that whatever happens
the complete old one or the complete new one is there. Metrics are appended a line at a time, flushed before a checkpoint
that follows them, and cut back to the checkpoint's step when a run is resumed. A run exists once its configuration does.
Checkpoints hold arrays alone, uncompressed and without a pickle, under a checksum.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shlex
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from dimref.data.dataset import DataError, fault
from dimref.data.npy import npz_header, numbers, open_npz, read_npz_array
from dimref.errors import DimrefError
from dimref.training import config as configs
from dimref.training.config import Config
from dimref.training.files import no_file
from dimref.training.signals import killable
from dimref.trees import Tree, leaves

FORMAT = 3  # since 3 with a checksum
LONGEST = 230  # bytes of a name that can be made longer
MOST_METRICS, LONGEST_LINE = 1 << 30, 1 << 16  # bytes: a million lines and more; a line has some 700
META = "meta"  # the description in a checkpoint; what else may be in it:
TREE = r"\w+(/\w+){0,3}"
MEMBER = re.compile(
    rf"({META}|(parameters|adam/[mv])/(encoder|local|global|prior)/{TREE}|state/(encoder/{TREE}|mine/(local|global)))\.npy"
)
WRITTEN = ("json", "jsonl", "npz", "npy", "png")  # into a run directory, by the names' ends
CONFIG, METRICS, NEWEST, BEST, CURVES = "config.json", "metrics.jsonl", "newest.npz", "best.npz", "curves.png"


class RunError(DimrefError):
    """A run directory that cannot be written, read or resumed."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `step` steps, on the host, and what is needed to go on from there."""

    step: int
    trees: Tree  # {"parameters", "state", "adam"}
    config: Config
    best: float  # the best held-out bound so far
    meta: dict[str, Any]  # what else to know about the run: its machine, its images, the encoder's layout


# ---- directories


def make_next(root: Path, stem: str) -> Path:
    """Make the first directory of root/stem-001, root/stem-002, … that is above every one there."""
    pattern = re.compile(re.escape(stem) + r"-(\d+)")
    with _told(root):
        root.mkdir(parents=True, exist_ok=True)
    while True:
        taken = [int(m[1]) for p in root.iterdir() if (m := pattern.fullmatch(p.name))]
        path = root / f"{stem}-{max(taken, default=0) + 1:03d}"
        with _told(path), contextlib.suppress(FileExistsError):  # a run that started at the same moment took it
            path.mkdir()
            return path


@contextlib.contextmanager
def create(path: Path, config: Config) -> Iterator[None]:
    """Make the run directory, hold it as `locked` does, and write its configuration.

    Raises:
        RunError: a run is there already, or the directory cannot be written.
    """
    with _told(path):
        path.mkdir(parents=True, exist_ok=True)
    with locked(path):  # of two that begin in one directory, one writes
        if any((path / name).exists() for name in (CONFIG, METRICS, NEWEST, BEST)):
            raise RunError(
                f"{path}: expected a new run directory, found a run; continue it with --resume {shlex.quote(str(path))}"
            )
        replace(path / CONFIG, configs.write(config).encode())
        replace(path / METRICS, b"")
        yield


_held: dict[Path, os.stat_result] = {}  # the run directories that this process has locked


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the run directory for this process alone, where the system can lock one; a lock ends with its process.

    Raises:
        RunError: another process holds it; two of them would mix their metrics and checkpoints.
    """
    if fcntl is None:
        yield
        return
    with _told(path):
        handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_left(path)
        except BlockingIOError:
            raise RunError(
                f"{path}: expected a run at rest, found another process training it; wait or stop it"
            ) from None
        except OSError:
            pass  # a file system without locks
        held = _held[path] = os.fstat(handle)
        try:
            yield
        finally:
            if _held.get(path) is held:
                del _held[path]
    finally:
        os.close(handle)


def _remove_left(path: Path) -> None:
    """Take away half a file of a process that was killed, not that of a process that is writing it, as `plot` may be."""
    for end in WRITTEN:
        for left in path.glob(f".*.{end}.*.tmp"):
            with contextlib.suppress(OSError), open(left, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()


@contextlib.contextmanager
def _claimed(temporary: Path) -> Iterator[None]:
    """Hold a temporary file until it has its place, where the system can: `_remove_left` lets it be."""
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


def _need_same_directory(path: Path) -> None:
    """Raise RunError where a run directory was moved away while held: another run may lie in its place by now."""
    held = _held.get(path.parent)
    if held is None:
        return
    with contextlib.suppress(OSError):
        if os.path.samestat(held, os.stat(path.parent)):
            return
    raise RunError(
        f"{path.parent}: expected the directory that this run began in, found it moved away or removed; "
        "go on with --resume and its new place"
    )


def need_file(path: Path) -> None:
    """Raise RunError where something else than a file lies: a pipe could be waited for without end, a device be lost."""
    if found := no_file(path):
        raise RunError(f"{path}: expected a file, found {found}")


def replace(path: Path, content: bytes) -> None:
    """Write a whole file or leave the old one."""
    with writing(path) as file:
        file.write(content)


def copy(source: Path, path: Path) -> None:
    """Write what another file holds, as a whole, or leave the old one."""
    with writing(path) as file, open(source, "rb") as found:
        shutil.copyfileobj(found, file, 1 << 20)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A temporary file that takes the place of `path`, or of the file that it links to, once it is complete and on the disk.

    Raises:
        RunError: the disk is full, the directory is gone or not writable, or a device lies there; the old file stays.
    """
    _need_same_directory(path)
    need_file(path)
    path = Path(os.path.realpath(path))
    short = path.name if len(os.fsencode(path.name)) < LONGEST else f"{zlib.crc32(os.fsencode(path.name)):08x}"
    temporary = path.with_name(f".{short}.{os.getpid()}.tmp")
    try:
        with _told(path), _claimed(temporary):
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_directory(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_directory(path: Path) -> None:
    """Make the rename itself durable, where the system lets a directory be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: expected to write it, found: {error.strerror or error}") from None


# ---- checkpoints


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint as an uncompressed .npz: arrays by path, and "meta", a JSON text."""
    arrays = {name: np.asarray(array) for name, array in leaves(checkpoint.trees)}
    meta = {
        "format": FORMAT,
        "step": checkpoint.step,
        "config": json.loads(configs.write(checkpoint.config)),
        "best": str(checkpoint.best),  # may be -inf, which JSON has no name for
        **checkpoint.meta,
    }
    meta["checksum"] = checksum(meta, arrays)
    with writing(path) as file:
        np.savez(file, **{META: np.array(json.dumps(meta)), **arrays})  # type: ignore[arg-type]


def checksum(meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """Of all that a checkpoint holds: its description, and name, type, shape and content of every array."""
    total = zlib.crc32(json.dumps(meta).encode())
    for name, array in sorted(arrays.items()):
        total = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), total)
        total = zlib.crc32(np.ascontiguousarray(array).data, total)
    return f"CRC {total:08x}"


@killable()
def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint back: first what is in it, by name, type and shape; then the content, if it is one.

    Raises:
        RunError: it is missing, damaged, no checkpoint, or of another format.
    """
    need_file(path)
    if not path.exists():
        raise RunError(f"{path}: expected a checkpoint, found no such file; start the run anew")
    try:
        with open_npz(path) as archive:
            names = _check_members(path, archive)
            meta = json.loads(str(read_npz_array(path, archive, META, _check_text)[0]))
            if meta["format"] != FORMAT:
                raise RunError(
                    f"{path}: expected checkpoint format {FORMAT}, found {meta['format']!r}, of another version of "
                    f"dimref; go on with that version, or start the run anew"
                )
            arrays = {name: read_npz_array(path, archive, name)[0] for name in names}
            given = meta.pop("checksum")
            if given != checksum(meta, arrays):
                raise fault(path, f"content of the checksum {given}", f"content of {checksum(meta, arrays)}")
            step, best, options = (meta.pop(name) for name in ("step", "best", "config"))
            del meta["format"]
            best = float(best)
    except DataError as error:
        cause = error.__cause__
        what = "one that cannot be read" if isinstance(cause, OSError) else "a damaged file"
        why = f"{type(cause).__name__}: {cause}" if cause else str(error).removeprefix(f"{path}: ")
        raise RunError(f"{path}: expected a complete checkpoint, found {what} ({why})") from None
    if type(step) is not int or not 0 <= step < 1 << 63 or math.isnan(best):
        raise RunError(f"{path}: expected a step and a bound, found step {step!r}, bound {best}")
    return Checkpoint(step, _nested(arrays), Config(**configs.checked_types(options, str(path))), best, meta)


def _check_members(path: Path, archive: zipfile.ZipFile) -> list[str]:
    """The names of the arrays of an archive that can be a checkpoint; no more than headers are read.

    Raises:
        RunError: something in it is compressed, unknown or twice there, or they claim more than the file has.
    """
    members = archive.infolist()
    for info in members:
        if info.compress_type != zipfile.ZIP_STORED:
            raise RunError(f"{path}: expected arrays stored as dimref does, uncompressed, found {info.filename} packed")
        if not MEMBER.fullmatch(info.filename):
            raise RunError(f"{path}: expected the arrays of a checkpoint, found {info.filename!r}")
    size, claimed = path.stat().st_size, sum(info.file_size for info in members)
    names = [info.filename.removesuffix(".npy") for info in members]
    if claimed > size or len(set(names)) < len(names):
        raise RunError(f"{path}: expected each array once in {size} bytes, found {len(names)} of {claimed} bytes")
    _nested(dict.fromkeys(names))
    names.remove(META)
    for name in names:
        numbers(f"{path}, array {name!r}", *npz_header(path, archive, name))
    return names


def _check_text(where: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if dtype.kind != "U" or shape:
        raise fault(where, "a text", f"{dtype} {shape}")


def newest_checkpoint(run: Path) -> Checkpoint | None:
    """The run's newest checkpoint; None where the run was killed before its first, with nothing to lose yet.

    Raises:
        RunError: as `load_checkpoint`; also where there are metrics but no checkpoint that they belong to.
    """
    begun = [name for name in (METRICS, NEWEST, BEST) if (run / name).exists()]
    if not begun or (begun == [METRICS] and not read_metrics(run / METRICS)):
        return None
    return load_checkpoint(run / NEWEST)


def _nested(arrays: dict[str, Any]) -> Tree:
    tree: Tree = {}
    for path, array in arrays.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        if name in node:
            raise ValueError(f"an array and a branch, both called {path}")
        node[name] = array
    return tree


def check_same_shapes(path: Path, found: Tree, expected: Tree) -> None:
    """Raise RunError unless both trees have the same arrays, by name, shape and type."""
    shapes = {name: (np.shape(a), np.asarray(a).dtype) for name, a in leaves(found)}
    for name, array in leaves(expected):
        wanted = np.shape(array), np.asarray(array).dtype
        there = shapes.pop(name, None)
        if there != wanted:
            words = f"{there[1]} {there[0]}" if there else "none"
            raise RunError(
                f"{path}: expected {name} as {wanted[1]} {wanted[0]}, found {words}: a checkpoint of another configuration"
            )
    if shapes:
        raise RunError(f"{path}: expected no {next(iter(shapes))}, found a checkpoint of another configuration")


# ---- metrics


def append_metrics(path: Path, line: dict[str, Any]) -> None:
    """Add one line; numbers that JSON has no name for are written as "inf", "-inf" and "nan"."""
    with _appending(path) as file:
        file.write(json.dumps(_finite(line)) + "\n")


def flush_metrics(path: Path) -> None:
    """Have every line on the disk: a checkpoint must not outlive the lines before it."""
    with _appending(path) as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def _appending(path: Path) -> Iterator[TextIO]:
    _need_same_directory(path)
    with _told(path), open(path, "a", encoding="utf-8") as file:
        yield file


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


@killable()
def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Every complete line; an incomplete last one, of a process that was killed while writing it, is left out.

    Raises:
        RunError: they are not there, another line is damaged, or there is more than any run writes.
    """
    need_file(path)
    lines: list[dict[str, Any]] = []
    try:
        size = path.stat().st_size
        if size > MOST_METRICS:
            raise RunError(f"{path}: expected a run's metrics, at most {MOST_METRICS} bytes, found {size}")
        with path.open("rb") as file:
            while line := file.readline(LONGEST_LINE):
                try:
                    found = json.loads(line)
                    if type(found["step"]) is not int or not 0 <= found["step"] < 1 << 63:
                        raise ValueError("step")
                    lines.append(found)
                except (ValueError, KeyError, TypeError, RecursionError):
                    if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                        return lines
                    raise RunError(
                        f"{path}: expected a JSON object with a step on line {len(lines) + 1}, "
                        f"found {line[:60].decode(errors='replace').strip()!r}"
                    ) from None
    except OSError as error:
        raise RunError(f"{path}: expected the run's metrics, found: {error.strerror or error}") from None
    return lines


def cut_metrics(path: Path, step: int) -> None:
    """Drop every line after `step`, so that a resumed run writes them again."""
    kept = [line for line in read_metrics(path) if line["step"] <= step]
    replace(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
