"""Augmented Multiscale Deep InfoMax: the features of one view of an image predict those of another, across scales.

Two random views of each image are encoded. From one view comes an anchor y_j for each image: its 1×1 features, or those of
one random location of its 5×5 map. From the other come candidates f_il: every location of the 5×5 or the 7×7 map. The
positives of y_j are its own image's candidates, the negatives every location of all other images:

    s_ilj = ⟨f_il, y_j⟩/√E,   t = c·tanh(s/c),
    loss = −(1/NL) Σ_{j, l} log softmax of t_jlj beside t_i·j of all images i ≠ j, + λ·(1/N²L) Σ s²,

the mean over both directions of each pair of scales (1→5, 1→7, 5→5); the penalty is on the scores before they are clipped.
The scores of a direction are N²·L numbers. They are made in blocks of images, once forward and once backward, so that
memory does not grow with their number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
from autograd.extend import defvjp, defvjp_argnums
from autograd.tracer import isbox

from dimref import bounds, ops
from dimref.amdim import augmentation as amdim_augmentation
from dimref.amdim import encoder as amdim_encoder
from dimref.amdim.encoder import Encoding, Layout
from dimref.backend import Array, Tree
from dimref.engine import row_blocks, threads
from dimref.tape import primitive, stop_gradient
from dimref.training import choices

BLOCK = 1 << 20  # scores that a thread has in memory at a time
IMAGES = 32  # of a block that is augmented
LOCATIONS = {"5": 25, "7": 49}  # of the map that candidates come from


@dataclass(frozen=True)
class Objective:
    """Which scales predict which, how scores are clipped and penalized, how views are made.

    Raises:
        ValueError: a name is none of those known, none is given, or a number is negative.
    """

    scales: tuple[str, ...] = choices.SCALES  # anchor's map, then candidates' map
    clip: float = 20.0  # c; 0: scores are left as they are
    penalty: float = 5e-2  # λ
    augmentation: str | None = None  # None: shifts where images are 32×32, crops where they are larger, as public code

    def __post_init__(self) -> None:
        if not self.scales or len(set(self.scales)) < len(self.scales) or not set(self.scales) <= set(choices.SCALES):
            raise ValueError(f"Objective: scales must be some of {', '.join(choices.SCALES)}, were {self.scales}")
        if self.augmentation not in (None, *choices.AUGMENTATIONS):
            allowed = ", ".join(choices.AUGMENTATIONS)
            raise ValueError(f"Objective: augmentation must be one of {allowed}, was {self.augmentation!r}")
        if not (0 <= self.clip < math.inf and 0 <= self.penalty < math.inf):
            raise ValueError(f"Objective: clip and penalty must be ≥ 0, were {self.clip} and {self.penalty}")

    @property
    def weights(self) -> dict[str, float]:
        """The terms that are maximized, each with its weight."""
        return dict.fromkeys(self.scales, 1.0)

    def augmentation_for(self, layout: Layout) -> str:
        """The augmentation chosen, or the one for images of that size."""
        return self.augmentation or ("shift" if layout.padded == amdim_encoder.SMALLEST else "crop")

    def for_batch(self, n: int) -> Objective:
        """The objective of a batch of n images: this one."""
        return self

    def ceiling(self, term: str, n: int, locations: int) -> float:
        """log K in nats, K = 1 + (n − 1)·L, L of the term's own map (`locations` is that of the largest)."""
        return bounds.ceiling("infonce", 1 + (n - 1) * LOCATIONS[term[-1]])


def init_parameters(rng: np.random.Generator, layout: Layout, objective: Objective) -> tuple[Tree, Tree]:
    """Parameters {"encoder"} and model state, on the host. The embeddings belong to the encoder; there is no scorer."""
    encoder, running = amdim_encoder.init_encoder(rng, layout)
    return {"encoder": encoder}, {"encoder": running}


def draw_noise(rng: np.random.Generator, objective: Objective, layout: Layout, n: int) -> Tree:
    """One step's randomness, drawn on the host: both views' parameters, and the anchors' locations in the 5×5 map.

    Returns:
        {"first", "second": from `augment.draw_views`, "anchors": {"first", "second": (n,) rows of the (n·25, E) features}}.
    """
    noise: Tree = {}
    augmentation = objective.augmentation_for(layout)
    if augmentation != "none":
        noise["first"], noise["second"] = amdim_augmentation.draw_views(rng, n, layout.padded, augmentation)
    if "5-5" in objective.scales:
        locations = LOCATIONS["5"]
        noise["anchors"] = {v: np.arange(n) * locations + rng.integers(0, locations, n) for v in ("first", "second")}
    return noise


def loss(
    parameters: Tree,
    state: Tree,
    images: Array,
    noise: Tree,
    objective: Objective,
    layout: Layout,
    training: bool = True,
) -> tuple[Array, dict[str, Any]]:
    """Σ over pairs of scales of the mean over both directions of InfoNCE's loss, + ½ Σ over all directions of λ·mean s².

    The views are encoded one after the other, so that batch norm sees one at a time.

    Args:
        parameters, state: from `init_parameters`.
        images: (B, H, W, C) from `encoders.scale`.
        noise: from `draw_noise`, on the device.
        training: batch norm with each view's statistics; otherwise with the running ones.
    Returns:
        The scalar loss, and {"terms", "state": new model state, "y": (B, E) of the first view, "saturated": share of scores
        with |s| > c by pair of scales}. Terms: for each pair of scales all-locations InfoNCE in nats, log K − its loss,
        which is no bound on I, and "…_certified", which is one; "penalty": ½ Σ λ·mean s²; "loss": the loss as published.
    Raises:
        ValueError: there are fewer than 2 images.
    Source: arXiv 1906.00910, sections 3.3 and 3.5; public code's LossMultiNCE.
    """
    first, running = amdim_encoder.encode(
        parameters["encoder"], state["encoder"], _view(images, noise, "first"), layout, training
    )
    second, running = amdim_encoder.encode(
        parameters["encoder"], running, _view(images, noise, "second"), layout, training
    )
    value: Array = 0.0
    penalty: Array = 0.0
    terms: dict[str, Array] = {}
    saturated: dict[str, Array] = {}
    for term in objective.scales:
        directions = [
            contrast(_anchors(one, noise, term, view), _candidates(other, term), objective.clip, objective.penalty)
            for one, other, view in ((first, second, "first"), (second, first, "second"))
        ]
        value = value + 0.5 * (directions[0][0] + directions[1][0])
        found = [scores for _, scores in directions]
        terms[term] = _average(scores.nats for scores in found)
        terms[f"{term}_certified"] = _average(scores.certified_nats for scores in found)
        saturated[term] = _average(scores.saturated for scores in found)
        penalty = penalty + objective.penalty * _average(scores.mean_square for scores in found)
    terms["penalty"], terms["loss"] = penalty, stop_gradient(value)
    return value, {"terms": terms, "state": {"encoder": running}, "y": first.one, "saturated": saturated}


def views(images: Array, noise: Tree) -> tuple[Array, Array]:
    """Both views of scaled images (B, H, W, C), in [−1, 1] as they are."""
    return _view(images, noise, "first"), _view(images, noise, "second")


def _view(images: Array, noise: Tree, name: str) -> Array:
    if name not in noise:
        return images
    view = noise[name]
    return row_blocks.by_rows(partial(_augmented, list(view)), {}, images, *view.values(), block=IMAGES)


def _augmented(names: list[str], _: Tree, images: Array, *view: Array) -> Array:
    return 2 * amdim_augmentation.augment(np.clip(0.5 * images + 0.5, 0, 1), dict(zip(names, view, strict=True))) - 1


def _anchors(encoding: Encoding, noise: Tree, term: str, view: str) -> Array:
    if term[0] == "1":
        return encoding.one
    n, locations, units = encoding.five.shape
    return ops.gather(ops.reshape(encoding.five, (n * locations, units)), noise["anchors"][view])


def _candidates(encoding: Encoding, term: str) -> Array:
    return encoding.five if term[-1] == "5" else encoding.seven


def _average(pair: Iterator[Array]) -> Array:
    first, second = pair
    return 0.5 * (first + second)


# ---- one direction


def soft_clip(scores: Array, clip: float) -> Array:
    """c·tanh(s/c): near s for small s, within ±c always. clip 0: the scores themselves.

    Source: arXiv 1906.00910, section 3.3 (soft clipping).
    """
    return _soft_clip(scores, clip) if clip else scores


@primitive
def _soft_clip(scores: Array, clip: float) -> Array:
    return clip * np.tanh(scores * (1 / clip))


def _clip_slope(t: Array, clip: float) -> Array:
    """d t / d s of t = c·tanh(s/c): 1 − (t/c)²."""
    return 1 - (t * (1 / clip)) ** 2


defvjp(_soft_clip, lambda t, scores, clip: lambda g: g * _clip_slope(t, clip))


@dataclass(frozen=True)
class Scores:
    """What is kept of the N²·L scores of a direction."""

    positives: Array  # (N, L): t of y_j's own locations, clipped
    others: Array  # (N,): log Σ e^t over every location of all other images, for each y_j
    mean_square: Array  # of all scores s, before they are clipped
    saturated: Array  # share of the scores with |s| > c

    @property
    def nats(self) -> Array:
        """All-locations InfoNCE, log K + mean(t_pos − log(e^{t_pos} + Σ_others e^t)) ≤ log K. No bound on I."""
        n, locations = self.positives.shape
        return math.log(1 + (n - 1) * locations) - self.cross_entropy

    @property
    def certified_nats(self) -> Array:
        """The same with the others' locations averaged: ≤ log N, and in expectation ≤ I(location's feature; anchor).

        Source: arXiv 1905.06922, eq. (10), with the mean over L locations as the critic's weight of one image.
        """
        n, locations = self.positives.shape
        averaged = (self.others - math.log(locations)).reshape(n, 1)
        return math.log(n) + (self.positives - np.logaddexp(self.positives, averaged)).mean()

    @property
    def cross_entropy(self) -> Array:
        """−mean log softmax of the positives: the loss as published, without the penalty."""
        others = self.others.reshape(-1, 1)
        return (np.logaddexp(self.positives, others) - self.positives).mean()


def contrast(anchors: Array, candidates: Array, clip: float, penalty: float) -> tuple[Array, Scores]:
    """−mean log softmax of each anchor's positives + λ·mean s², differentiable in both arrays; and what it is made of.

    Args:
        anchors: y, (N, E). candidates: f, (N, L, E). clip: c, 0 for none. penalty: λ.
    Returns:
        The scalar loss, and its scores off the tape.
    Raises:
        ValueError: the shapes do not fit each other, or N < 2, which has no negatives.
    Source: arXiv 1906.00910, eq. (1) and section 3.3; the penalty's λ is 5e-2 or 4e-2 in versions of the public code.
    """
    n, units = anchors.shape[0], anchors.shape[-1]
    if anchors.ndim != 2 or candidates.ndim != 3 or candidates.shape[::2] != (n, units) or n < 2:
        raise ValueError(
            f"contrast: anchors must be (N, E) and candidates (N, L, E) with N ≥ 2, were {anchors.shape} and "
            f"{candidates.shape}"
        )
    scores = _score(stop_gradient(anchors), stop_gradient(candidates), clip)
    return _contrast(anchors, candidates, scores, clip, penalty), scores


def _score(y: Array, f: Array, clip: float) -> Scores:
    n, locations, _ = f.shape

    def of_block(window: slice) -> tuple[Array, ...]:
        s, own = _scores(y, f, window)
        t = soft_clip(s, clip)
        rest = np.where(own, np.full_like(t, -np.inf), t).reshape(-1, n)
        squares = (s * s).sum()
        beyond = (np.abs(s) > clip).sum() if clip else 0 * squares
        return np.where(own, t, np.zeros_like(t)).sum(axis=2), ops.logsumexp(rest, axis=0), squares, beyond

    found = threads.run(of_block, _blocks(f))
    positives, others, squares, beyond = zip(*found, strict=True)
    count = n * n * locations
    return Scores(
        np.concatenate(positives), reduce(np.logaddexp, others), sum(squares) * (1 / count), sum(beyond) * (1 / count)
    )


def _blocks(f: Array) -> list[slice]:
    """Of the images whose features are scored."""
    n, locations, _ = f.shape
    return threads.tapered(n, max(1, BLOCK // (locations * n)))


def _scores(y: Array, f: Array, window: slice) -> tuple[Array, Array]:
    """The scores s of a block of images, (b, L, N), and which of these are an anchor's own, (b, 1, N)."""
    n, locations, units = f.shape
    rows = f[window].reshape(-1, units)
    s = (ops.matmul(rows, y.T) * (1 / math.sqrt(units))).reshape(-1, locations, n)
    everyone = np.arange(n, like=y)
    return s, (everyone[window].reshape(-1, 1) == everyone).reshape(-1, 1, n)


@primitive
def _contrast(anchors: Array, candidates: Array, scores: Scores, clip: float, penalty: float) -> Array:
    return scores.cross_entropy + penalty * scores.mean_square


def _contrast_vjp(argnums: Sequence[int], ans: Array, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """With p = 1 − softmax of a positive: ∂/∂t of it −p/NL, of a negative of y_j e^t/Σ_others e^t · Σ_l p_jl/NL;
    ∂t/∂s = 1 − (t/c)²; of the penalty 2λs/N²L."""
    y, f, scores, clip, penalty = args

    def vjp(g: Array) -> tuple[Array, ...]:
        if isbox(g) or isbox(y) or isbox(f):
            raise ValueError("contrast: its VJP is fused, so it has no second derivative")
        n, locations, units = f.shape
        missing = ops.sigmoid(scores.others.reshape(n, 1) - scores.positives) * (1 / (n * locations))  # p/NL
        pull = missing.sum(axis=1)
        of_y, of_f = np.zeros_like(y), np.empty_like(f, order="C")

        def of_block(window: slice) -> Array:
            s, own = _scores(y, f, window)
            t = soft_clip(s, clip)
            share = np.exp(np.minimum(t - scores.others, 0))  # at most 1, but for the positives, which are not meant
            slope = np.where(own, -missing[window].reshape(-1, locations, 1), share * pull)
            if clip:
                slope = slope * _clip_slope(t, clip)
            slope = (slope + s * (2 * penalty / (n * n * locations))) * g
            rows = slope.reshape(-1, n) * (1 / math.sqrt(units))
            of_f[window] = ops.matmul(rows, y).reshape(-1, locations, units)
            return ops.matmul(rows.T, f[window].reshape(-1, units))

        for part in threads.in_order(of_block, _blocks(f)):
            of_y += part
        gradients = of_y, of_f
        return tuple(gradients[k] for k in argnums)

    return vjp


defvjp_argnums(_contrast, _contrast_vjp)
