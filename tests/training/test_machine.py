"""What `dimref info` and every checkpoint say of the machine."""

import builtins
import os
import platform

import numpy as np
import pytest

from dimref import __version__
from dimref.training import machine
from dimref.training.choices import THREAD_VARIABLES


@pytest.fixture
def unset(monkeypatch):
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_description_is_complete_and_all_text():
    found = machine.description("numpy", "cpu")
    assert list(found) == [
        "backend", "device", "machine", "processor", "blas", "threads", "python", "dimref", "numpy", "autograd",
    ]  # fmt: skip
    assert all(isinstance(value, str) and value for value in found.values())
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert found["dimref"] in (__version__, "not installed")


def test_threads_are_every_core_unless_the_environment_says_otherwise(unset):
    assert machine.threads() == f"{machine.available_cores()} (all cores)"
    unset.setenv("OMP_NUM_THREADS", "3")
    assert machine.threads() == "3 (OMP_NUM_THREADS)"
    unset.setenv("OPENBLAS_NUM_THREADS", "2")  # the library's own variable counts before OpenMP's
    assert machine.threads() == "2 (OPENBLAS_NUM_THREADS)"
    unset.setenv("OPENBLAS_NUM_THREADS", "")
    assert machine.threads() == "3 (OMP_NUM_THREADS)"


def test_cores_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 5, 7}, raising=False)
    assert machine.available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert machine.available_cores() == os.cpu_count()


def test_blas_is_named_even_where_numpy_knows_little(monkeypatch):
    assert machine.blas().strip()
    monkeypatch.setattr(np, "show_config", lambda mode: {"Build Dependencies": {"blas": {"name": "accelerate"}}})
    assert machine.blas() == "accelerate"


def test_a_processor_is_named_without_proc(monkeypatch):
    def refuse(*args, **options):
        raise FileNotFoundError

    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert machine._processor() == "unknown"
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert machine._processor() == "arm"


def test_a_package_that_is_not_there_is_said_to_be_not_installed():
    assert machine._version("no-such-package-as-this") == "not installed"
