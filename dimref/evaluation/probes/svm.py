"""A linear support vector machine on frozen features, by scikit-learn: one class against the rest.

A convex problem: the result depends on the seed through the choice of C alone.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from dimref.backend import Backend
from dimref.evaluation.probes.problem import ProbeResult, Problem, missing_scikit_learn, result

# C times the number of features. Standardized features of P dimensions have squared length P, so that the same numbers
# mean the same regularization whatever P is.
STRENGTHS = (0.1, 1.0)
TOLERANCE = 0.1  # of liblinear's dual coordinate descent, its own default: a smaller one moves no accuracy by 0.1 %
PASSES = 300  # over the data, at most


def probe(problem: Problem, seed: int, backend: Backend, loss: str = "squared_hinge") -> ProbeResult:
    """A linear SVM: accuracy on the test set, and the C that was chosen. The solver runs on the host.

    Args:
        loss: "hinge" is that of a support vector machine as first defined, max(0, 1 − m) of the margin m; its square,
            scikit-learn's default, is the older probe of this project.
    Raises:
        DimrefError: scikit-learn is not installed. ValueError: the training labels are all the same.
    """
    problem = problem.standardized
    trial = problem.trial(np.random.default_rng(seed))
    scores = [0.0 for _ in STRENGTHS]
    if len(np.unique(trial.labels)) > 1:  # a rare class may be left out as a whole: then nothing can be chosen
        fits = [_fit(trial.x, trial.labels, strength, loss) for strength in STRENGTHS]
        scores = [fit.score(trial.x_test, trial.labels_test) for fit in fits]
    strength = STRENGTHS[int(np.argmax(scores))]
    final = _fit(problem.x, problem.labels, strength, loss)
    accuracy = final.score(problem.x_test, problem.labels_test)
    return result(problem, accuracy, C=strength / problem.x.shape[1], passes=int(final.n_iter_))


def _fit(x: np.ndarray, labels: np.ndarray, strength: float, loss: str) -> Any:
    try:
        from sklearn.svm import LinearSVC
    except ImportError:
        raise missing_scikit_learn("svm" if loss == "squared_hinge" else "svm-hinge") from None
    machine = LinearSVC(C=strength / x.shape[1], loss=loss, dual=True, tol=TOLERANCE, max_iter=PASSES, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Liblinear failed to converge")  # the passes are in the result
        return machine.fit(x, labels)
