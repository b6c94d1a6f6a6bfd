"""What the families of networks and tables share: the numbers they draw, functions as variants, forms in another layout."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dimref import ops
from dimref.audit.answer import Inputs, Signature
from dimref.audit.contract import Form, Sizes, Variant
from dimref.trees import Tree, map_tree

# What a layer sees: unlike scores, its inputs are not exponentiated, so that the regimes differ by a factor alone.
SCALES = {"tiny": 1e-3, "moderate": 30.0, "large": 1e4}
OFFSET = 10.0  # of the regime "shifted": a variance beside it still has most of float32's digits


def numbers(rng: np.random.Generator, sizes: Sizes, *shape: int) -> np.ndarray:
    """Standard normal, scaled as the regime says; "ties": rounded to halves; "shifted": beside a constant."""
    drawn = rng.standard_normal(shape) * SCALES.get(sizes.regime, 1.0)
    if sizes.regime == "ties":
        drawn = np.round(2 * drawn) / 2
    if sizes.regime == "shifted":
        drawn = drawn + OFFSET
    return drawn.astype(sizes.dtype)


def weights(rng: np.random.Generator, sizes: Sizes, *shape: int) -> np.ndarray:
    """Standard normal whatever the regime: the weights of outputs, or parameters."""
    return rng.standard_normal(shape).astype(sizes.dtype)


def perturbed(rng: np.random.Generator, sizes: Sizes, parameters: Tree) -> Tree:
    """Initial parameters, moved a little: gains other than 1 and shifts other than 0 show what is left out."""
    return map_tree(lambda leaf: (leaf + 0.3 * rng.standard_normal(leaf.shape)).astype(sizes.dtype), parameters)


def reference(function: Callable[..., Any], signature: Signature) -> Callable[[Inputs], Tree]:
    """A function of positional arguments as one of inputs by name, its result under the names of the outputs."""

    def call(inputs: Inputs) -> Tree:
        found = function(*(inputs[argument] for argument in signature.arguments))
        return dict(zip(signature.outputs, (found,) if len(signature.outputs) == 1 else found, strict=True))

    return call


Row = tuple[Any, ...]  # key, function, title, fix, and perhaps source, consequence and whether its value must agree too


def wrapped(rows: Iterable[Row], wrap: Callable[[Any], Callable[[Inputs], Tree]]) -> tuple[Variant, ...]:
    """Rows of a table as variants; wrap: a row's function -> inputs by name -> outputs by name."""

    def of(key: str, function: Any, title: str, fix: str, source: str = "", consequence: str = "",
           exact: bool = False) -> Variant:  # fmt: skip
        return Variant(key, title, wrap(function), consequence, fix, source, exact)

    return tuple(of(*row) for row in rows)


def variants(signature: Signature, rows: Iterable[Row]) -> tuple[Variant, ...]:
    """The same of functions of positional arguments."""
    return wrapped(rows, lambda function: reference(function, signature))


def transposed(name: str, form: Form, meaning: str, to: Mapping[str, tuple[int, ...]]) -> Form:
    """A form in another layout: `to` permutes the axes of each input and output that has another order in it."""
    back = {key: tuple(int(k) for k in np.argsort(axes)) for key, axes in to.items()}

    def outside(function: Callable[[Inputs], Tree]) -> Callable[[Inputs], Tree]:
        def call(inputs: Inputs) -> Tree:
            inside = {key: ops.transpose(each, back[key]) if key in back else each for key, each in inputs.items()}
            found = function(inside)
            return {key: ops.transpose(each, to[key]) if key in to else each for key, each in found.items()}

        return call

    def draw(rng: np.random.Generator, sizes: Sizes) -> Inputs:
        drawn = form.draw(rng, sizes)
        of = to.get(form.signature.of)
        axes = {**to, **({"weight": of} if of else {})}
        return {
            key: np.ascontiguousarray(each.transpose(axes[key])) if key in axes else each for key, each in drawn.items()
        }

    assert form.reference is not None
    return replace(
        form,
        name=name,
        meaning=meaning,
        draw=draw,
        reference=outside(form.reference),
        conventions=tuple(replace(each, function=outside(each.function)) for each in form.conventions),
        mistakes=tuple(replace(each, function=outside(each.function)) for each in form.mistakes),
        edits=functools.cache(lambda: tuple(replace(each, function=outside(each.function)) for each in form.edits())),
        pairs=tuple,
    )
