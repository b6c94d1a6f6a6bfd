"""Linsker's network: little noise asks for diversity, much noise for redundancy, and the information falls with it."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "examples" / "linsker_infomax.py"


def test_noise_decides_between_diversity_and_redundancy():
    command = [sys.executable, "-X", "utf8", str(SCRIPT)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=120)
    rows = re.findall(r"^ *([\d.]+) +(\d+)° +(\d+)° +(\d+)° +([\d.]+) +([\d.]+) +(\w+)$", done.stdout, re.MULTILINE)
    assert [float(row[0]) for row in rows] == [0.01, 0.1, 0.3, 1, 3, 10]
    apart = [int(row[3]) for row in rows]
    assert apart == sorted(apart, reverse=True)
    assert (apart[0], apart[-1]) == (90, 0)  # orthogonal rows, then the same row twice
    assert rows[-1][1:3] == ("45", "45")  # the direction of the greatest variance
    most, repeated = ([float(row[k]) for row in rows] for k in (4, 5))
    assert most == sorted(most, reverse=True)
    assert all(a >= b for a, b in zip(most, repeated, strict=True))
    assert most[0] > repeated[0] + 1
    assert [row[6] for row in rows] == ["diversity"] * 4 + ["redundancy"] * 2
