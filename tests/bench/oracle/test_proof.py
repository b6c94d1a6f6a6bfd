"""The twin in PyTorch is dimref's step for every preset; a wrong weight, a wrong layout or another Adam is found."""

# ruff: noqa: E402
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from dimref.backend import NUMPY
from dimref.bench.oracle import proof
from dimref.bench.oracle.twin import Twin, named_arrays
from dimref.bench.reference import LR, Reference
from dimref.export import torch_layout
from dimref.training.choices import BENCH_PRESETS
from dimref.trees import leaves


@pytest.fixture(autouse=True)
def _one_thread():
    """These tensors are too small to share among threads."""
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
    found = proof.as_float64(make(preset))
    reference, twin = Reference(found, NUMPY), Twin(found)
    for _ in range(3):
        reference.step()
        twin.step()
    ours, theirs = named_arrays(found.layout, reference.parameters, reference.state), twin.weights()
    assert ours.keys() == {name for name in theirs if not name.endswith("num_batches_tracked")}
    before = named_arrays(found.layout, found.parameters, found.state)
    for name, array in ours.items():
        np.testing.assert_allclose(theirs[name], array, atol=1e-3 * LR, err_msg=name)
    assert any(np.abs(array - before[name]).max() > LR for name, array in ours.items()) == found.trains


def weight(name, by=1e-3):
    """Moves one number of one weight or statistic of a twin."""

    def inject(twin):
        number = twin.model.state_dict()[name]
        number[(0,) * number.ndim] += by

    return inject


def draw(name):
    """Changes one draw of a view."""

    def inject(twin):
        drawn = twin.noise["second"][name]
        twin.noise["second"][name] = ~drawn if name == "grey" else 0.9 * drawn

    return inject


def anchor(twin):
    """Moves an anchor to another location."""
    twin.noise["anchors"]["first"][0] ^= 1


@pytest.mark.parametrize(
    ("preset", "fault"),
    [
        ("dim-local", weight("encoder.conv1.weight")),
        ("dim-local", weight("local.representation.weight")),
        ("dim-infonce", weight("local.feature.shortcut.weight")),
        ("dim-global", weight("global_.feature.bias")),
        ("dim-mixed", weight("prior.score.bias")),
        ("amdim", weight("encoder.down1_1.conv.weight")),
        ("amdim", weight("encoder.embed5.out.weight")),
        ("encode", weight("encoder.norm2.running_var")),
        *(("amdim", draw(n)) for n in ("rows", "columns", "brightness", "contrast", "saturation", "hue", "grey")),
        ("amdim", anchor),
    ],
)
def test_one_wrong_number_is_seen_in_float64(monkeypatch, make, preset, fault):
    found = make(preset)
    twin = Twin(found)

    def wrong(wide):
        made = Twin(wide)
        fault(made)
        return made

    monkeypatch.setattr(twin, "like", wrong)
    with pytest.raises(proof.Disagreement, match=r"twin in float64: expected .* nothing was timed") as refusal:
        proof.prove(found, NUMPY, twin)
    assert refusal.value.exit_code == 1


def test_a_twin_that_is_wrong_in_float32_alone_is_refused(make):
    found = make("dim-local")
    twin = Twin(found)
    weight("local.score.bias", 0.5)(twin)
    with pytest.raises(proof.Disagreement, match="in float32"):
        proof.prove(found, NUMPY, twin)


def test_a_kernel_that_is_turned_over_is_refused(monkeypatch, make):
    conv_weight = torch_layout.conv_weight
    monkeypatch.setattr(torch_layout, "conv_weight", lambda w, kernel: conv_weight(w, kernel)[..., ::-1].copy())
    found = make("dim-global")
    with pytest.raises(proof.Disagreement):
        proof.prove(found, NUMPY, Twin(found))


@pytest.mark.parametrize("setting", [{"betas": (0.9, 0.99)}, {"lr": 2 * LR}, {"lr": np.inf}, {"eps": 1e-3}])
def test_another_adam_is_refused(monkeypatch, make, setting):
    found, adam = make("dim-local"), torch.optim.Adam
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
    # ‖b‖ = 0 is compared with a thousandth of all: ‖1e-3·1‖ / (1000 / 1000)
    found = proof._farthest(({"a": big, "b": small + 1e-3}, {"a": big, "b": small}), "", 1.0)
    assert found == (pytest.approx(2e-3), "b")


def test_float64_work_is_the_same_work(make):
    found = make("dim-mixed")
    wide = proof.as_float64(found)
    for (path, a), (_, b) in zip(leaves(wide.parameters), leaves(found.parameters), strict=True):
        assert a.dtype == np.float64, path
        np.testing.assert_array_equal(a, b)
    assert wide.noise["local"]["index"].dtype == np.int64
    assert wide.images.dtype == wide.noise["prior"]["z"].dtype == wide.state["encoder"]["norm1"]["mean"].dtype


def test_weights_that_are_not_the_twins_are_refused(monkeypatch, make):
    found = make("dim-local")
    names = torch_layout.torch_names
    monkeypatch.setattr(torch_layout, "torch_names", lambda *of: {**names(*of), "prior.first.weight": np.ones(1)})
    with pytest.raises(ValueError, match=r"twin: weights must be .*prior.first.weight"):
        Twin(found)
    monkeypatch.setattr(torch_layout, "torch_names", lambda p, layout, state: names(p, layout))
    with pytest.raises(ValueError, match=r"twin: weights must be .*running_mean"):
        Twin(found)
