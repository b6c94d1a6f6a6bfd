"""`dimref plot`: every picture of a run, and a line for each that cannot be drawn."""

import dataclasses
import json

import numpy as np
import pytest
import tiny_runs
from png_files import size

from dimref import plots
from dimref.training import checkpoint as checkpoints

pytest.importorskip("matplotlib")


@pytest.fixture
def light(monkeypatch):
    """Pictures take long to draw: an empty file stands for each."""

    def drawn(name):
        def draw(run, *args):
            (run / f"{name}.png").touch()
            return run / f"{name}.png"

        return draw

    for name in ("curves", "filters", "neighbours", "components"):
        monkeypatch.setattr(plots, name, drawn(name))


def rows(*args):
    result = tiny_runs.invoke(*args)
    assert result.exit_code == 0, result.output
    return dict(line.split(maxsplit=1) for line in result.stdout.splitlines())


def test_every_picture_lies_in_the_run(run):
    cell = {"kind": "probe", "name": "linear", "encoder": "trained", "feature": "y", "mean": 0.5, "std": None}
    (run / "evaluation.json").write_text(json.dumps({"results": [cell], "data": {"chance": 0.3}}))
    names = ("curves", "filters", "neighbours", "components", "accuracies")
    assert rows("plot", run) == {name: str(run / f"{name}.png") for name in names}
    for name in names:
        assert min(size(run / f"{name}.png")) > 300
    assert not list(run.glob(".*"))


def test_without_an_evaluation_its_picture_is_left_out_and_said_why(run, light):
    printed = rows("plot", run)
    assert printed["accuracies"] == f"none: evaluation.json is not there; dimref evaluate {run} writes it"
    assert not (run / "accuracies.png").exists()
    (run / "evaluation.json").write_text("{")
    assert rows("plot", run)["accuracies"].startswith(f"none: {run / 'evaluation.json'}: expected JSON")


@pytest.mark.parametrize("found", ["3", None, 0, 2.5, True, 5, 10**300])
def test_a_held_out_batch_that_no_run_has_is_refused(run, light, found):
    saved = checkpoints.load(run / "newest.npz")
    meta = {**saved.meta, "held_out_batch": found}
    checkpoints.save(run / "newest.npz", dataclasses.replace(saved, meta=meta))
    assert f"newest.npz: expected a held-out batch of 2 to 4 images, found {found!r}" in tiny_runs.refused("plot", run)


def test_data_that_moved_can_be_pointed_at(run, light, images, tmp_path):
    tiny_runs.change(run / "newest.npz", lambda meta, arrays: meta["config"].update(data_dir=str(tmp_path / "gone")))
    assert rows("plot", run)["images"].startswith("no pictures of them")
    assert rows("plot", run, "--data-dir", images)["neighbours"] == str(run / "neighbours.png")


def test_images_of_another_size_leave_a_line(run, light, tmp_path):
    other = tiny_runs.write_npz(tmp_path / "other.npz", side=9)
    printed = rows("plot", run, "--data-dir", other)
    assert "expected images of 8×8×1, which the encoder was made for, found 9×9×1" in printed["images"]


def test_ceilings_are_those_of_the_held_out_batch(images, narrow, light, tmp_path, monkeypatch):
    """Six images are held out of 60: a batch of 13 is judged with six candidates."""
    run, seen = tmp_path / "run", []
    options = ("--bound", "infonce", "--batch-size", 13, "--steps", 1, "--out", run, "--quiet", "--no-plot")
    assert tiny_runs.invoke(*tiny_runs.small(images, *options)).exit_code == 0
    monkeypatch.setattr(plots, "curves", lambda run, ceilings, title, n: (seen.append((ceilings, n)), run)[1])
    rows("plot", run)
    assert seen == [({"local": pytest.approx(np.log(6))}, 6)]


def test_training_draws_them_too_unless_quiet(images, narrow, light, tmp_path):
    result = tiny_runs.invoke(*tiny_runs.small(images, "--out", tmp_path / "loud", "--plot"))
    for name in ("curves", "filters", "neighbours", "components"):
        assert f"{name:<13} {tmp_path / 'loud' / name}.png" in result.stdout
    tiny_runs.invoke(*tiny_runs.small(images, "--out", tmp_path / "quiet", "--plot", "--quiet"))
    assert [path.name for path in (tmp_path / "quiet").glob("*.png")] == ["curves.png"]


# ---- refusals


def test_without_matplotlib_one_line_says_so(run, monkeypatch):
    monkeypatch.setattr(plots, "available", lambda: False)
    assert tiny_runs.refused("plot", run) == "dimref: " + plots.MISSING
