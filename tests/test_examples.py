"""Each example script runs, and prints what it promises."""

import importlib.util
import json
import math
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import tiny_runs
from png_files import size

EXAMPLES = Path(__file__).parents[1] / "examples"
NEEDS_TORCH = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")
DRAWS = importlib.util.find_spec("matplotlib") is not None
NEEDS_MATPLOTLIB = pytest.mark.skipif(not DRAWS, reason="needs matplotlib")


def run(script, *arguments):
    command = [sys.executable, "-X", "utf8", EXAMPLES / script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module


def test_every_example_is_run_by_a_test():
    text = Path(__file__).read_text()
    assert [s.name for s in EXAMPLES.glob("*.py") if s.name not in text] == []


# ---- information


def test_bounds_of_a_gaussian_print_the_truth_and_ceilings():
    lines = dict(re.findall(r"(\w+) +(-?[\d.]+) nats", run("bounds_of_a_gaussian.py", 0.8)))
    truth = -2 * math.log(1 - 0.64)
    assert float(lines["truth"]) == round(truth, 3)
    # One batch: each estimate is within its sampling noise of the truth, and JSD below its own ceiling.
    assert abs(float(lines["InfoNCE"]) - truth) < 0.5
    assert 0.5 < float(lines["JSD"]) < math.log(4)


def test_info_nce_stops_at_its_ceiling_where_the_truth_goes_on():
    lines = dict(re.findall(r"(\w+) +(-?[\d.]+) nats", run("bounds_of_a_gaussian.py", 0.999)))
    assert float(lines["truth"]) > 12
    assert math.log(256) - 0.1 < float(lines["InfoNCE"]) <= math.log(256)


def test_the_staircase_prints_each_bound_beside_the_truth(tmp_path):
    picture = tmp_path / "stairs.png"
    printed = run("gaussian_staircase.py", *[picture] * DRAWS)
    found = re.findall(r"^(\S.*?)((?: +-?\d+\.\d{3}){5})", printed, re.MULTILINE)
    rows = {name: [float(value) for value in values.split()] for name, values in found}
    assert rows["I"] == [2, 4, 6, 8, 10]
    for name in ("DV", "NWJ"):  # at the optimal critic no ceiling, but a variance that grows: close while I is small
        assert rows[name][:3] == pytest.approx(rows["I"][:3], abs=0.3)
        assert rows[name][4] > 8
    for name, ceiling in (("InfoNCE", math.log(128)), ("JSD", math.log(4))):
        assert sorted(rows[name]) == rows[name]
        assert ceiling - 0.1 < rows[name][4] <= ceiling
    for certified, infonce, truth in zip(rows["I certified by JSD"], rows["InfoNCE"], rows["I"], strict=True):
        assert 0 < certified < truth
        assert infonce < truth
    assert not DRAWS or min(size(picture)) > 100


H_TENTH = -(0.1 * math.log(0.1) + 0.9 * math.log(0.9))
COIN_AND_DIE = [
    ("H(fair coin)", math.log(2)),
    ("H(coin that lands heads 9 times in 10)", H_TENTH),
    ("H(die)", math.log(6)),
    ("H(X, Y)", math.log(2)),
    ("H(X|Y)", 0.0),
    ("I(X; Y)", math.log(2)),
    ("I(X; Y)", math.log(2)),
    ("H(X|Y)", math.log(3)),
    ("ideal channel: I(X; Y)", math.log(6)),
    ("fully disturbed channel: I(X; Y)", 0.0),
    ("symmetric channel, a bit flips 1 time in 10", math.log(2) - H_TENTH),
    ("erasure channel, a bit is lost 1 time in 4", 0.75 * math.log(2)),
    ("Z-channel, a 1 arrives as 0 every other time", math.log(5 / 4)),
]


def test_every_number_of_coin_die_and_channel_is_the_closed_form():
    printed = run("coin_die_channel.py")
    found = re.findall(r"^(\S.*?) +(\d+\.\d{6}) nats +(\d+\.\d{6}) bits", printed, re.MULTILINE)
    assert [name for name, _, _ in found] == [name for name, _ in COIN_AND_DIE]
    for (name, nats, bits), (_, value) in zip(found, COIN_AND_DIE, strict=True):
        assert abs(float(nats) - value) <= 1e-6, name
        assert abs(float(bits) - value / math.log(2)) <= 1e-6, name
    gaps = [float(gap) for gap in re.findall(r"gap (\S+)$", printed, re.MULTILINE)]
    assert len(gaps) == 3
    assert all(0 <= gap <= 1e-9 for gap in gaps)


@pytest.mark.exhaustive
def test_noise_decides_between_diversity_and_redundancy():
    """Linsker's network."""
    printed = run("linsker_infomax.py")
    rows = re.findall(r"^ *([\d.]+) +(\d+)° +(\d+)° +(\d+)° +([\d.]+) +([\d.]+) +(\w+)$", printed, re.MULTILINE)
    assert [float(row[0]) for row in rows] == [0.01, 0.1, 0.3, 1, 3, 10]
    apart = [int(row[3]) for row in rows]
    assert apart == sorted(apart, reverse=True)
    assert (apart[0], apart[-1]) == (90, 0)  # orthogonal rows, then the same row twice
    assert rows[-1][1:3] == ("45", "45")  # the direction of the greatest variance
    most, repeated = ([float(row[k]) for row in rows] for k in (4, 5))
    assert most == sorted(most, reverse=True)
    assert all(a >= b for a, b in zip(most, repeated, strict=True))
    assert most[0] > repeated[0] + 1
    assert [row[6] for row in rows] == ["diversity"] * 4 + ["redundancy"] * 2


# ---- estimates


@pytest.mark.exhaustive
def test_coverage_is_counted():
    printed = run("coverage_of_an_estimate.py", 3, 100)
    assert re.search(r"expectation  0\.\d+ on average: covered by (0|33|67|100)% of the intervals", printed)


@pytest.mark.exhaustive
def test_estimates_lie_beside_the_truths(tmp_path):
    picture = tmp_path / "truths.png"
    printed = run("estimate_known_truths.py", 400, picture if DRAWS else "", 10)
    rows = re.findall(r"^(\S.*?) +(\d\.\d{3}) +(-?\d\.\d{3})   (-?\d\.\d{3}) … (-?\d\.\d{3})$", printed, re.MULTILINE)
    assert len(rows) == 9
    for k, (name, *numbers) in enumerate(rows):
        truth, estimate, low, high = map(float, numbers)
        assert low <= estimate <= high
        assert low < truth + 0.02, name  # a bound
        assert truth < high + 0.9, name  # 400 samples, few steps: what no Gaussian sees is missed
        assert k >= 5 or low - 0.06 < truth < high + 0.12, name
    assert not DRAWS or min(size(picture)) > 100


# ---- training


@pytest.mark.exhaustive
def test_training_from_python_raises_the_bound():
    values = [float(v) for v in re.findall(r"local bound (-?[\d.]+) nats", run("train_from_python.py", 40, 16))]
    assert len(values) == 4
    assert values[-1] > values[0] + 0.02


def test_encode_against_products_prints_the_ratio():
    assert re.search(r"ratio \d+\.\d\d", run("encode_against_products.py", 3))


@pytest.mark.exhaustive
def test_cost_against_size_prints_three_ladders_and_the_power(tmp_path):
    printed = run("cost_against_size.py", 256, 64, 64, *[tmp_path / "cost.png"] * DRAWS)
    sizes = [line.split()[0] for line in printed.splitlines() if re.fullmatch(r" +[\d,]+ +[\d.]+ +(\d+|nan)", line)]
    assert sizes == ["64", "128", "256", "64", "64"]
    assert re.search(r"grows as N to the power -?\d\.\d\d; 2 is expected", printed)
    assert not DRAWS or min(size(tmp_path / "cost.png")) > 100


@pytest.mark.exhaustive
@pytest.mark.skipif(importlib.util.find_spec("mpi4py") is None, reason="needs mpi4py")
def test_scaling_of_ranks_counts_what_the_formula_says(example, monkeypatch, capsys):
    """scaling_of_ranks.py, on two of its objectives."""
    scaling = example("scaling_of_ranks")
    monkeypatch.setattr(scaling, "OPTIONS", {name: scaling.OPTIONS[name] for name in ("DV, concat critic", "AMDIM")})
    scaling.main(1, 4, 2)
    printed = capsys.readouterr().out
    rows = re.findall(r"^ +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+)$", printed, re.MULTILINE)
    assert len(rows) == printed.count("weak, 512 ranks") == 2
    for numbers in rows:
        sums, counted, gathers, gathered = (int(number.replace(",", "")) for number in numbers)
        assert abs(sums - counted) < 400  # single numbers
        assert gathers == gathered


@pytest.mark.parametrize(
    "script", [pytest.param("picture_of_the_method.py", marks=pytest.mark.exhaustive), "picture_of_a_result.py"]
)
def test_pictures_are_drawn(script, tmp_path):
    run(script, tmp_path / "picture.png")
    assert min(size(tmp_path / "picture.png")) > 100


@NEEDS_TORCH
@pytest.mark.parametrize(("side", "channels"), [pytest.param(13, 1, marks=pytest.mark.exhaustive), (8, 3)])
def test_the_exported_encoder_has_the_same_features_in_pytorch(tmp_path, narrow, side, channels):
    """Also where images are padded, unevenly, and weights and statistics have moved from their first values."""
    images, trained = tiny_runs.write_npz(tmp_path / "images.npz", side=side, channels=channels), tmp_path / "run"
    options = ("--out", trained, "--quiet", "--no-plot", "--lr", 0.01)
    assert tiny_runs.invoke(*tiny_runs.small(images, *options)).exit_code == 0
    assert tiny_runs.invoke("export", trained).exit_code == 0
    apart = re.findall(r"^(\w+) .*: at most (\S+) apart", run("load_in_pytorch.py", trained), flags=re.M)
    assert [name for name, _ in apart] == ["conv", "fc", "y"]
    assert all(float(value) < 1e-5 for _, value in apart)


def test_weights_of_the_grid_reach_the_objective_and_nothing_stands_for_untrained(example, monkeypatch):
    grid, seen = example("alpha_beta_grid"), []
    options = Namespace(data="shapes", data_dir=None, images=64, epochs=1, lr=1e-3, bound="jsd", gamma=0)

    def trained(task):
        seen.append((task.config.global_weight, task.config.local_weight, task.config.seed))
        return "trained", {}

    monkeypatch.setattr(grid, "trained", trained)
    monkeypatch.setattr(grid, "untrained", lambda *args: "untrained")
    pairs = ((0, 0), (0.5, 0), (0, 1), (0.25, 0.75))
    encoders = [grid.encoder_of(alpha, beta, seed, options)[0] for seed, (alpha, beta) in enumerate(pairs)]
    assert encoders == ["untrained", "trained", "trained", "trained"]
    assert seen == [(0.5, 0, 1), (0, 1, 2), (0.25, 0.75, 3)]


@NEEDS_MATPLOTLIB
def test_cells_of_the_picture_are_those_of_the_grid(example, tmp_path, monkeypatch):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figures = []
    monkeypatch.setattr(FigureCanvasAgg, "print_png", lambda self, path: figures.append(self.figure))
    options = Namespace(alphas=[0, 1], betas=[0, 0.5, 1], data="shapes", bound="jsd", gamma=0.1, images=64, epochs=1)
    grids = np.arange(12.0).reshape(2, 1, 2, 3) + np.array([[-1.0], [1.0]])[:, :, None]  # two seeds, 2 apart
    example("alpha_beta_grid").draw(tmp_path / "x.png", options, grids)
    for axes, values in zip(figures[0].axes, grids.mean(axis=1), strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), values)
        texts = {text.get_position(): text.get_text() for text in axes.texts}
        assert texts[0, 0].endswith("untrained")
        mean, spread = texts[2, 1].split(" ± ")  # x is β, y is α
        assert (float(mean), float(spread)) == (values[1, 2], pytest.approx(2**0.5, abs=0.05))
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "0.5", "1"]
        assert axes.get_ylabel().startswith("α")


def test_deep_graph_infomax_finds_groups_that_features_hardly_show(tmp_path):
    printed = run("deep_graph_infomax.py", *[tmp_path / "x.png"] * DRAWS)
    shares = {name: float(share) for name, share in re.findall(r"^(\w+) +([\d.]+) % of nodes", printed, re.M)}
    assert list(shares) == ["features", "untrained", "trained"]
    assert shares["trained"] > 85 > shares["untrained"] + 5 > shares["features"] + 10
    assert not DRAWS or size(tmp_path / "x.png")[0] > 800


def test_contrastive_prediction_stays_below_the_known_information_and_near_it(tmp_path):
    printed = run("cpc.py", *[tmp_path / "x.png"] * DRAWS)
    rows = re.findall(r"^ *(\d+) ahead  InfoNCE (-?[\d.]+)  truth ([\d.]+)$", printed, re.M)
    assert [int(k) for k, *_ in rows] == [1, 2, 4, 8, 16]
    for k, value, truth in rows:
        assert float(truth) == pytest.approx(-2 * math.log(1 - 0.9 ** (2 * int(k))), abs=1e-3)
        assert 0.85 * float(truth) - 0.05 < float(value) < float(truth)
    assert not DRAWS or size(tmp_path / "x.png")[0] > 500


SHORT = ("--images", 64, "--epochs", 1, "--seeds", 1)


@pytest.mark.exhaustive
@NEEDS_MATPLOTLIB
def test_the_grid_is_printed_and_drawn(tmp_path):
    printed = run("alpha_beta_grid.py", *SHORT, "--alphas", 0, "--betas", 0, 1, "--picture", tmp_path / "x.png")
    rows = [line.split() for line in printed.splitlines()[1:-1]]
    assert [row[:3] for row in rows] == [["0", "0", "0"], ["0", "1", "0"]]
    assert all(0 <= float(right) <= 100 and 0 <= float(alike) <= 1 for *_, right, alike in rows)
    assert size(tmp_path / "x.png")[0] > 600


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_of_variance_within_classes_where_it_is_known(example, share):
    labels = np.arange(20_000) % 10
    rng = np.random.default_rng(0)
    means = rng.standard_normal((10, 6))
    means = (means - means.mean(axis=0)) / means.std(axis=0)
    y = (1 - share) ** 0.5 * means[labels] + share**0.5 * rng.standard_normal((len(labels), 6))
    assert example("global_versus_local").share_within(y, labels) == pytest.approx(100 * share, abs=1)


@pytest.mark.exhaustive
@NEEDS_MATPLOTLIB
def test_global_and_local_have_a_row_each_and_are_drawn(tmp_path):
    printed = run("global_versus_local.py", *SHORT, "--noises", 0.2, "--picture", tmp_path / "x.png")
    rows = re.findall(r"^ *0\.2 +0 +(\S+) +(-?[\d.]+)? +([\d.]+) +([\d.]+)$", printed, flags=re.M)
    assert [row[0] for row in rows] == ["DIM(L)", "DIM(G)", "untrained"]
    assert all(0 <= float(value) <= 100 for row in rows for value in row[2:])
    assert size(tmp_path / "x.png")[0] > 800


@pytest.mark.exhaustive
@NEEDS_MATPLOTLIB
def test_both_runs_of_what_is_shared_are_printed_and_drawn(tmp_path):
    printed = run("what_is_shared.py", *SHORT, "--picture", tmp_path / "x.png")
    rows = [line.split() for line in printed.splitlines()[1:3]]
    assert [row[:2] for row in rows] == [["texture", "0"], ["texture,colour", "0"]]
    assert all(0 <= float(accuracy) <= 100 for *_, texture, colour in rows for accuracy in (texture, colour))
    assert size(tmp_path / "x.png")[0] > 1000


@NEEDS_MATPLOTLIB
def test_table_1_goes_on_where_it_was_stopped(example, narrow, tmp_path, monkeypatch, capsys):
    """table1.py: every row at the tiny scale; then one cell and one encoder lost: nothing else is made again."""
    table, trained = example("table1"), []
    monkeypatch.setattr(table.loop, "train", lambda task, run, *rest, train=table.loop.train: (
        trained.append((run.name, rest[-1] is not None)), train(task, run, *rest))[1])  # fmt: skip
    options = {"scale": "tiny", "data_dir": None, "out": tmp_path, "images": None, "epochs": None, "seeds": 1}

    def made(rows=table.ROWS, minutes=math.inf):
        trained.clear()
        table.fill_in(Namespace(**options, rows=",".join(rows), minutes=minutes))
        return capsys.readouterr().out

    made(["DIM(L) JSD"], minutes=0)  # stopped in its training
    assert not (tmp_path / "cells.json").exists()
    printed = made()
    assert trained == [(f"{row.replace(' ', '-')}-0", row == "DIM(L) JSD") for row in table.TRAINED]
    rows = [line.split("|")[1].strip() for line in printed.splitlines() if line.startswith("|")]
    assert [row for row in rows[2:] if "paper" not in row] == list(table.ROWS)
    assert "DIM(L) InfoNCE, paper" in rows
    cells = json.loads((tmp_path / "cells.json").read_text())
    assert all(0 <= cell["accuracy"] <= 100 for cell in cells["cells"].values())
    assert size(tmp_path / "table1.png")[0] > 400
    assert "seed" not in made()  # nothing is left to do
    lost = cells["cells"].pop("DIM(G), 0, mlp y")
    (tmp_path / "cells.json").write_text(json.dumps(cells))
    assert re.findall(r"^(\S+) +seed 0  (mlp y) +([\d.]+) %", made(), re.M) == [
        ("DIM(G)", "mlp y", f"{lost['accuracy']:.2f}")
    ]
    options["images"] = 90
    with pytest.raises(SystemExit, match="use another --out"):
        made()


# ---- audits of PyTorch


@pytest.mark.exhaustive
@NEEDS_TORCH
def test_right_losses_pass():
    printed = run("audit_infonce_and_jsd.py")
    heads = [
        line.split("  ")[:2] for line in printed.splitlines() if "audit_infonce_and_jsd.py:" in line and "  " in line
    ]
    assert heads[:3] == [
        ["CONFORMS", "bound jsd"],
        ["CONFORMS", "bound infonce"],
        ["ANOTHER VALID CONVENTION", "bound infonce"],
    ]
    assert printed.count("framework     torch") == 3
    assert printed.splitlines()[-1] == "assert_conforms has nothing to say"


@pytest.mark.exhaustive
@NEEDS_TORCH
def test_wrong_losses_are_named():
    named = {
        "infonce_positive_excluded": "InfoNCE with the positive left out of the denominator",
        "infonce_masked_by_ten": "a candidate masked by the number −10 instead of removed",
        "jsd_naive": "log(1 + e^t) written out",
        "dv_without_log": "DV with logmeanexp(product, axis=0) without its logarithm",
        "nt_xent_self_included": "NT-Xent with each row among its own candidates",
    }
    found = [part.splitlines() for part in run("audit_five_mistakes.py").strip().split("\n\n")]
    assert [lines[0] for lines in found] == [f"{name}: mistake" for name in named]
    for lines, words in zip(found, named.values(), strict=True):
        assert words in lines[1]


@pytest.mark.exhaustive
@NEEDS_TORCH
def test_the_twin_conforms_and_its_mistakes_are_named():
    printed = run("audit_trace_of_a_torch_twin.py")
    right, variance, activation = (" ".join(part.split()) for part in printed.split("----")[1:])
    assert right.startswith("the twin as it should be conforms 182:")
    assert right.endswith("theirs.npz conforms in all 182 arrays that it has")
    assert "DEPARTS encoder/norm1 (8 × 16 × 16 × 16): normalized with the unbiased variance" in variance
    assert "the same at 3 more: encoder/norm2, encoder/norm3, encoder/norm_fc" in variance
    assert variance.endswith("nothing else departs that does not follow from it")
    assert "DEPARTS encoder/relu3 (8 × 4 × 4 × 64): no ReLU: negative elements are left" in activation
    assert activation.endswith("nothing else departs that does not follow from it")


@pytest.mark.parametrize("script", ["audit_infonce_and_jsd", "audit_five_mistakes", "audit_trace_of_a_torch_twin"])
def test_without_torch_one_line_says_so(script):
    path = str(EXAMPLES / f"{script}.py")
    code = f"import runpy, sys; sys.modules['torch'] = None; runpy.run_path({path!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    told = f"{script}: expected PyTorch, found it not installed; pip install '.[oracle]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)
