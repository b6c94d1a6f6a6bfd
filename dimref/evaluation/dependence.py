"""Dependence in nats: of the representation on the image (MINE), and of its dimensions on each other (NDM).

Both are Donsker–Varadhan bounds, E_P[T] − log E_Q[e^T], of a critic T that is trained on training images by MINE's
corrected gradient, stopped where DV is largest on a fifth of them that was left out, and judged once on test images.

**What the numbers are.** A lower bound on the divergence for *this* critic on *these* images. I(x; E(x)) of a
deterministic encoder is the entropy of x itself, infinite on continuous images, so the value says how much of it the
critic can see, not how large it is; and no distribution-free bound from n test images certifies more than about log n.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dimref import bounds, discriminators, encoders, layers, negatives, ops
from dimref.backend import Backend
from dimref.encoders import Layout
from dimref.evaluation.probes.problem import standardized
from dimref.optim import adam_step, init_adam
from dimref.tape import value_and_gradients
from dimref.trees import Array, Tree, map_tree

BATCH, LR = 250, 1e-3
ROUNDS, PATIENCE = 20, 4  # rounds of training at most, and without an improvement
LEAST_STEPS = 32  # in a round; where the training images have more batches, a round is one pass over them
SQUARE = 50  # images whose every pair is scored at the end: 49 pairs of the product beside each of the joint
SHUFFLES = 4  # of every dimension across the test images, at the end
FEWEST = 40  # images in either set: below, there is nothing to leave out and no interval
NORMAL_95 = 1.96  # 95 % of a normal distribution lies within so many standard deviations

Score = Callable[[Tree, Tree], tuple[Array, Array]]  # (parameters, sample) → scores of joint and of product
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


def mine(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    layout: Layout,
    seed: int,
    backend: Backend,
) -> Dependence:
    """I(x; y) as MINE estimates it: DV between pairs (x_i, y_i) and pairs (x_i, y_j) of different test images.

    The critic: the encoder's convolutions up to its local map, of a quarter of their width and without norms, then with
    y through 512, 512, 1. The test images are cut at random into squares of 50, in which every pair is scored; the
    interval is that of the jackknife over the squares.

    Args:
        train, test: images (N, H, W, C) uint8 and their representations (N, D).
    Raises:
        ValueError: fewer than 40 images in either set.
    Source: arXiv 1801.04062, eq. (10), (12) and algorithm 1; arXiv 1808.06670, section 4.1.
    """
    _check_counts("mine", len(train[1]), len(test[1]))
    rng = np.random.default_rng(seed)
    y, y_test = standardized(train[1], test[1])  # no divergence changes

    def draw(rng: np.random.Generator, rows: np.ndarray) -> Tree:
        shift = int(rng.integers(1, len(rows)))
        x = encoders.scale(train[0][rows], layout)
        return {"x": x, "y": y[rows], "partner": negatives.roll(len(rows), shift)}

    def score(parameters: Tree, sample: Tree) -> tuple[Array, Array]:
        features = _image_features(parameters, sample["x"])
        joint, product = discriminators.concat_pairs(parameters["pair"], features, sample["y"], sample["partner"])
        return ops.reshape(joint, (joint.shape[0],)), ops.reshape(product, (product.shape[0],))

    parameters = backend.tree_to_device(_init_statistics_network(rng, layout, y.shape[1]))
    parameters, steps = _maximize(score, draw, parameters, len(y), rng, backend)

    def square(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = backend.to_device(encoders.scale(test[0][rows], layout))
        features = _image_features(parameters, x)
        scores = discriminators.concat_square(parameters["pair"], features, backend.to_device(y_test[rows]))
        joint, product = negatives.all_pairs(backend.to_host(scores)[:, :, 0].astype(np.float64))
        return joint, product

    count = len(y_test) // min(SQUARE, len(y_test) // 20)  # 20 squares at least, for the interval; of 2 images at least
    squares = [square(rows) for rows in np.array_split(rng.permutation(len(y_test)), count)]
    return Dependence(*_with_interval(squares, steps))


def ndm(train: np.ndarray, test: np.ndarray, seed: int, backend: Backend) -> Dependence:
    """The neural dependency measure: DV between y and y with each dimension shuffled across the images by itself.

    A lower bound on the total correlation KL(p(y) ‖ Π_k p(y_k)): 0 where the dimensions are independent. The critic is
    D → 1000 → 200 → 1. No interval: the shuffled samples share their images, dimension by dimension.

    Args:
        train, test: representations (N, D).
    Raises:
        ValueError: fewer than 40 images in either set.
    Source: arXiv 1808.06670, section 4.1 (after Brakel & Bengio 2017, arXiv 1710.05050).
    """
    _check_counts("ndm", len(train), len(test))
    rng = np.random.default_rng(seed)
    y, y_test = standardized(train, test)
    dimensions = np.arange(y.shape[1])

    def draw(rng: np.random.Generator, rows: np.ndarray) -> Tree:
        # From all training images: within a batch, two dimensions would come from one image too often.
        return {"joint": y[rows], "product": y[rng.integers(len(y), size=(len(rows), len(dimensions))), dimensions]}

    def score(parameters: Tree, sample: Tree) -> tuple[Array, Array]:
        n = sample["joint"].shape[0]
        logits = discriminators.prior_logits(parameters, ops.concatenate([sample["joint"], sample["product"]]))
        return ops.cut(logits, (slice(0, n),)), ops.cut(logits, (slice(n, 2 * n),))

    parameters = backend.tree_to_device(discriminators.init_prior(rng, y.shape[1]))
    parameters, steps = _maximize(score, draw, parameters, len(y), rng, backend)
    joint, product = [], []
    for _ in range(SHUFFLES):
        shuffled = rng.permuted(y_test, axis=0)
        for start in range(0, len(y_test), BATCH):
            window = slice(start, start + BATCH)
            sample = backend.tree_to_device({"joint": y_test[window], "product": shuffled[window]})
            scores = [backend.to_host(part) for part in score(parameters, sample)]
            joint.append(scores[0])
            product.append(scores[1])
    return Dependence(_dv(np.concatenate(joint), np.concatenate(product)), steps, None)


def _check_counts(name: str, train: int, test: int) -> None:
    if min(train, test) < FEWEST:
        raise ValueError(f"{name}: needs {FEWEST} training and {FEWEST} test images, had {train} and {test}")


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
    """Images (B, H, W, C) in [−1, 1] → (B, 1, M²·channels): one location, as the concat scorer has it."""
    for k in range(1, len(parameters)):
        x = layers.conv2d(parameters[f"conv{k}"], x, encoders.KERNEL, encoders.STRIDE, encoders.PADDING, relu=True)
    return ops.reshape(x, (x.shape[0], 1, math.prod(x.shape[1:])))


# ---- training and judging a critic


def _maximize(
    score: Score, draw: Draw, parameters: Tree, n: int, rng: np.random.Generator, backend: Backend
) -> tuple[Tree, int]:
    """Train until DV on a fifth of the n rows has not improved for a while; the best parameters, and their step."""
    order = rng.permutation(n)
    held, rest = order[: n // 5], order[n // 5 :]
    size = min(BATCH, len(rest))
    check = [draw(rng, part) for part in np.array_split(held, -(-len(held) // BATCH))]
    best, best_round, kept = _judge(score, parameters, check, backend), 0, map_tree(_copy, parameters)
    adam, log_average = init_adam(parameters), None
    batches = _batches(rest, size, rng)
    steps = max(len(rest) // size, LEAST_STEPS)
    for turn in range(1, ROUNDS + 1):
        for rows in itertools.islice(batches, steps):
            sample = backend.tree_to_device(draw(rng, rows))
            _, gradients, log_average = value_and_gradients(_loss, parameters, score, sample, log_average)
            parameters, adam = adam_step(parameters, gradients, adam, LR)
        value = _judge(score, parameters, check, backend)
        if value > best:
            best, best_round, kept = value, turn, map_tree(_copy, parameters)
        elif turn - best_round >= PATIENCE:
            break
    return kept, best_round * steps


def _batches(rows: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Whole batches without end: every pass over the rows in a new order."""
    while True:
        order = rng.permutation(rows)
        for start in range(0, len(order) - size + 1, size):
            yield order[start : start + size]


def _loss(parameters: Tree, score: Score, sample: Tree, log_average: Array | None) -> tuple[Array, Array]:
    value, moved = bounds.mine(*score(parameters, sample), log_average)
    return -value, moved


def _judge(score: Score, parameters: Tree, samples: list[Tree], backend: Backend) -> float:
    parts = [score(parameters, backend.tree_to_device(sample)) for sample in samples]
    joint, product = (np.concatenate([backend.to_host(part[k]) for part in parts]) for k in (0, 1))
    return _dv(joint, product)


def _dv(joint: np.ndarray, product: np.ndarray) -> float:
    return float(bounds.dv(joint.astype(np.float64), product.astype(np.float64)))


def _copy(leaf: Array) -> Array:
    return leaf.copy()


def _with_interval(squares: list[tuple[np.ndarray, np.ndarray]], steps: int) -> tuple[float, int, tuple[float, float]]:
    """DV of all squares together, and its 95 % interval by the jackknife: each square, independent of the others, left out.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, eq. (11.5).
    """
    joint_sums = np.array([joint.sum() for joint, _ in squares])
    joint_counts = np.array([joint.size for joint, _ in squares])
    product_counts = np.array([product.size for _, product in squares])
    top = max(product.max() for _, product in squares)
    masses = np.array([np.exp(product - top).sum() for _, product in squares])

    def value(left_out: np.ndarray | int) -> np.ndarray:
        kept_mass = np.maximum(masses.sum() - masses * left_out, np.finfo(np.float64).tiny)
        mean = (joint_sums.sum() - joint_sums * left_out) / (joint_counts.sum() - joint_counts * left_out)
        return mean - np.log(kept_mass / (product_counts.sum() - product_counts * left_out)) - top

    estimate, without = float(value(0)[0]), value(1)
    error = math.sqrt((len(squares) - 1) / len(squares) * float(((without - without.mean()) ** 2).sum()))
    return estimate, steps, (estimate - NORMAL_95 * error, estimate + NORMAL_95 * error)
