"""Contracts of entropies and informations of discrete tables. Values alone are compared: the references are off the tape."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.tables import COVER, entropy, quantity, quiet, ratio, softmax, table, xlogy  # noqa: F401
from dimref.audit.catalogue.tables import kl as divergence
from dimref.audit.contract import Contract, Sizes
from dimref.theory import channels, information
from dimref.trees import Array

# ---- formulas, edited


def entropy_of_x(p_x: Array) -> Array:
    return -xlogy(p_x, p_x)


def joint_entropy(p_xy: Array) -> Array:
    return -xlogy(p_xy, p_xy)


def conditional_entropy(p_xy: Array) -> Array:
    return -xlogy(p_xy, ratio(p_xy, p_xy.sum(0)))


def conditional_of_entropies(p_xy: Array) -> Array:
    return entropy(p_xy) - entropy(p_xy.sum(0))


def mutual_information(p_xy: Array) -> Array:
    return xlogy(p_xy, ratio(p_xy, p_xy.sum(1, keepdims=True) * p_xy.sum(0)))


def information_of_entropies(p_xy: Array) -> Array:
    return entropy(p_xy.sum(1)) + entropy(p_xy.sum(0)) - entropy(p_xy)


def conditional_information(p_xyz: Array) -> Array:
    return entropy(p_xyz.sum(1)) + entropy(p_xyz.sum(0)) - entropy(p_xyz) - entropy(p_xyz.sum((0, 1)))


# ---- more of them


def condition(p: Array) -> Array:
    """The mean over y of H(X|Y = y), every y counted alike."""
    columns = [column / column.sum() for column in p.T if column.sum() > 0]
    return sum(entropy(column) for column in columns) / max(1, len(columns))


def uniform_rows(p: Array) -> Array:
    """Every row divided by its sum: the information at a uniform X."""
    seen = p[p.sum(axis=1) > 0]
    return information_of_entropies(seen / seen.sum(axis=1, keepdims=True) / len(seen))


def normalized(by: Callable[[float, float, float], float], p: Array) -> Array:
    """I divided by a function of H(X), H(Y) and H(X, Y); 0 where that is 0."""
    size = by(*(float(entropy(each)) for each in (p.sum(1), p.sum(0), p)))
    return information_of_entropies(p) / size if size > 0 else 0.0 * p.sum()


def slices(p: Array) -> Array:
    """The mean over z of I(X; Y | Z = z), every z counted alike."""
    seen = [p[:, :, k] for k in range(p.shape[2]) if p[:, :, k].sum() > 0]
    return sum(information_of_entropies(each / each.sum()) for each in seen) / max(1, len(seen))


def of_columns(channel: Array) -> float:
    """The capacity of the transposed channel, its rows divided by their sums."""
    columns = np.asarray(channel, np.float64).T[channel.sum(axis=0) > 0]
    return channels.capacity(columns / columns.sum(axis=1, keepdims=True)).information


def _product(p: Array) -> Array:
    return np.outer(p.sum(1), p.sum(0))


# ---- what is asked


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


# fmt: off
X = ("table", Signature(("p_x",)), "f(p_x (X,)) -> H(X)", _one)
XY = ("table", Signature(("p_xy",)),
      "f(p_xy (X, Y)) -> value; X is axis 0, and where there is a condition it is Y, axis 1", _two)
XYZ = ("table", Signature(("p_xyz",)), "f(p_xyz (X, Y, Z)) -> I(X; Y | Z): axis 2 is the condition", _three)
CHANNEL = ("channel", Signature(("channel",)), "f(channel (X, Y)), rows P(y|x) -> C", _channel)
NOT_DIVIDED = "do not divide"
CONTRACTS: tuple[Contract, ...] = (
    quantity("entropy", "the entropy H(X)", f"{COVER}, eq. (2.1)", information.entropy, X, (entropy_of_x,), mistakes=(
        ("evenness", lambda p: entropy(p) / math.log(p.size), "the entropy divided by log K, a number in [0, 1]",
         "multiply by log K", "Pielou's evenness"),
        ("binary-terms", lambda p: entropy(p) + entropy(1 - p), "the sum of the entropies of K coins",
         "leave (1 − p) log(1 − p) out, unless there are K separate coins"),
    )),
    quantity("joint_entropy", "the joint entropy H(X, Y)", f"{COVER}, eq. (2.8)", information.joint_entropy, XY,
             (joint_entropy,), mistakes=(
        ("sum-of-marginals", lambda p: entropy(p.sum(1)) + entropy(p.sum(0)), "H(X) + H(Y), as if X and Y were independent",
         "take the logarithm of p(x, y)", f"{COVER}, theorem 2.6.6"),
        ("one-marginal", lambda p: entropy(p.sum(1)), "H(X), the entropy of one marginal", "sum over all cells"),
    )),
    quantity("conditional_entropy", "the conditional entropy H(X|Y)", f"{COVER}, eq. (2.12)",
             information.conditional_entropy,
             XY, (conditional_of_entropies, conditional_entropy), mistakes=(
        ("other-condition", lambda p: entropy(p) - entropy(p.sum(1)), "H(Y|X): the roles of X and Y are exchanged",
         "divide by the marginal of the condition, p(y) = Σ_x p(x, y)", f"{COVER}, eq. (2.12)"),
        ("unweighted", condition, "the plain mean over y of H(X|Y = y), not weighted by p(y)", "weight by p(y)"),
        ("marginal", lambda p: entropy(p.sum(1)), "H(X): nothing is conditioned on", "take log p(x|y)"),
        ("information", information_of_entropies, "I(X; Y) in place of H(X|Y)", "H(X|Y) = H(X) − I(X; Y)"),
    )),
    quantity("mutual_information", "the mutual information I(X; Y)", f"{COVER}, eq. (2.28)", information.mutual_information,
             XY, (mutual_information, information_of_entropies), mistakes=(
        ("reversed", lambda p: divergence(_product(p), p), "KL(P_X P_Y ‖ P_XY): the two distributions are exchanged",
         "weight log(p/(p_x p_y)) by p, not by p_x p_y", "Palomar & Verdú 2008, lautum information"),
        ("rows-normalized", uniform_rows, "I of the table with its rows divided by their sums: at a uniform X",
         "give the joint table p(x, y), not p(y|x)"),
        ("normalized-arithmetic", partial(normalized, lambda x, y, xy: (x + y) / 2),
         "normalized information, 2I/(H(X) + H(Y))",
         NOT_DIVIDED, "sklearn.metrics.normalized_mutual_info_score"),
        ("normalized-geometric", partial(normalized, lambda x, y, xy: math.sqrt(x * y)), "I/√(H(X) H(Y))", NOT_DIVIDED,
         "Strehl & Ghosh 2002"),
        ("normalized-min", partial(normalized, lambda x, y, xy: min(x, y)), "I/min(H(X), H(Y))", NOT_DIVIDED),
        ("normalized-max", partial(normalized, lambda x, y, xy: max(x, y)), "I/max(H(X), H(Y))", NOT_DIVIDED),
        ("normalized-joint", partial(normalized, lambda x, y, xy: xy), "I/H(X, Y)", NOT_DIVIDED),
    )),
    quantity("conditional_mutual_information", "the conditional information I(X; Y | Z)", f"{COVER}, eq. (2.61)",
             information.conditional_mutual_information, XYZ, (conditional_information,), mistakes=(
        *((f"condition-on-{which}", lambda p, axis=axis: conditional_information(np.moveaxis(p, axis, 2)), f"{what}: the "
           f"condition is the {which} axis", "the condition is the last axis; or transpose the table")
          for axis, which, what in ((0, "first", "I(Y; Z | X)"), (1, "second", "I(X; Z | Y)"))),
        ("unconditioned", lambda p: information_of_entropies(p.sum(2)), "I(X; Y), without the condition",
         "condition on Z before taking the ratio", f"{COVER}, section 2.8"),
        ("unweighted", slices, "the plain mean over z of I(X; Y | Z = z), not weighted by p(z)", "weight by p(z)"),
        ("with-condition", lambda p: information_of_entropies(p.reshape(len(p), -1)),
         "I(X; (Y, Z)): the condition counted as a second variable", "subtract I(X; Z)", f"{COVER}, theorem 2.5.2"),
    )),
    quantity("capacity", "the capacity of a channel", f"{COVER}, section 10.8",
             lambda channel: channels.capacity(channel, tolerance=1e-10).information, CHANNEL, mistakes=(
        ("uniform-input", lambda w: information_of_entropies(w / len(w)),
         "the information at a uniform input, not the capacity",
         "maximize over the input: the Blahut–Arimoto iteration", f"{COVER}, section 10.8"),
        ("upper-end", lambda w: max(divergence(row, w.mean(axis=0)) for row in w),
         "max_x KL(W_x ‖ q) at a uniform input: an upper bound on C", "iterate: p(x) ← p(x) e^{KL(W_x‖q)}/Z"),
        ("columns-as-inputs", quiet(of_columns), "the capacity of the transposed channel, its rows divided by their sums",
         "rows are P(y|x): they sum to 1"),
        ("symmetric-formula", lambda w: math.log(w.shape[1]) - entropy(w[0]),
         "log Y − H(first row), which holds for symmetric channels alone", "maximize over the input",
         f"{COVER}, theorem 7.2.1"),
    )),
)
