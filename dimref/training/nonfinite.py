"""Which number of a step was not finite, reported in one line."""

from __future__ import annotations

import math

from dimref.errors import DimrefError


class Diverged(DimrefError):
    """A loss or a gradient that is not finite: the run ran, and came to nothing."""

    exit_code = 1


def diverged(step: int, terms: dict[str, float], squares: dict[str, float]) -> Diverged:
    """The error of a step, counted from 0: its terms in nats, the loss among them, and each gradient's sum of squares."""
    bad = [f"the {name} term ({value})" for name, value in terms.items() if not math.isfinite(value)]
    # The squares, and their sum, can leave float32's range before the gradients themselves do.
    bad += [f"the squared norm of the gradient of {path}" for path, s in squares.items() if not math.isfinite(s)]
    first = (bad or ["the squared norm of all gradients"])[0]
    return Diverged(f"step {step + 1}: expected finite numbers, found {first} not finite")
