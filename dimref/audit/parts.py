"""Where nothing known fits: which parts of the target do, its value, its gradient, its behaviour at large scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dimref.audit import matching
from dimref.audit.answer import Inputs
from dimref.audit.cases import Observation
from dimref.audit.contract import Form, Variant
from dimref.trees import Tree

LARGE, BOUNDED = 1e3, 100.0  # nats: scores far beyond any ceiling, and values that do not follow them


def words(form: Form, cases: list[Observation]) -> str:
    """What fits in part, to follow "not InfoNCE, and no mistake of the catalogue"; "" where nothing does."""
    usable = [case for case in cases if case.core and not case.found.problem]
    others = [v for v in (*form.conventions, *form.mistakes, *form.edits()) if not v.exact]
    value = next((v for v in others if same_value(form, usable, v)), None)
    found = [] if value is None else [f"its value is that of {value.title}"]
    if form.objective:
        found += [part for part in (_bounded(form, cases), _above_ceiling(form, usable)) if part]
    return gradient(form, usable) + "".join(f"; {part}" for part in found)


def gradient(form: Form, cases: list[Observation], reference: bool = False) -> str:
    """Whose gradient it is, to follow "not its gradient": the reference's, or that of another known function."""
    known = [v for v in (*form.conventions, *form.mistakes, *form.edits()) if not v.exact]
    assert form.reference is not None
    candidates = [("the reference", form.reference)] * reference + [(v.title, v.function) for v in known]
    title = next((title for title, function in candidates if same_gradient(form, cases, function)), "")
    return f"; its gradient is that of {title}" if title else ""


def same_value(form: Form, cases: list[Observation], variant: Variant) -> bool:
    """Whether a variant's value is the target's in every case."""
    answers = ((case, matching.answer(form, variant.function, case)) for case in cases)
    return bool(cases) and all(
        not answer.problem and matching.values_agree(form, case, answer) for case, answer in answers
    )


def same_gradient(form: Form, cases: list[Observation], function: Callable[[Inputs], Tree]) -> bool:
    """Whether a function's gradient is a multiple of the target's in every case, neither of them 0."""
    seen = [case for case in cases if case.found.gradients]
    return bool(seen) and all(
        matching.resembles(form, case, answer) and matching.largest(answer.gradients) > 0
        for case, answer in ((case, matching.answer(form, function, case)) for case in seen)
    )


def _bounded(form: Form, cases: list[Observation]) -> str:
    """Scores of thousands of nats, to which the reference answers with thousands."""
    assert form.reference is not None
    of = form.signature.main
    far = [case for case in cases if not case.found.problem and matching.largest(case.inputs) > LARGE]
    pairs = [
        (float(np.abs(case.found.value[of]).max()), matching.largest(answer.value.get(of)))
        for case, answer in zip(far, matching.answers(form, form.reference, far), strict=True)
    ]
    due = [found for found, expected in pairs if expected > LARGE]
    return "its scores are bounded: a squashing or a clamp" if due and max(due) < BOUNDED else ""


def _above_ceiling(form: Form, usable: list[Observation]) -> str:
    for law in form.laws:
        if law.key == "ceiling":
            for case in usable:
                if not law.measure(case.inputs, lambda inputs, case=case: case.found).holds:  # type: ignore[misc]
                    return f"{law.statement} is violated, as where the positive is not among the candidates"
    return ""
