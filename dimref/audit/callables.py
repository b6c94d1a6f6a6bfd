"""The audit of one function: call, compare, evaluate, shrink, and report.

from dimref.audit import assert_conforms, audit

print(audit("mine.py:jsd", "bound", "jsd"))
assert_conforms(my_jsd, "bound", "jsd")
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dimref.audit import cases as drawn
from dimref.audit import causes, consequence, matching, numerical, verdict
from dimref.audit.answer import Answer, Inputs, Target
from dimref.audit.answering import evaluate
from dimref.audit.cases import Limits, Observation
from dimref.audit.contract import Contract, Form, TargetLaw, find
from dimref.audit.matching import Fit
from dimref.audit.numerical import Departure
from dimref.audit.report import Counterexample, LawResult, Report
from dimref.audit.sandbox import opened
from dimref.audit.verdict import CONFORMS, CONVENTION, FAILED, MISTAKE, Judgement
from dimref.laws.law import Slack
from dimref.trees import Tree, leaves, map_tree

CASES = 96
LAW_CASES = 12
NOT_OBEYED = "this convention does not obey it"
NOT_EVALUATED = "it could not be evaluated: the value is no number"
NOT_FLAT = "taken only without an axis of locations; with one it computes something else"
SEARCHED = 40  # cases that Hypothesis adds
# An audit lends names of the target's modules to autograd, warnings to nobody and the generators to Hypothesis: all of the
# process, so that two at once would take each other's state for their own.
_alone = threading.RLock()


def audit(
    target: str | Target | Callable[..., Any],
    kind: str,
    name: str,
    form: str = "",
    cases: int = CASES,
    seed: int = 0,
    loss: bool = False,
    **how: Any,
) -> Report:
    """Hold a function against the reference. Of several threads one audits at a time, and the others wait.

    Args:
        target: "module:function" or "path/to/file.py:function", which runs in a process of its own; or the function
            itself, which runs in this one, since a lambda or a nested function cannot be loaded in another: a hang, a
            crash or an exhausted memory is then this process's own.
        kind, name: of the contract, as "bound", "jsd".
        form: its calling convention; by default the contract's first that its parameters fit.
        cases: how many inputs are drawn.
        seed: of the drawing: the same seed, the same cases.
        loss: it is minimized: a bound is then expected as its negative, as a loss is returned, without constants perhaps.
        how: framework, adapter, time_limit, memory_limit, as `sandbox.opened` takes them.
    Raises:
        AuditError: there is no such contract or form, or Hypothesis is not installed.
        LoadError: the target cannot be loaded.
    """
    contract = find(kind, name)
    contract.form(form)  # a wrong name is refused before anything is started
    with _alone, opened(target, **how) as there, np.errstate(all="ignore"):  # an overflow shows in the verdict
        chosen = contract.form(form, getattr(there, "takes", None))
        if loss and chosen.objective:
            chosen = replace(chosen, sign=1 if chosen.loss else -1)
        return run(there, contract, chosen, cases, seed)


def assert_conforms(
    target: str | Target | Callable[..., Any],
    kind: str,
    name: str,
    form: str = "",
    strict: bool = False,
    cases: int = CASES,
    seed: int = 0,
    **how: Any,
) -> None:
    """For tests: raise AssertionError with the report unless the target computes the reference.

    Args:
        strict: refuse other valid conventions too.
        target, kind, name, form, cases, seed, how: as in `audit`; a function that is no text runs in this process.
    """
    report = audit(target, kind, name, form, cases, seed, **how)
    if not report.passes(strict):
        raise AssertionError(f"\n{report}")


def run(target: Target, contract: Contract, form: Form, cases: int = CASES, seed: int = 0) -> Report:
    """The whole audit of one target."""
    limits, problem = drawn.find_limits(form, target)
    if limits is None:
        return Report(contract, form, target, Judgement(FAILED, "", problem), 0)
    seen = drawn.observe(form, target, limits, cases, seed)
    notes = _notes(form, seen, limits, problem)
    if form.reference is None:
        return _by_laws(contract, form, target, seen, limits, notes, seed)
    judgement = _judge(form, contract.title, target, limits, seen, seed)
    if judgement.flat and _averages(form, target, seen):
        judgement = verdict.of_averages(judgement)
    elif judgement.flat:
        limits, notes, seen = replace(limits, flat=True), (*notes, NOT_FLAT), verdict.without_locations(seen)
    fit = judgement.candidate.fit if judgement.candidate else Fit(consequence.orientation(form, seen), "", "varies", ())
    departures = _range(form, target, judgement, fit, limits)
    if departures:
        judgement = _departed(form, target, judgement, fit, departures, limits)
    judgement = verdict.limited(form, judgement, seen)
    measured = consequence.of(form, numerical.asker(form, target), judgement, fit, seen, limits, bool(departures))
    judgement = replace(judgement, consequence=measured)
    counterexample = _counterexample(form, target, judgement, fit, departures, limits, seen, seed)
    best, named = judgement.candidate, None
    value, gradient = _errors(form, seen, form.reference, fit, best is not None and best.variant is None)
    if best is not None and best.variant is not None:
        named = _errors(form, seen, best.variant.function, fit, True)
    laws = _laws(form, target, seen, fit, judgement)
    return Report(
        contract, form, target, judgement, len(seen), value, gradient, laws, _dtypes(form, seen), tuple(departures),
        counterexample, limits, notes + _precision(fit), named,
    )  # fmt: skip


def _judge(form: Form, title: str, target: Target, limits: Limits, seen: list[Observation], seed: int) -> Judgement:
    """The verdict; for a target that seems right, a search for a case that shows a departure, and the verdict with it."""
    judgement = verdict.evaluate(form, title, seen)
    candidate = judgement.candidate
    if judgement.verdict == MISTAKE or candidate is None:
        return judgement

    def departs(case: Observation) -> bool:
        (expected,) = matching.answers(form, candidate.function(form), [case])
        return not case.found.problem and not matching.follows(form, case, expected, candidate.fit)

    found = drawn.search(form, target, limits, departs, SEARCHED, seed)
    if found is None:
        return judgement
    seen.append(found)
    return verdict.evaluate(form, title, seen)


# ---- parts of the report


def _notes(form: Form, seen: list[Observation], limits: Limits, problem: str) -> tuple[str, ...]:
    notes = [remark for remark in dict.fromkeys(r for case in seen for r in case.found.remarks)]
    if str(limits):
        notes.append(f"taken only {limits}; otherwise {problem}")
    refused = [case.found.problem for case in seen if case.found.problem]
    if refused:
        notes.append(f"no answer to {len(refused)} of {len(seen)} cases: {refused[0]}")
    printed = next((case.found.printed for case in seen if case.found.printed), "")
    if printed:
        notes.append(f"it prints: {printed}")
    return tuple(notes)


def _precision(fit: Fit) -> tuple[str, ...]:
    if not fit.single:
        return ()
    why = "it, or a constant in it, is computed in single precision, or with an ε of about 1e-8"
    return (f"the inputs are in double precision, but the result is good to single precision only: {why}",)


def _range(form: Form, target: Target, judgement: Judgement, fit: Fit, limits: Limits) -> list[Departure]:
    if judgement.candidate is None or not form.ranged:
        return []
    function = judgement.candidate.function(form)
    found = numerical.scan(form, numerical.asker(form, target), function, fit, limits)
    # A target that computes in single precision whatever its inputs has the range of single precision.
    return [departure for departure in found if not (fit.single and departure.dtype == "float64")]


def _averages(form: Form, target: Target, seen: list[Observation]) -> bool:
    """Whether the target averages what it is given over locations, and goes on with the averages."""
    ranks = {name: min(np.ndim(case.inputs[name]) for case in seen) for name in form.signature.arguments}
    local = [case for case in seen if case.core and any(np.ndim(case.inputs[k]) > rank for k, rank in ranks.items())]
    for case in local:
        inputs = {k: a.mean(-1).astype(a.dtype) if np.ndim(a) > ranks.get(k, 9) else a for k, a in case.inputs.items()}
        flat = target.call(form.signature, inputs)
        if flat.problem or not matching.values_agree(form, replace(case, inputs=inputs), flat):
            return False
    return True


def _departed(
    form: Form, target: Target, judgement: Judgement, fit: Fit, departures: list[Departure], limits: Limits
) -> Judgement:
    """The verdict on what leaves the quantity as numbers grow."""
    assert judgement.candidate is not None
    function = judgement.candidate.function(form)
    first = min(departures, key=lambda d: d.magnitude)
    where = f"{first.found} at {first.magnitude:.3g}{form.unit} in {first.dtype}"
    if not (form.objective or form.numerical) or numerical.ends(form, function, first.inputs):
        if not judgement.good:
            return judgement
        return verdict.within(
            judgement, f"{first.magnitude:.3g}{form.unit} in {first.dtype} ({first.pattern})", f"{first.found} beyond"
        )
    variant = causes.cause(form, numerical.asker(form, target), function, fit, departures, limits)
    if judgement.verdict == MISTAKE and not judgement.gradient_right:
        return replace(judgement, also=(*judgement.also, f"and by {variant.title}: {where}"))
    what = f"{judgement.diagnosis}, but by {variant.title}: {where}"
    return Judgement(
        MISTAKE, variant.key, what, variant.consequence, variant.fix, variant.source, judgement.candidate
    )  # fmt: skip


VISIBLE = (0.1, 1e-3, 0.0)  # relative differences that are searched for, the largest first


def _counterexample(form: Form, target: Target, judgement: Judgement, fit: Fit, departures: list[Departure],
                    limits: Limits, seen: list[Observation], seed: int) -> Counterexample | None:  # fmt: skip
    """The smallest case that shows the difference from the reference; that of a lowered verdict shows what lowered it."""
    best = judgement.candidate
    if form.reference is None or judgement.verdict == CONFORMS:
        return None
    if departures and best is not None and best.role != "mistake":
        inputs, found = numerical.worst(form, numerical.asker(form, target), best.function(form), fit, departures)
        return Counterexample(inputs, found, _expected(form, fit, inputs))
    values_count = fit.constant == "zero" or (fit.factor > 0 and judgement.verdict != CONVENTION)
    eps = matching.SINGLE if fit.single else 0.0

    def errors(case: Observation) -> tuple[float, float]:
        """Of the value, and of value and gradients."""
        expected, wide = _expected(form, fit, case.inputs), not case.core
        if case.found.problem or (wide and not matching.due(form, [case])):
            return -1.0, -1.0
        wrong = values_count and not matching.values_agree(form, case, expected, eps, wide)
        if not wrong and matching.gradients_agree(case, expected, 1.0, eps, wide):
            return -1.0, -1.0
        theirs, ours = (form.canonical(dict(answer.value)) for answer in (case.found, expected))
        value = matching.worst(Answer(theirs), Answer(ours)).error if wrong else -1.0
        return value, max(value, matching.worst(case.found, expected, False).error if case.found.gradients else value)

    pool = seen if not judgement.lowered else fit.departed
    shown = [(case, errors(case)) for case in pool]
    for least in (math.inf, *VISIBLE) if judgement.lowered else VISIBLE:
        for of in (0, 1):  # a value that differs says more than a gradient
            regimes = {case.sizes.regime for case, error in shown if error[of] >= least}
            for some in (regimes & {"mild", "ties"}, regimes):
                departs = partial(lambda of, least, case: errors(case)[of] >= least, of, least)
                case = drawn.smallest(form, target, limits, departs, sorted(some), seed) if some else None
                if case is not None:
                    return Counterexample(case.inputs, case.found, _expected(form, fit, case.inputs))
    return None


def _expected(form: Form, fit: Fit, inputs: Inputs) -> Answer:
    """The reference's answer; its negative where the target is a loss."""
    assert form.reference is not None
    answer = evaluate(form.reference, form.signature, inputs)
    if fit.factor > 0:
        return answer
    of = form.signature.main
    return Answer({**answer.value, of: -answer.value[of]}, map_tree(np.negative, answer.gradients))


def _errors(form: Form, seen: list[Observation], function: Callable[[Inputs], Tree], fit: Fit,
            matched: bool) -> tuple[float, float]:  # fmt: skip
    """The worst relative errors of value and gradient against a function on the core cases.

    Args:
        matched: take factor and constant of the fit out; else its sign alone.
    """
    pairs = matching.comparable(form, seen, matching.answers(form, function, seen)) or []
    factor = fit.factor if matched else math.copysign(1.0, fit.factor)
    values, gradients = [], []
    for at, (case, answer) in enumerate(pairs):
        k = factor * (fit.scale(case.inputs) if matched else 1.0)
        constant = fit.constants[at] if matched and fit.constant != "zero" and at < len(fit.constants) else 0.0
        found = form.canonical(dict(case.found.value))
        for name, output in form.canonical(dict(answer.value)).items():
            signed = k * np.asarray(output, np.float64) + constant if name == form.signature.main else output
            values.append(matching.relative(matching.shapeless(found.get(name, math.nan), signed), signed))
        ours = dict(leaves(answer.gradients))
        for name, g in leaves(case.found.gradients):
            where = matching.untied(case.inputs)[name] if fit.kinked else ...
            gradients.append(matching.relative(g[where], k * ours[name][where]))
    return max(values, default=math.nan), max(gradients, default=math.nan)


def _dtypes(form: Form, seen: list[Observation]) -> tuple[tuple[str, str], ...]:
    found = set()
    for case in seen:
        if case.found.problem or not isinstance(case.sizes.dtype, str):
            continue
        for name in (form.signature.main,):
            dtype = case.found.value[name].dtype
            input_types = {
                a.dtype.name for _, a in leaves(case.inputs) if isinstance(a, np.ndarray) and a.dtype.kind == "f"
            }
            if input_types and dtype.name not in input_types:
                found.add((case.sizes.dtype, dtype.name))
    return tuple(sorted(found))


def _constants(form: Form, seen: list[Observation], judgement: Judgement) -> dict[Any, float]:
    """The constant of each shape."""
    candidate = judgement.candidate
    if candidate is None:
        return {}
    pairs = matching.comparable(form, seen, matching.answers(form, candidate.function(form), seen)) or []
    return {matching.shape_key(case.inputs): c for (case, _), c in zip(pairs, candidate.fit.constants, strict=True)}


def _laws(form: Form, target: Target, seen: list[Observation], fit: Fit, judgement: Judgement) -> tuple[LawResult, ...]:
    """Every law of the form on some core cases; the target's sign, factor and constant are taken out."""
    usable = [case for case in seen if case.core and not case.found.problem]
    constants = _constants(form, seen, judgement) if fit.constant == "shape" else {}

    def ask(inputs: Inputs) -> Answer:
        answer = target.call(form.signature, inputs)
        if answer.problem:
            raise _Unanswered
        if not form.objective:
            return answer
        k = fit.factor * fit.scale(inputs)
        of = form.signature.main
        shift = constants.get(matching.shape_key(inputs), 0.0)
        value = np.asarray((answer.value[of] - shift) / k, answer.value[of].dtype)
        gradients = map_tree(lambda g: g / k, answer.gradients)
        return Answer({**answer.value, of: value}, gradients)

    found = []
    for law in form.laws:
        nearest = _nearest(law, usable, ask)
        if nearest is not None:
            why_not = _not_due(form, law, usable, fit, judgement)
            if math.isnan(nearest[0].value) and not why_not:
                why_not = NOT_EVALUATED
            found.append(LawResult(law.key, law.statement, law.source, *nearest, why_not))
    return tuple(found)


def _nearest(law: TargetLaw, usable: list[Observation], ask: Callable[[Inputs], Answer]) -> tuple[Slack, Inputs] | None:
    """The case that comes closest to breaking the law, or breaks it most."""
    results = []
    for case in usable[:LAW_CASES]:
        with suppress(_Unanswered):  # a law asks for inputs of its own, which the target may not take
            results.append((law.measure(case.inputs, ask), case.inputs))
    if not results:
        return None
    return min(results, key=lambda r: -math.inf if math.isnan(r[0].value) else r[0].value + r[0].tolerance)


def _not_due(form: Form, law: TargetLaw, usable: list[Observation], fit: Fit, judgement: Judgement) -> str:
    """Why a law of the reference is none of a valid convention; "" if it is one."""
    if judgement.verdict != CONVENTION or judgement.candidate is None:
        return ""
    if fit.constant == "varies" and not law.of_gradient:
        return "the gradient alone is the reference's"
    variant = judgement.candidate.variant
    if variant is None:
        return ""
    function = variant.function
    own = _nearest(law, usable, lambda inputs: evaluate(function, form.signature, inputs))
    return "" if own is None or own[0].holds else NOT_OBEYED


class _Unanswered(Exception):
    """The target gave no answer to what a law asked."""


def _by_laws(contract: Contract, form: Form, target: Target, seen: list[Observation], limits: Limits,
             notes: tuple[str, ...], seed: int
) -> Report:  # fmt: skip
    """The verdict on what is drawn at random: the first violated law names the mistake."""
    laws = _laws(form, target, seen, Fit(1.0, "", "zero", ()), Judgement(CONFORMS, "", ""))
    broken = [law for law in form.laws if not next(r for r in laws if r.key == law.key).holds]
    known = {v.key: (MISTAKE, v) for v in form.mistakes} | {v.key: (CONVENTION, v) for v in form.conventions}
    broken.sort(key=lambda law: law.mistake in known and known[law.mistake][0] == CONVENTION)
    if not broken:
        judgement = Judgement(CONFORMS, "", contract.title)
        return Report(contract, form, target, judgement, len(seen), laws=laws, limits=limits, notes=notes)
    first = broken[0]
    if first.mistake in known:
        outcome, variant = known[first.mistake]
        by = -next(r for r in laws if r.key == first.key).slack.value
        measured = f"violated by {by:.3g}: {first.statement}"
        judgement = Judgement(outcome, variant.key, variant.title, measured, variant.fix, variant.source)
        if outcome == CONVENTION:
            laws = tuple(r if r.holds else replace(r, why_not=NOT_OBEYED) for r in laws)
    else:
        judgement = Judgement(MISTAKE, first.key, f"not {contract.title}: {first.statement} is violated")
    ask = numerical.asker(form, target)
    case = drawn.smallest(form, target, limits, lambda c: not first.measure(c.inputs, ask).holds, ("mild",), seed)
    example = None if case is None else Counterexample(case.inputs, case.found, Answer())
    return Report(
        contract, form, target, judgement, len(seen), laws=laws, counterexample=example, limits=limits, notes=notes
    )  # fmt: skip
