"""Which pairs are negatives: masks over a square of scores, and indices that are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np

from dimref import negatives, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.infonce import split
from dimref.audit.catalogue.pieces import HJELM, Ask, draw_square
from dimref.audit.contract import Contract, Form, Sizes, TargetLaw, Variant
from dimref.laws.law import Slack
from dimref.trees import Array, Tree


def _v(key: str, function: Callable[[Inputs], Tree], title: str, consequence: str, fix: str) -> Variant:
    return Variant(key, title, function, consequence, fix, "")


def _nothing(inputs: Inputs) -> Tree:
    """The function of a mistake that a law shows."""
    return {}


# ---- the square, split


def _in_order(outputs: Tree) -> Tree:
    """The pairs of the product sorted: their order is free."""
    product = np.asarray(outputs["product"])
    return {**outputs, "product": np.sort(product, axis=0) if product.ndim else product}


def _pair(joint: Array, product: Array) -> Tree:
    return {"joint": joint, "product": product}


def _flat(scores: Array) -> Array:
    n = scores.shape[0]
    return ops.reshape(scores, (n * n, *scores.shape[2:]))


def _off(scores: Array) -> Array:
    """1 off the diagonal, 0 on it, in the dtype of the scores."""
    n = scores.shape[0]
    return (1 - np.eye(n, dtype=scores.dtype)).reshape(n, n, *(1 for _ in scores.shape[2:]))


def _all_pairs(inputs: Inputs) -> Tree:
    return _pair(*negatives.all_pairs(inputs["scores"]))


def _with_diagonal(inputs: Inputs) -> Tree:
    scores = inputs["scores"]
    return _pair(negatives.all_pairs(scores)[0], _flat(scores))


def _multiplied(inputs: Inputs) -> Tree:
    scores = inputs["scores"]
    return _pair(negatives.all_pairs(scores)[0], _flat(scores * _off(scores)))


def _minus_ten(inputs: Inputs) -> Tree:
    scores = inputs["scores"]
    off = _off(scores)
    return _pair(negatives.all_pairs(scores)[0], _flat(scores * off - 10 * (1 - off)))


def _upper(inputs: Inputs) -> Tree:
    scores = inputs["scores"]
    n = scores.shape[0]
    return _pair(negatives.all_pairs(scores)[0], scores[np.triu_indices(n, 1)])


def _anti_diagonal(inputs: Inputs) -> Tree:
    scores = inputs["scores"]
    return _all_pairs({"scores": scores[:, ::-1]})


def _next_row(inputs: Inputs) -> Tree:
    scores = inputs["scores"]
    n = scores.shape[0]
    return _pair(negatives.all_pairs(scores)[0], scores[np.arange(n), (np.arange(n) + 1) % n])


ALL_PAIRS = Contract(
    "negatives", "all_pairs", "the diagonal as the joint, all other pairs as the product",
    (
        Form(
            "matrix", Signature(("scores",), ("joint", "product"), of="joint"),
            "scores (N, N) or (N, N, L); returns (joint (N, [L]), product (N(N−1), [L])), the product in any order",
            draw_square, _all_pairs,
            conventions=(
                _v(
                    "one-negative-each", _next_row, "one pair of the product for each sample, x_i with y_{i+1}",
                    "N of the N(N − 1) pairs: more variance", "take all off-diagonal pairs",
                ),
            ),
            mistakes=(
                _v(
                    "diagonal-included", _with_diagonal, "the diagonal among the product's pairs (all N²)",
                    "1/N of the negatives are positives", "leave the diagonal out",
                ),
                _v(
                    "mask-multiplied", _multiplied, "the diagonal multiplied by 0 and kept as a score of 0",
                    "N negatives that nobody scored", "select the off-diagonal scores",
                ),
                _v(
                    "masked-by-minus-10", _minus_ten, "the diagonal replaced by −10 and kept",
                    "N negatives of score −10: not invariant to a shift", "select the off-diagonal scores",
                ),
                _v(
                    "upper-triangle", _upper, "the pairs above the diagonal alone",
                    "half of the pairs; early x never meet earlier y", "take both triangles",
                ),
                _v(
                    "wrong-diagonal", _anti_diagonal, "the other diagonal as the joint",
                    "negatives are taken for positives", "scores[i, i] is the joint",
                ),
            ),
            canonical=_in_order,
        ),
    ),
    f"{HJELM}, section 3.1",
)  # fmt: skip


# ---- the mask


def _draw_count(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    return {"n": max(2, sizes.n)}


def _mask(of: Callable[[int], np.ndarray]) -> Callable[[Inputs], Tree]:
    return lambda inputs: {"value": of(inputs["n"]).astype(np.float64)}


MASK = Contract(
    "negatives", "mask", "true where a pair belongs to the product: off the diagonal",
    (
        Form(
            "count", Signature(("n",)), "n; returns (N, N) of truth values or of 0 and 1",
            _draw_count, _mask(lambda n: 1 - np.eye(n)),
            conventions=(
                _v(
                    "true-is-joint", _mask(np.eye), "true where a pair is of the joint",
                    "the reference's complement", "negate it",
                ),
            ),
            mistakes=(
                _v(
                    "nothing-masked", _mask(lambda n: np.ones((n, n))), "true everywhere: nothing is left out",
                    "positives count as negatives", "0 on the diagonal",
                ),
                _v(
                    "upper-triangle", _mask(lambda n: np.triu(np.ones((n, n)), 1)), "the pairs above the diagonal alone",
                    "half of the pairs", "both triangles",
                ),
                _v(
                    "triangle-with-diagonal", _mask(lambda n: np.triu(np.ones((n, n)))),
                    "the upper triangle and the diagonal",
                    "positives count as negatives", "both triangles, no diagonal",
                ),
                _v(
                    "other-diagonal", _mask(lambda n: 1 - np.eye(n)[::-1]), "the other diagonal is left out",
                    "positives count as negatives", "leave out i = j",
                ),
            ),
        ),
    ),
    f"{HJELM}, section 3.1",
)  # fmt: skip


# ---- log Σ e^T over the negatives of each y


def _lse(inputs: Inputs) -> Tree:
    return {"value": ops.logsumexp(split(inputs["scores"])[1], axis=0)}


def _with_extra(extra: float) -> Callable[[Inputs], Tree]:
    def function(inputs: Inputs) -> Tree:
        log_sum = _lse(inputs)["value"]
        return {"value": anp.logaddexp(log_sum, np.asarray(extra, inputs["scores"].dtype))}

    return function


def _ten_subtracted(inputs: Inputs) -> Tree:
    diagonal = split(inputs["scores"])[0]
    return {"value": anp.logaddexp(_lse(inputs)["value"], diagonal - 10.0)}


def _square_draw(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    case = draw_square(rng, sizes)
    scores = case["scores"] if case["scores"].ndim == 2 else np.ascontiguousarray(case["scores"][:, :, 0])
    return {"scores": scores, "weight": rng.standard_normal(len(scores)).astype(sizes.dtype)}


def _naive_lse(inputs: Inputs) -> Tree:
    return {"value": anp.log(ops.total(anp.exp(split(inputs["scores"])[1]), axis=0))}


MASKED_LOGSUMEXP = Contract(
    "negatives", "masked_logsumexp", "log Σ_{i≠j} e^{T_ij} of each column j",
    (
        Form(
            "matrix", Signature(("scores",), differentiate=("scores",)), "scores (N, N); returns (N,), one number a column",
            _square_draw, _lse,
            conventions=(
                _v(
                    "other-axis",
                    lambda i: {"value": ops.logsumexp(split(ops.transpose(i["scores"], (1, 0)))[1], axis=0)},
                    "over the other axis: the negatives y' of each x", "invariant to c(x) in place of c(y)",
                    "sum over axis 0",
                ),
            ),
            mistakes=(
                _v(
                    "masked-by-minus-10", _with_extra(-10.0), "the diagonal replaced by the number −10",
                    "not invariant to a shift: for scores near or below −10 the masked pair takes over",
                    "mask with −inf",
                ),
                _v(
                    "ten-subtracted", _ten_subtracted, "10 subtracted from the diagonal, which stays",
                    "the masked pair still counts e⁻¹⁰ of itself: all of it once its score is 10 above the others",
                    "mask with −inf",
                ),
                _v(
                    "mask-multiplied", _with_extra(0.0), "the diagonal multiplied by 0 before the exponential",
                    "every column has one more e⁰", "mask with −inf, or multiply after the exponential",
                ),
                _v(
                    "diagonal-included", lambda i: {"value": ops.logsumexp(i["scores"], axis=0)},
                    "the diagonal included", "the positive counts as a negative", "mask it with −inf",
                ),
                _v(
                    "mean-for-sum",
                    lambda i: {"value": ops.logmeanexp(split(i["scores"])[1], axis=0)},
                    "the logarithm of the mean, not of the sum", "low by log(N − 1)", "sum over the negatives",
                ),
            ),
            numerical=(
                _v(
                    "naive-exp-sum-log", _naive_lse, "log Σ e^T without subtracting the maximum",
                    "inf above 88.7 in float32 (709.8 in float64), −inf far below 0", "use logsumexp",
                ),
            ),
            range_of=("scores",),
        ),
    ),
    f"{HJELM}, eq. (5)",
)  # fmt: skip


# ---- indices


def _draw_roll(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    n = max(2, sizes.n)
    return {"n": n, "shift": int(rng.integers(1, n))}


def _roll(of: Callable[[int, int], Any]) -> Callable[[Inputs], Tree]:
    return lambda inputs: {"value": np.asarray(of(inputs["n"], inputs["shift"]))}


ROLL = Contract(
    "negatives", "roll", "x_i meets y_{(i + shift) mod N}",
    (
        Form(
            "index", Signature(("n", "shift")), "n, shift in 1..N−1; returns (N,) integers",
            _draw_roll, _roll(negatives.roll),
            conventions=(
                _v(
                    "other-direction", _roll(lambda n, s: (np.arange(n) - s) % n), "rolled the other way: (i − shift) mod N",
                    "as good", "(i + shift) mod N",
                ),
            ),
            mistakes=(
                _v(
                    "rolled-by-zero", _roll(lambda n, s: np.arange(n)), "the identity: rolled by 0",
                    "every negative is a positive: the bound is at most 0", "roll by 1 … N − 1",
                ),
                _v(
                    "not-wrapped", _roll(lambda n, s: np.minimum(np.arange(n) + s, n - 1)),
                    "clipped at the end, not wrapped",
                    "the last sample meets its own y", "take the index modulo N",
                ),
                _v(
                    "reversed", _roll(lambda n, s: np.arange(n)[::-1]), "the batch reversed",
                    "for odd N the middle sample meets its own y", "(i + shift) mod N",
                ),
            ),
        ),
    ),
    f"{HJELM}, section 3.1",
)  # fmt: skip


def _index(answer: Any) -> np.ndarray | None:
    found = answer.value.get("value")
    return None if answer.problem or found is None else np.asarray(found)


def _counted(key: str, statement: str, mistake: str, wrong: Callable[[Inputs, np.ndarray], float]) -> TargetLaw:
    """A law of an index: the number of entries that are wrong is 0."""

    def measure(inputs: Inputs, ask: Ask) -> Slack:
        index = _index(ask(inputs))
        return Slack(0.0 if index is None else -float(wrong(inputs, index)), 0.0)

    return TargetLaw(key, statement, f"{HJELM}, section 3.1", measure, mistake)


def _out_of_shape(shape: Callable[[Inputs], tuple[int, ...]]) -> TargetLaw:
    def wrong(inputs: Inputs, index: np.ndarray) -> float:
        return float(index.shape != shape(inputs) or bool((index != np.rint(index)).any()))

    return _counted("shape", "an index of the right shape", "index-shape", wrong)


def _guarded(shape: Callable[[Inputs], tuple[int, ...]], count: Callable[[Inputs, np.ndarray], Any]) -> Any:
    """The count, where the shape allows one."""
    return lambda inputs, index: float(count(inputs, index)) if index.shape == shape(inputs) else 0.0


INDEX_SHAPE = _v(
    "index-shape", _nothing, "not an index of the shape that is due", "it cannot be used to gather",
    "see how it is called",
)  # fmt: skip
FIXED = _v(
    "fixed-points", _nothing, "a shuffle with fixed points: some x meet their own y and are counted as negatives",
    "one pair in N on average is a positive: biased low", "draw a derangement, or roll by 1 … N − 1",
)  # fmt: skip
REPEATED = _v(
    "repeated", _nothing, "another y drawn for each x, with repetition", "some y come twice, others never: more variance",
    "draw a permutation",
)  # fmt: skip
OUTSIDE = _v(
    "outside", _nothing, "indices outside the batch", "it fails, or wraps to a wrong sample", "0 … N − 1",
)  # fmt: skip


def _draw_local(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    return {"seed": int(rng.integers(2**31)), "n": max(2, sizes.n), "locations": sizes.locations}


def _local(i: Inputs) -> tuple[int, ...]:
    return i["n"], i["locations"]


def _own(i: Inputs, at: np.ndarray) -> Any:
    return (at == np.arange(i["n"])[:, None]).sum()


DERANGEMENTS = Contract(
    "negatives", "derangements", "at each location a permutation of the batch without fixed points",
    (
        Form(
            "index", Signature(("seed", "n", "locations")), "seed, n, locations; returns (N, L) integers",
            _draw_local, None,
            conventions=(REPEATED,),
            mistakes=(INDEX_SHAPE, OUTSIDE, FIXED),
            laws=(
                _out_of_shape(_local),
                _counted("range", "indices are in 0..N−1", "outside",
                         _guarded(_local, lambda i, at: ((at < 0) | (at >= i["n"])).sum())),
                _counted("fixed", "no x meets its own y", "fixed-points", _guarded(_local, _own)),
                _counted("permutation", "each y comes once at each location", "repeated",
                         _guarded(_local, lambda i, at: (np.sort(at, axis=0) != np.arange(i["n"])[:, None]).sum())),
            ),
        ),
    ),
    f"{HJELM}, section 3.1",
)  # fmt: skip


def _draw_shifts(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    n = max(2, sizes.n)
    return {"seed": int(rng.integers(2**31)), "n": n, "count": int(rng.integers(1, n))}


def _row(i: Inputs) -> tuple[int, ...]:
    return (i["count"],)


def _table(i: Inputs) -> tuple[int, ...]:
    return i["count"], i["n"]


DISTINCT_SHIFTS = Contract(
    "negatives", "distinct_shifts", "different shifts from 1..N−1",
    (
        Form(
            "index", Signature(("seed", "n", "count")), "seed, n, count in 1..N−1; returns (count,) integers",
            _draw_shifts, None,
            mistakes=(
                INDEX_SHAPE,
                _v(
                    "shift-of-zero", _nothing, "a shift of 0 (or N) among the shifts: positives are counted as negatives",
                    "one of the candidates is the positive itself", "draw from 1 … N − 1",
                ),
                _v(
                    "repeated", _nothing, "shifts that repeat", "fewer different negatives than are counted",
                    "draw without repetition",
                ),
                OUTSIDE,
            ),
            laws=(
                _out_of_shape(_row),
                _counted("zero", "no shift is a multiple of N", "shift-of-zero",
                         _guarded(_row, lambda i, at: (at % i["n"] == 0).sum())),
                _counted("range", "shifts are in 1..N−1", "outside",
                         _guarded(_row, lambda i, at: ((at < 1) | (at >= i["n"])).sum())),
                _counted("distinct", "no shift comes twice", "repeated",
                         _guarded(_row, lambda i, at: at.size - len(np.unique(at)))),
            ),
        ),
    ),
    "arXiv 1807.03748, eq. (4)",
)  # fmt: skip
CANDIDATES = Contract(
    "negatives", "candidates", "for each y, different other images",
    (
        Form(
            "index", Signature(("seed", "n", "count")), "seed, n, count in 1..N−1; returns (count, N) integers",
            _draw_shifts, None,
            mistakes=(
                INDEX_SHAPE, OUTSIDE, FIXED,
                _v(
                    "repeated", _nothing, "the same image twice among one y's negatives",
                    "fewer different negatives than are counted", "draw without repetition",
                ),
            ),
            laws=(
                _out_of_shape(_table),
                _counted("range", "indices are in 0..N−1", "outside",
                         _guarded(_table, lambda i, at: ((at < 0) | (at >= i["n"])).sum())),
                _counted("fixed", "no y meets its own x", "fixed-points",
                         _guarded(_table, lambda i, at: (at == np.arange(i["n"])).sum())),
                _counted("distinct", "no image comes twice for one y", "repeated",
                         _guarded(_table, lambda i, at: sum(len(c) - len(np.unique(c)) for c in at.T))),
            ),
        ),
    ),
    "arXiv 1807.03748, eq. (4)",
)  # fmt: skip

CONTRACTS = (ALL_PAIRS, MASK, MASKED_LOGSUMEXP, ROLL, DERANGEMENTS, DISTINCT_SHIFTS, CANDIDATES)
