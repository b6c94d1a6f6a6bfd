"""`dimref export`: where the file lies, what is printed, what is refused."""

import numpy as np
import pytest
import tiny_runs


def test_without_options_pytorchs_layout_lies_in_the_run(run):
    result = tiny_runs.invoke("export", run)
    assert result.exit_code == 0
    with np.load(run / "weights.npz", allow_pickle=False) as archive:
        names = archive.files
        numbers = sum(archive[name].size for name in names)
    assert result.stdout.split() == ["weights", f"{run / 'weights.npz'}:", str(len(names)), "arrays,", f"{numbers:,}",
                                     "numbers,", "torch-layout-npz"]  # fmt: skip


def test_names_and_shapes_are_listed(run):
    lines = tiny_runs.invoke("export", run, "--list").stdout.splitlines()
    shapes = dict(line.split() for line in lines[:-1])
    assert shapes["encoder.conv2.weight"] == "8×4×4×4"
    assert shapes["encoder.fc.weight"] == "16×32"
    assert "encoder.norm1.running_mean" in shapes


def test_format_place_checkpoint_and_scorers_can_be_said(run, tmp_path):
    load_file = pytest.importorskip("safetensors.numpy").load_file
    out = tmp_path / "w.safetensors"
    result = tiny_runs.invoke(
        "export", run, "--format", "safetensors", "--out", out, "--checkpoint", "best", "--scorers"
    )
    assert result.exit_code == 0, result.output
    found = load_file(out)
    np.testing.assert_array_equal(found["encoder/y/w"], tiny_runs.arrays(run / "best.npz")["parameters/encoder/y/w"])
    assert "local/score/b" in found
    assert tiny_runs.invoke("export", run, "--format", "safetensors").exit_code == 0
    assert (run / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--out", "w.pt"), "--out: expected a name that ends in .npz, found w.pt"),
        (
            ("--out", "w.npz", "--format", "safetensors"),
            "--out: expected a name that ends in .safetensors, found w.npz",
        ),
        (("--out", "nowhere/w.npz"), "expected to write it, found: No such file or directory"),
    ],
)
def test_options_that_cannot_work_are_refused(run, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    assert words in tiny_runs.refused("export", run, *options)
    assert not list(run.glob("weights*"))
