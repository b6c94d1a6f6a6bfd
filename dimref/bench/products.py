"""The bare matrix products of one step: the floor that no tape, layer or fusion can go below with the same BLAS.

They are recorded where they are made, while the reference's plain form of a step runs. The one-hot product by which
`ops.scatter_add` adds rows is none of them: the mathematics does not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dimref import encoders, ops
from dimref.bench import work as works
from dimref.bench.work import Work
from dimref.engine.products import product
from dimref.tape import REGIONS, implement, value_and_gradients
from dimref.training.method import AnyLayout, method_of
from dimref.trees import Array

Shape = tuple[int, int, int]  # (m, k, n): (m, k) @ (k, n)


def product_shapes(preset: str, batch: int, layout: AnyLayout) -> list[Shape]:
    """(m, k, n) of each matrix product of one step.

    Each of these numbers is a constant or a multiple of the batch, so steps of two and of three images give all.
    """
    two, three = (recorded(works.make(preset, n, layout=layout)) for n in (2, 3))
    return [
        tuple(a + (b - a) * (batch - 2) for a, b in zip(*shapes, strict=True))  # type: ignore[misc]
        for shapes in zip(two, three, strict=True)
    ]


def recorded(work: Work) -> list[Shape]:
    """The products of one step, in their order."""
    shapes: list[Shape] = []
    with _recording(shapes), np.errstate(all="ignore"):
        arguments = work.parameters, work.state, work.images, work.noise
        if work.trains:
            value_and_gradients(method_of(work.layout).loss, *arguments, work.objective, work.layout)
        else:
            assert isinstance(work.layout, encoders.Layout)
            encoders.encode(work.parameters["encoder"], work.state["encoder"], work.images, work.layout, False)
    return shapes


@contextmanager
def _recording(shapes: list[Shape]) -> Iterator[None]:
    """Every region in its plain form, but for `ops.matmul`, which takes note, and `ops.scatter_add`, which adds nothing."""

    def matmul(x: Array, y: Array) -> Array:
        shapes.append((*x.shape, y.shape[1]))
        return ops.matmul.plain(x, y)

    def scatter_add(g: Array, index: Array, rows: int) -> Array:
        return np.zeros((rows, *g.shape[index.ndim :]), g.dtype)

    before = [(place.implementations, place.implementations[:]) for place in REGIONS.values()]
    for implementations, _ in before:
        implementations.clear()
    implement(ops.matmul, "recording", matmul, lambda *arguments: True)
    implement(ops.scatter_add, "recording", scatter_add, lambda *arguments: True)
    try:
        yield
    finally:
        for implementations, forms in before:
            implementations[:] = forms


def gflop(shapes: list[Shape]) -> float:
    """10⁹ floating-point operations of the products: 2·m·k·n each."""
    return sum(2 * m * k * n for m, k, n in shapes) / 1e9


def bare_products(shapes: list[Shape], make: Callable[[np.ndarray], Any]) -> Callable[[], None]:
    """A call that multiplies matrices of these shapes and does nothing else; `make` turns them into a library's own."""
    pairs = [(make(np.ones((m, k), np.float32)), make(np.ones((k, n), np.float32))) for m, k, n in shapes]

    def multiply() -> None:
        for a, b in pairs:
            product(a, b)

    return multiply
