"""Contracts of entropies and informations of discrete tables, in nats.

Values alone are compared: the references are float64 NumPy, off the tape. Each variant's consequence is its number at
one of EXAMPLES.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import reference, variant
from dimref.audit.catalogue.tables import COVER, LOG_2, over, p_log, quiet, softmax, table, where_positive
from dimref.audit.contract import Contract, Form, Sizes, Variant
from dimref.theory import channels, information
from dimref.trees import Array

BITS = ("bits", "in bits", "multiply by log 2 to have nats", "numpy.log2, or base=2 of scipy.stats.entropy")
ZEROS = "take 0 log 0 as 0: sum over the entries > 0, or use scipy.special.xlogy"
EPSILON = "sum over the entries > 0 and leave ε out"


def _entropy(p: Array) -> Array:
    return -where_positive(p.ravel(), p.ravel())


def _marginal(p: Array, *axes: int) -> Array:
    return p.sum(axis=axes)


# ---- entropy


def naive_entropy(p: Array) -> Array:
    """−Σ p log p, NaN where p = 0."""
    return -p_log(p, p)


def entropy_with_epsilon(epsilon: float, p: Array) -> Array:
    """−Σ p log(p + ε)."""
    return -p_log(p, p + epsilon)


def mean_for_sum(p: Array) -> Array:
    """The mean of −p log p over the outcomes."""
    return _entropy(p) / p.size


def evenness(p: Array) -> Array:
    """H/log K, in [0, 1]."""
    return _entropy(p) / math.log(p.size)


def entropy_of_logits(p: Array) -> Array:
    """The entropy of softmax(p)."""
    return _entropy(softmax(p))


def binary_terms(p: Array) -> Array:
    """Σ −p log p − (1 − p) log(1 − p): each outcome as a coin of its own."""
    return _entropy(p) + _entropy(1 - p)


# ---- two variables


def sum_of_marginals(p: Array) -> Array:
    """H(X) + H(Y)."""
    return _entropy(_marginal(p, 1)) + _entropy(_marginal(p, 0))


def given_x(p: Array) -> Array:
    """H(Y|X) = H(X, Y) − H(X)."""
    return _entropy(p) - _entropy(_marginal(p, 1))


def given_y(p: Array) -> Array:
    """H(X|Y) = H(X, Y) − H(Y)."""
    return _entropy(p) - _entropy(_marginal(p, 0))


def unweighted_condition(p: Array) -> Array:
    """The mean over y of H(X|Y = y), every y counted alike."""
    columns = [column / column.sum() for column in p.T if column.sum() > 0]
    return sum(_entropy(column) for column in columns) / max(1, len(columns))


def naive_condition(p: Array) -> Array:
    """−Σ p(x, y) log p(x|y), NaN where p(x, y) = 0."""
    return -p_log(p, p / p.sum(axis=0))


def condition_with_epsilon(epsilon: float, p: Array) -> Array:
    """−Σ p(x, y) log(p(x|y) + ε)."""
    return -p_log(p, p / p.sum(axis=0) + epsilon)


def condition_of_entropies_with_epsilon(epsilon: float, p: Array) -> Array:
    """H(X, Y) − H(Y), each with ε."""
    return entropy_with_epsilon(epsilon, p) - entropy_with_epsilon(epsilon, _marginal(p, 0))


def unconditional(p: Array) -> Array:
    """H(X)."""
    return _entropy(_marginal(p, 1))


# ---- mutual information


def _product(p: Array) -> Array:
    return np.outer(_marginal(p, 1), _marginal(p, 0))


def naive_information(p: Array) -> Array:
    """Σ p log(p/(p_x p_y)), NaN where p = 0."""
    return p_log(p, p / _product(p))


def information_with_epsilon(epsilon: float, p: Array) -> Array:
    """Σ p log(p/(p_x p_y) + ε)."""
    return p_log(p, p / _product(p) + epsilon)


def information_with_epsilon_twice(epsilon: float, p: Array) -> Array:
    """Σ p log[(p + ε)/(p_x p_y + ε)]."""
    return p_log(p, (p + epsilon) / (_product(p) + epsilon))


def information_of_entropies_with_epsilon(epsilon: float, p: Array) -> Array:
    """H(X) + H(Y) − H(X, Y), each with ε."""
    h_x, h_y, h_xy = (entropy_with_epsilon(epsilon, each) for each in (_marginal(p, 1), _marginal(p, 0), p))
    return h_x + h_y - h_xy


def lautum(p: Array) -> Array:
    """KL(P_X P_Y ‖ P_XY)."""
    q = _product(p)
    return where_positive(q, q) - where_positive(q, p)


def pointwise_mean(p: Array) -> Array:
    """The mean of log(p/(p_x p_y)) over the cells that occur, not weighted by p."""
    return np.log(p / _product(p))[p > 0].sum() / max(1, (p > 0).sum())


def _information(p: Array) -> Array:
    return sum_of_marginals(p) - _entropy(p)


def averaged_marginals(p: Array) -> Array:
    """The marginals as means in place of sums: log(X·Y) too much."""
    return _information(p) + math.log(p.size)


def uniform_rows(p: Array) -> Array:
    """Every row divided by its sum: the information at a uniform X."""
    seen = p[p.sum(axis=1) > 0]
    return _information(seen / seen.sum(axis=1, keepdims=True) / len(seen))


def normalized_information(by: Callable[[float, float, float], float], p: Array) -> Array:
    """I divided by a function of H(X), H(Y) and H(X, Y); 0 where that is 0."""
    size = by(float(unconditional(p)), float(_entropy(_marginal(p, 0))), float(_entropy(p)))
    return _information(p) / size if size > 0 else 0.0 * _information(p)


def without_joint(p: Array) -> Array:
    """H(X) − H(Y|X)."""
    return unconditional(p) - given_x(p)


# ---- three variables


def _conditional(p: Array, axis: int) -> Array:
    """I of the two other variables given that on an axis."""
    rest = [k for k in range(3) if k != axis]
    first, second = (_entropy(p.sum(axis=k)) for k in rest)
    return first + second - _entropy(p) - _entropy(p.sum(axis=tuple(rest)))


def unconditioned(p: Array) -> Array:
    """I(X; Y)."""
    return _information(p.sum(axis=2))


def unweighted_slices(p: Array) -> Array:
    """The mean over z of I(X; Y | Z = z), every z counted alike."""
    slices = [p[:, :, k] for k in range(p.shape[2]) if p[:, :, k].sum() > 0]
    return sum(_information(each / each.sum()) for each in slices) / max(1, len(slices))


def unnormalized_slices(p: Array) -> Array:
    """Σ_z of Σ p(x, y, z) log [p(x, y, z)/(p(x, z) p(y, z))]: p(z) left out of the ratio."""
    return _conditional(p, 2) + _entropy(p.sum(axis=(0, 1)))


def naive_conditional(p: Array) -> Array:
    """Σ p log [p p_z/(p_xz p_yz)], NaN where p = 0."""
    ratio = p * p.sum(axis=(0, 1)) / (p.sum(axis=1, keepdims=True) * p.sum(axis=0, keepdims=True))
    return p_log(p, ratio)


def with_condition(p: Array) -> Array:
    """I(X; (Y, Z))."""
    return _information(p.reshape(p.shape[0], -1))


# ---- capacity


def at_uniform_input(channel: Array) -> Array:
    """I at a uniform input."""
    return _information(channel / len(channel))


def of_columns(channel: Array) -> float:
    """The capacity of the transposed channel, its rows divided by their sums."""
    columns = np.asarray(channel, np.float64).T[channel.sum(axis=0) > 0]
    return channels.capacity(columns / columns.sum(axis=1, keepdims=True)).information


def most_telling_input(channel: Array) -> Array:
    """max_x KL(W_x ‖ q) at a uniform input: an upper end, not C."""
    q = channel.mean(axis=0)
    return max(where_positive(row, row) - where_positive(row, q) for row in channel)


def best_output_entropy(channel: Array) -> Array:
    """log of the number of outputs less the entropy of the first row: C of symmetric channels alone."""
    return math.log(channel.shape[1]) - _entropy(channel[0])


# ---- what is asked

P_X, P_XY, P_XYZ, CHANNEL = (Signature((name,)) for name in ("p_x", "p_xy", "p_xyz", "channel"))


def _one(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    return {"p_x": table(rng, sizes, 1 + sizes.m)}


def _two(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    return {"p_xy": table(rng, sizes, 1 + sizes.m, 1 + sizes.locations)}


def _three(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    return {"p_xyz": table(rng, sizes, 2 + sizes.kernel[0] % 2, 2 + sizes.stride[0] % 2, 2 + sizes.padding[0] % 2)}


def _channel(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    # Each input has an output of its own most of the time: the iteration is slow where two inputs are alike.
    inputs = 2 + sizes.locations % 2
    noise = np.stack([table(rng, sizes, inputs) for _ in range(inputs)])
    return {"channel": (0.75 * np.eye(inputs) + 0.25 * noise).astype(sizes.dtype)}


def _bits(make: Callable[..., Variant], function: Callable[[Array], object], title: str) -> Variant:
    key, unit, fix, source = BITS
    return make(key, over(1 / LOG_2, function), f"{title} {unit}", fix, source)


def _epsilons(
    make: Callable[..., Variant],
    function: Callable[[float, Array], Array],
    title: str,
    values: tuple[float, ...],
    where: str = "inside the logarithm",
    key: str = "epsilon",
) -> tuple[Variant, ...]:
    return tuple(
        make(f"{key}-{epsilon:g}", partial(function, epsilon), f"{title} with {epsilon:g} added {where}", EPSILON)
        for epsilon in values
    )  # fmt: skip


_x, _xy, _xyz, _w = (partial(variant, each) for each in (P_X, P_XY, P_XYZ, CHANNEL))
_capacity = quiet(lambda channel: channels.capacity(channel, tolerance=1e-10).information)
CONTRACTS: tuple[Contract, ...] = (
    Contract("information", "entropy", "the entropy H(X) in nats", (Form(
        name="table",
        signature=P_X,
        meaning="f(p_x (X,)) -> H(X)",
        draw=_one,
        reference=reference(quiet(information.entropy), P_X),
        conventions=(
            _bits(_x, _entropy, "the entropy"),
            _x("hartleys", over(1 / math.log(10), _entropy), "the entropy to base 10",
               "multiply by log 10 to have nats"),
            *_epsilons(_x, entropy_with_epsilon, "the entropy", (1e-10, 1e-12,)),
        ),
        mistakes=(
            *_epsilons(_x, entropy_with_epsilon, "the entropy", (1e-3, 1e-5, 1e-6, 1e-8,)),
            _x("mean-for-sum", mean_for_sum, "the mean of −p log p over the outcomes", "sum over the outcomes"),
            _x("evenness", evenness, "the entropy divided by log K, a number in [0, 1]", "multiply by log K",
               "Pielou's evenness"),
            _x("softmax-before", entropy_of_logits, "the entropy of softmax(p): probabilities taken for logits",
               "give it logits, or take no softmax"),
            _x("binary-terms", binary_terms, "the sum of the entropies of K coins",
               "leave (1 − p) log(1 − p) out, unless there are K separate coins"),
            _x("sign", over(-1.0, _entropy), "Σ p log p, without the minus", "negate it"),
            _x("zero-log-zero", naive_entropy, "the entropy, but NaN where a probability is 0", ZEROS,
               f"{COVER}, section 2.1: 0 log 0 = 0"),
        ),
    ),), f"{COVER}, eq. (2.1)"),
    Contract("information", "joint_entropy", "the joint entropy H(X, Y) in nats", (Form(
        name="table",
        signature=P_XY,
        meaning="f(p_xy (X, Y)) -> H(X, Y)",
        draw=_two,
        reference=reference(quiet(information.joint_entropy), P_XY),
        conventions=(
            _bits(_xy, _entropy, "the joint entropy"),
            *_epsilons(_xy, entropy_with_epsilon, "the joint entropy", (1e-12,)),
        ),
        mistakes=(
            *_epsilons(_xy, entropy_with_epsilon, "the joint entropy", (1e-8,)),
            _xy("sum-of-marginals", sum_of_marginals, "H(X) + H(Y), as if X and Y were independent",
                "take the logarithm of p(x, y)", f"{COVER}, theorem 2.6.6"),
            _xy("mean-for-sum", mean_for_sum, "the mean of −p log p over the cells", "sum over the cells"),
            _xy("one-marginal", unconditional, "H(X), the entropy of one marginal",
                "sum over all cells, not over a marginal"),
            _xy("zero-log-zero", naive_entropy, "the joint entropy, but NaN where a cell is 0", ZEROS,
                f"{COVER}, section 2.1: 0 log 0 = 0"),
        ),
    ),), f"{COVER}, eq. (2.8)"),
    Contract("information", "conditional_entropy", "the conditional entropy H(X|Y) in nats", (Form(
        name="table",
        signature=P_XY,
        meaning="f(p_xy (X, Y)) -> H(X|Y): axis 1 is the condition",
        draw=_two,
        reference=reference(quiet(information.conditional_entropy), P_XY),
        conventions=(
            _bits(_xy, given_y, "the conditional entropy"),
            *_epsilons(_xy, condition_with_epsilon, "the conditional entropy", (1e-12,)),
        ),
        mistakes=(
            _xy("other-condition", given_x, "H(Y|X): the roles of X and Y are exchanged",
                "divide by the marginal of the condition, p(y) = Σ_x p(x, y)", f"{COVER}, eq. (2.12)"),
            _xy("joint", _entropy, "H(X, Y): the entropy of the condition is not taken off",
                "subtract H(Y), or take log p(x|y)"),
            _xy("unweighted", unweighted_condition, "the plain mean over y of H(X|Y = y), not weighted by p(y)",
                "weight by p(y)"),
            _xy("marginal", unconditional, "H(X): nothing is conditioned on", "take log p(x|y)"),
            _xy("information", _information, "I(X; Y) in place of H(X|Y)", "H(X|Y) = H(X) − I(X; Y)"),
            *_epsilons(_xy, condition_with_epsilon, "the conditional entropy", (1e-8,)),
            *_epsilons(_xy, condition_of_entropies_with_epsilon, "the conditional entropy, H(X, Y) − H(Y),",
                       (1e-8,), "inside both logarithms", "entropies-epsilon"),
            _xy("zero-log-zero", naive_condition, "the conditional entropy, but NaN where a cell is 0", ZEROS,
                f"{COVER}, section 2.1: 0 log 0 = 0"),
        ),
    ),), f"{COVER}, eq. (2.12)"),
    Contract("information", "mutual_information", "the mutual information I(X; Y) in nats", (Form(
        name="table",
        signature=P_XY,
        meaning="f(p_xy (X, Y)) -> I(X; Y)",
        draw=_two,
        reference=reference(quiet(information.mutual_information), P_XY),
        conventions=(
            _bits(_xy, _information, "the mutual information"),
            *_epsilons(_xy, information_with_epsilon, "the mutual information", (1e-12,)),
        ),
        mistakes=(
            _xy("reversed", lautum, "KL(P_X P_Y ‖ P_XY): the two distributions are exchanged",
                "weight log(p/(p_x p_y)) by p, not by p_x p_y", "Palomar & Verdú 2008, lautum information"),
            _xy("unweighted", pointwise_mean, "the plain mean of the pointwise information, not weighted by p",
                "weight by p(x, y)"),
            _xy("joint-added", lambda p: sum_of_marginals(p) + _entropy(p), "H(X) + H(Y) + H(X, Y)",
                "subtract the joint entropy"),
            _xy("joint-left-out", sum_of_marginals, "H(X) + H(Y): the joint entropy is not taken off",
                "subtract H(X, Y)"),
            _xy("other-condition", without_joint, "H(X) − H(Y|X): of different variables",
                "H(X) − H(X|Y), or H(Y) − H(Y|X)"),
            _xy("averaged-marginals", averaged_marginals, "I with marginals that are means where sums belong",
                "sum the table over an axis: p.sum(axis)"),
            _xy("rows-normalized", uniform_rows, "I of the table with its rows divided by their sums: at a uniform X",
                "give the joint table p(x, y), not p(y|x)"),
            _xy("normalized-arithmetic", partial(normalized_information, lambda x, y, xy: (x + y) / 2),
                "normalized information, 2I/(H(X) + H(Y))", "do not divide",
                "sklearn.metrics.normalized_mutual_info_score"),
            _xy("normalized-geometric", partial(normalized_information, lambda x, y, xy: math.sqrt(x * y)),
                "normalized information, I/√(H(X) H(Y))", "do not divide", "Strehl & Ghosh 2002"),
            _xy("normalized-min", partial(normalized_information, lambda x, y, xy: min(x, y)),
                "normalized information, I/min(H(X), H(Y))", "do not divide"),
            _xy("normalized-max", partial(normalized_information, lambda x, y, xy: max(x, y)),
                "normalized information, I/max(H(X), H(Y))", "do not divide"),
            _xy("normalized-joint", partial(normalized_information, lambda x, y, xy: xy),
                "normalized information, I/H(X, Y)", "do not divide"),
            *_epsilons(_xy, information_with_epsilon, "the mutual information", (1e-8,)),
            *_epsilons(_xy, information_with_epsilon_twice, "the mutual information",
                       (1e-8,), "to both p and p_x p_y", "ratio-epsilon"),
            *_epsilons(_xy, information_of_entropies_with_epsilon, "the mutual information, H(X) + H(Y) − H(X, Y),",
                       (1e-8,), "inside all logarithms", "entropies-epsilon"),
            _xy("zero-log-zero", naive_information, "the mutual information, but NaN where a cell is 0", ZEROS,
                f"{COVER}, section 2.1: 0 log 0 = 0"),
        ),
    ),), f"{COVER}, eq. (2.28)"),
    Contract("information", "conditional_mutual_information", "the conditional information I(X; Y | Z) in nats", (Form(
        name="table",
        signature=P_XYZ,
        meaning="f(p_xyz (X, Y, Z)) -> I(X; Y | Z): axis 2 is the condition",
        draw=_three,
        reference=reference(quiet(information.conditional_mutual_information), P_XYZ),
        conventions=(_bits(_xyz, partial(_conditional, axis=2), "the conditional information"),),
        mistakes=(
            _xyz("condition-on-first", partial(_conditional, axis=0), "I(Y; Z | X): the condition is the first axis",
                 "the condition is the last axis; or transpose the table"),
            _xyz("condition-on-second", partial(_conditional, axis=1),
                 "I(X; Z | Y): the condition is the second axis",
                 "the condition is the last axis; or transpose the table"),
            _xyz("unconditioned", unconditioned, "I(X; Y), without the condition",
                 "condition on Z before taking the ratio", f"{COVER}, section 2.8"),
            _xyz("unweighted", unweighted_slices, "the plain mean over z of I(X; Y | Z = z), not weighted by p(z)",
                 "weight by p(z)"),
            _xyz("ratio-without-z", unnormalized_slices, "Σ p log [p/(p(x, z) p(y, z))]: p(z) is missing",
                 "multiply the ratio by p(z)"),
            _xyz("with-condition", with_condition, "I(X; (Y, Z)): the condition counted as a second variable",
                 "subtract I(X; Z)", f"{COVER}, theorem 2.5.2"),
            _xyz("zero-log-zero", naive_conditional, "the conditional information, but NaN where a cell is 0", ZEROS,
                 f"{COVER}, section 2.1: 0 log 0 = 0"),
        ),
    ),), f"{COVER}, eq. (2.61)"),
    Contract("information", "capacity", "the capacity of a channel in nats", (Form(
        name="channel",
        signature=CHANNEL,
        meaning="f(channel (X, Y)), rows P(y|x) -> C",
        draw=_channel,
        reference=reference(_capacity, CHANNEL),
        conventions=(_bits(_w, _capacity, "the capacity"),),
        mistakes=(
            _w("uniform-input", at_uniform_input, "the information at a uniform input, not the capacity",
               "maximize over the input: the Blahut–Arimoto iteration", f"{COVER}, section 10.8"),
            _w("upper-end", most_telling_input, "max_x KL(W_x ‖ q) at a uniform input: an upper bound on C",
               "iterate: p(x) ← p(x) e^{KL(W_x‖q)}/Z"),
            _w("columns-as-inputs", quiet(of_columns),
               "the capacity of the transposed channel, its rows divided by their sums",
               "rows are P(y|x): they sum to 1"),
            _w("symmetric-formula", best_output_entropy,
               "log Y − H(first row), which holds for symmetric channels alone", "maximize over the input",
               f"{COVER}, theorem 7.2.1"),
        ),
    ),), f"{COVER}, section 10.8"),
)  # fmt: skip
