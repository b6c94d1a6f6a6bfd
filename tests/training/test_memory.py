"""Peak memory: what the system says, in bytes."""

import subprocess
import sys

import pytest

from dimref.training import memory


def test_linux_files_are_read_in_kilobytes(tmp_path, monkeypatch):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t   99999 kB\nVmHWM:\t    1234 kB\nVmRSS:\t     999 kB\n")
    monkeypatch.setattr(memory, "STATUS", status)
    assert memory.high_water() == 1234 * 1024
    free = tmp_path / "meminfo"
    free.write_text("MemTotal: 10 kB\nMemFree: 3 kB\nMemAvailable: 7 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", free)
    assert memory.available() == 7 * 1024


@pytest.mark.parametrize("content", [None, "", "VmHWM:\n", "VmHWM: many kB\n"])
def test_another_system_is_asked_by_getrusage(tmp_path, monkeypatch, content):
    resource = pytest.importorskip("resource")
    path = tmp_path / "status"
    if content is not None:
        path.write_text(content)
    monkeypatch.setattr(memory, "STATUS", path)
    monkeypatch.setattr(memory, "MEMINFO", path)
    monkeypatch.setattr(resource, "getrusage", lambda who: type("Usage", (), {"ru_maxrss": 5}))
    monkeypatch.setattr(sys, "platform", "linux")
    assert memory.high_water() == 5 * 1024
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.high_water() == 5
    monkeypatch.setitem(sys.modules, "resource", None)
    assert memory.high_water() is None
    assert memory.available() is None


def test_the_mark_rises_with_an_array_and_does_not_fall():
    if memory.high_water() is None:
        pytest.skip("the system does not tell")
    code = (
        "import numpy as np; from dimref.training.memory import high_water; a = high_water(); "
        "x = np.ones(200_000_000, np.uint8); b = high_water(); del x; print(b - a, high_water() - b)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rise, after = map(int, done.stdout.split())
    assert 150e6 < rise < 220e6  # less what the imports had and gave back
    assert after > -1e6  # the kernel counts in portions
