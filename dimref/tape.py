"""autograd's tape over a nested dict of parameters, and the places where another implementation may be put.

The reference states every function once, in its plain form. `region` and `primitive` give such a function a place: there
`implement` puts a faster form of the same function, for the arguments that this form can take. Whoever imports the
reference alone runs the plain forms.

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

# ---- places for other implementations


@dataclasses.dataclass(frozen=True)
class Implementation:
    """Another form of a function, and whether it can take some arguments: the function's own, positional."""

    name: str
    function: Callable[..., Any]
    applies: Callable[..., bool]


REGIONS: dict[str, Callable[..., Any]] = {}  # every function with a place, as "ops.im2col"
_plain: ContextVar[bool] = ContextVar("plain", default=False)


def region(plain: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, with a place for other implementations. What it is differentiated by is theirs to say."""
    others: list[Implementation] = []

    @functools.wraps(plain)
    def chosen(*args: Any) -> Any:
        if others and not _plain.get():
            for other in others:
                if other.applies(*args):
                    return other.function(*args)
        return plain(*args)

    return _listed(chosen, plain, others)


def _listed(place: Callable[..., Any], plain: Callable[..., Any], others: list[Implementation]) -> Callable[..., Any]:
    place.implementations = others  # type: ignore[attr-defined]
    REGIONS[f"{plain.__module__.removeprefix('dimref.')}.{plain.__name__}"] = place
    return place


def primitive(plain: Callable[..., Any]) -> Callable[..., Any]:
    """A region of raw arrays that autograd's tape records as one node; its VJP is defined beside it."""
    place = region(plain)
    return _listed(tracer.primitive(place), plain, place.implementations)  # type: ignore[attr-defined]


def implement(place: Callable[..., Any], name: str, function: Callable[..., Any], applies: Callable[..., bool]) -> None:
    """Have `place` computed by `function` wherever `applies(*args)`; one of the same name there is replaced.

    Of several that apply, the one that was put there last counts.
    """
    others: list[Implementation] = place.implementations  # type: ignore[attr-defined]
    others[:] = [Implementation(name, function, applies), *(other for other in others if other.name != name)]


def plain_form(place: Callable[..., Any]) -> Callable[..., Any]:
    """The function as the reference states it, of a region; what it calls may be implemented otherwise."""
    return inspect.unwrap(place)


@contextlib.contextmanager
def plain_forms() -> Iterator[None]:
    """Run the plain forms inside, whatever has been implemented."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


# ---- the tape


def stop_gradient(x: Array) -> Array:
    """The value of x off the tape: x forward, zero gradient backward."""
    return getval(x)


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
    at_roots: dict[VJPNode, Array] = {}
    if isbox(value) and value._trace == trace:
        at_roots = sweep(value._node, np.ones_like(getval(value._value)))
        value = value._value
    gradients = iter([at_roots.get(root) for root in roots])
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
