"""`dimref estimate`: the table, the JSON and the picture of samples in files; every refusal in one line."""

import html
import json
import math
import re

import numpy as np
import pytest
import tiny_runs

from dimref import plots
from dimref.estimation import MutualInformation, report

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
    assert content["estimates"][1]["ceiling"] is None
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


def test_columns_of_a_table_by_name_categories_z_a_p_value_and_bits(tmp_path):
    rng = np.random.default_rng(1)
    k, z, noise = rng.integers(0, 2, 120), *rng.standard_normal((2, 120))
    size = k + z + 0.1 * noise
    np.save(tmp_path / "z.npy", z)
    lines = [
        f"{('blue', 'red')[a]};{b!r};{c!r};{d!r}"
        for a, b, c, d in zip(k, *np.array([z, noise, size]).tolist(), strict=True)
    ]
    (tmp_path / "t.csv").write_text("colour;z;noise;size\n" + "\n".join(lines))
    table, colour = ("estimate", tmp_path / "t.csv", *QUICK, "--steps", 5), ("--x", "colour", "--categorical", "x")
    done = tiny_runs.invoke(
        *table, *colour, "--y", "size", "--null", 3, "--base", "bits", "--json", tmp_path / "a.json"
    )
    expected = MutualInformation(folds=2, steps=5, batch_size=32, categorical="x", null=3).fit(k, size)
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["estimates"][0]["bits"] == pytest.approx(expected.bits_)
    assert rows(done.stdout)["infonce"][0] == round(expected.bits_, 3)
    assert content["null"][0]["p_value"] == expected.p_value_
    assert f"null          infonce: p = {expected.p_value_:.3g}; " in done.stdout
    assert "x has 2 different rows, so I is at most log 2 = 1.000 bits" in done.stdout
    by_name, by_file = (
        tiny_runs.invoke(*table, *colour, "--y", "size", "--given", given).stdout for given in ("z", tmp_path / "z.npy")
    )
    found = rows(by_name)
    assert rows(by_file) == found
    assert found["infonce"][0] == pytest.approx(
        found["I(x; y, z), infonce"][0] - found["I(x; z), infonce"][0], abs=0.0011
    )
    assert "KSG" not in found
    for options, line in (
        ((), "t.csv: expected --y and the columns that are y, of colour, z, noise, size, found none"),
        (("--y", "weight"), "t.csv, --y: expected columns of colour, z, noise, size, found weight"),
        (("--y", "size"), "t.csv, column 'colour': expected numbers (for texts, --categorical and its side), found '"),
        (("--y", "colour,z,noise,size"), "a column for x beside those of --y and --given, found none"),
    ):
        assert line in tiny_runs.refused(*table, *options)
    line = tiny_runs.refused("estimate", tmp_path / "z.npy", tmp_path / "z.npy", "--given", "none.npy")
    assert "--given none.npy: expected a file, or names of columns of one .csv file" in line


def test_what_is_wrong_with_the_rows_comes_first(tmp_path):
    x, y = np.random.default_rng(0).standard_normal((2, 200)).cumsum(axis=1)
    np.savez(tmp_path / "walks.npz", x=x, y=y)
    first, held = (
        tiny_runs.invoke("estimate", tmp_path / "walks.npz", *QUICK, *more).stdout for more in ((), ("--blocks", 10))
    )
    assert first.split("\n\n")[1].startswith("warning       neighbouring rows are alike")
    assert "warning" not in held
    assert "of whole runs of 20 rows" in held
    line = tiny_runs.refused("estimate", tmp_path / "walks.npz", "--blocks", 3, *QUICK)
    assert "blocks: expected 2 for each fold at least, found 3 for 2 folds" in line


def test_a_long_estimate_says_so_before_it_starts():
    x = np.zeros((1_000_000, 1))
    line = report.opening({"x": x, "y": x}, [MutualInformation()])[-1]
    assert re.match(r"cost +about \d+ to \d+ minutes on one core: 1 × 5 critics, then 2e\+10 pairs scored", line)
    lines = report.opening({"x": x, "y": x}, [MutualInformation(limit=10_000)])
    assert "10,000 of x in 1 dimension and y in 1 dimension, drawn of 1,000,000" in lines[0]
    assert not any(line.startswith("cost") for line in lines)


def test_the_page_stands_alone_and_has_the_table(files):
    done = tiny_runs.invoke("estimate", files / "both.npz", *QUICK, "--html", files / "e.html")
    page = (files / "e.html").read_text()
    assert f"page          {files / 'e.html'}" in done.stdout
    assert not re.findall(r"(?i)https?:|url\(|@import|<script|<link|src=", page)
    value, low, high = rows(done.stdout)["infonce"]
    assert f"I(x; y): {value:.3f} nats, 95 % interval {low:.3f} to {high:.3f}; lower bound on I." in page
    assert page.count("<polyline") >= 2 * 2  # a line and its name for each of two critics
    assert html.escape(done.stdout.split("page  ")[0].strip()) in page
    assert "--html" in tiny_runs.refused("estimate", files / "both.npz", "--html", files / "none" / "e.html")
