"""What several families draw from: scores, score matrices, positive and negative pairs, distributions."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dimref import bounds, negatives
from dimref.laws.law import Case, Sizes
from dimref.theory import information
from dimref.trees import Tree, map_tree

FAR = 40.0  # nats: e^−FAR is nothing beside 1 in float64


def double(sizes: Sizes) -> Sizes:
    """The same sizes in float64, of order 1: for laws that are exact up to rounding."""
    return replace(sizes, dtype="float64", scale=1.0)


def in_float64(tree: Tree) -> Tree:
    """Initial values and draws, which are float32, in float64; indices as they are."""
    return map_tree(lambda leaf: leaf.astype(np.float64) if leaf.dtype.kind == "f" else leaf, tree)


def normal(rng: np.random.Generator, sizes: Sizes, *shape: int) -> np.ndarray:
    """Scores: standard normal times the scale."""
    return (sizes.scale * rng.standard_normal(shape)).astype(sizes.dtype)


def mild(rng: np.random.Generator, sizes: Sizes, *shape: int) -> np.ndarray:
    """Scores of a few nats, for laws of e^T itself."""
    return (min(sizes.scale, 3.0) * rng.standard_normal(shape)).astype(sizes.dtype)


def score_matrix(rng: np.random.Generator, sizes: Sizes) -> Case:
    """Scores (N, N, L): anything, or every other time close to those of a critic that knows every positive pair."""
    scores = normal(rng, sizes, sizes.n, sizes.n, sizes.locations)
    if rng.random() < 0.5:
        best = np.where(np.eye(sizes.n, dtype=bool), math.log(sizes.n), -FAR)
        scores = (best[:, :, None] + 0.01 * rng.standard_normal(scores.shape)).astype(sizes.dtype)
    return {"scores": scores}


def mild_score_matrix(rng: np.random.Generator, sizes: Sizes) -> Case:
    """Scores of a few nats, (N, N, L)."""
    return {"scores": mild(rng, sizes, sizes.n, sizes.n, sizes.locations)}


def pairs(rng: np.random.Generator, sizes: Sizes) -> Case:
    """Scores of joint (N, L) and product (P, L): anything, or every other time separated with certainty."""
    shapes = (sizes.n, sizes.locations), (sizes.m, sizes.locations)
    joint, product = (normal(rng, sizes, *shape) for shape in shapes)
    if rng.random() < 0.5:
        joint, product = (sign * (np.abs(part) + part.dtype.type(FAR)) for part, sign in ((joint, 1), (product, -1)))
    return {"joint": joint, "product": product}


def mild_pairs(rng: np.random.Generator, sizes: Sizes) -> Case:
    """Scores of a few nats of joint (N, L) and product (P, L)."""
    shapes = (sizes.n, sizes.locations), (sizes.m, sizes.locations)
    return {"joint": mild(rng, sizes, *shapes[0]), "product": mild(rng, sizes, *shapes[1])}


def table(case: Case) -> np.ndarray:
    """p(x, y) of equally likely pairs (x, y), of the shape of their critic."""
    p = np.zeros(case["critic"].shape)
    np.add.at(p, (case["x"], case["y"]), 1.0 / len(case["x"]))
    return p


def divergence(case: Case) -> float:
    """JS(P‖Q) of equally likely pairs."""
    p = table(case)
    return information.jensen_shannon(p, np.outer(p.sum(axis=1), p.sum(axis=0)))


def every_score(case: Case, critic: np.ndarray) -> np.ndarray:
    """The score matrix of the pairs of a case: S[i, j] = T(x_i, y_j)."""
    return critic[np.ix_(case["x"], case["y"])]


def split_all(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The diagonal, and all N² pairs, of a score matrix on the host: (N, L), (N², L)."""
    n = len(scores)
    return np.ascontiguousarray(scores[np.arange(n), np.arange(n)]), scores.reshape(n * n, *scores.shape[2:])


def distribution(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """A joint distribution, about a third of its entries 0 and the rest spread over orders of magnitude."""
    weights = rng.random(shape) ** 3 * (rng.random(shape) < 0.7)
    weights.flat[int(rng.integers(weights.size))] = 1.0
    return weights / weights.sum()


def matrix_bounds() -> tuple[Callable, ...]:
    """Bounds as functions of a score matrix: InfoNCE in its three forms, then DV and JSD off the diagonal."""
    return (
        bounds.infonce,
        lambda scores: bounds.infonce(scores, "all-locations"),
        bounds.infonce_certified,
        lambda scores: bounds.dv(*negatives.all_pairs(scores)),
        lambda scores: bounds.jsd(*negatives.all_pairs(scores)),
    )
