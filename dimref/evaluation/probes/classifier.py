"""What the probes that are networks of dimref's own layers share: how they are fitted, and their logits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dimref.backend import Backend
from dimref.training.fit import Schedule, fit, shuffled, whole_passes
from dimref.trees import Array, Tree

BATCH = 250
LEAST_STEPS = 300  # where few samples would end the epochs before the weights have got anywhere


def fit_classifier(
    loss: Callable[..., Array],
    parameters: Tree,
    data: tuple[np.ndarray, np.ndarray, int],
    epochs: int,
    lr: float,
    rng: np.random.Generator,
    backend: Backend,
    draw: Callable[[int], np.ndarray] | None = None,
    least_steps: int = LEAST_STEPS,
) -> Tree:
    """Minimize `loss(parameters, x, one_hot[, drawn])` by Adam, its rate half a cosine from `lr` down to 0.

    Args:
        parameters: the initial ones, on the backend; overwritten.
        data: features (N, P), labels (N,) in 0 … classes − 1, and the number of classes.
        draw: what else a step of n samples needs, an array drawn on the host.
    Returns:
        The fitted parameters.
    """
    x, labels, classes = data
    size = min(BATCH, len(x))

    def on_device(rows: np.ndarray) -> list[Array]:
        one_hot = (labels[rows, None] == np.arange(classes)).astype(np.float32)
        batch = [x[rows], one_hot] if draw is None else [x[rows], one_hot, draw(size)]
        return [backend.to_device(array) for array in batch]

    schedule = Schedule(whole_passes(len(x), size, epochs, least_steps), lr, cosine=True)
    batches = map(on_device, shuffled(rng, len(x), size))
    return fit(lambda parameters, _, batch: (loss(parameters, *batch), None), parameters, batches, schedule).parameters


def logits(forward: Callable[[Array], Array], x: np.ndarray, backend: Backend) -> np.ndarray:
    """`forward` of all rows, in batches, on the host."""
    parts = (backend.to_host(forward(backend.to_device(x[start : start + 1000]))) for start in range(0, len(x), 1000))
    return np.concatenate(list(parts))
