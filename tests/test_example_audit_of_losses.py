"""Right losses in PyTorch pass the audit, five wrong ones are found by name."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(*command):
    done = subprocess.run([sys.executable, "-X", "utf8", *command], capture_output=True, encoding="utf-8", timeout=600)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.exhaustive
def test_right_ones_pass():
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dimref[oracle]'")
    code, out, err = run(str(EXAMPLES / "audit_infonce_and_jsd.py"))
    assert (code, err) == (0, "")
    heads = [line.split("  ")[:2] for line in out.splitlines() if "audit_infonce_and_jsd.py:" in line and "  " in line]
    assert heads[:3] == [
        ["CONFORMS", "bound jsd"],
        ["CONFORMS", "bound infonce"],
        ["ANOTHER VALID CONVENTION", "bound infonce"],
    ]
    assert out.count("framework     torch") == 3
    assert out.splitlines()[-1] == "assert_conforms has nothing to say"


@pytest.mark.exhaustive
def test_wrong_ones_are_named():
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dimref[oracle]'")
    code, out, err = run(str(EXAMPLES / "audit_five_mistakes.py"))
    assert (code, err) == (0, "")
    found = [part.splitlines() for part in out.strip().split("\n\n")]
    assert [lines[0].split(": ") for lines in found] == [
        ["infonce_positive_excluded", "mistake"],
        ["infonce_masked_by_ten", "mistake"],
        ["jsd_naive", "mistake"],
        ["dv_without_log", "mistake"],
        ["nt_xent_self_included", "mistake"],
    ]
    for lines, words in zip(
        found,
        (
            "InfoNCE with the positive left out of the denominator",
            "a candidate masked by the number −10 instead of removed",
            "log(1 + e^t) written out",
            "DV without the logarithm",
            "NT-Xent with each row among its own candidates",
        ),
        strict=True,
    ):
        assert words in lines[1]


@pytest.mark.parametrize("script", ["audit_infonce_and_jsd", "audit_five_mistakes"])
def test_without_torch_it_says_so(script):
    path = str(EXAMPLES / f"{script}.py")
    code = f"import runpy, sys; sys.modules['torch'] = None; runpy.run_path({path!r}, run_name='__main__')"
    told = f"{script}: expected PyTorch, found it not installed; pip install 'dimref[oracle]'"
    assert run("-c", code) == (1, "", told + "\n")
