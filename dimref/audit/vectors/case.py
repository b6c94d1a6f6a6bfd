"""One call of one function: its inputs, what it returns, and the gradient of a scalar made from that."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dimref import THEORY, ops
from dimref.tape import value_and_gradients
from dimref.trees import Tree, leaves, map_tree

GRID = 1024  # inputs are multiples of 1/GRID
ANY = np.random.default_rng(0)  # for the shapes of parameters alone: their numbers are drawn by `Draw`
HOMES = {  # the modules of functions whose published names are shorter
    "amdim": "amdim.objective",
    "augment": "amdim.augmentation",
    "multiscale": "amdim.encoder",
    "encoders.fold": "engine.folded",
    "encoders.encode_folded": "engine.folded",
    **{name: f"theory.{name}" for name in THEORY},
}
RENAMED = {  # published names stay
    "discriminators.concat_square": "discriminators.concat_scores",
    "discriminators.dot_square": "discriminators.dot_scores",
}


@dataclass(frozen=True)
class Case:
    """One call.

    Attributes:
        function: "bounds.dv": module and name.
        name: of the case, unique for the function.
        inputs: arrays by name, nested where the function takes nested parameters.
        options: what else the function is called with: numbers and words.
        differentiate: inputs whose gradient is stored: that of the output `of`, or, if it is no scalar, of the sum of its
            products with the input "weight".
        outputs: names of what is returned: of one thing, of a tuple's, or of attributes; none for a dict.
        float32: whether the same is stored in float32: where the number range or the rounding matters.
        call: the keywords of the call where they are not `options`.
        run: inputs → outputs by name, where it is not the function of the inputs in their order.
    """

    function: str
    name: str
    inputs: Tree
    options: dict[str, Any] = field(default_factory=dict)
    differentiate: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("value",)
    of: str = "value"
    float32: bool = False
    call: dict[str, Any] | None = None
    run: Callable[[Tree], Tree] | None = None

    def __call__(self, inputs: Tree) -> Tree:
        """Outputs by name."""
        if self.run is not None:
            return self.run(inputs)
        home, _, name = home_of(self.function).rpartition(".")
        arguments = [array for key, array in inputs.items() if key != "weight"]
        keywords = self.options if self.call is None else self.call
        if home == "ops":  # a VJP takes its arguments by position alone
            arguments, keywords = [*arguments, *keywords.values()], {}
        found = getattr(importlib.import_module(f"dimref.{home}"), name)(*arguments, **keywords)
        return named(found, self.outputs)


def named(found: Any, names: tuple[str, ...]) -> Tree:
    """What a function returned, by name."""
    if not names:
        return found
    if len(names) == 1:
        return {names[0]: found}
    if type(found) is tuple:
        return dict(zip(names, found, strict=True))
    return {name: getattr(found, name) for name in names}


def home_of(function: str) -> str:
    """Where a function of a published name is defined: "theory.information.entropy" for information.entropy."""
    module, _, name = RENAMED.get(function, function).partition(".")
    return f"{HOMES.get(function, HOMES.get(module, module))}.{name}"


class Draw:
    """Numbers from the raw 64-bit stream of PCG64, rounded to the grid."""

    def __init__(self, seed: int) -> None:
        self._stream = np.random.PCG64(seed)

    def uniform(self, *shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
        """Multiples of 1/1024 in [low, high], float64."""
        raw = self._stream.random_raw(math.prod(shape)) if shape else np.array([self._stream.random_raw()])
        unit = (np.asarray(raw, np.uint64) >> np.uint64(11)).astype(np.float64) / 2.0**53
        return (np.rint((low + (high - low) * unit) * GRID) / GRID).reshape(shape)

    def like(self, tree: Tree, scale: float = 1.0) -> Tree:
        """Numbers in the shapes of a tree, in ±scale."""
        return map_tree(lambda leaf: self.uniform(*leaf.shape, low=-scale, high=scale), tree)

    def probabilities(self, *shape: int) -> np.ndarray:
        """A distribution: float64 numbers above 0 that sum to 1 up to rounding."""
        weights = self.uniform(*shape, low=0.125, high=2.0)
        return weights / weights.sum()


def compute(case: Case, dtype: str = "float64") -> tuple[Tree, Tree]:
    """Outputs, and gradients by the names in `differentiate`, of a case."""
    inputs = map_tree(lambda leaf: leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf.copy(), case.inputs)

    def scalar(parameters: Tree) -> tuple[Any, Tree]:
        outputs = case({**inputs, **parameters})
        value = dict(leaves(outputs))[case.of]
        if value.shape != ():
            value = ops.total(ops.multiply(value, inputs["weight"]))
        return value, outputs

    parameters = {name: inputs[name] for name in case.differentiate}
    with np.errstate(all="ignore"):
        if not parameters:
            return map_tree(np.asarray, case(inputs)), {}
        _, gradients, outputs = value_and_gradients(scalar, parameters)
    gradients = map_tree(lambda g, leaf: np.zeros_like(leaf) if g is None else g, gradients, parameters)
    return map_tree(np.asarray, outputs), gradients
