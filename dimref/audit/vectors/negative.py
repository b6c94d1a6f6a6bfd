"""What known mistakes give in a case, so that a test in another language can name its own bug."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dimref.audit.answer import Inputs
from dimref.audit.answering import evaluate
from dimref.audit.contract import Form, Variant, contracts
from dimref.audit.vectors.case import Case
from dimref.trees import Tree, leaves

VISIBLE, SAME = 1e-6, 1e-9  # relative differences: of a mistake from what is right, and of two that are told apart

Arrays = dict[tuple[str, str], np.ndarray]  # by ("outputs" or "gradients", the array's name in the case)


@dataclass
class Negative:
    """What one or more mistakes give in a case."""

    mistakes: list[Variant]
    arrays: Arrays


def of_case(case: Case, outputs: Tree, gradients: Tree) -> list[Negative]:
    """The mistakes of the catalogue that show in a case; those that give the same numbers are together."""
    found: list[Negative] = []
    right = {**_named("outputs", dict(leaves(outputs))), **_named("gradients", dict(leaves(gradients)))}
    for form in _forms(case):
        inputs = _inputs(case, form)
        if inputs is None or form.reference is None:
            continue
        reference = _arrays(case, form, form.reference, inputs)
        if not reference or not all(key in right and _close(a, right[key], VISIBLE) for key, a in reference.items()):
            continue  # another quantity, or another layout
        for mistake in (*form.mistakes, *form.numerical, *form.edits()):
            arrays = _arrays(case, form, mistake.function, inputs)
            if not all(_close(array, reference[key], VISIBLE) for key, array in arrays.items()):
                _add(found, mistake, arrays)
        return found
    return found


def _forms(case: Case) -> Iterator[Form]:
    """Forms of the contracts of the case's name, or of its options': whether they fit, the numbers decide."""
    name = case.function.partition(".")[2]
    options = [str(value).replace("-", "_") for value in case.options.values()]
    names = {name, *options, *(f"{name}_{o}" for o in options), *(f"{o}_divergence" for o in options)}
    names |= {name.removesuffix("_sampled"), f"{name}_inference"}
    for contract in contracts():
        if contract.name in names:
            yield from contract.forms


def _inputs(case: Case, form: Form) -> Inputs | None:
    """The case as the form takes it: parameters by their own names where it has no nested ones."""
    parts = {path.rpartition("/")[2]: leaf for path, leaf in leaves(case.inputs)}
    there = {**parts, **case.options, **case.inputs}
    if not set(form.signature.arguments) <= there.keys():
        return None
    inputs = {name: there[name] for name in form.signature.arguments}
    if case.function == "layers.conv2d":  # im2col's matrix
        kernel = case.options["kernel"]
        inputs["w"] = inputs["w"].reshape(kernel, kernel, -1, inputs["w"].shape[-1])
    if "weight" not in case.inputs:
        return inputs
    weight = case.inputs["weight"]
    main = form.signature.of
    return {**inputs, "weight": weight if main else {o: weight * (o == case.of) for o in form.signature.outputs}}


def _arrays(case: Case, form: Form, function: Callable[[Inputs], Tree], inputs: Inputs) -> Arrays:
    """The outputs of a function, or its main one, and its gradients, by role and by their names in the case.

    Empty for a mistake that cannot be evaluated there, as one that needs other shapes.
    """
    try:
        answer = evaluate(function, form.signature, inputs)
    except Exception:  # an edit of a formula can fail in any way
        return {}
    main = form.signature.of or case.of
    outputs = {name: array for name, array in answer.value.items() if name in case.outputs}
    paths = {path.rpartition("/")[2]: path for path, _ in leaves(case.inputs)}
    wanted = {name.partition("/")[0] for name in case.differentiate}
    found = _named("outputs", outputs or {case.of: answer.value[main]})
    for path, gradient in leaves(answer.gradients):
        name = path if path.partition("/")[0] in case.inputs else paths[path]
        if name.partition("/")[0] in wanted:
            found["gradients", name] = gradient.reshape(dict(leaves(case.inputs))[name].shape)
    return found


def _named(role: str, arrays: dict[str, Any]) -> Arrays:
    return {(role, name): np.asarray(array) for name, array in arrays.items()}


def _add(found: list[Negative], mistake: Variant, arrays: Arrays) -> None:
    """Put a mistake with those that give the same, a key once."""
    for group in found:
        if all(_close(group.arrays[key], array, SAME) for key, array in arrays.items()):
            group.mistakes += [] if any(each.key == mistake.key for each in group.mistakes) else [mistake]
            return
    found.append(Negative([mistake], arrays))


def _close(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True))
