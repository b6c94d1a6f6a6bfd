"""Each example script runs, and prints what it promises."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(script, *arguments):
    done = subprocess.run([sys.executable, EXAMPLES / script, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run_by_a_test():
    tests = "".join(path.read_text() for path in Path(__file__).parent.rglob("test_*.py"))
    assert [s.name for s in EXAMPLES.glob("*.py") if s.name not in tests] == []


def test_bounds_of_a_gaussian_print_the_truth_and_ceilings():
    lines = dict(re.findall(r"(\w+) +(-?[\d.]+) nats", run("bounds_of_a_gaussian.py", "0.8")))
    truth = -2 * math.log(1 - 0.64)
    assert float(lines["truth"]) == round(truth, 3)
    # One batch: each estimate is within its sampling noise of the truth, and JSD below its own ceiling.
    assert abs(float(lines["InfoNCE"]) - truth) < 0.5
    assert 0.5 < float(lines["JSD"]) < math.log(4)


def test_info_nce_stops_at_its_ceiling_where_the_truth_goes_on():
    lines = dict(re.findall(r"(\w+) +(-?[\d.]+) nats", run("bounds_of_a_gaussian.py", "0.999")))
    assert float(lines["truth"]) > 12
    assert math.log(256) - 0.1 < float(lines["InfoNCE"]) <= math.log(256)


def test_training_from_python_raises_the_bound():
    values = [float(v) for v in re.findall(r"local bound (-?[\d.]+) nats", run("train_from_python.py", "40", "16"))]
    assert len(values) == 4
    assert values[-1] > values[0] + 0.02


def test_encode_against_products_prints_the_ratio():
    assert re.search(r"ratio \d+\.\d\d", run("encode_against_products.py", "3"))


@pytest.mark.parametrize("script", ["picture_of_the_method.py", "picture_of_a_result.py"])
def test_pictures_are_drawn(script, tmp_path):
    run(script, str(tmp_path / "picture.png"))
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
