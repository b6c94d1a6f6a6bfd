"""Laws of single functions: the same quantity written another way, what counts as a negative, and the number range."""

import math

import numpy as np

from dimref import bounds, negatives
from dimref.backend import Backend
from dimref.laws.cases import matrix_bounds, mild_pairs, mild_score_matrix, pairs, score_matrix, split_all
from dimref.laws.law import Case, Sizes, Slack, at_most, equal, in_nats, law, rounding, tightest
from dimref.theory import f_divergences

POOLE, OORD, HJELM = "arXiv 1905.06922", "arXiv 1807.03748", "arXiv 1808.06670"
BELGHAZI, NOWOZIN = "arXiv 1801.04062", "arXiv 1606.00709"


# ---- second formulations


@law("identity", "DV(T) = NWJ(T + 1 − log E_Q[e^T])", mild_pairs, f"{POOLE}, section 2.2")
def dv_is_the_best_shift_of_nwj(case: Case, backend: Backend) -> Slack:
    """No other c makes NWJ(T + c) larger."""
    joint, product = case["joint"], case["product"]
    best = (1 - np.log(np.exp(product).mean(axis=0))).astype(joint.dtype)
    shifted = in_nats(backend, bounds.nwj, joint + best, product + best)
    return equal(in_nats(backend, bounds.dv, joint, product), shifted, rounding(joint, product))


@law("identity", "JSD = E_P[t] − E_Q[f*(t)], t = log 2 − sp(−T), f* = −log(2 − e^t)", mild_pairs, f"{NOWOZIN}, eq. (4)")
def jsd_is_its_variational_form(case: Case, backend: Backend) -> Slack:
    """f* is taken from the table of generators, T's output activation from the paper's table 2."""
    value = in_nats(backend, bounds.jsd, case["joint"], case["product"])
    joint, product = (math.log(2) - np.logaddexp(0, -case[k].astype(np.float64)) for k in ("joint", "product"))
    expected = joint.mean() - f_divergences.GENERATORS["jsd"].conjugate(product).mean()
    return equal(value, expected, rounding(*case.values()))


@law("identity", "NWJ = E_P[T] − E_Q[f*(T)], f* the conjugate of u log u", mild_pairs, f"{NOWOZIN}, eq. (4)")
def nwj_is_its_variational_form(case: Case, backend: Backend) -> Slack:
    """f* is taken from the table of generators."""
    value = in_nats(backend, bounds.nwj, case["joint"], case["product"])
    of_product = f_divergences.GENERATORS["kl"].conjugate(case["product"].astype(np.float64))
    expected = case["joint"].mean(dtype=np.float64) - of_product.mean()
    return equal(value, expected, rounding(*case.values()) * max(1.0, float(of_product.max())))


@law("identity", "InfoNCE = mean of −cross entropy of picking x_j for y_j, + log K", mild_score_matrix,
     f"{OORD}, eq. (4)")  # fmt: skip
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
    values = [in_nats(backend, bound, case["scores"]) for bound in matrix_bounds()[:3]]
    return equal(values, [float(np.mean(terms)) for terms in (same, every, certified)], rounding(case["scores"]))


@law("identity", "sampled InfoNCE with every other image drawn = InfoNCE", score_matrix, f"{OORD}, eq. (4)")
def sampled_infonce_agrees_with_the_matrix(case: Case, backend: Backend) -> Slack:
    """The negatives of y_j are the scores of column j without its diagonal."""
    scores = case["scores"]
    others = np.stack([np.delete(scores[:, j], j, axis=0) for j in range(len(scores))], axis=1)
    sampled = in_nats(backend, bounds.infonce_sampled, split_all(scores)[0], others)
    return equal(sampled, in_nats(backend, bounds.infonce, scores), rounding(scores))


@law("identity", "TUBA with a = e is NWJ, with a = E_Q[e^T] is DV", mild_pairs, f"{POOLE}, eq. (6)")
def tuba_contains_nwj_and_dv(case: Case, backend: Backend) -> Slack:
    """Two constant baselines, the second from NumPy on the host."""
    scores, tuba = (case["joint"], case["product"]), []
    for log_a in (np.ones(1), np.log(np.exp(case["product"]).mean(axis=0))):
        baselines = (np.broadcast_to(log_a, s.shape).astype(s.dtype).copy() for s in scores)
        tuba.append(in_nats(backend, bounds.tuba, *scores, *baselines))
    expected = [in_nats(backend, bound, *scores) for bound in (bounds.nwj, bounds.dv)]
    return equal(tuba, expected, rounding(*scores) * max(1.0, math.exp(float(case["product"].max()))))


@law("identity", "SMILE = DV where |T| ≤ τ on Q; ≥ DV where T ≥ −τ", pairs, "arXiv 1910.06222, section 5")
def smile_is_dv_until_it_clips(case: Case, backend: Backend) -> Slack:
    """Cutting large e^T off lowers the term that is subtracted."""
    joint, product, above = case["joint"], case["product"], np.abs(case["product"])
    top, tolerance = float(above.max()), rounding(joint, product)
    unclipped = in_nats(backend, lambda j, p: bounds.smile(j, p, top), joint, product)
    clipped = in_nats(backend, lambda j, p: bounds.smile(j, p, 0.5 * top), joint, above)
    dv, dv_above = (in_nats(backend, bounds.dv, joint, scores) for scores in (product, above))
    return tightest(equal(unclipped, dv, tolerance), at_most(dv_above, clipped, tolerance))


# ---- negatives


@law("identity", "all_pairs: the diagonal, and every other pair once", score_matrix, f"{HJELM}, section 3.1")
def all_pairs_splits_the_matrix(case: Case, backend: Backend) -> Slack:
    """Against a boolean mask on the host."""
    scores = case["scores"]
    joint, product = (backend.to_host(part) for part in negatives.all_pairs(backend.to_device(scores)))
    eye = np.eye(len(scores), dtype=bool)
    return tightest(equal(joint, scores[eye], 0.0), equal(product, scores[~eye], 0.0))


def _indices(rng: np.random.Generator, sizes: Sizes) -> Case:
    n = sizes.n
    shuffle, roll = negatives.derangements(rng, n, sizes.locations), negatives.roll(n, int(rng.integers(1, n)))
    return {"n": n, "shuffle": shuffle, "roll": roll, "sampled": negatives.sampled(rng, n, int(rng.integers(1, n)))}


@law("identity", "drawn negatives: each y once at each location, none with its own x", _indices,
     f"{HJELM}, section 3.1")  # fmt: skip
def drawn_negatives_are_derangements(case: Case, backend: Backend) -> Slack:
    """Counted: images out of place in the sorted index, positives among negatives, shifts that repeat or return."""
    n, index = case["n"], np.column_stack([case["shuffle"], case["roll"]])
    misplaced = (np.sort(index, axis=0) != np.arange(n)[:, None]).sum() + (index == np.arange(n)[:, None]).sum()
    sampled = np.sort(case["sampled"], axis=0)
    repeated, outside = (np.diff(sampled, axis=0) == 0).sum(), ((sampled < 0) | (sampled >= n)).sum()
    return equal([misplaced, (sampled == np.arange(n)).sum() + repeated + outside], [0, 0], 0.0)


# ---- scores at the end of the number range


def _extreme(rng: np.random.Generator, sizes: Sizes) -> Case:
    """±1e4 in float32, where e^T has long overflowed."""
    shape = (sizes.n, sizes.n, sizes.locations)
    return {"scores": np.where(rng.random(shape) < 0.5, -1e4, 1e4).astype(np.float32)}


@law("identity", "DV, JSD and InfoNCE at T = ±1e4 in float32 are those of float64", _extreme, f"{HJELM}, eq. (4)")
def bounds_are_finite_at_1e4(case: Case, backend: Backend) -> Slack:
    """By logsumexp and logaddexp; a bare log(mean(exp T)) gives inf, 1 + e^T too."""
    narrow = [in_nats(backend, bound, case["scores"]) for bound in matrix_bounds()]
    wide = [in_nats(backend, bound, case["scores"].astype(np.float64)) for bound in matrix_bounds()]
    return tightest(equal(narrow, wide, rounding(case["scores"])), at_most(np.abs([narrow, wide]), 1e5, 0.0))


@law("identity", "NWJ and the plug-in at T_Q = 1e4 in float32 are −∞", mild_pairs, f"{NOWOZIN}, eq. (4)")
def exponential_bounds_reach_their_limit(case: Case, backend: Backend) -> Slack:
    """e^T is beyond the number range: the right limit, and no NaN."""
    scores = case["joint"].astype(np.float32), np.full_like(case["product"], 1e4, dtype=np.float32)
    values = [in_nats(backend, bound, *scores) for bound in (bounds.nwj, bounds.plug_in)]
    return equal(values, [-math.inf, -math.inf], 0.0)


@law("identity", "MINE has DV's value", pairs, f"{BELGHAZI}, eq. (12)")
def mine_has_the_value_of_dv(case: Case, backend: Backend) -> Slack:
    """Only its gradient differs; the average that it divides by does not enter the value."""
    average = backend.to_device(np.ones(case["joint"].shape[1], case["joint"].dtype))
    mine = [in_nats(backend, lambda j, p, at=at: bounds.mine(j, p, at)[0], *case.values()) for at in (None, average)]
    dv = in_nats(backend, bounds.dv, *case.values())
    return equal(mine, [dv, dv], rounding(*case.values(), factor=1000))
