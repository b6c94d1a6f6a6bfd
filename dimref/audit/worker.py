"""The process in which somebody else's function runs: a message in, a message out, until the other side is gone.

What the target prints goes to the error stream, what it reads is empty; the pipe is out of its reach by accident.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import threading
import time
from typing import IO, Any

from dimref.audit import wire
from dimref.audit.answer import Answer, Signature
from dimref.audit.calling import InProcess
from dimref.audit.loading import load
from dimref.errors import DimrefError


class Hosted(InProcess):
    """The target in this process, which serves nothing else: whatever it raises is reported."""

    expected = BaseException


def open_target(target: str, framework: str, adapter: str, call: str, dtype: str) -> Hosted:
    """Load what `Sandbox` was asked to hold.

    Raises:
        DimrefError: it cannot be loaded, or its framework is not there.
    """
    function = load(target)
    return Hosted(function, framework, target, load(adapter, "--adapter") if adapter else None, call, dtype)


def answer(hosted: Hosted, request: dict[str, Any]) -> dict[str, Any]:
    """The message that a request is answered with."""
    if "ranks" in request:
        from dimref.audit.distributed.ranked import answer

        return answer(hosted, request)
    arguments, outputs, differentiate, of = request["signature"]
    signature = Signature(tuple(arguments), tuple(outputs), tuple(differentiate), of)
    found: Answer = hosted.call(signature, request["inputs"])
    return {
        "value": found.value,
        "gradients": found.gradients,
        "problem": found.problem,
        "remarks": list(found.remarks),
        "rounding": found.rounding,
        "framework": hosted.framework,
    }


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Load the target of the first message, report its framework, then answer calls.

    That message also has the mark of every answer: what the target itself writes onto their pipe is then no answer.
    """
    own, opening = os.getpid(), wire.receive(requests)
    mark = opening.pop("mark").encode()
    try:
        hosted = open_target(**opening)
    except DimrefError as error:
        wire.send(answers, {"refused": str(error)}, mark)
        return
    wire.send(answers, {"framework": hosted.framework, "takes": list(hosted.takes or ())}, mark)
    while True:
        message = answer(hosted, wire.receive(requests))
        if os.getpid() != own:
            os._exit(0)  # a child that the target forked, and that came back from it
        wire.send(answers, message, mark)


def main() -> None:
    """Serve on the standard streams, which the target then no longer sees."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    faulthandler.enable()  # a crash leaves its place among what was printed
    _no_core_files()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):  # nobody is there any more
        serve(requests, answers)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(0)  # threads that the target left behind are not waited for


def _end_with(parent: int) -> None:
    """End once the process that asks is gone, even in the middle of a call."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _no_core_files() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
