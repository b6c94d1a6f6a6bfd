"""Training among the ranks of mpiexec: the run of one process, one directory, one line and one exit code for all."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from sampling import by_default
from tiny_runs import DIMREF, small, write_npz

from dimref.training import checkpoint as checkpoints
from dimref.trees import leaves

pytest.importorskip("mpi4py", reason="mpi4py is not installed")


ENDLESS = ("--quiet", "--no-plot", "--steps", 100000, "--epochs", 10000, "--out", "run", "--ranks", 2)


def dimref(*args, cwd, **environment):
    done = subprocess.run(
        [*DIMREF, *map(str, args)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
    )
    assert "Traceback" not in done.stderr
    return done


def trained(tmp_path, name, *more):
    images = tmp_path / "images.npz"
    if not images.exists():
        write_npz(images)
    done = dimref(*small(images, "--quiet", "--no-plot", "--log-every", 1, "--out", name, *more), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path / name


def _lines(run):
    return lines(run) if (run / "metrics.jsonl").exists() else []


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def assert_same_run(a, b, tolerance=2e-4):
    for one, other in zip(lines(a), lines(b), strict=True):
        assert one["step"] == other["step"]
        terms = "nats" if one["kind"] == "step" else "held_out_nats"
        for name, value in one[terms].items():
            assert abs(value - other[terms][name]) < tolerance
    first, second = (checkpoints.load(run / "newest.npz").trees for run in (a, b))
    for (path, x), (_, y) in zip(leaves(first), leaves(second), strict=True):
        assert np.abs(x - y).max() < 1e-3, path


@pytest.mark.exhaustive  # implied by the next, but for the count of ranks
def test_a_run_on_ranks_is_the_run_of_one_process(tmp_path):
    one = trained(tmp_path, "one")
    assert_same_run(one, trained(tmp_path, "three", "--ranks", 3))  # 4 images among 3 ranks


def test_a_run_is_resumed_on_another_number_of_ranks(tmp_path):
    one = trained(tmp_path, "one", "--steps", 6)
    run = trained(tmp_path, "two", "--ranks", 2)
    done = dimref("train", "--resume", run, "--steps", 6, "--quiet", "--no-plot", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ends = [line for line in lines(run) if line["step"] == 6]
    assert ends
    first, second = (checkpoints.load(r / "newest.npz").trees for r in (one, run))
    for (path, x), (_, y) in zip(leaves(first), leaves(second), strict=True):
        assert np.abs(x - y).max() < 1e-3, path


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--ranks", 5), "dimref: --ranks: expected at most 4, an image of each batch for every rank"),
        (("--ranks", 2, "--data-dir", "nowhere.npz"), "dimref: nowhere.npz"),
    ],
)
def test_an_error_of_all_ranks_is_one_line(tmp_path, more, line):
    write_npz(tmp_path / "images.npz")
    done = dimref(*small(tmp_path / "images.npz", *more), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(line), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_rank_with_other_options_ends_all(tmp_path):
    write_npz(tmp_path / "images.npz")
    script = f"""import os, sys
from dimref.cli import main
seed = os.environ["PMI_RANK"]
sys.argv = ["dimref", *{[str(a) for a in small(tmp_path / "images.npz", "--quiet")]!r}, "--seed", seed]
main()"""
    mpiexec = os.path.join(os.path.dirname(sys.executable), "mpiexec")
    command = [mpiexec, "-n", "2", sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    own = [line for line in done.stderr.splitlines() if line.startswith("dimref:")]
    assert len(own) == 1
    assert own[0].startswith("dimref: options: expected the same on every rank")
    assert done.returncode == 2
    assert not (tmp_path / "runs").exists()


@pytest.mark.exhaustive
def test_a_killed_rank_ends_all_within_seconds_and_its_checkpoint_stands(tmp_path):
    write_npz(tmp_path / "images.npz")
    args = small(tmp_path / "images.npz", *ENDLESS)
    with subprocess.Popen([*DIMREF, *map(str, args)], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        run, ranks = tmp_path / "run", []
        while len(ranks) < 2 or len([line for line in _lines(run) if line["kind"] == "epoch"]) < 2:
            time.sleep(0.2)
            listed = subprocess.run(["pgrep", "-f", f"dimref train.*{tmp_path}"], capture_output=True, text=True)
            found = listed.stdout.split()
            ranks = [int(pid) for pid in found if int(pid) != process.pid and "PMI_RANK" in _environment(int(pid))]
        os.kill(ranks[-1], signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert len(errors.splitlines()) == 1, errors
    assert "killed by signal 9; the last checkpoint stands" in errors
    assert checkpoints.load(run / "newest.npz").step > 0


def _environment(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


@pytest.mark.parametrize("number", by_default([signal.SIGINT, signal.SIGTERM], signal.SIGTERM))
def test_a_signal_to_the_launcher_saves_and_ends(tmp_path, number):
    write_npz(tmp_path / "images.npz")
    args = small(tmp_path / "images.npz", *ENDLESS)
    code = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", code, *DIMREF, *map(str, args)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        run = tmp_path / "run"
        while not (run / "metrics.jsonl").exists() or not lines(run):
            time.sleep(0.2)
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert len(errors.splitlines()) == 1, errors
    assert "go on with: dimref train --resume run" in errors
