"""What is said at the end of a run: bounds with their ceilings, probes beside their baselines, what to type next."""

import math
import re
import sys

import numpy as np
import pytest
import tiny_runs

from dimref import plots
from dimref.training import loop

pytestmark = pytest.mark.usefixtures("narrow")


@pytest.fixture
def printed(tmp_path):
    """Train on an .npz file and give what was printed, as a dict of the rows' names and texts."""

    def call(*options, path=None, **arrays):
        path = path or tiny_runs.write_npz(tmp_path / "images.npz", **arrays)
        result = tiny_runs.invoke(*tiny_runs.small(path, "--out", tmp_path / "run", "--no-plot", *options))
        assert result.exit_code == 0, result.output
        return {line[:13].strip(): line[14:] for line in result.stdout.splitlines() if line[:1] != " "}, result.stdout

    return call


@pytest.mark.parametrize(
    ("options", "ceiling"),
    [
        (["--bound", "jsd"], "of at most 1.386"),  # log 4
        (["--bound", "infonce"], "of at most 1.386"),  # log of the 4 images of a batch
        (["--bound", "infonce", "--negatives", "all-locations"], "of at most 3.892"),  # log(1 + 3·16), on 4×4 locations
        (["--bound", "infonce", "--local-scorer", "concat", "--candidates", 3], "of at most 1.099"),  # log 3
        (["--bound", "dv"], "no ceiling"),
    ],
)
def test_the_bound_is_printed_with_its_ceiling(printed, options, ceiling):
    rows, _ = printed(*options)
    assert rows["local bound"].endswith(ceiling)
    assert "nats held out" in rows["local bound"]


def test_the_ceiling_is_of_the_held_out_batch_where_that_is_smaller(printed):
    rows, _ = printed("--bound", "infonce", "--batch-size", 20)
    assert rows["local bound"].endswith(f"of at most {math.log(6):.3f}")


def test_the_prior_is_printed_beside_its_equilibrium(printed):
    assert printed()[0]["prior"].endswith("nats, -1.386 where y cannot be distinguished from the prior")


def test_all_locations_is_printed_with_what_it_certifies(printed):
    rows, _ = printed("--bound", "infonce", "--negatives", "all-locations")
    assert "a bound on I, which all-locations itself is not" in rows["certified"]


@pytest.mark.parametrize(
    ("bound", "value", "warned"), [("dv", 1.39, 1), ("nwj", 1.39, 1), ("dv", 1.38, 0), ("jsd", 9, 0)]
)
def test_a_bound_above_log_of_the_held_out_count_is_warned_of(printed, monkeypatch, bound, value, warned):
    monkeypatch.setattr(loop, "held_out_terms", lambda task, state: {"local": value, "prior": -1.4})
    rows, _ = printed("--bound", bound)
    assert ("warning" in rows) == warned
    if warned:
        assert "above log of the 4 held-out images (1.386)" in rows["warning"]


def test_probes_stand_beside_their_baselines_with_their_counts(printed):
    rows, text = printed()
    assert rows["linear probe"] == "accuracy in % on 30 test images (test split), trained on 60; 33 % by chance"
    table = [line.split() for line in text.splitlines() if line.startswith(" ")]
    assert table[0] == ["y", "fc", "conv"]
    assert [row[0] for row in table[1:]] == ["trained", "untrained", "raw"]
    accuracies = [float(word) for row in table[1:] for word in row if word.replace(".", "").isdigit()]
    assert len(accuracies) == 7
    assert all(0 <= value <= 100 for value in accuracies)
    y, before, pixels = accuracies[0], accuracies[3], accuracies[6]
    gaps = r"tells (\d+) % of classes: (\d+) points (\w+) raw pixels, (\d+) points (\w+) the untrained y"
    said = re.search(gaps, rows["learned"])
    assert abs(float(said[1]) - y) <= 0.51
    for gap, points, word in ((y - pixels, said[2], said[3]), (y - before, said[4], said[5])):
        assert abs(abs(gap) - float(points)) <= 0.61
        assert word == ("above" if gap > 0 else "below")


def test_a_limit_is_that_of_the_probes_training_images_too(printed):
    assert "trained on 20;" in printed("--limit", 20)[0]["linear probe"]


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"labels": None, "test_labels": None}, "the images have no labels, or some have none"),
        ({"labels": np.zeros(60, np.int64)}, "the training images are all of one class"),
    ],
    ids=["none", "one class"],
)
def test_without_labels_there_is_no_probe(printed, arrays, reason):
    rows, _ = printed(**arrays)
    assert rows["probe"] == f"none: {reason}"
    assert "next" in rows


def test_without_a_test_split_a_fifth_of_the_training_images_is_left_out_of_the_probes(printed):
    rows, _ = printed(test_images=None, test_labels=None)
    assert "12 test images (a fifth of the training images, since there is no test split" in rows["linear probe"]
    assert "trained on 48;" in rows["linear probe"]


def test_a_folder_of_training_images_alone_is_probed(printed, tmp_path):
    image = pytest.importorskip("PIL.Image")
    for label in ("cat", "dog"):
        (tmp_path / "folder" / label).mkdir(parents=True)
        for k in range(30):
            image.fromarray(np.full((8, 8), 4 * k, np.uint8)).save(tmp_path / "folder" / label / f"{k}.png")
    rows, _ = printed("--data", "folder", path=tmp_path / "folder")
    assert "since there is no test split" in rows["linear probe"]


def test_test_images_of_another_size_end_the_probes_and_not_the_run(printed):
    rows, _ = printed(test_images=np.zeros((30, 8, 8, 3), np.uint8))
    assert "none: npz test:" in rows["probe"]
    assert "expected test images of the training images' size 8×8×1" in rows["probe"]
    assert "next" in rows


def test_a_damaged_test_set_ends_the_probes_and_not_the_run(printed, tmp_path):
    path = tmp_path / "cifar"
    path.mkdir()
    (path / "data_batch_1.bin").write_bytes(bytes(3073 * 60))
    (path / "test_batch.bin").write_bytes(bytes(100))
    rows, _ = printed("--data", "cifar10", path=path)
    assert rows["probe"].startswith(f"none: {path}/test_batch.bin: expected a whole number of 3073-byte records")
    assert "next" in rows


# ---- the picture


def test_a_picture_that_was_asked_for_without_matplotlib_is_refused_before_the_training(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    path = tiny_runs.write_npz(tmp_path / "images.npz")
    line = tiny_runs.refused(*tiny_runs.small(path, "--out", tmp_path / "run", "--plot"))
    assert "install it with pip install '.[plot]'" in line
    assert not (tmp_path / "run").exists()


def test_a_picture_that_was_not_asked_for_is_left_out_in_silence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not plots.available()
    path = tiny_runs.write_npz(tmp_path / "images.npz")
    result = tiny_runs.invoke(*tiny_runs.small(path, "--out", tmp_path / "run"))
    assert result.exit_code == 0
    assert "curves" not in result.output
    assert "matplotlib" not in result.output
