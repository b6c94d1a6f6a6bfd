"""One call of one function: its inputs, what it returns, and the gradient of a scalar made from that."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dimref import ops
from dimref.tape import value_and_gradients
from dimref.trees import Tree, leaves, map_tree

GRID = 1024  # inputs are multiples of 1/GRID


@dataclass(frozen=True)
class Case:
    """One call.

    Attributes:
        function: "bounds.dv": module and name.
        name: of the case, unique for the function.
        inputs: arrays by name, nested where the function takes nested parameters.
        run: inputs → outputs by name, which may be nested.
        options: what else the function is called with: numbers and words.
        differentiate: inputs whose gradient is stored: that of the output `of`, or, if it is no scalar, of the sum of its
            products with the input "weight".
        float32: whether the same is stored in float32: where the number range or the rounding matters.
    """

    function: str
    name: str
    inputs: Tree
    run: Callable[[Tree], Tree]
    options: dict[str, Any] = field(default_factory=dict)
    differentiate: tuple[str, ...] = ()
    of: str = "value"
    float32: bool = False


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
    if not case.differentiate:
        with np.errstate(all="ignore"):
            return map_tree(np.asarray, case.run(inputs)), {}

    def scalar(parameters: Tree) -> tuple[Any, Tree]:
        outputs = case.run({**inputs, **parameters})
        value = dict(leaves(outputs))[case.of]
        if value.shape != ():
            value = ops.total(ops.multiply(value, inputs["weight"]))
        return value, outputs

    with np.errstate(all="ignore"):
        _, gradients, outputs = value_and_gradients(scalar, {name: inputs[name] for name in case.differentiate})
    parameters = {name: inputs[name] for name in case.differentiate}
    gradients = map_tree(lambda g, leaf: np.zeros_like(leaf) if g is None else g, gradients, parameters)
    return map_tree(np.asarray, outputs), gradients
