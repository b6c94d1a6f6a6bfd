"""Training among the ranks of mpiexec: the run of one process, one directory, one line and one exit code for all."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from sampling import by_default
from tiny_runs import DIMREF, small, write_npz

from dimref.distributed import launch
from dimref.errors import DimrefError
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


def mpiexec(count, *args, cwd, **environment):
    command = [os.path.join(os.path.dirname(sys.executable), "mpiexec"), "-n", str(count), *DIMREF, *map(str, args)]
    env = {**os.environ, **environment}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, env=env)


def test_a_run_that_reports_is_encoded_on_other_ranks(tmp_path):
    """The report is rank 0's alone, after the last step that the ranks share. Batches are of 100 images, the last of 30."""
    write_npz(tmp_path / "images.npz", n=230, labels=None, test_labels=None)
    done = dimref(*small(tmp_path / "images.npz", "--no-plot", "--out", "run", "--ranks", 2), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()].count("local") == 1
    for ranks, out in ((1, "one.npy"), (4, "four.npy")):  # of four, one has no image
        done = dimref("encode", "run", "--features", "fc", "--out", out, "--ranks", ranks, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 4
        np.testing.assert_array_equal(np.load(tmp_path / out), np.load(tmp_path / "one.npy"))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.exhaustive
def test_an_evaluation_shares_the_features(tmp_path):
    trained(tmp_path, "one")
    for ranks in (1, 2):
        done = dimref("evaluate", "one", "--probe", "linear", "--measures", "none", "--ranks", ranks, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        (tmp_path / f"{ranks}.json").write_bytes((tmp_path / "one" / "evaluation.json").read_bytes())
    assert (tmp_path / "1.json").read_text() == (tmp_path / "2.json").read_text()


@pytest.mark.parametrize(
    ("args", "environment", "line"),
    [
        (
            ("info",),
            {},
            "dimref: mpiexec: expected one of train, encode, evaluate, which share work among 2 processes",
        ),
        (("train", "--ranks", 3), {}, "dimref: --ranks: expected 2, as many as mpiexec started, found 3"),
        (
            ("train",),
            {"MPI4PY_LIBMPI": "/nowhere.so"},
            "dimref: mpiexec: expected mpi4py and an MPI, to join its 2",
        ),
        (
            ("train",),
            {"OMPI_COMM_WORLD_SIZE": "2"},
            "dimref: mpiexec: expected that of the MPI which mpi4py is li",
        ),
    ],
)
def test_what_ranks_cannot_do_together_is_one_line(tmp_path, args, environment, line):
    done = mpiexec(2, *args, cwd=tmp_path, **environment)
    assert done.returncode == 2
    assert done.stderr.startswith(line), done.stderr
    assert len([text for text in done.stderr.splitlines() if text and not launch._of_launcher(text)]) == 1
    assert not done.stdout.startswith("dimref")


@pytest.mark.parametrize("room", [0, 11])
def test_ranks_without_shared_memory_are_refused(monkeypatch, tmp_path, room):
    monkeypatch.setattr(launch, "SHARED", str(tmp_path))
    monkeypatch.setenv("MPI_LOCALNRANKS", "2")
    monkeypatch.setattr(os, "fstatvfs", lambda file: SimpleNamespace(f_bavail=room << 8, f_frsize=4096))
    with pytest.raises(DimrefError, match=f"expected 24 MB of shared memory, .* found: {room} MB; give it more"):
        launch.need_shared_memory()


def test_an_error_of_one_rank_where_others_go_on_ends_all(tmp_path):
    """They wait for each other in two places, and after a while no longer."""
    code = """from dimref.distributed import mpi, session
from dimref.errors import DimrefError
import numpy as np
mpi.PATIENCE = 1
with session.session():
    world = mpi.world()
    if world.rank == 1:
        raise DimrefError("lost")
    world.gather(np.ones((1, 2)), (1, 1))"""
    command = [os.path.join(os.path.dirname(sys.executable), "mpiexec"), "-n", "2", sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stderr.startswith("dimref: rank 1 of 2: lost\n")
    assert done.returncode == 2


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
    assert own[0] == "dimref: --seed: expected the same on every rank, found 0 on rank 0 and 1 on rank 1"
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
