"""What the contracts of exact quantities share: tables that are drawn, and references that refuse quietly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from dimref.audit.answer import Inputs
from dimref.audit.contract import CORE, Sizes
from dimref.trees import Array

GRID = 128  # entries are multiples of 1/GRID: exact in float32, so that a table sums to 1 in either precision
LOG_2 = math.log(2)
COVER = "Cover & Thomas 2006"


def table(rng: np.random.Generator, sizes: Sizes, *shape: int) -> np.ndarray:
    """A joint distribution. All entries are > 0 in the core regimes; beyond them about a third are 0."""
    size = math.prod(shape)
    least = np.ones(size, int)
    if sizes.regime not in CORE:
        least = (rng.random(size) < 0.7).astype(int)
        least[rng.integers(size)] = 1
    share = least * rng.random(size) ** (0 if sizes.regime in ("ties", "tiny") else 2)
    if sizes.regime == "separated":
        share[int(rng.integers(size))] = 20.0
    counts = least + rng.multinomial(GRID - least.sum(), share / share.sum())
    if sizes.regime == "ties":  # as equal as the grid allows
        counts = GRID // size + (np.arange(size) < GRID % size)
    return (counts.reshape(shape) / GRID).astype(sizes.dtype)


def two_tables(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """{"p": (K,), "q": (K,)}, K ≥ 2; beyond the core regimes either, neither or both are 0 somewhere."""
    k = 1 + sizes.m
    p, q = table(rng, sizes, k), table(rng, sizes, k)
    if sizes.regime not in CORE:
        full = replace(sizes, regime="mild")
        choice = int(rng.integers(4))
        if choice == 0:
            q = table(rng, full, k)
        elif choice == 1:
            p = table(rng, full, k)
        elif choice == 2:  # 0 in the same places
            p, q = (np.append(table(rng, full, k), each.dtype.type(0)) for each in (p, q))
    return {"p": p, "q": q}


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, or NaN where it refuses its arguments: a case that is no case is not compared."""

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (ValueError, RuntimeError, np.linalg.LinAlgError):
            return math.nan

    return call


def over(factor: float, function: Callable[..., Any]) -> Callable[..., Any]:
    """factor · function."""
    return lambda *arguments: factor * function(*arguments)


def p_log(p: Array, q: Array) -> Array:
    """Σ p log q as it is first written: NaN where p = q = 0, since 0 · −∞ is NaN in floating point."""
    return (p * np.log(q)).sum()


def where_positive(p: Array, q: Array) -> Array:
    """Σ p log q with 0 log 0 = 0."""
    return p_log(p[p > 0], q[p > 0])


def softmax(p: Array) -> Array:
    """Probabilities taken for logits."""
    weights = np.exp(p)
    return weights / weights.sum()
