"""Laws of every batch: whatever the scores are, these hold.

P is the batch's N diagonal pairs. Q is *all* N² pairs, or the N(N−1) pairs *off* the diagonal.
"""

import math

import numpy as np

from dimref import bounds, negatives
from dimref.backend import Backend
from dimref.laws.cases import (
    FAR,
    divergence,
    every_score,
    matrix_bounds,
    mild_pairs,
    normal,
    pairs,
    score_matrix,
    split_all,
    table,
)  # fmt: skip
from dimref.laws.law import Case, Sizes, Slack, at_most, equal, in_nats, law, number, rounding
from dimref.theory import information

POOLE, OORD, HJELM = "arXiv 1905.06922", "arXiv 1807.03748", "arXiv 1808.06670"
BELGHAZI, NOWOZIN = "arXiv 1801.04062", "arXiv 1606.00709"


# ---- the order NWJ ≤ DV ≤ InfoNCE ≤ log N


@law("inequality", "NWJ_all ≤ DV_all", score_matrix, f"{BELGHAZI}, section 3.1")
def nwj_below_dv_on_all_pairs(case: Case, backend: Backend) -> Slack:
    """log u ≤ u/e, for the mean u of e^T."""
    nwj, dv = (in_nats(backend, bound, *split_all(case["scores"])) for bound in (bounds.nwj, bounds.dv))
    return at_most(nwj, dv, rounding(case["scores"]))


@law("inequality", "DV_all ≤ InfoNCE", score_matrix, f"{POOLE}, section 2.3")
def dv_below_infonce(case: Case, backend: Backend) -> Slack:
    """Jensen: the log of the mean over all columns is at least the mean of each column's log."""
    scores = case["scores"]
    dv, infonce = in_nats(backend, bounds.dv, *split_all(scores)), in_nats(backend, bounds.infonce, scores)
    return at_most(dv, infonce, rounding(scores))


@law("inequality", "InfoNCE ≤ log N", score_matrix, f"{OORD}, section 2.3; {POOLE}, section 2.3")
def infonce_below_log_n(case: Case, backend: Backend) -> Slack:
    """The positive is one of its candidates, so its share of their sum is at most 1."""
    value = in_nats(backend, bounds.infonce, case["scores"])
    return at_most(value, math.log(len(case["scores"])), rounding(case["scores"]))


@law("inequality", "InfoNCE over all locations ≤ log(1 + (N−1)L)", score_matrix, f"{HJELM}, eq. (5)")
def all_locations_below_log_k(case: Case, backend: Backend) -> Slack:
    """K = 1 + (N−1)·L candidates, the positive among them. (It is no bound on I: see the counter-laws.)"""
    n, _, locations = case["scores"].shape
    value = in_nats(backend, lambda s: bounds.infonce(s, "all-locations"), case["scores"])
    return at_most(value, math.log(1 + (n - 1) * locations), rounding(case["scores"]))


@law("inequality", "certified InfoNCE ≤ log N", score_matrix, f"{POOLE}, eq. (10)")
def certified_below_log_n(case: Case, backend: Backend) -> Slack:
    """The others' locations are averaged, so each other image counts as one candidate."""
    value = in_nats(backend, bounds.infonce_certified, case["scores"])
    return at_most(value, math.log(len(case["scores"])), rounding(case["scores"]))


def _sampled(rng: np.random.Generator, sizes: Sizes) -> Case:
    shape = (sizes.n, sizes.locations)
    return {"positives": normal(rng, sizes, *shape), "others": normal(rng, sizes, sizes.m, *shape)}


@law("inequality", "InfoNCE with K − 1 sampled negatives ≤ log K", _sampled, f"{OORD}, eq. (4)")
def sampled_infonce_below_log_k(case: Case, backend: Backend) -> Slack:
    """The positive is one of its K candidates."""
    value = in_nats(backend, bounds.infonce_sampled, case["positives"], case["others"])
    return at_most(value, math.log(1 + len(case["others"])), rounding(case["positives"], case["others"]))


@law("inequality", "NWJ_off ≤ DV_off", score_matrix, f"{BELGHAZI}, section 3.1")
def nwj_below_dv_off_the_diagonal(case: Case, backend: Backend) -> Slack:
    """log u ≤ u/e holds on any set of pairs."""
    off = negatives.all_pairs(backend.to_device(case["scores"]))
    return at_most(number(backend, bounds.nwj(*off)), number(backend, bounds.dv(*off)), rounding(case["scores"]))


@law("inequality", "1 + E_P[T] − E_Q[e^T] ≤ DV", pairs, f"{POOLE}, section 2.6")
def plug_in_below_dv(case: Case, backend: Backend) -> Slack:
    """TUBA with a constant baseline: log u ≤ u − 1. A constant never does better than DV's own, a = E_Q[e^T]."""
    plug_in, dv = (in_nats(backend, bound, *case.values()) for bound in (bounds.plug_in, bounds.dv))
    return at_most(plug_in, dv, rounding(*case.values()))


# ---- ceilings of JSD


@law("inequality", "JSD ≤ log 4", pairs, f"{NOWOZIN}, table 2")
def jsd_below_log_4(case: Case, backend: Backend) -> Slack:
    """sp ≥ 0."""
    return at_most(in_nats(backend, bounds.jsd, *case.values()), math.log(4), rounding(*case.values()))


@law("inequality", "JSD_all ≤ log 4 − log(1 + 1/N) − log(1 + N)/N", score_matrix, f"{NOWOZIN}, eq. (4)")
def jsd_below_its_sharp_ceiling(case: Case, backend: Backend) -> Slack:
    """The diagonal is 1/N of all pairs, so P and Q overlap: the ceiling is 2·JS of N distinct pairs, below log 4."""
    n = len(case["scores"])
    ceiling = math.log(4) - math.log(1 + 1 / n) - math.log(1 + n) / n
    return at_most(in_nats(backend, bounds.jsd, *split_all(case["scores"])), ceiling, rounding(case["scores"]))


# ---- scores of repeated values: the empirical distribution sets the ceiling


def _values(rng: np.random.Generator, sizes: Sizes) -> Case:
    """N pairs from alphabets of up to three symbols, so that values repeat, and a critic of the values.

    Every other time the critic is close to the empirical log ratio, where the ceilings are nearly reached.
    """
    n, symbols = sizes.n, min(sizes.m, 3)
    x, y = rng.integers(symbols, size=n), rng.integers(symbols, size=n)
    case = {"x": x, "y": y, "critic": normal(rng, sizes, symbols, symbols)}
    if rng.random() < 0.5:
        ratio = np.maximum(information.log_ratio(table(case)), -FAR)
        case["critic"] = (ratio + 0.01 * rng.standard_normal(ratio.shape)).astype(sizes.dtype)
    return case


@law("inequality", "InfoNCE ≤ I(empirical pairs), if S[i,j] = T(x_i, y_j)", _values, f"{POOLE}, eq. (10)")
def infonce_below_empirical_information(case: Case, backend: Backend) -> Slack:
    """Given y the candidates are all N samples of x, drawn once each: a bound on what the sample itself shares."""
    value = in_nats(backend, bounds.infonce, every_score(case, case["critic"]))
    return at_most(value, information.mutual_information(table(case)), rounding(case["critic"]))


@law("inequality", "JSD_all ≤ 2·JS(empirical pairs), if S[i,j] = T(x_i, y_j)", _values, f"{NOWOZIN}, eq. (4)")
def jsd_below_empirical_divergence(case: Case, backend: Backend) -> Slack:
    """The diagonal is the empirical joint, all pairs are the product of its marginals."""
    value = in_nats(backend, bounds.jsd, *split_all(every_score(case, case["critic"])))
    return at_most(value, 2 * divergence(case), rounding(case["critic"]))


# ---- invariances


def _shifted(rng: np.random.Generator, sizes: Sizes) -> Case:
    n, locations = sizes.n, sizes.locations
    scores, c = normal(rng, sizes, n, n, locations), normal(rng, sizes, 1, n, locations)
    return {"scores": scores, "c": c, "order": rng.permutation(n)}


@law("identity", "DV(T + c) = DV(T)", _shifted, f"{BELGHAZI}, eq. (10)")
def dv_ignores_a_constant(case: Case, backend: Backend) -> Slack:
    """One constant at each location: the two terms move together."""
    joint, product = split_all(case["scores"])
    c = case["c"][0, 0]
    unshifted, shifted = (in_nats(backend, bounds.dv, joint + s, product + s) for s in (0 * c, c))
    return equal(shifted, unshifted, rounding(case["scores"], case["c"]))


@law("identity", "InfoNCE(T + c(y)) = InfoNCE(T)", _shifted, f"{POOLE}, section 2.3")
def infonce_ignores_a_function_of_y(case: Case, backend: Backend) -> Slack:
    """The candidates x' of one y share c(y). At every location for itself, except where locations are candidates."""
    of_location, of_all = case["scores"] + case["c"], case["scores"] + case["c"][:, :, :1]
    infonces = matrix_bounds()[:3]
    shifted = [in_nats(backend, f, scores) for f, scores in zip(infonces, (of_location, of_all, of_all), strict=True)]
    return equal(shifted, [in_nats(backend, f, case["scores"]) for f in infonces], rounding(case["scores"], case["c"]))


@law("identity", "DV, JSD and InfoNCE ignore the order of the batch", _shifted, f"{OORD}, section 2.3")
def bounds_ignore_the_order(case: Case, backend: Backend) -> Slack:
    """Rows and columns are permuted together, so that the diagonal stays the joint."""
    scores, order = case["scores"], case["order"]
    values = [in_nats(backend, bound, scores) for bound in matrix_bounds()]
    permuted = [in_nats(backend, bound, scores[np.ix_(order, order)]) for bound in matrix_bounds()]
    return equal(permuted, values, rounding(scores))


@law("identity", "a bound on (N, L) scores is the mean over l of the bound on (N,)", mild_pairs, f"{HJELM}, eq. (6)")
def local_bounds_are_averages(case: Case, backend: Backend) -> Slack:
    """Each location has its own expectation under Q; pooling them would change DV."""
    values, expected = [], []
    for bound in (bounds.dv, bounds.nwj, bounds.jsd, bounds.plug_in, lambda j, p: bounds.smile(j, p, 1.0)):
        values.append(in_nats(backend, bound, *case.values()))
        at_one = [[np.ascontiguousarray(a[:, at]) for a in case.values()] for at in range(case["joint"].shape[1])]
        expected.append(float(np.mean([in_nats(backend, bound, *scores) for scores in at_one])))
    scale = math.exp(max(0.0, float(case["product"].max())))
    return equal(values, expected, rounding(case["joint"], case["product"]) * scale)
