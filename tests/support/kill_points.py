"""A run of dimref in a child of this process that ends before or after its k-th call to the file system."""

import builtins
import contextlib
import fcntl
import io
import os
import signal
import sys
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

from dimref.cli import main
from dimref.training import loop

CALLS = (
    (os, "mkdir"), (os, "open"), (builtins, "open"), (io, "open"), (fcntl, "flock"), (os, "fsync"), (os, "replace"),
    (os, "unlink"),
)  # fmt: skip
KILLED = 99
UNFLUSHED = ", lines not flushed"


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    code: int
    errors: str
    points: list[str]  # before and after each call


class Points:
    """Counts the calls that concern a directory; the child meets its end at one of them."""

    def __init__(self, root, end, at):
        self.root, self.end, self.at = str(root), end, at
        self.points, self.durable = [], {}

    def watch(self):
        """Replace every call, for the rest of this process's life."""
        for module, name in CALLS:
            setattr(module, name, self._counted(name, getattr(module, name)))

    def _counted(self, name, call):
        def counted(first, *args, **options):
            place = self._place(first)
            if not place.startswith(self.root):
                return call(first, *args, **options)
            self._reach(f"before {name} {Path(place).name}")
            if name == "fsync":  # a process that ends loses nothing of what it wrote: the disk need not be waited for
                found, result = os.stat(first), None
                self.durable[found.st_ino] = found.st_size
            else:
                result = call(first, *args, **options)
            self._reach(f"after {name} {Path(place).name}")
            return result

        return counted

    @staticmethod
    def _place(first):
        if isinstance(first, int) or hasattr(first, "fileno"):
            return os.readlink(f"/proc/self/fd/{first if isinstance(first, int) else first.fileno()}")
        return os.fspath(first)

    def unflushed(self):
        """Files of lines that are longer than what a loss of power would leave of them, and what that is."""
        for path in Path(self.root).rglob("metrics.jsonl"):
            found = path.stat()
            if self.durable.get(found.st_ino, found.st_size) < found.st_size:
                yield path, self.durable[found.st_ino]

    def _reach(self, point):
        self.points.append(point.replace(str(os.getpid()), "PID") + (UNFLUSHED if any(self.unflushed()) else ""))
        if len(self.points) == self.at:
            self.end(self)


def kill(points):
    """The process is killed."""
    os._exit(KILLED)


def power_loss(points):
    """The machine stops: of a file that is appended to, what was not flushed is lost."""
    for path, size in points.unflushed():
        os.truncate(path, size)
    os._exit(KILLED)


def interrupt(points):
    """Ctrl-C, and once more for who is in the middle of training."""
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)


def child(args, root, end=kill, at=0, before=lambda: None):
    """Run dimref in a fork of this process: what is imported is imported, and a run costs its steps alone."""
    errors, points = os.memfd_create("errors"), os.memfd_create("points")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this process may have threads: they take no part
        pid = os.fork()
    if not pid:
        _run(args, Points(root, end, at), before, errors, points)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Ended(code, _text(errors), _text(points).splitlines())


def _run(args, points, before, errors, out):
    code = 70  # a fault of these lines
    try:
        with open(os.devnull, "w") as sys.stdout, open(errors, "w", closefd=False) as sys.stderr:
            loop.images_per_second = lambda images, start: 1.0  # so that equal runs have equal bytes
            before()
            points.watch()
            try:
                main([str(arg) for arg in args])
            except SystemExit as ended:
                code = ended.code
            except BaseException:
                traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            os.write(out, "\n".join(points.points).encode())
        os._exit(code)


def _text(descriptor):
    with open(descriptor, encoding="utf-8", closefd=True) as file:
        file.seek(0)
        return file.read()
