"""dimref's side of the comparison: a workload on a backend, its step, its gradients and its bare products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dimref import encoders, engine, optim, step
from dimref.backend import Backend
from dimref.bench import products
from dimref.bench.products import Shape
from dimref.bench.work import Work
from dimref.engine import folded, malloc
from dimref.engine.cuda_graph import Feed, Replayed, assign
from dimref.tape import value_and_gradients
from dimref.training.method import method_of
from dimref.trees import Array, Tree, map_tree

LR = 1e-4


class Reference:
    """A workload in dimref: steps of `step.train_step`, or encodings, on one batch over and over.

    What a run also does each step is left out on both sides: drawing and scaling the batch, looking at the numbers.
    """

    def __init__(self, work: Work, backend: Backend) -> None:
        malloc.keep_freed_memory()
        self.trains, self.objective, self.layout, self.backend = work.trains, work.objective, work.layout, backend
        own = map_tree(np.array, work.parameters)  # Adam overwrites them
        self.parameters, self.state = backend.tree_to_device(own), backend.tree_to_device(work.state)
        self.adam = optim.init_adam(self.parameters) if work.trains else {}
        self.folded = {} if work.trains else folded.fold(self.parameters["encoder"], self.state["encoder"])
        self.images, self.noise = backend.to_device(work.images), backend.tree_to_device(work.noise)

    def step(self) -> None:
        """Loss, gradient and Adam; or one encoding."""
        with engine.sharing():
            if self.trains:
                self.parameters, self.state, self.adam = self._trained()
            else:
                self._encode()

    def gradients(self) -> tuple[float, Tree, Tree]:
        """The loss, its gradient and the new model state, on the host, with the weights as they are."""
        value, gradients, report = value_and_gradients(self._loss, self.parameters, self.state, self.images, self.noise)
        host = self.backend.tree_to_host
        return float(self.backend.to_host(value)), host(gradients), host(report["state"])

    def encodings(self) -> dict[str, np.ndarray]:
        """Local map, last map, fc and y of the batch, on the host."""
        return {name: self.backend.to_host(value) for name, value in vars(self._encode()).items()}

    def synchronize(self) -> None:
        """Wait for the device."""
        self.backend.synchronize()

    def graph(self) -> str:
        """How a device's step was queued, in words; empty on the host."""
        return ""

    def bare_products(self, shapes: list[Shape]) -> Callable[[], None]:
        """`products.bare_products` on this backend."""
        return products.bare_products(shapes, self.backend.to_device)

    def _loss(self, *arguments: Any) -> Any:
        return method_of(self.layout).loss(*arguments, self.objective, self.layout)

    def _trained(self, rates: Array | None = None) -> tuple[Tree, Tree, Tree]:
        of = (self.parameters, self.state, self.adam, self.images, self.noise)
        return step.train_step(self._loss, *of, LR, rates=rates)[:3]

    def _encode(self) -> encoders.Encoding:
        assert isinstance(self.layout, encoders.Layout)  # of the preset "encode"
        return folded.encode_folded(self.folded, self.images, self.layout)


class Queued(Reference):
    """On a device that can be ahead of the host: a step from buffers to buffers, captured once and replayed.

    Only Adam's rates cross each step.
    """

    def __init__(self, work: Work, backend: Backend, captures: bool) -> None:
        super().__init__(work, backend)
        assert backend.queue is not None
        self._queue, self._captures = backend.queue(), captures
        self._dtype, self._done, self._why_no_graph = work.images.dtype, 0, ""
        self._feed = Feed(self._queue, self._rates(1))
        self._replayed = Replayed(self._queue, self._captured, captures, self._refused)

    def step(self) -> None:
        """Queue loss, gradient and Adam; or one encoding."""
        self._done += 1
        if self._done == 1:
            self._queue.wait()  # for the weights, which were sent on another stream
        self._feed.put(self._rates(self._done))
        with self._queue.compute:
            self._feed.take()
            self._replayed()

    def synchronize(self) -> None:
        """Wait for every stream of the device."""
        self._queue.wait()

    def graph(self) -> str:
        """One graph, or why not."""
        if self._replayed.captured:
            return "one CUDA graph a step"
        return self._why_no_graph or "kernel by kernel, without a graph"

    def bare_products(self, shapes: list[Shape]) -> Callable[[], None]:
        """Queued as the step is, replayed as one graph."""
        replayed = Replayed(self._queue, super().bare_products(shapes), self._captures, lambda line: None)

        def call() -> None:
            with self._queue.compute:
                replayed()

        return call

    def _rates(self, t: int) -> np.ndarray:
        return np.array(optim.step_rates(t, LR), self._dtype)

    def _captured(self) -> Array | None:
        if not self.trains:
            return self._encode().y
        _, state, _ = self._trained(self._feed.buffers)  # Adam's updates are in place
        map_tree(assign, self.state, state)
        return None

    def _refused(self, line: str) -> None:
        self._why_no_graph = line


def start(work: Work, backend: Backend, captures: bool) -> Reference:
    """dimref's side: queued where the backend has a queue."""
    return Reference(work, backend) if backend.queue is None else Queued(work, backend, captures)
