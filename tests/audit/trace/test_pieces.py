"""The step spelled out is the step that training takes, for every kind of configuration."""

import math

import numpy as np
import pytest
from fake_cupy import STRICT

from dimref import objectives
from dimref.audit.trace import export
from dimref.audit.trace.layouts import LAYOUTS
from dimref.audit.trace.pieces import evaluate, terms
from dimref.audit.trace.step import forward, state_after
from dimref.objectives import Objective
from dimref.training.state import initial_state
from dimref.training.task import STEP, noise_at
from dimref.trees import leaves

BOTH = {"global_weight": 0.5}
CONFIGURATIONS = [
    {}, {**BOTH, "negatives": "roll"}, {**BOTH, "bound": "mine"}, {**BOTH, "bound": "dv"}, {**BOTH, "bound": "nwj"},
    {**BOTH, "local_scorer": "dot"}, {**BOTH, "bound": "infonce"},
    {**BOTH, "bound": "infonce", "negatives": "all-locations"},
    {**BOTH, "bound": "infonce", "local_scorer": "concat", "candidates": 3},
    {"local_weight": 0.0, "global_weight": 1.0, "negatives": "all-pairs"},
    {"prior_weight": 0.0}, {"prior": "gaussian", "prior_loss": "non-saturating"}, {"gradient_penalty": 0.5},
]  # fmt: skip


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=lambda o: "-".join(map(str, o.values())) or "default")
def test_the_loss_is_trainings_own(options, prepare):
    """The exporter refuses another loss; here it is told to a test, with the state after."""
    task = prepare(**options)
    found = export.trace(task)
    state = initial_state(task)
    noise = noise_at(task, STEP, 0, 4)
    batch = found.arrays["batch/scaled"]
    value, rest = objectives.loss(state.parameters, state.model, batch, noise, task.objective, task.layout)
    assert found.arrays["loss"] == pytest.approx(value, rel=1e-5)
    for name, nats in rest["terms"].items():
        at = {"prior": "prior/value", "local_certified": "local/certified", "global_certified": "global/certified"}
        assert found.arrays[at.get(name, f"{name}/bound")] == pytest.approx(nats, rel=1e-5, abs=1e-6)
    arrays = dict(found.arrays)
    for piece in state_after(task.objective, task.layout):
        np.testing.assert_allclose(evaluate(piece, arrays), found.arrays[piece.name], 1e-5, 1e-7, err_msg=piece.name)
    after = dict(leaves({"after": {"state": rest["state"]}}))
    assert {name for name in found.arrays if name.startswith("after/state")} == after.keys()
    for name, array in after.items():
        np.testing.assert_allclose(array, found.arrays[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=lambda o: "-".join(map(str, o.values())) or "default")
def test_pieces_are_in_order_and_described(options, prepare):
    task = prepare(**options)
    known = {"batch/images", "batch/scaled", "state/mine/local", "state/mine/global"}
    known |= {name for name in export.trace(task).arrays if name.startswith(("parameters/", "noise/", "state/"))}
    for piece in [*forward(task.objective, task.layout), *state_after(task.objective, task.layout)]:
        assert piece.name not in known
        assert set(piece.inputs) <= known, piece.name
        assert piece.meaning
        assert piece.layout in LAYOUTS
        known.add(piece.name)


def test_the_mean_over_locations_is_the_bound(prepare):
    for options in (
        {"bound": "dv"},
        {"bound": "infonce"},
        {"bound": "infonce", "local_scorer": "concat", "candidates": 3},
    ):
        arrays = export.trace(prepare(**options)).arrays
        each = arrays["local/bound_by_location"]
        assert each.shape == (16,)
        assert each.mean() == pytest.approx(float(arrays["local/bound"]), abs=1e-6)


def test_the_strict_device_gives_the_same(prepare, monkeypatch):
    expected = export.trace(prepare(global_weight=0.5))
    monkeypatch.setattr("dimref.training.task.get_backend", lambda name, *more: STRICT)
    found = export.trace(prepare(global_weight=0.5))
    assert found.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        assert isinstance(found.arrays[name], np.ndarray)
        np.testing.assert_allclose(found.arrays[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


def test_terms_are_added_in_the_losss_order():
    assert terms(Objective(0.5, 1.0, 0.0)) == ["global", "local"]
    assert terms(Objective(0.0, 1.0, 0.0)) == ["local"]


def test_seen_equals_fake_and_hands_nothing_to_the_discriminator(traced):
    found = traced()
    np.testing.assert_array_equal(found.arrays["prior/seen/logits"], found.arrays["prior/fake/logits"])
    g = found.arrays["gradient/prior/seen/logits"]
    # Minimax: ∂/∂d of −γ·mean sp(d).
    np.testing.assert_allclose(g, -0.1 / (1 + np.exp(-found.arrays["prior/seen/logits"].astype(float))) / 4, rtol=1e-5)
    assert math.isclose(float(found.arrays["gradient/local/bound"]), -1)
