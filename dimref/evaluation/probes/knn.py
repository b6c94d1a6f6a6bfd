"""The nearest neighbours in the training set, by scikit-learn: what the geometry of frozen features knows of the labels."""

from __future__ import annotations

import numpy as np

from dimref.backend import Backend
from dimref.evaluation.probes.problem import ProbeResult, Problem, missing_scikit_learn, result

NEIGHBOURS = (1, 5, 10, 20, 50)


def probe(problem: Problem, seed: int, backend: Backend) -> ProbeResult:
    """The majority of the k nearest: accuracy on the test set, and the k that was chosen. Euclidean, on the host.

    Raises:
        DimrefError: scikit-learn is not installed.
    """
    problem = problem.standardized
    trial = problem.trial(np.random.default_rng(seed))
    sizes = [k for k in NEIGHBOURS if k <= len(trial.x)]
    near = trial.labels[_nearest(trial.x, trial.x_test, sizes[-1])]
    accuracies = [(_majority(near[:, :k], problem.classes) == trial.labels_test).mean() for k in sizes]
    k = sizes[int(np.argmax(accuracies))]
    near = problem.labels[_nearest(problem.x, problem.x_test, k)]
    return result(problem, (_majority(near, problem.classes) == problem.labels_test).mean(), k=k)


def _nearest(x: np.ndarray, points: np.ndarray, k: int) -> np.ndarray:
    """Indices (n, k) of the k rows of x nearest to each point, the nearest first."""
    try:
        from sklearn.neighbors import NearestNeighbors
    except ImportError:
        raise missing_scikit_learn("knn") from None
    return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x).kneighbors(points, return_distance=False)


def _majority(near: np.ndarray, classes: int) -> np.ndarray:
    """The commonest label of each row; of equally common ones, the one whose nearest neighbour is nearer.

    Votes are counted for every neighbour's label, and `argmax` takes the first of the largest.
    """
    votes = np.zeros((len(near), classes), np.int64)
    np.add.at(votes, (np.arange(len(near))[:, None], near), 1)
    first = np.take_along_axis(votes, near, axis=1).argmax(axis=1)
    return near[np.arange(len(near)), first]
