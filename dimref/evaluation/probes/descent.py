"""How the probes that are made of dimref's own layers are fitted: Adam on batches, its rate half a cosine down to 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dimref.backend import Backend
from dimref.optim import adam_step, init_adam
from dimref.tape import value_and_gradients
from dimref.trees import Array, Tree

BATCH = 250
LEAST_STEPS = 300  # where few samples would end the epochs before the weights have got anywhere


@dataclass(frozen=True)
class Schedule:
    """Passes over the data, and Adam's first rate."""

    epochs: int
    lr: float


def steps(
    n: int, batch: int, epochs: int, least: int, lr: float, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, float]]:
    """The samples of each step, and Adam's rate: every epoch in a new order, its rate half a cosine from `lr` down to 0.

    The last steps, which are small, average the noise of the batches away. There are `least` steps at least.
    """
    count = n // batch
    total = max(epochs, -(-least // count)) * count
    for step in range(total):
        if step % count == 0:
            order = rng.permutation(n)
        at = step % count * batch
        yield order[at : at + batch], lr * 0.5 * (1 + math.cos(math.pi * step / total))


def fit(
    loss: Callable[..., tuple[Array, Any]],
    parameters: Tree,
    data: tuple[np.ndarray, np.ndarray, int],
    schedule: Schedule,
    rng: np.random.Generator,
    backend: Backend,
    draw: Callable[[int], np.ndarray] | None = None,
) -> Tree:
    """Minimize `loss(parameters, x, one_hot[, drawn]) -> (scalar, _)` over batches of the data; the fitted parameters.

    Args:
        parameters: the initial ones, on the backend; given up.
        data: features (N, P), labels (N,) in 0 … classes − 1, and the number of classes.
        draw: what else a step of n samples needs, an array drawn on the host.
    """
    x, labels, classes = data
    batch = min(BATCH, len(x))
    adam = init_adam(parameters)
    for chosen, rate in steps(len(x), batch, schedule.epochs, LEAST_STEPS, schedule.lr, rng):
        one_hot = (labels[chosen, None] == np.arange(classes)).astype(np.float32)
        given = [x[chosen], one_hot] if draw is None else [x[chosen], one_hot, draw(batch)]
        _, gradients, _ = value_and_gradients(loss, parameters, *map(backend.to_device, given))
        parameters, adam = adam_step(parameters, gradients, adam, rate)
    return parameters


def logits(forward: Callable[[Array], Array], x: np.ndarray, backend: Backend) -> np.ndarray:
    """`forward` of all rows, in batches, on the host."""
    parts = (backend.to_host(forward(backend.to_device(x[start : start + 1000]))) for start in range(0, len(x), 1000))
    return np.concatenate(list(parts))
