"""Scorers of pairs (feature, representation), and the discriminator of the prior.

Features are (N, L, F): the local map has L = M² locations, the global scorer sees one, the flattened last map. So one
concat scorer serves both, and a local score on a 1×1 map *is* a global score. No ReLU on a final score: a critic needs
both signs.
"""

from __future__ import annotations

import math

import numpy as np

from dimref import layers, ops
from dimref.backend import Array, Tree
from dimref.engine import pair_layer, row_blocks
from dimref.tape import value_and_gradients

ROWS = 1024  # of the hidden layers in a block: an array of them stays in a core's cache

# ---- concat-and-convolve: T(f, y) = MLP([f, y]), by 1×1 convolutions


def init_concat(rng: np.random.Generator, features: int, representation: int, hidden: int = 512) -> Tree:
    """Parameters of the concat scorer F + D → 512 → 512 → 1; the first layer's weight is kept as its two halves."""
    fan_in = features + representation
    return {
        "feature": layers.init_linear(rng, features, hidden, fan_in=fan_in),
        "representation": layers.init_linear(rng, representation, hidden, bias=False, fan_in=fan_in),
        "hidden": layers.init_linear(rng, hidden, hidden),
        "score": layers.init_linear(rng, hidden, 1),
    }


def concat_pairs(parameters: Tree, features: Array, y: Array, index: Array) -> tuple[Array, Array]:
    """Scores of the joint pairs and of one pair of the product for each: (N, L), (N, L).

    The first layer splits, W·[f, y] = W_f·f + W_y·y: both products are computed once and shared by joint and product
    pairs, and pairing x_i with y_{index[i, l]} only gathers rows of the second.

    Args:
        features: (N, L, F). y: (N, D). index: (N,) or (N, L), from `negatives.roll` or `negatives.derangements`.
    Raises:
        ValueError: the shapes do not fit each other.
    Source: arXiv 1808.06670, appendix A.2 and figure 6 (concat-and-convolve); eq. (6) for the local pairs.
    """
    _check("concat", features, y)
    if index.shape not in ((y.shape[0],), features.shape[:2]):
        raise ValueError(f"concat_pairs: index must be {(y.shape[0],)} or {features.shape[:2]}, was {index.shape}")
    representation = layers.linear(parameters["representation"], y)
    locations = features.shape[1]
    index = index if index.ndim == 2 else np.broadcast_to(index[:, None], features.shape[:2])
    above = {name: parameters[name] for name in ("feature", "hidden", "score")}
    shared = {**above, "others": representation}  # whole: the partner of an image may lie in any block
    scores = row_blocks.by_rows(_pairs, shared, features, representation, index, block=-(-ROWS // locations))
    return ops.cut(scores, (slice(None), slice(0, locations))), ops.cut(scores, (slice(None), slice(locations, None)))


def _pairs(parameters: Tree, features: Array, here: Array, index: Array) -> Array:
    """Joint and product scores of some images, side by side: (n, 2L)."""
    feature = layers.linear(parameters["feature"], features)
    return _score(parameters, pair_layer.side_by_side(feature, here, parameters["others"], index))


def concat_square(parameters: Tree, features: Array, y: Array) -> Array:
    """Every pair's score, scores[i, j, l] = T(f_il, y_j): (N, N, L), at the cost of N²·L evaluations.

    Raises:
        ValueError: the shapes do not fit each other.
    Source: arXiv 1808.06670, appendix A.2 (concat-and-convolve); eq. (5) for the square of pairs.
    """
    feature, representation = _project(parameters, features, y)
    n, locations, hidden = feature.shape
    left = ops.reshape(feature, (n, 1, locations, hidden))
    return _score(parameters, ops.relu(left + ops.reshape(representation, (1, n, 1, hidden))))


def concat_candidates(parameters: Tree, features: Array, y: Array, shifts: np.ndarray) -> tuple[Array, Array]:
    """Scores for `bounds.infonce_sampled`: positives (N, L) and, for each y_j, those of x_{(j+s) mod N}, (K−1, N, L).

    Args:
        features: (N, L, F). y: (N, D). shifts: (K−1,) on the host, from `negatives.distinct_shifts`.
    Raises:
        ValueError: the shapes do not fit each other, or a shift is not in 1..N−1.
    Source: arXiv 1808.06670, eq. (5) with K − 1 sampled negatives.
    """
    feature, representation = _project(parameters, features, y)
    here = _every_location(representation)
    n = y.shape[0]
    if shifts.ndim != 1 or shifts.size == 0 or shifts.min() < 1 or shifts.max() >= n:
        raise ValueError(f"concat_candidates: shifts must be (K−1,) in 1..{n - 1}, were {shifts.tolist()}")
    negatives = []
    for shift in shifts.tolist():
        turned = ops.concatenate([ops.cut(feature, (slice(shift, n),)), ops.cut(feature, (slice(0, shift),))])
        negatives.append(ops.reshape(_score(parameters, ops.relu(turned + here)), (1, *features.shape[:2])))
    return _score(parameters, ops.relu(feature + here)), ops.concatenate(negatives)


def _project(parameters: Tree, features: Array, y: Array) -> tuple[Array, Array]:
    """The two halves of the first layer: W_f·f + b, (N, L, U) for U units, and W_y·y, (N, U)."""
    _check("concat", features, y)
    return layers.linear(parameters["feature"], features), layers.linear(parameters["representation"], y)


def _every_location(representation: Array) -> Array:
    return ops.reshape(representation, (representation.shape[0], 1, representation.shape[1]))


def _score(parameters: Tree, first: Array) -> Array:
    """The layers above the first: (..., U) after its ReLU → (...)."""
    hidden = layers.linear(parameters["hidden"], first, rectified=True)
    return ops.reshape(layers.linear(parameters["score"], hidden), first.shape[:-1])


# ---- encode-and-dot-product: T(f, y) = ⟨a(f), b(y)⟩ / √E


def init_dot(rng: np.random.Generator, features: int, representation: int, units: int = 2048) -> Tree:
    """Parameters of the two embeddings F → E and D → E of the dot scorer, E = 2048."""
    return {
        "feature": _init_embedding(rng, features, units),
        "representation": _init_embedding(rng, representation, units),
    }


def dot_square(parameters: Tree, features: Array, y: Array) -> Array:
    """Every pair's score, scores[i, j, l] = ⟨a(f_il), b(y_j)⟩ / √E: (N, N, L), by one matrix product.

    Layer norm starts both embeddings at the length √E, so 1/√E keeps the first scores of order 1. Public code for this
    paper leaves the factor out, and starts with its softmax saturated; that of its successor, arXiv 1906.00910, has it.

    Args:
        features: (N, L, F). y: (N, D).
    Raises:
        ValueError: the shapes do not fit each other.
    Source: arXiv 1808.06670, appendix A.2 and figure 7 (encode-and-dot-product); eq. (5).
    """
    _check("dot", features, y)
    b = row_blocks.by_rows(_embed, parameters["representation"], y, block=ROWS)
    b = b * (1 / math.sqrt(b.shape[1]))
    # ⟨gain·x̂ + shift, b⟩ = ⟨x̂, gain·b⟩ + ⟨shift, b⟩: a's norm ends on N rows in place of N·L.
    norm = parameters["feature"]["norm"]
    dot = {"w": ops.transpose(ops.multiply(b, norm["gain"]), (1, 0)), "b": ops.total(ops.multiply(b, norm["shift"]), 1)}
    shared = {**parameters["feature"], "dot": dot}
    scores = row_blocks.by_rows(_dots, shared, features, block=-(-ROWS // features.shape[1]))
    return ops.transpose(scores, (0, 2, 1))


def _dots(parameters: Tree, features: Array) -> Array:
    """⟨a(f_il), b(y_j)⟩ / √E of some images and every y: (n, L, N). a is never there as a whole."""
    standard = ops.standardize(_two_layers(parameters, features), -1, layers.EPSILON)
    return layers.linear(parameters["dot"], standard)


def _init_embedding(rng: np.random.Generator, n_in: int, units: int) -> Tree:
    return {
        "hidden": layers.init_linear(rng, n_in, units),
        "out": layers.init_linear(rng, units, units),
        "shortcut": layers.init_linear(rng, n_in, units, bias=False),
        "norm": layers.init_norm(units),
    }


def _embed(parameters: Tree, x: Array) -> Array:
    """Two layers with a linear shortcut and layer norm: (..., n_in) → (..., E)."""
    return layers.layer_norm(parameters["norm"], _two_layers(parameters, x))


def _two_layers(parameters: Tree, x: Array) -> Array:
    hidden = layers.linear(parameters["hidden"], x, rectified=True)
    return layers.linear_pair(parameters["out"], hidden, parameters["shortcut"], x)


def _check(name: str, features: Array, y: Array) -> None:
    if features.ndim != 3:
        raise ValueError(f"{name} scorer: features must be (N, L, F), was {features.shape}")
    if y.ndim != 2 or y.shape[0] != features.shape[0]:
        raise ValueError(f"{name} scorer: y must be (N, D) with N = {features.shape[0]}, was {y.shape}")


# ---- the prior's discriminator


def init_prior(rng: np.random.Generator, representation: int, hidden: tuple[int, int] = (1000, 200)) -> Tree:
    """Parameters of the prior's discriminator D → 1000 → 200 → 1."""
    return {
        "first": layers.init_linear(rng, representation, hidden[0]),
        "second": layers.init_linear(rng, hidden[0], hidden[1]),
        "score": layers.init_linear(rng, hidden[1], 1),
    }


def prior_logits(parameters: Tree, y: Array) -> Array:
    """d(y), the log odds that y came from the prior: (B, D) → (B,). D(y) = σ(d(y)).

    Raises:
        ValueError: y is not (B, D).
    Source: arXiv 1808.06670, section 3.3 and appendix A.2.
    """
    if y.ndim != 2:
        raise ValueError(f"prior_logits: y must be (B, D), was {y.shape}")
    hidden = layers.linear(parameters["first"], y, rectified=True)
    hidden = layers.linear(parameters["second"], hidden, rectified=True)
    return ops.reshape(layers.linear(parameters["score"], hidden), (y.shape[0],))


def gradient_penalty(parameters: Tree, z: Array) -> Array:
    """R1: ½·E_z‖∇_z d(z)‖² at draws z of the prior, a scalar; (B, D).

    Source: arXiv 1801.04406, eq. (9) (Mescheder, Geiger & Nowozin), without its weight.
    """
    _, slope, _ = value_and_gradients(lambda at: (ops.total(prior_logits(parameters, at)), {}), z)
    return 0.5 * ops.mean(ops.total(slope * slope, axis=1))
