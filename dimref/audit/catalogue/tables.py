"""What the contracts of exact quantities share: tables that are drawn, the sums that they are made of, and their edits."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dimref.audit import edits
from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import Row, reference, variants
from dimref.audit.contract import CORE, Contract, Form, Sizes
from dimref.audit.edits import EPSILONS, Formula, Instead, Rule, power
from dimref.trees import Array

GRID = 128  # entries are multiples of 1/GRID: exact in float32, so that a table sums to 1 in either precision
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


def xlogy(p: Array, q: Array) -> Array:
    """Σ p log q with 0 log 0 = 0."""
    p, q = np.broadcast_arrays(p, q)
    return (p[p > 0] * np.log(q[p > 0])).sum()


def naive(p: Array, q: Array) -> Array:
    """Σ p log q as it is first written: NaN where p = q = 0, since 0 · −∞ is NaN in floating point."""
    return (p * np.log(q)).sum()


def unweighted(p: Array, q: Array) -> Array:
    """The mean of log q over what occurs."""
    return np.log(q)[p > 0].sum() / max(1, (p > 0).sum())


def ratio(p: Array, q: Array, epsilon: float = 0.0) -> Array:
    """p/q, or with ε added to both."""
    return (p + epsilon) / (q + epsilon)


def entropy(p: Array, epsilon: float = 0.0) -> Array:
    """−Σ p log p, or with ε inside the logarithm."""
    return -xlogy(p, p + epsilon)


def kl(p: Array, q: Array) -> Array:
    """Σ p log(p/q)."""
    return xlogy(p, p) - xlogy(p, q)


def naive_kl(p: Array, q: Array) -> Array:
    """The same, NaN where p = 0."""
    return naive(p, p / q)


def softmax(p: Array) -> Array:
    """Probabilities taken for logits."""
    weights = np.exp(p)
    return weights / weights.sum()


def log_det(cov: Array) -> Array:
    """log det Σ."""
    return np.linalg.slogdet(cov)[1]


# ---- contracts

_EPSILONS = tuple((power(e), repr(e), f"{e:g} added inside the logarithm") for e in EPSILONS)
INSTEAD: Instead = {
    "xlogy": (
        ("zero-log-zero", "naive({x}, {y})", "0 · log 0 as floating point has it"),
        ("weight-left-out", "unweighted({x}, {y})", "{_y} averaged, not weighted by {_x}"),
        *((f"epsilon-{key}", f"xlogy({{x}}, {{y}} + {e})", words) for key, e, words in _EPSILONS),
    ),
    "entropy": (
        ("zero-log-zero", "-naive({x}, {x})", "0 · log 0 as floating point has it"),
        *((f"epsilon-{key}", f"entropy({{x}}, {e})", words) for key, e, words in _EPSILONS),
    ),
    "kl": (
        ("zero-log-zero", "naive_kl({x}, {y})", "0 · log 0 as floating point has it"),
        ("arguments-exchanged", "kl({y}, {x})", "{_x} and {_y} exchanged"),
    ),
    "ratio": (
        ("denominator-left-out", "({x})", "{_x} not divided by {_y}"),
        *((f"ratio-epsilon-{key}", f"ratio({{x}}, {{y}}, {e})", f"{e} added above and below")
          for key, e, _ in _EPSILONS),
    ),
}  # fmt: skip
HARMLESS = ("epsilon-1e-10", "epsilon-1e-12")  # below what anybody notices
ZEROS = "take 0 log 0 as 0: sum over the entries > 0, or use scipy.special.xlogy"
UNITS = (("bits", 2, "numpy.log2, or base=2 of scipy.stats.entropy"), ("hartleys", 10, ""))


def formula(function: Callable[..., Any]) -> Formula:
    """A function of tables, to be edited."""
    first = next(iter(inspect.signature(function).parameters))
    whole = (
        Rule("sum", "mean-for-sum", "the mean over its terms for the sum", f"({{it}}) / {first}.size"),
        Rule("whole", "root", "its root taken", "np.sqrt({it})"),
    )
    return Formula(function, instead=INSTEAD, whole=whole, squashes=("softmax",), scope=globals())


def quantity(
    name: str, title: str, source: str, right: Callable[..., Any], form: tuple[str, Signature, str, Any],
    functions: tuple[Callable[..., Any], ...] = (), conventions: Sequence[Row] = (), mistakes: Sequence[Row] = (),
    nats: bool = True,
) -> Contract:  # fmt: skip
    """An exact number and its form: name, signature, meaning, draw.

    Args:
        functions: formulas of it that are edited.
        conventions, mistakes: what else there is, as rows for `variants`.
        nats: whether it may come in another unit.
    """
    name_of_form, signature, meaning, draw = form
    units = UNITS if nats else ()
    right = quiet(right)
    wrap = partial(reference, signature=signature)
    edited = [v for f in functions for v in edits.variants(formula(f), wrap, title, ("detach", "maximum"))]
    zeros = [replace(v, title=f"{title}, but NaN where a probability is 0", fix=ZEROS, source=f"{COVER}, section 2.1",
                     key="zero-log-zero") for v in edited if v.key.endswith("zero-log-zero") and nats][:1]  # fmt: skip
    harmless = {v.key: v for v in reversed(edited) if v.key.endswith(HARMLESS) and not v.key.startswith("ratio")}
    return Contract("information", name, f"{title} in nats" if nats else title, (Form(
        name_of_form, signature, meaning, draw, reference(right, signature),
        conventions=(
            *variants(signature, ((key, over(1 / math.log(base), right), f"{title} in {key}",
                                   f"multiply by log {base} to have nats", where) for key, base, where in units)),
            *harmless.values(),
            *variants(signature, conventions),
        ),
        mistakes=(*variants(signature, mistakes), *zeros),
        edits=lambda: tuple(v for v in edited if v.key not in harmless),
    ),), source)  # fmt: skip
