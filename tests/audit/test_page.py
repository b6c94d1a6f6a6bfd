"""The page of an audit, and what is said of the target without importing it."""

import dataclasses
import hashlib
import html
import re
import subprocess
import sys

import numpy as np
import pytest
import tiny_runs

from dimref.audit import page, provenance
from dimref.audit.callables import audit
from dimref.audit.checks import outcomes
from dimref.audit.vectors import SUITE

MINE = """
import numpy as np

def once(joint, product):
    return np.log(2) - np.logaddexp(0, -joint).mean() - np.logaddexp(0, product).mean()

def naive(joint, product):
    return 2 * np.log(2) - np.log(1 + np.exp(-joint)).mean() - np.log(1 + np.exp(product)).mean()

def fails(joint, product):
    raise ValueError("<script>alert(1)</script>")
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path / "mine.py"


def written(target, tmp_path, *options, kind=("bound", "jsd")):
    file = tmp_path / "page.html"
    done = tiny_runs.invoke("audit", *kind, target, "--examples", "16", "--html", file, *options)
    return done, file.read_text(encoding="utf-8") if file.exists() else ""


def test_the_page_has_everything_and_fetches_nothing(mine, tmp_path):
    done, text = written(f"{mine}:once", tmp_path, "--expect", "value=ticket 12", "--seed", "3")
    assert done.exit_code == 0, done.output
    plain = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())
    for part in (
        f"{mine}:once makes a mistake: JSD with ", "ticket 12",
        hashlib.sha256(mine.read_bytes()).hexdigest(), f"suite {SUITE}", "16, seed 3", f"numpy {np.__version__}",
        "dimref.bounds.jsd:", "JSD ≤ log 4", "np.array(", "gradient in joint: expected", "found − expected in nats",
        f"audit bound jsd {mine}:once --seed 3 --examples 16 --expect 'value=ticket 12'",
    ):  # fmt: skip
        assert part in plain, part
    assert not re.findall(r"(?i)<script|<link|src=|@import|url\(", text)


def test_words_of_the_target_are_escaped_and_a_failure_is_a_page_too(mine, tmp_path):
    done, text = written(f"{mine}:fails", tmp_path)
    assert done.exit_code == 2
    assert "<script" not in text
    assert "could not be run: raised ValueError: &lt;script" in text


def test_a_place_that_cannot_be_written_is_refused_before_the_audit(tmp_path):
    done, _ = written("nothing.py:there", tmp_path / "no")
    assert done.exit_code == 2
    assert "expected a file in a directory that exists" in done.output


@pytest.mark.parametrize(
    ("target", "expect", "code", "line"),
    [
        ("once", ("value=ticket 12",), 0, "value: fails, as expected: ticket 12"),
        ("naive", ("value=ticket 12", "range=e^T"), 1, "value: expected to fail, passes: ticket 12"),
        ("naive", ("range",), 2, "--expect range: expected the reason for which it fails, found ''"),
        (
            "naive",
            ("speed=slow",),
            2,
            "--expect: expected a check of value, gradient, laws, range, dtypes; found 'speed'",
        ),
    ],
)
def test_expected_failures_decide_the_exit_code(mine, target, expect, code, line):
    options = [word for each in expect for word in ("--expect", each)]
    done = tiny_runs.invoke("audit", "bound", "jsd", f"{mine}:{target}", "--examples", "16", *options)
    assert done.exit_code == code, done.output
    assert line in done.output


def differences(target, *contract, **how):
    report = audit(target, *contract, cases=24, **how)
    found = page.curve(report)
    assert page.html(report, outcomes(report), found, "numpy:exp", "dimref", 0)
    return {dtype: dict(line) for dtype, line in found.items()}


def softplus(t):
    return np.logaddexp(0.0, t)


@pytest.mark.exhaustive
def test_the_curve_is_what_the_target_is_off_by():
    """A loss against the reference's negative, a mistake against the reference, a convention against itself."""

    def once(j, p):
        return softplus(-j).mean() + softplus(p).mean() - np.log(2)

    found = differences(once, "bound", "jsd")["float64"]
    assert list(found.values()) == pytest.approx([np.log(2)] * len(found))
    assert min(found) < 1 < 1e4 <= max(found)
    js = differences(lambda j, p: np.log(2) - (softplus(-j).mean() + softplus(p).mean()) / 2, "bound", "jsd")["float64"]
    assert max(map(abs, js.values())) < 1e-9
    naive = differences(lambda j, p: 2 * np.log(2) - np.log(1 + np.exp(-j)).mean() - softplus(p).mean(), "bound", "jsd")
    assert abs(naive["float32"][80.0]) < 1e-3
    assert naive["float32"][95.0] == -np.inf
    assert abs(naive["float64"][95.0]) < 1e-3


def test_what_has_no_scores_has_no_curve():
    assert differences(lambda p: -np.sum(p * np.log2(p)), "information", "entropy") == {}


def test_a_file_in_a_repository_has_its_commit(tmp_path):
    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(["git", "-C", tmp_path, *identity, *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    file = tmp_path / "mine.py"
    file.write_text(MINE)
    git("init", "-q")
    assert "commit" not in provenance.of_target(f"{file}:once")
    git("add", ".")
    git("commit", "-qm", "x")
    commit = git("rev-parse", "HEAD")
    assert provenance.of_target(f"{file}:once")["commit"] == commit
    file.write_text(MINE + "\n")
    assert provenance.of_target(f"{file}:once")["commit"] == f"{commit}, the file changed since"


def test_a_module_is_found_without_being_imported(tmp_path, monkeypatch):
    package = tmp_path / "theirs" / "losses"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "bound.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    found = provenance.of_target("theirs.losses.bound:once")
    assert found["file"].endswith("theirs/losses/bound.py")
    assert "theirs" not in sys.modules
    assert "package" not in found
    assert provenance.of_target("autograd.scipy.special:logsumexp")["package"].startswith("autograd ")


def test_a_fix_of_one_line_is_shown_as_code():
    report = audit(lambda j, p: np.log(2) - softplus(-j).mean() - softplus(p).mean(), "bound", "jsd", cases=24)
    variant = dataclasses.replace(report.judgement.candidate.variant, lines=lambda: ("log 4 < x", "log 2"))
    candidate = dataclasses.replace(report.judgement.candidate, variant=variant)
    report = dataclasses.replace(report, judgement=dataclasses.replace(report.judgement, candidate=candidate))
    assert "- log 2\n+ log 4 &lt; x</code>" in page.html(report, {}, {}, "numpy:exp", "dimref", 0)
