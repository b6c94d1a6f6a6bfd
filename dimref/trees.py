"""Nested dicts of arrays: parameters, model state, gradients, draws."""

from collections.abc import Callable, Iterator
from typing import Any

Array = Any  # numpy.ndarray, another library's, or autograd's box of either
Tree = Any  # an array, or a dict of trees


def map_tree(function: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Apply `function` to every leaf of nested dicts that share one structure."""
    if isinstance(tree, dict):
        return {key: map_tree(function, tree[key], *(other[key] for other in rest)) for key in tree}
    return function(tree, *rest)


def leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested dicts with its path, such as `("encoder/conv1/w", array)`, in the order of the keys."""
    if isinstance(tree, dict):
        for key in tree:
            yield from leaves(tree[key], f"{path}/{key}" if path else key)
    else:
        yield path, tree


def need_arrays(function: str, **arguments: Array) -> None:
    """Raise TypeError that names the first argument that is no array; a list has no shape that could be checked."""
    for name, value in arguments.items():
        if not hasattr(value, "shape"):
            raise TypeError(f"{function}: {name} must be an array, was {type(value).__name__}")
