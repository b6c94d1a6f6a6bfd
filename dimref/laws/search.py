"""The search for a case that breaks a law: Hypothesis draws sizes and seeds, and shrinks a failing case."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, configuration, given, settings
from hypothesis import seed as from_seed
from hypothesis import strategies as st

from dimref.backend import Backend
from dimref.errors import named
from dimref.laws.law import Case, Law, Sizes, Slack
from dimref.tape import REGIONS, plain_forms

SCALES = (1.0, 1e-2, 10.0, 100.0, 1e4)  # Hypothesis shrinks toward the first
DTYPES = ("float64", "float32")
seeds = st.integers(0, 2**32 - 1)
_alone = threading.RLock()


def pair(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    """Two numbers, as along the height and the width of an image."""
    return st.tuples(st.integers(low, high), st.integers(low, high))


def sizes() -> st.SearchStrategy[Sizes]:
    """Size-1 axes, N = 2, images that are not square, strides that do not divide, scales and dtypes."""
    return st.builds(
        Sizes, n=st.integers(2, 6), **shapes(), scale=st.sampled_from(SCALES), dtype=st.sampled_from(DTYPES)
    )


def shapes() -> dict[str, st.SearchStrategy[Any]]:
    """The sizes that laws and audits share."""
    return {
        "m": st.integers(1, 5),
        "locations": st.integers(1, 4),
        "kernel": pair(1, 4),
        "stride": pair(1, 3),
        "padding": pair(0, 2),
        "extra": pair(0, 5),
    }


@dataclass(frozen=True)
class Result:
    """The outcome of a law's search."""

    law: Law
    examples: int  # cases tried, without those of the shrinking
    tightest: Slack | None  # of the case that came closest to breaking it; of a violated law, of its counterexample
    counterexample: Case | None  # the shrunk case that breaks the law
    error: str = ""  # the exception that a case raised, in one line

    @property
    def obeyed(self) -> bool:
        return self.counterexample is None


@contextmanager
def no_directory_left() -> Iterator[None]:
    """Without this Hypothesis makes a .hypothesis where the user stands. One thread at a time: it is the process's."""
    with _alone, tempfile.TemporaryDirectory() as scratch:
        configuration.set_hypothesis_home_dir(scratch)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(None)


class _Broken(Exception):
    """A case that breaks the law."""


def search(law: Law, backend: Backend, examples: int, seed: int) -> Result:
    """Try a law on `examples` cases; the first that breaks it is shrunk to a smallest one."""
    tried: list[Slack] = []
    broken: list[tuple[Case, Slack | None, str]] = []

    @from_seed(seed)
    @settings(
        max_examples=1 if law.kind == "counterexample" else max(1, examples // law.weight),
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(sizes(), seeds)
    def attempt(drawn: Sizes, rng_seed: int) -> None:
        case: Case = {}
        slack, error = None, ""
        try:
            case = law.draw(np.random.default_rng(rng_seed), drawn)
            slack = _measure(law, case, backend)
        except Exception as exception:  # whatever a broken function raises is a finding, not the end of the check
            error = named(exception)
        if slack is None or not law.obeyed(slack):
            broken.append((case, slack, error))
            raise _Broken
        if not broken:
            tried.append(slack)

    try:
        with no_directory_left():
            attempt()
    except Exception:
        if not broken:
            raise
        case, slack, error = broken[-1]  # Hypothesis ends on the smallest
        return Result(law, len(tried) + 1, slack, case, error)
    return Result(law, len(tried), min(tried, key=partial(_closeness, law)), None)


def _measure(law: Law, case: Case, backend: Backend) -> Slack:
    """The slack on the plain forms or on their implementations, whichever is closer to breaking the law."""
    with plain_forms():
        slacks = [law.measure(case, backend)]
    if any(place.implementations for place in REGIONS.values()):
        slacks.append(law.measure(case, backend))
    broken = [slack for slack in slacks if not law.obeyed(slack)]
    return broken[0] if broken else min(slacks, key=partial(_closeness, law))


def _closeness(law: Law, slack: Slack) -> float:
    """The slack; of an identity as a share of its tolerance, which varies with the scale and the dtype."""
    return slack.value / slack.tolerance if law.kind == "identity" and slack.tolerance else slack.value
