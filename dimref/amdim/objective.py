"""Augmented Multiscale Deep InfoMax: the features of one view of an image predict those of another, across scales.

Two random views of each image are encoded. From one view comes an anchor y_j for each image: its 1×1 features, or those of
one random location of its 5×5 map. From the other come candidates f_il: every location of the 5×5 or the 7×7 map. The
positives of y_j are its own image's candidates, the negatives every location of all other images:

    s_ijl = ⟨f_il, y_j⟩/√E,   t = c·tanh(s/c),
    loss = −(1/NL) Σ_{j, l} log softmax of t_jjl beside t_ij· of all images i ≠ j, + λ·(1/N²L) Σ s²,

the mean over both directions of each pair of scales (1→5, 1→7, 5→5); the penalty is on the scores before they are clipped.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from dimref import bounds, discriminators, ops, ranks
from dimref.amdim import augmentation
from dimref.amdim.encoder import SMALLEST, Encoding, Layout, encode, init_encoder
from dimref.tape import region, stop_gradient
from dimref.trees import Array, Tree

LOCATIONS = {"5": 25, "7": 49}  # of the map that candidates come from
SCALES = ("1-5", "1-7", "5-5")  # the side of the anchors' map, and of the candidates'
AUGMENTATIONS = ("shift", "crop", "none")


@dataclass(frozen=True)
class Objective:
    """The choice of scales, of the scores' clipping and penalty, and of the views.

    Raises:
        ValueError: a scale or the augmentation is unknown, or there is no scale, or one twice.
    """

    scales: tuple[str, ...] = SCALES  # anchor's map, then candidates' map
    clip: float = 20.0  # c; 0: scores are left as they are
    penalty: float = 5e-2  # λ
    augmentation: str | None = None  # None: shifts where images are 32×32, crops where they are larger, as public code

    def __post_init__(self) -> None:
        if not self.scales or len(set(self.scales)) < len(self.scales) or not set(self.scales) <= set(SCALES):
            raise ValueError(f"Objective: scales must be some of {', '.join(SCALES)}, were {self.scales}")
        if self.augmentation not in (None, *AUGMENTATIONS):
            allowed = ", ".join(AUGMENTATIONS)
            raise ValueError(f"Objective: augmentation must be one of {allowed}, was {self.augmentation!r}")

    @property
    def weights(self) -> dict[str, float]:
        """The terms that are maximized, each with its weight."""
        return dict.fromkeys(self.scales, 1.0)

    def augmentation_for(self, layout: Layout) -> str:
        """The chosen augmentation, or the default for images of that size."""
        return self.augmentation or ("shift" if layout.padded == SMALLEST else "crop")

    def for_batch(self, n: int) -> Self:
        """The objective of a batch of n images: this one."""
        return self

    def ceiling(self, term: str, n: int, locations: int) -> float:
        """log K in nats, K = 1 + (n − 1)·L, L of the term's own map (`locations` is that of the largest)."""
        return bounds.ceiling("infonce", 1 + (n - 1) * LOCATIONS[term[-1]])


def init_parameters(rng: np.random.Generator, layout: Layout, objective: Objective) -> tuple[Tree, Tree]:
    """Parameters {"encoder"} and model state, on the host. The embeddings belong to the encoder; there is no critic."""
    encoder, running = init_encoder(rng, layout)
    return {"encoder": encoder}, model_state(running, layout, objective, 0)


def model_state(running: Tree, layout: Layout, objective: Objective, step: int) -> Tree:
    """The arrays of the model state after so many steps: always the running statistics alone."""
    return {"encoder": running}


def draw_noise(rng: np.random.Generator, objective: Objective, layout: Layout, n: int) -> Tree:
    """One step's randomness, drawn on the host: both views' parameters, and the anchors' locations in the 5×5 map.

    Returns:
        {"first", "second": from `augmentation.draw_views`, "anchors": {"first", "second": (n,) rows of (n·25, E) features}}.
    """
    noise: Tree = {}
    kind = objective.augmentation_for(layout)
    if kind != "none":
        noise["first"], noise["second"] = augmentation.draw_views(rng, n, layout.padded, kind)
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
    noise = ranks.now().own(noise)
    one_view, other_view = views(images, noise)
    first, running = encode(parameters["encoder"], state["encoder"], one_view, layout, training)
    second, running = encode(parameters["encoder"], running, other_view, layout, training)
    value: Array = 0.0
    penalty: Array = 0.0
    terms: dict[str, Array] = {}
    saturated: dict[str, Array] = {}
    for term in objective.scales:
        directions = [
            contrast(_anchors(one, noise, term, view), _candidates(other, term), objective.clip, objective.penalty)
            for one, other, view in ((first, second, "first"), (second, first, "second"))
        ]
        (one_loss, one), (other_loss, other) = directions
        value = value + 0.5 * (one_loss + other_loss)
        nats, certified, mean_square, beyond = (0.5 * (a + b) for a, b in zip(one, other, strict=True))
        terms[term], terms[f"{term}_certified"], saturated[term] = nats, certified, beyond
        penalty = penalty + objective.penalty * mean_square
    terms["penalty"], terms["loss"] = penalty, stop_gradient(value)
    report = {"terms": terms, "state": {"encoder": running}, "y": first.one, "saturated": saturated}
    return ranks.now().share(value), report


def views(images: Array, noise: Tree) -> tuple[Array, Array]:
    """Both views of scaled images (B, H, W, C), in [−1, 1] as they are."""
    return _view(images, noise, "first"), _view(images, noise, "second")


def _view(images: Array, noise: Tree, name: str) -> Array:
    return augmented(images, noise[name]) if name in noise else images


@region
def augmented(images: Array, view: Tree) -> Array:
    """A view of images in [−1, 1]; `augment` works in [0, 1]."""
    return 2 * augmentation.augment(np.clip(0.5 * images + 0.5, 0, 1), view) - 1


def _anchors(encoding: Encoding, noise: Tree, term: str, view: str) -> Array:
    if term[0] == "1":
        return encoding.one
    n, locations, units = encoding.five.shape
    rows = noise["anchors"][view] - ranks.now().first * locations
    return ops.gather(ops.reshape(encoding.five, (n * locations, units)), rows)


def _candidates(encoding: Encoding, term: str) -> Array:
    return encoding.five if term[-1] == "5" else encoding.seven


# ---- one direction


def soft_clip(scores: Array, clip: float) -> Array:
    """c·tanh(s/c): near s for small s, within ±c always. clip 0: the scores themselves.

    Source: arXiv 1906.00910, section 3.3 (soft clipping).
    """
    return clip * ops.tanh(scores * (1 / clip)) if clip else scores


class Direction(NamedTuple):
    """The report of a direction, untraced."""

    nats: Array  # all-locations InfoNCE, log K − its loss ≤ log K, K = 1 + (N − 1)·L. No bound on I
    certified_nats: Array  # ≤ log N, and in expectation ≤ I(location's feature; anchor)
    mean_square: Array  # of all scores s, before they are clipped
    saturated: Array  # share of the scores with |s| > c


@region
def contrast(anchors: Array, candidates: Array, clip: float, penalty: float) -> tuple[Array, Direction]:
    """−mean log softmax of each anchor's positives + λ·mean s², differentiable in both arrays; and its report.

    Args:
        anchors: y, (N, E). candidates: f, (N, L, E). clip: c, 0 for none. penalty: λ.
    Raises:
        ValueError: the shapes do not fit each other, or N < 2, which has no negatives.
    Source: arXiv 1906.00910, eq. (1) and section 3.3; the penalty's λ is 5e-2 or 4e-2 in versions of the public code.
    """
    check(anchors, candidates)
    s = discriminators.score_matrix(candidates, anchors)
    t = soft_clip(s, clip)
    nats, mean_square = bounds.infonce(t, "all-locations"), ranks.mean(ops.multiply(s, s))
    loss = math.log(1 + (s.shape[1] - 1) * s.shape[2]) - nats + penalty * mean_square
    certified = bounds.infonce_certified(stop_gradient(t))
    saturated = ranks.mean(1.0 * (np.abs(stop_gradient(s)) > (clip or math.inf)))
    return loss, Direction(stop_gradient(nats), certified, stop_gradient(mean_square), saturated)


def check(anchors: Array, candidates: Array) -> None:
    """Raise ValueError unless anchors are (N, E) and candidates (N, L, E) with N ≥ 2."""
    n, units = anchors.shape[0], anchors.shape[-1]
    if anchors.ndim != 2 or candidates.ndim != 3 or candidates.shape[::2] != (n, units) or ranks.now().of_batch(n) < 2:
        raise ValueError(
            f"contrast: anchors must be (N, E) and candidates (N, L, E) with N ≥ 2, were {anchors.shape} and "
            f"{candidates.shape}"
        )
