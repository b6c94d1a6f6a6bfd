"""What a target computes: the reference, the reference within limits, another valid convention, or a mistake, and which.

A candidate that fits exactly goes before one that fits up to a constant or a factor; the reference before conventions,
and these before mistakes. A loss (factor < 0) may drop constants: then the gradient decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dimref.audit import matching, parametric, parts
from dimref.audit.answer import Answer, Inputs
from dimref.audit.cases import Observation
from dimref.audit.contract import ZERO_TIMES_INFINITY, Form, Variant
from dimref.audit.matching import Fit
from dimref.trees import Tree, leaves

CONFORMS, CONVENTION, MISTAKE, FAILED = "conforms", "another valid convention", "mistake", "could not run"
VALUES = "its values"  # what is right where a gradient is due and there is none
WITHIN = "conforms within"  # what it computes is known and right, but not everywhere where it is due
ORDINARY = 100.0  # numbers below this are, of whatever quantity
BITS = 1 / math.log(2)
FEW = 6  # core cases on which a candidate is tried first


@dataclass(frozen=True)
class Candidate:
    """A function that fits.

    Attributes:
        role: "reference", "convention" or "mistake".
        variant: None for the reference.
    """

    role: str
    variant: Variant | None
    fit: Fit

    def function(self, form: Form) -> Callable[[Inputs], Tree]:
        """What fits: inputs -> outputs by name."""
        function = form.reference if self.variant is None else self.variant.function
        assert function is not None
        return function


@dataclass(frozen=True)
class Judgement:
    """The verdict and its words.

    Attributes:
        key: of the variant, or "" for none.
        candidate: what fits best, None if nothing known does.
        also: titles of other candidates that no case distinguishes from it.
        gradient_right: whether only a constant of the value is wrong.
        within: the limits of WITHIN, to follow "conforms within".
        flat: whether it holds without an axis of locations alone; with one, nothing known fits.
        lowered: whether ordinary cases beyond the core lowered it.
    """

    verdict: str
    key: str
    diagnosis: str
    consequence: str = ""
    fix: str = ""
    source: str = ""
    candidate: Candidate | None = None
    also: tuple[str, ...] = ()
    gradient_right: bool = False
    within: str = ""
    flat: bool = False
    lowered: bool = False

    @property
    def good(self) -> bool:
        """Whether it conforms, or is another valid convention."""
        return self.verdict in (CONFORMS, CONVENTION)


def candidates(form: Form, cases: list[Observation], single: bool = False, pairs: bool = False,
               title: str = "") -> list[Candidate]:  # fmt: skip
    """Every known function that fits the target's answers on the core cases, the best first.

    With the reference's title what fits none is tried with a number found (a temperature, a clamp). Edits of the reference's
    source are tried where nothing documented fits exactly, beyond the core too; two at once if `pairs`.
    """
    if form.reference is None:
        return []
    documented = [
        ("reference", None, form.reference),
        *(("convention", v, v.function) for v in form.conventions),
        *(("mistake", v, v.function) for v in form.mistakes),
    ]
    found = _fitting(form, cases, documented, single)
    if not found and title:
        groups = (_fitting(form, cases, group, single) for group in parametric.named(form, title, cases))
        found = sorted(next(filter(None, groups), []), key=lambda c: -c.fit.wide)[:1]
    if not any(c.fit.exact and _everywhere(c) for c in found):
        edits = form.pairs() if pairs else form.edits()
        found += _fitting(form, cases, [("mistake", v, v.function) for v in edits], single)
    # what agrees to single precision alone, other things in double: after the mistakes that agree in every digit
    found.sort(key=lambda c: ((_rank(c) or 0) + 3.5 * (c.fit.single and not single), -c.fit.wide, c.fit.factor < 0))
    if found and found[0].variant is not None:  # what is documented under the same name has a source to show
        same = [
            c for c in found if c.variant is not None and c.variant.key == found[0].variant.key and not c.variant.lines
        ]
        if same and found[0].role == same[0].role == "mistake" and found[0].fit.factor == same[0].fit.factor:
            found.remove(same[0])
            found.insert(0, same[0])
    if found and not _everywhere(found[0]):  # in single precision the core may not decide: then the rest does
        exact, departed = found[0].fit.exact, 1 - found[0].fit.wide  # what agrees in every number yields to no other
        rescued = [c for c in found if 1 - c.fit.wide <= departed / 5 and c.fit.exact >= exact]
        if rescued:
            found.remove(rescued[0])
            found.insert(0, rescued[0])
    return found


def _everywhere(candidate: Candidate) -> bool:
    return candidate.fit.wide >= 0.95


Named = tuple[str, Variant | None, Callable[[Inputs], Tree]]


def _fitting(form: Form, cases: list[Observation], named: Sequence[Named], single: bool) -> list[Candidate]:
    core = [case for case in cases if case.core and not case.found.problem]
    few = core[: FEW if any(case.found.gradients for case in core) else 3 * FEW]  # values alone say less
    first = max(core, key=_telling, default=None)  # the same of every subset, so that its answers are at hand
    found = []
    for role, variant, function in named:
        if first is not None and not matching.resembles(form, first, matching.answer(form, function, first), single):
            continue
        if few and matching.fit(form, few, matching.answers(form, function, few), single) is None:
            continue
        fitted = matching.fit(form, cases, matching.answers(form, function, cases), single)
        if fitted is not None:
            candidate = Candidate(role, variant, fitted)
            if _rank(candidate) is not None:
                found.append(candidate)
    return found


def _telling(case: Observation) -> tuple[bool, bool, bool, int]:
    return (
        case.sizes.regime == "mild", case.sizes.dtype == "float64", case.sizes.flat, case.sizes.n
    )  # fmt: skip


def _rank(candidate: Candidate) -> int | None:
    """The order of preference; None for a fit that decides nothing."""
    fit, role = candidate.fit, candidate.role
    if fit.exact:
        strict = role == "mistake" and candidate.variant is not None and candidate.variant.exact
        return {"reference": 0, "convention": 1, "mistake": 3}[role] - strict
    if role == "mistake":
        loose = candidate.variant is not None and not candidate.variant.exact and fit.constant != "varies"
        return (9 if fit.scaling else 8) if loose else None
    if fit.scaling:
        return 7 if fit.constant != "varies" else None
    if fit.factor == -1:
        return 4 if role == "reference" else 5
    return 6


def evaluate(form: Form, title: str, cases: list[Observation], pairs: bool = True) -> Judgement:
    """The verdict on a target from its answers; `title` names the reference. Two edits at once are tried if `pairs`.

    The same cases are judged once: what fits in part is asked for by several ways.
    """
    if not cases:
        return _evaluate(form, title, cases, pairs)
    key = title, form.sign, pairs, tuple(map(id, cases))
    if key not in cases[0].judged:
        cases[0].judged[key] = _evaluate(form, title, cases, pairs), tuple(cases)
    judgement: Judgement = cases[0].judged[key][0]
    return judgement


def _evaluate(form: Form, title: str, cases: list[Observation], pairs: bool) -> Judgement:
    cases = matching.due(form, cases)
    usable = [case for case in cases if case.core and not case.found.problem]
    if not usable:
        return Judgement(FAILED, "", next((case.found.problem for case in cases if case.found.problem), "no answer"))
    found = candidates(form, cases, title=title)
    if not found:
        found = [c for c in candidates(form, cases, single=True) if c.role != "mistake"]
    if not found:
        kinked = _of_halves(form, title, cases) or _wrong_way(form, title, cases) or _kinked(form, title, cases)
        if kinked is not None:
            return kinked
        flat = _flat(form, title, cases)
        if flat is not None and flat.good:
            return flat
        found = candidates(form, cases, pairs=True) if pairs else []
    if not found:
        return (
            _calm(form, title, cases)
            or _by_value(form, cases)
            or (_unknown(form, title, cases) if _right_value(form, usable) else None)
            or _flat(form, title, cases)
            or _unknown(form, title, cases)
        )
    return _judged(form, title, cases, found)


def _judged(form: Form, title: str, cases: list[Observation], found: list[Candidate]) -> Judgement:
    """The words for the best of what fits."""
    best = found[0]
    same = [c for c in found[1:] if _rank(c) == _rank(best) and c.fit.wide == best.fit.wide]
    also = tuple(
        c.variant.title for c in same if c.variant is not None and c.variant.lines is None and c.role == best.role
    )
    judgement = _of_reference(form, title, best) if best.variant is None else _of_variant(form, best, found)
    if best.role == "convention" and judgement.verdict == MISTAKE and best.fit.constant != "zero":
        flat = _flat(form, title, cases)  # its constant is that of scores without locations
        if flat is not None and flat.good:
            return flat
    if judgement.verdict == MISTAKE and best.fit.constant == "varies":
        return _by_value(form, cases) or replace(judgement, candidate=best, also=also)
    return replace(judgement, candidate=best, also=also)


# ---- what fits in part


def _of_halves(form: Form, title: str, cases: list[Observation]) -> Judgement | None:
    """What is right in double precision alone, or of inputs in half precision."""
    rounded = parametric.half(form, title, cases)
    if rounded is not None:
        return Judgement(MISTAKE, rounded.key, rounded.title, "", rounded.fix)
    unstable = _fitting(form, cases, [("mistake", v, v.function) for v in form.numerical], False)
    if unstable:
        named = _of_variant(form, unstable[0], unstable)
        return replace(named, diagnosis=f"{title}, but by {named.diagnosis}")
    double = [case for case in cases if case.sizes.dtype == "float64"]
    if not form.objective or _flat(form, title, cases):
        return None
    found = candidates(form, double) or candidates(form, double, single=True)
    if found and any(case.core for case in double):
        judgement = _judged(form, title, double, [_over_all(form, cases, c) for c in found])
        words = "in single precision it loses its digits at ordinary scores: a difference of large numbers"
        if judgement.verdict == MISTAKE:
            return replace(judgement, also=(*judgement.also, words))
        what = f"{judgement.diagnosis}, but {words}"
        fix = "leave out what is not to count before the exponential (a mask of −inf, logsumexp): subtract nothing after it"
        return replace(judgement, verdict=MISTAKE, key="cancellation", diagnosis=what, fix=fix)
    return None


def _over_all(form: Form, cases: list[Observation], candidate: Candidate) -> Candidate:
    """With the constants of all core cases, where it was fitted to some."""
    function = form.reference if candidate.variant is None else candidate.variant.function
    assert function is not None
    fit, of = candidate.fit, form.signature.main
    rest = [
        float(matching.scalar(case.found, of))
        - fit.factor * fit.scale(case.inputs) * float(matching.scalar(answer, of))
        for case, answer in matching.comparable(form, cases, matching.answers(form, function, cases)) or []
    ]
    return replace(candidate, fit=replace(fit, constants=tuple(rest)))


def _wrong_way(form: Form, title: str, cases: list[Observation]) -> Judgement | None:
    """What fits with its sign turned, where the sign is known: a bound that is minimized, a loss that is maximized."""
    if not form.sign or not candidates(replace(form, sign=0), cases):
        return None
    judgement = evaluate(replace(form, sign=0), title, cases)
    words = f"{judgement.diagnosis}: minimized, it goes the wrong way"
    return replace(
        judgement, verdict=MISTAKE, key="sign", diagnosis=words, fix="turn the sign of what is returned as a loss"
    )


def _kinked(form: Form, title: str, cases: list[Observation]) -> Judgement | None:
    """What fits in every case but for the gradient where scores are equal: max(t, 0) and |t| of a difference kink there.

    The derivative at a kink is the framework's choice, in right formulas too.
    """
    if not form.objective:
        return None
    calm = [case for case in cases if all(alone.all() for alone in matching.untied(case.inputs).values())]
    if len(calm) == len(cases) or not any(case.core for case in calm):
        return None
    judgement = evaluate(form, title, calm, pairs=False)
    best = judgement.candidate
    if best is None or not best.fit.exact:
        return None
    best = replace(best, fit=replace(best.fit, kinked=True))
    core = [case for case in cases if case.core and not case.found.problem]
    expected = matching.answers(form, best.function(form), core)
    if not all(matching.follows(form, case, answer, best.fit) for case, answer in zip(core, expected, strict=True)):
        return None
    words = f"{judgement.diagnosis}; where scores are equal the gradient differs, as at a kink"
    return replace(judgement, diagnosis=words, candidate=best)


def _calm(form: Form, title: str, cases: list[Observation]) -> Judgement | None:
    """What fits as long as no score stands out, or in double precision alone: a difference of exponentials, as
    Σe − e_pos, loses its digits elsewhere."""
    if not form.objective:
        return None
    near = [case for case in cases if not case.core or (case.sizes.regime != "separated" and _finite(form, case))]
    double = [case for case in near if not case.core or case.sizes.dtype != "float32"]
    for calm, where in ((near, "where one score stands out by a few nats"), (double, "in single precision")):
        shapes = [{case.sizes.flat for case in some if case.core and not case.found.problem} for some in (calm, cases)]
        if len(calm) == len(cases) or not shapes[0] or shapes[0] != shapes[1]:
            continue
        found = candidates(form, calm)
        if not found or found[0].fit.constant == "varies":
            continue
        best = found[0]
        judgement = _of_reference(form, title, best) if best.variant is None else _of_variant(form, best, found)
        function = form.reference if best.variant is None else best.variant.function
        assert function is not None
        fitted = matching.comparable(form, calm, matching.answers(form, function, calm)) or []
        by_shape = {matching.shape_key(c.inputs): r for (c, _), r in zip(fitted, best.fit.constants, strict=True)}
        core = matching.comparable(form, cases, matching.answers(form, function, cases)) or []
        constants = tuple(by_shape.get(matching.shape_key(case.inputs), 0.0) for case, _ in core)
        return replace(
            judgement, verdict=MISTAKE, key=judgement.key if judgement.verdict == MISTAKE else "digits-lost",
            diagnosis=f"{judgement.diagnosis}; {where} even that is lost: inf, NaN or wrong digits",
            fix=judgement.fix or "logsumexp of what is meant",
            candidate=replace(best, fit=replace(best.fit, constants=constants)),
        )  # fmt: skip
    return None


def _finite(form: Form, case: Observation) -> bool:
    return bool(case.found.problem) or bool(np.isfinite(case.found.value[form.signature.main]).all())


def _by_value(form: Form, cases: list[Observation]) -> Judgement | None:
    """The mistake whose value is the target's in every case though its gradient is not: as of a traced maximum."""
    usable = [case for case in cases if case.core and not case.found.problem]
    if form.reference is None or not any(case.found.gradients for case in usable):
        return None
    if _same_value(form, usable, form.reference):
        return None  # a wrong gradient alone
    for variant in (*form.mistakes, *form.edits()):
        if _same_value(form, usable, variant.function):
            return Judgement(
                MISTAKE, variant.key,
                f"the value of {variant.title}, though not its gradient{parts.gradient(form, usable, reference=True)}",
                variant.consequence, variant.fix, variant.source,
            )  # fmt: skip
    return None


def _right_value(form: Form, cases: list[Observation]) -> bool:
    assert form.reference is not None
    return any(case.found.gradients for case in cases) and _same_value(form, cases, form.reference)


def _same_value(form: Form, cases: list[Observation], function: Callable[[Inputs], Tree]) -> bool:
    """Whether every output agrees, up to the sign of a loss; in single precision, if in no other."""
    of = form.signature.main

    def agree(sign: float, eps: float) -> bool:
        for case in cases:
            (expected,) = matching.answers(form, function, [case])
            if expected.problem or not matching.within_range(expected):
                return False
            turned = Answer({**case.found.value, of: sign * case.found.value[of]})
            if not matching.values_agree(form, replace(case, found=turned), expected, eps):
                return False
        return True

    signs = (1.0, -1.0) if form.objective else (1.0,)
    return any(agree(sign, eps) for eps in (0.0, matching.SINGLE) for sign in signs)


def _flat(form: Form, title: str, cases: list[Observation]) -> Judgement | None:
    """What fits as long as there is no axis of locations: that the target takes none is a limit, and no mistake."""
    if not form.objective:
        return None
    flat = without_locations(cases)
    if len(flat) == len(cases):
        return None
    judgement = evaluate(form, title, flat, pairs=False)
    known = judgement.candidate is not None or judgement.key not in ("unknown", "shape", "not-finite")
    return replace(judgement, flat=True, also=()) if judgement.verdict != FAILED and known else None


def without_locations(cases: list[Observation]) -> list[Observation]:
    """The cases whose arrays have the fewest axes."""
    ranks = [min(a.ndim for a in case.inputs.values() if isinstance(a, np.ndarray)) for case in cases]
    return [case for case, rank in zip(cases, ranks, strict=True) if rank == min(ranks)]


def of_averages(flat: Judgement) -> Judgement:
    """The verdict on what averages its scores over locations before it does what it does without them."""
    words = f"{flat.diagnosis}, of scores that are averaged over locations first"
    if not flat.good:
        return replace(flat, diagnosis=words, candidate=None, flat=False)
    return Judgement(MISTAKE, "locations", words, "", "take the bound at each location, then the mean")


def limited(form: Form, judgement: Judgement, cases: list[Observation]) -> Judgement:
    """A good verdict, lowered where ordinary cases beyond the core depart, or where a gradient is due and there is none."""
    best = judgement.candidate
    if not judgement.good or best is None:
        return judgement
    answers = matching.answers(form, best.function(form), list(best.fit.departed))
    worst = [(case, matching.worst(case.found, answer))
             for case, answer in zip(best.fit.departed, answers, strict=True)]  # fmt: skip
    worst.sort(key=lambda pair: (math.isinf(pair[1].expected), matching.largest(pair[0].inputs)))
    zeros = _zeros(form, [case for case, _ in worst], cases)
    known = {variant.key: variant for variant in form.mistakes}.get("zero-log-zero")
    for case, entry in worst:
        reach = matching.largest(case.inputs)
        if zeros or (not math.isfinite(entry.found) and reach < ORDINARY):
            named = known if zeros and all(math.isnan(e.found) for _, e in worst) else None
            key, fix, source = (
                (named.key, named.fix, named.source) if named else ("zeros" if zeros else "not-finite", "", "")
            )
            where = zeros or _constant(case.inputs) or f"at numbers of {reach:.3g}"
            words = f"{judgement.diagnosis}, but {where} {entry}"
            return replace(
                judgement, verdict=MISTAKE, key=key, diagnosis=words, fix=fix, source=source, lowered=True
            )  # fmt: skip
    if worst:
        case, entry = worst[0]
        return within(judgement, "numbers of a few units", f"departs on {1 - best.fit.wide:.0%} of the cases beyond, first "
                      f"at numbers of {matching.largest(case.inputs):.3g}: {entry}")  # fmt: skip
    if form.signature.differentiate and not any(case.found.gradients for case in cases):
        return within(judgement, VALUES, "a gradient is due and there is none: values alone were compared")
    return judgement


def within(judgement: Judgement, limits: str, why: str) -> Judgement:
    """The fourth verdict."""
    words = f"{judgement.diagnosis}; {why}"
    return replace(judgement, verdict=WITHIN, within=limits, diagnosis=words, lowered=True)


def _zeros(form: Form, departed: list[Observation], cases: list[Observation]) -> str:
    """The inputs that have a 0 wherever the target departs, and in no core case."""
    names = [
        name for name in form.signature.arguments
        if isinstance(departed[0].inputs[name] if departed else None, np.ndarray)
        and not any(_has_zero(case, name) for case in cases if case.core)
    ]  # fmt: skip
    if not departed or not all(any(_has_zero(case, name) for name in names) for case in departed):
        return ""
    return f"where {' or '.join(name for name in names if any(_has_zero(case, name) for case in departed))} has a 0"


def _has_zero(case: Observation, name: str) -> bool:
    return bool(np.any(np.asarray(case.inputs[name]) == 0))


def _constant(inputs: Inputs) -> str:
    """Where a row, or a channel, is one number again and again."""
    arrays = [a for a in inputs.values() if isinstance(a, np.ndarray) and a.ndim > 1]
    rows = [np.moveaxis(a, axis, 0).reshape(a.shape[axis], -1) for a in arrays for axis in range(a.ndim)]
    return (
        "on a constant row or channel" if any((r == r[:, :1]).all(axis=1).any() for r in rows if r.shape[1] > 1) else ""
    )


def _of_reference(form: Form, title: str, best: Candidate) -> Judgement:
    fit = best.fit
    loss = fit.factor < 0 or form.loss
    if fit.exact:
        return Judgement(CONFORMS, "", f"the negative of {title}" if fit.factor < 0 else title)
    if fit.scaling:
        return _scaled_by_shape(title, fit, loss)
    if fit.constant == "zero":
        return _scaled(form, title, fit)
    what = "a number that depends on shapes alone" if fit.constant == "shape" else "a value of its own"
    if loss:
        return Judgement(
            CONVENTION, "constant", f"a loss with the gradient of {title}" + _times(fit) + f"; its value differs by {what}",
            "training is the same; the value is no estimate", "add the constant where the value is reported",
        )  # fmt: skip
    if fit.constant == "varies":
        return _surrogate(form, title + _times(fit), fit)
    return Judgement(
        MISTAKE, "constant", f"{title}" + _times(fit) + f" with {what} added: {_constants(fit)}",
        "the gradient is right, the value is not", "add the missing constant",
    )  # fmt: skip


def _surrogate(form: Form, title: str, fit: Fit) -> Judgement:
    """The right gradient with a value that differs by what varies with the scores: an objective, no estimate."""
    known = next((v for v in form.conventions if v.key.startswith("surrogate")), None)
    words = f"the gradient of {title}, with a surrogate value: it differs by {_constants(fit)}, which varies with the scores"
    fix = "report the value itself beside what is trained"
    return Judgement(CONVENTION if known else MISTAKE, "surrogate-value", words, "", fix)


def _times(fit: Fit) -> str:
    return "" if abs(fit.factor) == 1 else f" times {abs(fit.factor):.6g}"


def _constants(fit: Fit) -> str:
    low, high = min(fit.constants), max(fit.constants)
    return f"{low:.6g}" if high - low < 1e-6 * max(1.0, abs(low)) else f"{low:.4g} … {high:.4g}"


def _scaled(form: Form, title: str, fit: Fit) -> Judgement:
    times = abs(fit.factor)
    if math.isclose(times, BITS, rel_tol=1e-6):
        what = f"{title} in bits"
        return Judgement(CONVENTION, "bits", what, "1.4427 times the nats", "multiply by log 2 to have nats")
    if fit.factor < 0 or form.loss:
        what = f"{title} as a loss, times {times:.6g}"
        return Judgement(CONVENTION, "scaled-loss", what, "the same minimum; the step is scaled", "drop the factor")
    key = {0.5: "value-halved", 2.0: "value-doubled"}.get(times, "scaled")
    what = f"{title} times {times:.6g}" + (": the value is halved" if times == 0.5 else "")
    return Judgement(
        MISTAKE, key, what, f"value and gradient are {times:.6g} times what they should be", "drop the factor"
    )


def _scaled_by_shape(title: str, fit: Fit, loss: bool) -> Judgement:
    times = fit.scaling if abs(fit.factor) == 1 else f"{abs(fit.factor):.6g}·{fit.scaling}"
    if fit.scaling == "τ" and not float(fit.factor).is_integer():
        times = f"τ/{1 / abs(fit.factor):.6g}"
    if loss and fit.scaling in ("τ", "1/τ", "1/L"):
        return Judgement(CONVENTION, "scaled-loss", f"{title} as a loss, times {times}", "", "drop the factor")
    if fit.scaling in ("N", "L", "N·L", "N²"):
        key, what, fix = "sum-for-mean", "a sum where a mean belongs", "divide by the number of terms"
    else:
        key, what, fix = "divided-again", "divided by a count after a mean already was", "divide once"
    return Judgement(
        MISTAKE, key, f"{title} times {times}: {what}", "the step depends on the size of the batch or the map", fix
    )


def _of_variant(form: Form, best: Candidate, found: list[Candidate]) -> Judgement:
    variant, fit = best.variant, best.fit
    assert variant is not None
    if best.role == "convention" and not (form.loss or fit.factor < 0) and fit.constant != "zero":
        return Judgement(
            MISTAKE, variant.key, f"{variant.title}, with {_constants(fit)} added",
            "the gradient is right, the value is not", "correct the constant", variant.source,
        )  # fmt: skip
    if best.role == "convention" and fit.scaling:
        return _scaled_by_shape(variant.title, fit, form.loss or fit.factor < 0)
    if best.role == "convention" and abs(fit.factor) != 1:
        scaled = _scaled(form, variant.title, fit)
        return replace(scaled, key=variant.key) if scaled.verdict == CONVENTION else scaled
    title = ("the negative of " if fit.factor < 0 else "") + variant.title
    gradient_right = variant.exact and any(c.role != "mistake" for c in found)
    if fit.scaling or abs(fit.factor) != 1:
        number = "" if abs(fit.factor) == 1 else f"{abs(fit.factor):.6g}"
        times = " · ".join(part for part in (number, fit.scaling) if part)
        title += f", times {times}"
    valid = best.role == "convention"
    if (fit.factor < 0 or form.loss) and gradient_right:
        valid = True  # the gradient is a valid one: a loss may drop constants
        title += " (a loss may drop constants: the gradient is right)"
    if fit.constant != "zero" and valid:
        title += "; constants differ"
    verdict = CONVENTION if valid else MISTAKE
    return Judgement(
        verdict, variant.key, title, variant.consequence, variant.fix, variant.source, gradient_right=gradient_right
    )  # fmt: skip


def _unknown(form: Form, title: str, cases: list[Observation]) -> Judgement:
    """Nothing known fits: the remaining observations."""
    usable = [case for case in cases if case.core and not case.found.problem]
    assert form.reference is not None
    expected = matching.answers(form, form.reference, usable)
    of = form.signature.main
    for case, answer in zip(usable, expected, strict=True):
        theirs, ours = case.found.value[of].shape, answer.value[of].shape
        if matching.shapeless(case.found.value[of], answer.value[of]).shape != ours:
            return Judgement(
                MISTAKE, "shape", f"returns {of} of shape {theirs} where {ours} is due",
                "not one number for the batch" if ours == () else "", "reduce as the reference does" if ours == () else "",
            )  # fmt: skip
    if not all(np.isfinite(case.found.value[of]).all() for case in usable):
        return Judgement(MISTAKE, "not-finite", f"not {title}: NaN or inf at scores of a few nats")
    pairs = list(zip(usable, expected, strict=True))
    if any(
        all(matching.values_agree(form, case, answer, eps) for case, answer in pairs) for eps in (0.0, matching.SINGLE)
    ):
        if not all(np.isfinite(g).all() for case, _ in pairs for _, g in leaves(case.found.gradients)):
            what = f"the value of {title}, by {ZERO_TIMES_INFINITY.title}"
            return Judgement(MISTAKE, ZERO_TIMES_INFINITY.key, what, "", ZERO_TIMES_INFINITY.fix)
        return Judgement(
            MISTAKE, "gradient", f"the value of {title}, but not its gradient{parts.gradient(form, usable)}",
            "training does not climb this quantity",
            "look for a detached or doubly counted path",
        )  # fmt: skip
    return Judgement(MISTAKE, "unknown", f"not {title}, and no mistake of the catalogue{parts.words(form, cases)}")
