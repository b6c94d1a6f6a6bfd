"""dimref's side of the comparison: a workload on a backend, its step and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from dimref import encoders, engine, optim
from dimref.backend import Backend
from dimref.bench.work import Work
from dimref.engine import folded, malloc
from dimref.tape import value_and_gradients
from dimref.training.method import method_of
from dimref.trees import Tree, map_tree

LR = 1e-4


class Reference:
    """A workload in dimref: loss, gradient and Adam as `step.train_step` computes them, on one batch over and over.

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
            if not self.trains:
                self._encode()
                return
            _, gradients, report = self._differentiate()
            self.parameters, self.adam = optim.adam_step(self.parameters, gradients, self.adam, LR)
            self.state = report["state"]

    def gradients(self) -> tuple[float, Tree, Tree]:
        """The loss, its gradient and the new model state, on the host, with the weights as they are."""
        value, gradients, report = self._differentiate()
        host = self.backend.tree_to_host
        return float(self.backend.to_host(value)), host(gradients), host(report["state"])

    def encodings(self) -> dict[str, np.ndarray]:
        """Local map, last map, fc and y of the batch, on the host."""
        encoding = self._encode()
        return {name: self.backend.to_host(value) for name, value in vars(encoding).items()}

    def synchronize(self) -> None:
        """Wait for the device."""
        self.backend.synchronize()

    def _differentiate(self) -> tuple[Any, Tree, dict[str, Any]]:
        return value_and_gradients(
            method_of(self.layout).loss,
            self.parameters,
            self.state,
            self.images,
            self.noise,
            self.objective,
            self.layout,
        )

    def _encode(self) -> encoders.Encoding:
        assert isinstance(self.layout, encoders.Layout)  # of the preset "encode"
        return folded.encode_folded(self.folded, self.images, self.layout)
