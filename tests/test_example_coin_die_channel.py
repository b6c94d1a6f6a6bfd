"""The example runs as a script, and every number that it prints is the closed form."""

import math
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "examples" / "coin_die_channel.py"
H_TENTH = -(0.1 * math.log(0.1) + 0.9 * math.log(0.9))

EXPECTED = [
    ("H(fair coin)", math.log(2)),
    ("H(coin that lands heads 9 times in 10)", H_TENTH),
    ("H(die)", math.log(6)),
    ("H(X, Y)", math.log(2)),
    ("H(X|Y)", 0.0),
    ("I(X; Y)", math.log(2)),
    ("I(X; Y)", math.log(2)),
    ("H(X|Y)", math.log(3)),
    ("ideal channel: I(X; Y)", math.log(6)),
    ("fully disturbed channel: I(X; Y)", 0.0),
    ("symmetric channel, a bit flips 1 time in 10", math.log(2) - H_TENTH),
    ("erasure channel, a bit is lost 1 time in 4", 0.75 * math.log(2)),
    ("Z-channel, a 1 arrives as 0 every other time", math.log(5 / 4)),
]


def test_printed_numbers():
    command = [sys.executable, "-X", "utf8", str(SCRIPT)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=60)
    assert done.stderr == ""
    found = re.findall(r"^(\S.*?) +(\d+\.\d{6}) nats +(\d+\.\d{6}) bits", done.stdout, re.MULTILINE)
    assert [name for name, _, _ in found] == [name for name, _ in EXPECTED]
    for (name, nats, bits), (_, value) in zip(found, EXPECTED, strict=True):
        assert abs(float(nats) - value) <= 1e-6, name
        assert abs(float(bits) - value / math.log(2)) <= 1e-6, name
    gaps = [float(gap) for gap in re.findall(r"gap (\S+)$", done.stdout, re.MULTILINE)]
    assert len(gaps) == 3
    assert all(0 <= gap <= 1e-9 for gap in gaps)
