"""Variants: each differs from the right piece, has its shape, and passes gradients back; every kind is used."""

import numpy as np
import pytest
from trace_graphs import graph_of

from dimref.audit.trace import variants
from dimref.audit.trace.step import forward, state_after
from dimref.tape import value_and_gradients

OPTIONS = [
    {"batch_size": 5}, {"bound": "dv", "negatives": "roll", "batch_size": 5}, {"bound": "nwj"}, {"bound": "infonce"},
    {"bound": "infonce", "local_scorer": "dot"},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
def test_each_differs_and_can_stand_in_the_pieces_place(options, traced):
    found = traced(dtype="float64", after=1, **options)
    graph = graph_of(found)
    for name, piece in graph.pieces.items():
        right = graph.expected(name)
        for variant in variants.of(piece, graph):
            wrong = graph.supposing(name, {name: variant.function})
            if wrong is None:
                assert variant.id == "weight-transposed"  # a weight that is not square
                continue
            assert wrong.shape == right.shape, (name, variant.text)
            assert variant.text
            assert not name.startswith("after/") or wrong.dtype == right.dtype
            if name.startswith("after/"):
                continue
            values = {n: graph.filled(n) for n in piece.inputs}
            real = {n: a for n, a in values.items() if a.dtype.kind == "f"}

            def total(moved, piece=piece, values=values, variant=variant):
                return variant.function(*(moved.get(n, values[n]) for n in piece.inputs)).sum(), None

            _, gradients, _ = value_and_gradients(total, real)
            assert all(g is None or np.isfinite(g).all() for g in gradients.values()), (name, variant.text)


def test_every_kind_with_variants_is_the_kind_of_some_piece(traced, prepare):
    kinds = set()
    for options in ({}, {"bound": "infonce"}):
        task = prepare(**options)
        kinds |= {p.kind for p in [*forward(task.objective, task.layout), *state_after(task.objective, task.layout)]}
    assert variants.VARIANTS.keys() <= kinds


def test_most_variants_are_told_apart(traced):
    """On ordinary numbers no two variants of a piece give the same array."""
    graph = graph_of(traced(dtype="float64", after=1, batch_size=5))
    for name, piece in graph.pieces.items():
        seen = []
        for variant in variants.of(piece, graph):
            wrong = graph.supposing(name, {name: variant.function})
            if wrong is not None:
                scale = np.abs(wrong).max()
                twins = [text for text, other in seen if np.abs(wrong - other).max() < 1e-12 * scale]
                assert twins == [], (name, variant.text)
                seen.append((variant.text, wrong))
