"""Known functions of changed inputs, the one number of the change found: T/τ, a clamp, label smoothing, half precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dimref import ops
from dimref.audit import matching
from dimref.audit.answer import Answer, Inputs
from dimref.audit.answering import evaluate
from dimref.audit.cases import Observation
from dimref.audit.contract import Form, Variant
from dimref.audit.matching import shape_key
from dimref.tape import stop_gradient
from dimref.trees import Array, Tree, leaves

Function = Callable[[Inputs], Tree]
Named = tuple[str, Variant | None, Function]
Change = Callable[[float, tuple[str, ...], Inputs], Inputs]
PAIRS = 3  # pairs of cases of one shape that the number is fitted to
PROMISING = 0.5  # share of the target's variation that the best number of the grid may leave unexplained
STEP = 1e-4
EXPLAINED, CONFIRMED = 1e-28, 1e-10  # shares that are left: by rounding, and where a constant is in single precision
ROUNDED = 1e-5  # relative size of what half precision leaves of a value


@dataclass(frozen=True)
class Family:
    """A change of the inputs by one number.

    Attributes:
        role: "convention" or "mistake".
        title: what the changed function is, to follow the function's own name: "of T/τ with τ = {}".
        grid: numbers to begin the search with.
    """

    key: str
    role: str
    title: str
    fix: str
    change: Change
    grid: np.ndarray


def _scores(function: Callable[[float, Array], Array]) -> Change:
    return lambda c, names, inputs: {**inputs, **{name: function(c, inputs[name]) for name in names}}


def _above_cut(c: float, t: Array) -> Array:
    """min(t, c), with a gradient of 1 at c, as frameworks have it."""
    return t - ops.relu(t - c)


def _below_cut(c: float, t: Array) -> Array:
    """max(t, −c)."""
    return -_above_cut(c, -t)


_LIMITS, _FREE = np.geomspace(0.5, 14, 30), "no clamp: logsumexp and softplus need none"
TEMPERATURE = Family("temperature", "convention", "of the critic T/τ with τ = {}", "none: T/τ is a critic too",
                     _scores(lambda c, t: t / c), np.geomspace(0.01, 100, 25))  # fmt: skip
FIXED = Family("temperature-fixed", "mistake", "with a fixed temperature of {}: its argument is not used",
               "pass the temperature on", lambda c, names, inputs: {**inputs, "temperature": c},
               np.geomspace(0.01, 10, 25))  # fmt: skip
CLAMPS = (
    Family("clamped", "mistake", "of {} clamped from above at +{}", _FREE, _scores(_above_cut), _LIMITS),
    Family("clamped", "mistake", "of {} clamped from below at −{}", _FREE, _scores(_below_cut), _LIMITS),
    Family(
        "clamped",
        "mistake",
        "of {} clamped at ±{}",
        _FREE,
        _scores(lambda c, t: _below_cut(c, _above_cut(c, t))),
        _LIMITS,
    ),
)


def named(form: Form, title: str, cases: list[Observation]) -> Iterator[list[Named]]:
    """Candidates for a target that no known function fits as it is, by the number that fits best, in groups."""
    pairs = _pairs(form, cases)
    if not pairs or form.reference is None or not form.objective:
        return
    known = [(title, form.reference), *((v.title, v.function) for v in form.conventions)]
    if form.range_of:
        yield from ([each] for what, f in known for each in _found(form, TEMPERATURE, what, f, form.range_of, pairs))
    if "temperature" in form.signature.arguments:
        yield from ([each] for what, f in known for each in _found(form, FIXED, what, f, (), pairs))
    yield _mixtures(form, title, pairs)
    calm = [case for case in cases if case.sizes.regime == "tiny" and not case.found.problem]
    right = matching.answers(form, form.reference, calm)  # as those of what is clamped further out
    if form.range_of and all(matching.resembles(form, case, a) for case, a in zip(calm, right, strict=True)):
        far = _pairs(form, cases, far=True)
        which = dict.fromkeys([form.range_of, *((name,) for name in form.range_of)])
        yield [c for names in which for clamp in CLAMPS for c in _found(form, clamp, title, form.reference, names, far)]


def _found(form: Form, family: Family, what: str, function: Function, names: tuple[str, ...],
           pairs: list[tuple[Observation, Observation]]) -> Iterator[Named]:  # fmt: skip
    key = (
        form.name,
        form.sign,
        family.key,
        family.title,
        what,
        names,
        tuple(id(case) for pair in pairs for case in pair),
    )
    worked_out = pairs[0][0].judged
    if key not in worked_out:  # verdicts on parts of the cases ask about the same pairs again
        sought = pairs if family in CLAMPS else pairs[:1]  # a clamp does not show in every pair
        worked_out[key] = _best(form, pairs, sought, partial(_at, family.change, names, function), family.grid), pairs
    number = worked_out[key][0]
    if number is not None and number != 1:  # without its temperature: an edit, with the line
        changed = partial(_changed, family.change, names, function, number)
        which = "scores" if names == form.range_of else f"the scores of the {names[0]}" if names else ""
        parts = (f"{number:.6g}",) if family.title.count("{}") == 1 else (which, f"{number:.6g}")
        words = f"{what} {family.title.format(*parts)}"
        yield family.role, Variant(family.key, words, changed, "", family.fix, ""), changed


def _at(change: Change, names: tuple[str, ...], function: Function, c: float) -> Function:
    return partial(_changed, change, names, function, c)


def _changed(change: Change, names: tuple[str, ...], function: Function, c: float, inputs: Inputs) -> Tree:
    return function(change(c, names, inputs))


# ---- what the number is fitted to: gradients, and differences of values, which no constant enters


def _pairs(form: Form, cases: list[Observation], far: bool = False) -> list[tuple[Observation, Observation]]:
    """Pairs of cases of one shape and options, in double precision, that the target answered with a number.

    The most telling first: of many samples at ordinary numbers, or (`far`) those of the largest numbers.
    """

    def telling(case: Observation) -> tuple[float, ...]:
        if far:
            return (-min(matching.largest(case.inputs[name]) for name in form.range_of),)
        return (case.sizes.regime not in ("mild", "separated"), -case.sizes.n)

    answered = (c for c in cases if c.core and not c.found.problem and c.sizes.dtype == "float64")
    usable = [c for c in answered if np.size(c.found.value[form.signature.main]) == 1]
    first: dict[Any, Observation] = {}
    pairs = []
    for case in sorted(usable, key=telling):
        other = first.pop(shape_key(case.inputs), None)
        if other is None:
            first[shape_key(case.inputs)] = case
        else:
            pairs.append((other, case))
    return pairs[:PAIRS]


def _vector(form: Form, case: Observation, answers: tuple[Answer, Answer], names: list[str]) -> np.ndarray:
    values = [np.ravel(np.asarray(matching.scalar(a, form.signature.main), np.float64)) for a in answers]
    gradients = [np.ravel(np.asarray(dict(leaves(a.gradients))[n], np.float64)) for a in answers for n in names]
    return np.concatenate([values[0] - values[1], *gradients])


def _targets(form: Form, pairs: list[tuple[Observation, Observation]]) -> np.ndarray:
    return np.concatenate([_vector(form, a, (a.found, b.found), _names(a)) for a, b in pairs])


def _answers(form: Form, pairs: list[tuple[Observation, Observation]], function: Function) -> np.ndarray:
    found = []
    for a, b in pairs:
        both = evaluate(function, form.signature, a.inputs), evaluate(function, form.signature, b.inputs)
        found.append(_vector(form, a, both, _names(a)))
    return np.concatenate(found)


def _names(case: Observation) -> list[str]:
    return [name for name, _ in leaves(case.found.gradients)]


def _left(target: np.ndarray, right: np.ndarray) -> tuple[float, np.ndarray]:
    """The share of the target that a multiple of `right` leaves unexplained, and what it leaves."""
    norm = float(right @ right)
    rest = target - (float(target @ right) / norm if norm > 0 else 0.0) * right
    return float(rest @ rest) / max(float(target @ target), 1e-300), rest


def _best(form: Form, pairs: list[tuple[Observation, Observation]], first: list[tuple[Observation, Observation]],
          at: Callable[[float], Function], grid: np.ndarray) -> float | None:  # fmt: skip
    """The number whose function explains the target, to all its digits; None if none does.

    Sought on the first pairs, all confirm it: from the best of the grid by Gauss and Newton's steps in its logarithm, with
    the factor of the function taken out, which are given up as soon as they do not explain ever more.
    """
    target, aim = _targets(form, pairs), _targets(form, first)
    if not np.isfinite(target).all():
        return None
    left = [_left(aim, _answers(form, first, at(float(c))))[0] for c in grid]
    best = int(np.argmin(np.nan_to_num(left, nan=np.inf)))
    if not left[best] < PROMISING or best in (0, len(grid) - 1):
        return None
    number, share = float(grid[best]), left[best]
    here = _answers(form, first, at(number))
    while share > EXPLAINED:
        more, less = (_answers(form, first, at(number * s)) for s in (1 + STEP, 1 - STEP))
        turn = _left((more - less) / (2 * STEP), here)[1] * float(aim @ here) / float(here @ here)
        step = float(_left(aim, here)[1] @ turn) / max(float(turn @ turn), 1e-300)
        for shorter in (1.0, 0.5, 0.25):  # a clamp has kinks
            trial = float(np.clip(number * math.exp(np.clip(shorter * step, -1, 1)), grid[best - 1], grid[best + 1]))
            there = _answers(form, first, at(trial))
            after = _left(aim, there)[0]
            if after < share / 4:
                break
        else:
            break
        number, share, here = trial, after, there
    simple = (float(f"{number:.5g}"), 1 / float(f"{1 / number:.5g}"))  # as people write a number, or its inverse
    number = next((each for each in simple if abs(number - each) < 1e-8 * abs(number)), number)
    return number if _left(target, _answers(form, pairs, at(number)))[0] < CONFIRMED else None


# ---- two functions in one: label smoothing


def _mixtures(form: Form, title: str, pairs: list[tuple[Observation, Observation]]) -> list[Named]:
    assert form.reference is not None
    found: list[Named] = []
    target = _targets(form, pairs)
    for other in form.mixed if np.isfinite(target).all() else ():
        right = np.stack([_answers(form, pairs, f) for f in (form.reference, other.function)], axis=1)
        one, two = np.linalg.lstsq(right, target, rcond=None)[0]
        if not 0 < two / (one + two) < 1:
            continue
        share = float(f"{two / (one + two):.8g}")
        mixed = partial(_mixed, form.reference, other.function, share)
        words = f"{title} {other.title.format(f'{share:.4g}')}"
        found.append(("mistake", Variant(other.key, words, mixed, "", other.fix, other.source), mixed))
    return found


def _mixed(one: Function, two: Function, share: float, inputs: Inputs) -> Tree:
    a, b = one(inputs), two(inputs)
    return {name: (1 - share) * a[name] + share * b[name] for name in a}


# ---- half precision


def half(form: Form, title: str, cases: list[Observation]) -> Variant | None:
    """The target is a known function of inputs that were rounded to half precision: its values are, to single precision."""
    pairs = _pairs(form, cases)
    if not pairs or form.reference is None or not form.objective:
        return None
    target = np.array([_value(form, a.found) - _value(form, b.found) for a, b in pairs])
    for what, function in ((title, form.reference), *((v.title, v.function) for v in form.conventions)):
        for name, cast in (("bfloat16", _bfloat16), ("float16", _float16)):
            rounded = partial(_changed, _rounded(cast), form.signature.differentiate, function, 0.0)
            right, plain = (
                np.array([_value(form, answer(a)) - _value(form, answer(b)) for a, b in pairs])
                for answer in (partial(_answer, form, rounded), partial(_answer, form, function))
            )
            if _left(target, right)[0] < ROUNDED**2 < _left(target, plain)[0]:
                return Variant(
                    "half-precision", f"{what}, its inputs rounded to {name}", rounded, "",
                    "keep what is exponentiated in single precision (float(), autocast off)", "",
                )  # fmt: skip
    return None


def _answer(form: Form, function: Function, case: Observation) -> Answer:
    return evaluate(function, form.signature, case.inputs)


def _value(form: Form, answer: Answer) -> float:
    return float(matching.scalar(answer, form.signature.main))


def _rounded(cast: Callable[[np.ndarray], np.ndarray]) -> Change:
    return _scores(lambda _, x: cast(stop_gradient(x)))


def _bfloat16(x: np.ndarray) -> np.ndarray:
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32).astype(x.dtype)


def _float16(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, np.float16).astype(x.dtype)
