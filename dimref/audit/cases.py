"""The inputs of an audit: Hypothesis draws sizes, a regime and a seed, and shrinks what it finds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dimref.audit.answer import Answer, Inputs, Target
from dimref.audit.contract import CORE, REGIMES, AuditError, Form, Sizes
from dimref.trees import Tree


@dataclass(frozen=True)
class Limits:
    """Shapes that a target does not take; what it does take is audited."""

    flat: bool | None = None  # only without locations, only with, or either
    equal: bool = False  # as many negative pairs as positive ones
    larger: bool = False  # images of more than one pixel, or larger than the kernel

    def apply(self, sizes: Sizes) -> Sizes:
        """The nearest sizes within the limits."""
        return replace(
            sizes,
            flat=sizes.flat if self.flat is None else self.flat,
            m=min(sizes.n, 6) if self.equal else sizes.m,
            extra=(max(1, sizes.extra[0]), max(1, sizes.extra[1])) if self.larger else sizes.extra,
        )

    def __str__(self) -> str:
        axis = {None: "", True: "without an axis of locations", False: "with an axis of locations"}[self.flat]
        same = "as many product pairs as joint pairs" if self.equal else ""
        large = "with images larger than the smallest" if self.larger else ""
        return " and ".join(part for part in (axis, same, large) if part)


LIMITS = (
    *(Limits(flat, equal) for equal in (False, True) for flat in (None, True, False)),
    Limits(larger=True),
)


@dataclass(frozen=True)
class Observation:
    """One case, what the target answered, and the answers of references and variants, each computed once."""

    sizes: Sizes
    inputs: Inputs
    found: Answer
    known: dict[Callable[[Inputs], Tree], Answer] = field(default_factory=dict, compare=False, repr=False)
    # Of sets that begin with it: verdicts, and numbers that were fitted to them.
    judged: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def core(self) -> bool:
        """Whether every correct formula, naive or not, gives the number here."""
        return self.sizes.regime in CORE


def observe(form: Form, target: Target, limits: Limits, cases: int, seed: int) -> list[Observation]:
    """Ask the target about a design: every regime, in both dtypes, with and without locations, sizes at random.

    Every second case repeats the shapes of the one before it, so that a dependence on shapes alone shows.
    """
    rng = np.random.default_rng(seed)
    found = []
    for number in range(cases // 2):
        sizes = limits.apply(_designed(rng, number))
        draws = rng.integers(2**32, size=2)
        found += [ask(form, target, sizes, int(at)) for at in draws]
    return found


def _designed(rng: np.random.Generator, number: int) -> Sizes:
    def two(low: int, high: int) -> tuple[int, int]:
        return int(rng.integers(low, high + 1)), int(rng.integers(low, high + 1))

    return Sizes(
        n=int(rng.choice((1, 2, 2, 3, 3, 4, 5, 6))),
        m=int(rng.integers(1, 6)),
        locations=int(rng.integers(1, 5)),
        kernel=two(1, 4),
        stride=two(1, 3),
        padding=two(0, 2),
        extra=two(0, 5),
        dtype=str(rng.choice(("float64", "float64", "float32"))),
        flat=bool(number // 8 % 2),
        regime=("mild", *REGIMES)[number % 8],
    )


def search(form: Form, target: Target, limits: Limits, departs: Callable[[Observation], bool], cases: int,
         seed: int) -> Observation | None:  # fmt: skip
    """Let Hypothesis search for a case on which the target departs from what it seemed to compute."""
    found: list[Observation] = []

    def attempt(sizes: Sizes, rng_seed: int) -> None:
        observation = ask(form, target, limits.apply(sizes), rng_seed)
        if departs(observation):
            found.append(observation)
            raise _Departs

    _run(attempt, cases, seed, shrink=False, regimes=CORE)
    return found[-1] if found else None


def ask(form: Form, target: Target, sizes: Sizes, seed: int) -> Observation:
    """One case."""
    inputs = form.draw(np.random.default_rng(seed), sizes)
    return Observation(sizes, inputs, target.call(form.signature, inputs))


def find_limits(form: Form, target: Target) -> tuple[Limits | None, str]:
    """The widest shapes that a target takes, and the problem that it has with wider ones (or with all: None)."""
    trials = [
        Sizes(n=n, m=m, locations=locations, flat=flat, dtype=dtype)
        for n, m, locations in ((2, 3, 2), (3, 2, 4), (4, 3, 3))
        for flat in (True, False)
        for dtype in ("float64", "float32")
    ]
    problem = ""
    for scalar in (
        (True, False) if form.objective else (False,)
    ):  # of a batch's array that is one number without locations
        for limits in LIMITS:
            answers = (ask(form, target, limits.apply(sizes), 1).found for sizes in trials)
            failed = next((p for answer in answers if (p := answer.problem or scalar * _array(form, answer))), "")
            if not failed:
                return limits, problem
            problem = problem or failed
        problem = ""
    return None, failed


def _array(form: Form, answer: Answer) -> str:
    """What is returned where one number is due."""
    shape = answer.value[form.signature.main].shape
    return "" if np.prod(shape) == 1 else f"returns an array of shape {shape} where one number is due"


def smallest(form: Form, target: Target, limits: Limits, departs: Callable[[Observation], bool], regimes: Any,
             seed: int) -> Observation | None:  # fmt: skip
    """The smallest drawn case on which the target departs, its numbers then made as simple as they can be."""
    broken: list[Observation] = []

    def attempt(sizes: Sizes, rng_seed: int) -> None:
        observation = ask(form, target, limits.apply(sizes), rng_seed)
        if departs(observation):
            broken.append(observation)
            raise _Departs

    _run(attempt, 60, seed, shrink=True, regimes=regimes)
    return simplified(form, target, departs, broken[-1]) if broken else None


class _Departs(Exception):
    """A case on which the target departs."""


def simplified(form: Form, target: Target, departs: Callable[[Observation], bool], case: Observation) -> Observation:
    """Round the numbers, then set one after the other to a simple one, as long as the target still departs.

    Scores are not set to 0, where max(t, 0) of a right formula has a kink.
    """
    simple_ones = (1.0, -1.0) if form.range_of else (0.0, 1.0)

    def attempt(name: str, array: np.ndarray) -> bool:
        nonlocal case
        inputs = {**case.inputs, name: array}
        if np.array_equal(array, case.inputs[name]):
            return False
        trial = Observation(case.sizes, inputs, target.call(form.signature, inputs))
        if departs(trial):
            case = trial
            return True
        return False

    names = [k for k, a in case.inputs.items() if isinstance(a, np.ndarray) and a.dtype.kind == "f" and k != "weight"]
    for name in names:
        for decimals in (0, 1):
            rounded = np.round(case.inputs[name], decimals) + 0.0
            if attempt(name, np.where(rounded == 0, simple_ones[0], rounded).astype(rounded.dtype)):
                break
    for name in names:
        for at in range(min(case.inputs[name].size, 12)):
            for simple in simple_ones:
                array = case.inputs[name].copy()
                array.flat[at] = simple
                if attempt(name, array):
                    break
    return case


def _run(attempt: Callable[[Sizes, int], None], cases: int, seed: int, shrink: bool, regimes: Any = REGIMES) -> None:
    """Let Hypothesis call `attempt`; with `shrink`, a raised _Departs is shrunk."""
    try:
        from hypothesis import HealthCheck, Phase, given, settings
        from hypothesis import seed as from_seed
        from hypothesis import strategies as st
        from hypothesis.errors import Flaky
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise AuditError(
            "audit: expected Hypothesis, which draws and shrinks the cases, found it not installed; "
            "install it with pip install '.[check]'"
        ) from None
    from dimref.laws.search import DTYPES, no_directory_left, shapes

    sizes = st.builds(
        Sizes,
        n=st.integers(1, 6),
        **shapes(),
        dtype=st.sampled_from(DTYPES),
        flat=st.sampled_from((True, False)),
        regime=st.sampled_from(tuple(regimes)),
    )
    run = settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )(given(sizes, st.integers(0, 2**16))(attempt))
    with no_directory_left(), suppress(_Departs, Flaky):  # a target that answers differently each time is flaky
        from_seed(seed)(run)()
