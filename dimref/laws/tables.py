"""Laws of exact information: discrete tables, f-divergences and channels, in float64 on the host."""

import math

import numpy as np

from dimref.backend import Backend
from dimref.laws.cases import distribution, mild
from dimref.laws.law import Case, Sizes, Slack, at_most, equal, law, tightest
from dimref.theory import channels, f_divergences, information

COVER, NOWOZIN = "Cover & Thomas 2006", "arXiv 1606.00709"
EXACT = 1e-12  # sums of a few products in float64


def joint(rng: np.random.Generator, sizes: Sizes) -> Case:
    """p(x, y), not square as a rule, with zeros."""
    return {"p_xy": distribution(rng, sizes.n, sizes.m)}


def triple(rng: np.random.Generator, sizes: Sizes) -> Case:
    """p(x, y, z), with zeros."""
    return {"p_xyz": distribution(rng, sizes.n, sizes.m, sizes.locations)}


def marginals(p_xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p(x) and p(y)."""
    return p_xy.sum(axis=1), p_xy.sum(axis=0)


def rows(rng: np.random.Generator, inputs: int, outputs: int) -> np.ndarray:
    """A channel: one distribution for each input."""
    return np.stack([distribution(rng, outputs) for _ in range(inputs)])


@law("identity", "I = H(X) − H(X|Y) = H(X) + H(Y) − H(X,Y) = KL(P‖Q)", joint,
     f"{COVER}, eq. (2.28); {COVER}, eq. (2.39)")  # fmt: skip
def information_four_ways(case: Case, backend: Backend) -> Slack:
    """Each from another function."""
    p_xy = case["p_xy"]
    x, y = marginals(p_xy)
    by_condition = information.entropy(x) - information.conditional_entropy(p_xy)
    by_sum = information.entropy(x) + information.entropy(y) - information.joint_entropy(p_xy)
    result = [by_condition, by_sum, information.kl_divergence(p_xy, np.outer(x, y))]
    return equal(result, [information.mutual_information(p_xy)] * 3, EXACT)


@law("inequality", "0 ≤ I ≤ min(H(X), H(Y)) ≤ log of the smaller alphabet", joint, f"{COVER}, section 2.4")
def information_below_both_entropies(case: Case, backend: Backend) -> Slack:
    """A conditional entropy of a discrete variable is not negative."""
    p_xy = case["p_xy"]
    x, y = marginals(p_xy)
    truth, least = information.mutual_information(p_xy), min(information.entropy(x), information.entropy(y))
    return at_most([0, truth, least], [truth, least, math.log(min(p_xy.shape))], EXACT)


@law("identity", "E_P[R] = I and E_Q[e^R] = 1", joint, f"{COVER}, eq. (2.28)")
def log_ratio_is_normalized(case: Case, backend: Backend) -> Slack:
    """R is the log of a density: e^R·Q is P again, 0 where P = 0."""
    p_xy = case["p_xy"]
    ratio, seen = information.log_ratio(p_xy), p_xy > 0
    q = np.outer(*marginals(p_xy))
    result = [float((p_xy[seen] * ratio[seen]).sum()), float((q * np.exp(ratio)).sum())]
    return equal(result, [information.mutual_information(p_xy), 1.0], EXACT)


def processed(rng: np.random.Generator, sizes: Sizes) -> Case:
    """A joint, and a channel that makes Z from Y."""
    return {"p_xy": distribution(rng, sizes.n, sizes.m), "channel": rows(rng, sizes.m, sizes.locations)}


@law("inequality", "I(X; Z) ≤ I(X; Y) if Z is made from Y alone", processed, f"{COVER}, theorem 2.8.1")
def data_processing_of_information(case: Case, backend: Backend) -> Slack:
    """Data processing: p(x, z) = Σ_y p(x, y) p(z|y)."""
    after = information.mutual_information(case["p_xy"] @ case["channel"])
    return at_most(after, information.mutual_information(case["p_xy"]), EXACT)


@law("inequality", "JS(P W ‖ Q W) ≤ JS(P‖Q), and so for every f-divergence", processed,
     f"{COVER}, theorem 2.8.1; {NOWOZIN}, eq. (2)")  # fmt: skip
def data_processing_of_divergences(case: Case, backend: Backend) -> Slack:
    """A channel on y brings the joint and the product of marginals closer."""
    p = case["p_xy"]
    q, channel = np.outer(*marginals(p)), case["channel"]
    slacks = [at_most(information.jensen_shannon(p @ channel, q @ channel), information.jensen_shannon(p, q), EXACT)]
    for generator in f_divergences.GENERATORS.values():
        after = f_divergences.f_divergence(p @ channel, q @ channel, generator)
        slacks.append(at_most(after, f_divergences.f_divergence(p, q, generator), 1e-9))
    return tightest(*slacks)


@law("identity", "I(X; Y, Z) = I(X; Z) + I(X; Y | Z)", triple, f"{COVER}, theorem 2.5.2")
def chain_rule(case: Case, backend: Backend) -> Slack:
    """The pair (Y, Z) as one variable."""
    p = case["p_xyz"]
    whole = information.mutual_information(p.reshape(len(p), -1))
    parts = information.mutual_information(p.sum(axis=1)), information.conditional_mutual_information(p)
    return equal(whole, sum(parts), EXACT)


def two_joints(rng: np.random.Generator, sizes: Sizes) -> Case:
    """Two independent pairs."""
    return {"first": distribution(rng, sizes.n, sizes.m), "second": distribution(rng, sizes.locations, sizes.n)}


@law("identity", "I(X₁X₂; Y₁Y₂) = I(X₁; Y₁) + I(X₂; Y₂) for independent pairs", two_joints, f"{COVER}, theorem 2.5.2")
def information_is_additive(case: Case, backend: Backend) -> Slack:
    """The joint of both is the Kronecker product."""
    both = information.mutual_information(np.kron(case["first"], case["second"]))
    return equal(both, sum(information.mutual_information(case[k]) for k in ("first", "second")), EXACT)


@law("identity", "H(P, Q) = H(P) + KL(P‖Q)", two_joints, f"{COVER}, eq. (2.26)")
def cross_entropy_splits(case: Case, backend: Backend) -> Slack:
    """P a joint, Q the product of its marginals."""
    p = case["first"]
    q = np.outer(*marginals(p))
    return equal(information.cross_entropy(p, q), information.joint_entropy(p) + information.kl_divergence(p, q), EXACT)


# ---- f-divergences


def critic_of_a_joint(rng: np.random.Generator, sizes: Sizes) -> Case:
    """A joint and an arbitrary critic."""
    p_xy = distribution(rng, sizes.n, sizes.m)
    return {"p_xy": p_xy, "critic": mild(rng, sizes, *p_xy.shape).astype(np.float64)}


@law("inequality", "E_P[T] − E_Q[f*(T)] ≤ D_f(P‖Q), for every generator f", critic_of_a_joint, f"{NOWOZIN}, eq. (4)")
def variational_form_below_divergence(case: Case, backend: Backend) -> Slack:
    """T is arbitrary below the end of f*'s domain."""
    p = case["p_xy"]
    q, slacks = np.outer(*marginals(p)), []
    for generator in f_divergences.GENERATORS.values():
        critic = np.minimum(case["critic"], generator.slope_at_infinity)
        value = f_divergences.variational_f_divergence(p, q, critic, generator)
        slacks.append(at_most(value, f_divergences.f_divergence(p, q, generator), 1e-9))
    return tightest(*slacks)


@law("identity", "D_f at T = f'(P/Q); KL, 2·JS and ½Σ|P−Q| by their own formulas", joint,
     f"{NOWOZIN}, eq. (5); {NOWOZIN}, table 1")  # fmt: skip
def variational_form_is_tight(case: Case, backend: Backend) -> Slack:
    """The supremum is attained, and three divergences are computed without f. Q > 0 wherever P > 0."""
    p = case["p_xy"]
    q = np.outer(*marginals(p))
    own = {
        "kl": information.kl_divergence(p, q),
        "jsd": 2 * information.jensen_shannon(p, q),
        "total_variation": 0.5 * float(np.abs(p - q).sum()),
    }
    generators = [f_divergences.GENERATORS[name] for name in own]
    critics = [f_divergences.optimal_f_critic(p, q, f) for f in generators]
    tight = [f_divergences.variational_f_divergence(p, q, t, f) for t, f in zip(critics, generators, strict=True)]
    return equal([tight, [f_divergences.f_divergence(p, q, f) for f in generators]], [[*own.values()]] * 2, 1e-9)


# ---- channels


def input_and_channel(rng: np.random.Generator, sizes: Sizes) -> Case:
    """An input distribution, a channel, and a crossover probability."""
    return {"p_x": distribution(rng, sizes.n), "channel": rows(rng, sizes.n, sizes.m + 1), "flip": float(rng.random())}


@law("identity", "ideal channel: I = H(X); fully disturbed channel: I = 0", input_and_channel, f"{COVER}, section 7.1")
def ideal_and_disturbed_channels(case: Case, backend: Backend) -> Slack:
    """Distinct rows determine the input, equal rows are independent of it. The ideal one relabels its input."""
    p_x, n = case["p_x"], len(case["p_x"])
    relabelled, disturbed = np.roll(np.eye(n), 1, axis=1), np.tile(case["channel"][:1], (n, 1))
    result = [channels.channel_information(p_x, w) for w in (np.eye(n), relabelled, disturbed)]
    entropy = information.entropy(p_x)
    return equal(result, [entropy, entropy, 0.0], EXACT)


@law("inequality", "I(p, W) ≤ C + gap for every input p", input_and_channel, "Blahut 1972, theorem 1")
def information_below_capacity(case: Case, backend: Backend) -> Slack:
    """The certificate of the Blahut–Arimoto iteration, with a gap of at most 1e-3 nats."""
    most = channels.capacity(case["channel"], tolerance=1e-3)
    passed = channels.channel_information(case["p_x"], case["channel"])
    at_best = channels.channel_information(most.input_distribution, case["channel"])
    return tightest(at_most(passed, most.information + most.gap, EXACT), equal(at_best, most.information, 1e-9))


@law("identity", "C = log 2 − H(ε), (1 − ε) log 2, log(1 + (1−ε)·ε^(ε/(1−ε)))", input_and_channel,
     f"{COVER}, section 7.1")  # fmt: skip
def capacities_of_textbook_channels(case: Case, backend: Backend) -> Slack:
    """Symmetric, erasure and Z-channel at a crossover ε, by their closed forms; within the certified gap."""
    e = case["flip"]
    result = [
        channels.capacity(w(e), tolerance=1e-6).information
        for w in (channels.binary_symmetric_channel, channels.binary_erasure_channel, channels.z_channel)
    ]
    half = math.log(2)
    closed = [half - information.entropy([e, 1 - e]), (1 - e) * half, math.log1p((1 - e) * e ** (e / (1 - e)))]
    return equal(result, closed, 2e-6)


@law("identity", "q(y) = Σ_x p(x) W(y|x), and I(p, W) = H(q) − Σ p(x) H(W_x)", input_and_channel,
     f"{COVER}, eq. (2.28)")  # fmt: skip
def channel_information_by_rows(case: Case, backend: Backend) -> Slack:
    """The uncertainty of Y given X is the mean entropy of the rows."""
    p_x, channel = case["p_x"], case["channel"]
    remains = sum(p * information.entropy(row) for p, row in zip(p_x, channel, strict=True))
    q = channels.output_distribution(p_x, channel)
    return equal(channels.channel_information(p_x, channel), information.entropy(q) - remains, EXACT)
