"""The twin in PyTorch is dimref's step for every preset; a wrong weight, a wrong layout or another Adam is found."""

import dataclasses

import numpy as np
import pytest

from dimref.backend import NUMPY
from dimref.bench import proof
from dimref.bench.reference import LR
from dimref.bench.twin import Twin, named_arrays
from dimref.training.choices import BENCH_PRESETS
from dimref.trees import leaves


@pytest.fixture(autouse=True)
def _one_thread():
    """These tensors are too small to share among threads."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("preset", BENCH_PRESETS)
def test_twin_and_dimref_are_one_step(make, preset):
    found = make(preset)
    agreement = proof.prove(found, NUMPY, Twin(found))
    # AMDIM's: a bias below batch norm has no gradient but rounding, that of large sums that cancel.
    assert agreement.float64 < (1e-11 if preset == "amdim" else 1e-12)
    assert agreement.float32 < (5e-3 if preset == "amdim" else 1e-3)
    assert (agreement.adam is None) == (preset == "encode")
    assert agreement.adam is None or agreement.adam < 1e-8


@pytest.mark.parametrize("preset", BENCH_PRESETS)
def test_after_three_steps_they_are_still_together(make, preset):
    """Both sides of what is timed, `step`, from the same start: weights within a part of the learning rate."""
    from dimref.bench.reference import Reference

    found = proof.as_float64(make(preset))
    reference, twin = Reference(found, NUMPY), Twin(found)
    for _ in range(3):
        reference.step()
        twin.step()
    ours = named_arrays(found.layout, reference.parameters, reference.state)
    theirs = twin.weights()
    assert ours.keys() == {name for name in theirs if not name.endswith("num_batches_tracked")}
    moved = 0.0
    before = named_arrays(found.layout, found.parameters, found.state)
    for name, array in ours.items():
        np.testing.assert_allclose(theirs[name], array, atol=1e-3 * LR, err_msg=name)
        moved = max(moved, float(np.abs(array - before[name]).max()))
    assert (moved > LR) == found.trains


def planted(twin, name, index, by):
    """One number of one weight of a twin, moved."""
    shape = dict(twin.model.named_parameters())[name].shape
    with pytest.importorskip("torch").no_grad():
        dict(twin.model.named_parameters())[name][np.unravel_index(index, shape)] += by
    return twin


@pytest.mark.parametrize(
    ("preset", "name"),
    [
        ("local-jsd", "encoder.conv1.weight"),
        ("local-jsd", "local.representation.weight"),
        ("local-infonce", "local.feature.shortcut.weight"),
        ("global", "global_.feature.bias"),
        ("mixed", "prior.second.weight"),
        ("amdim", "encoder.down1_1.conv.weight"),
        ("amdim", "encoder.embed5.out.weight"),
    ],
)
def test_one_wrong_number_is_seen_in_float64(monkeypatch, make, preset, name):
    found = make(preset)
    twin = Twin(found)
    like = twin.like
    monkeypatch.setattr(twin, "like", lambda other: planted(like(other), name, 0, 1e-3))
    with pytest.raises(proof.Disagreement, match=r"twin in float64: expected .* nothing was timed") as refusal:
        proof.prove(found, NUMPY, twin)
    assert refusal.value.exit_code == 1


def test_a_wrong_statistic_is_seen_in_encoding(monkeypatch, make):
    found = make("encode")
    twin = Twin(found)

    def wrong(other):
        made = Twin(other)
        made.model.encoder.norm2.running_var[0] += 1e-3
        return made

    monkeypatch.setattr(twin, "like", wrong)
    with pytest.raises(proof.Disagreement, match="in float64"):
        proof.prove(found, NUMPY, twin)


@pytest.mark.parametrize("name", ["rows", "columns", "brightness", "contrast", "saturation", "hue", "grey"])
def test_a_view_drawn_otherwise_is_seen(monkeypatch, make, name):
    """Each draw of a view reaches the twin's loss: one that it does not use would be found."""
    found = make("amdim")
    twin = Twin(found)

    def other(wide):
        made = Twin(wide)
        draws = made.noise["second"][name]
        made.noise["second"][name] = ~draws if name == "grey" else 0.9 * draws
        return made

    monkeypatch.setattr(twin, "like", other)
    with pytest.raises(proof.Disagreement, match="in float64"):
        proof.prove(found, NUMPY, twin)


def test_anchors_of_other_locations_are_seen(monkeypatch, make):
    found = make("amdim")
    twin = Twin(found)

    def other(wide):
        made = Twin(wide)
        made.noise["anchors"]["first"][0] ^= 1
        return made

    monkeypatch.setattr(twin, "like", other)
    with pytest.raises(proof.Disagreement, match="in float64"):
        proof.prove(found, NUMPY, twin)


def test_a_twin_that_is_wrong_in_float32_alone_is_refused(make):
    found = make("local-jsd")
    twin = planted(Twin(found), "local.score.bias", 0, 0.5)
    with pytest.raises(proof.Disagreement, match="in float32"):
        proof.prove(found, NUMPY, twin)


def test_a_kernel_that_is_turned_over_is_refused(monkeypatch, make):
    from dimref.export import torch_layout

    conv_weight = torch_layout.conv_weight
    monkeypatch.setattr(torch_layout, "conv_weight", lambda w, kernel: conv_weight(w, kernel)[..., ::-1].copy())
    found = make("global")
    with pytest.raises(proof.Disagreement):
        proof.prove(found, NUMPY, Twin(found))


@pytest.mark.parametrize("setting", [{"betas": (0.9, 0.99)}, {"lr": 2 * LR}, {"eps": 1e-3}])
def test_another_adam_is_refused(monkeypatch, make, setting):
    found = make("local-jsd")
    torch = pytest.importorskip("torch")
    adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda p, lr: adam(p, **{"lr": lr, **setting}))
    with pytest.raises(proof.Disagreement, match="expected Adam to move"):
        proof.prove(found, NUMPY, Twin(found))


def test_a_missing_array_and_a_number_that_is_none_are_refused():
    here = {"a": np.ones(2), "b": np.ones(2)}
    with pytest.raises(proof.Disagreement, match="found b on one only"):
        proof._farthest((here, {"a": np.ones(2)}), "somewhere", 1.0)
    for wrong in (np.array([1.0, np.nan]), np.ones(3)):
        with pytest.raises(proof.Disagreement, match="expected b to agree to 1e-09, found a distance of inf"):
            proof._farthest((here, {"a": np.ones(2), "b": wrong}), "somewhere", 1e-9)


def test_the_distance_is_relative_but_not_to_nothing():
    big, small = np.full(4, 500.0), np.zeros(4)
    assert proof._farthest(({"a": big * 1.01, "b": small}, {"a": big, "b": small}), "", 1.0) == (
        pytest.approx(0.01),
        "a",
    )
    # ‖b‖ = 0 is judged by a thousandth of all: ‖1e-3·1‖ / (1000 / 1000)
    found = proof._farthest(({"a": big, "b": small + 1e-3}, {"a": big, "b": small}), "", 1.0)
    assert found == (pytest.approx(2e-3), "b")


def test_float64_work_is_the_same_work(make):
    found = make("mixed")
    wide = proof.as_float64(found)
    for (path, a), (_, b) in zip(leaves(wide.parameters), leaves(found.parameters), strict=True):
        assert a.dtype == np.float64, path
        np.testing.assert_array_equal(a, b)
    assert wide.noise["local"]["index"].dtype == np.int64
    assert wide.images.dtype == wide.noise["prior"]["z"].dtype == wide.state["encoder"]["norm1"]["mean"].dtype


def test_weights_that_are_not_the_twins_are_refused(make):
    found = make("local-jsd")
    other = dataclasses.replace(found, parameters={**found.parameters, "prior": make("mixed").parameters["prior"]})
    with pytest.raises(ValueError, match=r"twin: weights must be .*prior.first.weight"):
        Twin(found).load(other.parameters, other.state)
