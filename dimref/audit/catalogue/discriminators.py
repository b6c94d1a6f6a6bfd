"""Contracts of scorers: concat-and-convolve by pairs and by the square, the global one, the dot product, and d(y).

Parameters are nested dicts, as `dimref.discriminators` initializes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np

from dimref import discriminators, layers, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import numbers, perturbed, reference, variant, weights
from dimref.audit.catalogue.norms import EPSILONS, standardized
from dimref.audit.contract import Contract, Form, Sizes, Variant
from dimref.tape import stop_gradient
from dimref.trees import Array, Tree

HJELM = "arXiv 1808.06670, appendix A.1"
CONCAT, DOT = f"{HJELM} and figure 6", f"{HJELM} and figure 7"
Change = Callable[[Array], Array]


def _same(x: Array) -> Array:
    return x


def _no_bias(parameters: Tree) -> Tree:
    return {"w": parameters["w"]}


# ---- the layers above the first


def head(
    parameters: Tree, first: Array, activation: Change = ops.relu, inner: Change | None = None, out: Change = _same,
    bypass: bool = False, biases: bool = True,
) -> Array:  # fmt: skip
    """The concat scorer above its first layer: (..., H) → (...), or what is done otherwise."""
    hidden, score = (parameters[name] if biases else _no_bias(parameters[name]) for name in ("hidden", "score"))
    first = activation(first)
    second = first if bypass else (inner or activation)(layers.linear(hidden, first))
    return out(ops.reshape(layers.linear(score, second), first.shape[:-1]))


def leaky(x: Array) -> Array:
    """Leaky ReLU of slope 0.2."""
    return ops.relu(x) - 0.2 * ops.relu(-x)


# ---- concat-and-convolve


def pairs(
    parameters: Tree, features: Array, y: Array, index: Array,
    joint: tuple[Change, Change] = (_same, _same), product: tuple[Change, Change] = (_same, _same),
    partner: Callable[[Array, Array], Array] = ops.gather, tile: Callable[[Array, int], Array] | None = None,
    above: Callable[..., Array] = head, scored: Change = _same,
) -> tuple[Array, Array]:  # fmt: skip
    """Scores of joint and product pairs, (N, L) each; `joint`, `product` change features and y on one path, `scored` the
    product's scores."""
    found = []
    for (change_f, change_y), paired in ((joint, False), (product, True)):
        f = layers.linear(parameters["feature"], change_f(features))
        representation = layers.linear(parameters["representation"], change_y(y))
        here = partner(representation, index) if paired else (tile or every_location)(representation, features.shape[1])
        found.append(above(parameters, f + here))
    return found[0], scored(found[1])


def every_location(representation: Array, locations: int) -> Array:
    """y at each location: (N, H) → (N, 1, H)."""
    return ops.reshape(representation, (representation.shape[0], 1, representation.shape[1]))


def tiled(representation: Array, locations: int) -> Array:
    """The batch of y repeated L times in place of each y: row (i, l) has y[(i·L + l) mod N]."""
    n = representation.shape[0]
    return ops.gather(representation, (np.arange(n * locations) % n).reshape(n, locations))


def index_of_first(representation: Array, index: Array) -> Array:
    """The partner of the first location at every location."""
    return ops.gather(representation, np.broadcast_to(index[:, :1], index.shape))


def inverse_index(representation: Array, index: Array) -> Array:
    """y_i goes to x[index[i, l]]: the inverse permutation at each location."""
    return ops.gather(representation, np.argsort(index, axis=0))


def transposed_index(representation: Array, index: Array) -> Array:
    """The index flattened location by location, its numbers then read sample by sample."""
    return ops.gather(representation, index.T.reshape(index.shape))


def reshaped_index(representation: Array, index: Array) -> Array:
    """The index flattened sample by sample, its numbers then read location by location."""
    return ops.gather(representation, index.reshape(index.shape[::-1]).T)


def own_partner(representation: Array, index: Array) -> Array:
    """Each x meets its own y."""
    return ops.gather(representation, np.broadcast_to(np.arange(len(index))[:, None], index.shape))


def features_gathered(parameters: Tree, features: Array, y: Array, index: Array) -> tuple[Array, Array]:
    """product[i, l] = T(f_{index[i, l], l}, y_i): the features are moved, y stays."""
    joint, _ = pairs(parameters, features, y, index)
    n, locations, _ = features.shape
    flat = ops.reshape(features, (n * locations, features.shape[2]))
    moved = ops.gather(flat, index * locations + np.arange(locations))
    return joint, pairs(parameters, moved, y, index)[0]


def square(
    parameters: Tree, features: Array, y: Array, change_f: Change = _same, change_y: Change = _same,
    above: Callable[..., Array] = head, transposed: bool = False,
) -> Array:  # fmt: skip
    """scores[i, j, l] = T(f_il, y_j): (N, N, L), or what is done otherwise."""
    f = layers.linear(parameters["feature"], change_f(features))
    representation = layers.linear(parameters["representation"], change_y(y))
    n, locations, hidden = f.shape
    left, right = ops.reshape(f, (n, 1, locations, hidden)), ops.reshape(representation, (1, n, 1, hidden))
    scores = above(parameters, left + right)
    return ops.transpose(scores, (1, 0, 2)) if transposed else scores


def global_pairs(
    parameters: Tree, last_map: Array, y: Array, index: Array, axes: tuple[int, ...] = (0, 1, 2, 3), **how: Any
) -> tuple[Array, Array]:
    """The concat scorer of the whole map, flattened in the order of `axes`."""
    flat = ops.reshape(ops.transpose(last_map, axes), (last_map.shape[0], 1, math.prod(last_map.shape[1:])))
    joint, product = pairs(parameters, flat, y, index[:, None], **how)
    return ops.reshape(joint, (len(index),)), ops.reshape(product, (len(index),))


# ---- the dot product


def embed(
    parameters: Tree, x: Array, shortcut: bool = True, branch: Change = _same, total: Change = _same, norm: bool = True,
    epsilon: float = layers.EPSILON, correction: int = 0, bypass: bool = False, after: Change = _same,
    activation: Change = ops.relu,
) -> Array:  # fmt: skip
    """Two layers with a linear shortcut and layer norm, or what is done otherwise."""
    hidden = activation(layers.linear(parameters["hidden"], x))
    both = branch(hidden if bypass else layers.linear(parameters["out"], hidden))
    if shortcut:
        both = both + branch(layers.linear(parameters["shortcut"], x))
    both = total(both)
    if norm:
        scaled = standardized(both, both.ndim - 1, epsilon, correction)
        both = scaled * parameters["norm"]["gain"] + parameters["norm"]["shift"]
    return after(both)


def dot(
    parameters: Tree, features: Array, y: Array, change_f: Change = _same, change_y: Change = _same,
    power: float = 0.5, out: Change = _same, transposed: bool = False, cosine: bool = False, **how: Any,
) -> Array:  # fmt: skip
    """scores[i, j, l] = ⟨a(f_il), b(y_j)⟩/E^power: (N, N, L), or what is done otherwise."""
    a = embed(parameters["feature"], change_f(features), **how)
    b = embed(parameters["representation"], change_y(y), **how)
    if cosine:
        a, b, power = _unit(a), _unit(b), 0.0
    n, locations, units = a.shape
    scores = ops.matmul(ops.reshape(a, (n * locations, units)), ops.transpose(b, (1, 0))) * units**-power
    square = ops.transpose(ops.reshape(scores, (n, locations, n)), (0, 2, 1))
    return out(ops.transpose(square, (1, 0, 2)) if transposed else square)


def _unit(x: Array) -> Array:
    return x * ops.total(x * x, x.ndim - 1, keepdims=True) ** -0.5


# ---- the prior's discriminator


def logits(
    parameters: Tree, y: Array, activation: Change = ops.relu, inner: Change | None = None, out: Change = _same,
    before: Change = _same, biases: bool = True,
) -> Array:  # fmt: skip
    """d(y): (B, D) → (B,), or what is done otherwise."""
    first, second, score = (
        parameters[name] if biases else _no_bias(parameters[name]) for name in ("first", "second", "score")
    )
    hidden = activation(layers.linear(first, before(y)))
    hidden = (inner or activation)(layers.linear(second, hidden))
    return out(ops.reshape(layers.linear(score, hidden), (y.shape[0],)))


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


SIGNS = "leave the last layer linear: a critic needs both signs"
LET_PASS = "let the gradient pass on both paths"


def _head_mistakes(
    make: Callable[[str, Callable[..., Array], str, str, str], Variant],
    source: str,
    scorer: str = "the concat scorer",
) -> tuple[Variant, ...]:
    """What goes wrong above the first layer, whatever the pairs are."""
    return (
        make("relu-on-score", partial(head, out=ops.relu), f"{scorer} with a ReLU on its final score", SIGNS, source),
        make("sigmoid-on-score", partial(head, out=ops.sigmoid), f"{scorer} with a sigmoid on its final score", SIGNS,
             source),
        make("tanh-on-score", partial(head, out=anp.tanh), f"{scorer} with a tanh on its final score", SIGNS, source),
        make("layer-bypassed", partial(head, bypass=True), f"{scorer} whose second layer is built but bypassed",
             "call the layer: its output must go on to the score", source),
        make("relu-missing", partial(head, activation=_same), f"{scorer} without its ReLUs",
             "put a ReLU after each hidden layer", source),
        make("second-relu-missing", partial(head, inner=_same), f"{scorer} without its second ReLU",
             "put a ReLU after each hidden layer", source),
        make("leaky-relu", partial(head, activation=leaky), f"{scorer} with leaky ReLUs of slope 0.2", "use ReLUs",
             source),
        make("biases-left-out", partial(head, biases=False), f"{scorer} without the biases above its first layer",
             "add them", source),
    )  # fmt: skip


def _pair_mistakes(
    signature: Signature,
    function: Callable[..., Any],
    what: str,
    scorer: str = "the concat scorer",
) -> tuple[Variant, ...]:
    """y or the features detached on one path or on both."""
    make = partial(variant, signature)
    stop, named = stop_gradient, what.replace("-", " ")
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "y-detached-joint": ("y detached on the joint path", {"joint": (_same, stop)}),
        "y-detached-product": ("y detached on the product path", {"product": (_same, stop)}),
        "y-detached": ("y detached on both paths", {"joint": (_same, stop), "product": (_same, stop)}),
        f"{what}-detached-joint": (f"the {named} detached on the joint path", {"joint": (stop, _same)}),
        f"{what}-detached-product": (f"the {named} detached on the product path", {"product": (stop, _same)}),
        f"{what}-detached": (f"the {named} detached on both paths", {"joint": (stop, _same), "product": (stop, _same)}),
        "product-inputs-detached": (f"the {named} and y detached on the product path", {"product": (stop, stop)}),
        "product-detached": ("the product's scores detached", {"scored": stop}),
    }
    return tuple(
        make(key, partial(function, **how), f"{scorer} with {title}", LET_PASS, HJELM,
             consequence="the value is right, the gradient is not")
        for key, (title, how) in ways.items()
    )  # fmt: skip


_pairs, _global, _square, _prior = (partial(variant, each) for each in (PAIRS, GLOBAL, SQUARE, PRIOR))
_PAIRS = Form(
    name="arrays",
    signature=PAIRS,
    meaning="f(parameters, features (N, L, F), y (N, D), index (N, L)) -> (joint (N, L), product (N, L))",
    draw=_draw_pairs,
    reference=reference(discriminators.concat_pairs, PAIRS),
    conventions=(
        _pairs("features-gathered", features_gathered, "the concat scorer with x, not y, moved by the index",
               "gather y by the index; the features stay",
               consequence="as good a sample of the product: y_i meets x[index[i, l]]"),
        _pairs("index-inverted", partial(pairs, partner=inverse_index),
               "the concat scorer with the index used the other way round", "x_i meets y[index[i, l]]",
               consequence="as good a sample of the product: y_i goes to x[index[i, l]]"),
        _pairs("index-of-first-location", partial(pairs, partner=index_of_first),
               "the concat scorer with the partner of the first location at every location",
               "use index[i, l] at location l",
               consequence="as good a sample of the product, but N pairs in place of N·L"),
    ),
    mistakes=(
        *_head_mistakes(lambda key, above, *rest: _pairs(key, partial(pairs, above=above), *rest), CONCAT),
        *_pair_mistakes(PAIRS, pairs, "feature-map"),
        _pairs("y-tiled", partial(pairs, tile=tiled),
               "the concat scorer whose y were tiled, the whole batch after itself, where each should be repeated",
               "repeat each y L times in a row (repeat, not tile), or broadcast it", HJELM),
        _pairs("index-transposed", partial(pairs, partner=transposed_index),
               "the concat scorer with its index flattened location by location, where its features are by sample",
               "flatten both in one order: the index is (N, L)"),
        _pairs("index-reshaped", partial(pairs, partner=reshaped_index),
               "the concat scorer with its index flattened sample by sample, where its features are by location",
               "flatten both in one order: the index is (N, L)"),
        _pairs("index-ignored", partial(pairs, partner=own_partner),
               "the concat scorer with each x meeting its own y in the product too", "gather y by the index", HJELM),
    ),
)  # fmt: skip
_GLOBAL = Form(
    name="arrays",
    signature=GLOBAL,
    meaning="f(parameters, last_map (N, M, M, C), y (N, D), index (N,)) -> (joint (N,), product (N,))",
    draw=_draw_global,
    reference=reference(global_pairs, GLOBAL),
    conventions=(
        _global("flattened-channels-first", partial(global_pairs, axes=(0, 3, 1, 2)),
                "the global scorer of a map flattened in the order (channel, row, column)",
                "flatten in the order (row, column, channel), or reorder the rows of the first weight",
                "x.flatten(1) of PyTorch's NCHW",
                consequence="the same family of functions; trained weights must have their rows reordered before they fit"),
    ),
    mistakes=(
        *_head_mistakes(lambda key, above, *rest: _global(key, partial(global_pairs, above=above), *rest), HJELM,
                         "the global scorer"),
        *_pair_mistakes(GLOBAL, global_pairs, "map", "the global scorer"),
        _global("flattened-columns-first", partial(global_pairs, axes=(0, 2, 1, 3)),
                "the global scorer of a map flattened in the order (column, row, channel)",
                "flatten in the order (row, column, channel)"),
        _global("index-ignored", partial(global_pairs, partner=own_partner),
                "the global scorer with each x meeting its own y in the product too", "gather y by the index", HJELM),
    ),
)  # fmt: skip
_TRANSPOSED = "scores[j, i]: row = representation, column = image", "scores[i, j] = T(x_i, y_j)"
_SQUARE = Form(
    name="arrays",
    signature=SQUARE,
    meaning="f(parameters, features (N, L, F), y (N, D)) -> scores (N, N, L), [i, j, l] = T(f_il, y_j)",
    draw=partial(_draw_square, discriminators.init_concat),
    reference=reference(discriminators.concat_scores, SQUARE),
    conventions=(_square("transposed", partial(square, transposed=True), *_TRANSPOSED),),
    mistakes=(
        *_head_mistakes(lambda key, above, *rest: _square(key, partial(square, above=above), *rest), CONCAT),
        _square("y-detached", partial(square, change_y=stop_gradient), "the concat scorer with y detached", LET_PASS,
                HJELM),
        _square("feature-map-detached", partial(square, change_f=stop_gradient),
                "the concat scorer with the feature map detached", LET_PASS, HJELM),
    ),
)  # fmt: skip
_DOT = Form(
    name="arrays",
    signature=SQUARE,
    meaning="f(parameters, features (N, L, F), y (N, D)) -> scores (N, N, L), [i, j, l] = ⟨a(f_il), b(y_j)⟩/√E",
    draw=partial(_draw_square, discriminators.init_dot),
    reference=reference(discriminators.dot_scores, SQUARE),
    conventions=(
        _square("not-scaled", partial(dot, power=0.0), "the dot scorer without the factor 1/√E", "divide by √E",
                "public code for arXiv 1808.06670"),
        _square("scaled-by-e", partial(dot, power=1.0), "the dot scorer divided by E in place of √E", "divide by √E"),
        _square("transposed", partial(dot, transposed=True), *_TRANSPOSED),
        *(_square(f"epsilon-{epsilon:g}", partial(dot, epsilon=epsilon),
                  f"the dot scorer whose layer norm has ε = {epsilon:g}", "set ε to 1e-5") for epsilon in EPSILONS),
        _square("not-scaled-epsilon-1e-6", partial(dot, power=0.0, epsilon=1e-6),
                "the dot scorer without the factor 1/√E, its layer norm with ε = 1e-6", "divide by √E",
                consequence="√E times as large"),
    ),
    mistakes=(
        _square("relu-on-both-branches", partial(dot, branch=ops.relu),
                "the dot scorer with a ReLU on both branches of its shortcut, before they are added",
                "add them first; no ReLU", DOT),
        _square("relu-on-sum", partial(dot, total=ops.relu), "the dot scorer with a ReLU on the sum of both branches",
                "no ReLU before layer norm", DOT),
        _square("relu-on-score", partial(dot, out=ops.relu), "the dot scorer with a ReLU on its scores", SIGNS, DOT),
        _square("relu-after-norm", partial(dot, after=ops.relu),
                "the dot scorer with a ReLU on both embeddings, after layer norm", SIGNS, DOT),
        _square("shortcut-left-out", partial(dot, shortcut=False), "the dot scorer without its shortcut",
                "add the shortcut before layer norm", DOT),
        _square("norm-left-out", partial(dot, norm=False), "the dot scorer without layer norm",
                "normalize both embeddings", DOT),
        _square("layer-bypassed", partial(dot, bypass=True),
                "the dot scorer whose second layer is built but bypassed", "call the layer", DOT),
        _square("relu-missing", partial(dot, activation=_same), "the dot scorer without the ReLU between its layers",
                "put a ReLU after the first layer", DOT),
        _square("unbiased-variance", partial(dot, correction=1),
                "the dot scorer whose layer norm has the unbiased variance", "divide by E, not by E − 1"),
        _square("cosine", partial(dot, cosine=True), "the cosine of both embeddings", "⟨a, b⟩/√E", DOT),
        _square("y-detached", partial(dot, change_y=stop_gradient), "the dot scorer with y detached", LET_PASS, HJELM),
        _square("feature-map-detached", partial(dot, change_f=stop_gradient),
                "the dot scorer with the feature map detached", LET_PASS, HJELM),
    ),
)  # fmt: skip


_LOGITS = Form(
    name="arrays",
    signature=PRIOR,
    meaning="f(parameters, y (B, D)) -> d(y) (B,)",
    draw=_draw_prior,
    reference=reference(discriminators.prior_logits, PRIOR),
    mistakes=(
        _prior("relu-on-score", partial(logits, out=ops.relu), "d(y) with a ReLU on the final score", SIGNS, HJELM),
        _prior("probability", partial(logits, out=ops.sigmoid),
               "D(y) = σ(d(y)), the probability in place of the log odds", "leave the sigmoid to the loss", HJELM),
        _prior("sigmoid-before", partial(logits, before=ops.sigmoid), "d(σ(y)): a sigmoid on the input",
               "pass y through a sigmoid before, draws not", HJELM),
        _prior("relu-missing", partial(logits, activation=_same), "d(y) without ReLUs, a linear function",
               "put a ReLU after each hidden layer", HJELM),
        _prior("second-relu-missing", partial(logits, inner=_same), "d(y) without its second ReLU",
               "put a ReLU after each hidden layer", HJELM),
        _prior("leaky-relu", partial(logits, activation=leaky), "d(y) with leaky ReLUs of slope 0.2", "use ReLUs",
               HJELM),
        _prior("biases-left-out", partial(logits, biases=False), "d(y) without biases", "add them", HJELM),
        _prior("negated", partial(logits, out=lambda d: -d), "−d(y): the log odds of being a representation",
               "label 1 for draws of the prior", HJELM),
    ),
)  # fmt: skip

CONTRACTS: tuple[Contract, ...] = (
    Contract("discriminator", "concat_pairs", "the concat scorer's joint and product scores", (_PAIRS,), CONCAT),
    Contract("discriminator", "global_pairs", "the global scorer's joint and product scores", (_GLOBAL,), HJELM),
    Contract("discriminator", "concat_square", "the concat scorer of every pair", (_SQUARE,), CONCAT),
    Contract("discriminator", "dot_square", "the dot scorer of every pair", (_DOT,), DOT),
    Contract("discriminator", "prior_logits", "the log odds d(y) of the prior's discriminator", (_LOGITS,), HJELM),
)
