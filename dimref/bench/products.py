"""The bare matrix products of one step: the floor that no tape, layer or fusion can go below with the same BLAS.

A layer (rows, inner, columns) multiplies up to three times: forward, backward to its weight, backward to its input. What
the mathematics does not need is no product of the floor: the image's gradient, the gradient to a draw of the prior, the
one-hot product by which `ops.scatter_add` adds rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dimref import amdim
from dimref.amdim import encoder as amdim_encoder
from dimref.bench.work import Work
from dimref.encoders import Layout
from dimref.engine.products import product
from dimref.trees import Tree

Shape = tuple[int, int, int]  # (m, k, n): (m, k) @ (k, n)


def product_shapes(work: Work) -> list[Shape]:
    """(m, k, n) of each matrix product of one step of a workload."""
    if isinstance(work.layout, amdim_encoder.Layout):
        return list(_amdim(work, work.layout))
    shapes = list(_encoder(work, work.layout))
    locations = {"local": work.layout.local[0] ** 2, "global": 1}
    for term, count in locations.items():
        if term in work.parameters:
            critic = work.parameters[term]
            pairs = _concat if "w" in critic["feature"] else _dot
            shapes += pairs(critic, len(work.images), count)
    if "prior" in work.parameters:
        shapes += _prior(work.parameters["prior"], len(work.images))
    return shapes


def gflop(shapes: list[Shape]) -> float:
    """10⁹ floating-point operations of the products: 2·m·k·n each."""
    return sum(2 * m * k * n for m, k, n in shapes) / 1e9


def bare_products(shapes: list[Shape], make: Callable[[np.ndarray], Any]) -> Callable[[], None]:
    """A call that multiplies matrices of these shapes and does nothing else; `make` turns them into a library's own.

    The matrices are made by the first call: a process that only steps does not hold them.
    """
    pairs: list[tuple[Any, Any]] = []

    def multiply() -> None:
        if not pairs:
            pairs.extend((make(np.ones((m, k), np.float32)), make(np.ones((k, n), np.float32))) for m, k, n in shapes)
        for a, b in pairs:
            product(a, b)

    return multiply


def _layer(rows: int, layer: Tree, weight: bool = True, inputs: bool = True) -> Iterator[Shape]:
    """Forward, and backward to the weight and to the input of one linear layer."""
    k, n = layer["w"].shape
    yield rows, k, n
    if weight:
        yield k, rows, n
    if inputs:
        yield rows, n, k


def _encoder(work: Work, layout: Layout) -> Iterator[Shape]:
    rows, encoder, trains = len(work.images), work.parameters["encoder"], work.trains
    for k in range(1, layout.depth + 1):
        side = layout.padded // 2**k
        yield from _layer(rows * side**2, encoder[f"conv{k}"], trains, trains and k > 1)
    for name in ("fc", "y"):
        yield from _layer(rows, encoder[name], trains, trains)


def _concat(critic: Tree, n: int, locations: int) -> Iterator[Shape]:
    """The two halves of the first layer once, the layers above for joint and product pairs together."""
    yield from _layer(n * locations, critic["feature"])
    yield from _layer(n, critic["representation"])
    yield from _layer(2 * n * locations, critic["hidden"])
    yield from _layer(2 * n * locations, critic["score"])


def _dot(critic: Tree, n: int, locations: int) -> Iterator[Shape]:
    """Both embeddings, and every feature's product with every representation."""
    for name, rows in (("feature", n * locations), ("representation", n)):
        for layer in ("hidden", "out", "shortcut"):
            yield from _layer(rows, critic[name][layer])
    units = critic["feature"]["out"]["w"].shape[1]
    m = n * locations
    yield from ((m, units, n), (units, m, n), (m, n, units))


def _prior(prior: Tree, n: int) -> Iterator[Shape]:
    """The discriminator on draws of the prior and on y stopped, then stopped itself on y."""
    for _ in ("real", "fake"):
        yield from _layer(n, prior["first"], inputs=False)
        yield from _layer(n, prior["second"])
        yield from _layer(n, prior["score"])
    for name in ("first", "second", "score"):
        yield from _layer(n, prior[name], weight=False)


def _amdim(work: Work, layout: amdim_encoder.Layout) -> Iterator[Shape]:
    """Both views through the encoder, and each direction of each pair of scales.

    The backward pass computes the scores again, which spares memory; the floor has them once.
    """
    n, encoder = len(work.images), work.parameters["encoder"]
    assert isinstance(work.objective, amdim.Objective)
    for _ in ("first", "second"):
        yield from _multiscale(n, encoder, layout)
        for term in work.objective.scales:
            m = n * amdim.LOCATIONS[term[-1]]
            yield from ((m, layout.nrkhs, n), (n, m, layout.nrkhs), (m, n, layout.nrkhs))


def _multiscale(n: int, encoder: Tree, layout: amdim_encoder.Layout) -> Iterator[Shape]:
    side = layout.padded - amdim_encoder.FIRST + 1
    yield from _layer(n * side**2, encoder["first"], inputs=False)
    for reached, stage in layout.stages.items():
        for layer in stage:
            side = (side - layer.kernel) // layer.stride + 1
            for part in ("conv", "out"):
                yield from _layer(n * side**2, encoder[layer.name][part])
        if reached > 1:
            for part in ("hidden", "out", "shortcut"):
                yield from _layer(n * side**2, encoder[f"embed{reached}"][part])
