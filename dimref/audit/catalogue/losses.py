"""SigLIP's, DCL's and SupCon's losses, of features that the loss normalizes. They are minimized."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np

from dimref import ops
from dimref.audit.answer import Answer, Inputs, Signature
from dimref.audit.catalogue import contrastive
from dimref.audit.catalogue.contrastive import normalized, products
from dimref.audit.catalogue.forms import reference, variants
from dimref.audit.catalogue.pieces import ORDER, roundoff, same_law, value_of
from dimref.audit.contract import CORE, Contract, Form, Sizes, TargetLaw
from dimref.audit.edits import Formula, rewritten
from dimref.laws.law import Slack
from dimref.tape import stop_gradient
from dimref.trees import Array

SIGLIP, DCL, SUPCON = "arXiv 2303.15343, algorithm 1", "arXiv 2110.06848, eq. (6)", "arXiv 2004.11362, eq. (2)"
ISSUES = {
    "siglip-mean": "github.com/google-research/big_vision issue 115",
    "dcl-two": "github.com/lightly-ai/lightly pull request 1827",
    "supcon-lone": "github.com/HobbitLong/SupContrast issue 141",
    "supcon-out": "github.com/HobbitLong/SupContrast issue 64",
    "supcon-base": "github.com/HobbitLong/SupContrast, losses.py",
}
BASE = 0.07  # SupContrast's base_temperature


def _law(key: str, statement: str, source: str, least: Callable[[Inputs], float]) -> TargetLaw:
    """value ≥ a number."""

    def measure(inputs: Inputs, ask: Callable[[Inputs], Answer]) -> Slack:
        answer = ask(inputs)
        return Slack(
            value_of(answer) - least(inputs), roundoff(inputs, answer) * (1 + 1 / inputs.get("temperature", 1.0))
        )

    return TargetLaw(key, statement, source, measure)


def _edited(function: Callable[..., Array], signature: Signature, title: str) -> dict[str, Any]:
    """Edits of a loss: it has no constant to be wrong."""
    formula = Formula(function, instead=contrastive.NORMALIZED, scope=vars(contrastive))
    return rewritten((formula, lambda edited: reference(edited, signature), title), without=("constant", "whole"))


def _swap(one: str, other: str) -> Callable[[Inputs], Inputs]:
    return lambda inputs: {**inputs, one: inputs[other], other: inputs[one]}


def _off(logits: Array) -> Array:
    """Row by row all but the diagonal, (M, M − 1)."""
    m = logits.shape[0]
    rest = np.array([[k * m + i for i in range(m) if i != k] for k in range(m)])
    return ops.gather(ops.reshape(logits, (m * m,)), rest)


# ---- SigLIP


def siglip(image: Array, text: Array, log_scale: Array, bias: Array) -> Array:
    """(1/N) Σ_ij sp(−z_ij (e^t ⟨x_i, y_j⟩ + b)), z_ij = 1 for a pair and −1 else."""
    logits = products(normalized(image), normalized(text)) * anp.exp(log_scale) + bias
    return ops.total(ops.softplus(-(_signs(logits) * logits))) / logits.shape[0]


def _signs(logits: Array) -> np.ndarray:
    return (2 * np.eye(logits.shape[0]) - 1).astype(logits.dtype)


def _siglip(of_logits: Callable[[Array], Array]) -> Callable[..., Array]:
    """The loss with another last step."""

    def loss(image: Array, text: Array, log_scale: Array, bias: Array) -> Array:
        return of_logits(products(normalized(image), normalized(text)) * anp.exp(log_scale) + bias)

    return loss


def _pairs(logits: Array) -> Array:
    """The N² terms, not summed."""
    return ops.softplus(-(_signs(logits) * logits))


def _balanced(logits: Array) -> Array:
    """The mean over positives and that over negatives, added."""
    n = logits.shape[0]
    eye = np.eye(n, dtype=logits.dtype)
    return ops.total(_pairs(logits) * (eye / n + (1 - eye) / (n * (n - 1))))


def _softmax(logits: Array) -> Array:
    return ops.mean(ops.logsumexp(logits, axis=1)) - ops.total(
        logits * np.eye(logits.shape[0], dtype=logits.dtype)
    ) / len(logits)


def _draw_siglip(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    drawn = contrastive._draw_two("image", "text", rng, sizes)
    t = -math.log(drawn.pop("temperature"))
    scalars = {"log_scale": round(t, 2), "bias": float(rng.choice([-10.0, -2.5, 1.0]))}
    return {**drawn, **{name: np.asarray(value, sizes.dtype) for name, value in scalars.items()}}


def _raised_siglip(base: Inputs) -> dict[str, Callable[[float], Inputs]]:
    """Cosines of 1 and −1 at a growing scale, without a bias."""

    def at(magnitude: float, cosines: Callable[[float], Inputs]) -> Inputs:
        scalars = {"log_scale": math.log(magnitude), "bias": 0.0}
        return {**cosines(1.0), **{name: np.asarray(value, base[name].dtype) for name, value in scalars.items()}}

    patterns = contrastive._raised_two("image", "text")(base)
    return {name: partial(at, cosines=cosines) for name, cosines in patterns.items()}


SIGLIP_SIGNATURE = Signature(
    ("image", "text", "log_scale", "bias"), differentiate=("image", "text", "log_scale", "bias")
)
SIGLIP_FORM = Form(
    "features",
    SIGLIP_SIGNATURE,
    "image, text (N, D), normalized by the loss; log_scale t and bias b, learned, one number each; the sum over all N² "
    "pairs divided by N",
    _draw_siglip,
    reference(siglip, SIGLIP_SIGNATURE),
    True,
    variants(SIGLIP_SIGNATURE, (
        ("mean-over-pairs", _siglip(lambda z: ops.mean(_pairs(z))), "SigLIP's loss averaged over all N² pairs",
           "the sum over pairs divided by N", ISSUES["siglip-mean"],
           "1/N times the other: the step shrinks as the batch grows"),
    )),
    variants(SIGLIP_SIGNATURE, (
        ("divided-by-n-cubed", _siglip(lambda z: ops.mean(_pairs(z)) / z.shape[0]),
           "SigLIP's loss averaged over all N² pairs and divided by N again", "the sum over pairs divided by N",
           ISSUES["siglip-mean"], "1/N² times the other"),
        ("balanced", _siglip(_balanced), "SigLIP's loss with positives and negatives averaged apart",
           "one sum over all pairs", SIGLIP, "a negative weighs 1/(N − 1) of what it should"),
        ("softmax", _siglip(_softmax), "CLIP's softmax over the texts of an image, of SigLIP's logits",
           "a sigmoid for each pair", SIGLIP, "the bias is without effect"),
    )),
    variants(SIGLIP_SIGNATURE, (
        ("log-of-sigmoid", _siglip(lambda z: -ops.total(anp.log(1 / (1 + anp.exp(-(_signs(z) * z))))) / len(z)),
           "the logarithm of a sigmoid written out", "logsigmoid, or softplus(−z)", SIGLIP,
           "inf, and a NaN gradient, where e^{−z} leaves the number range"),
    )),
    (
        ORDER,
        same_law("symmetric", "images and texts may change places", SIGLIP, _swap("image", "text")),
        _law("floor", "the loss is ≥ 0", SIGLIP, lambda inputs: 0.0),
    ),
    raised=_raised_siglip,
    range_to=200.0,
    loss=True,
    **_edited(siglip, SIGLIP_SIGNATURE, "SigLIP's loss"),
)  # fmt: skip


# ---- DCL


def dcl(a: Array, b: Array, temperature: float) -> Array:
    """−⟨z_i, z_p⟩/τ + log of the sum of e^{⟨z_i, z_k⟩/τ} over the 2N − 2 rows of other images; the mean over 2N anchors."""
    z = normalized(ops.concatenate([a, b]))
    positives, others = contrastive._anchors(products(z, z) / temperature)[0]
    return ops.mean(ops.logsumexp(others, axis=0) - positives)


def _decoupled(positives: Array, others: Array) -> Array:
    return ops.mean(ops.logsumexp(others, axis=0) - positives)


def _views(of_logits: Callable[[Array], Array]) -> Callable[..., Array]:
    def loss(a: Array, b: Array, temperature: float) -> Array:
        z = normalized(ops.concatenate([a, b]))
        return of_logits(products(z, z) / temperature)

    return loss


def _split(logits: Array, first_view: bool = False) -> tuple[Array, Array]:
    return contrastive._anchors(logits, slice(0, logits.shape[0] // 2) if first_view else slice(None))[0]


def _two_sums(logits: Array) -> Array:
    """A logarithm for the negatives of each view."""
    positives, others = _split(logits)
    half = others.shape[0] // 2
    own, other = (ops.cut(others, (part,)) for part in (slice(0, half), slice(half, None)))
    return ops.mean(ops.logsumexp(own, axis=0) + ops.logsumexp(other, axis=0) - positives)


def _kept(logits: Array) -> Array:
    positives, others = _split(logits)
    return ops.mean(anp.logaddexp(ops.logsumexp(others, axis=0), positives) - positives)


def _across(logits: Array) -> Array:
    (first, second) = contrastive._across_only(logits)
    return 0.5 * (_decoupled(*first) + _decoupled(*second))


def _lowered(logits: Array) -> Array:
    """The row itself and its positive lowered by log 1e-45 and kept."""
    positives, others = contrastive._self_included(logits)[0]
    size = others.shape[0]
    own = ops.cut(others, (slice(size - 1, None),))
    pair = ops.reshape(positives, (1, *positives.shape))
    rest = ops.cut(others, (slice(0, size - 1),))
    return _decoupled(positives, ops.concatenate([rest, own + math.log(1e-45), pair + math.log(1e-45)]))


DCL_SIGNATURE = Signature(("a", "b", "temperature"), differentiate=("a", "b"))
DCL_FORM = Form(
    "features",
    DCL_SIGNATURE,
    "a, b (N, D): two views, normalized by the loss; temperature; the mean over 2N anchors, neither itself nor its positive "
    "in the denominator",
    partial(contrastive._draw_two, "a", "b"),
    reference(dcl, DCL_SIGNATURE),
    True,
    variants(DCL_SIGNATURE, (
        ("one-view-anchors", _views(lambda s: _decoupled(*_split(s, True))),
           "DCL's loss with the first view's anchors alone", "the mean of both calls",
           "github.com/raminnakhli/Decoupled-Contrastive-Learning, loss/dcl.py",
           "the other view's come with a second call"),
        ("across-views-only", _views(_across), "DCL's loss with the other view's rows alone as negatives",
           "take both views", DCL, "N − 1 negatives in place of 2N − 2"),
    )),
    variants(DCL_SIGNATURE, (
        ("positive-kept", _views(_kept), "NT-Xent: the positive is in the denominator", "leave the positive out",
           DCL, "the coupling that DCL removes"),
        ("two-logarithms", _views(_two_sums), "DCL's loss with a logarithm for each view's negatives, added",
           "one logarithm of the whole sum", ISSUES["dcl-two"],
           "a product of the two sums: negatives weigh twice"),
        ("self-not-masked", _views(lambda s: _decoupled(*contrastive._self_included(s)[0])),
           "DCL's loss with each row among its own negatives", "mask the diagonal with −inf", DCL,
           "a constant e^{1/τ} in every denominator"),
    )),
    variants(DCL_SIGNATURE, (
        ("masked-by-number", _views(_lowered), "masking entries by a number, log 1e-45 = −103, that is added to them",
         "mask with −inf, or leave them out", "github.com/raminnakhli/Decoupled-Contrastive-Learning, loss/dcl.py"),
        contrastive.among_positive(
            _views(lambda s: contrastive.over_positive(ops.logsumexp(_split(s)[1], axis=0) - _split(s)[0]))),
    )),
    laws=(
        ORDER,
        same_law("views", "the views may change places", DCL, _swap("a", "b")),
        _law("floor", "the loss is ≥ log(2N − 2) − 2/τ", DCL,
             lambda inputs: math.log(2 * len(inputs["a"]) - 2) - 2 / inputs["temperature"]),
    ),
    raised=contrastive._raised_two("a", "b"),
    range_to=1 / contrastive.COLDEST,
    loss=True,
    **_edited(dcl, DCL_SIGNATURE, "DCL's loss"),
)  # fmt: skip


# ---- SupCon


def supcon(features: Array, labels: np.ndarray, temperature: float) -> Array:
    """−(1/|P(i)|) Σ_{p ∈ P(i)} log(e^{⟨z_i, z_p⟩/τ} / Σ_{a ≠ i} e^{⟨z_i, z_a⟩/τ}), the mean over anchors with a positive."""
    z = normalized(features)
    logits = products(z, z) / temperature
    log_sum = ops.logsumexp(_off(logits), axis=1, keepdims=True)
    return ops.total((log_sum - logits) * _weights(labels, logits.dtype))


def _same(labels: np.ndarray, own: bool = False) -> np.ndarray:
    """Which rows share a label; a row with itself only if `own`."""
    return (labels[:, None] == labels) & (own | ~np.eye(len(labels), dtype=bool))


def _weights(labels: np.ndarray, dtype: Any, over_all: bool = False, own: bool = False) -> np.ndarray:
    """1/|P(i)| divided by the number of anchors: of those with a positive, or of all."""
    same = _same(labels, own)
    anchors = len(labels) if over_all else max(1, int(same.any(axis=1).sum()))
    return (same / np.maximum(same.sum(axis=1, keepdims=True), 1) / anchors).astype(dtype)


def _supcon(of_logits: Callable[[Array, np.ndarray], Array]) -> Callable[..., Array]:
    def loss(features: Array, labels: np.ndarray, temperature: float) -> Array:
        z = normalized(features)
        return of_logits(products(z, z) / temperature, labels)

    return loss


def _weighted(weights: Callable[[np.ndarray, Any], np.ndarray], log_sum: Callable[..., Array] | None = None) -> Any:
    def of_logits(logits: Array, labels: np.ndarray) -> Array:
        total = ops.logsumexp(_off(logits), axis=1, keepdims=True) if log_sum is None else log_sum(logits, labels)
        return ops.total((total - logits) * weights(labels, logits.dtype))

    return _supcon(of_logits)


def _inside(logits: Array, labels: np.ndarray) -> Array:
    """The mean of the positives' shares inside the logarithm, eq. (3)."""
    weights = _weights(labels, logits.dtype)
    log_share = logits - ops.logsumexp(_off(logits), axis=1, keepdims=True)
    rows = ops.logsumexp(log_share + np.where(weights > 0, np.log(np.maximum(weights, 1e-300)), -np.inf), axis=1)
    anchors = weights.any(axis=1)
    kept = ops.gather(rows, np.flatnonzero(anchors))
    return -ops.mean(kept) - math.log(int(anchors.sum()))


def _negatives_alone(logits: Array, labels: np.ndarray) -> Array:
    different = np.where(labels[:, None] != labels, 0.0, -np.inf).astype(logits.dtype)
    return anp.logaddexp(logits, ops.logsumexp(logits + different, axis=1, keepdims=True))


def _above_all(logits: Array, labels: np.ndarray) -> Array:
    """The maximum is that of the whole row, itself too."""
    top = stop_gradient(logits).max(axis=1, keepdims=True)
    return anp.log(ops.total(anp.exp(_off(logits) - top), axis=1, keepdims=True)) + top


def _positive_alone(logits: Array, labels: np.ndarray) -> Array:
    weights = _weights(labels, logits.dtype) * max(1, int(_same(labels).any(axis=1).sum()))
    log_sum = ops.logsumexp(_off(logits), axis=1, keepdims=True)
    return contrastive.over_positive(ops.total((log_sum - logits) * weights, axis=1))


def _raised_supcon(base: Inputs) -> dict[str, Callable[[float], Inputs]]:
    """Rows of two classes that are near, opposite, or far from all; at lower and lower temperatures."""
    two = {
        **base,
        "labels": np.array([0, 0, 1, 1]),
        "features": np.zeros((4, max(4, base["features"].shape[1])), base["features"].dtype),
    }
    rows = {
        "all +": (1,), "classes +, rest −": (1, 1, -1, -1), "classes −, rest +": (1, -1, 1, -1),
        "all rows apart": contrastive.APART, "one class equal, the rest apart": contrastive.LONE,
    }  # fmt: skip
    return contrastive._raised({name: {"features": each} for name, each in rows.items()})(two)


def _per_pair(labels: np.ndarray, dtype: Any) -> np.ndarray:
    same = _same(labels)
    return (same / max(1, int(same.sum()))).astype(dtype)


def _draw_supcon(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """2N rows of N pairs, some pairs of one class; beyond the core regimes one row may be alone in its class."""
    n = max(2, sizes.n)
    labels = np.repeat(rng.integers(0, n, n), 2)
    if len(set(labels)) == 1:
        labels[-2:] += 1
    drawn = contrastive._draw_two("a", "b", rng, sizes)
    features = np.stack([drawn["a"], drawn["b"]], axis=1).reshape(2 * n, -1)
    if sizes.regime not in CORE and rng.random() < 0.5:
        labels, features = np.append(labels, labels.max() + 1), np.concatenate([features, -features[:1]])
    return {"features": features, "labels": labels, "temperature": drawn["temperature"]}


def _least(inputs: Inputs) -> float:
    """Each anchor's loss is at least log |P(i)|: the shares of its positives sum to at most 1."""
    counts = _same(inputs["labels"]).sum(axis=1)
    return float(np.log(counts[counts > 0]).mean())


SUPCON_SIGNATURE = Signature(("features", "labels", "temperature"), differentiate=("features",))
SUPCON_FORM = Form(
    "features",
    SUPCON_SIGNATURE,
    "features (M, D), normalized by the loss, labels (M,) integers, temperature; the mean over anchors that have a positive",
    _draw_supcon,
    reference(supcon, SUPCON_SIGNATURE),
    True,
    variants(SUPCON_SIGNATURE, (
        ("lone-anchors-count", _weighted(partial(_weights, over_all=True)),
           "SupCon's loss, an anchor without a positive counted as 0", "divide by the anchors that have a positive",
           ISSUES["supcon-lone"], "the mean is over all rows"),
        ("base-temperature", lambda f, y, t: supcon(f, y, t) * (t / BASE), "SupCon's loss times τ/0.07",
           "drop the factor, or set base_temperature = temperature", ISSUES["supcon-base"],
           "the step does not grow as τ falls"),
        ("base-temperature-lone-anchors-count",
           lambda f, y, t: _weighted(partial(_weights, over_all=True))(f, y, t) * (t / BASE),
           "SupCon's loss times τ/0.07, an anchor without a positive counted as 0",
           "drop the factor, or set base_temperature = temperature", ISSUES["supcon-base"],
           "the step does not grow as τ falls"),
    )),
    variants(SUPCON_SIGNATURE, (
        ("averaged-inside", _supcon(_inside), "SupCon's loss with the positives averaged inside the logarithm",
           "average the logarithms", "arXiv 2004.11362, eq. (3)",
           "the nearest positive takes nearly all of the gradient"),
        ("positives-left-out", _weighted(_weights, _negatives_alone),
           "SupCon's loss with the other positives left out of the denominator",
           "the denominator has every row but the anchor", ISSUES["supcon-out"], "not eq. (2)"),
        ("self-not-masked", _weighted(_weights, lambda s, y: ops.logsumexp(s, axis=1, keepdims=True)),
           "SupCon's loss with each row among its own candidates", "mask the diagonal with −inf", SUPCON,
           "a constant e^{1/τ} in every denominator"),
        ("self-a-positive", _weighted(partial(_weights, own=True)),
           "SupCon's loss with each row among its own positives", "mask the diagonal", SUPCON,
           "the row itself takes a share of the positives"),
        ("mean-over-pairs", _weighted(_per_pair),
           "SupCon's loss averaged over positive pairs, not first for each anchor",
           "divide each anchor's sum by its |P(i)|", SUPCON, "large classes weigh more"),
    )),
    variants(SUPCON_SIGNATURE, (
        contrastive.above_all(_weighted(_weights, _above_all)), contrastive.among_positive(_supcon(_positive_alone)),
    )),
    raised=_raised_supcon,
    range_to=1 / contrastive.COLDEST,
    laws=(
        ORDER,
        same_law("labels", "the names of the classes do not matter", SUPCON,
                 lambda inputs: {**inputs, "labels": 7 - inputs["labels"]}),
        _law("floor", "the loss is ≥ the mean of log |P(i)|", SUPCON, _least),
    ),
    loss=True,
    **_edited(supcon, SUPCON_SIGNATURE, "SupCon's loss"),
)  # fmt: skip


CONTRACTS = (
    Contract("bound", "siglip", "SigLIP's loss, a sigmoid for each pair", (SIGLIP_FORM,), SIGLIP),
    Contract("bound", "dcl", "DCL, NT-Xent with the positive left out of the denominator on purpose", (DCL_FORM,), DCL),
    Contract("bound", "supcon", "SupCon, NT-Xent with all rows of a class as positives", (SUPCON_FORM,), SUPCON),
)
