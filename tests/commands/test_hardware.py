"""`dimref hardware`: a part that fails, crashes or hangs takes no other with it, and is told."""

import json
import sys
import textwrap

import fake_stream
import pytest
import tiny_runs

from dimref import backend
from dimref.backend import BackendError, get_backend
from dimref.bench import hardware


@pytest.fixture
def there(monkeypatch):
    monkeypatch.setattr(backend, "get_backend", lambda name: fake_stream.device())


def test_without_a_device_it_is_one_line_and_exit_code_2():
    try:
        get_backend("cupy")
    except BackendError:
        line = tiny_runs.refused("hardware")
        assert line.startswith("dimref: backend cupy: CuPy ")
        assert tiny_runs.refused("hardware", "--part", "graph", "--json").startswith("dimref: backend cupy: CuPy ")
    else:
        pytest.skip("there is a device")


def test_parts_are_told_one_by_one_and_written(there, monkeypatch, tmp_path):
    answers = {
        "products": {"ok": True, "said": "well " * 30, "units": 1.0},
        "graph": {"ok": False, "said": "expected a result, found signal 11: boom"},
    }
    asked = []
    monkeypatch.setattr(hardware, "in_a_process", lambda name, quick: asked.append((name, quick)) or answers[name])
    file = tmp_path / "found.json"
    result = tiny_runs.invoke("hardware", "--quick", "--part", "products", "--part", "graph", "--json", file)
    assert result.exit_code == 1
    assert asked == [("products", True), ("graph", True)]
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0] == "device     a device that is not there"
    assert lines[1].startswith("products   ok     well well")
    assert "graph      FAILED expected a result, found signal 11: boom" in lines
    assert lines[-1] == "2 parts: graph FAILED"
    written = json.loads(file.read_text())
    assert (written["ok"], written["device"]) == (False, "a device that is not there")
    assert written["parts"] == answers
    monkeypatch.setattr(hardware, "in_a_process", lambda name, quick: {"ok": True, "said": "well"})
    result = tiny_runs.invoke("hardware")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"{len(hardware.PARTS)} parts: all as expected"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ('print(\'noise\'); print(\'{"ok": true, "said": "well"}\')', "well"),
        ("import os; os.abort()", "expected a result, found signal 6: "),
        ("raise SystemExit('no memory')", "expected a result, found exit code 1: no memory"),
        ("pass", "expected a result, found exit code 0: nothing was printed"),
        ("import time; time.sleep(60)", "expected an end within 2 s, found none"),
    ],
)
def test_how_a_process_ends_is_told(monkeypatch, tmp_path, program, said):
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\n" + textwrap.dedent(program) + "\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    found = hardware.in_a_process("products", True, patience=2 if "sleep" in program else 60)
    assert found["said"].startswith(said)
    assert found["ok"] == (said == "well")


def test_a_part_runs_as_a_process():
    found = hardware.in_a_process("products", True, "numpy")
    assert found["ok"], found
    assert found["units"] < 100
