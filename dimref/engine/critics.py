"""The critics in blocks of rows: what an elementwise pass needs is still in the cache from the product before it."""

from __future__ import annotations

import math

from dimref import discriminators, layers, ops, ranks
from dimref.engine import pair_layer, row_blocks
from dimref.engine.forms import of_one_type
from dimref.engine.tuning import CRITIC_ROWS
from dimref.tape import implement
from dimref.trees import Array, Tree


def register() -> None:
    """Implement `concat_pairs` and `dot_scores`, the latter where no batch norm needs all rows at once."""
    implement(discriminators.concat_pairs, "row blocks", concat_pairs, of_one_type)
    implement(discriminators.dot_scores, "row blocks", dot_scores, _row_by_row)


def _row_by_row(parameters: Tree, features: Array, y: Array) -> bool:
    return "hidden_norm" not in parameters["feature"] and of_one_type(parameters, features, y)


def concat_pairs(parameters: Tree, features: Array, y: Array, index: Array) -> tuple[Array, Array]:
    """Positive and negative pairs of some images at a time, side by side through the layers that they share."""
    index = discriminators.index_by_location(features, y, index)
    representation = layers.linear(parameters["representation"], y)
    locations = features.shape[1]
    above = {name: parameters[name] for name in ("feature", "hidden", "score")}
    shared = {
        **above,
        "others": ranks.now().all_gather(representation),
    }  # whole: an image's negative may lie in any block
    images = -(-CRITIC_ROWS // locations)
    scores = row_blocks.by_rows(_pairs, shared, features, representation, index, block=images)
    return (
        ops.cut(scores, (slice(None), slice(0, locations))),
        ops.cut(scores, (slice(None), slice(locations, None))),
    )


def _pairs(parameters: Tree, features: Array, own: Array, index: Array) -> Array:
    """Scores of the positive and negative pairs of some images, side by side: (n, 2L)."""
    feature = layers.linear(parameters["feature"], features)
    return discriminators.concat_head(parameters, pair_layer.side_by_side(feature, own, parameters["others"], index))


def dot_scores(parameters: Tree, features: Array, y: Array) -> Array:
    """Scores of some images and every y at a time; a is never whole in memory, its norm ends on N rows, not N·L."""
    discriminators.check("dot", features, y)
    b = row_blocks.by_rows(discriminators.embed, parameters["representation"], y, block=CRITIC_ROWS)
    b = ranks.now().all_gather(b) * (1 / math.sqrt(b.shape[1]))
    # ⟨gain·x̂ + shift, b⟩ = ⟨x̂, gain·b⟩ + ⟨shift, b⟩
    norm = parameters["feature"]["norm"]
    dot = {"w": ops.transpose(ops.multiply(b, norm["gain"]), (1, 0)), "b": ops.total(ops.multiply(b, norm["shift"]), 1)}
    shared = {**parameters["feature"], "dot": dot}
    scores = row_blocks.by_rows(_dots, shared, features, block=-(-CRITIC_ROWS // features.shape[1]))
    return ops.transpose(scores, (0, 2, 1))


def _dots(parameters: Tree, features: Array) -> Array:
    """⟨a(f_il), b(y_j)⟩ / √E of some images and every y: (n, L, N)."""
    standard = ops.standardize(layers.mlp_with_shortcut(parameters, features), -1, layers.EPSILON)
    return layers.linear(parameters["dot"], standard)
