"""The magnitude of scores at which a target leaves what it computes: overflow, NaN, lost accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from dimref.audit import matching
from dimref.audit.answer import Answer, Inputs, Target
from dimref.audit.answering import evaluate
from dimref.audit.cases import Limits
from dimref.audit.contract import Form, Sizes, Variant
from dimref.audit.matching import Fit, epsilon, gradient_tolerance, largest, scalar, value_tolerance, within_range
from dimref.trees import Tree, leaves, map_tree

LADDER = (
    1.0, 4.0, 8.0, 12.0, 16.0, 20.0, 30.0, 40.0, 60.0, 80.0, 95.0, 120.0, 200.0, 400.0, 680.0, 760.0, 1e3, 3e3, 1e4,
)  # fmt: skip
CALM = (0.1, 0.3)  # more for a drawing
BEYOND = 130.0  # nats: e^T has left float32, and so has 1/e^T
FAR = 3.0
UNLIKE = 0.25  # share of the values that may be finite where the formula's are not, or the other way round
LOST = 1e-5  # relative error beyond rounding that counts as a departure
NAIVE = Variant(
    "not-stabilised",
    "a formula that leaves the number range where the quantity does not",
    lambda inputs: {},
    "inf, NaN or a wrong number for scores that a trained critic reaches",
    "logsumexp, logaddexp and softplus in place of exp and log written out",
    "arXiv 1808.06670, eq. (4), by logaddexp",
)


@dataclass(frozen=True)
class Departure:
    """Where a target first departs.

    Attributes:
        pattern: the scores' signs, as "all +".
        magnitude: of the scores, in nats.
        found: what came instead: "inf", "NaN", "a NaN gradient", "a wrong value", "a wrong gradient", or a problem.
    """

    pattern: str
    dtype: str
    magnitude: float
    found: str
    at: Callable[[float], Inputs]

    @property
    def inputs(self) -> Inputs:
        return self.at(self.magnitude)


Ask = Callable[[Inputs], Answer]


def scan(form: Form, ask: Ask, function: Callable[[Inputs], Tree], fit: Fit, limits: Limits) -> list[Departure]:
    """The first departure from factor · function + constant for every pattern of signs and dtype."""
    found = []
    for dtype in ("float64", "float32"):
        base = base_case(form, limits, dtype)
        for pattern, at in patterns(form, base).items():
            departure = _first(form, ask, function, fit, pattern, at, dtype)
            if departure is not None:
                found.append(departure)
    return found


def name(form: Form, ask: Ask, function: Callable[[Inputs], Tree], fit: Fit, departures: list[Departure],
         limits: Limits) -> Variant:  # fmt: skip
    """The naive formula that departs most like the target departs from `function`.

    NAIVE if none of the known departs at such magnitudes.
    First what the values become (inf, NaN) is compared, then where values and gradients first depart: frameworks differ
    in the gradients of division and σ.
    """
    best, least = NAIVE, (math.inf, math.inf)
    become = _becomes(form, ask, fit, limits)
    theirs = {(d.pattern, d.dtype): d for d in departures}
    reference = form.reference
    assert reference is not None
    same = Fit(1.0, "", "zero", ())
    for variant in form.numerical:
        naive = _asker(form, variant.function)
        ours = scan(form, naive, reference, same, limits)
        if not _near(departures, ours):
            continue
        known = {(d.pattern, d.dtype): d for d in ours}
        known_become = _becomes(form, naive, same, limits)
        other = sum(a != b for a, b in zip(become, known_become, strict=True))
        unlike = sum(_unlike(theirs.get(key), known.get(key)) for key in theirs.keys() | known.keys())
        apart = sum((a == "finite") != (b == "finite") for a, b in zip(become, known_become, strict=True))
        if apart <= UNLIKE * len(become) and (other, unlike) < least:
            best, least = variant, (other, unlike)
    return best


def worst(form: Form, ask: Ask, function: Callable[[Inputs], Tree], fit: Fit,
          departures: list[Departure]) -> tuple[Inputs, Answer]:  # fmt: skip
    """Of the first departures and what follows at larger magnitudes, the one that is furthest off; the first of equals."""
    trials = []
    for departure in sorted(departures, key=lambda d: (d.magnitude, d.dtype)):
        for magnitude in (departure.magnitude, *(m for m in LADDER if departure.magnitude < m <= form.range_to)):
            inputs = departure.at(magnitude)
            expected = evaluate(function, form.signature, inputs)
            if not within_range(_main(form, expected)):
                continue
            found = ask(inputs)
            ours = times(form, expected, fit.factor * fit.scale(inputs))
            error = math.inf if found.problem else matching.worst(found, ours, fit.constant == "zero").error
            if error == math.inf:
                return inputs, found
            trials.append((error, inputs, found))
    _, inputs, found = max(trials, key=lambda trial: trial[0])
    return inputs, found


def times(form: Form, answer: Answer, k: float) -> Answer:
    """An answer whose value and gradients are multiplied."""
    of = form.signature.main
    return Answer({**answer.value, of: k * answer.value[of]}, map_tree(lambda g: k * g, answer.gradients))


def ends(form: Form, function: Callable[[Inputs], Tree], inputs: Inputs) -> bool:
    """Whether some output of the quantity itself is at the end of its range, as a moving average of e^T is."""
    return not within_range(evaluate(function, form.signature, inputs))


def _main(form: Form, answer: Answer) -> Answer:
    """The answer without the outputs that nothing is derived from."""
    return Answer({form.signature.main: answer.value[form.signature.main]}, answer.gradients)


def _becomes(form: Form, ask: Ask, fit: Fit, limits: Limits) -> list[str]:
    """What the value becomes, sign taken out, for every pattern at some magnitudes and in both dtypes."""
    found = []
    for dtype in ("float64", "float32"):
        base = base_case(form, limits, dtype)
        for at in patterns(form, base).values():
            for magnitude in (60.0, 120.0, 1e3, 1e4):
                answer = ask(at(magnitude))
                found.append(answer.problem or _kind(answer.value[form.signature.main], fit.factor))
    return found


def _kind(value: np.ndarray, factor: float) -> str:
    if np.isnan(value).any():
        return "NaN"
    return "finite" if np.isfinite(value).all() else str(math.copysign(1.0, factor) * float(value.sum()))


def _near(theirs: list[Departure], ours: list[Departure]) -> bool:
    """Whether the first departures are within a factor of FAR in every dtype; one beyond float32's range may lack."""
    for dtype in {d.dtype for d in (*theirs, *ours)}:
        first = [min((d.magnitude for d in side if d.dtype == dtype), default=math.inf) for side in (theirs, ours)]
        if min(first) < BEYOND and not max(first) < FAR * min(first):
            return False
    return True


def _unlike(a: Departure | None, b: Departure | None) -> float:
    """0 for the same, 1 for quite another."""
    if a is None or b is None:
        only = a or b
        return 1.0 if only is not None and only.magnitude < BEYOND else 0.4
    if not 0.6 < a.magnitude / b.magnitude < 1.67:
        return 1.0 if min(a.magnitude, b.magnitude) < BEYOND else 0.4
    return 0.0 if a.found == b.found else 0.2


def _asker(form: Form, function: Callable[[Inputs], Tree]) -> Ask:
    return lambda inputs: evaluate(function, form.signature, inputs)


def asker(form: Form, target: Target) -> Ask:
    """Runs the target."""
    return lambda inputs: target.call(form.signature, inputs)


def base_case(form: Form, limits: Limits, dtype: str) -> Inputs:
    """A small case, whose scores are then replaced."""
    return form.draw(np.random.default_rng(0), limits.apply(Sizes(n=2, m=2, locations=1, dtype=dtype)))


def _at(base: Inputs, scores: dict[str, np.ndarray], magnitude: float) -> Inputs:
    """The case with scores of that magnitude, in their dtype."""
    return {**base, **{name: (a * magnitude).astype(a.dtype) for name, a in scores.items()}}


def patterns(form: Form, base: Inputs) -> dict[str, Callable[[float], Inputs]]:
    """Cases of any magnitude, by the signs of their scores."""
    if form.raised is not None:
        return form.raised(base)
    return {pattern: partial(_at, base, scores) for pattern, scores in _signs(form, base)}


def _signs(form: Form, base: Inputs) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Scores of magnitude 1."""
    names = form.range_of
    if not names:
        return
    ones = {name: np.ones_like(base[name]) for name in names}
    yield "all +", ones
    yield "all −", {name: -a for name, a in ones.items()}
    if len(names) == 2:
        first, second = names
        yield f"{first} +, {second} −", {first: ones[first], second: -ones[second]}
        yield f"{first} −, {second} +", {first: -ones[first], second: ones[second]}
        return
    (only,) = names
    sign = -ones[only]
    if only == "scores":
        sign[np.arange(len(sign)), np.arange(len(sign))] = 1
        yield "diagonal +, rest −", {only: sign}
        yield "diagonal −, rest +", {only: -sign}
    else:
        sign[..., 0] = 1
        yield "first +, rest −", {only: sign}
        yield "first −, rest +", {only: -sign}


def _first(form: Form, ask: Ask, function: Callable[[Inputs], Tree], fit: Fit, pattern: str,
           at: Callable[[float], Inputs], dtype: str) -> Departure | None:  # fmt: skip
    calm = at(LADDER[0])
    constant = _rest(form, fit, ask(calm), evaluate(function, form.signature, calm), calm)
    good = LADDER[0]
    for magnitude in (each for each in LADDER if each <= form.range_to):
        if _departs(form, fit, ask, function, at(magnitude), constant):
            return _between(form, fit, ask, function, at, constant, good, magnitude, pattern, dtype)
        good = magnitude
    return None


def _between(form: Form, fit: Fit, ask: Ask, function: Callable[[Inputs], Tree], at: Callable[[float], Inputs],
             constant: float, good: float, bad: float, pattern: str, dtype: str) -> Departure:  # fmt: skip
    for _ in range(6):
        middle = (good + bad) / 2
        if _departs(form, fit, ask, function, at(middle), constant):
            bad = middle
        else:
            good = middle
    return Departure(pattern, dtype, bad, _departs(form, fit, ask, function, at(bad), constant), at)


def _rest(form: Form, fit: Fit, found: Answer, expected: Answer, inputs: Inputs) -> float:
    """target − factor · function, where both are calm."""
    if not form.objective or found.problem or fit.constant == "zero":
        return 0.0
    k = fit.factor * fit.scale(inputs)
    return float(scalar(found, form.signature.main)) - k * float(scalar(expected, form.signature.main))


def _departs(form: Form, fit: Fit, ask: Ask, function: Callable[[Inputs], Tree], inputs: Inputs,
             constant: float) -> str:  # fmt: skip
    """What is wrong there; "" if nothing is, or if the quantity itself is at the end of its range."""
    expected = evaluate(function, form.signature, inputs)
    if not within_range(_main(form, expected)):
        return ""
    found = ask(inputs)
    if found.problem:
        return found.problem
    k = fit.factor * fit.scale(inputs)
    eps = epsilon(inputs, found)
    value = np.asarray(scalar(found, form.signature.main), np.float64)
    expected_value = k * np.asarray(scalar(expected, form.signature.main), np.float64) + constant
    gradients = dict(leaves(found.gradients))
    if np.isnan(value).any():
        return "NaN"
    if np.isinf(value).any():
        return "inf"
    if any(not np.isfinite(g).all() for g in gradients.values()):
        return "a gradient that is not finite"
    tolerance = max(1.0, abs(k)) * (value_tolerance(inputs, expected, eps) + LOST * (1 + largest(expected.value)))
    if fit.constant != "varies" and not (
        np.shape(value) == np.shape(expected_value) and np.abs(value - expected_value).max() <= tolerance
    ):
        return "a wrong value"
    ours = dict(leaves(expected.gradients)) if not fit.kinked else {}  # the scores of a pattern are equal
    for key, g in gradients.items():
        if key not in ours:
            continue
        right = k * np.asarray(ours[key], np.float64)
        if np.abs(g - right).max() > gradient_tolerance(inputs, right, eps) + LOST * max(1.0, largest(right)):
            return "a wrong gradient"
    return ""


def differences(form: Form, ask: Ask, function: Callable[[Inputs], Tree], fit: Fit,
                limits: Limits) -> dict[str, list[tuple[float, float]]]:  # fmt: skip
    """By dtype, (magnitude, found − factor · function − constant): of all patterns the largest, a NaN above all."""
    found = {}
    for dtype in ("float64", "float32"):
        rows = [
            row
            for at in patterns(form, base_case(form, limits, dtype)).values()
            for row in _differences(form, ask, function, fit, at)
        ]
        worst: dict[float, float] = {}
        for magnitude, difference in rows:
            worst[magnitude] = max(worst.get(magnitude, 0.0), difference, key=lambda d: (math.isnan(d), abs(d)))
        found[dtype] = sorted(worst.items())
    return found


def _differences(form: Form, ask: Ask, function: Callable[[Inputs], Tree], fit: Fit,
                 at: Callable[[float], Inputs]) -> Iterator[tuple[float, float]]:  # fmt: skip
    calm = at(LADDER[0])
    constant = _rest(form, fit, ask(calm), evaluate(function, form.signature, calm), calm)
    for magnitude in (*CALM, *(each for each in LADDER if each <= form.range_to)):
        inputs = at(magnitude)
        expected, answer = evaluate(function, form.signature, inputs), ask(inputs)
        if within_range(expected) and not answer.problem and np.size(answer.value[form.signature.main]) == 1:
            right = fit.factor * fit.scale(inputs) * float(scalar(expected, form.signature.main)) + constant
            yield magnitude, float(scalar(answer, form.signature.main)) - right
