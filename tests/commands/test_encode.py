"""`dimref encode`: what is encoded when nothing is said, and every refusal in one line."""

import numpy as np
import pytest
import tiny_runs

from dimref import data
from dimref.backend import NUMPY
from dimref.export import inference
from dimref.export.inference import Encoder


def features(run, images, split="train", kind="conv", checkpoint="newest.npz", limit=None):
    found = data.load("npz", split, images, limit)
    return inference.load(run, NUMPY, checkpoint)[0].features(found.images)[kind], found.labels


def rows(result):
    assert result.exit_code == 0, result.output
    return dict(line.split(maxsplit=1) for line in result.stdout.splitlines())


def test_without_options_every_training_image_of_the_run_is_encoded(run, images):
    """All 60 of them, also the ones that were held out."""
    printed = rows(tiny_runs.invoke("encode", run))
    written = np.load(run / "train-conv.npy", allow_pickle=False)
    expected, labels = features(run, images)
    assert written.shape == expected.shape
    np.testing.assert_array_equal(written, expected)
    np.testing.assert_array_equal(np.load(run / "train-conv.labels.npy"), labels)
    assert printed["encoder"] == f"{run}/newest.npz, step 3"
    assert printed["features"].startswith(f"{run / 'train-conv.npy'}: conv of 60 images, ")
    assert printed["labels"] == str(run / "train-conv.labels.npy")
    assert not list(run.glob(".*"))


def test_split_features_limit_checkpoint_and_place_can_be_said(run, images, tmp_path):
    out = tmp_path / "here.npy"
    options = ("--split", "test", "--features", "conv", "--limit", 11, "--checkpoint", "best", "--out", out)
    printed = rows(tiny_runs.invoke("encode", run, *options))
    expected, labels = features(run, images, "test", "conv", "best.npz", 11)  # a BLAS may round other batches otherwise
    np.testing.assert_array_equal(np.load(out), expected)
    np.testing.assert_array_equal(np.load(tmp_path / "here.labels.npy"), labels)
    assert printed["encoder"].startswith(f"{run}/best.npz")
    assert "npz test: 11 images" in printed["data"]


def test_another_file_of_the_same_kind(run, tmp_path):
    other = tiny_runs.write_npz(tmp_path / "other.npz", n=21, labels=None, test_labels=None)
    rows(tiny_runs.invoke("encode", run, "--data-dir", other, "--out", tmp_path / "y.npy"))
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), features(run, other)[0])
    assert set(np.load(tmp_path / "y.labels.npy")) == {-1}  # it has none


def test_another_dataset_does_not_take_over_the_runs_directory(run):
    line = tiny_runs.refused("encode", run, "--data", "shapes", "--limit", 20)
    assert "expected images of 8×8×1, which the encoder was made for, found 32×32×3" in line
    assert "expected --data-dir PATH" in tiny_runs.refused("encode", run, "--data", "cifar10")
    assert not list(run.glob("*.npy"))


def test_shapes_are_drawn_as_the_runs_unless_said(narrow, tmp_path):
    length, drawn = ("--steps", 1, "--batch-size", 4, "--limit", 20), ("--noise", 0.1, "--shared", "shape")
    run = tmp_path / "run"
    assert tiny_runs.invoke("train", "--out", run, *length, *drawn, "--quiet", "--no-plot").exit_code == 0
    for options, noise, shared in (((), 0.1, "shape"), (("--noise", 0, "--shared", "colour"), 0.0, "colour")):
        rows(tiny_runs.invoke("encode", run, "--limit", 12, *options))
        expected = data.load("shapes", "train", limit=12, noise=noise, shared=shared)
        np.testing.assert_array_equal(np.load(run / "train-conv.labels.npy"), expected.labels)
        images = expected.images
        np.testing.assert_array_equal(
            np.load(run / "train-conv.npy"), inference.load(run, NUMPY)[0].features(images)["conv"]
        )
    tiny_runs.refused("encode", run, "--noise", 7)


# ---- refusals


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--out", "features.txt"), "--out: expected a name that ends in .npy, found features.txt"),
        (("--out", "nowhere/at/all.npy"), "expected a file in a directory that exists, found none"),
        (("--limit", 0), "limit: expected at least 1 image, found 0"),
        (("--noise", 0.5), "only shapes are drawn with noise"),
        (
            ("--data-dir", "nowhere"),
            "nowhere: expected a .npz file, or a folder with one, found no such file or folder",
        ),
    ],
)
def test_options_that_cannot_work_are_refused(run, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    assert words in tiny_runs.refused("encode", run, *options)
    assert not list(tmp_path.rglob("*.npy"))
    assert not list(tmp_path.rglob(".*"))


def test_a_checkpoint_of_another_layout_is_refused(run):
    tiny_runs.change(run / "newest.npz", lambda meta, arrays: meta["layout"].update(fc=17))
    assert (
        "fc/w as float32 (32, 17), found float32 (32, 16): a checkpoint of another configuration"
        in tiny_runs.refused("encode", run)
    )


def test_a_place_that_cannot_be_written_to_is_told_before_the_work(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Encoder, "batches", lambda *_: pytest.fail("images were encoded"))
    (tmp_path / "f.npy").write_text("old")
    (tmp_path / "f.labels.npy").mkdir()
    line = tiny_runs.refused("encode", run, "--out", tmp_path / "f.npy")
    assert line.startswith(f"dimref: --out {tmp_path / 'f.labels.npy'}: expected a file")
    assert (tmp_path / "f.npy").read_text() == "old"
