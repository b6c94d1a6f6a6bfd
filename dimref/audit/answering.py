"""The answers of references and variants: functions of inputs by name, written with `dimref.ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dimref import ops
from dimref.audit.answer import Answer, Inputs, Signature
from dimref.tape import value_and_gradients
from dimref.trees import Array, Tree, map_tree


def evaluate(function: Callable[[Inputs], Tree], signature: Signature, inputs: Inputs) -> Answer:
    """What a reference, or a variant of it, answers: outputs by name, and the tape's gradients."""
    parameters = {name: inputs[name] for name in signature.differentiate}

    def scalar(at: Tree) -> tuple[Any, Tree]:
        outputs = function({**inputs, **at})
        if not at:
            return 0.0, outputs
        if signature.of:
            return _weighted(outputs[signature.of], inputs.get("weight")), outputs
        parts = [_weighted(outputs[name], inputs["weight"][name]) for name in signature.outputs]
        return sum(parts[1:], parts[0]), outputs

    with np.errstate(all="ignore"):
        _, gradients, outputs = value_and_gradients(scalar, parameters)
    filled = map_tree(lambda g, leaf: np.zeros_like(leaf) if g is None else g, gradients, parameters)
    return Answer({name: np.asarray(outputs[name]) for name in signature.outputs}, map_tree(np.asarray, filled))


def _weighted(output: Array, weight: Array | None) -> Array:
    """Σ weight · output; a scalar without a weight as it is, an array without one (it should be a scalar) summed."""
    if np.shape(output) == ():
        return output if weight is None else output * weight
    return ops.total(output if weight is None else ops.multiply(output, weight))
