"""The pieces of a term of the loss: from features and representation to scores, and from scores to the bound."""

from __future__ import annotations

import math
from collections.abc import Callable

from dimref import bounds, encoders, layers, negatives, objectives, ops
from dimref.audit.trace.pieces import Piece, linear, relu
from dimref.encoders import Layout
from dimref.objectives import Objective
from dimref.tape import stop_gradient
from dimref.trees import Array

Branch = list[Piece]


def pieces(term: str, objective: Objective, layout: Layout) -> list[Piece]:
    """Everything of the "local" or the "global" term, its bound last."""
    kind = objective.negatives(term)
    found = [_features(term, objective, layout)]
    if term == "local" and objective.local_scorer == "dot":
        found += _dot(term)
    else:
        found += _projections(term)
        if kind in ("shuffle", "roll"):
            found += _pairs(term)
        elif kind == "sampled":
            found += _candidates(term, objective.candidates)
        else:
            found += _square(term)
    if kind == "all-pairs":
        found += _all_pairs(term)
    return found + _bound(term, objective)


def average(term: str, objective: Objective) -> Piece:
    """MINE's moving average after the step."""
    inputs = (*_score_names(term, objective), f"state/mine/{term}")
    return Piece(f"after/state/mine/{term}", inputs, _average, "log of MINE's moving average of E_Q[e^T], (L,), after")


def _average(joint: Array, product: Array, before: Array | None) -> Array:
    return bounds.mine(stop_gradient(joint), stop_gradient(product), before)[1]


def _features(term: str, objective: Objective, layout: Layout) -> Piece:
    if term == "local":
        x, meaning = f"encoder/relu{layout.depth - 1}", "local map by location (N, L, F), L = M² row by row"
        return Piece("local/features", (x,), encoders.by_location, meaning, "locations", "move")

    def flat(last: Array) -> Array:
        rows = encoders.flatten(last)
        return ops.reshape(rows, (rows.shape[0], 1, rows.shape[1]))

    name, depth, lies = ("local", layout.depth - 1, "flat local map")
    if objective.global_map == "last":
        name, depth, lies = ("last", layout.depth, "flat location")
    meaning = f"{name} map flattened by (row, column, channel), as one location: (N, 1, F)"
    return Piece("global/features", (f"encoder/relu{depth}",), flat, meaning, lies, "move")


# ---- concat-and-convolve


def _projections(term: str) -> list[Piece]:
    weights = f"parameters/{term}"
    return [
        linear(f"{term}/feature", f"{term}/features", f"{weights}/feature", _FEATURE, layout="locations"),
        linear(f"{term}/representation", "encoder/y", f"{weights}/representation", _REPRESENTATION, bias=False),
    ]


_FEATURE = "the half of the first layer that sees the features, W_f·f + b: (N, L, H)"
_REPRESENTATION = "the half of the first layer that sees y, W_y·y: (N, H); W·[f, y] + b = feature + representation"


def _every_location(rows: Array) -> Array:
    return rows if rows.ndim == 3 else ops.reshape(rows, (rows.shape[0], 1, rows.shape[1]))


def _meet(feature: Array, rows: Array) -> Array:
    return feature + _every_location(rows)


def _above(term: str, branch: str, shape: str, layout: str) -> Branch:
    """The layers above the first, which is there by the name of {branch}/first."""
    weights, at = f"parameters/{term}", f"{term}/{branch}"
    scores = f"{term}/scores" if branch == "square" else f"{at}/scores"
    return [
        relu(f"{at}/first_relu", f"{at}/first", "max(first, 0)", layout),
        linear(f"{at}/hidden", f"{at}/first_relu", f"{weights}/hidden", "second layer, before its ReLU", layout=layout),
        relu(f"{at}/hidden_relu", f"{at}/hidden", "max(hidden, 0)", layout),
        Piece(
            scores,
            (f"{at}/hidden_relu", f"{weights}/score/w", f"{weights}/score/b"),
            lambda x, w, b: ops.reshape(layers.linear({"w": w, "b": b}, x), x.shape[:-1]),
            f"T, no ReLU: {shape}",
            kind="score",
        ),
    ]


def _pairs(term: str) -> Branch:
    here, index = f"{term}/representation", f"noise/{term}/index"
    meaning = "row of representation that x_i meets at location l: representation[index[i, l]]"
    pair = "feature + representation: pairs (x_i, y_i)"
    partner = f"{term}/product/partner"
    return [
        Piece(f"{term}/joint/first", (f"{term}/feature", here), _meet, pair, "locations"),
        *_above(term, "joint", "(N, L), scores of the joint", "locations"),
        Piece(partner, (here, index), ops.gather, meaning, "partner", "partner"),
        Piece(f"{term}/product/first", (f"{term}/feature", partner), _meet, "feature + partner", "locations"),
        *_above(term, "product", "(N, L), scores of the product of marginals", "locations"),
    ]


def _square(term: str) -> Branch:
    def first(feature: Array, rows: Array) -> Array:
        n, locations, hidden = feature.shape
        left = ops.reshape(feature, (n, 1, locations, hidden))
        return left + ops.reshape(rows, (1, n, 1, hidden))

    meaning = "feature of x_i + representation of y_j: (N, N, L, H)"
    return [
        Piece(f"{term}/square/first", (f"{term}/feature", f"{term}/representation"), first, meaning),
        *_above(term, "square", "(N, N, L), scores[i, j, l] = T(x_i at l, y_j)", "plain"),
    ]


def _candidates(term: str, count: int) -> Branch:
    here = (f"{term}/feature", f"{term}/representation")
    meaning = "feature + representation: pairs (x_j, y_j)"
    found = [
        Piece(f"{term}/positive/first", here, _meet, meaning, "locations"),
        *_above(term, "positive", "(N, L), scores of the positives", "locations"),
    ]
    names = []
    for k in range(1, count):
        meaning = f"feature of x_candidates[{k - 1}, j] + representation of y_j"
        inputs = (*here, f"noise/{term}/candidates")
        found.append(Piece(f"{term}/negative{k}/first", inputs, _chosen(k - 1), meaning, "locations"))
        found += _above(term, f"negative{k}", "(N, L)", "locations")
        names.append(f"{term}/negative{k}/scores")

    def stack(*scores: Array) -> Array:
        return ops.concatenate([ops.reshape(s, (1, *s.shape)) for s in scores])

    return [*found, Piece(f"{term}/negatives", tuple(names), stack, "scores of the K − 1 negatives, (K−1, N, L)")]


def _chosen(k: int) -> Callable[..., Array]:
    def first(feature: Array, rows: Array, candidates: Array) -> Array:
        return _meet(ops.gather(feature, candidates[k]), rows)

    return first


# ---- encode-and-dot-product


def _dot(term: str) -> Branch:
    found = [
        *_embedding(term, "feature", f"{term}/features", "locations"),
        *_embedding(term, "representation", "encoder/y", "plain"),
    ]

    def scores(a: Array, b: Array) -> Array:
        n, locations, units = a.shape
        products = ops.matmul(ops.reshape(a, (n * locations, units)), ops.transpose(b, (1, 0))) * (1 / math.sqrt(units))
        return ops.transpose(ops.reshape(products, (n, locations, n)), (0, 2, 1))

    meaning = "⟨a, b⟩/√E: (N, N, L), scores[i, j, l] = T(x_i at l, y_j)"
    inputs = (f"{term}/feature/norm", f"{term}/representation/norm")
    return [*found, Piece(f"{term}/scores", inputs, scores, meaning, kind="dot")]


def _embedding(term: str, side: str, x: str, layout: str) -> Branch:
    weights, at = f"parameters/{term}/{side}", f"{term}/{side}"
    return [
        linear(f"{at}/hidden", x, f"{weights}/hidden", "first layer to E units, before its ReLU", layout=layout),
        relu(f"{at}/hidden_relu", f"{at}/hidden", "max(hidden, 0)", layout),
        linear(f"{at}/out", f"{at}/hidden_relu", f"{weights}/out", "second layer, no ReLU", layout=layout),
        linear(f"{at}/shortcut", x, f"{weights}/shortcut", "linear shortcut, no bias", bias=False, layout=layout),
        Piece(f"{at}/sum", (f"{at}/out", f"{at}/shortcut"), lambda a, b: a + b, "out + shortcut, no ReLU", layout),
        Piece(
            f"{at}/norm",
            (f"{at}/sum", f"{weights}/norm/gain", f"{weights}/norm/shift"),
            lambda x, gain, shift: layers.layer_norm({"gain": gain, "shift": shift}, x),
            "layer norm over E, biased variance, ε = 1e-5: the embedding",
            layout,
            "layer norm",
        ),
    ]


def _all_pairs(term: str) -> Branch:
    def take(which: int) -> Callable[[Array], Array]:
        return lambda scores: negatives.all_pairs(scores)[which]

    return [
        Piece(f"{term}/joint/scores", (f"{term}/scores",), take(0), "the diagonal of the score matrix, (N, L)"),
        Piece(f"{term}/product/scores", (f"{term}/scores",), take(1), "the off-diagonal pairs row by row, (N(N−1), L)"),
    ]


# ---- bounds


def _score_names(term: str, objective: Objective) -> tuple[str, ...]:
    if objective.bound != "infonce":
        return (f"{term}/joint/scores", f"{term}/product/scores")
    if objective.negatives(term) == "sampled":
        return (f"{term}/positive/scores", f"{term}/negatives")
    return (f"{term}/scores",)


def _bound(term: str, objective: Objective) -> list[Piece]:
    kind, bound = objective.negatives(term), objective.bound
    names = _score_names(term, objective)
    if bound == "mine":
        names = (*names, f"state/mine/{term}")

    def value(*arrays: Array) -> Array:
        before = arrays[-1] if bound == "mine" else None
        scores = arrays[:-1] if bound == "mine" else arrays
        return objectives.information(scores, bound, kind, before)[0]

    def by_location(*arrays: Array) -> Array:
        known = [None if a is None else stop_gradient(a) for a in arrays]  # there is no average before the first step
        count = arrays[0].shape[-1]
        each = [value(*(None if a is None else a[..., at : at + 1] for a in known)) for at in range(count)]
        return ops.concatenate([ops.reshape(bound_, (1,)) for bound_ in each])

    found = []
    if kind != "all-locations":
        meaning = "the bound at each location, nats, (L,); its mean is the bound"
        found.append(Piece(f"{term}/bound_by_location", names, by_location, meaning))
    else:
        meaning = "InfoNCE whose certified form averages the other images' locations, nats"
        certified = bounds.infonce_certified
        found.append(Piece(f"{term}/certified", names, lambda s: certified(stop_gradient(s)), meaning))
    return [*found, Piece(f"{term}/bound", names, value, f"{bound} ({kind}) in nats, larger is better", kind="bound")]
