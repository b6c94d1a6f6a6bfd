"""What a departure does, measured on the target: how far off it is at ordinary numbers, and where it stops or breaks.

Nothing is reported here that was not seen in an answer of the target.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dimref.audit import matching
from dimref.audit.answer import Answer, Inputs
from dimref.audit.answering import evaluate
from dimref.audit.cases import Limits, Observation
from dimref.audit.contract import Form
from dimref.audit.matching import Fit, largest, scalar, within_range
from dimref.audit.numerical import Ask, base_case, patterns
from dimref.audit.verdict import CONFORMS, MISTAKE, Judgement
from dimref.trees import Tree, leaves

MAGNITUDES = (1.0, 8.0, 16.0, 30.0, 60.0, 95.0, 130.0, 200.0, 400.0, 760.0, 3e3, 1e4)
SAME = 1e-4  # relative difference below which a value has not moved, or is right
MOVES = 1.0  # nats by which the right value must move where a target's is said to stop
FLAT = 1e-6  # below this a value is right to rounding


@dataclass(frozen=True)
class Course:
    """What a target becomes as its scores grow in one pattern of signs and one dtype.

    Attributes:
        at: magnitude -> inputs.
        magnitudes: those at which the right value is within the number range.
        found, expected: the value there, the right one times the factor of the match, NaN for no answer.
        gradients: whether the target's gradient is finite there ("", "NaN"), or "0" where the right one is not 0.
    """

    pattern: str
    dtype: str
    at: Callable[[float], Inputs]
    magnitudes: tuple[float, ...]
    found: tuple[float, ...]
    expected: tuple[float, ...]
    gradients: tuple[str, ...]

    def first(self, holds: Callable[[int], bool]) -> int | None:
        """The place of the first magnitude at which something holds."""
        return next((at for at in range(len(self.magnitudes)) if holds(at)), None)

    def broken(self) -> int | None:
        """Where the value is no number."""
        return self.first(lambda at: not math.isfinite(self.found[at]))

    def no_gradient(self) -> int | None:
        """Where the gradient is no number though the value is one."""
        return self.first(lambda at: self.gradients[at] == "NaN" and math.isfinite(self.found[at]))

    def stopped(self) -> int | None:
        """From where on the value stays what it is, though the right one moves; None if it does not stop."""
        if len(self.found) < 3 or not math.isfinite(self.found[-1]):
            return None
        end = self.found[-1]
        start = self.first(lambda at: all(_same(each, end) for each in self.found[at:]))
        if start is None or start > len(self.found) - 2 or abs(self.expected[-1] - self.expected[start]) < MOVES:
            return None
        return start


def courses(form: Form, ask: Ask, function: Callable[[Inputs], Tree], fit: Fit, limits: Limits) -> list[Course]:
    """The target beside `function` at growing magnitudes, in every pattern of signs and both dtypes."""
    if not (form.ranged and form.objective):
        return []
    return [
        _course(form, ask, function, fit, pattern, dtype, at)
        for dtype in ("float32", "float64")
        for pattern, at in patterns(form, base_case(form, limits, dtype)).items()
    ]


def _course(form: Form, ask: Ask, function: Callable[[Inputs], Tree], fit: Fit, pattern: str, dtype: str,
            at: Callable[[float], Inputs]) -> Course:  # fmt: skip
    steps = []
    shift = math.nan
    for magnitude in (*(m for m in MAGNITUDES if m < form.range_to), form.range_to):
        inputs = at(magnitude)
        expected = evaluate(function, form.signature, inputs)
        if within_range(expected):
            found, right = ask(inputs), fit.factor * fit.scale(inputs) * value_of(form, expected)
            if math.isnan(shift):
                shift = value_of(form, found) - right if fit.constant != "zero" else 0.0
            steps.append((magnitude, value_of(form, found), right + shift, _gradient(found, expected)))
    if steps and steps[-1][0] == form.range_to and not steps[-1][3]:
        apart = _apart(form, at(form.range_to))
        steps[-1] = *steps[-1][:3], _gradient(ask(apart), evaluate(function, form.signature, apart))
    magnitudes, values, expected_values, gradients = zip(*steps, strict=True) if steps else ((), (), (), ())
    return Course(pattern, dtype, at, magnitudes, values, expected_values, gradients)


def _apart(form: Form, inputs: Inputs) -> Inputs:
    """The inputs moved a little apart: cosines of exactly 1 and −1 have no gradient."""
    rng = np.random.default_rng(0)
    moved = {
        name: inputs[name] + 0.1 * rng.standard_normal(inputs[name].shape) for name in form.signature.differentiate
    }
    return {**inputs, **{name: a.astype(inputs[name].dtype) for name, a in moved.items()}}


def value_of(form: Form, answer: Answer) -> float:
    """The objective's value; NaN for none."""
    found = scalar(answer, form.signature.main) if not answer.problem else None
    return float(found) if found is not None and np.size(found) == 1 else math.nan


def _gradient(found: Answer, expected: Answer) -> str:
    theirs, ours = dict(leaves(found.gradients)), dict(leaves(expected.gradients))
    if any(not np.isfinite(g).all() for g in theirs.values()):
        return "NaN"
    lost = theirs and largest(expected.gradients) > SAME and not any(np.any(g) for g in theirs.values())
    return "0" if lost and any(np.any(ours[name]) for name in theirs) else ""


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= SAME * (1 + abs(b))


# ---- as words


def of(form: Form, ask: Ask, judgement: Judgement, fit: Fit, seen: list[Observation], limits: Limits,
       departs: bool) -> str:  # fmt: skip
    """What a verdict other than "conforms" means in numbers; "" for one that does."""
    if judgement.verdict == CONFORMS or form.reference is None:
        return ""
    best = judgement.candidate
    if best is None or best.role == "mistake":
        function, measured = form.reference, Fit(math.copysign(1.0, fit.factor), "", "zero", ())
    else:
        function, measured = form.reference if best.variant is None else best.variant.function, best.fit
    if best is not None and best.role == "convention" and form.objective:
        fit = replace(fit, factor=orientation(form, seen))
    wrong = judgement.verdict == MISTAKE and (departs or function is form.reference)
    tried = courses(form, ask, function, measured, limits) if wrong else []
    return sentence(form, ask, fit, seen, tried, departs)


def orientation(form: Form, seen: list[Observation]) -> float:
    """+1 or −1: whether the target's gradients point along the reference's or against them."""
    if not form.objective or form.reference is None:
        return 1.0
    usable = [case for case in seen if case.core and case.found.gradients]
    total = 0.0
    for case, expected in zip(usable, matching.answers(form, form.reference, usable), strict=True):
        ours = dict(leaves(expected.gradients))
        total += sum(float(np.nan_to_num(g * ours[key]).sum()) for key, g in leaves(case.found.gradients))
    return -1.0 if total < 0 else 1.0


def sentence(
    form: Form, ask: Ask, fit: Fit, seen: list[Observation], tried: list[Course], departs: bool = False
) -> str:
    """What was measured, in one sentence.

    Args:
        fit: of the target to the reference: sign and scale, as far as they are known.
        tried: the target's courses beside the reference.
        departs: whether it is right at ordinary scores and departs beyond.
    """
    broken = [*_breaks(form, ask, tried)] or [*(_wrong(form, tried) if departs else ())]
    parts = [*_ordinary(form, fit, seen), *_extreme(form, fit, seen), *broken]
    return "; ".join(parts)


def _ordinary(form: Form, fit: Fit, seen: list[Observation]) -> Iterator[str]:
    """How far off value and gradient are at ordinary numbers."""
    assert form.reference is not None
    usable = [case for case in seen if case.core and not case.found.problem]
    answers = matching.answers(form, form.reference, usable)
    pairs = [(case, answer) for case, answer in zip(usable, answers, strict=True) if within_range(answer)]
    values: list[float] = []
    relative: list[float] = []
    other = 0
    gradients: list[tuple[float, float]] = []
    for case, answer in pairs:
        k = math.copysign(1.0, fit.factor)
        found, expected = (dict(form.canonical(dict(a.value))) for a in (case.found, answer))
        for name, right in expected.items():
            theirs = np.asarray(matching.shapeless(found.get(name), right))
            other += theirs.shape != np.shape(right)
            if theirs.shape == np.shape(right) and theirs.dtype.kind in "fiub":
                signed = k * np.asarray(right, np.float64) if name == form.signature.main else right
                values.append(float(np.abs(theirs - signed).max(initial=0.0)))
                relative.append(values[-1] / max(1e-12, largest(np.asarray(signed))))
        gradients += _gradient_errors(case.found, answer, k)
    unit = "nats" if form.objective else ""
    if other:
        yield f"another shape on {other} of {len(pairs)} inputs"
    elif values:
        yield _off(values, relative, unit)
    if gradients:
        yield _gradient_words(gradients)


def _gradient_errors(found: Answer, expected: Answer, k: float) -> Iterator[tuple[float, float]]:
    """Size of the error relative to the right gradient, and of the gradient itself."""
    theirs, ours = dict(leaves(found.gradients)), dict(leaves(expected.gradients))
    if not theirs or any(np.shape(g) != np.shape(ours[name]) for name, g in theirs.items()):
        return
    right = np.concatenate([np.ravel(np.asarray(ours[name], np.float64)) for name in theirs])
    g = np.concatenate([np.ravel(np.asarray(each, np.float64)) for each in theirs.values()])
    if np.linalg.norm(right) > SAME:
        yield float(np.linalg.norm(g - k * right) / np.linalg.norm(right)), float(np.linalg.norm(g))


def _gradient_words(errors: list[tuple[float, float]]) -> str:
    off, sizes = zip(*errors, strict=True)
    bad = sum(not math.isfinite(size) for size in sizes)
    if bad:
        return f"the gradient is not finite on {bad} of {len(sizes)} ordinary inputs"
    if not any(sizes):
        return "the gradient is 0 everywhere"
    return "the gradient is right" if max(off) < SAME else f"the gradient is off by {_span(off)}"


def _off(values: list[float], relative: list[float], unit: str) -> str:
    finite = [each for each in values if math.isfinite(each)]
    if len(finite) < len(values):
        return f"no number on {len(values) - len(finite)} of {len(values)} ordinary inputs"
    if max(values) < FLAT or max(relative) < FLAT:
        return "the value is right at ordinary inputs"
    if not unit:
        return f"off by {_span(relative)} at ordinary inputs"
    middle, high = float(np.median(values)), max(values)
    span = f"{high:.3g} {unit}" if high - middle < 0.005 * high else f"{middle:.2g} {unit} (median, at most {high:.3g})"
    return f"off by {span} at ordinary scores"


def _span(shares: Sequence[float]) -> str:
    """Median and largest of relative errors."""
    middle, high = float(np.median(shares)), max(shares)
    if high - middle < 0.005 * high:
        return _percent(high)
    return f"at most {_percent(high)}" if middle < SAME else f"{_percent(middle)} (median, at most {_percent(high)})"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share < 10 else f"{share:.3g} times its size"


def _extreme(form: Form, fit: Fit, seen: list[Observation]) -> Iterator[str]:
    """How often a quantity whose inputs have no range of nats is no number beyond the ordinary."""
    if form.objective or form.reference is None:
        return
    beyond = [case for case in seen if not case.core and not case.found.problem]
    answers = matching.answers(form, form.reference, beyond)
    right = [(case, answer) for case, answer in zip(beyond, answers, strict=True) if within_range(answer)]
    bad = sum(any(not np.isfinite(a).all() for a in case.found.value.values()) for case, _ in right)
    wrong = sum(not matching.values_agree(form, case, answer, wide=True) for case, answer in right)
    if bad or wrong:
        what, many = ("NaN or inf", bad) if bad else ("wrong", wrong)
        yield f"{what} on {many} of {len(right)} inputs with zeros or large numbers, where a number is due"


def _breaks(form: Form, ask: Ask, tried: list[Course]) -> Iterator[str]:
    """Where the value is first no number, where it stops, where the gradient is first no number."""
    for words, place, there in (
        (lambda c, at: f"the value is {_kind(c.found[at])}", Course.broken,
         lambda c, i: not math.isfinite(value_of(form, ask(i)))),
        (lambda c, at: "the gradient is NaN or inf", Course.no_gradient, lambda c, i: _gradient(ask(i), Answer()) == "NaN"),
        (lambda c, at: f"the value stops at {c.found[-1]:.6g}", Course.stopped,
         lambda c, i: _same(value_of(form, ask(i)), c.found[-1])),
    ):  # fmt: skip
        first: dict[str, tuple[Course, int]] = {}  # in either dtype the course in which it happens first
        for course in tried:
            at = place(course)
            known = first.get(course.dtype)
            if at is not None and (known is None or course.magnitudes[at] < known[0].magnitudes[known[1]]):
                first[course.dtype] = course, at
        if first:
            course, at = next(iter(first.values()))
            where = ", ".join(f"from {_from(form, c, k, there)} on in {dtype}" for dtype, (c, k) in first.items())
            yield f"{words(course, at)} {where} ({course.pattern}){_due(course, at, place)}"


def _wrong(form: Form, tried: list[Course]) -> Iterator[str]:
    """Where a value that is a number everywhere and goes on is furthest off, by its size."""
    off = [(abs(f - e) / (1 + abs(e)), course, at) for course in tried
           for at, (f, e) in enumerate(zip(course.found, course.expected, strict=True)) if math.isfinite(f)]  # fmt: skip
    worst, course, at = max(off, key=lambda each: each[0], default=(0.0, None, 0))
    if course is not None and worst > 0.01:
        where = f"{_magnitude(form, course, course.magnitudes[at])} in {course.dtype} ({course.pattern})"
        yield f"the value is {course.found[at]:.6g} where {course.expected[at]:.6g} is due, at {where}"


def _due(course: Course, at: int, place: Callable[[Course], int | None]) -> str:
    if place is not Course.stopped:
        return ""
    silent = ", and its gradient is 0 there" if course.gradients[-1] == "0" else ""
    return f", where {course.expected[-1]:.6g} is due at {course.magnitudes[-1]:.5g} nats{silent}"


def _from(form: Form, course: Course, at: int, there: Callable[[Course, Inputs], bool]) -> str:
    """The smallest magnitude at which it holds, in the user's own unit."""
    if at == 0:
        return _magnitude(form, course, course.magnitudes[0])
    good, bad = course.magnitudes[at - 1], course.magnitudes[at]
    for _ in range(7):
        middle = (good + bad) / 2
        good, bad = (good, middle) if there(course, course.at(middle)) else (middle, bad)
    return _magnitude(form, course, bad)


def _magnitude(form: Form, course: Course, magnitude: float) -> str:
    temperature = course.at(magnitude).get("temperature")
    return f"{magnitude:.3g} nats" if temperature is None or form.range_of else f"τ = {temperature:.3g}"


def _kind(value: Any) -> str:
    return "NaN" if math.isnan(value) else "inf" if value > 0 else "−inf"
