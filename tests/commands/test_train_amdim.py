"""`dimref train --preset amdim`: the same loop, files and commands with the multi-view method."""

import dataclasses
import json

import numpy as np
import pytest
import tiny_runs

from dimref import encoders
from dimref.amdim import encoder as amdim_encoder
from dimref.backend import NUMPY
from dimref.evaluation import reconstruction
from dimref.export import inference
from dimref.training import checkpoint as checkpoints
from dimref.training import loop, method, task
from dimref.training import state as states
from dimref.training.config import AMDIM_OPTIONS, DIM_OPTIONS, PRESETS, Config
from dimref.trees import leaves

SMALL = ("--preset", "amdim", "--ndf", 2, "--nrkhs", 8, "--no-plot")


def config(images, **options):
    return tiny_runs.config(images, **{"method": "amdim", "ndf": 2, "nrkhs": 8, "lr": 2e-4, **options})


@pytest.fixture(autouse=True)
def _shorter(monkeypatch):
    tiny_runs.shorten_probes(monkeypatch)


@pytest.fixture
def run(images, tmp_path):
    """A finished run."""
    path = tmp_path / "run"
    assert tiny_runs.invoke(*tiny_runs.small(images, *SMALL, "--out", path)).exit_code == 0
    return path


# ---- the command


def test_a_run_says_what_is_trained_and_what_was_learned(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = tiny_runs.invoke(*tiny_runs.small(images, *SMALL))
    assert result.exit_code == 0, result.output
    lines = {line[:13].strip(): line[14:] for line in result.stdout.splitlines() if line[:13].strip()}
    assert lines["objective"].startswith("InfoNCE 1→5, 1→7, 5→5 both ways, scores clipped to ±20, + 0.05 × mean")
    assert lines["views"].startswith("shifted by up to 4 pixels, colours")
    assert lines["encoder"].endswith("for 32×32: ndf 2, ndepth 1, nrkhs 8")
    assert lines["run"] == "runs/amdim-npz-001"
    for term, locations in (("1-5", 25), ("1-7", 49), ("5-5", 25)):
        assert f"nats held out, of at most {np.log(1 + 3 * locations):.3f}; " in lines[f"{term} bound"]
        assert lines[f"{term} bound"].endswith(" certified")
    assert "as published, without log K" in lines["loss"]
    assert "accuracy in % on 30 test images" in lines["linear probe"]
    foreign = ("data", "linear probe")  # they name a file of this test, and where its test images come from
    assert max(len(line) for line in result.output.splitlines() if not line.startswith(foreign)) <= 100
    (epoch,) = (line for line in result.stderr.splitlines() if line.startswith("epoch 1"))
    assert epoch.startswith("epoch 1  step 3/3  1-5 ")
    assert "certified" not in epoch
    assert "penalty" not in epoch


def test_metrics_hold_every_term(run):
    *_, step, epoch = tiny_runs.metrics(run)
    names = {"1-5", "1-7", "5-5", "1-5_certified", "1-7_certified", "5-5_certified", "penalty", "loss"}
    assert set(step["nats"]) == set(epoch["held_out_nats"]) == names
    assert epoch["bound"] == pytest.approx(sum(epoch["held_out_nats"][term] for term in ("1-5", "1-7", "5-5")))
    assert set(step["saturated"]) == {"1-5", "1-7", "5-5"}
    assert 1 <= step["effective_rank"] <= 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--augmentation", "none"), "not augmented"),
        (("--augmentation", "crop"), "cropped and enlarged, colours"),
        (("--scales", "1-7"), "InfoNCE 1→7 both ways"),
        (("--clip", 0), "scores not clipped"),
        (("--score-penalty", 0, "--ndepth", 2), "+ 0 × mean squared score"),
    ],
)
def test_each_part_can_be_left_out(images, tmp_path, options, words):
    result = tiny_runs.invoke(*tiny_runs.small(images, *SMALL, "--out", tmp_path / "run", *options))
    assert result.exit_code == 0, result.output
    assert words in result.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--bound", "dv"), "--bound: has no effect, since the method is amdim; leave it out"),
        (("--prior-weight", 1), "--prior-weight: has no effect, since the method is amdim"),
        (("--scales", "7-7"), "--scales: expected some of 1-5, 1-7, 5-5, with commas between, found '7-7'"),
        (("--scales", "1-5,1-5"), "--scales: expected some of"),
        (("--clip", -1), "--clip: expected a number of at least 0, found -1.0"),
        (("--clip", "nan"), "--clip: expected a number of at least 0, found nan"),
        (("--score-penalty", "inf"), "--score-penalty: expected a number of at least 0, found inf"),
        (("--nrkhs", 7), "nrkhs at least the 8 channels of the maps before it, were 2, 1 and 7"),
        (("--ndepth", 0), "--ndepth: expected a number of at least 1, found 0"),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_line(images, tmp_path, options, words):
    assert words in tiny_runs.refused(*tiny_runs.small(images, *SMALL, *options, "--out", tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", AMDIM_OPTIONS)
def test_its_options_are_refused_with_deep_infomax(images, tmp_path, name):
    value = {"scales": "1-5", "augmentation": "none"}.get(name, 500)
    line = tiny_runs.refused(*tiny_runs.small(images, f"--{name.replace('_', '-')}", value, "--out", tmp_path / "run"))
    assert line.endswith(f"--{name.replace('_', '-')}: has no effect, since the method is dim; leave it out")


def test_every_option_belongs_to_one_method_or_to_both():
    names = {field.name for field in dataclasses.fields(Config)}
    assert set(AMDIM_OPTIONS) | set(DIM_OPTIONS) <= names
    assert not set(AMDIM_OPTIONS) & set(DIM_OPTIONS)


def test_the_large_preset_is_the_papers():
    large = Config(**PRESETS["amdim-large"])
    layout = amdim_encoder.Layout(64, 3, large.ndf, large.ndepth, large.nrkhs)
    assert (layout.ndf, layout.ndepth, layout.nrkhs, layout.map_channels) == (320, 10, 2560, 2560)


# ---- resuming, backends


def test_a_run_cannot_be_resumed_as_another(run):
    assert "--clip: expected 20.0, as the run" in tiny_runs.refused("train", "--resume", run, "--clip", 5)


def test_training_learns_which_views_belong_together(images):
    """In a few dozen steps on three grey levels each bound leaves 0, and the certified form with it."""
    prepared = task.prepare(config(images, steps=60, batch_size=8, ndf=4, nrkhs=16, lr=3e-3, augmentation="none"))
    state, seen = states.initial_state(prepared), []
    for _ in range(40):
        state, step = loop.train_step(prepared, state)
        seen.append(step["terms"])
    for name in ("1-5", "1-7", "5-5", "1-5_certified", "1-7_certified", "5-5_certified"):
        before, after = (np.mean([terms[name] for terms in part]) for part in (seen[:5], seen[-5:]))
        assert after > before + 0.2, (name, before, after)


# ---- the other commands


def test_encode_writes_the_1x1_features(run):
    result = tiny_runs.invoke("encode", run, "--split", "test")
    assert result.exit_code == 0, result.output
    encoder, found = inference.load(run, NUMPY)
    y = np.load(run / "test-y.npy")
    assert y.shape == (30, 8)
    with np.load(found.config.data_dir) as archive:
        expected = encoder.features(archive["test_images"])
    np.testing.assert_array_equal(y, expected["y"])
    assert encoder.kinds == ("y",)
    assert "--features conv: the encoder of" in tiny_runs.refused("encode", run, "--features", "conv")


def test_evaluate_probes_the_1x1_features(run, monkeypatch):
    from dimref.evaluation.probes import classifier

    monkeypatch.setattr(classifier, "LEAST_STEPS", 1)
    result = tiny_runs.invoke("evaluate", run, "--measures", "none", "--probe", "linear,mlp")
    assert result.exit_code == 0, result.output
    cells = json.loads((run / "evaluation.json").read_text())["results"]
    assert {(cell["name"], cell["encoder"], cell["feature"]) for cell in cells} == {
        (probe, *place)
        for probe in ("linear", "mlp")
        for place in (("trained", "y"), ("untrained", "y"), ("raw", "pixels"))
    }
    assert "--features conv: this encoder has y alone" in tiny_runs.refused("evaluate", run, "--features", "conv")


def test_measures_of_y_are_taken_by_networks_of_deep_infomaxs_sizes(run):
    encoder, found = inference.load(run, NUMPY)
    assert encoder.critic_layout == encoders.Layout(8, 1)
    with np.load(found.config.data_dir) as archive:
        images = archive["images"], archive["test_images"]
    y = [encoder.features(part)["y"] for part in images]
    parameters, running = reconstruction.init_decoder(np.random.default_rng(0), encoder.critic_layout, y[0].shape[1])
    drawn, _ = reconstruction.decode(parameters, running, y[1], encoder.critic_layout, training=False)
    assert drawn.shape == images[1].shape
    dim = inference.Encoder(encoders.Layout(8, 1, width=4), NUMPY, {}, {})
    assert dim.critic_layout is dim.layout


def test_export_writes_every_array_under_both_kinds_of_names(run):
    encoder, found = inference.load(run, NUMPY)
    count = len(dict(leaves({"p": found.trees["parameters"], "s": found.trees["state"]["encoder"]})))
    assert tiny_runs.invoke("export", run).exit_code == 0
    with np.load(run / "weights.npz") as archive:
        named = dict(archive)
    assert len(named) == count
    assert sum(a.size for a in named.values()) == encoder.layout.parameter_count + 3 * 2 * 8
    assert named["encoder.down1_1.conv.weight"].shape == (4, 2, 4, 4)
    assert named["encoder.embed7.shortcut.bias"].shape == (8,)
    w = encoder.parameters["down1_1"]["conv"]["w"]
    np.testing.assert_array_equal(named["encoder.down1_1.conv.weight"][3, 1, 2, 0], w[(2 * 4 + 0) * 2 + 1, 3])
    np.testing.assert_array_equal(named["encoder.norm1.running_mean"], encoder.running["norm1"]["mean"])
    pytest.importorskip("safetensors")
    assert tiny_runs.invoke("export", run, "--format", "safetensors", "--scorers").exit_code == 0


def test_a_checkpoint_of_another_layout_is_refused(run):
    checkpoint = checkpoints.load(run / "newest.npz")
    for layout in ({"size": 8, "channels": 1}, {**checkpoint.meta["layout"], "nrkhs": 9}, {"size": "x"}):
        changed = dataclasses.replace(checkpoint, meta={**checkpoint.meta, "layout": layout})
        checkpoints.save(run / "best.npz", changed)
        assert str(run / "best.npz") in tiny_runs.refused("encode", run, "--checkpoint", "best")


def test_its_step_is_traced_from_its_configuration(run, tmp_path):
    done = tiny_runs.invoke("audit", "trace", "export", "--config", run / "config.json", "-o", tmp_path / "t.npz")
    assert done.exit_code == 0, done.output
    assert {"first/view", "1-7/second/scores", "5-5/loss"} <= tiny_runs.arrays(tmp_path / "t.npz").keys()


def test_methods_agree_with_their_modules():
    layout = amdim_encoder.Layout(32, 3, 2, 1, 8)
    assert method.AMDIM.features == ("y",)
    assert method.AMDIM.first_layer == ("first", 3)
    parameters, state = method.AMDIM.init_encoder(np.random.default_rng(0), layout)
    images = np.zeros((2, 32, 32, 3), np.float32)
    encoding, _ = method.AMDIM.encode(parameters, state, images, layout, training=False)
    np.testing.assert_array_equal(method.AMDIM.inference(parameters, state, layout)(images)["y"], encoding.one)
