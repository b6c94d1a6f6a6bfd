"""The environment of processes that dimref starts of itself."""

import os
import subprocess
import sys

import dimref
from dimref.training.processes import environment


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
