"""Training of critics on the training part of a split, stopped by its validation part.

The result is the state of a critic with the largest value on the validation part, the first state (a Gaussian's log
ratio, or nothing at all) included: so one that only overfits is never taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dimref import bounds, negatives
from dimref.backend import Backend
from dimref.estimation import log_ratio
from dimref.estimation.critics import Critic
from dimref.estimation.log_ratio import Critics, LogRatio
from dimref.estimation.samples import Split
from dimref.estimation.transforms import Pair, Preparation, prepare, rows_of
from dimref.training.fit import Fitted, Schedule, fit, shuffled
from dimref.trees import Array, Tree, leaves

History = tuple[tuple[int, float], ...]  # (step, nats on the validation part)

LR = 1e-3
EVERY = 25  # steps between two evaluations on the validation part
PATIENCE = 8  # evaluations without an improvement
VALIDATED = 1000  # validation samples at most, every pair of which is scored
AVERAGE = 0.95  # share of the old in the running average of the parameters
TOO_STEEP = 1e6  # a gradient from a pair of e^T beyond all others, DV's or NWJ's: its batch is passed over
FACTORS = (0.0, 0.5, 0.8, 0.9, 1.0)  # of the canonical correlations, which few samples make too large


def _of_pairs(bound: Callable[[Array, Array], Array]) -> Callable[[Array], Array]:
    return lambda scores: bound(*negatives.all_pairs(scores))


OBJECTIVES = {
    "dv": _of_pairs(bounds.dv),
    "nwj": _of_pairs(bounds.nwj),
    "jsd": _of_pairs(bounds.jsd),
    "infonce": bounds.infonce,
}
OFFSETS = {"nwj": 1.0}  # of the optimal critic from R; 0 for the others


@dataclass(frozen=True)
class Settings:
    """What a critic is trained to do, and for how long.

    Attributes:
        objective: one of OBJECTIVES.
        steps: of Adam, at most.
        batch: samples in a step; all of the training part where it has fewer.
        restarts: critics trained from different initial parameters; their scores are averaged.
    """

    objective: str
    critic: Critic
    transform: str
    steps: int
    batch: int
    restarts: int


def train(
    x: np.ndarray, y: np.ndarray, split: Split, settings: Settings, rng: np.random.Generator, backend: Backend
) -> tuple[LogRatio, tuple[History, ...]]:
    """Maximize a bound over critics on `split.train`, stopped by `split.validation`; nothing of `split.test` is seen.

    Returns:
        The critics, as one log ratio, and for each of them its value on the validation part at every evaluation.
    """
    preparation, learned = prepare(x[split.train], y[split.train], settings.transform, backend)
    rows = split.validation[:VALIDATED]
    stopped_by = preparation.transformed(x[rows], y[rows])
    initial = [_initial(rng, x, y, settings, backend) for _ in range(settings.restarts)]
    factor = _best_factor(preparation, stopped_by, settings, initial[0])
    training, validation = preparation.sides(learned, factor), preparation.sides(stopped_by, factor)
    fitted = [_maximize(settings, parameters, training, validation, rng, backend) for parameters in initial]
    critics = Critics(settings.critic, preparation, factor, tuple(each.parameters for each in fitted))
    return log_ratio.calibrate(critics, settings.objective, training, validation), tuple(
        each.history for each in fitted
    )


def _initial(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, settings: Settings, backend: Backend) -> Tree:
    parameters = settings.critic.init(rng, x.shape[1], y.shape[1])
    parameters["offset"] = np.float32(OFFSETS.get(settings.objective, 0.0)) + parameters["offset"]
    return backend.tree_to_device(parameters)


def _best_factor(preparation: Preparation, transformed: Pair, settings: Settings, parameters: Tree) -> float:
    """The factor of the canonical correlations that an untrained critic does best with on the validation part."""

    def value(factor: float) -> float:
        return _evaluate(settings, parameters, *preparation.sides(transformed, factor), preparation.backend)

    return max(FACTORS, key=value)


def _evaluate(settings: Settings, parameters: Tree, x: Tree, y: Tree, backend: Backend) -> float:
    value = float(backend.to_host(OBJECTIVES[settings.objective](settings.critic.score(parameters, x, y))))
    return value if np.isfinite(value) else -np.inf


def _maximize(
    settings: Settings,
    parameters: Tree,
    training: tuple[Tree, Tree],
    validation: tuple[Tree, Tree],
    rng: np.random.Generator,
    backend: Backend,
) -> Fitted:
    """The best state of the running average of the parameters, and its value at every evaluation."""
    n = training[0]["values"].shape[0]
    chosen = map(backend.to_device, shuffled(rng, n, min(settings.batch, n)))
    batches = (tuple(rows_of(side, rows) for side in training) for rows in chosen)

    def loss(parameters: Tree, _: None, batch: tuple[Tree, Tree]) -> tuple[Array, None]:
        return -OBJECTIVES[settings.objective](settings.critic.score(parameters, *batch)), None

    schedule = Schedule(settings.steps, LR, average=AVERAGE, every=EVERY, patience=PATIENCE)
    with np.errstate(over="ignore", invalid="ignore"):  # the gradient shows it
        return fit(
            loss,
            parameters,
            batches,
            schedule,
            evaluate=lambda parameters: _evaluate(settings, parameters, *validation, backend),
            accept=lambda gradients: _steepest(gradients, backend) < TOO_STEEP,
        )


def _steepest(gradients: Tree, backend: Backend) -> float:
    """The largest entry of the gradient; inf where the bound left the number range."""
    tops = [float(backend.to_host(np.abs(leaf).max())) for _, leaf in leaves(gradients) if leaf is not None]
    return max(top if math.isfinite(top) else math.inf for top in tops)
