"""The nonlinear probe of the paper: one hidden layer of 200 units with dropout 0.1, by dimref's own layers.

A penalty is chosen on a fifth of the training set; the network is then trained again on all of it, and the test set is
touched once.
"""

from __future__ import annotations

import numpy as np

from dimref import layers, ops
from dimref.backend import Backend
from dimref.evaluation.probes.classifier import fit_classifier, logits
from dimref.evaluation.probes.problem import ProbeResult, Problem, part, result
from dimref.trees import Array, Tree

UNITS, DROPOUT = 200, 0.1
PENALTIES = (1e-3, 1e-2)
EPOCHS, LR = 10, 1e-3


def probe(problem: Problem, seed: int, backend: Backend) -> ProbeResult:
    """A network P → 200 → classes on the features: accuracy on the test set, and the penalty that was chosen.

    Source: arXiv 1808.06670, section 4.2 (a single hidden layer of 200 units with dropout on frozen features).
    """
    rng = np.random.default_rng(seed)
    held, rest = part(len(problem.x), rng)
    trials = [
        _fit(problem.x[rest], problem.labels[rest], problem.classes, penalty, rng, backend) for penalty in PENALTIES
    ]
    accuracies = [_accuracy(trial, problem.x[held], problem.labels[held], backend) for trial in trials]
    penalty = PENALTIES[int(np.argmax(accuracies))]
    final = _fit(problem.x, problem.labels, problem.classes, penalty, rng, backend)
    return result(problem, _accuracy(final, problem.x_test, problem.labels_test, backend), penalty=penalty)


def _fit(
    x: np.ndarray, labels: np.ndarray, classes: int, penalty: float, rng: np.random.Generator, backend: Backend
) -> Tree:
    parameters = {
        "hidden": layers.init_linear(rng, x.shape[1], UNITS),
        "out": layers.init_linear(rng, UNITS, classes),
    }

    def loss(parameters: Tree, x: Array, one_hot: Array, dropout: Array) -> Array:
        return _penalized_cross_entropy(parameters, x, one_hot, dropout, penalty)

    def draw(n: int) -> np.ndarray:
        """0 for a unit that is dropped; the others make up for it."""
        return (rng.random((n, UNITS), np.float32) >= DROPOUT).astype(np.float32) * (1 / (1 - DROPOUT))

    data = (x, labels, classes)
    return fit_classifier(loss, backend.tree_to_device(parameters), data, EPOCHS, LR, rng, backend, draw)


def _penalized_cross_entropy(parameters: Tree, x: Array, one_hot: Array, dropout: Array, penalty: float) -> Array:
    """Mean cross-entropy + ½·penalty·‖w‖² over both layers' weights."""
    scores = _forward(parameters, x, dropout)
    cross_entropy = ops.mean(ops.logsumexp(scores, axis=1)) - ops.total(ops.multiply(scores, one_hot)) * (1 / len(x))
    squares = [ops.total(parameters[name]["w"] * parameters[name]["w"]) for name in ("hidden", "out")]
    return cross_entropy + (squares[0] + squares[1]) * (0.5 * penalty)


def _forward(parameters: Tree, x: Array, dropout: Array | None = None) -> Array:
    hidden = layers.linear(parameters["hidden"], x, relu=True)
    return layers.linear(parameters["out"], hidden if dropout is None else ops.multiply(hidden, dropout))


def _accuracy(parameters: Tree, x: np.ndarray, labels: np.ndarray, backend: Backend) -> float:
    scores = logits(lambda rows: _forward(parameters, rows), x, backend)
    return float((scores.argmax(axis=1) == labels).mean())
