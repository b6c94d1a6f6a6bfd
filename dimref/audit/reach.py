"""What a function's code refers to: from its global names, its closure and its imports, through the functions it calls."""

from __future__ import annotations

import dis
import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

LIBRARIES = {
    "numpy", "scipy", "autograd", "cupy", "torch", "jax", "jaxlib", "math", "builtins", "typing", "functools",
    "collections", "itertools", "dataclasses", "abc", "dimref",
}  # fmt: skip
ALIASES = {"jaxlib": "jax", "dimref": "autograd"}  # JAX's compiled functions; what is differentiated by autograd's tape
MOST = 500  # functions that are looked into


def roots(function: Callable[..., Any]) -> list[str]:
    """The top-level packages of what the code refers to, in the order in which they are met."""
    found: dict[str, None] = {}
    for each in _functions(function):
        for package in _packages(each):
            found[ALIASES.get(package, package)] = None
    return list(found)


def namespaces(function: Callable[..., Any]) -> list[dict[str, Any]]:
    """The global names of every function that the code calls and that belongs to no library.

    With the table of imported modules, if one of them imports NumPy or SciPy when it is called.
    """
    own = [each for each in _functions(function) if _is_function(each)]
    found = {id(each.__globals__): each.__globals__ for each in own}
    if any(name.partition(".")[0] in ("numpy", "scipy") for each in own for name in _imports(each.__code__)):
        found[id(sys.modules)] = sys.modules
    return list(found.values())


def _functions(start: Any) -> Iterator[Any]:
    """`start` and the functions, objects and classes that it refers to, libraries left out; modules are not entered."""
    seen: set[int] = set()
    waiting = [start]
    while waiting and len(seen) < MOST:
        thing = waiting.pop(0)
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        yield thing
        waiting += [part for part in _parts(thing) if _owner(part) not in LIBRARIES]


def _parts(thing: Any) -> list[Any]:
    """What is looked into next."""
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, types.MethodType):
        return [thing.__func__, thing.__self__]
    if _is_function(thing):
        return [value for value in _references(thing) if callable(value)]
    if hasattr(thing, "__wrapped__"):
        return [thing.__wrapped__]
    if isinstance(thing, type):
        return [part for part in vars(thing).values() if _is_function(part)]
    return [type(thing)] if callable(thing) else []


def _packages(thing: Any) -> Iterator[str]:
    if _is_function(thing):
        for name in _imports(thing.__code__):
            yield name.partition(".")[0]
        for annotation in thing.__annotations__.values():
            yield annotation.partition(".")[0] if isinstance(annotation, str) else _owner(annotation)
        for value in _references(thing):
            yield _owner(value)
        return
    if isinstance(thing, functools.partial):
        for part in _parts(thing):  # an adapter and its target
            if callable(part):
                yield _owner(part)
        return
    for kind in (thing if isinstance(thing, type) else type(thing)).__mro__:
        yield _owner(kind)


def _references(function: types.FunctionType) -> list[Any]:
    """The objects behind the global and the enclosed names in a function's code."""
    names = [name for code in _codes(function.__code__) for name in code.co_names]
    found = [function.__globals__[name] for name in names if name in function.__globals__]
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    for name in _imports(function.__code__):  # what it has imported in an earlier call
        if name.partition(".")[0] not in LIBRARIES and name in sys.modules:
            found += [vars(sys.modules[name])[each] for each in names if each in vars(sys.modules[name])]
    return found


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A function's code and that of the functions within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _imports(code: types.CodeType) -> Iterator[str]:
    for each in _codes(code):
        for instruction in dis.get_instructions(each):
            if instruction.opname == "IMPORT_NAME":
                yield str(instruction.argval)


def _is_function(thing: Any) -> bool:
    return isinstance(thing, types.FunctionType)


def _owner(thing: Any) -> str:
    """The top-level package that a module, or anything defined in one, belongs to."""
    name = thing.__name__ if isinstance(thing, types.ModuleType) else getattr(thing, "__module__", None)
    if not isinstance(name, str):
        name = type(thing).__module__
    return name.partition(".")[0]
