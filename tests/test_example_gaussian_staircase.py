"""The staircase prints every bound beside the truth, each where theory puts it, and draws a picture."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "examples" / "gaussian_staircase.py"


def test_each_bound_beside_the_truth(tmp_path):
    picture = tmp_path / "stairs.png"
    arguments = []
    try:
        import matplotlib  # noqa: F401

        arguments = [str(picture)]
    except ImportError:
        pass
    command = [sys.executable, "-X", "utf8", str(SCRIPT), *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=120)
    found = re.findall(r"^(\S.*?)((?: +-?\d+\.\d{3}){5})", done.stdout, re.MULTILINE)
    rows = {name: [float(value) for value in values.split()] for name, values in found}
    assert rows["I"] == [2, 4, 6, 8, 10]
    for name in ("DV", "NWJ"):  # at the optimal critic no ceiling, but a variance that grows: close while I is small
        assert rows[name][:3] == pytest.approx(rows["I"][:3], abs=0.3)
        assert rows[name][4] > 8
    for name, ceiling in (("InfoNCE", math.log(128)), ("JSD", math.log(4))):
        assert sorted(rows[name]) == rows[name]
        assert ceiling - 0.1 < rows[name][4] <= ceiling
    for certified, infonce, truth in zip(rows["I certified by JSD"], rows["InfoNCE"], rows["I"], strict=True):
        assert 0 < certified < truth
        assert infonce < truth
    if arguments:
        assert picture.read_bytes().startswith(b"\x89PNG")
