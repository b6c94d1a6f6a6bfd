"""The environment of processes that dimref starts of itself."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from started_processes import soon

import dimref
from dimref.training import processes
from dimref.training.processes import command, end, environment


def test_it_is_this_processs_with_changes(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("KEPT", "1")
    found = environment(KEPT="2", NEW="3")
    assert (found["KEPT"], found["NEW"], os.environ["KEPT"]) == ("2", "3", "1")
    assert found["PYTHONPATH"].split(os.pathsep)[1:] == ["elsewhere"]
    monkeypatch.delenv("PYTHONPATH")
    assert os.pathsep not in environment()["PYTHONPATH"]


def test_a_child_imports_the_very_package(tmp_path):
    code = "import dimref; print(dimref.__file__)"
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=True)
    assert os.path.samefile(done.stdout.strip(), dimref.__file__)


# ---- what is kept, how it ends, and what it leaves

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="no keeper")
LEAVES = """
for code in ("import time; time.sleep(600)", "import os, time; os.fork() or time.sleep(600)"):
    subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True)
"""
WAITS = "time.sleep(600)"
HOLDS = "re.match(r'(a+)+$', 'a' * 40 + 'b')"  # the interpreter's lock
IMPORTS = "import os, re, signal, subprocess, sys, time"
STARTS = 'if __name__ == "__main__":\n    main(*sys.argv[1:])'


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Write a module whose `main` does this, and have its command."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(code, *words):
        program = f"{IMPORTS}\ndef main(*words):\n{textwrap.indent(code, '    ')}\n{STARTS}\n"
        (tmp_path / "kept.py").write_text(program)
        return command("kept", *words)

    return write


@pytest.mark.parametrize("keeper", [pytest.param(True, marks=ON_LINUX), False])
def test_words_streams_and_exit_codes_pass(kept, monkeypatch, keeper):
    monkeypatch.setattr(processes, "SUPERVISED", keeper)
    code = kept("print(input(), *words, sys.argv[1:]); sys.exit(7)", "a", "b c")
    done = subprocess.run(code, input="x", env=environment(), capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("x a b c ['a', 'b c']\n", "", 7)


@ON_LINUX
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_ends_it_is_told(kept, number):
    handled = "" if number == signal.SIGKILL else f"signal.signal({number:d}, signal.SIG_DFL); "
    assert subprocess.run(kept(f"{handled}os.kill(os.getpid(), {number:d})"), env=environment()).returncode == -number


@ON_LINUX
@pytest.mark.parametrize("how", ["os.abort()", "pass", "raise SystemExit('no')", "os.kill(0, signal.SIGTERM)"])
def test_what_it_started_ends_with_it(kept, started, how):
    process = subprocess.Popen(
        kept(f"{LEAVES}time.sleep(0.2)\n{how}"), env=environment(), stderr=subprocess.DEVNULL, start_new_session=True
    )
    process.wait(60)
    assert started() == []


@ON_LINUX
def test_it_can_be_ended(kept, started):
    with subprocess.Popen(kept(LEAVES + WAITS), env=environment()) as process:
        assert soon(lambda: len(started()) >= 4)
        end(process)
    assert started() == []
    end(process)  # once more does no harm


@ON_LINUX
def test_a_keeper_that_does_not_listen_is_ended(kept, started, monkeypatch):
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    with subprocess.Popen(kept(WAITS), env=environment()) as process:
        assert soon(lambda: len(started()) == 2)
        process.send_signal(signal.SIGSTOP)
        end(process)
    assert soon(lambda: started() == [])


@ON_LINUX
@pytest.mark.parametrize("code", [LEAVES + WAITS, HOLDS])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_the_one_that_asks(kept, started, code, number):
    asks = f"import subprocess; subprocess.Popen({kept(code)!r}).wait()"
    with subprocess.Popen([sys.executable, "-c", asks], env=environment(), stderr=subprocess.DEVNULL) as process:
        assert soon(lambda: len(started()) >= (5 if code != HOLDS else 3))
        process.send_signal(number)
    assert soon(lambda: started() == [])
