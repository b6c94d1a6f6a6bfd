"""What the contracts of scores share: how scores are drawn, and how a function of pairs becomes one of a square."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from dimref import negatives, ops
from dimref.audit.answer import Answer, Inputs
from dimref.audit.contract import Sizes, TargetLaw
from dimref.laws.law import Slack
from dimref.trees import Array, Tree

HJELM, OORD, POOLE = "arXiv 1808.06670", "arXiv 1807.03748", "arXiv 1905.06922"
BELGHAZI, NOWOZIN = "arXiv 1801.04062", "arXiv 1606.00709"
SHIFTS = (-1e4, -300.0, -100.0, 100.0, 300.0, 1e4)
TIES = (-1.0, 0.5, 2.0)
SURE = 6.0  # nats by which a critic that is sure lifts the joint and lowers the product

Ask = Callable[[Inputs], Answer]


# ---- drawing scores; two decimals, so that a counterexample can be read


def noise(rng: np.random.Generator, sizes: Sizes, *shape: int) -> np.ndarray:
    """Numbers of the regime, without its shift, in float64; none is 0, where max(t, 0) and |t| of a right formula kink."""
    if sizes.regime == "ties":
        return rng.choice(TIES, shape if rng.integers(2) else (1,) * len(shape)) * np.ones(shape)
    if sizes.regime == "moderate":
        return np.round(rng.uniform(-30, 30, shape), 2)
    if sizes.regime == "large":
        return np.where(rng.random(shape) < 0.5, -1e4, 1e4) + np.round(100 * rng.standard_normal(shape))
    scale = 0.01 if sizes.regime == "tiny" else 2.0
    drawn = np.round(scale * rng.standard_normal(shape), 4 if sizes.regime == "tiny" else 2)
    return np.where(drawn == 0, scale / 2, drawn)


def shift(rng: np.random.Generator, sizes: Sizes) -> float:
    """The constant beside which the scores are small."""
    return float(rng.choice(SHIFTS)) if sizes.regime == "shifted" else 0.0


def tail(sizes: Sizes) -> tuple[int, ...]:
    """The axis of locations, if there is one."""
    return () if sizes.flat else (sizes.locations,)


def draw_pairs(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """{"joint": (N, [L]), "product": (P, [L])}."""
    c, sure = shift(rng, sizes), SURE * (sizes.regime == "separated")
    joint = noise(rng, sizes, sizes.n, *tail(sizes)) + c + sure
    product = noise(rng, sizes, sizes.m, *tail(sizes)) + c - sure
    return {"joint": joint.astype(sizes.dtype), "product": product.astype(sizes.dtype)}


def draw_square(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """{"scores": (N, N, [L])}, N ≥ 2."""
    n = max(2, sizes.n)
    scores = noise(rng, sizes, n, n, *tail(sizes)) + shift(rng, sizes)
    if sizes.regime == "separated":
        eye = np.eye(n).reshape(n, n, *(1 for _ in tail(sizes)))
        scores += SURE * (2 * eye - 1)
    return {"scores": scores.astype(sizes.dtype)}


def draw_local_square(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """{"scores": (N, N, L)}: always with locations."""
    return draw_square(rng, replace(sizes, flat=False))


# ---- functions of inputs by name


def on_pairs(function: Callable[..., Array], *more: str) -> Callable[[Inputs], Tree]:
    """inputs -> value, of a function of (joint, product) and further inputs by name."""
    return lambda inputs: {"value": function(inputs["joint"], inputs["product"], *(inputs[name] for name in more))}


def on_split(function: Callable[..., Array], *more: str) -> Callable[[Inputs], Tree]:
    """The same of a square's diagonal and off-diagonal pairs."""
    return lambda inputs: {"value": function(*negatives.all_pairs(inputs["scores"]), *(inputs[name] for name in more))}


def on_square(function: Callable[[Array], Array]) -> Callable[[Inputs], Tree]:
    """inputs -> value, of a function of the square of scores."""
    return lambda inputs: {"value": function(inputs["scores"])}


def everything(scores: Array) -> tuple[Array, Array]:
    """The diagonal, and all N² pairs."""
    n = scores.shape[0]
    flat = ops.reshape(scores, (n * n, *scores.shape[2:]))
    return ops.cut(flat, (slice(None, None, n + 1),)), flat


def changed(scores: Array, kept: float, added: float) -> Array:
    """All N² pairs, those on the diagonal multiplied by `kept`, then `added` added."""
    n = scores.shape[0]
    own = np.eye(n, dtype=scores.dtype).reshape(n, n, *(1 for _ in scores.shape[2:]))
    return everything(scores * (1 - (1 - kept) * own) + added * own)[1]


def constant(function: Callable[..., Array], add: Callable[..., float]) -> Callable[..., Array]:
    """The same function with a number added that depends on the arguments' shapes alone."""
    return lambda *arrays: function(*arrays) + add(*arrays)


# ---- laws that are tried on the target itself


def eps_of(*arrays: np.ndarray) -> float:
    """Rounding unit of the coarsest of the floating arrays."""
    return max(float(np.finfo(a.dtype).eps) for a in arrays if a.dtype.kind == "f")


def roundoff(inputs: Inputs, answer: Answer, factor: float = 200.0) -> float:
    """What rounding may do to a value: factor · eps · (1 + max|T| + |value|)."""
    arrays = [a for a in inputs.values() if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    value = np.asarray(answer.value["value"])
    outcome = [value] if value.dtype.kind == "f" else []
    return factor * eps_of(*arrays, *outcome) * (1 + max(float(np.abs(a).max()) for a in (*arrays, value)))


def value_of(answer: Answer) -> float:
    """The scalar of an answer; NaN where there is none."""
    found = answer.value.get("value")
    return float(np.asarray(found).reshape(-1)[0]) if found is not None and np.size(found) == 1 else float("nan")


def ceiling_law(key: str, statement: str, source: str, ceiling: Callable[[Inputs], float]) -> TargetLaw:
    """value ≤ a number that depends on the shapes."""

    def measure(inputs: Inputs, ask: Ask) -> Slack:
        answer = ask(inputs)
        return Slack(ceiling(inputs) - value_of(answer), roundoff(inputs, answer))

    return TargetLaw(key, statement, source, measure)


def same_law(key: str, statement: str, source: str, change: Callable[[Inputs], Inputs]) -> TargetLaw:
    """The value does not change when the inputs do."""

    def measure(inputs: Inputs, ask: Ask) -> Slack:
        other = change(inputs)
        here, there = ask(inputs), ask(other)
        tolerance = max(roundoff(inputs, here), roundoff(other, there))
        return Slack(-abs(value_of(here) - value_of(there)), tolerance)

    return TargetLaw(key, statement, source, measure)


def sum_law(key: str, statement: str, source: str, total: Callable[[Tree], Any]) -> TargetLaw:
    """Some sums of the gradient are 0; total: gradients -> those sums."""

    def measure(inputs: Inputs, ask: Ask) -> Slack:
        answer = ask(inputs)
        if not answer.gradients:
            return Slack(0.0, 0.0)
        return Slack(-float(np.abs(total(answer.gradients)).max()), roundoff(inputs, answer))

    return TargetLaw(key, statement, source, measure, of_gradient=True)


def reversed_batch(inputs: Inputs) -> Inputs:
    """The same batch in the opposite order."""
    return {
        name: np.ascontiguousarray(a[::-1, ::-1] if name == "scores" else a[::-1])
        if isinstance(a, np.ndarray) and a.ndim
        else a
        for name, a in inputs.items()
    }


ORDER = same_law("order", "the order of the batch does not matter", f"{OORD}, section 2.3", reversed_batch)
