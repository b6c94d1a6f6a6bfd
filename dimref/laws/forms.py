"""Laws of single functions: the same quantity written another way, what counts as a negative, and the number range."""

from __future__ import annotations

import math

import numpy as np

from dimref import bounds, negatives
from dimref.backend import Backend
from dimref.laws.law import (
    Case,
    Sizes,
    Slack,
    at_most,
    equal,
    law,
    mild_pairs,
    mild_square,
    number,
    on_device,
    pairs,
    rounding,
    split_all,
    square,
    tightest,
)
from dimref.theory import f_divergences

POOLE, OORD, HJELM = "arXiv 1905.06922", "arXiv 1807.03748", "arXiv 1808.06670"
BELGHAZI, NOWOZIN = "arXiv 1801.04062", "arXiv 1606.00709"


# ---- second formulations


@law("identity", "DV(T) = NWJ(T + 1 − log E_Q[e^T])", mild_pairs, f"{POOLE}, section 2.2")
def dv_is_the_best_shift_of_nwj(case: Case, backend: Backend) -> Slack:
    """No other c makes NWJ(T + c) larger."""
    joint, product = case["joint"], case["product"]
    best = (1 - np.log(np.exp(product).mean(axis=0))).astype(joint.dtype)
    found = number(backend, bounds.nwj(backend.to_device(joint + best), backend.to_device(product + best)))
    return equal(
        number(backend, bounds.dv(*on_device(case, backend, "joint", "product"))), found, rounding(*case.values())
    )


@law("identity", "JSD = E_P[t] − E_Q[f*(t)], t = log 2 − sp(−T), f* = −log(2 − e^t)", mild_pairs, f"{NOWOZIN}, eq. (4)")
def jsd_is_its_variational_form(case: Case, backend: Backend) -> Slack:
    """f* is taken from the table of generators, T's output activation from the paper's table 2."""
    found = number(backend, bounds.jsd(*on_device(case, backend, "joint", "product")))
    joint, product = (math.log(2) - np.logaddexp(0, -case[k].astype(np.float64)) for k in ("joint", "product"))
    expected = joint.mean() - f_divergences.GENERATORS["jsd"].conjugate(product).mean()
    return equal(found, expected, rounding(*case.values()))


@law("identity", "NWJ = E_P[T] − E_Q[f*(T)], f* the conjugate of u log u", mild_pairs, f"{NOWOZIN}, eq. (4)")
def nwj_is_its_variational_form(case: Case, backend: Backend) -> Slack:
    """f* is taken from the table of generators."""
    found = number(backend, bounds.nwj(*on_device(case, backend, "joint", "product")))
    of_product = f_divergences.GENERATORS["kl"].conjugate(case["product"].astype(np.float64))
    expected = case["joint"].mean(dtype=np.float64) - of_product.mean()
    return equal(found, expected, rounding(*case.values()) * max(1.0, float(of_product.max())))


@law("identity", "InfoNCE = mean of −cross entropy of picking x_j for y_j, + log K", mild_square, f"{OORD}, eq. (4)")
def infonce_is_a_classification(case: Case, backend: Backend) -> Slack:
    """Each candidate set is written out: column j and its own location; or all locations of the other images."""
    scores = case["scores"].astype(np.float64)
    n, _, locations = scores.shape
    same, every, certified = [], [], []
    for j in range(n):
        others = np.exp(np.delete(scores[:, j], j, axis=0))  # (N−1, L)
        for at in range(locations):
            own = math.exp(scores[j, j, at])
            same.append(math.log(n * own / (own + others[:, at].sum())))
            every.append(math.log((1 + others.size) * own / (own + others.sum())))
            certified.append(math.log(n * own / (own + others.sum() / locations)))
    (device,) = on_device(case, backend, "scores")
    found = (bounds.infonce(device), bounds.infonce(device, "all-locations"), bounds.infonce_certified(device))
    expected = [float(np.mean(terms)) for terms in (same, every, certified)]
    return equal([number(backend, value) for value in found], expected, rounding(case["scores"]))


@law("identity", "sampled InfoNCE with every other image drawn = InfoNCE", square, f"{OORD}, eq. (4)")
def sampled_infonce_agrees_with_the_square(case: Case, backend: Backend) -> Slack:
    """The negatives of y_j are the scores of column j without its diagonal."""
    scores = case["scores"]
    others = np.stack([np.delete(scores[:, j], j, axis=0) for j in range(len(scores))], axis=1)
    sampled = bounds.infonce_sampled(backend.to_device(split_all(scores)[0]), backend.to_device(others))
    found = number(backend, bounds.infonce(backend.to_device(scores)))
    return equal(number(backend, sampled), found, rounding(scores))


@law("identity", "TUBA with a = e is NWJ, with a = E_Q[e^T] is DV", mild_pairs, f"{POOLE}, eq. (6)")
def tuba_contains_nwj_and_dv(case: Case, backend: Backend) -> Slack:
    """Two constant baselines, the second from NumPy on the host."""
    joint, product = on_device(case, backend, "joint", "product")
    found = []
    for log_a in (np.ones(1), np.log(np.exp(case["product"]).mean(axis=0))):
        baselines = (np.broadcast_to(log_a, case[k].shape).astype(case[k].dtype) for k in ("joint", "product"))
        found.append(number(backend, bounds.tuba(joint, product, *(backend.to_device(b.copy()) for b in baselines))))
    expected = [number(backend, bounds.nwj(joint, product)), number(backend, bounds.dv(joint, product))]
    scale = max(1.0, math.exp(float(case["product"].max())))
    return equal(found, expected, rounding(*case.values()) * scale)


@law("identity", "SMILE = DV where |T| ≤ τ on Q; ≥ DV where T ≥ −τ", pairs, "arXiv 1910.06222, section 5")
def smile_is_dv_until_it_clips(case: Case, backend: Backend) -> Slack:
    """Cutting large e^T off lowers the term that is subtracted."""
    joint, product = on_device(case, backend, "joint", "product")
    top, dv = float(np.abs(case["product"]).max()), number(backend, bounds.dv(joint, product))
    tolerance = rounding(case["joint"], case["product"])
    wide, positive = number(backend, bounds.smile(joint, product, top)), backend.to_device(np.abs(case["product"]))
    cut, whole = number(backend, bounds.smile(joint, positive, 0.5 * top)), number(backend, bounds.dv(joint, positive))
    return tightest(equal(wide, dv, tolerance), at_most(whole, cut, tolerance))


# ---- negatives


@law("identity", "all_pairs: the diagonal, and every other pair once", square, f"{HJELM}, section 3.1")
def all_pairs_splits_the_square(case: Case, backend: Backend) -> Slack:
    """Against a boolean mask on the host."""
    scores = case["scores"]
    joint, product = (backend.to_host(part) for part in negatives.all_pairs(backend.to_device(scores)))
    eye = np.eye(len(scores), dtype=bool)
    return tightest(equal(joint, scores[eye], 0.0), equal(product, scores[~eye], 0.0))


def _indices(rng: np.random.Generator, sizes: Sizes) -> Case:
    n = sizes.n
    return {
        "n": n,
        "shuffle": negatives.derangements(rng, n, sizes.locations),
        "roll": negatives.roll(n, int(rng.integers(1, n))),
        "sampled": negatives.sampled(rng, n, int(rng.integers(1, n))),
    }


@law(
    "identity", "drawn negatives: each y once at each location, none with its own x", _indices, f"{HJELM}, section 3.1"
)
def drawn_negatives_are_derangements(case: Case, backend: Backend) -> Slack:
    """Counted: images out of place in the sorted index, positives among negatives, shifts that repeat or return."""
    n, index = case["n"], np.column_stack([case["shuffle"], case["roll"]])
    misplaced = (np.sort(index, axis=0) != np.arange(n)[:, None]).sum() + (index == np.arange(n)[:, None]).sum()
    sampled = np.sort(case["sampled"], axis=0)
    wrong = (
        (sampled == np.arange(n)).sum() + (np.diff(sampled, axis=0) == 0).sum() + ((sampled < 0) | (sampled >= n)).sum()
    )
    return equal([misplaced, wrong], [0, 0], 0.0)


# ---- scores at the end of the number range


def _extreme(rng: np.random.Generator, sizes: Sizes) -> Case:
    """±1e4 in float32, where e^T has long overflowed."""
    shape = (sizes.n, sizes.n, sizes.locations)
    return {"scores": np.where(rng.random(shape) < 0.5, -1e4, 1e4).astype(np.float32)}


@law("identity", "DV, JSD and InfoNCE at T = ±1e4 in float32 are those of float64", _extreme, f"{HJELM}, eq. (4)")
def bounds_are_finite_at_1e4(case: Case, backend: Backend) -> Slack:
    """By logsumexp and logaddexp; a bare log(mean(exp T)) gives inf, 1 + e^T too."""
    found = []
    for scores in (case["scores"], case["scores"].astype(np.float64)):
        device = backend.to_device(scores)
        joint, product = negatives.all_pairs(device)
        values = (bounds.dv(joint, product), bounds.jsd(joint, product), bounds.infonce(device))
        others = (bounds.infonce(device, "all-locations"), bounds.infonce_certified(device))
        found.append([number(backend, value) for value in (*values, *others)])
    return tightest(equal(found[0], found[1], rounding(case["scores"])), at_most(np.abs(found), 1e5, 0.0))


@law("identity", "NWJ and the plug-in at T_Q = 1e4 in float32 are −∞", mild_pairs, f"{NOWOZIN}, eq. (4)")
def exponential_bounds_reach_their_limit(case: Case, backend: Backend) -> Slack:
    """e^T is beyond the number range: the right limit, and no NaN."""
    joint = backend.to_device(case["joint"].astype(np.float32))
    product = backend.to_device(np.full_like(case["product"], 1e4, dtype=np.float32))
    found = [number(backend, bound(joint, product)) for bound in (bounds.nwj, bounds.plug_in)]
    return equal(found, [-math.inf, -math.inf], 0.0)


@law("identity", "MINE has DV's value", pairs, f"{BELGHAZI}, eq. (12)")
def mine_has_the_value_of_dv(case: Case, backend: Backend) -> Slack:
    """Only its gradient is another; the average it divides by does not enter the value."""
    joint, product = on_device(case, backend, "joint", "product")
    average = backend.to_device(np.ones(case["joint"].shape[1], case["joint"].dtype))
    found = [number(backend, bounds.mine(joint, product, state)[0]) for state in (None, average)]
    dv = number(backend, bounds.dv(joint, product))
    return equal(found, [dv, dv], rounding(case["joint"], case["product"], factor=1000))
