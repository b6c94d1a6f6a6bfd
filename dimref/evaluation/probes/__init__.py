"""Probes: how much of the labels a classifier reads from frozen features.

Each is a function of (problem, seed, backend). Its hyper-parameters are chosen on a fifth of the training set, it is
then fitted on all of it, and the test set is touched once.
"""

from collections.abc import Callable
from functools import partial

from dimref.backend import Backend
from dimref.evaluation.probes import knn, linear, mlp, svm
from dimref.evaluation.probes.linear import linear_probe
from dimref.evaluation.probes.problem import ProbeResult, Problem, problem_of

__all__ = ["PROBES", "ProbeResult", "Problem", "linear_probe", "problem_of"]

PROBES: dict[str, Callable[[Problem, int, Backend], ProbeResult]] = {
    "linear": linear.probe,
    "mlp": mlp.probe,
    "svm": svm.probe,
    "svm-hinge": partial(svm.probe, loss="hinge"),
    "knn": knn.probe,
}
