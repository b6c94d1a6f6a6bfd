"""Elementwise passes of which NumPy has a faster spelling."""

from __future__ import annotations

import math

import numpy as np

from dimref import ops
from dimref.tape import implement
from dimref.trees import Array


def register() -> None:
    """Implement `ops.relu` and `ops.gate`."""
    implement(ops.relu, "host", relu, lambda x: isinstance(x, np.ndarray))
    implement(ops.gate, "host", gate, lambda g, output: isinstance(g, np.ndarray))


def relu(x: Array) -> Array:
    """max(x, 0): NumPy's maximum with a number takes four times as long as a clip."""
    return x.clip(0, math.inf)


def gate(g: Array, output: Array) -> Array:
    """g·[output > 0]: a product with truth values converts them in small buffers, and takes longer."""
    out = (output > 0).astype(g.dtype)
    out *= g
    return out
