"""The exported encoder gives the same features in PyTorch."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_runs

EXAMPLE = Path(__file__).parents[1] / "examples" / "load_in_pytorch.py"


@pytest.mark.parametrize(("side", "channels"), [(8, 3), (13, 1)])
def test_features_agree_to_a_hundred_thousandth(tmp_path, monkeypatch, side, channels):
    """Also where images are padded, unevenly, and weights and statistics have moved from their first values."""
    pytest.importorskip("torch")
    tiny_runs.narrow(monkeypatch)
    images, run = tiny_runs.write_npz(tmp_path / "images.npz", side=side, channels=channels), tmp_path / "run"
    assert tiny_runs.invoke(*tiny_runs.small(images, "--out", run, "--quiet", "--no-plot", "--lr", 0.01)).exit_code == 0
    assert tiny_runs.invoke("export", run).exit_code == 0
    done = subprocess.run([sys.executable, EXAMPLE, run], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    apart = re.findall(r"^(\w+) .*: at most (\S+) apart", done.stdout, flags=re.M)
    assert [name for name, _ in apart] == ["conv", "fc", "y"]
    assert all(float(value) < 1e-5 for _, value in apart)
