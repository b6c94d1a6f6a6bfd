"""Which number of a step was not finite, told in one line."""

from __future__ import annotations

import math

from dimref.errors import DimrefError


class Diverged(DimrefError):
    """A loss or a gradient that is not finite: the run ran, and came to nothing."""

    exit_code = 1


def diverged(step: int, terms: dict[str, float], squares: dict[str, float]) -> Diverged:
    """The error of a step, counted from 0: its terms in nats, the loss among them, and each gradient's sum of squares."""
    bad = [f"the {name} term ({value})" for name, value in terms.items() if not math.isfinite(value)]
    bad += [f"the gradient of {path}" for path, square in squares.items() if not math.isfinite(square)]
    # Squares of finite gradients can leave float32's range before the gradients themselves do.
    found = (bad or ["a gradient norm beyond float32"])[0]
    return Diverged(f"step {step + 1}: expected finite numbers, found {found} not finite")
