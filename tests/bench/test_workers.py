"""Worker processes: they answer, refuse, fail and die in one line each."""

import dataclasses
import os
import subprocess
import sys

import pytest

from dimref.backend import NUMPY
from dimref.bench import worker, workers
from dimref.errors import DimrefError
from dimref.training import processes
from dimref.training.choices import THREAD_VARIABLES

OPENING = {
    "side": "dimref", "preset": "encode", "batch": 2, "backend": "numpy", "threads": 1,
    "layout": {"size": 8, "channels": 1, "width": 4, "fc": 16, "representation": 8},
}  # fmt: skip


@pytest.fixture(scope="module")
def process():
    with workers.Worker(threads=1) as found:
        yield found


def test_it_computes_with_the_threads_it_was_given(process):
    described = process.ask("describe", backend="numpy", threads=1, torch=False)
    assert described["threads"] == "1 (OPENBLAS_NUM_THREADS)"


def test_turns_profile_and_peak_come_back_as_numbers(process):
    process.ask("open", **OPENING)
    assert process.ask("products") > 0
    for what in ("step", "products"):
        found = process.ask("turn", what=what, seconds=0.0)
        assert len(found["seconds"]) == 1
        assert found["seconds"][0] > 0
        assert isinstance(found["settled"], bool)
    assert process.ask("profile")["profile"]["total"] > 0
    peak = process.ask("peak", **OPENING)
    assert peak is None or peak >= 0


def test_the_peak_holds_at_least_what_a_side_holds():
    """At 32×32 and the paper's widths: the weights alone are 4.7 million numbers, Adam's moments twice as many."""
    layout = {"size": 32, "channels": 3}
    with workers.Worker(threads=1) as fresh:
        peak = fresh.ask("peak", **{**OPENING, "preset": "dim-local", "layout": layout}, steps=1)
    if peak is None:
        pytest.skip("the system does not report it")
    assert 3 * 4 * 4.7e6 < peak < 500e6


def test_the_peak_is_what_comes_on_top_of_the_imports(monkeypatch):
    """On a device: what all processes have come to hold there."""
    marks = iter([100, 350])
    monkeypatch.setattr(worker.memory, "high_water", lambda: next(marks))
    assert worker.Server().peak(**OPENING) == 250
    monkeypatch.setattr(worker.memory, "high_water", lambda: None)
    assert worker.Server().peak(**OPENING) is None
    held = iter([1000, 4000])
    device = dataclasses.replace(NUMPY, memory_in_use=lambda: next(held))
    monkeypatch.setattr(worker, "get_backend", lambda name, tf32=False: device)
    assert worker.Server().peak(**OPENING) == 3000


@pytest.mark.parametrize(("backend", "expected"), [("numpy", 5), ("cupy", 70)])
def test_pytorchs_peak_is_of_where_it_computes(monkeypatch, backend, expected):
    torch = pytest.importorskip("torch")
    marks = {"host": iter([10, 15]), "device": iter([(90, 100), (20, 100)])}
    monkeypatch.setattr(worker.memory, "high_water", lambda: next(marks["host"]))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: next(marks["device"]))
    monkeypatch.setattr(worker, "torch_machine", lambda backend, threads: {})
    open_, opening = worker.Server.open, {**OPENING, "backend": "numpy"}
    monkeypatch.setattr(worker.Server, "open", lambda self, **_: open_(self, **opening))
    assert worker.Server().peak(**{**OPENING, "side": "eager", "backend": backend}) == expected


def test_a_refusal_keeps_its_line_and_its_code(process):
    with pytest.raises(DimrefError, match=r"^backend: expected one of numpy, cupy, found 'abacus'$") as refusal:
        process.ask("describe", backend="abacus", threads=1, torch=False)
    assert refusal.value.exit_code == 2
    with pytest.raises(DimrefError, match=r"^no$") as refusal:
        workers.unpack("prove", {"refused": "no", "code": 1})
    assert refusal.value.exit_code == 1


def test_another_failure_is_one_line_and_the_worker_lives_on(process, monkeypatch):
    with pytest.raises(workers.WorkerFailed, match=r"^turn: expected an answer, found KeyError: 'dance'$"):
        process.ask("turn", what="dance", seconds=0)
    assert process.ask("describe", backend="numpy", threads=1, torch=False)["device"] == "cpu"
    monkeypatch.setattr(worker.Server, "turn", lambda self: bytearray(sys.maxsize))
    assert worker.answer(worker.Server(), '{"do": "turn"}') == {"failed": "no memory left"}


def test_a_worker_that_is_killed_is_one_line():
    with workers.Worker(threads=1) as doomed:
        doomed.child.process.kill()
        for _ in range(2):
            with pytest.raises(workers.WorkerFailed, match=r"^turn: .* process ended: signal 9 \(out of memory\?\)"):
                doomed.ask("turn", what="step", seconds=0)


def test_a_worker_that_cannot_start_says_why(monkeypatch, tmp_path):
    """The last line on its error stream is reported."""
    (tmp_path / "dimref").mkdir()
    (tmp_path / "dimref" / "__init__.py").write_text("raise ImportError('a library is missing')")
    monkeypatch.setattr(processes, "PACKAGE", tmp_path)
    with (
        workers.Worker(threads=1) as lost,
        pytest.raises(workers.WorkerFailed, match=r"exit code 1: .*a library is missing"),
    ):
        lost.ask("profile")


def test_what_a_library_prints_does_not_reach_the_answers():
    code = (
        "from dimref.bench import worker\nworker.Server.turn = lambda self: print('noise', flush=True)\nworker.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input='{"do": "turn"}\n', capture_output=True, text=True, check=True
    )
    assert done.stdout == '{"answer": null}\n'
    assert "noise" in done.stderr


def test_every_library_is_given_the_number_of_threads(monkeypatch):
    seen = {}
    monkeypatch.setattr(workers, "Child", lambda module, env: seen.update(env))
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    workers.Worker(threads=3)
    assert {seen[name] for name in THREAD_VARIABLES} == {"3"}
    assert seen["PYTHONPATH"].split(os.pathsep) == [str(processes.PACKAGE), "elsewhere"]


def test_pytorch_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(DimrefError, match=r"^--against torch: .* pip install '\.\[oracle\]'"):
        worker.torch_machine("numpy", 1)
