"""`dimref bench` and `dimref scale`: their options, screens, files and refusals."""

import json
import subprocess
import sys

import pytest
import tiny_runs

from dimref.bench import timing, worker, workers
from dimref.training.choices import BENCH_PRESETS


class Local(workers.Worker):
    """A worker that answers in this process."""

    def __init__(self, threads):
        self.server = worker.Server()

    def ask(self, do, **arguments):
        return workers.unpack(do, worker.answer(self.server, json.dumps({"do": do, **arguments})))

    def close(self):
        pass


@pytest.fixture
def local(monkeypatch, narrow):
    monkeypatch.setattr(workers, "Worker", Local)
    monkeypatch.setattr(timing, "settle", lambda: True)


QUICK = ("--rounds", 1, "--seconds", 0, "--batch-size", 2, "--threads", 1)
SMALL = (
    "--candidates",
    64,
    "--train-images",
    8,
    "--encode-images",
    8,
    "--batch-size",
    4,
    "--seconds",
    0,
    "--threads",
    1,
)


# ---- bench


def test_every_preset_has_its_table(local, tmp_path):
    result = tiny_runs.invoke("bench", "--against", "none", "--preset", "all", *QUICK, "--json", tmp_path / "b.json")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.split(",")[0] for line in lines if ", batch 2: " in line] == list(BENCH_PRESETS)
    assert lines[0].startswith("machine ")
    assert lines[0].endswith("1 thread on both sides")
    assert sum(line.startswith("  where dimref's step goes") for line in lines) == len(BENCH_PRESETS)
    written = json.loads((tmp_path / "b.json").read_text())
    assert list(written) == ["version", "machine", "torch", "options", "presets"]
    assert written["options"]["presets"] == list(BENCH_PRESETS)
    assert written["machine"]["numpy"]
    assert {"agreement", "sides", "peak_bytes", "profile", "gflop", "unsettled_turns", "graph"} <= written["presets"][
        0
    ].keys()
    side = written["presets"][0]["sides"]["dimref"]
    assert {"step_ms", "images_per_second", "ratio", "gflop_per_second", "share_of_products", "turns"} <= side.keys()
    assert list(tmp_path.iterdir()) == [tmp_path / "b.json"]


def test_a_process_for_each_side_as_users_have_it(tmp_path):
    child = tiny_runs.process("bench", "--against", "none", "--preset", "encode", *QUICK, cwd=tmp_path)
    assert child.returncode == 0, child.stderr_text
    assert "no PyTorch beside it: dimref alone, against its own bare matrix products" in child.stdout_text
    assert list(tmp_path.iterdir()) == []


def test_options_that_are_given_twice_count_once(local):
    result = tiny_runs.invoke("bench", "--against", "none", *QUICK, *("--batch-size", 3, "--batch-size", 2) * 2)
    assert [line.split(":")[0] for line in result.stdout.splitlines() if "local-jsd, batch" in line] == [
        "local-jsd, batch 2",
        "local-jsd, batch 3",
    ]


def test_a_wrong_twin_is_one_line_and_code_1(local, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    from dimref.export import torch_layout

    conv_weight = torch_layout.conv_weight
    monkeypatch.setattr(torch_layout, "conv_weight", lambda w, kernel: conv_weight(w, kernel) + 1e-4)
    file = tmp_path / "b.json"
    line = tiny_runs.refused("bench", "--against", "torch", "--no-compile", *QUICK, "--json", file, code=1)
    assert "twin in float64: expected" in line
    assert line.endswith("nothing was timed")
    assert not file.exists()


def test_pytorch_that_was_asked_for_and_is_not_there_is_one_line(local, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install '.[oracle]'" in tiny_runs.refused("bench", "--against", "torch", *QUICK)


def test_a_gpu_that_is_not_there_is_one_line(local, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    for command in (("bench", "--against", "none", *QUICK), ("scale", *SMALL)):
        assert "CuPy is not installed" in tiny_runs.refused(*command, "--backend", "cupy")


@pytest.mark.parametrize("command", ["bench", "scale"])
@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "3601"])
def test_wrong_lengths_are_refused(local, command, seconds):
    line = tiny_runs.refused(command, "--seconds", seconds)
    assert line.endswith(f"--seconds: expected a number from 0 to 3600, found {seconds}")


@pytest.mark.parametrize("command", ["bench", "scale"])
def test_a_file_that_cannot_be_written_is_told_first(local, monkeypatch, tmp_path, command):
    monkeypatch.setattr(workers, "Worker", None)  # nothing is measured
    for path in (tmp_path / "missing" / "b.json", tmp_path):
        assert f"--json {path}: expected a file in a directory" in tiny_runs.refused(command, "--json", path)


@pytest.mark.parametrize(
    "arguments",
    [
        ("bench", "--preset", "x"), ("bench", "--batch-size", "1"), ("bench", "--threads", "0"), ("bench", "--rounds", "0"),
        ("bench", "--against", "jax"), ("scale", "--candidates", "1"), ("scale", "--batch-size", "many"),
    ],
)  # fmt: skip
def test_wrong_choices_and_numbers_are_refused(local, arguments):
    assert tiny_runs.invoke(*arguments).exit_code == 2


# ---- scale


def test_scale_has_three_tables_and_a_picture(local, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    result = tiny_runs.invoke("scale", *SMALL, "--json", "s.json")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[-1] == "picture   runs/scale.png"
    assert (tmp_path / "runs" / "scale.png").read_bytes().startswith(b"\x89PNG")
    written = json.loads((tmp_path / "s.json").read_text())
    assert list(written) == ["version", "machine", "options", "infonce", "train", "encode"]
    assert [row["n"] for row in written["train"]["rows"]] == [8]


def test_scale_without_a_picture_leaves_nothing(local, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = tiny_runs.invoke("scale", *SMALL, "--no-plot")
    assert result.exit_code == 0, result.output
    assert "picture" not in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_picture_without_matplotlib(local, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert tiny_runs.refused("scale", *SMALL, "--plot").startswith("dimref: pictures: expected matplotlib, found none;")
    assert "picture" not in tiny_runs.invoke("scale", *SMALL).stdout


def test_a_dataset_smaller_than_its_batch_is_refused(local):
    line = tiny_runs.refused("scale", "--train-images", 8, "--batch-size", 16)
    assert line.endswith("--train-images: expected at least one batch of 16 images, found 8")


# ---- start-up


def test_the_command_line_loads_no_numpy():
    """`dimref --help` waits for no library, and --threads is heard before BLAS is loaded."""
    code = (
        "import sys, dimref.cli; print([m for m in ('numpy', 'autograd', 'torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("option", ["--tf32", "--no-graph"])
def test_options_of_a_device_are_refused_on_the_host(option):
    assert tiny_runs.refused("bench", "--against", "none", option) == (
        f"dimref: {option}: has no effect, since --backend is numpy; leave it out"
    )


@pytest.mark.parametrize("option", ["--candidates", "--train-images", "--encode-images"])
def test_sizes_beyond_any_memory_are_refused(option):
    result = tiny_runs.invoke("scale", option, 10**29)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.stderr
    assert "is not in the range 2<=x<=1000000000" in result.stderr
