"""Why a target that is right at ordinary scores departs beyond, tried on the target's own answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from dimref.audit.answer import Inputs
from dimref.audit.answering import evaluate
from dimref.audit.cases import Limits
from dimref.audit.consequence import Course, courses, value_of
from dimref.audit.contract import ZERO_TIMES_INFINITY, Form, Variant
from dimref.audit.matching import Fit
from dimref.audit.numerical import NAIVE, Ask, Departure
from dimref.audit.numerical import name as most_like
from dimref.trees import Tree

CLOSE = 0.02  # relative difference of two values that the same formula gives in two frameworks near its limit
HELD = 1e-3  # relative difference below which a value is right
STILL = 1e-7  # and below which a clamp changes nothing
SMALLEST = {dtype: float(np.finfo(dtype).tiny) for dtype in ("float32", "float64")}
CLAMPED = replace(
    NAIVE,
    key="clamped",
    title="clamping scores",
    fix="no clamp: softplus, logaddexp and logsumexp need none",
    source="",
)
FLOOR = replace(
    NAIVE, key="epsilon", title="ε", fix="take the logarithm of the share by logsumexp or softplus", source=""
)


def cause(form: Form, ask: Ask, function: Callable[[Inputs], Tree], fit: Fit, departures: list[Departure],
          limits: Limits) -> Variant:  # fmt: skip
    """What makes the target depart from `function`, in a variant's words; its function is not used."""
    tried = courses(form, ask, function, fit, limits)
    return (
        _masked(departures, tried)
        or _known(form, function, fit, departures, tried)
        or _clamp(form, ask, function, fit, departures, tried)
        or _floor(form, ask, function, fit, tried)
        or most_like(form, ask, function, fit, departures, limits)
    )


def _masked(departures: list[Departure], tried: list[Course]) -> Variant | None:
    """The gradient is no number, and every value is right."""
    right = all(_close(f, e, HELD) for c in tried for f, e in zip(c.found, c.expected, strict=True))
    bad = all(d.found == "a gradient that is not finite" for d in departures)
    return ZERO_TIMES_INFINITY if right and bad else None


def _known(form: Form, function: Callable[[Inputs], Tree], fit: Fit, departures: list[Departure],
           tried: list[Course]) -> Variant | None:  # fmt: skip
    """A mistake, or an unstable formula, of the catalogue whose value is the target's wherever it was asked.

    A right cause departs from the right values too, in one of those courses: else it explains nothing.
    """
    first = [c for c in tried if any(d.pattern == c.pattern and d.dtype == c.dtype for d in departures)]
    for close in (_close, _as_bad):
        for variant in (*form.numerical, *form.mistakes):
            found = [_as(form, variant, function, fit, course, close) for course in first or tried]
            if all(departs is not None for departs in found) and any(found):
                return variant
    return None


def _as(form: Form, variant: Variant, function: Callable[[Inputs], Tree], fit: Fit, course: Course,
        close: Callable[[float, float, float], bool]) -> bool | None:  # fmt: skip
    """Whether a variant departs from the right values along a course; None unless it has the target's there.

    Where the target's gradient alone departs, no value does.
    """
    departs = False
    for magnitude, found, expected in zip(course.magnitudes, course.found, course.expected, strict=True):
        inputs = course.at(magnitude)
        k = fit.factor * fit.scale(inputs)
        try:
            right, theirs = (value_of(form, evaluate(f, form.signature, inputs)) for f in (function, variant.function))
        except (ValueError, ZeroDivisionError, FloatingPointError, IndexError):
            return None
        other = expected + k * (theirs - right)
        if not close(found, other, CLOSE):
            return None
        departs = departs or not _close(other, expected, 5 * CLOSE)
    return departs


def _close(a: float, b: float, tolerance: float) -> bool:
    """Equal up to a share; equal infinities are, and NaN and NaN."""
    return a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= tolerance * (1 + abs(b))


def _as_bad(a: float, b: float, tolerance: float) -> bool:
    """The same, where one may be inf and the other NaN: what is done with an infinity afterwards differs."""
    return _close(a, b, tolerance) or not (math.isfinite(a) or math.isfinite(b))


# ---- a clamp


def _clamp(form: Form, ask: Ask, function: Callable[[Inputs], Tree], fit: Fit, departures: list[Departure],
           tried: list[Course]) -> Variant | None:  # fmt: skip
    """The target does not change when its scores are clamped, and is then `function` of them."""
    if form.raised is not None or not departures:
        return None
    far = [course.at(course.magnitudes[-1]) for course in tried if course.magnitudes and course.dtype == "float64"]
    for names in dict.fromkeys((form.range_of, *((each,) for each in form.range_of))):
        for above, below in ((True, True), (True, False), (False, True)):
            clip = partial(_clipped, -1.0 if below else -math.inf, 1.0 if above else math.inf)
            limit = _limit(form, ask, function, fit, far, clip, names)
            if limit is not None:
                which = "±" if above and below else "+" if above else "−"
                what = "scores, or their σ," if names == form.range_of else f"the scores of the {names[0]}"
                return replace(CLAMPED, title=f"clamping {what} at about {which}{limit:.3g} nats")
    return None


def _clipped(low: float, high: float, inputs: Inputs, c: float, names: tuple[str, ...]) -> Inputs:
    return {**inputs, **{each: np.clip(inputs[each], low * c, high * c) for each in names}}


def _limit(form: Form, ask: Ask, function: Callable[[Inputs], Tree], fit: Fit, far: list[Inputs],
           clip: Callable[[Inputs, float, tuple[str, ...]], Inputs], names: tuple[str, ...]) -> float | None:  # fmt: skip
    """The least c at which clamping changes no answer, if those are `function` of the clamped scores; or None."""
    found = [value_of(form, ask(inputs)) for inputs in far]

    def holds(c: float) -> bool:
        return all(_close(value_of(form, ask(clip(i, c, names))), f, STILL) for i, f in zip(far, found, strict=True))

    low, high = 0.5, 640.0
    if not far or not holds(high):
        return None
    while high / low > 1.0005:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)

    def value(inputs: Inputs) -> float:
        return fit.factor * fit.scale(inputs) * value_of(form, evaluate(function, form.signature, inputs))

    if not all(_close(f, value(clip(i, high, names)), CLOSE) for i, f in zip(far, found, strict=True)):
        return None
    each_counts = all(any(not _close(value(i), value(clip(i, high, (name,))), CLOSE) for i in far) for name in names)
    return high if each_counts else None


# ---- a floor of a probability


def _floor(form: Form, ask: Ask, function: Callable[[Inputs], Tree], fit: Fit, tried: list[Course]) -> Variant | None:
    """A logarithm that cannot fall below −c: ε = e^−c added to its argument, or a clamp there.

    With ε the value at a loss of c is c − log 2; with a clamp it is c.
    """
    stopped = [course for course in tried if course.stopped() is not None]
    if not form.objective or not stopped:
        return None
    double = [course for course in stopped if course.dtype == "float64"]
    stopped = double or stopped  # in single precision 1 − σ is 0 before ε counts
    signs = (-1.0, 1.0) if form.loss == (fit.factor > 0) else (1.0, -1.0)  # a convention of a bound may be a loss
    return next(filter(None, (_floor_of(form, ask, function, fit, tried, stopped, sign) for sign in signs)), None)


def _floor_of(form: Form, ask: Ask, function: Callable[[Inputs], Tree], fit: Fit, tried: list[Course],
              stopped: list[Course], sign: float) -> Variant | None:  # fmt: skip
    """The same of logarithms whose sum `sign` times the target is."""
    top = max(sign * e for course in tried for e in course.expected)
    caps = [top - sign * course.found[-1] for course in stopped]
    cap = min(caps)
    course = stopped[caps.index(cap)]
    if cap <= 0 or not math.isfinite(cap):
        return None
    shift = course.expected[-1] - fit.factor * _due(form, function, course, course.magnitudes[-1])

    def loss(magnitude: float) -> float:
        return top - sign * (fit.factor * _due(form, function, course, magnitude) + shift)

    low, high = course.magnitudes[0], course.magnitudes[-1]
    if not loss(low) < cap < loss(high):
        return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if loss(middle) < cap else (low, middle)
    short = cap - (top - sign * value_of(form, ask(course.at(high))))
    size = math.exp(-cap)
    word = next((f"{t}'s smallest normal number, {v:.3g}" for t, v in SMALLEST.items() if abs(math.log(v) + cap) < 0.02),
                f"{size:.2g}")  # fmt: skip
    if abs(short - math.log(2)) < 0.3:
        return replace(FLOOR, title=f"ε = {word} added to a probability inside the logarithm")
    if abs(short) < 0.3:
        return replace(FLOOR, key="logarithm-clamped", title=f"the logarithm of a probability clamped at −{cap:.4g}")
    return None


def _due(form: Form, function: Callable[[Inputs], Tree], course: Course, magnitude: float) -> float:
    return value_of(form, evaluate(function, form.signature, course.at(magnitude)))
