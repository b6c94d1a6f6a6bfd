"""A device's queue of work: two streams, pinned memory, and a function that is captured once as a graph and replayed.

Work that is queued on a device runs later; Python goes on. A step stays that way only if nothing in it waits for a number.
What crosses to the device crosses on a stream of its own, from memory that the system may not page out, so that the next
batch is on its way while this one computes. Written for CuPy (`backend.py` hands its module in) and CUDA's rules of
capture:

- captured work is not run but recorded, with the addresses and the Python numbers of its arguments. So whatever changes
  from one step to the next must lie in a buffer that stays where it is, and be written there before a replay;
- nothing captured may wait for the device, or copy from memory that is not pinned;
- memory that captured work has used and freed is used again by every replay. So the captured function allocates from a
  pool of its own, which nothing else allocates from, and which its warm-up has filled.

Source: CUDA C++ Programming Guide, "CUDA Graphs" (stream capture, prohibited operations); CuPy's `Stream.begin_capture`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dimref.backend import Backend
from dimref.engine.tuning import CAPTURE_SLOTS, CAPTURE_WARM_UP
from dimref.errors import first_line
from dimref.trees import Array, Tree, map_tree

FLOAT32_MAX = float(np.finfo(np.float32).max)


class Queue:
    """The computing stream, the copying stream and the memory of captured work, of the current device."""

    def __init__(self, cupy: Any, empty_pinned: Callable[..., np.ndarray]) -> None:
        self._cuda = cupy.cuda
        self._empty, self._empty_pinned = cupy.empty, empty_pinned
        # Neither may be the null stream: that one cannot be captured, and waits for all others.
        self.compute = cupy.cuda.Stream(non_blocking=True)
        self.copies = cupy.cuda.Stream(non_blocking=True)
        self._pool = cupy.cuda.MemoryPool()

    def wait(self) -> None:
        """Wait for all work of the device, on every stream."""
        self._cuda.Device().synchronize()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Queue the work inside on the computing stream: after all work before it, and before all work after it."""
        self.wait()
        with self.compute:
            try:
                yield
            finally:
                self.compute.synchronize()

    @contextlib.contextmanager
    def memory(self) -> Iterator[None]:
        """Allocate inside from the pool of captured work."""
        with self._cuda.using_allocator(self._pool.malloc):
            yield

    def capture(self, function: Callable[[], Any]) -> tuple[Any, Any]:
        """The graph of what `function` queues, and what it returns: arrays that a replay fills.

        Relaxed capture (CuPy's default) lets the pool ask CUDA for a block that the warm-up has not left in it.
        """
        with self.memory():
            self.compute.begin_capture()
            try:
                returned = function()
            except BaseException:
                with contextlib.suppress(Exception):  # a capture that failed is ended all the same, with an error
                    self.compute.end_capture()
                raise
            return self.compute.end_capture(), returned

    def event(self) -> Any:
        """A mark in a stream that another stream, or the host, can wait for; one never recorded is passed at once."""
        return self._cuda.Event(disable_timing=True)

    def pinned(self, like: np.ndarray) -> np.ndarray:
        """Host memory of that shape and type from which a copy does not wait."""
        return self._empty_pinned(like.shape, like.dtype)

    def buffer(self, like: np.ndarray) -> Array:
        """Device memory of that shape and type."""
        return self._empty(like.shape, like.dtype)


class Feed:
    """Host arrays → buffers on the device that stay where they are; the next ones cross while the last are in use.

    `put` queues the crossing of one tree of host arrays, `take` fills the buffers with the oldest one that was put.
    """

    def __init__(self, queue: Queue, example: Tree) -> None:
        self.buffers = map_tree(queue.buffer, example)
        self._queue = queue
        self._slots = [_Slot(queue, example) for _ in range(CAPTURE_SLOTS)]
        self._put = self._taken = 0

    def put(self, tree: Tree) -> None:
        """Queue the crossing of these arrays; waits only for the crossing CAPTURE_SLOTS before it.

        Raises:
            ValueError: an array has another shape or type than the example's, or CAPTURE_SLOTS trees wait to be taken.
        """
        if self._put - self._taken == CAPTURE_SLOTS:
            raise ValueError(f"Feed.put: at most {CAPTURE_SLOTS} batches can wait to be taken")
        slot = self._slots[self._put % CAPTURE_SLOTS]
        slot.arrived.synchronize()  # or the pinned memory would be overwritten while it is read
        map_tree(_overwrite, slot.pinned, tree)
        copies = self._queue.copies
        copies.wait_event(slot.taken)  # or the landing place would be overwritten before it was emptied
        map_tree(lambda landing, pinned: landing.set(pinned, stream=copies), slot.landing, slot.pinned)
        copies.record(slot.arrived)
        self._put += 1

    def take(self) -> None:
        """Queue, on the computing stream, the filling of the buffers with what was put CAPTURE_SLOTS or fewer puts ago.

        Raises:
            ValueError: nothing waits to be taken.
        """
        if self._put == self._taken:
            raise ValueError("Feed.take: nothing was put")
        slot = self._slots[self._taken % CAPTURE_SLOTS]
        self._queue.compute.wait_event(slot.arrived)
        map_tree(assign, self.buffers, slot.landing)
        self._queue.compute.record(slot.taken)
        self._taken += 1


class _Slot:
    """Where one batch waits: pinned on the host, landed on the device, and the marks of both."""

    def __init__(self, queue: Queue, example: Tree) -> None:
        self.pinned, self.landing = map_tree(queue.pinned, example), map_tree(queue.buffer, example)
        self.arrived, self.taken = queue.event(), queue.event()


def _overwrite(pinned: np.ndarray, array: np.ndarray) -> None:
    if pinned.shape != array.shape or pinned.dtype != array.dtype:
        got = f"{array.dtype} {array.shape}"
        raise ValueError(f"Feed.put: expected {pinned.dtype} {pinned.shape}, as in the example, found {got}")
    np.copyto(pinned, array)


def assign(buffer: Array, value: Array) -> None:
    """Copy into a buffer that stays where it is."""
    buffer[...] = value


class Replayed:
    """A function of buffers, run CAPTURE_WARM_UP times as it is, then captured and replayed.

    It must read what changes from buffers, write what lasts into buffers, and change nothing in Python. What it returns
    is overwritten by the next call.
    """

    def __init__(self, queue: Queue, function: Callable[[], Any], graph: bool, report: Callable[[str], None]) -> None:
        self._queue, self._function, self._graph_requested, self._report = queue, function, graph, report
        self._runs, self._graph, self._returned = 0, None, None

    @property
    def captured(self) -> bool:
        """Whether calls replay a graph."""
        return self._graph is not None

    def __call__(self) -> Any:
        """Queue one run on the computing stream; what the function returned."""
        if self._graph_requested and self._graph is None and self._runs >= CAPTURE_WARM_UP:
            self._capture()
        if self._graph is not None:
            self._graph.launch(stream=self._queue.compute)
        else:
            with self._queue.memory():
                self._returned = self._function()
            self._runs += 1
        return self._returned

    def _capture(self) -> None:
        try:
            self._graph, self._returned = self._queue.capture(self._function)
        except Exception as error:  # CUDA's, CuPy's or cuBLAS's: whatever it is, the step can be queued as before
            self._graph_requested = False
            cause = first_line(error)
            self._report(f"graph: expected the step to be captured, found: {cause}; its kernels are queued one by one")


class Numbers:
    """Scalars of the newest step, saved on the device; once a step was not finite, those of that step.

    saved ← where(alive, fresh, saved); alive ← alive ∧ (|loss + Σ squares| ≤ float32's largest); good ← good + alive.
    """

    def __init__(self, backend: Backend, guarded: list[str], others: list[str]) -> None:
        self._backend, self._names, self._guarded = backend, [*guarded, *others], len(guarded)
        self._saved = backend.to_device(np.zeros(len(self._names)))
        self._fresh = backend.to_device(np.zeros(len(self._names)))
        self._alive = backend.to_device(np.ones(1, bool))
        self._good = backend.to_device(np.zeros(1, np.int64))

    def record(self, scalars: list[Array]) -> None:
        """Queue the keeping of a step's scalars in the order of the names; an array with an axis holds several."""
        start = 0
        for some in scalars:
            self._fresh[start : start + some.size] = some
            start += some.size
        # One comparison that NaN and both infinities fail, and that a norm beyond float32 fails as on the host.
        finite = np.abs(self._fresh[: self._guarded].sum()) <= FLOAT32_MAX
        self._saved[...] = np.where(self._alive, self._fresh, self._saved)
        self._alive &= finite
        self._good += self._alive

    def read(self) -> tuple[dict[str, float], int]:
        """The scalars by name, and how many steps were finite before the first that was not: waits for the device."""
        saved, good = self._backend.to_host(self._saved), self._backend.to_host(self._good)
        return dict(zip(self._names, saved.tolist(), strict=True)), int(good[0])
