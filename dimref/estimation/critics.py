"""Critics T(x, y) that score every pair of N x's and M y's: (N, M), row = x, column = y.

Each is a Gaussian's log ratio (see `gaussian_critic.py`) plus a network plus one number. x and y come as
{"values": (N, D), "gaussian": (N, P + 2)}, and the Gaussian part of all pairs is one matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dimref import layers, ops
from dimref.trees import Array, Tree

Init = Callable[[np.random.Generator, int, int], Tree]
Score = Callable[[Tree, Tree, Tree], Array]

HIDDEN, EMBEDDING = 128, 32
CONCAT_HIDDEN = 64  # N² pairs pass the second layer


@dataclass(frozen=True)
class Critic:
    """A family of critics: initial parameters, and the scores of all pairs.

    Attributes:
        batch: samples in a training step; every pair of them is scored.
        held_out: held-out samples at most that are scored with each other.
    """

    init: Init
    score: Score
    batch: int
    held_out: int


def init_separable(rng: np.random.Generator, d_x: int, d_y: int) -> Tree:
    """Parameters of the two networks D → 128 → 128 → 32; the last layers are small, so that T begins as the Gaussian's."""
    return {"x": _init_embedding(rng, d_x), "y": _init_embedding(rng, d_y), "offset": np.zeros((), np.float32)}


def separable(parameters: Tree, x: Tree, y: Tree) -> Array:
    """⟨a(x), b(y)⟩ + the Gaussian's log ratio + offset, for all pairs: (N, M). Two networks, one matrix product.

    Source: arXiv 1807.03748, section 2.3; arXiv 1905.06922, section 3 (separable critics).
    """
    a = ops.concatenate([_embed(parameters["x"], x["values"]), x["gaussian"]], axis=1)
    b = ops.concatenate([_embed(parameters["y"], y["values"]), y["gaussian"]], axis=1)
    return ops.add(ops.matmul(a, ops.transpose(b, (1, 0))), parameters["offset"])


def init_concat(rng: np.random.Generator, d_x: int, d_y: int) -> Tree:
    """Parameters of the network D + D' → 64 → 64 → 1; the first layer's weight is stored as its two halves."""
    return {
        "x": layers.init_linear(rng, d_x, CONCAT_HIDDEN, fan_in=d_x + d_y),
        "y": layers.init_linear(rng, d_y, CONCAT_HIDDEN, bias=False, fan_in=d_x + d_y),
        "hidden": layers.init_linear(rng, CONCAT_HIDDEN, CONCAT_HIDDEN),
        "score": _small(layers.init_linear(rng, CONCAT_HIDDEN, 1, bias=False)),
        "offset": np.zeros((), np.float32),
    }


def concat(parameters: Tree, x: Tree, y: Tree) -> Array:
    """MLP([x, y]) + the Gaussian's log ratio + offset, for all pairs: (N, M).

    The first layer splits, W·[x, y] = W_x·x + W_y·y, so that only what lies above it is computed N·M times.

    Source: arXiv 1801.04062, section 3 (the statistics network).
    """
    n, m = x["values"].shape[0], y["values"].shape[0]
    left = ops.reshape(layers.linear(parameters["x"], x["values"]), (n, 1, CONCAT_HIDDEN))
    right = ops.reshape(layers.linear(parameters["y"], y["values"]), (1, m, CONCAT_HIDDEN))
    hidden = layers.linear(parameters["hidden"], ops.relu(ops.add(left, right)), relu=True)
    network = ops.reshape(layers.linear(parameters["score"], hidden), (n, m))
    gaussian = ops.matmul(x["gaussian"], ops.transpose(y["gaussian"], (1, 0)))
    return ops.add(ops.add(network, gaussian), parameters["offset"])


CRITICS = {
    "separable": Critic(init_separable, separable, batch=256, held_out=16_384),
    "concat": Critic(init_concat, concat, batch=64, held_out=2_048),
}


def _init_embedding(rng: np.random.Generator, d: int) -> Tree:
    return {
        "first": layers.init_linear(rng, d, HIDDEN),
        "second": layers.init_linear(rng, HIDDEN, HIDDEN),
        "out": _small(layers.init_linear(rng, HIDDEN, EMBEDDING)),
    }


def _embed(parameters: Tree, x: Array) -> Array:
    hidden = layers.linear(parameters["first"], x, relu=True)
    hidden = layers.linear(parameters["second"], hidden, relu=True)
    return layers.linear(parameters["out"], hidden)


def _small(linear: Tree) -> Tree:
    return {name: (values * math.sqrt(0.1)).astype(np.float32) for name, values in linear.items()}
