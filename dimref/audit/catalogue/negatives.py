"""Which pairs are negatives: masks over a square of scores, and indices that are drawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np

from dimref import negatives, ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import Row, reference, variants
from dimref.audit.catalogue.infonce import split
from dimref.audit.catalogue.pieces import HJELM, Ask, changed, draw_square
from dimref.audit.contract import Contract, Form, Sizes, TargetLaw
from dimref.audit.edits import Formula, rewritten
from dimref.laws.law import Slack
from dimref.trees import Array, Tree

SECTION, OORD = f"{HJELM}, section 3.1", "arXiv 1807.03748, eq. (4)"
CODE = f"official code of {HJELM}"

# ---- the square, split


def _in_order(outputs: Tree) -> Tree:
    """The pairs of the product sorted: their order is free."""
    product = np.asarray(outputs["product"])
    return {**outputs, "product": np.sort(product, axis=0) if product.ndim else product}


def _diagonal(scores: Array) -> Array:
    return negatives.all_pairs(scores)[0]


def _next(scores: Array) -> Array:
    n = len(scores)
    return scores[np.arange(n), (np.arange(n) + 1) % n]


# ---- log Σ e^T over the negatives of each y


def log_sum(scores: Array) -> Array:
    """log Σ_{i≠j} e^{T_ij} of each column j."""
    return ops.logsumexp(split(scores)[1], axis=0)


def _and(more: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """With one more candidate, a function of the diagonal."""
    return lambda scores: anp.logaddexp(log_sum(scores), more(split(scores)[0]))


def _draw_square(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    case = draw_square(rng, sizes)
    scores = case["scores"] if case["scores"].ndim == 2 else np.ascontiguousarray(case["scores"][:, :, 0])
    return {"scores": scores, "weight": rng.standard_normal(len(scores)).astype(sizes.dtype)}


# ---- indices


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


def _draw_count(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    return {"n": max(2, sizes.n)}


def _draw_roll(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    n = max(2, sizes.n)
    return {"n": n, "shift": int(rng.integers(1, n))}


def _draw_local(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    return {"seed": int(rng.integers(2**31)), "n": max(2, sizes.n), "locations": sizes.locations}


def _draw_shifts(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    n = max(2, sizes.n)
    return {"seed": int(rng.integers(2**31)), "n": n, "count": int(rng.integers(1, n))}


def _local(i: Inputs) -> tuple[int, ...]:
    return i["n"], i["locations"]


def _row(i: Inputs) -> tuple[int, ...]:
    return (i["count"],)


def _table(i: Inputs) -> tuple[int, ...]:
    return i["count"], i["n"]


def _range(shape: Callable[[Inputs], tuple[int, ...]], least: int = 0) -> TargetLaw:
    return _counted("range", f"all are in {least}..N−1", "outside",
                    _guarded(shape, lambda i, at: ((at < least) | (at >= i["n"])).sum()))  # fmt: skip


def _fixed(shape: Callable[[Inputs], tuple[int, ...]], own: Callable[[int], np.ndarray]) -> TargetLaw:
    return _counted(
        "fixed", "nothing meets its own", "fixed-points", _guarded(shape, lambda i, at: (at == own(i["n"])).sum())
    )


# fmt: off
SQUARE, COUNT, ROLLED = Signature(("scores",), ("joint", "product"), of="joint"), Signature(("n",)), Signature(("n",
                                                                                                                "shift"))
LOG_SUM = Signature(("scores",), differentiate=("scores",))


def _nothing(*arguments: Any) -> Tree:
    """The function of a mistake that a law shows."""
    return {}


SHAPE, OUTSIDE, FIXED, REPEATED = (
    ("index-shape", _nothing, "not an index of the shape that is due", "see how it is called", "",
     "it cannot be used to gather"),
    ("outside", _nothing, "indices outside the batch", "0 … N − 1", "", "it fails, or wraps to a wrong sample"),
    ("fixed-points", _nothing, "a shuffle with fixed points: some x meet their own y and are counted as negatives",
     "draw a derangement, or roll by 1 … N − 1", "", "one pair in N on average is a positive: biased low"),
    ("repeated", _nothing, "drawn with repetition", "draw without repetition", "",
     "fewer different negatives than are counted"),
)


def _drawn(name: str, title: str, source: str, arguments: tuple[str, ...], meaning: str, draw: Callable[..., Inputs],
           conventions: tuple[Row, ...], mistakes: tuple[Row, ...], *laws: TargetLaw) -> Contract:
    signature = Signature(arguments)
    form = Form("index", signature, meaning, draw, None, conventions=variants(signature, conventions),
                mistakes=variants(signature, (SHAPE, *mistakes)), laws=laws)
    return Contract("negatives", name, title, (form,), source)


def _masks(n: int) -> np.ndarray:
    return 1 - np.eye(n)


CONTRACTS = (
    Contract("negatives", "all_pairs", "the diagonal as the joint, all other pairs as the product", (Form(
        "matrix", SQUARE,
        "scores (N, N) or (N, N, L); returns (joint (N, [L]), product (N(N−1), [L])), the product in any order", draw_square,
        reference(negatives.all_pairs, SQUARE), canonical=_in_order, conventions=variants(SQUARE, (
            ("one-negative-each", lambda s: (_diagonal(s), _next(s)),
             "one pair of the product for each sample, x_i with y_{i+1}",
             "take all off-diagonal pairs", "", "N of the N(N − 1) pairs: more variance"),
        )), mistakes=variants(SQUARE, (
            ("diagonal-included", lambda s: (_diagonal(s), changed(s, 1.0, 0.0)),
             "the diagonal among the product's pairs (all N²)",
             "leave the diagonal out", "", "1/N of the negatives are positives"),
            ("mask-multiplied", lambda s: (_diagonal(s), changed(s, 0.0, 0.0)),
             "the diagonal multiplied by 0 and kept as a score of 0",
             "select the off-diagonal scores", "", "N negatives that nobody scored"),
            ("masked-by-minus-10", lambda s: (_diagonal(s), changed(s, 0.0, -10.0)), "the diagonal replaced by −10 and kept",
             "select the off-diagonal scores", CODE, "N negatives of score −10: not invariant to a shift"),
            ("upper-triangle", lambda s: (_diagonal(s), s[np.triu_indices(len(s), 1)]), "the pairs above the diagonal alone",
             "take both triangles", "", "half of the pairs; early x never meet earlier y"),
            ("wrong-diagonal", lambda s: negatives.all_pairs(s[:, ::-1]), "the other diagonal as the joint",
             "scores[i, i] is the joint", "", "negatives are taken for positives"),
        ))),), SECTION),
    Contract("negatives", "mask", "true where a pair belongs to the product: off the diagonal", (Form(
        "count", COUNT, "n; returns (N, N) of truth values or of 0 and 1", _draw_count, reference(_masks, COUNT),
        conventions=variants(COUNT, (
            ("true-is-joint", np.eye, "true where a pair is of the joint", "negate it", "", "the reference's complement"),
        )), mistakes=variants(COUNT, (
            ("nothing-masked", lambda n: np.ones((n, n)), "true everywhere: nothing is left out", "0 on the diagonal", "",
             "positives count as negatives"),
            ("upper-triangle", lambda n: np.triu(np.ones((n, n)), 1), "the pairs above the diagonal alone",
             "both triangles", "",
             "half of the pairs"),
            ("triangle-with-diagonal", lambda n: np.triu(np.ones((n, n))), "the upper triangle and the diagonal",
             "both triangles, no diagonal", "", "positives count as negatives"),
            ("other-diagonal", lambda n: 1 - np.eye(n)[::-1], "the other diagonal is left out", "leave out i = j", "",
             "positives count as negatives"),
        ))),), SECTION),
    Contract("negatives", "masked_logsumexp", "log Σ_{i≠j} e^{T_ij} of each column j", (Form(
        "matrix", LOG_SUM, "scores (N, N); returns (N,), one number a column", _draw_square, reference(log_sum, LOG_SUM),
        conventions=variants(LOG_SUM, (
            ("other-axis", lambda s: log_sum(ops.transpose(s, (1, 0))), "over the other axis: the negatives y' of each x",
             "sum over axis 0", "", "invariant to c(x) in place of c(y)"),
        )), mistakes=variants(LOG_SUM, (
            ("masked-by-minus-10", _and(lambda own: 0 * own - 10.0), "the diagonal replaced by the number −10",
             "mask with −inf",
             CODE, "not invariant to a shift: for scores near or below −10 the masked pair takes over"),
            ("ten-subtracted", _and(lambda own: own - 10.0), "10 subtracted from the diagonal, which stays",
             "mask with −inf", "",
             "the masked pair still counts e⁻¹⁰ of itself: all of it once its score is 10 above the others"),
            ("mask-multiplied", _and(lambda own: 0 * own), "the diagonal multiplied by 0 before the exponential",
             "mask with −inf, or multiply after the exponential", "", "every column has one more e⁰"),
            ("diagonal-included", _and(lambda own: own), "the diagonal included", "mask it with −inf", "",
             "the positive counts as a negative"),
        )), numerical=variants(LOG_SUM, (
            ("naive-exp-sum-log", lambda s: anp.log(ops.total(anp.exp(split(s)[1]), axis=0)),
             "log Σ e^T without subtracting the maximum", "use logsumexp", "",
             "inf above 88.7 in float32 (709.8 in float64), −inf far below 0"),
        )), range_of=("scores",),
        **rewritten((Formula(log_sum), partial(reference, signature=LOG_SUM), "log Σ e^T over the negatives")),
    ),), f"{HJELM}, eq. (5)"),
    Contract("negatives", "roll", "x_i meets y_{(i + shift) mod N}", (Form(
        "index", ROLLED, "n, shift in 1..N−1; returns (N,) integers", _draw_roll, reference(negatives.roll, ROLLED),
        conventions=variants(ROLLED, (
            ("other-direction", lambda n, s: (np.arange(n) - s) % n, "rolled the other way: (i − shift) mod N",
             "(i + shift) mod N", "", "as good"),
        )), mistakes=variants(ROLLED, (
            ("rolled-by-zero", lambda n, s: np.arange(n), "the identity: rolled by 0", "roll by 1 … N − 1", "",
             "every negative is a positive: the bound is at most 0"),
            ("not-wrapped", lambda n, s: np.minimum(np.arange(n) + s, n - 1), "clipped at the end, not wrapped",
             "take the index modulo N", "", "the last sample meets its own y"),
            ("reversed", lambda n, s: np.arange(n)[::-1], "the batch reversed", "(i + shift) mod N", "",
             "for odd N the middle sample meets its own y"),
        ))),), SECTION),
    _drawn("derangements", "at each location a permutation of the batch without fixed points", SECTION,
           ("seed", "n", "locations"),
           "seed, n, locations; returns (N, L) integers", _draw_local, (REPEATED,), (OUTSIDE, FIXED), _out_of_shape(_local),
           _range(_local), _fixed(_local, lambda n: np.arange(n)[:, None]),
           _counted("permutation", "each y comes once at each location", "repeated",
                    _guarded(_local, lambda i, at: (np.sort(at, axis=0) != np.arange(i["n"])[:, None]).sum()))),
    _drawn("distinct_shifts", "different shifts from 1..N−1", OORD, ("seed", "n", "count"),
           "seed, n, count in 1..N−1; returns (count,) integers", _draw_shifts, (), (
               ("shift-of-zero", _nothing, "a shift of 0 (or N) among the shifts: positives are counted as negatives",
                "draw from 1 … N − 1", "", "one of the candidates is the positive itself"), REPEATED, OUTSIDE),
           _out_of_shape(_row),
           _counted("zero", "no shift is a multiple of N", "shift-of-zero",
                    _guarded(_row, lambda i, at: (at % i["n"] == 0).sum())),
           _range(_row, 1),
           _counted("distinct", "no shift comes twice", "repeated", _guarded(_row, lambda i,
                                                                             at: at.size - len(np.unique(at))))),
    _drawn("candidates", "for each y, different other images", OORD, ("seed", "n", "count"),
           "seed, n, count in 1..N−1; returns (count, N) integers", _draw_shifts, (), (OUTSIDE, FIXED, REPEATED),
           _out_of_shape(_table), _range(_table), _fixed(_table, np.arange),
           _counted("distinct", "no image comes twice for one y", "repeated",
                    _guarded(_table, lambda i, at: sum(len(c) - len(np.unique(c)) for c in at.T)))),
)
