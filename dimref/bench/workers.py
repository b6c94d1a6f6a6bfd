"""Processes that measure, seen from the one that asks them. Loads no NumPy."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any

from dimref.errors import DimrefError
from dimref.training.choices import THREAD_VARIABLES
from dimref.training.processes import Child, environment


class WorkerFailed(DimrefError):
    """A worker could not do what it was asked, or ended before it had answered."""


def unpack(do: str, message: dict[str, Any]) -> Any:
    """The answer in a worker's message (`worker.answer`), or the error that it reported."""
    if "refused" in message:
        error = DimrefError(message["refused"])
        error.exit_code = message["code"]
        raise error
    if "failed" in message:
        raise WorkerFailed(f"{do}: expected an answer, found {message['failed']}")
    return message["answer"]


class Worker:
    """A process that answers one request at a time (`worker.Server`), with `threads` threads in every library."""

    def __init__(self, threads: int) -> None:
        env = environment(**dict.fromkeys(THREAD_VARIABLES, str(threads)))
        self.child = Child("dimref.bench.worker", env=env)

    def ask(self, do: str, **arguments: Any) -> Any:
        """The answer to a request.

        Raises:
            DimrefError: what the request was refused with, and its exit code.
            WorkerFailed: it failed in another way, or the process ended.
        """
        requests, answers = self.child.process.stdin, self.child.process.stdout
        assert requests is not None
        assert answers is not None
        try:
            requests.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            requests.flush()
            line = answers.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            how = self.child.how_it_ended()
            raise WorkerFailed(f"{do}: expected an answer, found that the process ended: {how}")
        return unpack(do, json.loads(line))

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.child.end()
