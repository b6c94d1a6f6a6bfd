"""Laws of the multi-view objective: every batch's ceilings, clipping, both views alike, and its literal double loop."""

import math
from dataclasses import replace

import numpy as np

from dimref import amdim, bounds
from dimref.amdim import augmentation
from dimref.amdim.encoder import Layout
from dimref.amdim.objective import Direction, Objective
from dimref.backend import Backend
from dimref.laws.cases import normal
from dimref.laws.law import Case, Sizes, Slack, at_most, equal, gradients, law, number, on_device, rounding, tightest
from dimref.trees import Array, map_tree

BACHMAN, POOLE, OORD = "arXiv 1906.00910", "arXiv 1905.06922", "arXiv 1807.03748"


def _direction(rng: np.random.Generator, sizes: Sizes) -> Case:
    """Anchors (N, E) and candidates (N, L, E); every other time those of a perfect critic. c is 0 or more."""
    units = sizes.m + 1
    root = replace(sizes, scale=math.sqrt(sizes.scale))
    y, f = normal(rng, root, sizes.n, units), normal(rng, root, sizes.n, sizes.locations, units)
    if rng.random() < 0.5:
        own = np.repeat(y[:, None], sizes.locations, axis=1)
        f = (own + 0.01 * rng.standard_normal(own.shape)).astype(sizes.dtype)
    clip, penalty = float(rng.choice([0.0, 1.0, 20.0])), float(rng.choice([0.0, 0.05]))
    return {"anchors": y, "candidates": f, "clip": clip, "penalty": penalty}


def _mild_direction(rng: np.random.Generator, sizes: Sizes) -> Case:
    return _direction(rng, replace(sizes, scale=min(sizes.scale, 3.0), dtype="float64"))


def _scores(case: Case, backend: Backend) -> Direction:
    y, f = on_device(case, backend, "anchors", "candidates")
    return amdim.contrast(y, f, case["clip"], case["penalty"])[1]


def _score_matrix(case: Case) -> np.ndarray:
    """The scores s[i, j, l] = ⟨f_il, y_j⟩/√E, in float64, one at a time."""
    y, f = (case[name].astype(np.float64) for name in ("anchors", "candidates"))
    unclipped = np.zeros((len(f), len(y), f.shape[1]))
    for i, j, at in np.ndindex(*unclipped.shape):
        unclipped[i, j, at] = f[i, at] @ y[j] / math.sqrt(y.shape[1])
    return unclipped


def _clipped(unclipped: np.ndarray, clip: float) -> np.ndarray:
    return clip * np.tanh(unclipped / clip) if clip else unclipped


def _tolerance(case: Case) -> float:
    """What rounding may do to scores that are sums of E products."""
    units = case["anchors"].shape[1]
    largest = np.linalg.norm(case["anchors"], axis=-1).max() * np.linalg.norm(case["candidates"], axis=-1).max()
    return rounding(np.asarray(largest / math.sqrt(units), case["anchors"].dtype))


# ---- every batch


@law("inequality", "log K − loss of a direction ≤ log K, K = 1 + (N−1)L", _direction, f"{BACHMAN}, section 3.2")
def direction_below_log_k(case: Case, backend: Backend) -> Slack:
    """The positive is one of its K candidates. (No bound on I: the locations of an image depend on each other.)"""
    n, locations = case["candidates"].shape[:2]
    value = number(backend, _scores(case, backend).nats)
    return at_most(value, math.log(1 + (n - 1) * locations), _tolerance(case))


@law("inequality", "certified value of a direction ≤ log N", _direction, f"{POOLE}, eq. (10)")
def certified_direction_below_log_n(case: Case, backend: Backend) -> Slack:
    """The others' locations are averaged, so each other image counts as one candidate."""
    value = number(backend, _scores(case, backend).certified_nats)
    return at_most(value, math.log(len(case["anchors"])), _tolerance(case))


@law("inequality", "log(K/NL) ≤ (log K − loss) − certified value ≤ log(K/N)", _direction, f"{POOLE}, eq. (10)")
def certified_direction_is_the_smaller(case: Case, backend: Backend) -> Slack:
    """To average L weights in place of adding them divides a denominator by something between 1 and L."""
    n, locations = case["candidates"].shape[:2]
    scores = _scores(case, backend)
    gap = number(backend, scores.nats) - number(backend, scores.certified_nats)
    ratio = math.log((1 + (n - 1) * locations) / n)
    tolerance = _tolerance(case)
    return tightest(at_most(ratio - math.log(locations), gap, tolerance), at_most(gap, ratio, tolerance))


# ---- clipping


def _raw(rng: np.random.Generator, sizes: Sizes) -> Case:
    return {"scores": normal(rng, sizes, sizes.n, sizes.locations), "clip": float(rng.choice([0.5, 20.0, 100.0]))}


@law("inequality", "|c·tanh(s/c)| ≤ min(c, |s|), and it lies within s³/3c² of s", _raw, f"{BACHMAN}, section 3.3")
def soft_clip_is_bounded(case: Case, backend: Backend) -> Slack:
    """tanh u is between u − u³/3 and u for u ≥ 0, and below 1."""
    scores, clip = case["scores"], case["clip"]
    t = backend.to_host(amdim.soft_clip(backend.to_device(scores), clip)).astype(np.float64)
    s = scores.astype(np.float64)
    tolerance = rounding(scores)
    return tightest(
        at_most(np.abs(t), np.minimum(clip, np.abs(s)), tolerance),
        at_most(np.abs(s - t), np.abs(s) ** 3 / (3 * clip**2), tolerance),
    )


@law("inequality", "clipped to ±c, a direction's loss is in [log(1 + (K−1)e^−2c), log(1 + (K−1)e^2c)]", _direction,
     f"{BACHMAN}, section 3.3")  # fmt: skip
def clipping_bounds_the_loss(case: Case, backend: Backend) -> Slack:
    """No two scores are further apart than 2c, so no softmax is surer than that. Without clipping: loss ≥ 0."""
    n, locations = case["candidates"].shape[:2]
    value = math.log(1 + (n - 1) * locations) - number(backend, _scores(case, backend).nats)
    others = math.log((n - 1) * locations)
    apart = 2 * case["clip"] if case["clip"] else math.inf
    low, high = np.logaddexp(0, others - apart), np.logaddexp(0, others + apart)
    return tightest(at_most(low, value, _tolerance(case)), at_most(value, high, _tolerance(case)))


# ---- the same thing written out


@law("identity", "a direction's loss = −mean log softmax, by a double loop, + λ·mean s²", _mild_direction,
     f"{BACHMAN}, eq. (1) and section 3.3")  # fmt: skip
def direction_is_the_double_loop(case: Case, backend: Backend) -> Slack:
    """Every anchor, every location of its own image, every location of every other image; and as InfoNCE."""
    unclipped = _score_matrix(case)
    clipped = _clipped(unclipped, case["clip"])
    n, _, locations = unclipped.shape
    entropy = []
    for j in range(n):
        for at in range(locations):
            own = math.exp(clipped[j, j, at])
            others = sum(math.exp(clipped[i, j, k]) for i in range(n) if i != j for k in range(locations))
            entropy.append(math.log1p(others / own))
    y, f = on_device(case, backend, "anchors", "candidates")
    value, scores = amdim.contrast(y, f, case["clip"], case["penalty"])
    device = backend.to_device(clipped)
    return tightest(
        equal(number(backend, value), np.mean(entropy) + case["penalty"] * (unclipped**2).mean(), 1e-9),
        equal(number(backend, scores.nats), number(backend, bounds.infonce(device, "all-locations")), 1e-9),
        equal(number(backend, scores.certified_nats), number(backend, bounds.infonce_certified(device)), 1e-9),
    )


@law("identity", "∂loss/∂s = (softmax − [positive])·(1 − (t/c)²)/NL + 2λs/N²L, pulled back through s = f·y/√E",
     _mild_direction, f"{BACHMAN}, section 3.3")  # fmt: skip
def gradient_of_a_direction(case: Case, backend: Backend) -> Slack:
    """The softmax of each positive is its own; the penalty does not see the clipping."""
    unclipped, clip = _score_matrix(case), case["clip"]
    clipped = _clipped(unclipped, clip)
    n, _, locations = unclipped.shape
    slope = np.zeros(unclipped.shape)
    for j in range(n):
        others = np.exp(clipped[:, j])
        others[j] = 0
        for at in range(locations):
            own = math.exp(clipped[j, j, at])
            slope[:, j] += others / (own + others.sum())
            slope[j, j, at] -= others.sum() / (own + others.sum())
    slope *= (1 - (clipped / clip) ** 2 if clip else 1) / (n * locations)
    slope += 2 * case["penalty"] * unclipped / unclipped.size
    root = math.sqrt(case["anchors"].shape[1])
    y, f = case["anchors"], case["candidates"]
    of_y, of_f = gradients(backend, lambda y, f: amdim.contrast(y, f, clip, case["penalty"])[0], y, f)
    expected_of_y, expected_of_f = np.einsum("ijl,ile->je", slope, f) / root, np.einsum("ijl,je->ile", slope, y) / root
    return tightest(equal(of_y, expected_of_y, 1e-9), equal(of_f, expected_of_f, 1e-9))


# ---- views


def _images(rng: np.random.Generator, sizes: Sizes) -> Case:
    """Images in [0, 1], pure black and white among them, of one or three channels, and two views of each."""
    side, channels = 4 + sizes.extra[0], int(rng.choice([1, 3]))
    images = rng.random((sizes.n, side, side, channels)).astype(sizes.dtype)
    images[rng.random(images.shape[:3]) < 0.2] = float(rng.integers(2))
    first, second = augmentation.draw_views(rng, sizes.n, side, str(rng.choice(["shift", "crop"])))
    return {"images": images, "first": first, "second": second}


@law("inequality", "a view of an image in [0, 1] is in [0, 1], and so is what each transform makes of it", _images,
     f"{BACHMAN}, section 3.4")  # fmt: skip
def views_stay_in_the_unit_range(case: Case, backend: Backend) -> Slack:
    """Weights of pixels are ≥ 0 and sum to 1; colours are cut off, or lie between a pixel's least and largest channel."""
    images, transformed = backend.to_device(case["images"]), []
    coloured = ("saturation", "hue") if images.shape[3] == 3 else ()
    for name in ("first", "second"):
        view = backend.tree_to_device(case[name])
        transformed += [
            augmentation.augment(images, view),
            augmentation.resample(images, view["rows"], view["columns"]),
        ]
        transformed += [
            getattr(augmentation, kind)(images, view[kind]) for kind in ("brightness", "contrast", *coloured)
        ]
    views = [backend.to_host(x) for x in transformed]
    return tightest(*(slack for x in views for slack in (at_most(0.0, x, 0.0), at_most(x, 1.0, 0.0))))


LAYOUT = Layout(8, 1, ndf=1, nrkhs=4)


def _whole(rng: np.random.Generator, sizes: Sizes) -> Case:
    """A small encoder in float64 none of whose products is 0, images, and draws."""
    objective = Objective(clip=float(rng.choice([0.0, 2.0])))
    parameters, state = amdim.init_parameters(rng, LAYOUT, objective)
    trees = map_tree(lambda leaf: leaf + 0.3 * rng.random(leaf.shape), {"parameters": parameters, "state": state})
    images = rng.uniform(-1, 1, (sizes.n, LAYOUT.padded, LAYOUT.padded, 1))
    noise = amdim.draw_noise(rng, objective, LAYOUT, sizes.n)
    return {**trees, "images": images, "noise": noise, "clip": objective.clip}


@law("identity", "the views of every image exchanged: the same loss", _whole, f"{BACHMAN}, section 3.4")
def views_are_alike(case: Case, backend: Backend) -> Slack:
    """Both directions of each pair of scales are in it. In inference, where no view moves the other's statistics."""
    noise, anchors = case["noise"], case["noise"]["anchors"]
    exchanged = {"first": noise["second"], "second": noise["first"]}
    exchanged["anchors"] = {"first": anchors["second"], "second": anchors["first"]}

    def loss(draws: dict) -> Array:
        move = backend.tree_to_device
        parameters, state, images = (move(case[name]) for name in ("parameters", "state", "images"))
        objective = Objective(clip=case["clip"])
        return amdim.loss(parameters, state, images, move(draws), objective, LAYOUT, training=False)[0]

    plain_loss, exchanged_loss = number(backend, loss(noise)), number(backend, loss(exchanged))
    return equal(exchanged_loss, plain_loss, 1e-9 * max(1.0, abs(plain_loss)))
