"""Each estimate of the example lies where its interval and its critic allow, and the picture is drawn."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "examples" / "estimate_known_truths.py"


def test_coverage_is_counted():
    script = SCRIPT.with_name("coverage_of_an_estimate.py")
    done = subprocess.run(
        [sys.executable, "-X", "utf8", script, "3", "100"], capture_output=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"expectation  0\.\d+ on average: covered by (0|33|67|100)% of the intervals", done.stdout)


def test_estimates_lie_beside_the_truths(tmp_path):
    picture = tmp_path / "truths.png"
    try:
        import matplotlib  # noqa: F401

        arguments = ["400", str(picture), "10"]
    except ImportError:
        arguments = ["400", "", "10"]
    command = [sys.executable, "-X", "utf8", str(SCRIPT), *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    rows = re.findall(
        r"^(\S.*?) +(\d\.\d{3}) +(-?\d\.\d{3})   (-?\d\.\d{3}) … (-?\d\.\d{3})$", done.stdout, re.MULTILINE
    )
    assert len(rows) == 9
    for name, truth, estimate, low, high in rows:
        truth, estimate, low, high = map(float, (truth, estimate, low, high))
        assert low <= estimate <= high
        assert low < truth + 0.02, name  # a bound
        assert truth < high + 0.9, name  # 400 samples, few steps: what no Gaussian sees is missed
    for name, truth, _, low, high in rows[:5]:
        assert float(low) - 0.06 < float(truth) < float(high) + 0.12, name
    if picture.exists():
        assert picture.read_bytes().startswith(b"\x89PNG")
