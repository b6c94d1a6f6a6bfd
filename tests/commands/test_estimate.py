"""`dimref estimate`: the table, the JSON and the picture of samples in files; every refusal in one line."""

import json
import math
import re

import numpy as np
import pytest
import tiny_runs

from dimref import plots
from dimref.estimation import MutualInformation

QUICK = ("--folds", 2, "--steps", 50, "--batch-size", 32)


@pytest.fixture
def files(tmp_path):
    """Gaussian pairs with ρ = 0.8, 200 of them, as two files and as one."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(200)
    y = np.column_stack([0.8 * x + 0.6 * rng.standard_normal(200), np.full(200, 3)])
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    np.savez(tmp_path / "both.npz", x=x, y=y, task=np.array("a name"))
    return tmp_path


def rows(text):
    """(nats, interval) of every row of the table."""
    found = re.findall(r"^(\S.*?) +(-?\d+\.\d{3})   (?:(-?\d+\.\d{3}) … (-?\d+\.\d{3}))?", text, re.MULTILINE)
    return {name: tuple(float(number) for number in numbers if number) for name, *numbers in found}


def test_the_table_has_the_estimates_of_the_class_and_says_what_they_are(files):
    done = tiny_runs.invoke("estimate", files / "x.npy", files / "y.npy", *QUICK)
    assert done.exit_code == 0
    x, y = np.load(files / "x.npy"), np.load(files / "y.npy")
    expected = MutualInformation(folds=2, steps=50, batch_size=32).fit(x, y)
    found = rows(done.stdout)
    assert found["infonce"] == tuple(round(v, 3) for v in (expected.nats_, *expected.interval_))
    assert found["infonce, plug-in"][0] == round(expected.estimates_["plug-in"].nats, 3)
    assert abs(found["infonce"][0] - 0.511) < 0.2
    for words in (
        "200 of x in 1 dimension and y in 2 dimensions; transform: rank",
        "in 2 folds of 100; 85 to train on, 15 to stop by; separable critic",
        "note          y: 1 of 2 columns constant",
        "lower bound on I",
        f"{math.log(100):.3f}",
        "The interval covers what these critics have in expectation; I lies above",
    ):
        assert words in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert abs(found["KSG"][0] - 0.511) < 0.2


def test_counts_and_sizes_are_compared_before_anything_is_unpacked(tmp_path, monkeypatch):
    """Truth values become numbers of 8 bytes; zeros by the million are packed into a few."""
    monkeypatch.setattr("dimref.data.npy.read_exactly", None)
    monkeypatch.setattr("dimref.data.files.MOST_UNPACKED", 50_000)
    for x, y, line in (
        (10_000, 9_999, "a.npz: expected one row of y for each of x, found 10000 and 9999 rows"),
        (10_000, 10_000, "array 'x': expected at most 6250 bytes (if it truly holds more, unpack it), found 10000 for"),
    ):
        np.savez_compressed(tmp_path / "a.npz", x=np.zeros(x, bool), y=np.zeros(y))
        assert line in tiny_runs.refused("estimate", tmp_path / "a.npz")


def test_one_npz_holds_both(files):
    two, one = (
        tiny_runs.invoke("estimate", *names, *QUICK).stdout
        for names in ((files / "x.npy", files / "y.npy"), (files / "both.npz",))
    )
    assert rows(one) == rows(two)


def test_all_bounds_and_json(files):
    done = tiny_runs.invoke("estimate", files / "both.npz", "--bound", "all", *QUICK, "--json", files / "out.json")
    assert done.exit_code == 0
    names = ["infonce", "infonce, plug-in", "jsd, plug-in", "jsd", "smile", "dv", "nwj"]
    assert [name for name in rows(done.stdout) if name != "KSG"] == names
    assert "jsd: a bound on 2·JS, not on I; of I it certifies" in done.stdout
    assert "smile: no bound" in done.stdout
    content = json.loads((files / "out.json").read_text())
    assert (content["samples"], content["dimensions"], content["held_out_together"]) == (200, [1, 2], 100)
    assert [(e["trained_with"], e["reading"]) for e in content["estimates"]][:3] == [
        ("infonce", "infonce"),
        ("infonce", "plug-in"),
        ("jsd", "plug-in"),
    ]
    first = content["estimates"][0]
    assert round(first["nats"], 3) == rows(done.stdout)["infonce"][0]
    assert first["ceiling"] == pytest.approx(math.log(100))
    assert content["estimates"][1]["ceiling"] == "inf"
    assert [e["is_bound"] for e in content["estimates"]] == [True, True, True, True, False, True, True]


def test_json_alone_is_all_that_is_printed(files):
    done = tiny_runs.invoke("estimate", files / "both.npz", *QUICK, "--json")
    assert json.loads(done.stdout)["parameters"]["steps"] == 50


def test_the_picture_is_where_it_was_asked_for(files):
    pytest.importorskip("matplotlib")
    done = tiny_runs.invoke("estimate", files / "both.npz", *QUICK, "--plot", files / "p.png")
    assert f"picture       {files / 'p.png'}" in done.stdout
    assert (files / "p.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_drawn_is_told_before_the_training(files, monkeypatch):
    assert "--plot" in tiny_runs.refused("estimate", files / "both.npz", "--plot", files / "none" / "p.png")
    monkeypatch.setattr(plots, "available", lambda: False)
    assert "expected matplotlib" in tiny_runs.refused("estimate", files / "both.npz", "--plot", files / "p.png")


@pytest.mark.parametrize(
    ("x", "y", "line"),
    [
        (np.zeros(100), np.zeros(99), "x and y: expected one row of y for each of x, found 100 and 99 rows"),
        (np.zeros(49), np.zeros(49), "x and y: expected at least 50 samples, found 49"),
        (np.full(100, np.nan), np.zeros(100), "x: expected finite numbers, found nan in row 0, column 0"),
        (np.zeros(100), np.zeros((100, 2, 2)), "y: expected samples in rows, (N,) or (N, D), found (100, 2, 2)"),
        (np.zeros(0), np.zeros(0), "x: expected at least one number, found an empty array (0,)"),
        (np.array(1.0), np.zeros(100), "x: expected samples in rows"),
        (np.array([{}] * 60, object), np.zeros(60), "x.npy: expected numbers (float, integer or bool), found object"),
        (np.array(["a"] * 60), np.zeros(60), "x.npy: expected numbers"),
        (np.zeros(60, complex), np.zeros(60), "x.npy: expected numbers"),
    ],
    ids=range(9),
)
def test_samples_that_cannot_be_used_are_told_in_a_line(x, y, line, tmp_path):
    np.save(tmp_path / "x.npy", x, allow_pickle=True)
    np.save(tmp_path / "y.npy", y)
    assert line in tiny_runs.refused("estimate", tmp_path / "x.npy", tmp_path / "y.npy")


def test_files_that_cannot_be_used_are_told_in_a_line(files):
    (files / "empty.npy").write_bytes(b"")
    np.savez(files / "other.npz", a=np.zeros(60))
    assert "no such file" in tiny_runs.refused("estimate", files / "none.npy", files / "y.npy")
    assert "empty.npy: expected a sound .npy file" in tiny_runs.refused(
        "estimate", files / "empty.npy", files / "y.npy"
    )
    assert "other.npz: expected arrays x and y, found a" in tiny_runs.refused("estimate", files / "other.npz")
    assert "or a second file with y" in tiny_runs.refused("estimate", files / "x.npy")
    assert "folds: expected 3 samples in each" in tiny_runs.refused("estimate", files / "both.npz", "--folds", 150)


@pytest.mark.parametrize("options", [("--bound", "mine"), ("--folds", 1), ("--threads", 0), ("--critic", "dot")])
def test_unknown_words_are_refused(files, options):
    assert tiny_runs.invoke("estimate", files / "both.npz", *options).exit_code == 2
