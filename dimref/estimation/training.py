"""Training of critics on the training part of a split, stopped by its validation part.

What is kept of a critic is its state that did best on the validation part, the first state (a Gaussian's log ratio, or
nothing at all) included: so one that only overfits is never taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dimref import bounds, negatives
from dimref.backend import Backend
from dimref.estimation import log_ratio, preparation
from dimref.estimation.critics import Critic
from dimref.estimation.log_ratio import Critics, LogRatio
from dimref.estimation.preparation import Preparation, rows_of
from dimref.estimation.samples import Split
from dimref.optim import adam_step, init_adam
from dimref.tape import value_and_gradients
from dimref.trees import Array, Tree, leaves, map_tree

History = tuple[tuple[int, float], ...]  # (step, nats on the validation part)

LR = 1e-3
EVERY = 25  # steps between two looks at the validation part
PATIENCE = 8  # looks without an improvement
JUDGES = 1000  # validation samples at most, every pair of which is scored
MEMORY = 0.95  # share of the old in the running average of the parameters, which is what is judged and kept
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


def fit(
    x: np.ndarray, y: np.ndarray, split: Split, settings: Settings, rng: np.random.Generator, backend: Backend
) -> tuple[LogRatio, tuple[History, ...]]:
    """Maximize a bound over critics on `split.train`, stopped by `split.validation`; nothing of `split.test` is seen.

    Returns:
        The critics, read as one log ratio, and for each of them its value on the validation part at every look.
    """
    prepared = preparation.fit(x[split.train], y[split.train], settings.transform, backend)
    judges = split.validation[:JUDGES]
    first = [_first(rng, x, y, settings, backend) for _ in range(settings.restarts)]
    factor = _best_factor(prepared, x[judges], y[judges], settings, first[0])
    train = prepared.sides(x[split.train], y[split.train], factor)
    validation = prepared.sides(x[judges], y[judges], factor)
    found = [_maximize(settings, parameters, train, validation, rng, backend) for parameters in first]
    critics = Critics(settings.critic, prepared, factor, tuple(kept for kept, _ in found))
    return log_ratio.calibrate(critics, settings.objective, train, validation), tuple(history for _, history in found)


def _first(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, settings: Settings, backend: Backend) -> Tree:
    parameters = settings.critic.init(rng, x.shape[1], y.shape[1])
    parameters["offset"] = np.float32(OFFSETS.get(settings.objective, 0.0)) + parameters["offset"]
    return backend.tree_to_device(parameters)


def _best_factor(prepared: Preparation, x: np.ndarray, y: np.ndarray, settings: Settings, parameters: Tree) -> float:
    """The factor of the canonical correlations that an untrained critic does best with on the validation part."""

    def value(factor: float) -> float:
        return _judge(settings, parameters, *prepared.sides(x, y, factor), prepared.backend)

    return max(FACTORS, key=value)


def _judge(settings: Settings, parameters: Tree, x: Tree, y: Tree, backend: Backend) -> float:
    value = float(backend.to_host(OBJECTIVES[settings.objective](settings.critic.score(parameters, x, y))))
    return value if np.isfinite(value) else -np.inf


def _maximize(
    settings: Settings,
    parameters: Tree,
    train: tuple[Tree, Tree],
    validation: tuple[Tree, Tree],
    rng: np.random.Generator,
    backend: Backend,
) -> tuple[Tree, History]:
    """The best state of the running average of the parameters, and its value at every look."""
    n = train[0]["values"].shape[0]
    batch = min(settings.batch, n)
    average, adam = map_tree(_copy, parameters), init_adam(parameters)
    kept, best, waited = map_tree(_copy, parameters), _judge(settings, parameters, *validation, backend), 0
    history = [(0, best)]
    order = np.empty(0, np.int64)
    for step in range(1, settings.steps + 1):
        if len(order) < batch:
            order = rng.permutation(n)
        rows, order = backend.to_device(order[:batch]), order[batch:]
        with np.errstate(over="ignore", invalid="ignore"):  # told by the gradient, below
            _, gradients, _ = value_and_gradients(_loss, parameters, settings, *(rows_of(side, rows) for side in train))
        if _steepest(gradients, backend) < TOO_STEEP:
            parameters, adam = adam_step(parameters, gradients, adam, LR)
        memory = min(MEMORY, step / (step + 10))
        average = map_tree(lambda old, new, share=memory: share * old + (1 - share) * new, average, parameters)
        if step % EVERY == 0 or step == settings.steps:
            value = _judge(settings, average, *validation, backend)
            history.append((step, value))
            waited += 1
            if value > best:
                best, kept, waited = value, map_tree(_copy, average), 0
            if waited == PATIENCE:
                break
    return kept, tuple(history)


def _loss(parameters: Tree, settings: Settings, x: Tree, y: Tree) -> tuple[Array, None]:
    return -OBJECTIVES[settings.objective](settings.critic.score(parameters, x, y)), None


def _steepest(gradients: Tree, backend: Backend) -> float:
    """The largest entry of the gradient; inf where the bound left the number range."""
    tops = [float(backend.to_host(np.abs(leaf).max())) for _, leaf in leaves(gradients) if leaf is not None]
    return max(top if math.isfinite(top) else math.inf for top in tops)


def _copy(leaf: Array) -> Array:
    return leaf.copy()
