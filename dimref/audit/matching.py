"""Does a target compute a candidate: the reference, a convention, a known mistake; exactly, or up to what is free.

target = factor · candidate + constant. For an objective the gradient decides the factor; the constant may then depend on
shapes, as log K does. Any other quantity must agree in every number. Tolerances are what rounding may do in the coarsest
dtype that took part: eps · (1 + max|T|), times the size of the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dimref.audit.answer import Answer, Inputs
from dimref.audit.answering import evaluate
from dimref.audit.cases import Observation
from dimref.audit.contract import Form
from dimref.trees import Tree, leaves

ROUNDINGS = 100.0  # of eps, in units of the largest number that took part
HALVED = 0.1  # of ROUNDINGS in half precision, where a hundred of them would hide every mistake
CANCELLED = 4.0  # times more for a gradient: a softmax that is sure, or a small spread, cancels what was rounded before
WIDE = 1e-7  # beyond the core, what a correct formula may lose (PyTorch's softplus is linear from 20 on: 2e-9)
INFINITE = 0.01  # the error of what is finite where infinity is due: shown where nothing else is wrong
SINGLE = 2.0**-23  # the rounding unit of single precision
ROUNDED = 4.0  # of SINGLE: what a constant that was rounded to single precision may be off by, as log K in float32


@dataclass(frozen=True)
class Fit:
    """How the target's answers follow from a candidate's.

    Attributes:
        factor: target = factor · candidate + constant, −1 for a loss.
        scaling: "" for a factor that is one number, else what it is a multiple of, as "N": a sum for a mean.
        constant: "zero", "shape" (one number for each shape) or "varies".
        constants: target − factor · candidate, one for each core case.
        beyond: how many cases lie beyond the core.
        departed: those of them that do not follow.
        single: whether it fits only to single precision although the inputs are double.
        kinked: whether its gradient departs where scores are equal, and there alone.
    """

    factor: float
    scaling: str
    constant: str
    constants: tuple[float, ...]
    beyond: int = 0
    departed: tuple[Observation, ...] = ()
    single: bool = False
    kinked: bool = False

    @property
    def exact(self) -> bool:
        """Value and gradient agree, up to the sign of a loss."""
        return abs(self.factor) == 1 and not self.scaling and self.constant == "zero"

    @property
    def wide(self) -> float:
        """The share of the cases beyond the core that follow too."""
        return 1 - len(self.departed) / max(self.beyond, 1)

    def scale(self, inputs: Inputs) -> float:
        """What the factor is multiplied by in a case of these shapes."""
        return scale(self.scaling, inputs)


# ---- tolerances


def epsilon(inputs: Inputs, *answers: Answer) -> float:
    """The rounding unit of the coarsest floating dtype among inputs and answers; of half precision a part of it."""
    trees: list[Any] = [inputs, *(part for a in answers for part in (a.value, a.gradients))]
    dtypes = {leaf.dtype for tree in trees for _, leaf in leaves(tree) if isinstance(leaf, np.ndarray)}
    units = [float(np.finfo(d).eps) * (HALVED if d.itemsize == 2 else 1.0) for d in dtypes if d.kind == "f"]
    return max((*units, *(HALVED * a.rounding for a in answers)), default=2.0**-52)


def largest(tree: Tree) -> float:
    """The largest finite magnitude in a tree of arrays and numbers; 0 if there is none."""
    parts = [np.asarray(leaf, np.float64) for _, leaf in leaves(tree) if _real(leaf)]
    return max((float(np.abs(part[np.isfinite(part)]).max(initial=0.0)) for part in parts), default=0.0)


def _real(leaf: Any) -> bool:
    return isinstance(leaf, (int, float, np.number)) or (isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biuf")


def value_tolerance(inputs: Inputs, expected: Answer, eps: float) -> float:
    """What rounding may do to a value: each input's own, carried by the gradient, and that of the terms."""
    carried = sum(
        float(np.abs(np.nan_to_num(np.asarray(g, np.float64), posinf=0.0, neginf=0.0) * np.asarray(leaf)).sum())
        for name, tree in expected.gradients.items()
        for (_, g), (_, leaf) in zip(leaves(tree), leaves(inputs[name]), strict=True)
    )
    return ROUNDINGS * eps * (1 + largest(inputs) + largest(expected.value) + carried)


def gradient_tolerance(inputs: Inputs, expected: np.ndarray, eps: float) -> float:
    """What rounding may do to a gradient: relative to its largest entry, or to the weight of one sample in a mean."""
    scale = max(largest(expected), 1 / max(expected.size, 1))
    return CANCELLED * ROUNDINGS * eps * (1 + largest(inputs)) * scale


def near(found: Any, expected: Any, tolerance: float, wide: bool = False) -> bool:
    """Equal up to a tolerance, shape included; equal infinities are equal, a NaN is nothing's equal.

    Args:
        wide: where the expected number is NaN, as of a mistake beyond the core, the found one is to be NaN or infinite.
    """
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape:
        return False
    with np.errstate(invalid="ignore"):
        same = (found == expected) | (np.abs(found - expected) <= tolerance)
    return bool(np.all(same | (np.isnan(expected) & ~np.isfinite(found)) if wide else same))


def scalar(answer: Answer, name: str) -> Any:
    """An output; a single number without its axes."""
    found = answer.value.get(name)
    return found.reshape(()) if found is not None and found.size == 1 else found


@dataclass(frozen=True)
class Entry:
    """The number of an answer that is furthest from what is due, by the largest number of its array.

    Attributes:
        where: "" for a value, else "gradient in scores".
        error: relative; inf where found is not finite, or of another shape.
    """

    where: str
    found: float
    expected: float
    error: float

    def __str__(self) -> str:
        of = f"the {self.where} is" if self.where else "it is"
        return f"{of} {self.found:.6g} where {self.expected:.6g} is due"


def worst(found: Answer, expected: Answer, values: bool = True) -> Entry:
    """The worst entry of the values (unless `values` is False) and of the gradients that were given."""
    pairs = [("", found.value.get(name, math.nan), right) for name, right in expected.value.items()] if values else []
    ours = dict(leaves(expected.gradients))
    pairs += [(f"gradient in {name}", g, ours[name]) for name, g in leaves(found.gradients)]
    return max((_entry(where, theirs, right) for where, theirs, right in pairs), key=lambda entry: entry.error)


def _entry(where: str, found: Any, expected: Any) -> Entry:
    found, expected = np.asarray(shapeless(found, expected), np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape or not found.size:
        return Entry(where, math.nan, math.nan, math.inf if found.size or expected.size else 0.0)
    with np.errstate(invalid="ignore"):
        away = np.where(found == expected, 0.0, np.abs(found - expected))
    at = int(np.argmax(np.where(np.isnan(away), np.inf, away)))
    error = float(away.flat[at]) / max(1 / expected.size, largest(expected))
    if np.isinf(expected.flat[at]):
        error = min(error, INFINITE)
    return Entry(where, float(found.flat[at]), float(expected.flat[at]), math.inf if math.isnan(error) else error)


def relative(found: Any, expected: Any) -> float:
    """The largest difference by the largest number; where all are tiny by one sample's weight in a mean, 1/size."""
    return _entry("", found, expected).error


# ---- agreement in every number


def agrees(form: Form, case: Observation, expected: Answer, eps: float = 0.0, wide: bool = False) -> bool:
    """Whether every output and every gradient agrees on one case."""
    return values_agree(form, case, expected, eps, wide) and gradients_agree(case, expected, 1.0, eps, wide)


def values_agree(form: Form, case: Observation, expected: Answer, eps: float = 0.0, wide: bool = False) -> bool:
    """Whether every output agrees on one case."""
    if case.found.problem:
        return False
    eps = max(eps, epsilon(case.inputs, case.found))
    tolerance = value_tolerance(case.inputs, expected, eps)
    if wide:
        tolerance += WIDE * (1 + largest(expected.value))
    found, expected_value = (form.canonical(dict(answer.value)) for answer in (case.found, expected))
    one = {name: shapeless(found[name], expected_value[name]) for name in expected_value if name in found}
    return all(name in one and near(one[name], expected_value[name], tolerance, wide) for name in expected_value)


def shapeless(found: Any, expected_value: Any) -> Any:
    """A single number may come with axes of size 1."""
    return np.reshape(found, np.shape(expected_value)) if np.size(found) == np.size(expected_value) == 1 else found


def gradients_agree(
    case: Observation, expected: Answer, factor: float, eps: float = 0.0, wide: bool = False, kinked: bool = False
) -> bool:
    """Whether every gradient is `factor` times the expected one; true where the target gives none.

    Args:
        kinked: leave out the gradient in numbers that are equal.
    """
    if case.found.problem:
        return False
    eps = max(eps, epsilon(case.inputs, case.found))
    theirs, ours = dict(leaves(case.found.gradients)), dict(leaves(expected.gradients))
    alone = untied(case.inputs) if kinked else {}
    for name, found in theirs.items():
        expected_value = factor * np.asarray(ours[name], np.float64)
        if kinked:
            found, expected_value = found[alone[name]], expected_value[alone[name]]
        if wide and not np.isfinite(expected_value).all():
            continue  # where a value is NaN or infinite, frameworks differ in the gradient
        tolerance = gradient_tolerance(case.inputs, expected_value, eps) + (
            WIDE * max(1.0, largest(expected_value)) if wide else 0
        )
        if not near(found, expected_value, tolerance):
            return False
    return True


def untied(inputs: Inputs) -> dict[str, np.ndarray]:
    """For each floating array which of its numbers is in no place a second time."""
    arrays = {path: a for path, a in leaves(inputs) if isinstance(a, np.ndarray) and a.dtype.kind == "f"}
    numbers, counts = np.unique(np.concatenate([a.ravel() for a in arrays.values()]), return_counts=True)
    return {path: ~np.isin(a, numbers[counts > 1]) for path, a in arrays.items()}


# ---- agreement up to factor and constant


SCALES: dict[str, Callable[[dict[str, float]], float]] = {
    "N": lambda s: s["N"],
    "1/N": lambda s: 1 / s["N"],
    "N²": lambda s: s["N"] ** 2,
    "1/N²": lambda s: 1 / s["N"] ** 2,
    "N − 1": lambda s: s["N"] - 1,
    "1/(N − 1)": lambda s: 1 / (s["N"] - 1),
    "(N − 1)/N": lambda s: (s["N"] - 1) / s["N"],
    "L": lambda s: s["L"],
    "1/L": lambda s: 1 / s["L"],
    "N·L": lambda s: s["N"] * s["L"],
    "1/(N·L)": lambda s: 1 / (s["N"] * s["L"]),
    "τ": lambda s: s["τ"],
    "1/τ": lambda s: 1 / s["τ"],
}


def scale(scaling: str, inputs: Inputs) -> float:
    """A function of the shapes by its name; 1 for ""."""
    return SCALES[scaling](shapes(inputs)) if scaling else 1.0


def shapes(inputs: Inputs) -> dict[str, float]:
    """N and L of a case of scores or features (1 and 1 of numbers alone), and its temperature (1 for none)."""
    first = next((a for a in inputs.values() if isinstance(a, np.ndarray) and a.ndim), np.zeros(1))
    is_matrix = first.ndim >= 2 and "scores" in inputs
    rest = first.shape[2:] if is_matrix else first.shape[1:]
    return {
        "N": float(first.shape[0]),
        "L": float(math.prod(rest)) if rest else 1.0,
        "τ": float(inputs.get("temperature", 1.0)),
    }


def fit(form: Form, cases: list[Observation], expected: list[Answer], single: bool = False) -> Fit | None:
    """How the target follows from a candidate on the core cases, or None.

    Args:
        expected: the candidate's answer to each case.
        single: allow the rounding of single precision everywhere.
    """
    eps = SINGLE if single else 0.0
    core = comparable(form, cases, expected)
    if not core:
        return None
    found = _objective(form, core, eps) if form.objective else _numbers(form, core, eps)
    if found is None:
        return None
    found = replace(found, single=single or found.single)
    beyond = [(case, answer) for case, answer in zip(cases, expected, strict=True) if not case.core]
    departed = tuple(case for case, answer in beyond if not follows(form, case, answer, found))
    return replace(found, beyond=len(beyond), departed=departed)


def resembles(form: Form, case: Observation, expected: Answer, single: bool = False) -> bool:
    """Whether a candidate may fit at all, from one case: its gradient is a multiple of the target's, or all agrees."""
    if expected.problem:
        return False
    if not within_range(expected) or (form.objective and not case.found.gradients):
        return True
    eps = 2.0**-23 if single else 0.0
    if not form.objective:
        return agrees(form, case, expected, eps)
    ratios = _ratios([(case, expected)])
    return not ratios or gradients_agree(case, expected, ratios[0][1], eps)


def comparable(form: Form, cases: list[Observation], expected: list[Answer]) -> list[tuple[Observation, Answer]] | None:
    """The core cases with a candidate's answers, without those of an objective that it cannot answer with a number;
    None if the target can."""
    core = [
        (case, answer) for case, answer in zip(cases, expected, strict=True) if case.core and not case.found.problem
    ]
    of = form.signature.main
    if any(answer.problem or (form.objective and np.size(answer.value[of]) != 1) for _, answer in core):
        return None
    if not form.objective:
        return core
    beyond = [case for case, answer in core if not within_range(answer)]
    if any(np.isfinite(scalar(case.found, form.signature.main)).all() for case in beyond):
        return None
    return [(case, answer) for case, answer in core if within_range(answer)]


def _numbers(form: Form, core: list[tuple[Observation, Answer]], eps: float) -> Fit | None:
    if all(agrees(form, case, answer, eps) for case, answer in core):
        return Fit(1.0, "", "zero", (0.0,) * len(core))
    return None


def _objective(form: Form, core: list[tuple[Observation, Answer]], eps: float) -> Fit | None:
    of = form.signature.main
    if any(np.size(a.value[of]) != 1 for case, answer in core for a in (case.found, answer)):
        return None
    ratios = _ratios(core) or _value_ratios(core)
    if not ratios:
        return Fit(1.0, "", "zero", (0.0,) * len(core)) if _numbers(form, core, eps) else None
    coarsest = max(epsilon(case.inputs, case.found) for case, _ in core)
    factor, scaling = _common_factor(ratios, [shapes(case.inputs) for case, _ in core], eps, coarsest)
    if factor is None:
        return None
    if factor * form.sign < 0:
        return None
    factors = [factor * scale(scaling, case.inputs) for case, _ in core]
    for (case, answer), k in zip(core, factors, strict=True):
        if not gradients_agree(case, answer, k, eps):
            return None
    return _with_constant(form, core, factor, scaling, factors, eps)


def _with_constant(form: Form, core: list[tuple[Observation, Answer]], factor: float, scaling: str,
                   factors: list[float], eps: float) -> Fit | None:  # fmt: skip
    rest, allowed, rounded = [], [], []
    for (case, answer), k in zip(core, factors, strict=True):
        found, expected = (float(scalar(a, form.signature.main)) for a in (case.found, answer))
        if not math.isfinite(found) or not math.isfinite(expected):
            return None
        rest.append(found - k * expected)
        unit = max(eps, epsilon(case.inputs, case.found))
        allowed.append(max(1.0, abs(k)) * value_tolerance(case.inputs, answer, unit))
        rounded.append(allowed[-1] + ROUNDED * SINGLE * (1 + largest(case.inputs) + abs(found)))
    more = [o for o in form.signature.outputs if o != form.signature.main]
    for case, answer in core:
        unit = max(eps, epsilon(case.inputs, case.found))
        tolerance = value_tolerance(case.inputs, answer, unit)
        if not all(near(scalar(case.found, o), scalar(answer, o), tolerance) for o in more):
            return None
    if all(abs(r) <= a for r, a in zip(rest, allowed, strict=True)):
        return Fit(factor, scaling, "zero", tuple(rest))
    if all(abs(r) <= a for r, a in zip(rest, rounded, strict=True)):
        return Fit(factor, scaling, "zero", tuple(rest), single=True)
    inputs = [case.inputs for case, _ in core]
    steady = any(_steady(rest, allowed, [key(each) for each in inputs]) for key in (shape_key, _shapes_alone))
    constant = "shape" if steady else "varies"
    if constant == "varies" and not core[0][0].found.gradients:
        return None  # without a gradient nothing is left that agrees
    return Fit(factor, scaling, constant, tuple(rest))


def _steady(rest: list[float], allowed: list[float], keys: list[Any]) -> bool:
    """Whether a number is one for each key; false where no two cases of one key could contradict that."""
    groups: dict[Any, list[int]] = {}
    for at, key in enumerate(keys):
        groups.setdefault(key, []).append(at)
    return len(groups) < len(keys) and all(
        abs(rest[i] - rest[members[0]]) <= allowed[i] + allowed[members[0]]
        for members in groups.values()
        for i in members
    )


def _shapes_alone(inputs: Inputs) -> Any:
    return tuple(leaf.shape for _, leaf in leaves(inputs) if isinstance(leaf, np.ndarray) and leaf.ndim)


def shape_key(inputs: Inputs) -> Any:
    """What a constant may depend on: shapes, and the numbers that are options."""
    return tuple(leaf.shape if isinstance(leaf, np.ndarray) and leaf.ndim else repr(leaf) for _, leaf in leaves(inputs))


def _ratios(core: list[tuple[Observation, Answer]]) -> list[tuple[int, float, float]]:
    """For each case with a gradient that is not 0: its place, ⟨g, G⟩/⟨G, G⟩, and the relative rounding of that."""
    found = []
    for at, (case, answer) in enumerate(core):
        theirs, ours = dict(leaves(case.found.gradients)), dict(leaves(answer.gradients))
        if not theirs:
            continue
        g = np.concatenate([np.ravel(np.asarray(theirs[name], np.float64)) for name in theirs])
        target = np.concatenate([np.ravel(np.asarray(ours[name], np.float64)) for name in theirs])
        norm = float(target @ target)
        if not np.isfinite(g).all() or not math.isfinite(norm) or norm < 1e-8:
            continue
        rounding = ROUNDINGS * epsilon(case.inputs, case.found) * (1 + largest(case.inputs))
        found.append((at, float(g @ target) / norm, rounding / min(1.0, math.sqrt(norm))))
    return found


def _value_ratios(core: list[tuple[Observation, Answer]]) -> list[tuple[int, float, float]]:
    """Without gradients: differences of values between two cases of one shape."""
    found = []
    by_shape: dict[Any, int] = {}
    for at, (case, answer) in enumerate(core):
        first = by_shape.setdefault(shape_key(case.inputs), at)
        before, expected = core[first]
        theirs = float(scalar(case.found, "value")) - float(scalar(before.found, "value"))
        ours = float(scalar(answer, "value")) - float(scalar(expected, "value"))
        eps = max(epsilon(c.inputs, c.found) for c in (case, before))
        rounding = value_tolerance(case.inputs, answer, eps) + value_tolerance(before.inputs, expected, eps)
        if first != at and math.isfinite(theirs) and abs(ours) > max(0.05, 100 * rounding):
            found.append((at, theirs / ours, rounding / abs(ours)))
    return found if len(found) >= 3 else []


def _common_factor(
    ratios: list[tuple[int, float, float]], sizes: list[dict[str, float]], eps: float, coarsest: float
) -> Any:
    """The one number behind all ratios, or a number times a function of the shapes."""
    for scaling in ("", *SCALES):
        scaled = []
        for at, ratio, rounding in ratios:
            if scaling == "1/(N − 1)" and sizes[at]["N"] == 1:
                break
            unit = SCALES[scaling](sizes[at]) if scaling else 1.0
            if unit == 0:
                break
            scaled.append((ratio / unit, max(rounding, eps * ROUNDINGS)))
        if len(scaled) < len(ratios):
            continue
        best = min(scaled, key=lambda pair: pair[1])[0]
        if best != 0 and all(abs(k - best) <= 4 * r * max(1.0, abs(best)) for k, r in scaled):
            return _tidy(best, max(1e-6, ROUNDINGS * coarsest if coarsest > SINGLE else 0.0)), scaling
    return None, ""


def _tidy(factor: float, within: float) -> float:
    """The simple number that a factor is meant to be, if one is that near in relation to its size."""
    for simple in (1.0, 2.0, 0.5, 1 / math.log(2), math.log(2), 0.25, 4.0):
        for sign in (1, -1):
            if abs(factor - sign * simple) < within * simple:
                return sign * simple
    return factor


def follows(form: Form, case: Observation, expected: Answer, fitted: Fit) -> bool:
    """Whether a case beyond the core follows too; a constant that depends on shapes is not asked for."""
    if expected.problem or case.found.problem:
        return bool(expected.problem)
    eps = SINGLE if fitted.single else 0.0
    if not form.objective:
        return agrees(form, case, expected, eps, wide=True)
    if not within_range(expected):
        return True
    k = fitted.factor * fitted.scale(case.inputs)
    if not gradients_agree(case, expected, k, eps, wide=True, kinked=fitted.kinked):
        return False
    found, expected_value = (np.asarray(scalar(a, form.signature.main), np.float64) for a in (case.found, expected))
    if fitted.constant != "zero":
        return bool(np.isfinite(found).all() == np.isfinite(expected_value).all())
    eps = max(eps, epsilon(case.inputs, case.found))
    tolerance = value_tolerance(case.inputs, expected, eps) + WIDE * (1 + largest(expected.value))
    return near(found, k * expected_value, max(1.0, abs(k)) * tolerance)


def within_range(expected: Answer) -> bool:
    """Whether no part of an answer is at the end of its number range, where formulas of equal worth overflow apart."""
    for _, leaf in (*leaves(expected.value), *leaves(expected.gradients)):
        if leaf.dtype.kind == "f" and leaf.size and not np.abs(leaf).max() < 1e-4 * np.finfo(leaf.dtype).max:
            return False
    return True


def due(form: Form, cases: list[Observation]) -> list[Observation]:
    """The cases without those beyond the core where the reference itself has no number, or is at the end of its range."""
    if form.reference is None:
        return cases
    beyond = [case for case in cases if not case.core]
    keep = {id(case) for case, answer in zip(beyond, answers(form, form.reference, beyond), strict=True)
            if not answer.problem and (within_range(answer) or _infinite(form, answer))}  # fmt: skip
    return [case for case in cases if case.core or id(case) in keep]


def _infinite(form: Form, answer: Answer) -> bool:
    """Whether infinity is the right number, as of a divergence from what rules an outcome out."""
    values = [leaf for _, leaf in leaves(answer.value)]
    return not form.signature.differentiate and not any(np.isnan(v).any() for v in values)


def answers(form: Form, function: Callable[[Inputs], Tree], cases: list[Observation]) -> list[Answer]:
    """A candidate's answers to the cases, each computed once; one that fails on a case has a problem there."""
    return [answer(form, function, case) for case in cases]


def answer(form: Form, function: Callable[[Inputs], Tree], case: Observation) -> Answer:
    """A candidate's answer to one case."""
    if function not in case.known:
        try:
            case.known[function] = evaluate(function, form.signature, case.inputs)
        except (ArithmeticError, IndexError, ValueError) as error:
            case.known[function] = Answer(problem=str(error))
    return case.known[function]
