"""MINE: the mutual information between images and their representations, as a critic's held-out DV."""

from __future__ import annotations

import math

import numpy as np

from dimref import discriminators, encoders, layers, negatives, ops
from dimref.backend import Backend
from dimref.encoders import Layout
from dimref.estimation.held_out import HeldOut, combine, interval
from dimref.evaluation.dv_critic import Dependence, check_counts, maximize
from dimref.evaluation.probes.problem import standardized
from dimref.trees import Array, Tree

GROUP = 50  # images whose every pair is scored at the end: 49 negative pairs beside each positive one


def mine(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    layout: Layout,
    seed: int,
    backend: Backend,
) -> Dependence:
    """I(x; y) as MINE estimates it: DV between pairs (x_i, y_i) and pairs (x_i, y_j) of different test images.

    The critic: the encoder's convolutions up to its local map, of a quarter of their width and without norms, then with
    y through 512, 512, 1. The test images are cut at random into groups of 50, in which every pair is scored; the
    interval is that of the jackknife over the groups.

    Args:
        train, test: images (N, H, W, C) uint8 and their representations (N, D).
    Raises:
        ValueError: fewer than 40 images in either set.
    Source: arXiv 1801.04062, eq. (10), (12) and algorithm 1; arXiv 1808.06670, section 4.1.
    """
    check_counts("mine", len(train[1]), len(test[1]))
    rng = np.random.default_rng(seed)
    y, y_test = standardized(train[1], test[1])  # no divergence changes

    def draw(rng: np.random.Generator, rows: np.ndarray) -> Tree:
        shift = int(rng.integers(1, len(rows)))
        x = encoders.scale(train[0][rows], layout)
        return {"x": x, "y": y[rows], "partner": negatives.roll(len(rows), shift)}

    def score(parameters: Tree, sample: Tree) -> tuple[Array, Array]:
        features = _image_features(parameters, sample["x"])
        pairs = discriminators.concat_pairs(parameters["pair"], features, sample["y"], sample["partner"])
        positive, negative = (ops.reshape(scores, (scores.shape[0],)) for scores in pairs)
        return positive, negative

    parameters = backend.tree_to_device(_init_statistics_network(rng, layout, y.shape[1]))
    parameters, steps = maximize(score, draw, parameters, len(y), rng, backend)

    def group_scores(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = backend.to_device(encoders.scale(test[0][rows], layout))
        features = _image_features(parameters, x)
        scores = discriminators.concat_scores(parameters["pair"], features, backend.to_device(y_test[rows]))
        return negatives.all_pairs(backend.to_host(scores)[:, :, 0].astype(np.float64))

    count = len(y_test) // min(GROUP, len(y_test) // 20)  # 20 groups at least, for the interval; of 2 images at least
    groups = [group_scores(rows) for rows in np.array_split(rng.permutation(len(y_test)), count)]
    result = dv_of_groups(groups)
    return Dependence(result.nats, steps, interval(*combine([result])))


def dv_of_groups(groups: list[tuple[np.ndarray, np.ndarray]]) -> HeldOut:
    """DV of the positive and negative pairs of all groups together, and without each group, independent of the others."""
    positive_sums = np.array([positive.sum() for positive, _ in groups])
    positive_counts = np.array([positive.size for positive, _ in groups])
    negative_counts = np.array([negative.size for _, negative in groups])
    top = max(negative.max() for _, negative in groups)
    masses = np.array([np.exp(negative - top).sum() for _, negative in groups])

    def value(left_out: np.ndarray | int) -> np.ndarray:
        mass = np.maximum(masses.sum() - masses * left_out, np.finfo(np.float64).tiny)
        mean = (positive_sums.sum() - positive_sums * left_out) / (positive_counts.sum() - positive_counts * left_out)
        return mean - np.log(mass / (negative_counts.sum() - negative_counts * left_out)) - top

    return HeldOut(float(value(0)[0]), value(1))


# ---- MINE's statistics network on images


def _init_statistics_network(rng: np.random.Generator, layout: Layout, representation: int) -> Tree:
    parameters: Tree = {}
    c_in = layout.channels
    for k, width in enumerate(layout.widths[:-1], start=1):
        c_out = max(width // 4, 1)
        parameters[f"conv{k}"] = layers.init_conv2d(rng, c_in, c_out, encoders.KERNEL)
        c_in = c_out
    return {**parameters, "pair": discriminators.init_concat(rng, layout.local[0] ** 2 * c_in, representation)}


def _image_features(parameters: Tree, x: Array) -> Array:
    """Images (B, H, W, C) in [−1, 1] → (B, 1, M²·channels): one location, as the concat critic takes it."""
    for k in range(1, len(parameters)):
        x = layers.conv2d(parameters[f"conv{k}"], x, encoders.KERNEL, encoders.STRIDE, encoders.PADDING, relu=True)
    return ops.reshape(x, (x.shape[0], 1, math.prod(x.shape[1:])))
