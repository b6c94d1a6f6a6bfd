"""autograd's tape over a nested dict of parameters.

autograd's own `grad` of a dict fills a zero copy of the whole dict for every entry it reads. Here each leaf is a root of
the tape of its own, so a gradient is written once. The sweep back is autograd's own, except that it ends at many roots.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from autograd.core import VJPNode, add_outgrads
from autograd.tracer import getval, isbox, new_box, primitive, toposort, trace_stack

from dimref.backend import Array, Tree, map_tree

__all__ = ["fusable", "primitive", "stop_gradient", "sweep", "value_and_gradients"]


def stop_gradient(x: Array) -> Array:
    """The value of x off the tape: x forward, zero gradient backward."""
    return getval(x)


def fusable(*arrays: Array) -> bool:
    """Whether a fused primitive (host only, differentiable once) can take these arrays: NumPy's, on one tape at most."""
    on_tape = [a for a in arrays if isbox(a)]
    return (
        all(isinstance(getval(a), np.ndarray) for a in arrays)
        and not any(isbox(a._value) for a in on_tape)  # on two tapes at once
        and len({a._trace for a in on_tape}) < 2
    )


def value_and_gradients(
    function: Callable[..., tuple[Array, Any]], parameters: Tree, *arguments: Any
) -> tuple[Array, Tree, Any]:
    """Evaluate `function(parameters, *arguments) -> (scalar, auxiliary)` and differentiate the scalar.

    Returns:
        The scalar, d scalar / d parameters in the structure of `parameters` (None where the scalar does not depend on
        a leaf), and the auxiliary value with every array taken off the tape: in dicts, lists, tuples and dataclasses.
    """
    roots: list[VJPNode] = []

    def as_root(leaf: Array) -> Array:
        roots.append(VJPNode.new_root())
        return new_box(leaf, trace, roots[-1])

    with trace_stack.new_trace() as trace:
        boxed = map_tree(as_root, parameters)
        value, auxiliary = function(boxed, *arguments)
    found: dict[VJPNode, Array] = {}
    if isbox(value) and value._trace == trace:
        found = sweep(value._node, np.ones_like(getval(value._value)))
        value = value._value
    gradients = iter([found.get(root) for root in roots])
    return value, map_tree(lambda _: next(gradients), parameters), _off_the_tape(auxiliary)


def _off_the_tape(x: Any) -> Any:
    if isinstance(x, dict):
        return {key: _off_the_tape(value) for key, value in x.items()}
    if isinstance(x, list | tuple):
        parts = map(_off_the_tape, x)
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        fields = (f.name for f in dataclasses.fields(x) if f.init)
        return dataclasses.replace(x, **{name: _off_the_tape(getattr(x, name)) for name in fields})
    return stop_gradient(x)


def sweep(end: VJPNode, gradient: Array) -> dict[VJPNode, Array]:
    """Reverse sweep from a node with the gradient there; returns the gradient at every root that it reaches."""
    pending = {end: (gradient, False)}
    at_roots = {}
    for node in toposort(end):
        gradient = pending.pop(node)[0]
        if not node.parents:
            at_roots[node] = gradient
        for parent, contribution in zip(node.parents, node.vjp(gradient), strict=True):
            pending[parent] = add_outgrads(pending.get(parent), contribution)
        node.vjp = None  # what the forward pass kept for this node is not needed again: free it now
    return at_roots
