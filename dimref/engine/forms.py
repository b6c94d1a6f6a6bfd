"""Conditions on the arguments of a fused form."""

from __future__ import annotations

import numpy as np
from autograd.tracer import getval, isbox

from dimref.trees import Array, Tree, leaves


def on_host(*arrays: Array | None) -> bool:
    """Whether all of them are NumPy's, boxed or not; None is no array."""
    return all(a is None or isinstance(getval(a), np.ndarray) for a in arrays)


def of_one_type(*trees: Tree) -> bool:
    """Whether all are arrays and all floats of one type; None is no argument, and an index does not count."""
    types = {getattr(a, "dtype", None) for tree in trees for _, a in leaves(tree) if a is not None}
    return None not in types and sum(dtype.kind == "f" for dtype in types if dtype is not None) < 2


def on_one_tape(*arrays: Array | None) -> bool:
    """Whether first derivatives suffice: no array is traced twice, no two arrays by different tapes."""
    boxes: list[Array] = [a for a in arrays if isbox(a)]
    return not any(isbox(a._value) for a in boxes) and len({a._trace for a in boxes}) < 2


def once(name: str, *arrays: Array) -> None:
    """Raise ValueError where a VJP without second derivatives gets a traced array."""
    if any(isbox(a) for a in arrays):
        raise ValueError(f"{name}: its VJP is fused, so it has no second derivative; use tape.plain_forms()")
