"""What is timed: each preset's objective, its draws, their reproducibility."""

import numpy as np
import pytest

from dimref import encoders
from dimref.amdim import encoder as amdim_encoder
from dimref.amdim import objective as amdim_objective
from dimref.bench import work
from dimref.objectives import Objective
from dimref.training.choices import BENCH_PRESETS
from dimref.trees import leaves


def test_the_presets_are_the_objectives_that_their_names_say():
    assert work.objective_of("dim-local") == Objective(0, 1, 0)
    assert work.objective_of("dim-global") == Objective(1, 0, 0, global_map="local")
    assert work.objective_of("dim-mixed") == Objective(0.5, 0.1, 0.1, global_map="local")
    infonce = work.objective_of("dim-infonce")
    assert (infonce.bound, infonce.local_scorer, infonce.local_negatives) == ("infonce", "dot", "same-location")
    assert (infonce.global_weight, infonce.local_weight, infonce.prior_weight) == (0, 1, 0)
    assert work.objective_of("amdim") == amdim_objective.Objective()
    layouts = [work.layout_of(preset) for preset in BENCH_PRESETS]
    assert layouts == [amdim_encoder.Layout(32, 3) if p == "amdim" else encoders.Layout(32, 3) for p in BENCH_PRESETS]


@pytest.mark.parametrize("preset", BENCH_PRESETS)
def test_parts_that_a_preset_needs(make, preset):
    found = make(preset)
    terms = {"dim-local": ["local"], "dim-infonce": ["local"], "dim-global": ["global"], "encode": [], "amdim": []}
    expected = ["encoder", *terms.get(preset, ["local", "global", "prior"])]
    assert list(found.parameters) == expected
    assert found.trains == (preset != "encode")
    assert work.describe(preset)
    assert found.images.dtype == np.float32
    assert found.images.shape == ((4, 32, 32, 3) if preset == "amdim" else (4, 8, 8, 1))


def test_the_seed_decides_everything_and_nothing_is_0(make):
    first, again, other = make("amdim"), make("amdim"), make("amdim", seed=1)
    for name in ("parameters", "state", "images", "noise"):
        pairs = zip(leaves(getattr(first, name)), leaves(getattr(again, name)), strict=True)
        for (path, a), (_, b) in pairs:
            np.testing.assert_array_equal(a, b, err_msg=path)
    assert not np.array_equal(first.images, other.images)
    # The last product of each residual layer starts at 0, and would hand no gradient to the ones before it.
    assert [path for path, array in leaves(first.parameters) if not array.any()] == []


def test_no_gain_shift_or_statistic_is_what_a_fresh_module_has(make):
    found = make("dim-infonce")
    seen = {"gain": 1.0, "shift": 0.0, "mean": 0.0, "variance": 1.0}
    checked = 0
    for path, array in [*leaves(found.parameters), *leaves(found.state)]:
        start = seen.get(path.rsplit("/", 1)[-1])
        if start is not None:
            checked += 1
            assert array.dtype == np.float32
            assert (array != start).mean() > 0.9, path
            assert np.abs(array - start).max() <= 0.1 + 1e-6, path
    assert checked == 16  # three norms of the encoder with two statistics each, two layer norms


def test_wrong_arguments_are_refused(make):
    with pytest.raises(ValueError, match=r"preset must be one of dim-local, .* was 'x'"):
        make("x")
    with pytest.raises(ValueError, match="batch must be at least 2 images, was 1"):
        make("encode", batch=1)
