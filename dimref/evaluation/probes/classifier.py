"""What the probes that are networks of dimref's own layers share: their batches, their schedule, and their logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from dimref.backend import Backend
from dimref.evaluation.probes.problem import Problem
from dimref.training.fit import Schedule, shuffled, whole_passes
from dimref.trees import Array

BATCH = 250
LEAST_STEPS = 300  # where few samples would end the epochs before the weights have got anywhere


def schedule_of(n: int, epochs: int, lr: float, least: int) -> Schedule:
    """Adam's for so many epochs of n samples, or as many as make up `least` steps; its rate half a cosine down to 0.

    `every` is an epoch's steps.
    """
    size = min(BATCH, n)
    return Schedule(whole_passes(n, size, epochs, least), lr, cosine=True, every=n // size)


def batches_of(
    problem: Problem, rng: np.random.Generator, backend: Backend, draw: Callable[[int], np.ndarray] | None = None
) -> Iterator[list[Array]]:
    """(x, one-hot labels) of the training samples, without end, on the device.

    Args:
        draw: what else a step of n samples needs, an array drawn on the host.
    """
    size = min(BATCH, len(problem.x))
    for rows in shuffled(rng, len(problem.x), size):
        one_hot = (problem.labels[rows, None] == np.arange(problem.classes)).astype(np.float32)
        batch = [problem.x[rows], one_hot] if draw is None else [problem.x[rows], one_hot, draw(size)]
        yield [backend.to_device(array) for array in batch]


def logits(forward: Callable[[Array], Array], x: np.ndarray, backend: Backend) -> np.ndarray:
    """`forward` of all rows, in batches, on the host."""
    parts = (backend.to_host(forward(backend.to_device(x[start : start + 1000]))) for start in range(0, len(x), 1000))
    return np.concatenate(list(parts))
