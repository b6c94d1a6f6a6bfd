"""How SIGTERM and SIGHUP end a command: as Ctrl-C does, but at once while it reads."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def stop(number: int, frame: FrameType | None) -> None:
    """The handler of the command line, which takes half-written files away on the way out."""
    raise KeyboardInterrupt


@contextmanager
def killable() -> Iterator[None]:
    """Let the system end the process where `stop` would: Python calls a handler only between two steps of its own.

    A reader can be stuck within one for minutes, in the interpreter, in a decoder or on a slow disk; and it writes
    nothing that would be left half-written. Other handlers, those of a program that calls dimref, stay as they are.
    """
    main = threading.current_thread() is threading.main_thread()
    numbers = [n for n in signal.valid_signals() if main and signal.getsignal(n) is stop]
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, stop)
