"""dimref's side on a device that can be ahead of the host: the step from buffers to buffers, captured once and replayed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dimref import optim
from dimref.backend import Backend
from dimref.bench import products
from dimref.bench.products import Shape
from dimref.bench.reference import LR, Reference
from dimref.bench.work import Work
from dimref.engine.cuda_graph import Feed, Replayed, assign
from dimref.trees import Array, map_tree


class Queued(Reference):
    """A workload by device steps, on one batch over and over; only Adam's rates cross each step."""

    def __init__(self, work: Work, backend: Backend, graph: bool) -> None:
        super().__init__(work, backend)
        assert backend.queue is not None
        self._queue = backend.queue()
        self._dtype, self._done = work.images.dtype, 0
        self._feed = Feed(self._queue, self._rates(1))
        self.why_no_graph = ""
        self._replayed = Replayed(self._queue, self._captured, graph, self._refused)

    @property
    def captured(self) -> bool:
        """Whether steps are replays of a graph."""
        return self._replayed.captured

    def step(self) -> None:
        """Queue loss, gradient and Adam; or one encoding."""
        self._done += 1
        if self._done == 1:
            self._queue.wait()  # for the weights, which were sent on another stream
        self._feed.put(self._rates(self._done))
        with self._queue.compute:
            self._feed.take()
            self._replayed()

    def step_by_step(self) -> None:
        """The same step without a graph, for a profile of its parts."""
        self._queue.wait()
        with self._queue.compute:
            self._captured()
            self._queue.compute.synchronize()

    def synchronize(self) -> None:
        """Wait for every stream of the device."""
        self._queue.wait()

    def _rates(self, t: int) -> np.ndarray:
        return np.array(optim.step_rates(t, LR), self._dtype)

    def _captured(self) -> Array | None:
        if not self.trains:
            return self._encode().y
        _, gradients, report = self._differentiate()
        optim.adam_step(self.parameters, gradients, self.adam, LR, rates=self._feed.buffers)
        map_tree(assign, self.state, report["state"])
        return None

    def _refused(self, line: str) -> None:
        self.why_no_graph = line


def reference(work: Work, backend: Backend, graph: bool) -> Reference:
    """dimref's side: queued where the backend has a queue."""
    return Reference(work, backend) if backend.queue is None else Queued(work, backend, graph)


def bare_products(shapes: list[Shape], backend: Backend, graph: bool) -> Callable[[], None]:
    """`products.bare_products` on a backend; where it has a queue they are queued as the step is, replayed as one graph."""
    multiply = products.bare_products(shapes, backend.to_device)
    if backend.queue is None:
        return multiply
    queue = backend.queue()
    replayed = Replayed(queue, multiply, graph, lambda line: None)

    def call() -> None:
        with queue.compute:
            replayed()

    return call
