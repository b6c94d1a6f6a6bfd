"""`dimref bench`: its options, screens, files and refusals."""

import json
import subprocess
import sys

import pytest
import tiny_runs
from local_workers import LocalWorker

from dimref.bench import timing, workers
from dimref.training.choices import BENCH_PRESETS


@pytest.fixture
def local(monkeypatch, narrow):
    monkeypatch.setattr(workers, "Worker", LocalWorker)
    monkeypatch.setattr(timing, "settle", lambda: True)


QUICK = ("--rounds", 1, "--seconds", 0, "--batch-size", 2, "--threads", 1)


def test_every_preset_has_its_table(local, tmp_path):
    result = tiny_runs.invoke("bench", "--against", "none", "--preset", "all", *QUICK, "--json", tmp_path / "b.json")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.split(",")[0] for line in lines if ", batch 2, 1 thread: " in line] == list(BENCH_PRESETS)
    assert lines[0].startswith("machine ")
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
    assert [line.split(", 1 thread")[0] for line in result.stdout.splitlines() if "dim-local, batch" in line] == [
        "dim-local, batch 2",
        "dim-local, batch 3",
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
    assert "CuPy is not installed" in tiny_runs.refused("bench", "--against", "none", *QUICK, "--backend", "cupy")


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "3601"])
def test_wrong_lengths_are_refused(local, seconds):
    line = tiny_runs.refused("bench", "--seconds", seconds)
    assert line.endswith(f"--seconds: expected a number from 0 to 3600, found {seconds}")


@pytest.mark.parametrize("option", ["--json", "--write"])
def test_a_file_that_cannot_be_written_is_refused_first(local, monkeypatch, tmp_path, option):
    monkeypatch.setattr(workers, "Worker", None)  # nothing is measured
    for path in (tmp_path / "missing" / "b", tmp_path):
        assert f"{option} {path}: expected a file in a directory" in tiny_runs.refused("bench", option, path)
    (tmp_path / "page.md").write_bytes(b"\xff")
    line = tiny_runs.refused("bench", "--write", tmp_path / "page.md")
    assert line.endswith("page.md: expected a page of Markdown in UTF-8, found other bytes")


def test_the_table_is_written_into_the_page(local, tmp_path):
    page = tmp_path / "RESULTS.md"
    page.write_text("# Measurements\n", encoding="utf-8")
    for batch in (2, 3):
        options = ("--against", "none", "--preset", "encode", *QUICK[:4], "--threads", 2, "--threads", 1)
        assert tiny_runs.invoke("bench", *options, "--batch-size", batch, "--write", page).exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Measurements\n\n## ")
    rows = [line.split("|")[1:4] for line in text.splitlines() if line.startswith("| encode")]
    assert rows == [[" encode ", " 3 ", " 2 "], [" encode ", " 3 ", " 1 "]]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--preset", "x"), ("--batch-size", "1"), ("--batch-size", "many"), ("--threads", "0"), ("--rounds", "0"),
        ("--against", "jax"),
    ],
)  # fmt: skip
def test_wrong_choices_and_numbers_are_refused(local, arguments):
    assert tiny_runs.invoke("bench", *arguments).exit_code == 2


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
