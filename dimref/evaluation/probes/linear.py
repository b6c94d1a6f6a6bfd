"""The linear probe: how much of the labels a linear classifier reads from frozen features.

Multinomial logistic regression with an L2 penalty. Several penalties are trained at once as one wide layer; the one
that does best on a fifth of the training set is trained again on all of it, and the test set is touched once.
"""

from __future__ import annotations

import numpy as np

from dimref import layers, ops
from dimref.backend import NUMPY, Backend
from dimref.evaluation.probes.classifier import LEAST_STEPS, batches_of, logits, schedule_of
from dimref.evaluation.probes.problem import Pairs, ProbeResult, Problem, problem_of, result
from dimref.training.fit import fit
from dimref.trees import Array, Tree

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
EPOCHS, LR = 30, 1e-2


def linear_probe(train: Pairs, test: Pairs, seed: int = 0, backend: Backend = NUMPY) -> ProbeResult:
    """Fit on `train`, report the accuracy on `test`; both are (features (N, P) float32, labels (N,) int64).

    Raises:
        ValueError: fewer than 10 training samples, or no test samples.
    """
    return probe(problem_of(train, test), seed, backend)


def probe(problem: Problem, seed: int, backend: Backend) -> ProbeResult:
    """Softmax regression on the features: accuracy on the test set, and the penalty that was chosen."""
    rng, problem = np.random.default_rng(seed), problem.standardized
    penalty = PENALTIES[int(np.argmax(_accuracies(problem.trial(rng), PENALTIES, rng, backend)))]
    return result(problem, _accuracies(problem, (penalty,), rng, backend)[0], penalty=penalty)


def _accuracies(
    problem: Problem, penalties: tuple[float, ...], rng: np.random.Generator, backend: Backend
) -> np.ndarray:
    """The test accuracy with each penalty."""
    fitted = _fit(problem, penalties, rng, backend)
    heads = logits(lambda rows: layers.linear(fitted, rows), problem.x_test, backend)
    predicted = heads.reshape(len(heads), len(penalties), problem.classes).argmax(axis=2)
    return (predicted == problem.labels_test[:, None]).mean(axis=0)


def _fit(problem: Problem, penalties: tuple[float, ...], rng: np.random.Generator, backend: Backend) -> Tree:
    """One linear layer (P, len(penalties)·classes): a classifier for each penalty, side by side. Starts at zero."""
    wide = len(penalties) * problem.classes
    parameters = backend.tree_to_device(
        {"w": np.zeros((problem.x.shape[1], wide), np.float32), "b": np.zeros(wide, np.float32)}
    )
    weights = backend.to_device(np.repeat(np.asarray(penalties, np.float32), problem.classes))

    def loss(parameters: Tree, _: None, batch: list[Array]) -> tuple[Array, None]:
        x, one_hot = batch
        return _penalized_cross_entropy(parameters, x, one_hot, weights), None

    # Of fewer images fewer steps are enough: at 60, 300 and 900 images 100 steps were within 1.2 points of 300.
    schedule = schedule_of(len(problem.x), EPOCHS, LR, max(100, min(LEAST_STEPS, len(problem.x))))
    return fit(loss, parameters, batches_of(problem, rng, backend), schedule).parameters


def _penalized_cross_entropy(parameters: Tree, x: Array, one_hot: Array, penalties: Array) -> Array:
    """Σ over penalties of: mean cross-entropy + ½·penalty·‖w‖². The classifiers share no weight, so each fits alone."""
    n, classes = one_hot.shape
    heads = ops.reshape(layers.linear(parameters, x), (n, len(penalties) // classes, classes))
    right = ops.multiply(heads, one_hot.reshape(n, 1, classes))
    cross_entropy = (ops.total(ops.logsumexp(heads, axis=2)) - ops.total(right)) * (1 / n)
    penalty = ops.total(ops.multiply(parameters["w"] * parameters["w"], penalties)) * 0.5
    return cross_entropy + penalty
