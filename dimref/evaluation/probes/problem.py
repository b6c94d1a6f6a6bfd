"""The input and the result of every probe: features with their labels; accuracy on the test set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from dimref.errors import DimrefError

FEWEST = 10  # training samples that a probe is fitted to
MISSING = "expected scikit-learn, found it not installed; install it with pip install '.[eval]'"
Pairs = tuple[np.ndarray, np.ndarray]  # features (N, P) float32, labels (N,) int64


@dataclass(frozen=True)
class Problem:
    """Features (N, P) float32 as the encoder returns them; labels numbered 0 … classes − 1."""

    x: np.ndarray
    labels: np.ndarray
    x_test: np.ndarray
    labels_test: np.ndarray
    classes: int

    @cached_property
    def standardized(self) -> Self:
        """Its features by the training set's mean and deviation."""
        x, x_test = standardized(self.x, self.x_test)
        return replace(self, x=x, x_test=x_test)

    def trial(self, rng: np.random.Generator) -> Self:
        """The training samples alone, a fifth of them drawn as test set: to choose hyper-parameters by."""
        held, rest = part(len(self.x), rng)
        return replace(
            self, x=self.x[rest], labels=self.labels[rest], x_test=self.x[held], labels_test=self.labels[held]
        )


@dataclass(frozen=True)
class ProbeResult:
    """Accuracy on the test set, the sample counts, and the hyper-parameters that were chosen without it."""

    accuracy: float
    train_count: int
    test_count: int
    chosen: dict[str, Any]


def problem_of(train: Pairs, test: Pairs) -> Problem:
    """Number the labels from 0 on: they may have gaps.

    Args:
        train, test: (features (N, P) float32, labels (N,) int64).
    Raises:
        ValueError: fewer than 10 training samples, or no test samples.
    """
    (x, labels), (x_test, labels_test) = train, test
    if len(x) < FEWEST or len(x_test) < 1:
        raise ValueError(f"probe: needs {FEWEST} training samples and 1 test sample, had {len(x)} and {len(x_test)}")
    classes, both = np.unique(np.concatenate([labels, labels_test]), return_inverse=True)
    return Problem(x, both[: len(labels)], x_test, both[len(labels) :], len(classes))


def standardized(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both by the training set's mean and deviation, column by column: a fit sees numbers of order 1."""
    center, scale = train.mean(axis=0), 1 / np.maximum(train.std(axis=0), 1e-4)
    return (train - center) * scale, (test - center) * scale


def part(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices of a fifth of n training samples, to choose hyper-parameters by, and of the rest, to fit on meanwhile."""
    order = rng.permutation(n)
    return order[: n // 5], order[n // 5 :]


def result(problem: Problem, accuracy: float, **chosen: Any) -> ProbeResult:
    """The result of one probe of a problem."""
    return ProbeResult(float(accuracy), len(problem.x), len(problem.x_test), chosen)


def missing_scikit_learn(name: str) -> DimrefError:
    """The error of a probe of scikit-learn's where it is not installed."""
    return DimrefError(f"--probe {name}: {MISSING}, or leave the probe out")
