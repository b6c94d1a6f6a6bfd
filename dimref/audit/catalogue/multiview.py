"""Contracts of AMDIM's loss: one direction, from embeddings or from its square of scores, and both of a pair of scales.

A loss is minimized: constants may be dropped. Clip and penalty come as numbers, and count as what is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np

from dimref import amdim, negatives, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import reference, variant
from dimref.audit.catalogue.pieces import ORDER, noise
from dimref.audit.contract import Contract, Form, Sizes, Variant
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


def shares(t: Array) -> Array:
    """log softmax of each positive beside the others' locations, (N, L)."""
    here = positives(t)
    return here - anp.logaddexp(here, log_others(t))


def squares(scores: Array) -> Array:
    """Their mean square."""
    return ops.mean(scores * scores)


def loss(
    scores: Array, clip: float, penalty: float,
    clipped: Callable[[Array, float], Array] = amdim.soft_clip,
    entropy: Callable[[Array], Array] = lambda t: -ops.mean(shares(t)),
    squared: Callable[[Array, float], Array] = lambda s, c: squares(s),
) -> Array:  # fmt: skip
    """−mean log softmax of c·tanh(s/c) + λ·mean s², or what is done otherwise."""
    return entropy(clipped(scores, clip)) + penalty * squared(scores, clip)


def hard(scores: Array, clip: float) -> Array:
    """min(max(s, −c), c)."""
    return ops.relu(scores + clip) - ops.relu(scores - clip) - clip


def fixed(constant: float) -> Callable[[Array, float], Array]:
    """Clipped at a constant, whatever clip is."""
    return lambda scores, clip: amdim.soft_clip(scores, constant)


def clipped_after(scores: Array, clip: float, penalty: float) -> Array:
    """The log softmax of the raw scores is clipped."""
    return -ops.mean(amdim.soft_clip(shares(scores), clip)) + penalty * squares(scores)


def masked_by_clip(scores: Array, clip: float, penalty: float) -> Array:
    """The own image's scores among the negatives are set to −c, and count."""
    t = amdim.soft_clip(scores, clip)
    here = positives(t)
    others = anp.logaddexp(log_others(t), math.log(here.shape[1]) - clip)
    return ops.mean(anp.logaddexp(here, others) - here) + penalty * squares(scores)


def _over_anchors(t: Array) -> Array:
    """For each feature of an image, the anchors of all images are its candidates."""
    return ops.mean(ops.logsumexp(t, axis=1)) - ops.mean(positives(t))


def _same_location(t: Array) -> Array:
    return ops.mean(ops.logsumexp(t, axis=0)) - ops.mean(positives(t))


def _averaged(t: Array) -> Array:
    here = positives(t)
    return ops.mean(anp.logaddexp(here, log_others(t) - math.log(here.shape[1])) - here)


def _own_twice(t: Array) -> Array:
    here = positives(t)
    return ops.mean(anp.logaddexp(here, log_all(t)) - here)


def _of_mean_score(t: Array) -> Array:
    here = ops.mean(positives(t), 1, keepdims=True)
    return ops.mean(anp.logaddexp(here, log_others(t)) - here)


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


def within_a_view(f_1: Array, y_1: Array, f_2: Array, y_2: Array, clip: float, penalty: float) -> Array:
    """The anchors of each view meet the candidates of their own view."""
    return both(from_embeddings(loss))(f_2, y_1, f_1, y_2, clip, penalty)


def penalties_summed(*arguments: Array) -> Array:
    """The mean of both cross entropies, but the sum of both penalties."""
    *embeddings, clip, penalty = arguments
    return both(from_embeddings(loss))(*embeddings, clip, 2 * penalty)


# ---- what is asked

SCORES = Signature(("scores", "clip", "penalty"), differentiate=("scores",))
EMBEDDINGS = Signature(("candidates", "anchors", "clip", "penalty"), differentiate=("candidates", "anchors"))
VIEWS = ("f_1", "y_1", "f_2", "y_2")
PAIR = Signature((*VIEWS, "clip", "penalty"), differentiate=VIEWS)
SOFT = "c·tanh(s/c) of the scores, before the softmax"
RAW = "take the mean square of the scores as they are before clipping, divided by √E"
MEANS = "the mean over anchors and over their positives"
OTHERS = "the locations of all other images, and the one positive"

MISTAKES = (
    ("not-clipped", partial(loss, clipped=lambda s, c: s), "AMDIM's loss with scores that are not clipped",
     "scores grow without limit, and the softmax is ever surer", SOFT),
    ("clipped-after-softmax", clipped_after, "AMDIM's loss with the clip applied to the log softmax, not to the scores",
     "a positive that fails by more than c nats is hardly pulled any more, and scores grow without limit", SOFT),
    *((f"clip-{c}", partial(loss, clipped=fixed(float(c))), f"AMDIM's loss with scores clipped at ±{c}, whatever the clip",
       "another objective than the one asked for: a default, or a clip that is not restored with the checkpoint",
       "hand the clip on, and save it with the run") for c in (10, 20)),
    ("clipped-hard", partial(loss, clipped=hard), "AMDIM's loss with scores cut off at ±c instead of c·tanh(s/c)",
     "no gradient beyond ±c", SOFT),
    ("penalty-clipped", partial(loss, squared=lambda s, c: squares(amdim.soft_clip(s, c))),
     "AMDIM's loss with the penalty on the clipped scores", "a score beyond the clip is hardly pulled back", RAW),
    ("penalty-left-out", partial(loss, squared=lambda s, c: 0.0 * ops.mean(s)), "AMDIM's loss without its penalty",
     "scores grow until the clip stops them, where there is no gradient left", "add λ·mean s²"),
    ("penalty-of-positives", partial(loss, squared=lambda s, c: squares(positives(s))),
     "AMDIM's loss with the penalty on the positives alone", "the negatives' scores are free to fall",
     "the mean over all N²·L scores"),
    ("locations-summed", partial(loss, entropy=lambda t: -t.shape[2] * ops.mean(shares(t))),
     "AMDIM's cross entropy summed over the positives of an anchor instead of averaged",
     "L times as large beside the penalty, and 7×7 maps outweigh 5×5 ones", MEANS),
    ("all-summed", partial(loss, entropy=lambda t: -ops.total(shares(t))),
     "AMDIM's cross entropy summed over anchors and positives", "N·L times as large beside the penalty", MEANS),
    ("own-image-among-negatives", partial(loss, entropy=_own_twice),
     "AMDIM's loss with the anchor's own image among its negatives: the positive counts twice",
     "never below log 2: an image is pushed away from itself", OTHERS),
    ("own-locations-too", partial(loss, entropy=lambda t: ops.mean(log_all(t)) - ops.mean(positives(t))),
     "AMDIM's loss with the positive's other locations among the negatives",
     "the locations of an image compete with each other: never below log L when they agree", OTHERS),
    ("masked-by-minus-c", masked_by_clip, "AMDIM's loss with the own image's scores set to −c instead of removed",
     "L candidates of e^−c more, which count where the clip is small", OTHERS),
    ("positive-excluded", partial(loss, entropy=lambda t: ops.mean(log_others(t)) - ops.mean(positives(t))),
     "AMDIM's loss with the positive left out of the denominator", "no bound below: scores are pulled apart for ever",
     OTHERS),
    ("same-location", partial(loss, entropy=_same_location),
     "AMDIM's loss with the same location of the other images as the only negatives",
     "N candidates in place of 1 + (N − 1)·L", OTHERS),
    ("over-anchors", partial(loss, entropy=_over_anchors), "AMDIM's loss with anchors as candidates: the softmax over y",
     "N candidates in place of 1 + (N − 1)·L", OTHERS),
    ("positives-averaged", partial(loss, entropy=_of_mean_score),
     "AMDIM's loss of each image's mean positive score", "one location that fails does not count (Jensen)",
     "the loss of each positive, then the mean"),
)  # fmt: skip
CONVENTIONS = (
    ("certified", partial(loss, entropy=_averaged), "AMDIM's loss with the others' locations averaged, not summed",
     "log N less it is a bound on I; K = N in effect", "sum over the locations of the others"),
)  # fmt: skip
SCALES = (
    ("not-scaled", from_embeddings(loss, 0.0), "AMDIM's loss of ⟨f, y⟩, not divided by √E",
     "scores √E times as large: clipped from the start, and the penalty E times as large", "divide by √E"),
    ("scaled-by-e", from_embeddings(loss, 1.0), "AMDIM's loss of ⟨f, y⟩/E", "scores √E times too small", "divide by √E"),
    ("penalty-without-root", penalty_without_root, "AMDIM's loss with the penalty on ⟨f, y⟩ before the division by √E",
     "the penalty is E times as large", RAW),
)  # fmt: skip
DIRECTIONS = (
    ("first-direction", both(from_embeddings(loss), (1.0, 0.0)), "AMDIM's loss of the first view's anchors alone",
     "one direction of two", "the mean over both directions"),
    ("second-direction", both(from_embeddings(loss), (0.0, 1.0)), "AMDIM's loss of the second view's anchors alone",
     "one direction of two", "the mean over both directions"),
    ("penalties-summed", penalties_summed, "AMDIM's loss with the penalties of both directions summed",
     "λ is twice as large", "the mean over both directions, penalty included"),
    ("within-a-view", within_a_view, "AMDIM's loss of anchors and candidates of the same view",
     "solved without learning: the features of a view know their own view's noise", "anchors of one view, candidates of "
     "the other"),
)  # fmt: skip


SUMMED = (
    ("directions-summed", both(from_embeddings(loss), (1.0, 1.0)), "AMDIM's loss summed over both directions",
     "twice the mean: the same minimum, twice the step", "the mean over both directions"),
)  # fmt: skip
Words = tuple[str, Any, str, str, str]  # key, function, title, consequence, fix


def _variants(
    signature: Signature, told: tuple[Words, ...], wrap: Callable[[Any], Callable[..., Array]]
) -> tuple[Variant, ...]:
    return tuple(
        variant(signature, key, wrap(function), title, fix, BACHMAN, consequence)
        for key, function, title, consequence, fix in told
    )


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


def _same(function: Callable[..., Array]) -> Callable[..., Array]:
    return function


SCORES_FORM = Form(
    name="scores",
    signature=SCORES,
    meaning="f(scores (N, N, L), clip, penalty) -> loss; scores[i, j, l] = ⟨f_il, y_j⟩/√E before clipping",
    draw=_draw_scores,
    reference=reference(loss, SCORES),
    objective=True,
    loss=True,
    conventions=_variants(SCORES, CONVENTIONS, _same),
    mistakes=_variants(SCORES, MISTAKES, _same),
    laws=(ORDER,),
)
EMBEDDINGS_FORM = Form(
    name="embeddings",
    signature=EMBEDDINGS,
    meaning="f(candidates (N, L, E), anchors (N, E), clip, penalty) -> loss",
    draw=partial(_draw_embeddings, ("candidates", "anchors")),
    reference=reference(from_embeddings(loss), EMBEDDINGS),
    objective=True,
    loss=True,
    conventions=_variants(EMBEDDINGS, CONVENTIONS, from_embeddings),
    mistakes=(*_variants(EMBEDDINGS, SCALES, _same), *_variants(EMBEDDINGS, MISTAKES, from_embeddings)),
    laws=(ORDER,),
)
PAIR_FORM = Form(
    name="embeddings",
    signature=PAIR,
    meaning="f(f_1, y_1, f_2, y_2, clip, penalty) -> loss; candidates f (N, L, E) and anchors y (N, E) of both views",
    draw=partial(_draw_embeddings, VIEWS),
    reference=reference(both(from_embeddings(loss)), PAIR),
    objective=True,
    loss=True,
    conventions=(
        *_variants(PAIR, CONVENTIONS, lambda function: both(from_embeddings(function))),
        *_variants(PAIR, SUMMED, _same),
    ),
    mistakes=(
        *_variants(PAIR, DIRECTIONS, _same),
        *_variants(PAIR, SCALES, both),
        *_variants(PAIR, MISTAKES, lambda function: both(from_embeddings(function))),
    ),
    laws=(ORDER,),
)
CONTRACTS = (
    Contract(
        "bound", "amdim_direction", "AMDIM's loss of one direction: clipped, all locations of the others, with its penalty",
        (EMBEDDINGS_FORM, SCORES_FORM), f"{BACHMAN}, sections 3.2 and 3.3",
    ),
    Contract(
        "bound", "amdim_pair", "AMDIM's loss of a pair of scales: the mean over both directions", (PAIR_FORM,),
        f"{BACHMAN}, section 3.5",
    ),
)  # fmt: skip
