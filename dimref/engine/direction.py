"""A direction of AMDIM in blocks of images: its N²·L scores are computed once forward and once backward, never stored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from autograd.extend import defvjp_argnums

from dimref import ops, ranks
from dimref.amdim import objective
from dimref.amdim.objective import Direction, soft_clip
from dimref.engine import threads
from dimref.engine.forms import of_one_type, on_one_tape, once
from dimref.engine.tuning import DIRECTION_SCORES
from dimref.tape import implement, primitive, stop_gradient
from dimref.trees import Array


def register() -> None:
    """Implement `amdim.contrast`."""
    implement(objective.contrast, "blocks", contrast, _applies)


def _applies(y: Array, f: Array, clip: float, penalty: float) -> bool:
    return of_one_type(y, f) and on_one_tape(y, f)


class Scores(NamedTuple):
    """The parts of a direction's scores that the backward pass needs."""

    y: Array  # (N, E): of every rank
    positives: Array  # (n, L): t of y_j's own locations, clipped; of this rank's n images
    others: Array  # (N,): log Σ e^t over every location of all other images, for each y_j
    mean_square: Array  # of all scores s, before they are clipped
    saturated: Array  # share of the scores with |s| > c


def contrast(anchors: Array, candidates: Array, clip: float, penalty: float) -> tuple[Array, Direction]:
    """The loss of a direction, differentiable once, and its report."""
    objective.check(anchors, candidates)
    scores = _score(ranks.now().all_gather(stop_gradient(anchors)), stop_gradient(candidates), clip)
    n, locations = len(scores.y), scores.positives.shape[1]
    entropy = _cross_entropy(scores)
    averaged = (_own(scores.others) - math.log(locations)).reshape(-1, 1)
    certified = math.log(n) + ranks.mean(scores.positives - np.logaddexp(scores.positives, averaged))
    report = Direction(math.log(1 + (n - 1) * locations) - entropy, certified, scores.mean_square, scores.saturated)
    return _contrast(anchors, candidates, scores, clip, penalty), report


def _cross_entropy(scores: Scores) -> Array:
    """−mean log softmax of the positives."""
    return ranks.mean(np.logaddexp(scores.positives, _own(scores.others).reshape(-1, 1)) - scores.positives)


def _own(of_all: Array) -> Array:
    return ranks.now().own(of_all)


def _score(y: Array, f: Array, clip: float) -> Scores:
    n, locations = len(y), f.shape[1]

    def of_block(window: slice) -> tuple[Array, ...]:
        s, own = _scores(y, f, window)
        t = soft_clip(s, clip)
        rest = np.where(own, np.full_like(t, -np.inf), t).reshape(-1, n)
        squares = (s * s).sum()
        beyond = (np.abs(s) > (clip or math.inf)).sum()
        return np.where(own, t, np.zeros_like(t)).sum(axis=2), ops.logsumexp(rest, axis=0), squares, beyond

    positives, others, squares, beyond = zip(*threads.run(of_block, _blocks(y, f)), strict=True)
    now, count = ranks.now(), n * n * locations
    of_ranks = now.all_gather(reduce(np.logaddexp, others).reshape(1, n), (1,) * now.size)
    return Scores(
        y,
        np.concatenate(positives),
        reduce(np.logaddexp, of_ranks),
        now.all_sum(sum(squares)) * (1 / count),
        now.all_sum(sum(beyond)) * (1 / count),
    )


def _blocks(y: Array, f: Array) -> list[slice]:
    """Of the images whose features are scored."""
    n, locations, _ = f.shape
    return threads.tapered(n, max(1, DIRECTION_SCORES // (locations * len(y))))


def _scores(y: Array, f: Array, window: slice) -> tuple[Array, Array]:
    """The scores s of a block of images, (b, L, N), and which of these are an anchor's own, (b, 1, N)."""
    n, (_, locations, units) = len(y), f.shape
    rows = f[window].reshape(-1, units)
    s = (ops.matmul(rows, y.T) * (1 / math.sqrt(units))).reshape(-1, locations, n)
    everyone = np.arange(n, like=y)
    return s, (_own(everyone)[window].reshape(-1, 1) == everyone).reshape(-1, 1, n)


@primitive
def _contrast(anchors: Array, candidates: Array, scores: Scores, clip: float, penalty: float) -> Array:
    return _cross_entropy(scores) + penalty * scores.mean_square


def _contrast_vjp(argnums: Sequence[int], ans: Array, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """With p = 1 − softmax of a positive: ∂/∂t of it −p/NL, of a negative of y_j e^t/Σ_others e^t · Σ_l p_jl/NL;
    ∂t/∂s = 1 − (t/c)²; of the penalty 2λs/N²L."""
    _, f, scores, clip, penalty = args
    y, now = scores.y, ranks.now()

    def vjp(g: Array) -> tuple[Array, ...]:
        once("contrast", g)
        n, (_, locations, units) = len(y), f.shape
        missing = ops.sigmoid(_own(scores.others).reshape(-1, 1) - scores.positives) * (1 / (n * locations))  # p/NL
        pull, g = now.all_gather(missing.sum(axis=1)), now.all_sum(g)
        of_y, of_f = np.zeros_like(y), np.empty_like(f, order="C")

        def of_block(window: slice) -> Array:
            s, own = _scores(y, f, window)
            t = soft_clip(s, clip)
            share = np.exp(np.minimum(t - scores.others, 0))  # at most 1, except for the positives, which are replaced
            slope = np.where(own, -missing[window].reshape(-1, locations, 1), share * pull)
            if clip:
                slope = slope * (1 - (t * (1 / clip)) ** 2)
            slope = (slope + s * (2 * penalty / (n * n * locations))) * g
            rows = slope.reshape(-1, n) * (1 / math.sqrt(units))
            of_f[window] = ops.matmul(rows, y).reshape(-1, locations, units)
            return ops.matmul(rows.T, f[window].reshape(-1, units))

        for part in threads.in_order(of_block, _blocks(y, f)):
            of_y += part
        gradients = _own(now.all_sum(of_y)), of_f
        return tuple(gradients[k] for k in argnums)

    return vjp


defvjp_argnums(_contrast, _contrast_vjp)
