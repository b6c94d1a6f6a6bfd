"""Laws of expectations, exact: the joint is an urn of a few equally likely pairs, and every outcome is enumerated.

The expectation over all batches of K pairs is one call: each of the urn's n^K ordered batches is one location of a
(K, K, n^K) score matrix. Critics are arbitrary unless the law says T = R.
"""

import itertools
import math
from dataclasses import replace

import numpy as np

from dimref import bounds, negatives
from dimref.backend import Backend
from dimref.laws.cases import FAR, divergence, every_score, mild, normal, table
from dimref.laws.law import Case, Sizes, Slack, at_most, equal, in_nats, law, number, rounding, tightest
from dimref.theory import information

POOLE, OORD, HJELM = "arXiv 1905.06922", "arXiv 1807.03748", "arXiv 1808.06670"
BELGHAZI, NOWOZIN = "arXiv 1801.04062", "arXiv 1606.00709"
TIGHT = f"{POOLE}, section 2.2; {BELGHAZI}, eq. (5); {NOWOZIN}, eq. (5)"


def urn(rng: np.random.Generator, sizes: Sizes) -> Case:
    """Pairs (x, y) of up to three symbols each, drawn with repetition, and a critic T(x, y).

    The critic is anything, or every other time close to R, R/2 or R + 1; every fourth time y is a copy of x.
    """
    x, y = rng.integers(3, size=sizes.n), rng.integers(min(sizes.m, 3), size=sizes.n)
    if rng.random() < 0.25:
        x = y = np.arange(min(sizes.n, 3))
    case = {"x": x, "y": y, "critic": normal(rng, sizes, 3, 3)}
    if rng.random() < 0.5:
        case["critic"] = near(rng, sizes, table(case))
    return case


def near(rng: np.random.Generator, sizes: Sizes, p: np.ndarray) -> np.ndarray:
    """A critic close to R, R/2 or R + 1, FAR below 0 where a pair never occurs."""
    slope, shift = [(1.0, 0.0), (0.5, 0.0), (1.0, 1.0)][int(rng.integers(3))]
    ratio = np.maximum(slope * information.log_ratio(p) + shift, -FAR)
    return (ratio + 0.01 * rng.standard_normal(p.shape)).astype(sizes.dtype)


def mild_urn(rng: np.random.Generator, sizes: Sizes) -> Case:
    """An urn with a critic of a few nats."""
    return {**urn(rng, sizes), "critic": mild(rng, sizes, 3, 3)}


def population(case: Case, critic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """T of every positive and of every negative pair of the population: exact expectations as plain means."""
    return critic[case["x"], case["y"]], every_score(case, critic).ravel()


def batches(case: Case, critic: np.ndarray, k: int) -> np.ndarray:
    """The score matrix of every ordered batch of k pairs, (k, k, n^k)."""
    drawn = np.array(list(itertools.product(range(len(case["x"])), repeat=k))).T
    return np.ascontiguousarray(critic[case["x"][drawn][:, None], case["y"][drawn][None]])


def optimal(case: Case, bound: str) -> np.ndarray:
    """The critic at which a bound is tight; −∞ where a pair never occurs together."""
    return information.optimal_critic(table(case), bound).astype(case["critic"].dtype)


def _baseline(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """log a(y) of each pair of the population."""
    return population(case, np.broadcast_to(case["log_a"], case["critic"].shape).copy())


def urn_with_baseline(rng: np.random.Generator, sizes: Sizes) -> Case:
    """An urn, an arbitrary critic and an arbitrary baseline."""
    return {**urn(rng, sizes), "log_a": mild(rng, sizes, 3)}


# ---- bounds on I and on JS, for every critic


@law("inequality", "DV(T) ≤ I", urn, f"{BELGHAZI}, eq. (5) and eq. (10); {HJELM}, eq. (2)")
def dv_below_information(case: Case, backend: Backend) -> Slack:
    """Exact expectations, for any finite T: Donsker and Varadhan's representation is a supremum."""
    value = in_nats(backend, bounds.dv, *population(case, case["critic"]))
    return at_most(value, information.mutual_information(table(case)), rounding(case["critic"]))


@law("inequality", "NWJ(T) ≤ I", urn, f"{BELGHAZI}, eq. (8); {NOWOZIN}, eq. (4)")
def nwj_below_information(case: Case, backend: Backend) -> Slack:
    """Exact expectations, for any finite T: convex duality."""
    value = in_nats(backend, bounds.nwj, *population(case, case["critic"]))
    return at_most(value, information.mutual_information(table(case)), rounding(case["critic"]))


@law("inequality", "TUBA(T, a) ≤ I for every a(y) > 0", urn_with_baseline, f"{POOLE}, eq. (6)")
def tuba_below_information(case: Case, backend: Backend) -> Slack:
    """Exact expectations: log u ≤ u/a + log a − 1 for each y, with u = E_{p(x)}[e^T]."""
    value = in_nats(backend, bounds.tuba, *population(case, case["critic"]), *_baseline(case))
    return at_most(value, information.mutual_information(table(case)), rounding(case["critic"], case["log_a"]))


@law("inequality", "1 + E_P[T] − E_Q[e^T] ≤ I", urn, f"{POOLE}, section 2.6")
def plug_in_below_information(case: Case, backend: Backend) -> Slack:
    """Exact expectations, for any finite T; how a critic that was trained with JSD is evaluated."""
    value = in_nats(backend, bounds.plug_in, *population(case, case["critic"]))
    return at_most(value, information.mutual_information(table(case)), rounding(case["critic"]))


@law("inequality", "JSD(T) ≤ 2·JS(P‖Q)", urn, f"{HJELM}, eq. (4); {NOWOZIN}, eq. (4)")
def jsd_below_divergence(case: Case, backend: Backend) -> Slack:
    """Exact expectations, for any finite T; JS is weighted ½, ½."""
    value = in_nats(backend, bounds.jsd, *population(case, case["critic"]))
    return at_most(value, 2 * divergence(case), rounding(case["critic"]))


@law("inequality", "the I that JSD(T)/2 certifies is ≤ I", urn, "arXiv 2510.20644")
def jsd_certifies_information(case: Case, backend: Backend) -> Slack:
    """Any lower bound on JS may stand for JS in the inverse of JS's ceiling at a given I."""
    value = in_nats(backend, bounds.jsd, *population(case, case["critic"]))
    certified = information.information_from_js(min(value / 2, math.log(2) * (1 - 1e-6)))
    return at_most(certified, information.mutual_information(table(case)), 1e-6 + rounding(case["critic"]))


@law("identity", "DV(R) = NWJ(R + 1) = TUBA(R + log a, a) = 1 + E_P[R] − E_Q[e^R] = I", urn_with_baseline, TIGHT)
def bounds_are_tight_at_their_critics(case: Case, backend: Backend) -> Slack:
    """T = −∞ where P = 0 < Q. TUBA at an arbitrary a(y)."""
    best = {bounds.dv: "dv", bounds.nwj: "nwj", bounds.plug_in: "dv"}
    values = [in_nats(backend, bound, *population(case, optimal(case, name))) for bound, name in best.items()]
    of_tuba = information.optimal_critic(table(case), "tuba", case["log_a"]).astype(case["critic"].dtype)
    values.append(in_nats(backend, bounds.tuba, *population(case, of_tuba), *_baseline(case)))
    return equal(values, [information.mutual_information(table(case))] * 4, rounding(case["log_a"]))


@law("identity", "JSD(R) = 2·JS(P‖Q)", urn, f"{NOWOZIN}, eq. (5)")
def jsd_is_tight_at_r(case: Case, backend: Backend) -> Slack:
    """At R itself: the optimal classifier's log odds."""
    value = in_nats(backend, bounds.jsd, *population(case, optimal(case, "jsd")))
    return equal(value, 2 * divergence(case), rounding(np.ones(1, case["critic"].dtype)))


# ---- InfoNCE over all batches of K


def small_urn(rng: np.random.Generator, sizes: Sizes) -> Case:
    """An urn of at most five pairs, and K from 2 to 4."""
    few = replace(sizes, n=min(sizes.n, 5))
    return {**urn(rng, few), "k": 2 + sizes.locations % 3}


@law("inequality", "E[InfoNCE_K(T)] ≤ E[InfoNCE_K(R)]", small_urn, f"{OORD}, section 2.3; {POOLE}, eq. (10)")
def infonce_is_best_at_r(case: Case, backend: Backend) -> Slack:
    """Over all n^K batches. At R the classifier among the K candidates is the posterior itself."""
    critics = case["critic"], optimal(case, "infonce")
    arbitrary, best = (in_nats(backend, bounds.infonce, batches(case, critic, case["k"])) for critic in critics)
    return at_most(arbitrary, best, rounding(case["critic"]))


@law("inequality", "E[InfoNCE_K(R)] ≤ min(I, log K)", small_urn,
     f"{POOLE}, eq. (10); {OORD}, section 2.3; {HJELM}, eq. (5)")  # fmt: skip
def infonce_below_information(case: Case, backend: Backend) -> Slack:
    """Over all n^K batches; with the line above, for every critic."""
    value = in_nats(backend, bounds.infonce, batches(case, optimal(case, "infonce"), case["k"]))
    ceiling = min(information.mutual_information(table(case)), math.log(case["k"]))
    return at_most(value, ceiling, rounding(np.ones(1, case["critic"].dtype)))


@law("inequality", "E[InfoNCE_K(R)] ≤ E[InfoNCE_{K+1}(R)]", small_urn, f"{OORD}, section 2.3")
def infonce_rises_with_k_at_r(case: Case, backend: Backend) -> Slack:
    """At R alone: for a fixed other critic it need not (see the counter-laws)."""
    critic, k = optimal(case, "infonce"), case["k"]
    fewer, more = (in_nats(backend, bounds.infonce, batches(case, critic, count)) for count in (k, k + 1))
    return at_most(fewer, more, rounding(np.ones(1, critic.dtype)))


def covered_urn(rng: np.random.Generator, sizes: Sizes) -> Case:
    """An urn of four to six pairs of bits in which every pair occurs, so that R is finite, and K from 2 to 4."""
    more = rng.integers(2, size=(2, sizes.n // 3))
    x, y = np.concatenate([[0, 0, 1, 1], more[0]]), np.concatenate([[0, 1, 0, 1], more[1]])
    return {"x": x, "y": y, "critic": normal(rng, sizes, 2, 2), "k": 2 + sizes.locations % 3}


@law("inequality", "I ≤ E[leave-one-out(R + c(y))]", covered_urn, f"{POOLE}, section 2 (leave one out upper bound)")
def leave_one_out_above_information(case: Case, backend: Backend) -> Slack:
    """InfoNCE at R with the positive left out of its candidates. P > 0 everywhere."""
    critic = optimal(case, "infonce") + case["critic"][:1]
    value = in_nats(backend, bounds.leave_one_out, batches(case, critic, case["k"]))
    return at_most(information.mutual_information(table(case)), value, rounding(critic))


@law("identity", "CLUB(log p(y|x)) = KL(P‖Q) + KL(Q‖P) ≥ I", covered_urn, "arXiv 2006.12013, theorem 3.1")
def club_above_information(case: Case, backend: Backend) -> Slack:
    """Exact expectations, log p(y|x) = R + log p(y). P > 0 everywhere."""
    p = table(case)
    q = np.outer(p.sum(axis=1), p.sum(axis=0))
    critic = np.log(p / p.sum(axis=1, keepdims=True)).astype(case["critic"].dtype)
    value = in_nats(backend, bounds.club, *population(case, critic))
    truth = information.kl_divergence(p, q)
    both = truth + information.kl_divergence(q, p)
    return tightest(equal(value, both, rounding(critic)), at_most(truth, value, rounding(critic)))


def interpolated_urn(rng: np.random.Generator, sizes: Sizes) -> Case:
    """A small urn, a critic of a few nats, log a and α: 0 and 1 among them."""
    few = replace(sizes, n=min(sizes.n, 4))
    weights = {"log_a": float(rng.normal()), "alpha": float(rng.choice([0.0, 0.01, 0.5, 0.99, 1.0]))}
    return {**mild_urn(rng, few), **weights, "k": 3 + sizes.locations % 2}


@law("inequality", "E[α-InfoNCE(T, a)] ≤ I for every α, and is TUBA at α = 0, InfoNCE of K − 1 at α = 1", interpolated_urn,
     f"{POOLE}, section 2 (nonlinearly interpolated lower bounds)")  # fmt: skip
def interpolated_below_information(case: Case, backend: Backend) -> Slack:
    """Over all n^K batches, for any finite T. In between it need not lie between the two."""
    scores, log_a = batches(case, case["critic"], case["k"]), case["log_a"]
    joint, product = population(case, case["critic"])

    def value(alpha: float) -> float:
        return in_nats(backend, lambda s: bounds.infonce_interpolated(s, log_a, alpha), scores)

    ends = [
        in_nats(backend, lambda j, p: bounds.tuba(j, p, 0 * j + log_a, 0 * p + log_a), joint, product),
        in_nats(backend, bounds.infonce, batches(case, case["critic"], case["k"] - 1)),
    ]
    tolerance = rounding(case["critic"]) * math.exp(max(0.0, float(case["critic"].max()) - log_a))
    return tightest(
        at_most(value(case["alpha"]), information.mutual_information(table(case)), tolerance),
        equal([value(0.0), value(1.0)], ends, tolerance),
    )


@law("identity", "E[InfoNCE with K−1 negatives drawn from p(x)] = E[InfoNCE_K]", small_urn, f"{OORD}, eq. (4)")
def sampled_infonce_same_expectation(case: Case, backend: Backend) -> Slack:
    """The K − 1 other pairs of a batch are independent of the positive, so only their x matter."""
    k = case["k"]
    scores = batches(case, case["critic"], k)
    sampled = in_nats(backend, bounds.infonce_sampled, scores[0, :1], np.ascontiguousarray(scores[1:, :1]))
    return equal(sampled, in_nats(backend, bounds.infonce, scores), rounding(case["critic"]))


# ---- batches against expectations


@law("identity", "E[NWJ_off of a batch] = NWJ(T), E[JSD_off of a batch] = JSD(T)", mild_urn, f"{POOLE}, section 2.2")
def nwj_and_jsd_off_are_unbiased(case: Case, backend: Backend) -> Slack:
    """Both are linear in the two expectations, and off-diagonal pairs are samples of the product."""
    off = negatives.all_pairs(backend.to_device(batches(case, case["critic"], 3)))
    result = [number(backend, bound(*off)) for bound in (bounds.nwj, bounds.jsd)]
    expected = [in_nats(backend, bound, *population(case, case["critic"])) for bound in (bounds.nwj, bounds.jsd)]
    scale = max(1.0, math.exp(float(case["critic"].max()) - 1))
    return equal(result, expected, rounding(case["critic"]) * scale)


@law("inequality", "E[DV_off of a batch] ≥ DV(T)", urn, f"{BELGHAZI}, section 3.2")
def dv_off_is_biased_upward(case: Case, backend: Backend) -> Slack:
    """Jensen: the mean of logarithms is at most the logarithm of the mean, and it is subtracted."""
    off = negatives.all_pairs(backend.to_device(batches(case, case["critic"], 3)))
    population_value = in_nats(backend, bounds.dv, *population(case, case["critic"]))
    return at_most(population_value, number(backend, bounds.dv(*off)), rounding(case["critic"]))


# ---- images with several locations


def local_urn(rng: np.random.Generator, sizes: Sizes) -> Case:
    """Images of L locations that depend on each other, each with its y, equally likely; a critic T(feature, y)."""
    n, locations = min(sizes.n, 4), sizes.locations
    features, y = rng.integers(3, size=(n, locations)), rng.integers(min(sizes.m, 3), size=n)
    if rng.random() < 0.5:  # copies, as in the counterexample to the bound over all locations
        features = np.repeat(y[:, None], locations, axis=1)
    case = {"features": features, "y": y, "critic": normal(rng, sizes, 3, 3)}
    if rng.random() < 0.5:
        case["critic"] = near(rng, sizes, uniform_location(case))
    return case


def uniform_location(case: Case) -> np.ndarray:
    """p(feature at a uniformly drawn location, y)."""
    features, p = case["features"], np.zeros((3, 3))
    np.add.at(p, (features, np.broadcast_to(case["y"][:, None], features.shape)), 1.0 / features.size)
    return p


@law("inequality", "E[certified InfoNCE] ≤ I(feature at a uniform location; y)", local_urn, f"{POOLE}, eq. (10)")
def certified_below_information(case: Case, backend: Backend) -> Slack:
    """Jensen: e^T averaged inside the logarithm lowers the InfoNCE of one random location per image."""
    features, y, critic = case["features"], case["y"], case["critic"]
    values = []
    for drawn in itertools.product(range(len(y)), repeat=2):
        chosen = list(drawn)
        scores = np.ascontiguousarray(critic[features[chosen][:, None, :], y[chosen][None, :, None]])
        values.append(in_nats(backend, bounds.infonce_certified, scores))
    return at_most(float(np.mean(values)), information.mutual_information(uniform_location(case)), rounding(critic))


# ---- JS and I


@law("inequality", "JS ≤ JS's ceiling at I ≤ (log 2 / 2)·I, and the ceiling's inverse at JS is ≤ I", urn,
     "arXiv 2510.20644")  # fmt: skip
def divergence_below_its_ceiling(case: Case, backend: Backend) -> Slack:
    """Jensen on the convex g(r) = (1 + e^−r) log(1 + e^−r) + r e^−r."""
    js, truth = divergence(case), information.mutual_information(table(case))
    ceiling, certified = information.js_from_information(truth), information.information_from_js(js)
    below = at_most([js, ceiling], [ceiling, math.log(2) / 2 * truth], 1e-12)
    return tightest(below, at_most(certified, truth, 1e-6))
