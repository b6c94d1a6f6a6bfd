"""False statements that are easily believed, each with a fixed case that refutes it.

The slack is that of the false statement, so it is negative: by how much the statement fails at its counterexample.
"""

import itertools
import math
from typing import Any

import numpy as np

from dimref import bounds, negatives
from dimref.backend import Backend
from dimref.laws.cases import every_score, table
from dimref.laws.exact import batches, population
from dimref.laws.law import Case, Draw, Slack, at_most, equal, in_nats, law, number
from dimref.theory import information
from dimref.trees import Array

POOLE, OORD, HJELM = "arXiv 1905.06922", "arXiv 1807.03748", "arXiv 1808.06670"
TOLERANCE = 1e-3  # far above rounding in float32


def pinned(case: Case) -> Draw:
    """Draw this case always."""
    return lambda rng, sizes: case


def _dv_off(scores: Array) -> Array:
    return bounds.dv(*negatives.all_pairs(scores))


# The two pairs of a fair bit with itself, and a critic that separates them.
BIT: Case = {"x": np.array([0, 1]), "y": np.array([0, 1]), "critic": np.array([[50.0, 0.0], [0.0, 50.0]])}
SEPARATED: Case = {"scores": 20.0 * np.eye(4)}
# Two distinct pairs: whatever their law, a critic separates the diagonal from the rest without limit.
TWO_PAIRS: Case = {**BIT, "critic": np.array([[0.0, -30.0], [-30.0, 0.0]])}


@law("counterexample", "DV_off ≤ I for every batch", pinned(TWO_PAIRS), "arXiv 1801.04062, section 3.2")
def dv_off_below_information(case: Case, backend: Backend) -> Slack:
    """One batch of the two pairs of a copied bit: I = log 2, DV_off = 30. Only with the exact E_Q[e^T] is it a bound."""
    value = in_nats(backend, _dv_off, every_score(case, case["critic"]))
    return at_most(value, information.mutual_information(table(case)), TOLERANCE)


@law("counterexample", "DV_off ≤ log N", pinned(SEPARATED), f"{POOLE}, section 2.2")
def dv_off_below_log_n(case: Case, backend: Backend) -> Slack:
    """DV over all N² pairs has that ceiling; off the diagonal it has none."""
    return at_most(in_nats(backend, _dv_off, case["scores"]), math.log(len(case["scores"])), TOLERANCE)


@law("counterexample", "InfoNCE without its positive among the candidates ≤ log N", pinned(SEPARATED),
     f"{POOLE}, section 2.1")  # fmt: skip
def infonce_without_positive_below_log_n(case: Case, backend: Backend) -> Slack:
    """log N + T_pos − log Σ over the *others*: the mean DV of the columns, off the diagonal, + log N − log(N − 1)."""
    scores = case["scores"]
    n = len(scores)
    others = np.stack([np.delete(scores[:, j], j) for j in range(n)], axis=1)
    columns = in_nats(backend, bounds.dv, np.diag(scores)[None].copy(), others)
    return at_most(columns + math.log(n / (n - 1)), math.log(n), TOLERANCE)


@law("counterexample", "SMILE ≤ I", pinned(BIT), "arXiv 1910.06222, section 5")
def smile_below_information(case: Case, backend: Backend) -> Slack:
    """T = 50 on the copied bit's pairs, τ = 1: E_P[T] = 50 stays, what is subtracted is at most 1."""
    value = in_nats(backend, lambda joint, product: bounds.smile(joint, product, 1), *population(case, case["critic"]))
    return at_most(value, information.mutual_information(table(case)), TOLERANCE)


@law("counterexample", "E_P[T] ≤ I for every critic T", pinned(BIT), f"{POOLE}, section 2.2")
def mean_score_below_information(case: Case, backend: Backend) -> Slack:
    """At T = R it is I, at 2R it is 2I: the term in Q is what makes a bound."""
    joint, _ = population(case, 2 * information.log_ratio(table(case)))
    mean_score = number(backend, backend.to_device(joint).mean())
    return at_most(mean_score, information.mutual_information(table(case)), TOLERANCE)


@law("counterexample", "NWJ(R) = I", pinned(BIT), f"{POOLE}, eq. (7)")
def jsd_critic_read_by_nwj(case: Case, backend: Backend) -> Slack:
    """JSD's best critic is R, NWJ's is R + 1: so E_P[R] − E_Q[e^{R−1}] = I − 1/e."""
    ratio = information.log_ratio(table(case))
    value = in_nats(backend, bounds.nwj, *population(case, ratio))
    return equal(value, information.mutual_information(table(case)), TOLERANCE)


COPIES: Case = {"bits": np.array([0, 1]), "locations": 64, "score": 50.0}


@law("counterexample", "E[InfoNCE over all locations] ≤ I", pinned(COPIES), f"{HJELM}, eq. (5)")
def all_locations_below_information(case: Case, backend: Backend) -> Slack:
    """One fair bit copied to 64 locations, y = the bit, N = 2: log(65)/2 = 2.087 nats, I = 0.693. Locations depend."""
    values = []
    for drawn in itertools.product(case["bits"], repeat=2):
        same = np.equal.outer(drawn, drawn)[:, :, None]
        scores = case["score"] * np.repeat(same, case["locations"], axis=2).astype(np.float64)
        values.append(number(backend, bounds.infonce(backend.to_device(scores), "all-locations")))
    return at_most(float(np.mean(values)), math.log(2), TOLERANCE)


# Half of the pairs are (0, 0); the critic is sure of the wrong thing about one rare pair.
MISLED: Case = {
    "x": np.array([0, 0, 0, 0, 1, 1]),
    "y": np.array([0, 0, 0, 1, 1, 1]),
    "critic": np.array([[0.0, -8.0], [8.0, 0.0]]),
}


@law("counterexample", "E[InfoNCE_K(T)] ≤ E[InfoNCE_{K+1}(T)] for a fixed critic T", pinned(MISLED),
     f"{OORD}, section 2.3")  # fmt: skip
def infonce_rises_for_any_critic(case: Case, backend: Backend) -> Slack:
    """A critic that prefers a wrong candidate loses more, the more candidates there are. At T = R it does rise."""
    fewer, more = (in_nats(backend, bounds.infonce, batches(case, case["critic"], k)) for k in (2, 3))
    return at_most(fewer, more, TOLERANCE)


@law("counterexample", "E[I(empirical pairs)] ≥ I", pinned({**BIT, "n": 2}), "Cover & Thomas 2006, section 2.4")
def empirical_above_information(case: Case, backend: Backend) -> Slack:
    """Two draws of a copied bit: equal half of the time, so log(2)/2 on average. (Of independent bits it is above I = 0.)"""
    values = []
    for drawn in itertools.product(range(len(case["x"])), repeat=case["n"]):
        sample = {**case, "x": case["x"][list(drawn)], "y": case["y"][list(drawn)]}
        values.append(information.mutual_information(table(sample)))
    return at_most(information.mutual_information(table(case)), float(np.mean(values)), TOLERANCE)


BITS: Case = {**BIT, "x": np.array([0, 0, 1, 1]), "y": np.array([0, 1, 0, 1]), "critic": np.zeros((2, 2))}


@law("counterexample", "E[I(empirical pairs)] ≤ I", pinned({**BITS, "n": 2}), "Cover & Thomas 2006, section 2.4")
def empirical_below_information(case: Case, backend: Backend) -> Slack:
    """Two draws of independent bits share log 2 a quarter of the time, I = 0: a bound on the sample is none on I."""
    above = empirical_above_information.measure(case, backend)
    return Slack(-above.value, above.tolerance)


@law("counterexample", "InfoNCE(T + c(x)) = InfoNCE(T)", pinned(SEPARATED), f"{HJELM}, eq. (5)")
def infonce_ignores_a_function_of_x(case: Case, backend: Backend) -> Slack:
    """Candidates are x' for a fixed y: c(x) changes their shares. An implementation over the other axis would pass."""
    shifted = in_nats(backend, bounds.infonce, case["scores"] + 30.0 * np.arange(4)[:, None])
    return equal(shifted, in_nats(backend, bounds.infonce, case["scores"]), TOLERANCE)


XOR: Case = {"p_xyz": np.array([[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]])}


@law("counterexample", "I(X; Y | Z) ≤ I(X; Y)", pinned(XOR), "Cover & Thomas 2006, section 2.8")
def conditioning_lowers_information(case: Case, backend: Backend) -> Slack:
    """Z = X xor Y of independent bits: given Z, each determines the other."""
    p: Any = case["p_xyz"]
    conditional = information.conditional_mutual_information(p)
    return at_most(conditional, information.mutual_information(p.sum(axis=2)), TOLERANCE)
