"""The PyTorch twin conforms to the trace, and each planted mistake is named."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "examples" / "audit_trace_of_a_torch_twin.py"


def run(command):
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=300)


@pytest.mark.exhaustive
def test_the_twin_conforms_and_its_mistakes_are_named():
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dimref[oracle]'")
    done = run([sys.executable, "-X", "utf8", str(SCRIPT)])
    assert done.returncode == 0, done.stderr
    right, variance, activation = (" ".join(part.split()) for part in done.stdout.split("----")[1:])
    assert right.startswith("the twin as it should be conforms 182:")
    assert right.endswith("theirs.npz conforms in all 182 arrays that it has")
    assert "DEPARTS encoder/norm1 (8 × 16 × 16 × 16): normalized with the unbiased variance" in variance
    assert "the same at 3 more: encoder/norm2, encoder/norm3, encoder/norm_fc" in variance
    assert variance.endswith("nothing else departs that does not follow from it")
    assert "DEPARTS encoder/relu3 (8 × 4 × 4 × 64): no ReLU: negative elements are left" in activation
    assert activation.endswith("nothing else departs that does not follow from it")


def test_without_torch_it_says_so():
    code = f"import runpy, sys; sys.modules['torch'] = None; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    done = run([sys.executable, "-c", code])
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        "audit_trace_of_a_torch_twin: expected PyTorch, found it not installed; pip install 'dimref[oracle]'"
    ]
