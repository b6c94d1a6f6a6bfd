"""Training steps on a device: queued, not waited for, and from the fourth on replayed as one graph.

The step is `step.train_step`, as on the host. What differs is where things lie. Parameters, model state and Adam's moments
are overwritten where they are. Images, draws and Adam's two rates, the only numbers that are new in a step,
reach it through buffers (`cuda_graph.Feed`). Nothing is read inside a step: its numbers stay on the device until `read`,
and those of the first step that was not finite stay there for good.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dimref import encoders, optim
from dimref.engine.cuda_graph import Feed, Numbers, Queue, Replayed, assign
from dimref.engine.kernels import sums_of_squares
from dimref.engine.tuning import CAPTURE_WARM_UP
from dimref.step import train_step
from dimref.training.nonfinite import diverged
from dimref.training.state import State
from dimref.training.task import STEP, Task, batch_at, host_noise_at
from dimref.trees import Array, Tree, leaves, map_tree


class DeviceSteps:
    """The steps of a run on a device, from a state on; to be used while the queue is running."""

    def __init__(self, task: Task, state: State, queue: Queue, report: Callable[[str], None]) -> None:
        self._task, self._first, self._done = task, state.step, 0
        self._parameters, self._model, self._adam = state.parameters, state.model, state.adam
        images, fed = self._draw(state.step)
        self._batches = [images]  # those that were put and not stepped on
        self._feed = Feed(queue, fed)
        self._feed.put(fed)
        self._numbers: Numbers | None = None
        self._images, self._y = images, images
        self._replayed = Replayed(queue, self._again, task.config.graph, report)
        self._queue = queue
        self.terms: dict[str, float] = {}  # nats, as last read

    def run(self, state: State) -> State:
        """Queue the step after `state`, then draw the one after it and send it on its way."""
        self._feed.take()
        if self._numbers is None:
            with self._queue.memory():
                self._y = self._start()
        else:
            self._y = self._replayed()
        self._images = self._batches.pop()
        self._done += 1
        step = state.step + 1
        if step < self._task.total_steps:
            images, fed = self._draw(step)
            self._batches.append(images)
            self._feed.put(fed)
        if (
            self._done <= CAPTURE_WARM_UP
        ):  # what fails at once is reported at once, and a watcher has numbers from the start
            self.read()
        return dataclasses.replace(state, step=step, model=self._model, adam={**self._adam, "step": step})

    def read(self) -> dict[str, Any]:
        """Wait for the steps that are queued; what `loop.train_step` returns of the last.

        Raises:
            Diverged: a step since the last `read` was not finite. The state is lost then.
        """
        assert self._numbers is not None
        numbers, good = self._numbers.read()
        terms, squares, saturated = (
            {path.removeprefix(kind): value for path, value in numbers.items() if path.startswith(kind)}
            for kind in ("terms/", "squares/", "saturated/")
        )
        if good < self._done:
            raise diverged(self._first + good, {**terms, "loss": numbers["loss"]}, squares)
        self.terms = terms
        total = sum(np.float32(square) for square in squares.values())  # in float32 and in order, as on the host
        return {
            "terms": terms,
            "saturated": saturated,
            "gradient_norm": math.sqrt(total),
            "y": self._task.backend.to_host(self._y),
            "images": self._images,
        }

    # ---- drawing, on the host

    def _draw(self, step: int) -> tuple[np.ndarray, Tree]:
        """A step's images, and what the feed carries."""
        images = batch_at(self._task, step)
        noise = host_noise_at(self._task, STEP, step, len(images))
        rates = np.array(optim.step_rates(step + 1, self._task.config.lr, self._task.config.betas), np.float32)
        return images, {"images": images, "noise": noise, "rates": rates}

    # ---- one step, from buffers to buffers

    def _start(self) -> Array:
        """The first step: what it returns becomes the buffers of the model state (MINE has an average from here on)."""
        report = self._compute()
        self._model = report["state"]
        self._numbers = Numbers(self._task.backend, *_names(report))
        self._numbers.record(_scalars(report))
        return report["y"]

    def _again(self) -> Array:
        """Every other step; this is what is captured."""
        report = self._compute()
        map_tree(assign, self._model, report["state"])
        assert self._numbers is not None
        self._numbers.record(_scalars(report))
        return report["y"]

    def _compute(self) -> dict[str, Any]:
        fed = self._feed.buffers
        guarded: dict[str, Any] = {}

        def note(value: Array, gradients: Tree, report: dict[str, Any]) -> None:
            some = {path: g for path, g in leaves(gradients) if g is not None}
            guarded.update(loss=value, paths=list(some), squares=sums_of_squares(list(some.values())))

        images = encoders.scale(fed["images"], self._task.layout)
        *_, report = train_step(
            self._task.loss, self._parameters, self._model, self._adam, images, fed["noise"], self._task.config.lr,
            fed["rates"], self._task.config.betas, note,
        )  # fmt: skip
        return {**report, **guarded}


def _names(report: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Of a step's scalars: of those that must be finite, the loss and the squares of the gradients, and of the others."""
    others = [f"{kind}/{name}" for kind in ("terms", "saturated") for name in report[kind]]
    return ["loss", *(f"squares/{path}" for path in report["paths"])], others


def _scalars(report: dict[str, Any]) -> list[Array]:
    """Those scalars, in that order."""
    return [report["loss"], *report["squares"], *report["terms"].values(), *report["saturated"].values()]
