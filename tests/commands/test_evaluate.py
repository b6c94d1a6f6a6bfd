"""`dimref evaluate`: the table, the files, what is left out, and every refusal in one line."""

import json
import math
import re
import sys

import numpy as np
import pytest
import tiny_runs

from dimref import plots
from dimref.evaluation import evaluate
from dimref.evaluation.probes import linear


def trained_on(root, *options, n=120, **arrays):
    """Train three steps on tiny images of 12×12, with arrays of the file changed; the run's directory."""
    path, out = tiny_runs.write_npz(root / "images.npz", **{"n": n, "side": 12, **arrays}), root / "run"
    assert tiny_runs.invoke(*tiny_runs.small(path, "--out", out, "--quiet", "--no-plot", *options)).exit_code == 0
    return out


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that is copied, not changed."""
    with pytest.MonkeyPatch.context() as patch:
        tiny_runs.narrow(patch)
        return trained_on(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def train(narrow, tmp_path):
    """Train a run of its own."""

    def call(*options, name="own", **arrays):
        (tmp_path / name).mkdir()
        return trained_on(tmp_path / name, *options, **arrays)

    return call


@pytest.fixture
def no_picture(monkeypatch):
    monkeypatch.setattr(plots, "accuracies", lambda run, title: run / "accuracies.png")


QUICK = ("--probe", "linear", "--measures", "none")


def evaluated(*args):
    """What was printed, and the evaluation.json that was written."""
    result = tiny_runs.invoke("evaluate", *args)
    assert result.exit_code == 0, result.output
    return result.stdout, json.loads((args[0] / "evaluation.json").read_text())


def table(text):
    """{(row, encoder): numbers as text} of the printed table."""
    found, name = {}, ""
    for line in text.splitlines():
        row = re.match(r"(.{13}) (trained|untrained|raw pixels) +(.*)", line)
        if row:
            name = row[1].strip() or name
            found[name, row[2]] = re.split(r"  +\[|  +above", row[3])[0].split()
    return found


# ---- what is printed and written


def test_without_options_two_probes_and_three_measures_stand_beside_their_baselines(run):
    text, content = evaluated(run)
    rows = table(text)
    assert list(rows) == [
        *((name, encoder) for name in ("linear", "mlp") for encoder in ("trained", "untrained", "raw pixels")),
        *((name, encoder) for name in ("MINE, nats", "NDM, nats", "MS-SSIM") for encoder in ("trained", "untrained")),
    ]
    assert [len(numbers) for numbers in rows.values()] == [3, 3, 1, 3, 3, 1] + [1] * 6
    names = {"linear": "linear", "mlp": "mlp", "mine": "MINE, nats", "ndm": "NDM, nats", "ms-ssim": "MS-SSIM"}
    places = {"conv": 0, "fc": 1, "y": 2, "pixels": 0}
    for cell in content["results"]:
        row = rows[names[cell["name"]], "raw pixels" if cell["encoder"] == "raw" else cell["encoder"]]
        number = row[places[cell["feature"]] if cell["kind"] == "probe" else 0]
        scale, digits = (100, 1) if cell["kind"] == "probe" else (1, 3)
        assert number == f"{scale * cell['mean']:.{digits}f}"
        assert cell["std"] is None
        assert cell["values"] == [cell["mean"]]
    assert len(content["results"]) == 2 * 7 + 3 * 2
    assert "accuracy in % on test images; 33 % by chance" in text
    assert f"results       {run / 'evaluation.json'}" in text
    assert f"accuracies    {run / 'accuracies.png'}" in text
    assert max(map(len, text.splitlines())) <= 100 + len(str(run))
    assert not list(run.glob(".*"))


def test_the_file_says_what_was_judged_on_what(run, no_picture):
    _, content = evaluated(run, *QUICK, "--seeds", 2)
    assert content["checkpoint"] == str(run / "newest.npz")
    assert (content["step"], content["seeds"], content["left_out"]) == (3, [0, 1], {})
    data = content["data"]
    assert (data["train_count"], data["test_count"], data["test_images"]) == (120, 60, "test split")
    assert data["chance"] == pytest.approx(1 / 3)
    assert content["machine"]["backend"] == "numpy"
    (cell,) = [c for c in content["results"] if (c["encoder"], c["feature"]) == ("trained", "fc")]
    assert cell["details"][0].keys() == {"penalty"}


def test_measures_say_their_interval_their_limit_and_their_scales(run):
    text, content = evaluated(run, "--probe", "none", "--seeds", 2)
    cells = {(cell["name"], cell["encoder"]): cell for cell in content["results"]}
    mine, ndm, alike = (cells[name, "trained"] for name in ("mine", "ndm", "ms-ssim"))
    assert mine["certifiable"] == ndm["certifiable"] == pytest.approx(math.log(60))
    low, high = mine["interval"]
    assert low <= mine["mean"] <= high
    assert f"[{low:.3f}, {high:.3f}]" in text
    assert alike["weights"] == [1.0]
    flat = " ".join(text.split())
    assert "scales of 12×12: 1, weights 1.000" in flat
    assert "not I, which lies above" in flat
    assert f"No sample of that many test images certifies more than about their log, {math.log(60):.3f}." in flat
    assert "accuracies " not in text
    assert not (run / "accuracies.png").exists()


def test_a_measure_above_what_the_sample_certifies_is_marked(run, monkeypatch):
    monkeypatch.setattr(evaluate.ndm, "ndm", lambda *args: evaluate.Dependence(5.0, 3, None))
    text, _ = evaluated(run, "--probe", "none", "--measures", "ndm")
    assert re.search(r"NDM, nats +trained +5.000  above 4.094", text)


def test_seeds_begin_with_the_runs_and_give_mean_and_deviation(train, no_picture):
    run = train("--seed", 7)
    text, content = evaluated(run, "--probe", "linear,knn", "--measures", "none", "--seeds", 3, "--limit", 50)
    assert content["seeds"] == [7, 8, 9]
    for cell in content["results"]:
        assert cell["mean"] == pytest.approx(np.mean(cell["values"]))
        assert cell["std"] == pytest.approx(np.std(cell["values"], ddof=1))
    first = content["results"][0]
    assert f"{100 * first['mean']:.1f} ± {100 * first['std']:.1f}" in text
    assert "mean ± standard deviation over seeds" in text
    assert max(map(len, text.splitlines())) <= 100 + len(str(run))


def test_train_and_evaluate_print_the_same_linear_probe(train, images, tmp_path, no_picture):
    result = tiny_runs.invoke(*tiny_runs.small(images, "--out", tmp_path / "loud", "--no-plot"))
    text, _ = evaluated(tmp_path / "loud", *QUICK)

    def rows(printed):
        lines = (re.match(r".{13} (trained|untrained|raw pixels)(.*)", line) for line in printed.splitlines())
        return [(line[1], line[2].split()) for line in lines if line]

    assert [(name, cells[::-1]) for name, cells in rows(result.stdout)] == rows(text)  # train prints y first
    assert len(rows(text)) == 3


def test_the_same_command_writes_the_same_file(run, no_picture):
    evaluated(run, "--probe", "linear,mlp", "--measures", "mine,ndm")
    first = (run / "evaluation.json").read_bytes()
    evaluated(run, "--probe", "mlp, linear", "--measures", "ndm,mine")
    assert (run / "evaluation.json").read_bytes() == first


def test_json_alone_is_alone_and_a_file_stands_beside_the_table(run, tmp_path, no_picture):
    alone = tiny_runs.invoke("evaluate", run, *QUICK, "--json")
    assert json.loads(alone.stdout) == json.loads((run / "evaluation.json").read_text())
    text, content = evaluated(run, *QUICK, "--json", tmp_path / "there.json")
    assert json.loads((tmp_path / "there.json").read_text()) == content
    assert "linear" in text


def test_progress_is_told_on_the_error_stream(run, no_picture):
    result = tiny_runs.invoke("evaluate", run, *QUICK, "--features", "y")
    lines = result.stderr.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [
        ["1/3", "linear of y, trained, seed 0"],
        ["2/3", "linear of y, untrained, seed 0"],
        ["3/3", "linear of pixels, raw, seed 0"],
    ]


def test_only_the_columns_asked_for_are_shown(run, no_picture):
    text, content = evaluated(run, *QUICK, "--features", "y,conv")
    assert "conv      y" in text
    assert {cell["feature"] for cell in content["results"]} == {"conv", "y", "pixels"}


def test_other_data_and_the_best_checkpoint(run, tmp_path, no_picture):
    other = tiny_runs.write_npz(tmp_path / "other.npz", n=45, side=12)
    text, content = evaluated(run, *QUICK, "--data-dir", other, "--checkpoint", "best")
    assert content["data"]["train_count"] == 45
    assert f"{run / 'best.npz'}, step 3" in text


def test_the_runs_limit_holds_for_training_images_unless_said(train, no_picture):
    run = train("--limit", 30)
    assert evaluated(run, *QUICK)[1]["data"]["train_count"] == 30
    assert evaluated(run, *QUICK, "--limit", 50)[1]["data"]["train_count"] == 50


# ---- what is left out


def test_without_labels_only_measures_remain(train):
    run = train(labels=None, test_labels=None)
    text, content = evaluated(run)
    assert {cell["kind"] for cell in content["results"]} == {"measure"}
    assert content["left_out"] == dict.fromkeys(("linear", "mlp"), "the images have no labels, or some have none")
    assert content["data"]["chance"] is None
    assert "left out      mlp: the images have no labels, or some have none" in text
    assert "by chance" not in text


def test_what_small_images_and_small_sets_do_not_allow_is_left_out(train, no_picture):
    run = train(n=60, side=8)
    text, content = evaluated(run)
    assert content["left_out"] == {
        "mine": "needs 40 training and 40 test images, found 60 and 30",
        "ndm": "needs 40 training and 40 test images, found 60 and 30",
        "ms-ssim": "no window of 11×11 pixels fits into images of 8×8",
    }
    assert {cell["name"] for cell in content["results"]} == {"linear", "mlp"}
    assert text.count("left out") == 3


def test_without_matplotlib_the_table_comes_without_its_picture(run, monkeypatch):
    for module in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, module, None)
    text, _ = evaluated(run, *QUICK)
    assert "accuracies    none: pictures: expected matplotlib, found none" in text


# ---- refusals


ONE_CLASS = {"labels": np.zeros(120, np.int64)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--probe", "forest"), "expected some of linear, mlp, svm, svm-hinge, knn, or none, with commas between"),
        (("--probe", "linear,,mlp"), "found ''"),
        (("--probe", "linear,none"), "found 'none'"),
        (("--measures", "fid"), "--measures: expected some of mine, ndm, ms-ssim, sandwich, or none"),
        (("--features", "pixels"), "--features: expected some of conv, fc, y, with commas between, found 'pixels'"),
        (("--features", "none"), "--features: expected some of conv, fc, y"),
        (("--probe", "none", "--measures", "none"), "found none (none requested)"),
        (("--probe", "none", "--features", "y"), "--features: has no effect, since there is no probe; leave it out"),
        (("--limit", 0), "--limit: expected a number of at least 1, found 0"),
        (("--limit", 9, "--probe", "knn"), "--probe knn: 9 training images are too few, 10 are the least; leave it out"),
        (("--limit", 30, "--measures", "mine"), "--measures mine: needs 40 training and 40 test images, found 30 and 30"),
        (("--data", "shapes", "--limit", 20), "expected images of 12×12×1, which the encoder was made for, found 32×32×3"),
        (("--data", "cifar10"), "expected --data-dir PATH"),
        (("--noise", 0.5), "only shapes are drawn with noise"),
        (("--data-dir", "nowhere"), "nowhere: expected"),
        (("--json", "nowhere/at/all.json"), "--json nowhere/at/all.json: expected a file in a directory that exists"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_in_one_line(run, options, words):
    assert words in tiny_runs.refused("evaluate", run, *options)
    assert not (run / "evaluation.json").exists()


def test_labels_that_are_asked_for_and_missing_are_refused(train):
    run = train(labels=None, test_labels=None)
    line = tiny_runs.refused("evaluate", run, "--probe", "linear")
    assert "--probe linear: the images have no labels, or some have none; leave it out" in line
    line = tiny_runs.refused("evaluate", run, "--measures", "none")
    assert "found none (linear: the images have no labels" in line
    run = train(name="one class", **ONE_CLASS)
    assert "the training images are all of one class" in tiny_runs.refused("evaluate", run, "--probe", "svm")


def test_scikit_learn_is_missed_in_one_line(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    line = tiny_runs.refused("evaluate", run, "--probe", "linear,svm")
    assert line == (
        "dimref: --probe svm: expected scikit-learn, found it not installed; install it with "
        "pip install '.[eval]'; leave it out"
    )
    evaluated(run, *QUICK)


def test_an_encoder_that_diverged_is_told(run):
    tiny_runs.change(run / "newest.npz", lambda meta, arrays: arrays["parameters/encoder/y/b"].fill(np.nan))
    assert "expected finite numbers and no variance below 0, found others in y/b" in tiny_runs.refused(
        "evaluate", run, *QUICK
    )
    assert not (run / "evaluation.json").exists()


def test_a_run_that_cannot_be_written_to_is_told_before_the_work(run, monkeypatch):
    monkeypatch.setattr(linear, "_fit", lambda *_: pytest.fail("a probe was trained"))
    (run / "evaluation.json").mkdir()
    assert "evaluation.json: expected a file" in tiny_runs.refused("evaluate", run, *QUICK)


# ---- ends before the end


def test_the_sandwich_has_two_bounds_and_needs_the_size_of_its_noise(run, no_picture):
    text, content = evaluated(run, "--probe", "none", "--measures", "sandwich", "--sigma", 0.5)
    for cell in content["results"]:
        (detail,) = cell["details"]
        assert detail["interval"][0] < cell["mean"] < detail["upper"] < detail["interval"][1]
        assert cell["mean"] < cell["certifiable"] == pytest.approx(math.log(60))
    assert re.search(r"I, nats +trained +\d+\.\d{3}  \[\d+\.\d{3}, \d+\.\d{3}\]", text)
    for options in (("--measures", "sandwich"), ("--measures", "ndm", "--sigma", 1)):
        assert "--measures sandwich: expected --sigma S" in tiny_runs.refused("evaluate", run, *options)
