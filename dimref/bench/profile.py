"""Where the time of dimref's step goes on the host, by Python's own profiler.

A function's time is its own: NumPy's operators and ufuncs within it count, other functions that it calls do not. What the
threads share runs one item after another meanwhile, so that one profiler sees all of it.
"""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dimref.engine import threads
from dimref.training.processes import PACKAGE

REPEATS = 3
LIBRARIES = ("numpy", "autograd")


def profile(step: Callable[[], None]) -> dict[str, Any]:
    """{"total", "rows": [{"name", "seconds"}]}: seconds a step of each function of dimref, the largest first.

    The mean of a few steps, after one that warms up. What runs in NumPy's and autograd's functions (sums and copies; the
    tape) is a row for each library.
    """
    step()
    profiler, in_order = cProfile.Profile(), threads.in_order
    threads.in_order = lambda function, items: map(function, items)
    try:
        for _ in range(REPEATS):
            profiler.runcall(step)
    finally:
        threads.in_order = in_order
    seconds: dict[str, float] = {}
    for (file, _, name), (_, _, own, _, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        row = _row(file, name)
        seconds[row] = seconds.get(row, 0.0) + own / REPEATS
    rows = [{"name": name, "seconds": seconds[name]} for name in sorted(seconds, key=lambda name: -seconds[name])]
    return {"total": sum(seconds.values()), "rows": rows}


def _row(file: str, name: str) -> str:
    """A function of dimref by its module and name; everything else by its library."""
    path = Path(file)
    if path.is_relative_to(PACKAGE / "dimref"):
        return f"{'.'.join(path.relative_to(PACKAGE / 'dimref').with_suffix('').parts)}.{name}"
    return next((library for library in LIBRARIES if library in path.parts or f"{library}." in name), "Python")
