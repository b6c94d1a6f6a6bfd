"""Other ways to call what other families define: InfoNCE of features, a learned temperature, TUBA and MINE of a matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np

from dimref import bounds, negatives, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue import contrastive, mine
from dimref.audit.catalogue.contrastive import normalized, products
from dimref.audit.catalogue.forms import Row, reference, variants
from dimref.audit.catalogue.pieces import OORD, ORDER, POOLE, draw_square, everything
from dimref.audit.contract import Form, Sizes
from dimref.audit.edits import Formula, rewritten
from dimref.tape import stop_gradient
from dimref.trees import Array, Tree

CPC = f"{OORD}, eq. (4)"


def _edited(function: Callable[..., Array], signature: Signature, title: str,
            without: tuple[str, ...] = ("whole",)) -> dict[str, Any]:  # fmt: skip
    formula = Formula(function, instead=contrastive.NORMALIZED, scope=vars(contrastive))
    return rewritten((formula, lambda edited: reference(edited, signature), title), without=without)


# ---- InfoNCE of features


def infonce(queries: Array, keys: Array, temperature: float) -> Array:
    """log N + mean_i(T_ii − log Σ_j e^{T_ij}), T_ij = ⟨q_i, k_j⟩/τ of cosines."""
    scores = products(normalized(queries), normalized(keys)) / temperature
    return bounds.infonce(ops.transpose(scores, (1, 0)))


def _infonce(
    keys: Callable[[Array], Array] = lambda k: k, normalize: Callable[[Array], Array] = normalized, turn: bool = True
) -> Callable[..., Array]:
    def bound(q: Array, k: Array, temperature: float) -> Array:
        scores = products(normalize(q), normalize(keys(k))) / temperature
        return bounds.infonce(ops.transpose(scores, (1, 0)) if turn else scores)

    return bound


def _both(q: Array, k: Array, temperature: float) -> Array:
    return 0.5 * (infonce(q, k, temperature) + infonce(k, q, temperature))


def _loss(function: Callable[..., Array]) -> Callable[..., Array]:
    """log N − the bound: the cross entropy."""
    return lambda q, k, temperature: math.log(len(q)) - function(q, k, temperature)


def _left_out(q: Array, k: Array, temperature: float) -> Array:
    scores = products(normalized(q), normalized(k)) / temperature
    return bounds.leave_one_out(ops.transpose(scores, (1, 0))) + math.log(len(q) / (len(q) - 1))


def _conventions() -> Iterator[Row]:
    """Other critics and directions, each as a bound and as its cross entropy."""
    for key, function, title in (
        ("", infonce, "InfoNCE"),
        ("keys-fixed", _infonce(stop_gradient), "InfoNCE whose keys take no gradient, as a momentum encoder's"),
        ("other-direction", _infonce(turn=False), "InfoNCE with the queries as the candidates of a key"),
        ("both-directions", _both, "the mean of InfoNCE in both directions, CLIP's"),
        ("dot-products", _infonce(normalize=lambda x: x), "InfoNCE of dot products: the features are not normalized"),
        ("dot-products-keys-fixed", _infonce(stop_gradient, lambda x: x),
         "InfoNCE of dot products whose keys take no gradient"),
    ):  # fmt: skip
        what = "a bound of another critic, or in another direction" if key else "the loss: minimized, no estimate"
        if key:
            yield key, function, title, "none is needed", CPC, what
        name, fix = f"cross-entropy{key and '-'}{key}", "log N − it is the bound"
        yield name, _loss(function), f"the cross entropy of {title}", fix, CPC, what


MISTAKE: Row = (
    "positive-left-out", _left_out, "InfoNCE with the positive left out of the denominator",
    "the positive is one of its candidates", f"{POOLE}, section 2.1", "nothing bounds it; on purpose in DCL",
)  # fmt: skip


def _draw_learned(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    drawn = contrastive._draw_two("queries", "keys", rng, sizes)
    return {**drawn, "temperature": np.asarray(drawn["temperature"], sizes.dtype)}


def _infonce_forms() -> Iterator[Form]:
    """Without, and with the gradient in the temperature, which is an array then."""
    for learned in (False, True):
        names = ("queries", "keys", "temperature")
        signature = Signature(names, differentiate=names if learned else names[:2])
        more = ", one number with a gradient" if learned else ""
        yield Form(
            "features-learned" if learned else "features", signature,
            f"queries, keys (N, D), normalized by the loss; temperature{more}; the batch's keys are a query's candidates",
            _draw_learned if learned else partial(contrastive._draw_two, "queries", "keys"),
            reference(infonce, signature), True, variants(signature, _conventions()), variants(signature, (MISTAKE,)),
            laws=(ORDER,),
            raised=None if learned else contrastive._raised_two("queries", "keys"), range_to=1 / contrastive.COLDEST,
            **_edited(infonce, signature, "InfoNCE"),
        )  # fmt: skip


# ---- CLIP with the scale that it learns


def clip(image: Array, text: Array, log_scale: Array) -> Array:
    """The mean cross entropy of both directions, of cosines times e^t."""
    logits = products(normalized(image), normalized(text)) * anp.exp(log_scale)
    n = logits.shape[0]
    return math.log(n) - 0.5 * (bounds.infonce(logits) + bounds.infonce(ops.transpose(logits, (1, 0))))


def _draw_clip(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    drawn = contrastive._draw_two("image", "text", rng, sizes)
    return {**drawn, "log_scale": np.asarray(round(-math.log(drawn.pop("temperature")), 2), sizes.dtype)}


CLIP_SIGNATURE = Signature(("image", "text", "log_scale"), differentiate=("image", "text", "log_scale"))
CLIP_FORM = Form(
    "features-learned",
    CLIP_SIGNATURE,
    "image, text (N, D), normalized by the loss; log_scale t = log(1/τ), learned; the mean cross entropy of both directions",
    _draw_clip,
    reference(clip, CLIP_SIGNATURE),
    True,
    laws=(ORDER,),
    loss=True,
    **_edited(clip, CLIP_SIGNATURE, "CLIP's loss", ("constant", "whole")),
)  # fmt: skip


# ---- TUBA and MINE of a score matrix


def tuba(scores: Array, log_a: Array) -> Array:
    """TUBA of the diagonal and the rest; log_a[j(, l)] is that of y_j."""
    joint, product = negatives.all_pairs(scores - ops.reshape(log_a, (1, *log_a.shape)))
    return 1.0 + ops.mean(joint) - ops.mean(anp.exp(product))


def _tuba_everything(scores: Array, log_a: Array) -> Array:
    joint, every = everything(scores - ops.reshape(log_a, (1, *log_a.shape)))
    return bounds.plug_in(joint, every)


def _tuba_of_x(scores: Array, log_a: Array) -> Array:
    return tuba(ops.transpose(scores, (1, 0, *range(2, scores.ndim))), log_a)


def _draw_tuba(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    drawn = draw_square(rng, sizes)
    scores = drawn["scores"]
    return {**drawn, "log_a": np.round(rng.standard_normal(scores.shape[1:]), 2).astype(scores.dtype)}


TUBA_SIGNATURE = Signature(("scores", "log_a"), differentiate=("scores", "log_a"))
TUBA_FORM = Form(
    "matrix",
    TUBA_SIGNATURE,
    "scores (N, N) or (N, N, L), log_a (N,) or (N, L), of the column's y: the diagonal is the joint, the rest the product",
    _draw_tuba,
    reference(tuba, TUBA_SIGNATURE),
    True,
    variants(TUBA_SIGNATURE, (
        ("baseline-of-x", _tuba_of_x, "TUBA with the baseline of the row's x", "log_a[j] belongs to column j",
         f"{POOLE}, eq. (6)", "a bound on I too"),
        ("diagonal-included", _tuba_everything, "TUBA with the diagonal among the product's pairs (all N²)",
         "leave the diagonal out", "", "the product is (1 − 1/N)·Q + P/N: a bound on a smaller divergence"),
    )),
    laws=(ORDER,),
    range_of=("scores",),
    **_edited(tuba, TUBA_SIGNATURE, "TUBA"),
)  # fmt: skip


def _of_matrix(function: Callable[[Inputs], Tree] | None) -> Callable[[Inputs], Tree]:
    def call(inputs: Inputs) -> Tree:
        assert function is not None
        joint, product = negatives.all_pairs(inputs["scores"])
        return function({**inputs, "joint": joint, "product": product})

    return call


def _draw_mine(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    state = mine._draw(rng, sizes)
    return {**draw_square(rng, replace(sizes, flat=True)), "average": state["average"], "rate": state["rate"]}


MINE_FORM = Form(
    "matrix",
    Signature(("scores", "average", "rate"), ("value", "average"), ("scores",)),
    "scores (N, N): the diagonal is the joint, the rest the product; average: of E_Q[e^T], one number; rate; returns "
    "(value, new average)",
    _draw_mine,
    _of_matrix(mine.FORM.reference),
    True,
    tuple(replace(each, function=_of_matrix(each.function)) for each in mine.FORM.conventions),
    tuple(replace(each, function=_of_matrix(each.function)) for each in mine.FORM.mistakes),
)

FORMS: dict[str, tuple[Form, ...]] = {
    "infonce": tuple(_infonce_forms()),
    "clip": (CLIP_FORM,),
    "tuba": (TUBA_FORM,),
    "mine": (MINE_FORM,),
}
