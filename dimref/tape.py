"""autograd's tape over a nested dict of parameters, and the registry of other implementations.

The reference states every function once, in its plain form. `region` and `primitive` enter a function in the registry, and
`implement` adds a faster form of it, for the arguments which that form accepts. The reference imported alone runs the
plain forms. "Traced" means recorded on the tape: a gradient flows through it.

autograd's own `grad` of a dict fills a zero copy of the whole dict for every entry it reads. In `value_and_gradients` each
leaf is a root of the tape of its own, so a gradient is written once. The backward sweep is autograd's own, except that it
ends at many roots.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np
from autograd import tracer
from autograd.core import VJPNode, add_outgrads
from autograd.tracer import getval, isbox, new_box, toposort, trace_stack

from dimref.trees import Array, Tree, map_tree

# ---- the registry of implementations


@dataclasses.dataclass(frozen=True)
class Implementation:
    """Another form of a region, and whether it accepts given arguments: `function` and `applies` take the region's own."""

    name: str
    function: Callable[..., Any]
    applies: Callable[..., bool]


REGIONS: dict[str, Callable[..., Any]] = {}  # every region and primitive, by a name such as "ops.im2col"
_plain: ContextVar[bool] = ContextVar("plain", default=False)


def region(plain: Callable[..., Any]) -> Callable[..., Any]:
    """A function of traced arrays that may have other implementations, each with derivatives of its own."""
    others: list[Implementation] = []

    @functools.wraps(plain)
    def chosen(*args: Any) -> Any:
        if others and not _plain.get():
            for other in others:
                if other.applies(*args):
                    return other.function(*args)
        return plain(*args)

    return _register(chosen, plain, others)


def primitive(plain: Callable[..., Any]) -> Callable[..., Any]:
    """A region of raw arrays that autograd's tape records as one node; its VJP is defined below it."""
    place = region(plain)
    return _register(tracer.primitive(place), plain, place.implementations)  # type: ignore[attr-defined]


def _register(place: Callable[..., Any], plain: Callable[..., Any], others: list[Implementation]) -> Callable[..., Any]:
    place.implementations = others  # type: ignore[attr-defined]
    REGIONS[f"{plain.__module__.removeprefix('dimref.')}.{plain.__name__}"] = place
    return place


def implement(place: Callable[..., Any], name: str, function: Callable[..., Any], applies: Callable[..., bool]) -> None:
    """Compute the region `place` by `function` wherever `applies(*args)`; replaces its implementation of the same name.

    Where several apply, the one implemented last runs.
    """
    others: list[Implementation] = place.implementations  # type: ignore[attr-defined]
    others[:] = [Implementation(name, function, applies), *(other for other in others if other.name != name)]


def plain_form(place: Callable[..., Any]) -> Callable[..., Any]:
    """A region's plain form itself; the regions that it calls keep their other implementations."""
    return inspect.unwrap(place)


@contextlib.contextmanager
def plain_forms() -> Iterator[None]:
    """Run every region in its plain form inside the context."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


# ---- the tape


def stop_gradient(x: Array) -> Array:
    """The value of x, untraced: x forward, zero gradient backward."""
    return getval(x)


def value_and_gradients(
    function: Callable[..., tuple[Array, Any]], parameters: Tree, *arguments: Any
) -> tuple[Array, Tree, Any]:
    """Evaluate `function(parameters, *arguments) -> (scalar, auxiliary)` and differentiate the scalar.

    Returns:
        The scalar, d scalar / d parameters in the structure of `parameters` (None where the scalar does not depend on
        a leaf), and the auxiliary value with every array untraced: in dicts, lists, tuples and dataclasses.
    """
    roots: list[VJPNode] = []

    def as_root(leaf: Array) -> Array:
        roots.append(VJPNode.new_root())
        return new_box(leaf, trace, roots[-1])

    with trace_stack.new_trace() as trace:
        boxed = map_tree(as_root, parameters)
        value, auxiliary = function(boxed, *arguments)
    at_roots: dict[VJPNode, Array] = {}
    if isbox(value) and value._trace == trace:
        at_roots = sweep(value._node, np.ones_like(getval(value._value)))
        value = value._value
    gradients = iter([at_roots.get(root) for root in roots])
    return value, map_tree(lambda _: next(gradients), parameters), _untraced(auxiliary)


def _untraced(x: Any) -> Any:
    if isinstance(x, dict):
        return {key: _untraced(value) for key, value in x.items()}
    if isinstance(x, list | tuple):
        parts = map(_untraced, x)
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return dataclasses.replace(
            x, **{f.name: _untraced(getattr(x, f.name)) for f in dataclasses.fields(x) if f.init}
        )
    return stop_gradient(x)


def sweep(end: VJPNode, gradient: Array) -> dict[VJPNode, Array]:
    """Reverse sweep from a node whose gradient is given; returns the gradient at every root that it reaches."""
    pending = {end: (gradient, False)}
    at_roots = {}
    for node in toposort(end):
        gradient = pending.pop(node)[0]
        if not node.parents:
            at_roots[node] = gradient
        for parent, contribution in zip(node.parents, node.vjp(gradient), strict=True):
            pending[parent] = add_outgrads(pending.get(parent), contribution)
        node.vjp = None  # frees the arrays that the forward pass saved for this node
    return at_roots
