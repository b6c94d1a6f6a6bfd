"""Contracts of scorers: concat-and-convolve by pairs and by the square, the global one, the dot product, and d(y).

Parameters are nested dicts, as `dimref.discriminators` initializes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from dimref import discriminators, layers, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import numbers, perturbed, reference, variants, weights
from dimref.audit.catalogue.norms import EPSILONS, standardized
from dimref.audit.contract import Contract, Form, Sizes, Variant
from dimref.audit.edits import Formula, Instead, Rule, power, rewritten
from dimref.trees import Array, Tree

HJELM = "arXiv 1808.06670, appendix A.1"
CONCAT, DOT = f"{HJELM} and figure 6", f"{HJELM} and figure 7"
Change = Callable[[Array], Array]


def same(x: Array) -> Array:
    """x."""
    return x


def leaky(x: Array) -> Array:
    """Leaky ReLU of slope 0.2."""
    return ops.relu(x) - 0.2 * ops.relu(-x)


def no_bias(parameters: Tree) -> Tree:
    """The parameters of a linear layer without a bias."""
    return {"w": parameters["w"]}


def flat(x: Array) -> Array:
    """(…, 1) → (…)."""
    return ops.reshape(x, x.shape[:-1])


# ---- concat-and-convolve


def first(parameters: Tree, features: Array, y: Array) -> Array:
    """The first layer of [features, y], before its ReLU."""
    return layers.linear(parameters["feature"], features) + layers.linear(parameters["representation"], y)


def head(
    parameters: Tree, hidden: Array, relu: Change = ops.relu, last: Change = ops.relu, linear: Change = same,
    second: Callable[[Tree, Array], Array] = layers.linear,
) -> Array:  # fmt: skip
    """The concat scorer above its first layer: (..., H) → (...), or what is done otherwise."""
    hidden = last(second(linear(parameters["hidden"]), relu(hidden)))
    return flat(layers.linear(linear(parameters["score"]), hidden))


def every(y: Array) -> Array:
    """y at each location: (N, D) → (N, 1, D)."""
    return ops.reshape(y, (y.shape[0], 1, y.shape[1]))


def tiled(y: Array, locations: int) -> Array:
    """The batch of y repeated L times in place of each y: row (i, l) has y[(i·L + l) mod N]."""
    n = y.shape[0]
    return ops.gather(y, (np.arange(n * locations) % n).reshape(n, locations))


def concat_pairs(parameters: Tree, features: Array, y: Array, index: Array) -> tuple[Array, Array]:
    """Scores of joint and product pairs, (N, L) each."""
    joint = head(parameters, first(parameters, features, every(y)))
    product = head(parameters, first(parameters, features, ops.gather(y, index)))
    return joint, product


def features_gathered(parameters: Tree, features: Array, y: Array, index: Array) -> tuple[Array, Array]:
    """product[i, l] = T(f_{index[i, l], l}, y_i): the features are moved, y stays."""
    n, locations, units = features.shape
    moved = ops.gather(ops.reshape(features, (n * locations, units)), index * locations + np.arange(locations))
    return concat_pairs(parameters, features, y, index)[0], concat_pairs(parameters, moved, y, index)[0]


def flattened(last_map: Array, axes: tuple[int, ...] = (0, 1, 2, 3)) -> Array:
    """(N, M, M, C) → (N, M·M·C), in the order of `axes`."""
    return ops.reshape(ops.transpose(last_map, axes), (last_map.shape[0], math.prod(last_map.shape[1:])))


def global_pairs(parameters: Tree, last_map: Array, y: Array, index: Array) -> tuple[Array, Array]:
    """The concat scorer of the whole map, (N,) each."""
    joint = head(parameters, first(parameters, flattened(last_map), y))
    product = head(parameters, first(parameters, flattened(last_map), ops.gather(y, index)))
    return joint, product


def channels_first(parameters: Tree, last_map: Array, y: Array, index: Array) -> tuple[Array, Array]:
    """The map flattened in the order (channel, row, column)."""
    return global_pairs(parameters, ops.transpose(last_map, (0, 3, 1, 2)), y, index)


def square(parameters: Tree, features: Array, y: Array) -> Array:
    """scores[i, j, l] = T(f_il, y_j): (N, N, L)."""
    return head(parameters, first(parameters, rows(features), columns(y)))


def rows(features: Array) -> Array:
    """(N, L, F) → (N, 1, L, F)."""
    return ops.reshape(features, (features.shape[0], 1, *features.shape[1:]))


def columns(y: Array) -> Array:
    """(N, D) → (1, N, 1, D)."""
    return ops.reshape(y, (1, y.shape[0], 1, y.shape[1]))


# ---- the dot product


def embed(
    parameters: Tree, x: Array, shortcut: bool = True, branch: Change = same, total: Change = same, norm: bool = True,
    epsilon: float = layers.EPSILON, correction: int = 0, out: Callable[[Tree, Array], Array] = layers.linear,
    after: Change = same, relu: Change = ops.relu,
) -> Array:  # fmt: skip
    """Two layers with a linear shortcut and layer norm, or what is done otherwise."""
    both = branch(out(parameters["out"], relu(layers.linear(parameters["hidden"], x))))
    if shortcut:
        both = both + branch(layers.linear(parameters["shortcut"], x))
    both = total(both)
    if norm:
        scaled = standardized(both, both.ndim - 1, epsilon, correction)
        both = scaled * parameters["norm"]["gain"] + parameters["norm"]["shift"]
    return after(both)


def scored(a: Array, b: Array, power: float = 0.5) -> Array:
    """scores[i, j, l] = ⟨a_il, b_j⟩/E^power: (N, N, L)."""
    n, locations, units = a.shape
    scores = ops.matmul(ops.reshape(a, (n * locations, units)), ops.transpose(b, (1, 0))) * units**-power
    return ops.transpose(ops.reshape(scores, (n, locations, n)), (0, 2, 1))


def unit(x: Array) -> Array:
    """Vectors of length 1."""
    return x * ops.total(x * x, x.ndim - 1, keepdims=True) ** -0.5


def dot(parameters: Tree, features: Array, y: Array) -> Array:
    """scores[i, j, l] = ⟨a(f_il), b(y_j)⟩/√E."""
    return scored(embed(parameters["feature"], features), embed(parameters["representation"], y))


def _dot(power: float = 0.5, epsilon: float = layers.EPSILON) -> Callable[..., Array]:
    def scores(parameters: Tree, features: Array, y: Array) -> Array:
        sides = ((parameters["feature"], features), (parameters["representation"], y))
        a, b = (embed(*side, epsilon=epsilon) for side in sides)
        return scored(a, b, power)

    return scores


def _transposed(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda parameters, features, y: ops.transpose(function(parameters, features, y), (1, 0, 2))


# ---- the prior's discriminator


def logits(parameters: Tree, y: Array) -> Array:
    """d(y): (B, D) → (B,)."""
    hidden = ops.relu(layers.linear(parameters["first"], y))
    return flat(layers.linear(parameters["score"], ops.relu(layers.linear(parameters["second"], hidden))))


# ---- what is asked

PAIRS = Signature(
    ("parameters", "features", "y", "index"), ("joint", "product"), differentiate=("parameters", "features", "y"), of=""
)
GLOBAL = Signature(
    ("parameters", "last_map", "y", "index"), ("joint", "product"), differentiate=("parameters", "last_map", "y"), of=""
)
SQUARE = Signature(
    ("parameters", "features", "y"), ("scores",), differentiate=("parameters", "features", "y"), of="scores"
)
PRIOR = Signature(("parameters", "y"), ("logits",), differentiate=("parameters", "y"), of="logits")


def _representation(sizes: Sizes) -> int:
    return 2 + sizes.kernel[1] % 3


def _derangements(rng: np.random.Generator, n: int, locations: int) -> np.ndarray:
    """At each location a random cycle through the batch."""
    index = np.empty((n, locations), int)
    for place in range(locations):
        order = rng.permutation(n)
        index[order, place] = np.roll(order, 1)
    return index


def _draw_pairs(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    n, d, f = max(3, sizes.n), _representation(sizes), 1 + sizes.m
    shape = n, 1 + sizes.locations
    return {
        "parameters": perturbed(rng, sizes, discriminators.init_concat(rng, f, d, hidden=6)),
        "features": numbers(rng, sizes, *shape, f),
        "y": numbers(rng, sizes, n, d),
        "index": _derangements(rng, *shape),
        "weight": {name: weights(rng, sizes, *shape) for name in PAIRS.outputs},
    }


def _draw_global(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    n, d, side, channels = max(3, sizes.n), _representation(sizes), 2, 1 + sizes.m % 3 + 1
    return {
        "parameters": perturbed(rng, sizes, discriminators.init_concat(rng, side * side * channels, d, hidden=6)),
        "last_map": numbers(rng, sizes, n, side, side, channels),
        "y": numbers(rng, sizes, n, d),
        "index": _derangements(rng, n, 1)[:, 0],
        "weight": {name: weights(rng, sizes, n) for name in GLOBAL.outputs},
    }


def _draw_square(init: Callable[..., Tree], rng: np.random.Generator, sizes: Sizes) -> Inputs:
    n, d, f = max(2, sizes.n), _representation(sizes), 1 + sizes.m
    return {
        "parameters": perturbed(rng, sizes, init(rng, f, d, 6)),
        "features": numbers(rng, sizes, n, sizes.locations, f),
        "y": numbers(rng, sizes, n, d),
        "weight": weights(rng, sizes, n, n, sizes.locations),
    }


def _draw_prior(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    d = 1 + sizes.m
    return {
        "parameters": perturbed(rng, sizes, discriminators.init_prior(rng, d, hidden=(6, 5))),
        "y": numbers(rng, sizes, sizes.n, d),
        "weight": weights(rng, sizes, sizes.n),
    }


# fmt: off
_RELU = (("relu", "ReLU"), ("sigmoid", "sigmoid"), ("tanh", "tanh"))
INSTEAD: Instead = {
    "head": (
        *((f"{f}-on-score", f"ops.{f}({{it}})", f"a {word} on its final score") for f, word in _RELU),
        ("layer-bypassed", "head({x}, {y}, last=same, second=lambda _, x: x)", "its second layer built but bypassed"),
        ("relu-missing", "head({x}, {y}, same, same)", "no ReLUs"),
        ("first-relu-missing", "head({x}, {y}, same)", "no ReLU after its first layer"),
        ("second-relu-missing", "head({x}, {y}, last=same)", "no ReLU after its second layer"),
        ("leaky-relu", "head({x}, {y}, leaky, leaky)", "leaky ReLUs of slope 0.2"),
        ("biases-left-out", "head({x}, {y}, linear=no_bias)", "no biases above its first layer"),
    ),
    "every": (
        ("y-tiled", "tiled({x}, features.shape[1])", "y tiled, the whole batch after itself, where each is to be repeated"),
    ),
    "gather": (
        ("index-transposed", "ops.gather({x}, {y}.T.reshape({y}.shape))",
         "its index flattened location by location, its features sample by sample"),
        ("index-reshaped", "ops.gather({x}, {y}.reshape({y}.shape[::-1]).T)",
         "its index flattened sample by sample, its features location by location"),
        ("index-ignored", "(every({x}) if {y}.ndim > 1 else {x})", "each x beside its own y in the product too"),
    ),
    "flattened": (
        ("flattened-columns-first", "flattened({x}, (0, 2, 1, 3))", "its map flattened in the order (column, row, channel)"),
    ),
    "embed": tuple((key, f"embed({{x}}, {{y}}, {how})", words) for key, how, words in (
        ("relu-on-both-branches", "branch=ops.relu", "a ReLU on both branches of its shortcut, before they are added"),
        ("relu-on-sum", "total=ops.relu", "a ReLU on the sum of both branches"),
        ("relu-after-norm", "after=ops.relu", "a ReLU on both embeddings, after layer norm"),
        ("shortcut-left-out", "shortcut=False", "no shortcut"),
        ("shortcut-alone", "branch=same, relu=lambda x: 0 * x", "its shortcut alone"),
        ("norm-left-out", "norm=False", "no layer norm"),
        ("layer-bypassed", "out=lambda _, x: x", "its second layer built but bypassed"),
        ("relu-missing", "relu=same", "no ReLU between its layers"),
        ("unbiased-variance", "correction=1", "the unbiased variance in layer norm: divide by E, not by E − 1"),
    )),
    "scored": (
        ("cosine", "scored(unit({x}), unit({y}), 0.0)", "the cosine of both embeddings for its product"),
        ("relu-on-score", "ops.relu({it})", "a ReLU on its scores"),
    ),
    "linear": (("biases-left-out", "layers.linear(no_bias({x}), {y})", "no biases"),),
    "relu": (("leaky-relu", "leaky({x})", "leaky ReLUs of slope 0.2"),),
}
OF_LOGITS = (
    Rule("squash", "relu-on-score", "a ReLU on its final score", "ops.relu({it})"),
    Rule("squash", "probability", "σ(d(y)), the probability in place of the log odds", "ops.sigmoid({it})"),
)


def _form(
    signature: Signature, meaning: str, draw: Callable[..., Inputs], right: Callable[..., object],
    function: Callable[..., object], title: str, conventions: tuple[Variant, ...] = (), whole: tuple[Rule, ...] = (),
) -> tuple[Form]:
    formula = Formula(function, instead=INSTEAD, whole=whole, scope=globals(), given=("parameters", "index"))
    return (Form("arrays", signature, meaning, draw, reference(right, signature), conventions=conventions,
                 **rewritten((formula, partial(reference, signature=signature), title), without=("maximum",))),)


SAMPLE = "as good a sample of the product"
_PAIRS = _form(
    PAIRS, "f(parameters, features (N, L, F), y (N, D), index (N, L)) -> (joint (N, L), product (N, L))", _draw_pairs,
    discriminators.concat_pairs, concat_pairs, "the concat scorer", variants(PAIRS, (
        ("features-gathered", features_gathered, "the concat scorer with x, not y, moved by the index",
         "gather y by the index; the features stay", "", f"{SAMPLE}: y_i meets x[index[i, l]]"),
        ("index-inverted", lambda p, f, y, at: concat_pairs(p, f, y, np.argsort(at, axis=0)),
         "the concat scorer with the index used the other way round", "x_i meets y[index[i, l]]", "",
         f"{SAMPLE}: y_i goes to x[index[i, l]]"),
        ("index-of-first-location", lambda p, f, y, at: concat_pairs(p, f, y, np.broadcast_to(at[:, :1], at.shape)),
         "the concat scorer with the partner of the first location at every location", "use index[i, l] at location l", "",
         f"{SAMPLE}, but N pairs in place of N·L"),
    )))
_GLOBAL = _form(
    GLOBAL, "f(parameters, last_map (N, M, M, C), y (N, D), index (N,)) -> (joint (N,), product (N,))", _draw_global,
    global_pairs, global_pairs, "the global scorer", variants(GLOBAL, ((
        "flattened-channels-first", channels_first,
        "the global scorer of a map flattened in the order (channel, row, column)",
        "flatten in the order (row, column, channel), or reorder the rows of the first weight",
        "x.flatten(1) of PyTorch's NCHW",
        "the same family of functions; trained weights must have their rows reordered before they fit"),)))
TRANSPOSED = "scores[j, i]: row = representation, column = image", "scores[i, j] = T(x_i, y_j)"
_SQUARE = _form(
    SQUARE, "f(parameters, features (N, L, F), y (N, D)) -> scores (N, N, L), [i, j, l] = T(f_il, y_j)",
    partial(_draw_square, discriminators.init_concat), discriminators.concat_scores, square, "the concat scorer",
    variants(SQUARE, (("transposed", _transposed(square), *TRANSPOSED),)))
_DOT = _form(
    SQUARE, "f(parameters, features (N, L, F), y (N, D)) -> scores (N, N, L), [i, j, l] = ⟨a(f_il), b(y_j)⟩/√E",
    partial(_draw_square, discriminators.init_dot), discriminators.dot_scores, dot, "the dot scorer", variants(SQUARE, (
        ("transposed", _transposed(dot), *TRANSPOSED),
        *((f"{scale}{'-' * bool(scale and norm)}{norm}", _dot(by, epsilon), f"the dot scorer {words}",
           "divide by √E; ε is 1e-5",
           "public code for arXiv 1808.06670")
          for scale, by, words in (("", 0.5, "with another ε in its layer norm"),
                                   ("not-scaled", 0.0, "without the factor 1/√E"),
                                      ("scaled-by-e", 1.0, "divided by E in place of √E"))
          for norm, epsilon in (("", layers.EPSILON), *((f"epsilon-{power(e)}", e) for e in EPSILONS)) if scale or norm),
    )))
_LOGITS = _form(PRIOR, "f(parameters, y (B, D)) -> d(y) (B,)", _draw_prior, discriminators.prior_logits, logits, "d(y)",
                whole=OF_LOGITS)

CONTRACTS: tuple[Contract, ...] = (
    Contract("discriminator", "concat_pairs", "the concat scorer's joint and product scores", _PAIRS, CONCAT),
    Contract("discriminator", "global_pairs", "the global scorer's joint and product scores", _GLOBAL, HJELM),
    Contract("discriminator", "concat_square", "the concat scorer of every pair", _SQUARE, CONCAT),
    Contract("discriminator", "dot_square", "the dot scorer of every pair", _DOT, DOT),
    Contract("discriminator", "prior_logits", "the log odds d(y) of the prior's discriminator", _LOGITS, HJELM),
)
