"""A command that is stuck while it reads ends by SIGTERM; a program's own handlers stay in force."""

import os
import signal
import subprocess
import sys

import pytest
import tiny_runs

from dimref.data import load
from dimref.training.signals import killable, stopped_by_signals

# What holds the interpreter for years, where no handler of Python's is called: the hash of a tuple doubled 60 times.
STUCK = """
import sys
from {module} import {holder} as holder
from dimref.cli import main

def stuck(*arguments, **options):
    print("reading", flush=True)
    value = ()
    for _ in range(60):
        value = (value, value)
    hash(value)

holder.{name} = stuck
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("module", "holder", "name", "arguments"),
    [
        ("dimref.data", "npz", "read", ("train", "--data", "npz", "--data-dir", "a.npz")),
        ("dimref.training", "checkpoint", "need_file", ("encode", ".")),
        ("dimref.data", "npy", "need_file", ("estimate", "a.npz")),
        ("dimref.training", "config", "read_text", ("train", "--config", "config.json")),
    ],
    ids=["data", "a checkpoint", "arrays", "a configuration"],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_that_is_stuck_in_a_load(module, holder, name, arguments, number, tmp_path):
    (tmp_path / "config.json").write_text("{}")  # a configuration, and what a run's directory is known by
    script = STUCK.format(module=module, holder=holder, name=name)
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path, text=True) as child:
        try:
            assert child.stdout.readline() == "reading\n"
            child.send_signal(number)
            assert child.wait(timeout=1) == -number
        finally:
            child.kill()
    assert os.listdir(tmp_path) == ["config.json"]


def test_a_handler_of_the_programs_own_stays(tmp_path):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with killable():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


def test_the_command_lines_handler_is_back_after_a_load(tmp_path):
    with stopped_by_signals():
        handler = signal.getsignal(signal.SIGTERM)
        load("npz", "train", tiny_runs.write_npz(tmp_path / "a.npz"))
        assert signal.getsignal(signal.SIGTERM) is handler
