"""The run directory: config.json, metrics.jsonl, newest.npz and best.npz. A run exists once its configuration does."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from dimref.errors import nearest
from dimref.training import config as configs
from dimref.training.config import Config
from dimref.training.files import RunError, fcntl, locked_directories, os_errors, remove_temporaries, replace

CONFIG, METRICS, NEWEST, BEST, CURVES = "config.json", "metrics.jsonl", "newest.npz", "best.npz", "curves.png"
CACHE = "images"  # beside the run: decoded images, where memory would not hold them


def need_run(run: Path) -> None:
    """Raise RunError where no run lies; name the one that may be meant."""
    if not run.exists():
        beside = [path.name for path in run.parent.iterdir() if _holds_run(path)] if run.parent.is_dir() else []
        raise RunError(f"no run directory {run}{nearest(run.name, beside)}")
    if not _holds_run(run):
        hint = f"; its directory is {run.parent}" if _holds_run(run.parent) else ""
        raise RunError(f"{run}: expected a run's directory, found none{hint}")


def _holds_run(path: Path) -> bool:
    return any((path / name).exists() for name in (CONFIG, METRICS, NEWEST, BEST))


def make_next(root: Path, stem: str) -> Path:
    """Make the first directory of root/stem-001, root/stem-002, … that is above every one there."""
    pattern = re.compile(re.escape(stem) + r"-(\d+)")
    with os_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    while True:
        taken = [int(m[1]) for p in root.iterdir() if (m := pattern.fullmatch(p.name))]
        path = root / f"{stem}-{max(taken, default=0) + 1:03d}"
        with os_errors(path), contextlib.suppress(FileExistsError):  # a run that started at the same moment took it
            path.mkdir()
            return path


def finish(path: Path, keep: str) -> str:
    """Remove what is not to be kept of a run that has ended; what then lies there, in words.

    `newest.npz` goes with `keep` "best": then there is nothing to go on from.
    """
    if keep == "best" and (path / BEST).exists():
        (path / NEWEST).unlink(missing_ok=True)
    sizes = {entry.name: entry.stat().st_size / 1e6 for entry in path.iterdir() if entry.is_file()}
    checkpoints = " and ".join(f"{name} {sizes[name]:.1f}" for name in (NEWEST, BEST) if name in sizes)
    return f"{sum(sizes.values()):.1f} MB, of these {checkpoints}"


@contextlib.contextmanager
def create(path: Path, config: Config) -> Iterator[None]:
    """Make the run directory, hold it as `locked` does, and write its configuration.

    Raises:
        RunError: a run or anything else is there already, or the directory cannot be written.
    """
    with os_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    with locked(path):  # of two that begin in one directory, one writes
        if _holds_run(path):
            raise RunError(
                f"{path}: expected a new run directory, found a run; continue it with --resume {shlex.quote(str(path))}"
            )
        if foreign := sorted(entry.name for entry in path.iterdir() if not entry.name.startswith(".")):
            listed = ", ".join([*foreign[:4], *["…"] * (len(foreign) > 4)])
            raise RunError(
                f"{path}: expected a new or an empty directory, found {listed} in it; name one inside: "
                f"--out {shlex.quote(str(path / 'run'))}"
            )
        replace(path / CONFIG, configs.write(config).encode())
        replace(path / METRICS, b"")
        yield


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the run directory for this process alone, where the system can lock one; a lock ends with its process.

    Raises:
        RunError: another process holds it; two of them would mix their metrics and checkpoints.
    """
    if fcntl is None:
        yield
        return
    with os_errors(path):
        handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_temporaries(path)
        except BlockingIOError:
            raise RunError(
                f"{path}: expected a run at rest, found another process training it; wait or stop it"
            ) from None
        except OSError:
            pass  # a file system without locks
        own = locked_directories[path] = os.fstat(handle)
        try:
            yield
        finally:
            if locked_directories.get(path) is own:
                del locked_directories[path]
    finally:
        os.close(handle)
