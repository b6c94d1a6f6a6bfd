"""Critics that measure a dependence in nats: of the representation on the image (MINE), of its dimensions (NDM).

Both are Donsker–Varadhan bounds, E_P[T] − log E_Q[e^T], of a critic T that is trained on training images by MINE's
corrected gradient, stopped where DV is largest on a fifth of them that was left out, and evaluated once on test images.

**What the numbers are.** A lower bound on the divergence for *this* critic on *these* images. I(x; E(x)) of a
deterministic encoder is the entropy of x itself, infinite on continuous images, so the value says how much of it the
critic can see, not how large it is; and no distribution-free bound from n test images certifies more than about log n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dimref import bounds
from dimref.backend import Backend
from dimref.evaluation.labelled import too_few
from dimref.evaluation.probes.problem import part
from dimref.training.fit import Schedule, fit, shuffled
from dimref.trees import Array, Tree

BATCH, LR = 250, 1e-3
ROUNDS, PATIENCE = 20, 4  # rounds of training at most, and without an improvement
LEAST_STEPS = 32  # in a round; where the training images have more batches, a round is one pass over them
FEWEST = 40  # images in either set: below, there is nothing to leave out and no interval

Score = Callable[[Tree, Tree], tuple[Array, Array]]  # (parameters, sample) → scores of positive and of negative pairs
Draw = Callable[[np.random.Generator, np.ndarray], Tree]  # rows of the training set → a sample, on the host


@dataclass(frozen=True)
class Dependence:
    """A held-out value in nats, the steps of training that were best, and a 95 % interval, where known.

    The interval covers the bound that this critic has in expectation over test images. It says nothing of I, which lies
    above by as much as the critic misses, nor of what another critic would have reached.
    """

    nats: float
    steps: int
    interval: tuple[float, float] | None


def check_counts(name: str, train: int, test: int) -> None:
    """Raise ValueError where either set has too few images."""
    if reason := too_few(FEWEST, train, test):
        raise ValueError(f"{name}: {reason}")


def maximize(
    score: Score, draw: Draw, parameters: Tree, n: int, rng: np.random.Generator, backend: Backend
) -> tuple[Tree, int]:
    """Train until DV on a fifth of the n rows has not improved for a while; the best parameters, and their step."""
    held, rest = part(n, rng)
    size = min(BATCH, len(rest))
    validation = [draw(rng, rows) for rows in np.array_split(held, -(-len(held) // BATCH))]
    batches = (backend.tree_to_device(draw(rng, rows)) for rows in shuffled(rng, rest, size))
    steps = max(len(rest) // size, LEAST_STEPS)

    def loss(parameters: Tree, log_average: Array | None, sample: Tree) -> tuple[Array, Array]:
        value, new_log_average = bounds.mine(*score(parameters, sample), log_average)
        return -value, new_log_average

    def evaluate(parameters: Tree) -> float:
        return held_out_dv([score(parameters, backend.tree_to_device(sample)) for sample in validation], backend)

    schedule = Schedule(ROUNDS * steps, LR, every=steps, patience=PATIENCE)
    result = fit(loss, parameters, batches, schedule, evaluate=evaluate)
    return result.parameters, result.step


def held_out_dv(parts: list[tuple[Array, Array]], backend: Backend) -> float:
    """DV in float64 of the scores of positive and negative pairs, in parts on the device."""
    return float(
        bounds.dv(*(np.concatenate([backend.to_host(each[k]) for each in parts]).astype(np.float64) for k in (0, 1)))
    )
