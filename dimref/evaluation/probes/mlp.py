"""The nonlinear probe of the paper: one hidden layer of 200 units with dropout 0.1, by dimref's own layers.

A penalty is chosen on a fifth of the training set; the network is then trained again on all of it, and the test set is
touched once.
"""

from __future__ import annotations

import numpy as np

from dimref import layers, ops
from dimref.backend import Backend
from dimref.evaluation.probes import descent
from dimref.evaluation.probes.problem import ProbeResult, Problem, part, result
from dimref.trees import Array, Tree

UNITS, DROPOUT = 200, 0.1
PENALTIES = (1e-3, 1e-2)
SCHEDULE = descent.Schedule(epochs=10, lr=1e-3)


def probe(given: Problem, seed: int, backend: Backend) -> ProbeResult:
    """A network P → 200 → classes on the features: accuracy on the test set, and the penalty that was chosen.

    Source: arXiv 1808.06670, section 4.2 (a single hidden layer of 200 units with dropout on frozen features).
    """
    rng = np.random.default_rng(seed)
    held, rest = part(len(given.x), rng)
    trials = [_fit(given.x[rest], given.labels[rest], given.classes, penalty, rng, backend) for penalty in PENALTIES]
    accuracies = [_accuracy(trial, given.x[held], given.labels[held], backend) for trial in trials]
    penalty = PENALTIES[int(np.argmax(accuracies))]
    final = _fit(given.x, given.labels, given.classes, penalty, rng, backend)
    return result(given, _accuracy(final, given.x_test, given.labels_test, backend), penalty=penalty)


def _fit(
    x: np.ndarray, labels: np.ndarray, classes: int, penalty: float, rng: np.random.Generator, backend: Backend
) -> Tree:
    parameters = {
        "hidden": layers.init_linear(rng, x.shape[1], UNITS),
        "out": layers.init_linear(rng, UNITS, classes),
    }

    def loss(parameters: Tree, x: Array, one_hot: Array, kept: Array) -> tuple[Array, dict]:
        return _penalized_cross_entropy(parameters, x, one_hot, kept, penalty), {}

    def draw(n: int) -> np.ndarray:
        """0 for a unit that is dropped; what is kept makes up for it."""
        return (rng.random((n, UNITS), np.float32) >= DROPOUT).astype(np.float32) * (1 / (1 - DROPOUT))

    data = (x, labels, classes)
    return descent.fit(loss, backend.tree_to_device(parameters), data, SCHEDULE, rng, backend, draw)


def _penalized_cross_entropy(parameters: Tree, x: Array, one_hot: Array, kept: Array, penalty: float) -> Array:
    """Mean cross-entropy + ½·penalty·‖w‖² over both layers' weights."""
    logits = _forward(parameters, x, kept)
    cross_entropy = ops.mean(ops.logsumexp(logits, axis=1)) - ops.total(ops.multiply(logits, one_hot)) * (1 / len(x))
    squares = [ops.total(parameters[name]["w"] * parameters[name]["w"]) for name in ("hidden", "out")]
    return cross_entropy + (squares[0] + squares[1]) * (0.5 * penalty)


def _forward(parameters: Tree, x: Array, kept: Array | None = None) -> Array:
    hidden = layers.linear(parameters["hidden"], x, relu=True)
    return layers.linear(parameters["out"], hidden if kept is None else ops.multiply(hidden, kept))


def _accuracy(parameters: Tree, x: np.ndarray, labels: np.ndarray, backend: Backend) -> float:
    found = descent.logits(lambda rows: _forward(parameters, rows), x, backend)
    return float((found.argmax(axis=1) == labels).mean())
