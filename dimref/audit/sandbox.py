"""A target in a process of its own, with a time limit for each call and a watch on its memory."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import queue
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from dimref.audit import loading, wire
from dimref.audit.answer import Answer, Inputs, Signature, Target
from dimref.audit.calling import InProcess
from dimref.audit.loading import LoadError
from dimref.training import processes
from dimref.training.choices import THREAD_VARIABLES
from dimref.trees import leaves

TIME_LIMIT, MEMORY_LIMIT = 10.0, 4096.0  # seconds of one call, MiB
LOADING = 60.0  # seconds for the imports of a target; JAX has as many more to compile a call of new shapes
PATIENCE, FORBEARANCE = 3, 8  # a target that hung or died so often is not asked again: before it ever answered, after
COMPILED = 3  # calls of the same shapes in which JAX may compile
POLL = 0.05  # seconds between two checks of a call that lasts
MOST_PRINTED = 1 << 24  # bytes; more would fill the disk
MIB = 1 << 20
# JAX compiles for each shape: quickly, and the formula as it is written (log(exp(x)) would become x).
XLA_FLAGS = "--xla_backend_optimization_level=0 --xla_disable_hlo_passes=algsimp"


class _Lost(Exception):
    """The process gave no answer; the message describes its end."""


class Sandbox:
    """A `Target` that runs in a subprocess; a context manager, which leaves no process behind (`training.processes`).

    Args:
        target: "module:function" or "path/to/file.py:function".
        framework: one of `dimref.training.choices.FRAMEWORKS`; by default found by trying.
        adapter: another such function, called as adapter(target, *arguments).
        call: a Python expression in place of the call (`loading.expression`).
        dtype: in which it is called, in place of float64 and float32.
        time_limit: seconds that one call may take.
        memory_limit: MiB that the process and what it started may have resident.
        loading_limit: seconds that its imports may take.
    Raises:
        LoadError: on entering, if the target cannot be loaded.
    """

    def __init__(
        self,
        target: str,
        framework: str = "",
        adapter: str = "",
        time_limit: float = TIME_LIMIT,
        memory_limit: float = MEMORY_LIMIT,
        call: str = "",
        dtype: str = "",
        loading_limit: float = LOADING,
    ) -> None:
        self.name, self.framework = target, framework
        self._request = {"target": target, "framework": framework, "adapter": adapter, "call": call, "dtype": dtype}
        self._time_limit, self._loading_limit = time_limit, loading_limit
        self._memory_limit = memory_limit
        self.takes: tuple[int, int] | None = None
        self._process: _Process | None = None
        self._lost: dict[bytes, str] = {}  # what became of it, by what was asked
        self._seen: Counter[str] = Counter()  # calls of JAX by shapes
        self._answered = False

    def __enter__(self) -> Sandbox:
        loading.split(self._request["target"])
        if self._request["adapter"] and self._request["call"]:
            raise LoadError("--call and --adapter: expected one of them, found both")
        if self._request["adapter"]:
            loading.split(self._request["adapter"], "--adapter")
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None

    def call(self, signature: Signature, inputs: Inputs) -> Answer:
        """As `Target.call`. A process that hung or died is restarted for the next call, a few times."""
        request = {"signature": dataclasses.astuple(signature), "inputs": inputs}
        found, problem, printed = self.ask(digest(signature, inputs), request, self._limit(signature, inputs))
        if problem:
            return Answer(problem=problem, printed=printed)
        remarks = tuple(found["remarks"])
        return Answer(found["value"], found["gradients"], found["problem"], printed, remarks, found["rounding"])

    def ask(self, key: bytes, request: dict[str, Any], limit: float) -> tuple[dict[str, Any], str, str]:
        """What the process answers; why there is no answer, or ""; and what was printed.

        Args:
            key: of what is asked: what hung or crashed once is not asked again.
            limit: seconds that it may take.
        """
        if key in self._lost:
            return {}, self._lost[key], ""
        if len(self._lost) >= (FORBEARANCE if self._answered else PATIENCE):
            return {}, f"not asked again, after {len(self._lost)} times: {[*self._lost.values()][-1]}", ""
        try:
            if self._process is None:
                self._start()
            assert self._process is not None
            found = self._process.ask(request, limit, self._memory_limit)
            printed = self._process.printed()
        except LoadError as error:
            self._lost[key] = str(error)
            return {}, str(error), ""
        except _Lost as loss:
            assert self._process is not None
            printed = self._process.printed()
            self._process.end()
            self._process = None
            self._lost[key] = str(loss)
            return {}, str(loss), printed
        self.framework, self._answered = found["framework"], True
        return found, "", printed

    def _limit(self, signature: Signature, inputs: Inputs) -> float:
        """Seconds for one call; more where JAX may compile it: its first calls are run line by line."""
        shapes = (
            f"{signature} {[(path, np.shape(leaf), getattr(leaf, 'dtype', leaf)) for path, leaf in leaves(inputs)]}"
        )
        self._seen[shapes] += 1
        return self._time_limit + self._loading_limit * (self.framework == "jax" and self._seen[shapes] <= COMPILED)

    def _start(self) -> None:
        self._process = _Process()
        try:
            request = {**self._request, "mark": self._process.mark.decode()}
            found = self._process.ask(request, self._loading_limit, self._memory_limit)
            if "refused" in found:
                raise LoadError(found["refused"])
        except _Lost as loss:
            raise LoadError(f"TARGET {self.name}: expected to import it, it {loss}") from None
        finally:
            if sys.exc_info()[0] is not None:
                self._process.end()
                self._process = None
        self.framework = self._request["framework"] or found["framework"]
        self.takes = (*found["takes"],) if found["takes"] else None


@contextlib.contextmanager
def opened(
    target: str | Target | Callable[..., Any],
    framework: str = "",
    adapter: str = "",
    time_limit: float = TIME_LIMIT,
    memory_limit: float = MEMORY_LIMIT,
    call: str = "",
    dtype: str = "",
) -> Iterator[Target]:
    """A target to ask: for a text a `Sandbox`; for a function one in this process, without limits."""
    if isinstance(target, str):
        with Sandbox(target, framework, adapter, time_limit, memory_limit, call, dtype) as held:
            yield held
    elif isinstance(target, Target):
        yield target
    else:
        between = loading.load(adapter, "--adapter") if adapter else None
        yield InProcess(target, framework, adapter=between, call=call, dtype=dtype)


def digest(signature: Signature, inputs: Inputs) -> bytes:
    """What was asked, in a few bytes."""
    state = hashlib.sha256(repr(signature).encode())
    for path, leaf in leaves(inputs):
        state.update(
            f"{path} {leaf.dtype} {leaf.shape}".encode() if isinstance(leaf, np.ndarray) else repr(leaf).encode()
        )
        if isinstance(leaf, np.ndarray):
            state.update(np.ascontiguousarray(leaf).tobytes())
    return state.digest()


class _Process:
    """One worker (`dimref.audit.worker`), asked one thing at a time."""

    def __init__(self) -> None:
        env = {
            "XLA_FLAGS": XLA_FLAGS,
            **dict.fromkeys(THREAD_VARIABLES, "1"),  # the arrays are small: threads that wait for each other cost most
            **processes.environment(
                PYTHONUNBUFFERED="1",
                XLA_PYTHON_CLIENT_PREALLOCATE="false",  # or JAX takes most of a device's memory at once
            ),
        }
        self.mark = secrets.token_hex(8).encode()  # of its answers
        self._child = processes.Child("dimref.audit.worker", env=env)
        self._process = self._child.process
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()

    def _listen(self, stream: IO[bytes]) -> None:
        """Messages as they come, then what ended them."""
        while True:
            try:
                self._answers.put(wire.receive(stream, self.mark))
            except (EOFError, OSError, ValueError, wire.WireError) as end:
                self._answers.put(end)
                return

    def ask(self, request: dict[str, Any], time_limit: float, memory_limit: float) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            _Lost: there was none.
        """
        assert self._process.stdin is not None
        self._child.forget_printed()
        try:
            wire.send(self._process.stdin, request)
        except OSError:
            raise _Lost(self._death()) from None
        until = time.monotonic() + time_limit
        while True:
            try:
                found = self._answers.get(timeout=max(0.0, min(POLL, until - time.monotonic())))
            except queue.Empty:
                self._watch(until, time_limit, memory_limit)
                continue
            if isinstance(found, wire.WireError):
                raise _Lost(f"gave an answer that cannot be read: {found}")
            if isinstance(found, Exception):
                raise _Lost(self._death())
            return found

    def _watch(self, until: float, time_limit: float, memory_limit: float) -> None:
        if self._process.poll() is not None and self._answers.empty():
            raise _Lost(self._death())
        if processes.resident(self._process.pid) > memory_limit * MIB:
            raise _Lost(f"used more than {memory_limit:g} MiB of memory")
        if self._child.printed_bytes() > MOST_PRINTED:
            raise _Lost(f"printed more than {MOST_PRINTED // MIB} MiB")
        if time.monotonic() >= until:
            raise _Lost(f"gave no answer within {time_limit:g} s")

    def _death(self) -> str:
        """How the process ended."""
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return "closed the pipe on which it answers"
        if code >= 0:
            return f"ended its process with exit code {code}"
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
        return f"crashed with {name}{self._place()}"

    def _place(self) -> str:
        """The innermost line of the target's own, from what Python's fault handler wrote."""
        frames = re.findall(r'File "([^"]+)", line (\d+) in (\S+)', self._child.printed())
        own = [
            frame
            for frame in frames
            if not frame[0].startswith((str(loading.HERE), processes.__file__, sys.base_prefix, sys.prefix))
        ]
        return f" ({Path(own[0][0]).name}, line {own[0][1]}, in {own[0][2]})" if own else ""

    def printed(self) -> str:
        """The first line that was printed since the last request, cut to 200 characters."""
        lines = [line for line in self._child.printed(4096).splitlines() if line.strip()]
        return "" if not lines or lines[0].startswith("Fatal Python error") else lines[0].strip()[:200]

    def end(self) -> None:
        """Kill the process and what it started."""
        self._child.end()
