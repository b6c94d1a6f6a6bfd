"""AMDIM's loss as it is audited: it is training's own and the literal loops', and no two variants are alike."""

import math

import numpy as np
import pytest
from catalogue_checks import SIZES, drawn, forms, same

from dimref.amdim import objective as amdim_objective
from dimref.audit.answering import evaluate
from dimref.audit.catalogue.multiview import CONTRACTS
from dimref.tape import value_and_gradients

FORMS = {name: form for name, form in forms(CONTRACTS)}


def literal(scores, clip, penalty):
    """By loops, in Python's numbers."""
    n, _, locations = scores.shape
    t = [[[clip * math.tanh(v / clip) for v in row] for row in image] for image in scores.tolist()]
    terms = []
    for j in range(n):
        others = sum(math.exp(t[i][j][k]) for i in range(n) if i != j for k in range(locations))
        terms += [math.log1p(others / math.exp(t[j][j][k])) for k in range(locations)]
    return sum(terms) / len(terms) + penalty * sum(v * v for v in scores.reshape(-1).tolist()) / scores.size


def square(candidates, anchors):
    return np.einsum("ile,je->ijl", candidates, anchors) / math.sqrt(anchors.shape[1])


@pytest.mark.parametrize("sizes", SIZES[:5])
def test_it_is_the_double_loop(sizes):
    inputs = drawn(FORMS["amdim_direction-scores"], sizes)
    expected = literal(*inputs.values())
    assert FORMS["amdim_direction-scores"].reference(inputs)["value"] == pytest.approx(expected, rel=1e-10)
    inputs = drawn(FORMS["amdim_direction-embeddings"], sizes)
    f, y, *options = inputs.values()
    found = FORMS["amdim_direction-embeddings"].reference(inputs)["value"]
    assert found == pytest.approx(literal(square(f, y), *options), rel=1e-10)
    inputs = drawn(FORMS["amdim_pair-embeddings"], sizes)
    f1, y1, f2, y2, *options = inputs.values()
    expected = 0.5 * (literal(square(f2, y1), *options) + literal(square(f1, y2), *options))
    assert FORMS["amdim_pair-embeddings"].reference(inputs)["value"] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("sizes", SIZES)
def test_it_is_trainings_own_with_its_gradients(sizes):
    form = FORMS["amdim_direction-embeddings"]
    inputs = drawn(form, sizes)
    embeddings = {name: inputs[name] for name in ("anchors", "candidates")}
    value, gradients, _ = value_and_gradients(
        lambda e: amdim_objective.contrast(e["anchors"], e["candidates"], inputs["clip"], inputs["penalty"]),
        embeddings,
    )
    found = evaluate(form.reference, form.signature, inputs)
    same({"value": found.value["value"], **found.gradients}, {"value": value, **gradients}, 1e-9, floor=1e-6)


def test_no_hard_coded_clip_is_right_by_luck():
    """A clip of 10 or 20 is never what is asked for."""
    for form in FORMS.values():
        assert {drawn(form, SIZES[0], seed)["clip"] for seed in range(40)}.isdisjoint({1.0, 10.0, 20.0})
