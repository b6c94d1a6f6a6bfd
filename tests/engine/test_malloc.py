"""What glibc keeps is given to the next array without a page fault; elsewhere nothing happens."""

import ctypes
import platform
import subprocess
import sys

import pytest

from dimref.engine import malloc

FAULTS = """
import resource, sys
import numpy as np
from dimref.engine import malloc as allocator
if sys.argv[1] == "keep":
    assert allocator.keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    arrays = [np.ones(1 << 20, np.float32) for _ in range(12)]
for _ in range(3):
    step()
before = faults()
for _ in range(10):
    step()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone has these switches")
def test_freed_arrays_cost_no_more_page_faults():
    kept, mapped = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True).stdout)
        for how in ("keep", "leave")
    )
    assert kept < mapped / 2


@pytest.mark.parametrize("library", [object(), None])
def test_without_glibc_nothing_happens(monkeypatch, library):
    def load(name):
        if library is None:
            raise OSError("no such library")
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert malloc.keep_freed_memory() is False


@pytest.mark.parametrize("answers", [(0, 1), (1, 0)])
def test_a_refusal_is_told(monkeypatch, answers):
    left = list(answers)

    class Library:
        def mallopt(self, option, value):
            return left.pop(0)

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    assert malloc.keep_freed_memory() is False
