"""The training loop of every small network beside a run: critics, probes, decoders. Adam over batches, with one early stop.

A run of Deep InfoMax has a loop of its own, with checkpoints and metrics: `loop.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dimref import engine
from dimref.optim import adam_step, init_adam
from dimref.tape import value_and_gradients
from dimref.trees import Array, Tree, map_tree

Loss = Callable[[Tree, Any, Any], tuple[Array, Any]]  # (parameters, state, batch) → (scalar, new state)


@dataclass(frozen=True)
class Schedule:
    """How long Adam runs and at what rate.

    Attributes:
        steps: at most.
        cosine: whether the rate falls from `lr` to 0 along half a cosine, whose last, small steps average the noise of
            the batches away; it is constant otherwise.
        average: share of the old in a running average of the parameters, which is then evaluated and returned instead
            of them (less in the first steps, so that the initial parameters are soon forgotten); 0: no average.
        every: steps between two evaluations.
        patience: evaluations without an improvement after which training stops.
    """

    steps: int
    lr: float
    cosine: bool = False
    average: float = 0.0
    every: int = 1
    patience: int = 1

    def rate(self, step: int) -> float:
        """Adam's rate at a step, counted from 1."""
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - 1) / self.steps)) if self.cosine else self.lr


@dataclass(frozen=True)
class Fitted:
    """Parameters and state after `step` steps, and (step, value) of every evaluation."""

    step: int
    parameters: Tree
    state: Any
    history: tuple[tuple[int, float], ...] = ()


def fit(
    loss: Loss,
    parameters: Tree,
    batches: Iterable[Any],
    schedule: Schedule,
    state: Any = None,
    evaluate: Callable[[Tree], float] | None = None,
    accept: Callable[[Tree], bool] = lambda gradients: True,
) -> Fitted:
    """Minimize the loss over the batches, one a step.

    Args:
        parameters: the initial ones; their arrays are overwritten.
        state: what the loss carries from one step to the next, beside the parameters.
        evaluate: parameters → a value on held-out data. The result has the largest value of all evaluations, the first
            of which comes before any step; training stops where `patience` of them bring none. Without it, the result
            is what the last step leaves.
        accept: whether a batch's gradients are to be followed.
    """
    best, value, history = None, math.nan, []
    for current in states(loss, parameters, batches, schedule, state, accept):
        if evaluate is None:
            best = current
        elif current.step % schedule.every == 0 or current.step == schedule.steps:
            history.append((current.step, evaluate(current.parameters)))
            if best is None or history[-1][1] > value:
                value, best = history[-1][1], replace(current, parameters=map_tree(_copy, current.parameters))
            elif current.step - best.step >= schedule.patience * schedule.every:
                break
    assert best is not None
    return replace(best, history=tuple(history))


def states(
    loss: Loss,
    parameters: Tree,
    batches: Iterable[Any],
    schedule: Schedule,
    state: Any = None,
    accept: Callable[[Tree], bool] = lambda gradients: True,
) -> Iterator[Fitted]:
    """The parameters, or their running average, before the first step and after each, which overwrites their arrays."""
    engine.turn_on()
    adam, average = init_adam(parameters), map_tree(_copy, parameters) if schedule.average else None
    yield Fitted(0, parameters, state)
    for step, batch in zip(range(1, schedule.steps + 1), batches, strict=False):
        _, gradients, state = value_and_gradients(loss, parameters, state, batch)
        if accept(gradients):
            parameters, adam = adam_step(parameters, gradients, adam, schedule.rate(step))
        if average is not None:
            share = min(schedule.average, step / (step + 10))
            average = map_tree(lambda old, new, share=share: share * old + (1 - share) * new, average, parameters)
        yield Fitted(step, parameters if average is None else average, state)


def shuffled(rng: np.random.Generator, rows: int | np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Whole batches of rows (or of 0 … rows − 1) without end: every pass in a new order. `size` is at most their number."""
    while True:
        order = rng.permutation(rows)
        for start in range(0, len(order) - size + 1, size):
            yield order[start : start + size]


def whole_passes(n: int, size: int, passes: int, least: int) -> int:
    """The steps of so many passes over n rows in batches of `size`, or of as many as make up `least` steps."""
    batches = n // size
    return max(passes, -(-least // batches)) * batches


def _copy(leaf: Array) -> Array:
    return leaf.copy()
