"""`dimref info`."""

import sys

import tiny_runs

from dimref.distributed import mpi
from dimref.training import machine
from dimref.training.choices import THREAD_VARIABLES


def test_every_line_of_the_description_is_printed():
    result = tiny_runs.invoke("info")
    assert result.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines == machine.description("numpy", "cpu") | {"mpi": mpi.description()}


def test_mpi_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert "pip install '.[mpi]'" in tiny_runs.invoke("info").stdout.splitlines()[-1]


def test_cupy_that_is_not_installed_is_told_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    line = tiny_runs.refused("info", "--backend", "cupy")
    assert "CuPy is not installed" in line
    assert "pip install '.[cuda12]'" in line


def test_an_unknown_backend_is_refused_with_the_choices():
    result = tiny_runs.invoke("info", "--backend", "torch")
    assert result.exit_code == 2
    assert "'numpy', 'cupy'" in result.stderr


def test_threads_of_the_environment_are_reported():
    child = tiny_runs.process("info", env={**dict.fromkeys(THREAD_VARIABLES, ""), "OMP_NUM_THREADS": "1"})
    assert child.returncode == 0
    assert "1 (OMP_NUM_THREADS)" in child.stdout_text
