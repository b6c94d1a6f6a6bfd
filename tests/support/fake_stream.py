"""A device with streams, events, pinned memory and stream capture that is not there, for the strict array type.

Streams do what CUDA promises and no more. Work with a result is computed when it is asked for, after all that its stream
was given before; work without one (a copy, an assignment, the replay of a graph) is put off as long as nothing forces it,
or on the copying stream of an `eager` device done as soon as its events allow. So code that forgets to wait for an event
computes with the wrong numbers on one of the two. A capture records the strict type's operations, runs none of them, and
refuses what CUDA refuses. **It proves order and staticness, not kernels.**
"""

from __future__ import annotations

import contextlib
import types
from collections import deque
from typing import Any

import fake_cupy
import numpy as np
from fake_cupy import DeviceArray, Recording

from dimref.backend import Backend
from dimref.engine.cuda_graph import Queue


class Event:
    """A mark in a stream: passed when the stream has come there."""

    def __init__(self, disable_timing: bool = False) -> None:
        self.stream: Stream | None = None
        self.marks = 0

    def synchronize(self) -> None:
        if self.stream is not None:
            self.stream.run_to(self, self.marks)

    def passed(self, mark: int) -> bool:
        return self.stream is None or self.stream.passed.get(id(self), 0) >= mark


class Stream:
    """Work in order. `log` has every call that a test may want to see."""

    current: Stream | None = None
    log: list[str]

    def __init__(self, non_blocking: bool = False) -> None:
        assert non_blocking  # the null stream waits for every other one: nothing would overlap
        self.pending: deque[Any] = deque()
        self.passed: dict[int, int] = {}
        self.eager = False

    # ---- CuPy's methods

    def __enter__(self) -> Stream:
        self._outer, Stream.current = Stream.current, self
        DeviceArray.wait, DeviceArray.later = self.run, self.queue
        return self

    def __exit__(self, *exception: Any) -> None:
        Stream.current = self._outer
        DeviceArray.wait, DeviceArray.later = (lambda: None), (lambda work: work())

    def synchronize(self) -> None:
        fake_cupy._refuse_while_capturing()
        self.run()

    def record(self, event: Event) -> Event:
        event.stream, event.marks = self, event.marks + 1
        mark = event.marks
        self.queue(lambda: self.passed.__setitem__(id(event), mark))
        return event

    def wait_event(self, event: Event) -> None:
        self.pending.append((event, event.marks))
        self._advance()

    def begin_capture(self) -> None:
        assert Stream.current is self
        self.run()
        DeviceArray.recording = Recording()

    def end_capture(self) -> Graph:
        recording, DeviceArray.recording = DeviceArray.recording, None
        assert recording is not None
        recording.end()
        return Graph(recording)

    # ---- what stands for the device

    def queue(self, work: Any) -> None:
        """Take on work without a result."""
        self.pending.append(work)
        self._advance()

    def run(self) -> None:
        """Do everything, and what it waits for."""
        while self.pending:
            self._one()

    def run_to(self, event: Event, mark: int) -> None:
        while not event.passed(mark):
            self._one()

    def _one(self) -> None:
        work = self.pending.popleft()
        if isinstance(work, tuple):
            event, mark = work
            if event.stream is not None:
                event.stream.run_to(event, mark)
        else:
            work()

    def _advance(self) -> None:
        """On an eager stream: do what can be done without forcing another stream."""
        while self.eager and self.pending:
            work = self.pending[0]
            if isinstance(work, tuple) and not work[0].passed(work[1]):
                return
            self._one()


class Graph:
    """What was captured."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.launches = 0

    def launch(self, stream: Stream) -> None:
        self.launches += 1
        stream.queue(self._replay)

    def _replay(self) -> None:
        for work in self.recording.work:
            work()


def module(eager: bool = False) -> Any:
    """What `device.Queue` uses of CuPy. `made` has the streams: computing first, then copying."""
    made: list[Stream] = []

    def stream(non_blocking: bool = False) -> Stream:
        made.append(Stream(non_blocking))
        made[-1].eager = eager and len(made) % 2 == 0
        return made[-1]

    def synchronize() -> None:
        for each in made:
            each.run()

    cuda = types.SimpleNamespace(
        Stream=stream,
        Event=Event,
        Device=lambda: types.SimpleNamespace(synchronize=synchronize),
        MemoryPool=lambda: types.SimpleNamespace(malloc=None),
        using_allocator=lambda allocator: contextlib.nullcontext(),
    )
    return types.SimpleNamespace(cuda=cuda, made=made, empty=lambda shape, dtype: DeviceArray(np.empty(shape, dtype)))


def device(eager: bool = False) -> Backend:
    """The strict backend with a queue."""
    return Backend(
        "strict", "a device that is not there", fake_cupy.to_device, fake_cupy.to_host, lambda: None,
        queue=lambda: Queue(module(eager), np.empty),
    )  # fmt: skip
