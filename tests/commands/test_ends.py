"""Commands that read a run: what is none is refused, and an end before the end leaves what was there."""

import os
import signal

import pytest
import tiny_runs

from dimref.export.inference import Encoder

COMMANDS = ("encode", "evaluate", "export", "plot")
KNN = ("evaluate", "--probe", "knn", "--measures", "none")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_run_is_refused(run, tmp_path, command):
    assert "no run directory" in tiny_runs.refused(command, tmp_path / "nowhere")
    for name in ("newest", "best"):
        (run / f"{name}.npz").write_bytes(b"PK")
        line = tiny_runs.refused(command, run, "--checkpoint", name)
        assert f"{name}.npz: expected a complete checkpoint, found a damaged file" in line
    for option in (("--backend", "tpu"), ("--checkpoint", "x"), ("--features", "z")):
        assert tiny_runs.invoke(command, run, *option).exit_code == 2


def contents(run):
    return {path.name: path.read_bytes() for path in run.iterdir()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", [("encode",), KNN], ids=lambda command: command[0])
def test_a_stopped_command_leaves_what_was_there(run, monkeypatch, command, number):
    batches = Encoder.batches

    def stopped(self, images, kinds=None):
        for batch in batches(self, images, kinds):
            yield batch
            assert command[0] != "encode" or list(run.glob(".train-conv.npy.*"))
            os.kill(os.getpid(), number)

    before, handler = contents(run), signal.getsignal(number)
    monkeypatch.setattr(Encoder, "batches", stopped)
    assert tiny_runs.refused(command[0], run, *command[1:], code=130) == "dimref: stopped"
    assert contents(run) == before
    assert signal.getsignal(number) == handler


@pytest.mark.parametrize(
    ("command", "name"),
    [(("encode", "--features", "conv"), "train-conv.npy"), (KNN, "evaluation.json"), (("plot",), "curves.png")],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_disk_that_fills_up_is_told_in_one_line(run, command, name):
    if command[0] == "plot":
        pytest.importorskip("matplotlib")
    before = contents(run)
    with tiny_runs.small_files(500):
        result = tiny_runs.invoke(command[0], run, *command[1:])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"dimref: {run / name}: expected to write it, found: File too large"
    assert contents(run) == before
