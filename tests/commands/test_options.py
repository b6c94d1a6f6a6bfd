"""What the commands share."""

import json
import math
import os
import signal
import sys
import time

import click
import pytest
from autograd import wrap_util
from click.testing import CliRunner

from dimref.cli import Group
from dimref.commands.options import json_option, printer, set_threads, write_json
from dimref.errors import DimrefError
from dimref.training.signals import Stopped, stopped_by_signals

RESULT = {"nats": 0.5, "of": "x → y"}


@click.group(cls=Group)
def main():
    pass


@main.command()
@click.argument("word", default="")
@json_option
def work(word, json_file):
    """Stands for a command."""
    printer(json_file)(f"a table for {word}")
    write_json(json_file, {**RESULT, "word": word})


def run(*args):
    return CliRunner().invoke(main, ["work", *(str(arg) for arg in args)], catch_exceptions=False)


def test_an_interrupt_that_autograd_would_pass_over_is_heard():
    class Named:
        @property
        def __name__(self):
            os.kill(os.getpid(), signal.SIGINT)
            return "f"

    with pytest.raises(Stopped), stopped_by_signals():  # noqa: PT012
        wrap_util.wraps(Named())(lambda: None)
        time.sleep(10)


def test_without_json_a_table():
    assert run("me").stdout == "a table for me\n"


@pytest.mark.parametrize("args", [("me", "--json"), ("me", "--json", "-"), ("--json", "--", "me")])
def test_alone_it_is_alone(args):
    done = run(*args)
    assert (json.loads(done.stdout), done.stderr) == ({**RESULT, "word": "me"}, "")
    assert "→" in done.stdout


def test_a_file_stands_beside_the_table(tmp_path):
    done = run("me", "--json", tmp_path / "out.json")
    assert done.stdout == "a table for me\n"
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["word"] == "me"
    assert list(tmp_path.iterdir()) == [tmp_path / "out.json"]


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path, monkeypatch):
    for path in (tmp_path / "missing" / "out.json", tmp_path):
        done = run("me", "--json", path)
        assert done.exit_code == 2
        assert done.stdout == ""
        assert done.stderr == f"dimref: --json {path}: expected a file in a directory that exists, found none\n"
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    done = run("me", "--json", tmp_path / "out.json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "expected a directory that can be written to" in done.stderr


def test_infinity_has_no_name_in_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "out.json", math.inf)
    assert list(tmp_path.iterdir()) == []


def test_threads_are_heard_before_numpy_alone():
    assert "numpy" in sys.modules or __import__("numpy")
    set_threads(None)
    with pytest.raises(DimrefError, match="expected to be set before NumPy is loaded"):
        set_threads(2)
