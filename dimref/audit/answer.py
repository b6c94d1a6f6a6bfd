"""What is asked of an implementation under audit, and what it answers. Nothing here knows where or how the target runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from dimref.trees import Tree

MANY = 99  # arguments: of a function that takes any number


@dataclass(frozen=True)
class Signature:
    """How a target is called, as data that can cross to another process.

    Attributes:
        arguments: names of the inputs, in the order in which they are passed, by position.
        outputs: names of what is returned: one name, one array (a number will do); several names, a tuple in that order.
        differentiate: inputs whose gradient is requested; a nested input's gradient is nested.
        of: the output that is differentiated. If it is no scalar, the gradient is that of Σ inputs["weight"] · output,
            and "weight" has the output's shape; the target never sees it. Empty: all outputs are differentiated, as
            Σ over them of weight[name] · output, inputs["weight"] being a dict by their names.
    """

    arguments: tuple[str, ...]
    outputs: tuple[str, ...] = ("value",)
    differentiate: tuple[str, ...] = ()
    of: str = "value"

    def __post_init__(self) -> None:
        if self.of not in ("", *self.outputs):
            raise ValueError(f"signature: of must be one of {', '.join(self.outputs)}, or empty, was {self.of!r}")

    @property
    def main(self) -> str:
        """The output that is an objective's value: the one that is differentiated, or the first."""
        return self.of or self.outputs[0]


@dataclass(frozen=True)
class Answer:
    """What a target returned.

    Attributes:
        value: the outputs by name, NumPy arrays in the dtype they came in.
        gradients: by the names in `differentiate`, NumPy arrays; zeros where an output does not depend on an input;
            empty if none was asked for, or if the framework gives none (a plain NumPy function).
        problem: one line when there is no usable value: it hung, crashed, raised, returned nothing, an integer where a
            real number belongs, the wrong number of outputs. A NaN or a wrong shape is a value like any other here.
        printed: what it wrote to standard output or error, cut to a line; no fault by itself.
        remarks: what else was seen, a line each: why there is no gradient, inputs changed in place, another value when
            called again. The same on every call, so a report may show them once.
        rounding: the rounding unit of what it returned, where NumPy has no such dtype (bfloat16); 0 where it has.
    """

    value: dict[str, np.ndarray] = field(default_factory=dict)
    gradients: Tree = field(default_factory=dict)
    problem: str = ""
    printed: str = ""
    remarks: tuple[str, ...] = ()
    rounding: float = 0.0


@runtime_checkable
class Target(Protocol):
    """An implementation under audit."""

    name: str  # as the user wrote it

    @property
    def framework(self) -> str:
        """numpy, autograd, cupy, torch or jax."""
        ...

    def call(self, signature: Signature, inputs: Tree) -> Answer:
        """Run it once.

        Args:
            inputs: by name: arrays, dicts of them, and numbers, words or None, which are passed as they are.
        """
        ...


Inputs = dict[str, Any]
