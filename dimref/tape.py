"""autograd's tape over a nested dict of parameters, and the registry of other implementations.

The reference states every function once, in its plain form, and runs it. `region` and `primitive` enter a function in the
registry; `implement` adds another form, for the arguments that it accepts. "Traced" means recorded on the tape.

autograd's own `grad` of a dict fills a zero copy of the whole dict for every entry it reads. In `value_and_gradients` each
leaf is a root of the tape, so a gradient is written once; the backward sweep is autograd's own, but ends at many roots.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np
from autograd import tracer
from autograd.core import VJPNode, add_outgrads
from autograd.tracer import getval, isbox, new_box, toposort, trace_stack

from dimref.trees import Array, Tree, map_tree

# ---- the registry of implementations

Region = Any  # a function with two attributes: `plain`, its plain form, and `implementations`, the list of the others
REGIONS: dict[str, Region] = {}  # every region and primitive, by a name such as "ops.im2col"
_plain: ContextVar[bool] = ContextVar("plain", default=False)


@dataclasses.dataclass(frozen=True)
class Implementation:
    """Another form of a region, for the arguments for which `applies` is true; both functions take the region's own."""

    name: str
    function: Callable[..., Any]
    applies: Callable[..., bool]


def region(plain: Callable[..., Any]) -> Region:
    """A function of traced arrays that may have other implementations, each with derivatives of its own."""
    implementations: list[Implementation] = []

    @functools.wraps(plain)
    def run(*args: Any) -> Any:
        for other in () if _plain.get() else implementations:
            if other.applies(*args):
                return other.function(*args)
        return plain(*args)

    return _register(run, plain, implementations)


def primitive(plain: Callable[..., Any]) -> Region:
    """A region of raw arrays that autograd's tape records as one node; its VJP is defined below it."""
    place = region(plain)
    return _register(tracer.primitive(place), plain, place.implementations)


def _register(place: Region, plain: Callable[..., Any], implementations: list[Implementation]) -> Region:
    place.plain, place.implementations = plain, implementations
    REGIONS[f"{plain.__module__.removeprefix('dimref.')}.{plain.__name__}"] = place
    return place


def implement(place: Region, name: str, function: Callable[..., Any], applies: Callable[..., bool]) -> None:
    """Run `function` in place of a region wherever `applies(*args)`; a name that the region has already is replaced.

    Where several apply, the one implemented last runs.
    """
    others = [other for other in place.implementations if other.name != name]
    place.implementations[:] = [Implementation(name, function, applies), *others]


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


def value_and_gradients(function: Callable[..., Any], parameters: Tree, *arguments: Any) -> tuple[Array, Tree, Any]:
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
        fields = {f.name: _untraced(getattr(x, f.name)) for f in dataclasses.fields(x) if f.init}
        return dataclasses.replace(x, **fields)
    return stop_gradient(x)


def sweep(end: VJPNode, gradient: Array) -> dict[VJPNode, Array]:
    """Reverse sweep from a node with its gradient; returns the gradient at every root that it reaches."""
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
