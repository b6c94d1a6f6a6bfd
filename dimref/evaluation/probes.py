"""Linear probes: how much of the labels a linear classifier reads from frozen features.

Multinomial logistic regression with an L2 penalty, trained by Adam on standardized features. Several penalties are
trained at once as one wide layer; the one that does best on a fifth of the training set is trained again on all of it,
and the test set is touched once. dimref's own layers, so it runs on either backend.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dimref import layers, ops
from dimref.backend import NUMPY, Array, Backend, Tree
from dimref.optim import adam_step, init_adam
from dimref.tape import value_and_gradients

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
EPOCHS, BATCH, LR = 30, 250, 1e-2
LEAST_STEPS = 300  # where few samples would end the epochs before the weights have got anywhere


@dataclass(frozen=True)
class ProbeResult:
    """Accuracy on the test set, the sample counts, and the penalty that was chosen."""

    accuracy: float
    train_count: int
    test_count: int
    penalty: float


def linear_probe(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], seed: int = 0, backend: Backend = NUMPY
) -> ProbeResult:
    """Fit on `train`, report the accuracy on `test`; both are (features (N, P) float32, labels (N,) int64).

    Raises:
        ValueError: fewer than 10 training samples, or no test samples.
    """
    (x, labels), (x_test, labels_test) = train, test
    if len(x) < 10 or len(x_test) < 1:
        raise ValueError(f"linear_probe: needs 10 training samples and 1 test sample, had {len(x)} and {len(x_test)}")
    # Numbered anew: labels need not follow each other, and each one costs a column.
    known, both = np.unique(np.concatenate([labels, labels_test]), return_inverse=True)
    classes, labels, labels_test = len(known), both[: len(labels)], both[len(labels) :]
    center, scale = x.mean(axis=0), 1 / np.maximum(x.std(axis=0), 1e-4)
    x, x_test = (x - center) * scale, (x_test - center) * scale
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    held, rest = order[: len(x) // 5], order[len(x) // 5 :]
    trial = _fit(x[rest], labels[rest], classes, PENALTIES, rng, backend)
    penalty = PENALTIES[int(np.argmax(_accuracies(trial, x[held], labels[held], classes, backend)))]
    final = _fit(x, labels, classes, (penalty,), rng, backend)
    accuracy = _accuracies(final, x_test, labels_test, classes, backend)[0]
    return ProbeResult(float(accuracy), len(x), len(x_test), penalty)


def _fit(
    x: np.ndarray,
    labels: np.ndarray,
    classes: int,
    penalties: tuple[float, ...],
    rng: np.random.Generator,
    backend: Backend,
) -> Tree:
    """One linear layer (P, len(penalties)·classes): a classifier for each penalty, side by side. Starts at zero."""
    wide = len(penalties) * classes
    parameters = backend.tree_to_device(
        {"w": np.zeros((x.shape[1], wide), np.float32), "b": np.zeros(wide, np.float32)}
    )
    weights = backend.to_device(np.repeat(np.asarray(penalties, np.float32), classes))
    adam = init_adam(parameters)
    batch = min(BATCH, len(x))
    epochs = max(EPOCHS, -(-LEAST_STEPS // (len(x) // batch)))
    total = epochs * (len(x) // batch)
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x) - batch + 1, batch):
            chosen = order[start : start + batch]
            one_hot = backend.to_device((labels[chosen, None] == np.arange(classes)).astype(np.float32))
            _, gradients, _ = value_and_gradients(
                _penalized_cross_entropy, parameters, backend.to_device(x[chosen]), one_hot, weights
            )
            # Half a cosine down to 0: the last steps average the noise of the batches away.
            rate = LR * 0.5 * (1 + math.cos(math.pi * step / total))
            parameters, adam = adam_step(parameters, gradients, adam, rate)
            step += 1
    return parameters


def _penalized_cross_entropy(parameters: Tree, x: Array, one_hot: Array, penalties: Array) -> tuple[Array, dict]:
    """Σ over penalties of: mean cross-entropy + ½·penalty·‖w‖². The classifiers share no weight, so each fits alone."""
    n, classes = one_hot.shape
    logits = layers.linear(parameters, x)
    heads = ops.reshape(logits, (n, logits.shape[1] // classes, classes))
    right = ops.multiply(heads, one_hot.reshape(n, 1, classes))
    cross_entropy = (ops.total(ops.logsumexp(heads, axis=2)) - ops.total(right)) * (1 / n)
    penalty = ops.total(ops.multiply(parameters["w"] * parameters["w"], penalties)) * 0.5
    return cross_entropy + penalty, {}


def _accuracies(parameters: Tree, x: np.ndarray, labels: np.ndarray, classes: int, backend: Backend) -> np.ndarray:
    """Accuracy of each classifier of the wide layer, in batches."""
    right = 0
    for start in range(0, len(x), 1000):
        logits = backend.to_host(layers.linear(parameters, backend.to_device(x[start : start + 1000])))
        guesses = logits.reshape(len(logits), -1, classes).argmax(axis=2)
        right = right + (guesses == labels[start : start + 1000, None]).sum(axis=0)
    return np.asarray(right) / len(x)
