"""Critics, which score pairs (feature, representation), and the discriminator of the prior.

Features f are (N, L, F): the local map has L = M² locations, the global critic sees one, a flattened map. So one
concat critic serves both, and a local score on a 1×1 map *is* a global score. Representations y are (N, D). No ReLU on a
final score: a critic needs both signs. A wrong shape is a ValueError that names the argument, what it must be and was.
"""

import math

import numpy as np

from dimref import layers, negatives, ops, ranks
from dimref.tape import region, value_and_gradients
from dimref.trees import Array, Tree, need_arrays

# ---- concat-and-convolve: T(f, y) = MLP([f, y]), by 1×1 convolutions


def init_concat(rng: np.random.Generator, features: int, representation: int, hidden: int = 512) -> Tree:
    """Parameters of the concat critic F + D → 512 → 512 → 1; the first layer's weight as its two halves, W_f and W_y."""
    fan_in = features + representation
    return {
        "feature": layers.init_linear(rng, features, hidden, fan_in=fan_in),
        "representation": layers.init_linear(rng, representation, hidden, bias=False, fan_in=fan_in),
        "hidden": layers.init_linear(rng, hidden, hidden),
        "score": layers.init_linear(rng, hidden, 1),
    }


@region
def concat_pairs(parameters: Tree, features: Array, y: Array, index: Array) -> tuple[Array, Array]:
    """Scores of the positive pairs, and of one negative pair for each: (N, L), (N, L).

    The first layer splits, W·[f, y] = W_f·f + W_y·y: both products are computed once and shared by positive and negative
    pairs, and pairing x_i with y_{index[i, l]} only gathers rows of the second. The index is (N,) or (N, L), from
    `negatives.roll` or `negatives.derangements`.
    Source: arXiv 1808.06670, figure 3 and appendix A.1 (concat-and-convolve); eq. (6) for the local pairs.
    """
    index = index_by_location(features, y, index)
    a, c = _first_layer(parameters, features, y)
    joint = concat_head(parameters, ops.relu(ops.add(a, ops.reshape(c, (c.shape[0], 1, c.shape[1])))))
    product = concat_head(parameters, ops.relu(ops.add(a, ops.gather(ranks.now().all_gather(c), index))))
    return joint, product


def _first_layer(parameters: Tree, features: Array, y: Array) -> tuple[Array, Array]:
    """a = W_f·f + b, (N, L, U), and c = W_y·y, (N, U)."""
    return layers.linear(parameters["feature"], features), layers.linear(parameters["representation"], y)


def index_by_location(features: Array, y: Array, index: Array) -> Array:
    """`index` at each location, (N, L): an index (N,) is the same at all."""
    check("concat", features, y)
    if index.shape not in ((y.shape[0],), features.shape[:2]):
        raise ValueError(f"concat_pairs: index must be {(y.shape[0],)} or {features.shape[:2]}, was {index.shape}")
    return index if index.ndim == 2 else np.broadcast_to(index[:, None], features.shape[:2])


def concat_scores(parameters: Tree, features: Array, y: Array) -> Array:
    """The score matrix of all pairs, scores[i, j, l] = T(f_il, y_j): (N, N, L), at the cost of N²·L evaluations.
    Source: arXiv 1808.06670, appendix A.1 (concat-and-convolve); eq. (5) for all pairs.
    """
    check("concat", features, y)
    a, c = _first_layer(parameters, features, y)
    c, (n, locations, units) = ranks.now().all_gather(c), a.shape
    a, c = ops.reshape(a, (n, 1, locations, units)), ops.reshape(c, (1, -1, 1, units))
    return concat_head(parameters, ops.relu(ops.add(a, c)))


def concat_candidates(parameters: Tree, features: Array, y: Array, index: Array) -> tuple[Array, Array]:
    """Scores for `bounds.infonce_sampled`: positives (N, L) and, for each y_j, those of x_{index[k, j]}, (K−1, N, L).

    The index is (K−1, N), from `negatives.sampled`: index[k, ·] is a permutation of the images for each k.
    Source: arXiv 1808.06670, eq. (5) with K − 1 sampled negatives.
    """
    check("concat", features, y)
    n = y.shape[0]
    if index.ndim != 2 or index.shape[1] != ranks.now().of_batch(n):
        raise ValueError(f"concat_candidates: index must be (K−1, {n}), was {index.shape}")
    a, c = _first_layer(parameters, features, y)
    positives = concat_head(parameters, ops.relu(ops.add(a, ops.reshape(c, (n, 1, -1)))))
    c, others = ranks.now().all_gather(c), []
    for x_of_y in index:
        # Features stay where they are: each x is scored with the y whose negative it is, and y_j finds its score there.
        y_of_x = ranks.now().own(negatives.inverse(x_of_y))
        of_x = concat_head(parameters, ops.relu(ops.add(a, ops.reshape(ops.gather(c, y_of_x), (n, 1, -1)))))
        others.append(ops.reshape(ops.gather(ranks.now().all_gather(of_x), ranks.now().own(x_of_y)), (1, *of_x.shape)))
    return positives, ops.concatenate(others)


def concat_head(parameters: Tree, hidden: Array) -> Array:
    """The concat critic's layers after the first, from the output of that layer's ReLU: (..., U) → (...)."""
    hidden = layers.linear(parameters["hidden"], hidden, relu=True)
    return ops.reshape(layers.linear(parameters["score"], hidden), hidden.shape[:-1])


# ---- encode-and-dot-product: T(f, y) = ⟨a(f), b(y)⟩ / √E


DOT_PIECES = ("batch-norm", "identity", "unscaled")


def init_dot(
    rng: np.random.Generator, features: int, representation: int, units: int = 2048, pieces: tuple[str, ...] = ()
) -> Tree:
    """Parameters of the two embeddings F → E and D → E of the dot critic, E = 2048.

    Pieces of the official code (MI1x1ConvNet of github.com/rdevon/DIM at bac4765) that the paper does not mention:
    "batch-norm" of the hidden layer, which then has no bias; "identity", a shortcut that starts as a noisy copy of its
    input: 1 on the diagonal, uniform on ±0.01 elsewhere.
    """
    parameters: Tree = {}
    for side, n_in in (("feature", features), ("representation", representation)):
        parameters[side] = {
            "hidden": layers.init_linear(rng, n_in, units, bias="batch-norm" not in pieces),
            "out": layers.init_linear(rng, units, units),
            "shortcut": layers.init_linear(rng, n_in, units, bias=False),
            "norm": layers.init_norm(units),
        }
        if "batch-norm" in pieces:
            parameters[side]["hidden_norm"] = layers.init_norm(units)
        if "identity" in pieces:
            parameters[side]["shortcut"] = layers.init_linear(rng, n_in, units, bias=False, fan_in=10_000)
            np.fill_diagonal(parameters[side]["shortcut"]["w"], 1)
    return parameters


@region
def dot_scores(parameters: Tree, features: Array, y: Array) -> Array:
    """The score matrix of all pairs, scores[i, j, l] = ⟨a(f_il), b(y_j)⟩ / √E: (N, N, L).

    Layer norm starts both embeddings at the length √E, so 1/√E keeps the first scores of order 1. Public code for this
    paper omits the factor ("unscaled", see `objectives.score`), and starts with its softmax saturated; that of its
    successor, arXiv 1906.00910, has it.
    Source: arXiv 1808.06670, appendix A.1 (encode-and-dot-product); eq. (5).
    """
    check("dot", features, y)
    return score_matrix(embed(parameters["feature"], features), embed(parameters["representation"], y))


def score_matrix(f: Array, y: Array) -> Array:
    """scores[i, j, l] = ⟨f_il, y_j⟩ / √E of vectors f, (N, L, E), and y, (N, E): (N, N, L), by one matrix product."""
    n, locations, units = f.shape
    y = ranks.now().all_gather(y)
    products = ops.matmul(ops.reshape(f, (n * locations, units)), ops.transpose(y, (1, 0)))
    return ops.transpose(ops.reshape(products * (1 / math.sqrt(units)), (n, locations, -1)), (0, 2, 1))


def embed(parameters: Tree, x: Array) -> Array:
    """The dot critic's embedding, a or b: two layers with a linear shortcut, then layer norm: (..., n_in) → (..., E).

    With "hidden_norm" among the parameters, batch norm stands before the ReLU, always by the batch's own statistics: a
    critic is evaluated on batches alone. Its score of a pair then depends on the others, so a bound keeps its ceiling, but
    is not certified to lie below I.
    """
    if "hidden_norm" not in parameters:
        return layers.layer_norm(parameters["norm"], layers.mlp_with_shortcut(parameters, x))
    rows, norm = ops.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1])), parameters["hidden_norm"]
    hidden = layers.linear(parameters["hidden"], rows)
    hidden, *_ = layers.normalize(hidden, norm["gain"], norm["shift"], layers.EPSILON, True)
    out = layers.linear_sum(parameters["out"], hidden, parameters["shortcut"], rows)
    return layers.layer_norm(parameters["norm"], ops.reshape(out, (*x.shape[:-1], -1)))


def check(name: str, features: Array, y: Array) -> None:
    """Raise ValueError unless features are (N, L, F) and y (N, D)."""
    need_arrays(f"{name} critic", features=features, y=y)
    if features.ndim != 3:
        raise ValueError(f"{name} critic: features must be (N, L, F), was {features.shape}")
    if y.ndim != 2 or y.shape[0] != features.shape[0]:
        raise ValueError(f"{name} critic: y must be (N, D) with N = {features.shape[0]}, was {y.shape}")


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
    Source: arXiv 1808.06670, section 3.3, figure 6 and appendix A.1.
    """
    need_arrays("prior_logits", y=y)
    if y.ndim != 2:
        raise ValueError(f"prior_logits: y must be (B, D), was {y.shape}")
    hidden = layers.linear(parameters["first"], y, relu=True)
    hidden = layers.linear(parameters["second"], hidden, relu=True)
    return ops.reshape(layers.linear(parameters["score"], hidden), (y.shape[0],))


def gradient_penalty(parameters: Tree, z: Array) -> Array:
    """R1: ½·E_z‖∇_z d(z)‖² at draws z of the prior, a scalar; (B, D).
    Source: arXiv 1801.04406, eq. (9) (Mescheder, Geiger & Nowozin), without its weight.
    """
    _, slope, _ = value_and_gradients(lambda at: (ops.total(prior_logits(parameters, at)), {}), z)
    return 0.5 * ranks.mean(ops.total(slope * slope, axis=1))
