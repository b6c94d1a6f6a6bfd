"""Processes that measure, seen from the one that asks them. Loads no NumPy."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from types import TracebackType
from typing import Any

from dimref.errors import DimrefError
from dimref.training.choices import THREAD_VARIABLES
from dimref.training.processes import command, end, environment


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
        self.printed = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `close`)
        self.process = subprocess.Popen(
            command("dimref.bench.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.printed,
            text=True,
            encoding="utf-8",
            env=environment(**dict.fromkeys(THREAD_VARIABLES, str(threads))),
        )

    def ask(self, do: str, **arguments: Any) -> Any:
        """The answer to a request.

        Raises:
            DimrefError: what the request was refused with, and its exit code.
            WorkerFailed: it failed in another way, or the process ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerFailed(f"{do}: expected an answer, found that the process ended: {self._end()}")
        return unpack(do, json.loads(line))

    def _end(self) -> str:
        """How the process ended: its signal, or its exit code and the last line that it printed."""
        code = self.process.wait()
        if code < 0:
            return f"signal {-code}" + (" (out of memory?)" if code == -9 else "")
        self.printed.seek(0)
        lines = self.printed.read().decode(errors="replace").strip().splitlines()
        return f"exit code {code}" + (f", {lines[-1]}" if lines else "")

    def close(self) -> None:
        """End the process: it does so by itself when nobody can ask it any more."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            end(self.process)
        self.process.stdout.close()
        self.printed.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
