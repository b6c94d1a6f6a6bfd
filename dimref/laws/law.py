"""What a law is: a line of mathematics, a way to draw a case, and a way to measure how far the case is from breaking it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dimref.backend import Backend
from dimref.tape import value_and_gradients
from dimref.trees import Array

Case = dict[str, Any]  # arrays, numbers and names: what a counterexample is printed from


@dataclass(frozen=True)
class Sizes:
    """The shapes, scale and dtype of a case; each law reads those that it needs. The smallest are the defaults."""

    n: int = 2  # samples in a batch, 2 … 6
    m: int = 1  # another count: samples of Q, features, symbols of an alphabet, 1 … 5
    locations: int = 1  # L, 1 … 4
    kernel: tuple[int, int] = (1, 1)  # 1 … 4 each
    stride: tuple[int, int] = (1, 1)  # 1 … 3 each
    padding: tuple[int, int] = (0, 0)  # 0 … 2 each
    extra: tuple[int, int] = (0, 0)  # how much larger than its kernel an image is, 0 … 5 each
    scale: float = 1.0  # of scores, 1e-2 … 1e4
    dtype: str = "float64"


Draw = Callable[[np.random.Generator, Sizes], Case]


@dataclass(frozen=True)
class Slack:
    """How far a case is from breaking its law.

    For an inequality `value` is larger side − smaller side; for an identity it is −|difference|. The case obeys the law
    if value ≥ −tolerance, the tolerance being what rounding alone may do.
    """

    value: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Not for NaN."""
        return self.value >= -self.tolerance


@dataclass(frozen=True)
class Law:
    """A true statement as a runnable object, or (kind "counterexample") a false one with a case that refutes it."""

    family: str  # the file it is in
    name: str  # unique, as "batch.nwj_below_dv"
    statement: str  # one line of mathematics
    why: str  # the reason it holds, and under which conditions
    kind: str  # "inequality", "identity" or "counterexample"
    source: str  # paper and equation
    draw: Draw  # arrays on the host; a counterexample's case is always the same
    measure: Callable[[Case, Backend], Slack]  # with the library's functions run on that backend
    weight: int = 1  # how many cases of another law one of these stands for: so many times fewer are tried

    def obeyed(self, slack: Slack) -> bool:
        """Whether a measured case obeys this law: for a counterexample, whether the false statement fails."""
        return slack.value < -slack.tolerance if self.kind == "counterexample" else slack.holds


def law(
    kind: str, statement: str, draw: Draw, source: str, weight: int = 1
) -> Callable[[Callable[[Case, Backend], Slack]], Law]:
    """Make a law of a function that measures the slack of a case; its docstring says why the law holds, and when."""

    def make(measure: Callable[[Case, Backend], Slack]) -> Law:
        family = measure.__module__.rsplit(".", 1)[-1]
        why = " ".join((measure.__doc__ or "").split())
        return Law(family, f"{family}.{measure.__name__}", statement, why, kind, source, draw, measure, weight)

    return make


# ---- from numbers to slack


def at_most(smaller: Any, larger: Any, tolerance: float) -> Slack:
    """The slack of smaller ≤ larger, elementwise the least; −∞ ≤ anything but NaN."""
    smaller, larger = np.broadcast_arrays(np.asarray(smaller, np.float64), np.asarray(larger, np.float64))
    with np.errstate(invalid="ignore"):
        slack = np.where(smaller == larger, 0.0, larger - smaller)
    return Slack(float(slack.min()), tolerance)


def equal(result: Any, expected: Any, tolerance: float) -> Slack:
    """The slack of result = expected, elementwise the least; equal infinities are equal."""
    result, expected = np.asarray(result, np.float64), np.asarray(expected, np.float64)
    if result.shape != expected.shape:
        raise ValueError(f"shapes {result.shape} and {expected.shape} should be equal")
    with np.errstate(invalid="ignore"):
        slack = np.where(result == expected, 0.0, -np.abs(result - expected))
    return Slack(float(slack.min(initial=0.0)), tolerance)


def tightest(*slacks: Slack) -> Slack:
    """Of several statements the one that is closest to breaking (NaN first)."""
    return min(slacks, key=lambda s: -math.inf if math.isnan(s.value) else s.value + s.tolerance)


def rounding(*arrays: np.ndarray, factor: float = 100.0) -> float:
    """What rounding may do to a law that holds exactly: factor · eps · (1 + max|T|)."""
    return factor * float(np.finfo(arrays[0].dtype).eps) * (1.0 + max(float(np.abs(a).max()) for a in arrays))


# ---- from the backend to numbers


def number(backend: Backend, value: Array) -> float:
    """A scalar from the device."""
    return float(np.asarray(backend.to_host(value)))


def in_nats(backend: Backend, bound: Callable[..., Array], *scores: np.ndarray) -> float:
    """A bound's value, evaluated on the device."""
    return number(backend, bound(*(backend.to_device(s) for s in scores)))


def on_device(case: Case, backend: Backend, *names: str) -> list[Array]:
    """The named arrays of a case, on the device."""
    return [backend.to_device(case[name]) for name in names]


def gradients(backend: Backend, function: Callable[..., Array], *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """The gradients of a scalar function in each of its arrays, on the host; zeros where it does not depend on one."""
    named = {str(k): backend.to_device(a) for k, a in enumerate(arrays)}
    _, result, _ = value_and_gradients(lambda tree: (function(*tree.values()), {}), named)
    return tuple(
        np.zeros_like(a) if g is None else backend.to_host(g) for g, a in zip(result.values(), arrays, strict=True)
    )
