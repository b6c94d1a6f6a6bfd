"""How SIGINT, SIGTERM and SIGHUP end a command: by an exception, so that a half-written file is taken away; at once while
it reads."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None]


class Stopped(KeyboardInterrupt):
    """A signal's. Python ends itself by SIGINT, not with exit code 130, if KeyboardInterrupt itself has left an exec."""


def stopped_by_signals() -> AbstractContextManager[None]:
    """SIGTERM and SIGHUP end a command as Ctrl-C does."""
    return handled(_stop, "SIGINT", "SIGTERM", "SIGHUP")


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


@contextmanager
def handled(handler: Handler, *names: str) -> Iterator[None]:
    """Have signals handled, those of the names that the system has and nobody has it ignore, as nohup does SIGHUP.

    In the midst of an import, where the handler's exception may be lost or become an ImportError, a signal waits a while.
    """
    waiting: list[int] = []  # a signal, once for each 10 ms

    def received(number: int, frame: FrameType | None) -> None:
        if len(waiting) < 80 and hasattr(signal, "setitimer") and _is_deaf(frame):
            waiting.append(number)  # for no thread, which could need the import's lock
            signal.signal(signal.SIGALRM, lambda alarm, later: received(number, later))
            signal.setitimer(signal.ITIMER_REAL, 0.01)
        else:
            waiting.clear()
            handler(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received.stops = handler is _stop  # type: ignore[attr-defined]
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    previous = {n: signal.signal(n, received) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
        if waiting:
            signal.setitimer(signal.ITIMER_REAL, 0)
            handler(waiting[-1], None)


def _is_deaf(frame: FrameType | None) -> bool:
    """Whether a module is being imported, or named by autograd's `wraps`, which passes over every exception."""
    while frame is not None:
        importing = frame.f_globals.get("__name__") == "importlib._bootstrap"
        if importing or frame.f_code.co_qualname == "wraps.<locals>._wraps":
            return True
        frame = frame.f_back
    return False


@contextmanager
def killable() -> Iterator[None]:
    """Let the system end the process where SIGTERM or SIGHUP would.

    Python calls a handler only between two steps of its own. A reader can be stuck within one for minutes, in the
    interpreter, in a decoder or on a slow disk; and it writes nothing that would be left half-written. Other handlers,
    those of a program that calls dimref, stay as they are.
    """
    main = threading.current_thread() is threading.main_thread()
    names = ("SIGTERM", "SIGHUP") if main else ()
    handlers = {n: signal.getsignal(n) for n in (getattr(signal, name) for name in names if hasattr(signal, name))}
    handlers = {n: handler for n, handler in handlers.items() if getattr(handler, "stops", False)}
    for number in handlers:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
