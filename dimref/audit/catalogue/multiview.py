"""Contracts of AMDIM's loss: one direction, from embeddings or from its square of scores, and both of a pair of scales.

A loss is minimized: constants may be dropped. Clip and penalty come as numbers, and count as what is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np

from dimref import negatives, ops
from dimref.amdim import soft_clip
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import Row, reference, variants
from dimref.audit.catalogue.pieces import ORDER, noise
from dimref.audit.contract import Contract, Form, Sizes, Variant
from dimref.audit.edits import Formula, Instead, rewritten
from dimref.trees import Array

BACHMAN = "arXiv 1906.00910"
CLIPS, PENALTIES = (1.5, 3.0, 6.0), (0.05, 0.3)
Loss = Callable[[Array, float, float], Array]  # of raw scores s[i, j, l], clip c and penalty λ


# ---- one direction, from its scores


def positives(scores: Array) -> Array:
    """The scores of each anchor's own image, (N, L)."""
    return negatives.all_pairs(scores)[0]


def log_others(scores: Array) -> Array:
    """log Σ e^t over every location of all other images, for each anchor: (N, 1)."""
    n, _, locations = scores.shape
    others = negatives.all_pairs(ops.transpose(scores, (1, 0, 2)))[1]
    return ops.reshape(ops.logsumexp(ops.reshape(others, (n, (n - 1) * locations)), axis=1), (n, 1))


def log_all(scores: Array) -> Array:
    """The same over every location of every image."""
    n, _, locations = scores.shape
    everything = ops.reshape(ops.transpose(scores, (1, 0, 2)), (n, n * locations))
    return ops.reshape(ops.logsumexp(everything, axis=1), (n, 1))


def shares(t: Array, others: Callable[[Array], Array] = log_others) -> Array:
    """log softmax of each positive beside the others' locations, (N, L)."""
    here = positives(t)
    return here - anp.logaddexp(here, others(t))


def mean_share(t: Array) -> Array:
    """The same of each image's mean positive score."""
    here = ops.mean(positives(t), 1, keepdims=True)
    return here - anp.logaddexp(here, log_others(t))


def squares(scores: Array) -> Array:
    """Their mean square."""
    return ops.mean(scores * scores)


def loss(scores: Array, clip: float, penalty: float) -> Array:
    """−mean log softmax of c·tanh(s/c) + λ·mean s²."""
    t = soft_clip(scores, clip)
    return -ops.mean(shares(t)) + penalty * squares(scores)


def hard(scores: Array, clip: float) -> Array:
    """min(max(s, −c), c)."""
    return ops.relu(scores + clip) - ops.relu(scores - clip) - clip


def clipped_after(scores: Array, clip: float, penalty: float) -> Array:
    """The log softmax of the raw scores is clipped."""
    return -ops.mean(soft_clip(shares(scores), clip)) + penalty * squares(scores)


def certified(scores: Array, clip: float, penalty: float) -> Array:
    """The others' locations averaged, not summed."""
    t = soft_clip(scores, clip)
    return penalty * squares(scores) - ops.mean(shares(t, lambda t: log_others(t) - math.log(t.shape[2])))


# ---- from embeddings


def scored(anchors: Array, candidates: Array, power: float = 0.5) -> Array:
    """s[i, j, l] = ⟨f_il, y_j⟩/E^power."""
    n, locations, units = candidates.shape
    products = ops.matmul(ops.reshape(candidates, (n * locations, units)), ops.transpose(anchors, (1, 0)))
    return ops.transpose(ops.reshape(products * units**-power, (n, locations, n)), (0, 2, 1))


def from_embeddings(function: Loss, power: float = 0.5) -> Callable[..., Array]:
    """A loss of scores as one of anchors (N, E) and candidates (N, L, E)."""
    return lambda candidates, anchors, clip, penalty: function(scored(anchors, candidates, power), clip, penalty)


def penalty_without_root(candidates: Array, anchors: Array, clip: float, penalty: float) -> Array:
    """λ·mean ⟨f, y⟩²: the penalty is on the products before they are divided by √E."""
    return from_embeddings(loss)(candidates, anchors, clip, penalty * anchors.shape[1])


# ---- both directions


def both(function: Callable[..., Array], weights: tuple[float, float] = (0.5, 0.5)) -> Callable[..., Array]:
    """A loss of one direction as one of a pair: the anchors of each view meet the candidates of the other."""

    def pair(f_1: Array, y_1: Array, f_2: Array, y_2: Array, clip: float, penalty: float) -> Array:
        found = []
        for weight, candidates, anchors in (
            (weights[0], f_2, y_1),
            (weights[1], f_1, y_2),
        ):
            if weight:
                found.append(weight * function(candidates, anchors, clip, penalty))
        return found[0] + found[1] if len(found) > 1 else found[0]

    return pair


# ---- what is asked

SCORES = Signature(("scores", "clip", "penalty"), differentiate=("scores",))
EMBEDDINGS = Signature(("candidates", "anchors", "clip", "penalty"), differentiate=("candidates", "anchors"))
VIEWS = ("f_1", "y_1", "f_2", "y_2")
PAIR = Signature((*VIEWS, "clip", "penalty"), differentiate=VIEWS)


def _options(rng: np.random.Generator) -> Inputs:
    return {"clip": float(rng.choice(CLIPS)), "penalty": float(rng.choice(PENALTIES))}


def _draw_scores(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    n = max(2, sizes.n)
    return {"scores": noise(rng, sizes, n, n, 1 + sizes.locations).astype(sizes.dtype), **_options(rng)}


def _draw_embeddings(names: tuple[str, ...], rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """E of 2 to 5, so that √E is not 1. Where a critic is sure the views agree, which leaves no direction to tell."""
    n, units = max(2, sizes.n), 2 + sizes.m % 4
    drawn: Inputs = {}
    for name in names:
        shape = (n, 1 + sizes.locations, units) if name.startswith(("candidates", "f")) else (n, units)
        drawn[name] = noise(rng, sizes, *shape)
        if sizes.regime == "separated":
            drawn[name] = drawn[name] + np.arange(n).reshape(n, *(1,) * (len(shape) - 1)) % 2 * 2 - 1
    return {**{name: array.astype(sizes.dtype) for name, array in drawn.items()}, **_options(rng)}


# fmt: off
INSTEAD: Instead = {
    "soft_clip": (
        ("not-clipped", "{x}", "scores that are not clipped"),
        ("clipped-hard", "hard({x}, {y})", "scores cut off at ±c instead of c·tanh(s/c)"),
        *((f"clip-{c}", f"soft_clip({{x}}, {c}.0)", f"scores clipped at ±{c}, whatever the clip") for c in (10, 20)),
    ),
    "shares": (
        ("locations-summed", "(t.shape[2] * {it})", "its cross entropy summed over the positives of an anchor"),
        ("all-summed", "(t.shape[0] * t.shape[2] * {it})", "its cross entropy summed over anchors and positives"),
        ("own-image-among-negatives", "shares({x}, log_all)", "the anchor's own image among its negatives: it counts twice"),
        ("own-locations-too", "(positives({x}) - log_all({x}))", "the positive's other locations among the negatives"),
        ("masked-by-minus-c", "shares({x}, lambda t: anp.logaddexp(log_others(t), math.log(t.shape[2]) - clip))",
         "the own image's scores set to −c instead of removed"),
        ("positive-excluded", "(positives({x}) - log_others({x}))", "the positive left out of the denominator"),
        ("same-location", "(positives({x}) - ops.logsumexp({x}, axis=0))",
         "the same location of the other images as the only negatives"),
        ("over-anchors", "(positives({x}) - ops.logsumexp({x}, axis=1))", "anchors as candidates: the softmax over y"),
        ("positives-averaged", "mean_share({x})", "the mean positive score of each image for its positives"),
    ),
    "squares": (
        ("penalty-clipped", "squares(t)", "the penalty on the clipped scores"),
        ("penalty-of-positives", "squares(positives({x}))", "the penalty on the positives alone"),
    ),
}
MEANS = "the mean over both directions"
CONVENTIONS: tuple[Row, ...] = (
    ("certified", certified, "AMDIM's loss with the others' locations averaged, not summed",
     "sum over the locations of the others", BACHMAN, "log N less it is a bound on I; K = N in effect"),
)
MISTAKES: tuple[Row, ...] = (
    ("clipped-after-softmax", clipped_after, "AMDIM's loss with the clip applied to the log softmax, not to the scores",
     "c·tanh(s/c) of the scores, before the softmax", BACHMAN,
     "a positive that fails by more than c nats is hardly pulled any more, and scores grow without limit"),
)
SCALES: tuple[Row, ...] = (
    ("not-scaled", from_embeddings(loss, 0.0), "AMDIM's loss of ⟨f, y⟩, not divided by √E", "divide by √E", BACHMAN,
     "scores √E times as large: clipped from the start, and the penalty E times as large"),
    ("scaled-by-e", from_embeddings(loss, 1.0), "AMDIM's loss of ⟨f, y⟩/E", "divide by √E", BACHMAN,
     "scores √E times too small"),
    ("penalty-without-root", penalty_without_root, "AMDIM's loss with the penalty on ⟨f, y⟩ before the division by √E",
     "take the mean square of the scores as they are before clipping, divided by √E", BACHMAN,
     "the penalty is E times as large"),
)
DIRECTIONS: tuple[Row, ...] = (
    *((f"{which}-direction", both(from_embeddings(loss), weights), f"AMDIM's loss of the {which} view's anchors alone",
       MEANS,
       BACHMAN, "one direction of two") for which, weights in (("first", (1.0, 0.0)), ("second", (0.0, 1.0)))),
    ("penalties-summed", lambda *a: both(from_embeddings(loss))(*a[:-1], 2 * a[-1]),
     "AMDIM's loss with the penalties of both directions summed", f"{MEANS}, penalty included", BACHMAN,
     "λ is twice as large"),
    ("within-a-view", lambda f_1, y_1, f_2, y_2, *more: both(from_embeddings(loss))(f_2, y_1, f_1, y_2, *more),
     "AMDIM's loss of anchors and candidates of the same view", "anchors of one view, candidates of the other", BACHMAN,
     "solved without learning: the features of a view know their own view's noise"),
)
SUMMED: Row = ("directions-summed", both(from_embeddings(loss), (1.0, 1.0)), "AMDIM's loss summed over both directions",
               MEANS,
               BACHMAN, "twice the mean: the same minimum, twice the step")
FORMULA = Formula(loss, instead=INSTEAD, scope=globals())


def _form(name: str, signature: Signature, meaning: str, draw: Callable[..., Inputs],
          wrap: Callable[[Any], Callable[..., Array]],
          conventions: Iterable[Row] = (), mistakes: Iterable[Row] = ()) -> Form:
    """A way to call it; wrap: a loss of scores -> one of these arguments."""
    def wrapped(rows: Iterable[Row]) -> tuple[Variant, ...]:
        return variants(signature, ((key, wrap(function), *words) for key, function, *words in rows))

    part = (FORMULA, lambda function: reference(wrap(function), signature), "AMDIM's loss")
    return Form(
        name, signature, meaning, draw, reference(wrap(loss), signature), objective=True, loss=True, laws=(ORDER,),
        conventions=(*wrapped(CONVENTIONS), *variants(signature, conventions)),
        mistakes=(*variants(signature, mistakes), *wrapped(MISTAKES)),
        **rewritten(part, without=("constant", "whole", "maximum")),
    )


SCORES_FORM = _form(
    "scores", SCORES, "f(scores (N, N, L), clip, penalty) -> loss; scores[i, j, l] = ⟨f_il, y_j⟩/√E before clipping",
    _draw_scores, lambda function: function)
EMBEDDINGS_FORM = _form(
    "embeddings", EMBEDDINGS, "f(candidates (N, L, E), anchors (N, E), clip, penalty) -> loss",
    partial(_draw_embeddings, ("candidates", "anchors")), from_embeddings, (), SCALES)
PAIR_FORM = _form(
    "embeddings", PAIR,
    "f(f_1, y_1, f_2, y_2, clip, penalty) -> loss; candidates f (N, L, E) and anchors y (N, E) of both views",
    partial(_draw_embeddings, VIEWS), lambda function: both(from_embeddings(function)), (SUMMED,),
    (*DIRECTIONS, *((key, both(function), *words) for key, function, *words in SCALES)))
CONTRACTS = (
    Contract("bound", "amdim_direction",
             "AMDIM's loss of one direction: clipped, all locations of the others, with its penalty",
             (EMBEDDINGS_FORM, SCORES_FORM), f"{BACHMAN}, sections 3.2 and 3.3"),
    Contract("bound", "amdim_pair", "AMDIM's loss of a pair of scales: the mean over both directions", (PAIR_FORM,),
             f"{BACHMAN}, section 3.5"),
)
