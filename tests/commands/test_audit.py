"""`dimref audit`: functions of other people, from the command line."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import tiny_runs

from dimref import audit as auditing
from dimref.audit import contract
from dimref.training import choices

GOOD = """
import numpy as np

def softplus(t):
    return np.logaddexp(0, t)

def jsd(joint, product):
    return 2 * np.log(2) - softplus(-joint).mean() - softplus(product).mean()

def loss(joint, product):
    print("training")
    return softplus(-joint).mean() + softplus(product).mean()

def once(joint, product):
    return np.log(2) - softplus(-joint).mean() - softplus(product).mean()

def square(scores, *, temperature):
    n = len(scores)
    off = ~np.eye(n, dtype=bool)
    return jsd(np.diag(scores), scores[off])

def hangs(joint, product):
    while True:
        pass

def dies(joint, product):
    import os
    os.abort()
"""
FEW = ("--examples", "16")


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(GOOD)
    return tmp_path / "mine.py"


def test_what_conforms_exits_with_0(mine):
    done = tiny_runs.invoke("audit", "bound", "jsd", f"{mine}:jsd", *FEW)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"CONFORMS  bound jsd  {mine}:jsd\n")
    assert "  framework     numpy; " in done.stdout
    assert done.stderr == ""


def test_a_function_of_one_argument_is_called_with_a_matrix(mine):
    mine.write_text(GOOD + "\ndef of_matrix(s):\n    return jsd(np.diag(s), s[~np.eye(len(s), dtype=bool)])\n")
    done = tiny_runs.invoke("audit", "bound", "jsd", f"{mine}:of_matrix", *FEW)
    assert done.stdout.startswith(f"CONFORMS  bound jsd  {mine}:of_matrix\n")
    assert "  called as     matrix: " in done.stdout


def test_a_mistake_exits_with_1_and_is_named(mine, tmp_path):
    done = tiny_runs.invoke("audit", "bound", "jsd", f"{mine}:once", *FEW, "--json", tmp_path / "out.json")
    assert done.exit_code == 1
    assert done.stdout.startswith("MISTAKE  bound jsd")
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (found["verdict"], found["target"]) == ("mistake", f"{mine}:once")
    assert {"diagnosis", "counterexample", "consequence", "mend", "value", "gradient", "laws"} <= found.keys()
    inputs = eval(found["counterexample"]["inputs"], {"np": np})
    assert inputs.keys() == {"joint", "product"}


def test_another_convention_passes_unless_strict(mine):
    done = tiny_runs.invoke("audit", "bound", "jsd", f"{mine}:loss", *FEW, "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["verdict"] == "another valid convention"
    assert any("training" in note for note in found["notes"])
    assert tiny_runs.invoke("audit", "bound", "jsd", f"{mine}:loss", *FEW, "--strict", "--json").exit_code == 1


def test_what_cannot_run_exits_with_2(mine):
    done = tiny_runs.invoke("audit", "bound", "jsd", f"{mine}:square", *FEW)
    assert done.exit_code == 2
    assert done.stdout.startswith("COULD NOT RUN  bound jsd")
    assert "called with (scores), it is" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("name", "told"), [("hangs", "gave no answer within 0.2 s"), ("dies", "crashed with SIGABRT (mine.py, line ")]
)
def test_what_hangs_or_dies_exits_with_2_soon(mine, name, told):
    done = tiny_runs.invoke("audit", "bound", "jsd", f"{mine}:{name}", "--time-limit", "0.2", "--json")
    assert done.exit_code == 2
    found = json.loads(done.stdout)
    assert found["verdict"] == "could not run"
    assert found["diagnosis"].startswith(told)


def test_the_printed_adapter_runs(mine, tmp_path):
    printed = tiny_runs.invoke("audit", "adapter", "bound", "jsd", "--form", "matrix")
    assert printed.exit_code == 0
    between = tmp_path / "between.py"
    between.write_text(printed.stdout)
    assert "--form matrix" in printed.stdout
    options = ("--adapter", f"{between}:adapt", "--form", "matrix", *FEW)
    refused = tiny_runs.invoke("audit", "bound", "jsd", f"{mine}:square", *options)
    assert "missing 1 required keyword-only argument: 'temperature'" in " ".join(refused.stdout.split())
    between.write_text(printed.stdout.replace("target(scores)\n", "target(scores, temperature=1)\n"))
    done = tiny_runs.invoke("audit", "bound", "jsd", f"{mine}:square", *options)
    assert done.exit_code == 0, done.output
    assert "without an axis of locations" in " ".join(done.stdout.split())


@pytest.mark.exhaustive
def test_a_class_is_audited_by_an_expression(mine):
    mine.write_text(GOOD + "\nclass Jsd:\n    def __init__(self, sign):\n        self.sign = sign\n"
                    "    def __call__(self, joint, product):\n        return self.sign * jsd(joint, product)\n")  # fmt: skip
    done = tiny_runs.invoke("audit", "bound", "jsd", f"{mine}:Jsd", "--call", "Jsd(sign=1)", *FEW)
    assert done.exit_code == 0, done.output
    done = tiny_runs.invoke("audit", "bound", "jsd", f"{mine}:Jsd", *FEW)
    assert 'is a class: expected --call "Jsd()", which makes an object and calls it' in " ".join(done.stdout.split())
    target = tiny_runs.invoke("audit", "bound", "jsd", f"{mine}:jsd", "--dtype", "float32", *FEW)
    assert target.exit_code == 0
    assert "called with float32 in place of any other" in target.stdout


CRITIC_OF_THEIRS = """
import torch

class Estimator(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = torch.nn.Bilinear(1, 1, 1)

    def forward(self, x, y):
        n = len(x)
        pairs = [self.critic(x[i:i + 1], y[j:j + 1]).cuda() for i in range(n) for j in range(n) if i != j]
        return self.critic(x, y).mean() - torch.cat(pairs).exp().mean() / torch.e

def products(queries, keys):
    s = queries @ keys.T
    off = ~torch.eye(len(s), dtype=bool)
    return s.diagonal().mean() - (s[off] - 1).exp().mean()
"""


@pytest.mark.parametrize(
    ("target", "call"),
    [
        pytest.param(
            "Estimator",
            "model = target()\n    model.critic = Critic(scores)\n    return model(samples(scores), samples(scores))",
            marks=pytest.mark.exhaustive,
        ),
        ("products", "return target(*features(scores))"),
    ],
)
def test_the_pieces_for_pytorch_fit_features_and_critics(tmp_path, target, call):
    pytest.importorskip("torch")
    theirs, between = tmp_path / "theirs.py", tmp_path / "between.py"
    theirs.write_text(CRITIC_OF_THEIRS)
    words = (
        "adapter",
        "bound",
        "nwj",
        f"{theirs}:{target}",
        "--form",
        "matrix",
        "--for",
        "torch",
        "-o",
        between,
        "--pytest",
    )
    assert tiny_runs.invoke("audit", *words).stdout == f"{between}\n{tmp_path / 'test_between.py'}\n"
    assert "scores: float64 (3, 3)" in between.read_text()
    assert f"found that {between} exists" in " ".join(tiny_runs.refused("audit", *words).split())
    between.write_text(between.read_text().replace("return target(scores)\n", f"{call}\n"))
    test = (tmp_path / "test_between.py").read_text()
    exec(compile(test, tmp_path / "test_between.py", "exec"), scope := {"__file__": str(tmp_path / "test_between.py")})
    scope["test_nwj"]()


def test_every_adapter_is_python_that_calls_the_target():
    for each in contract.contracts():
        for form in each.forms:
            printed = tiny_runs.invoke("audit", "adapter", each.kind, each.name, "--form", form.name).stdout
            assert max(map(len, printed.splitlines())) <= 120
            scope = {}
            exec(compile(printed, "adapter.py", "exec"), scope)
            given = list(form.signature.arguments)
            assert scope["adapt"](lambda *arguments: list(arguments), *given) == given


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("bound", "jsd", "missing.py:f"), "TARGET missing.py:f: expected a Python file, found no such file"),
        (("bound", "jsd", "mine"), "TARGET mine: expected module:function"),
        (("bound", "jsdd", "mine:f"), "name must be one of dv, nwj, jsd"),
        (("bound", "jsd", "mine:f", "--form", "square"), "form must be one of pairs, matrix, was 'square'"),
        (("bound", "jsd", "mine:f", "--time-limit", "0"), "--time-limit: expected seconds above 0"),
        (("bound", "jsd", "mine:f", "--time-limit", "nan"), "--time-limit: expected seconds above 0"),
        (("bound", "jsd", "dimref.bounds:jsd", "--adapter", "x.py:f"), "--adapter x.py:f: expected a Python file"),
        (("bound", "jsd", "mine:f", "--json", "no/where.json"), "--json no/where.json: expected a file in a directory"),
        (("adapter", "bound", "nothing"), "name must be one of"),
        (("adapter", "bound", "jsd", "--pytest"), "--pytest: expected -o FILE.py, which the test loads, found none"),
        (
            ("adapter", "bound", "jsd", "-o", "no/where.py"),
            "-o no/where.py: expected a file in a directory that exists",
        ),
        (
            ("bound", "jsd", "mine:f", "--call", "f({x})"),
            "--call f({x}): expected arguments out of joint, product, found {x}",
        ),
        (
            ("bound", "jsd", "dimref.bounds:jsd", "--call", "f", "--adapter", "x.py:f"),
            "--call and --adapter: expected one",
        ),
    ],
)
def test_a_mistaken_call_is_one_line(tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    assert told in tiny_runs.refused("audit", *arguments)


@pytest.mark.parametrize(
    "option", [("--framework", "keras"), ("--examples", "1"), ("--memory-limit", "1"), ("--seed", "-1")]
)
def test_values_out_of_range_are_clicks_own_line(option):
    assert tiny_runs.invoke("audit", "bound", "jsd", "mine:f", *option).exit_code == 2


def test_the_list_names_every_mistake_and_its_mend():
    done = tiny_runs.invoke("audit", "list")
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 100
    found = json.loads(tiny_runs.invoke("audit", "list", "--json").stdout)
    assert [(e["kind"], e["name"]) for e in found] == [(c.kind, c.name) for c in contract.contracts()]
    mistakes = [mistake for entry in found for mistake in entry["mistakes"]]
    assert len({mistake["key"] for mistake in mistakes}) >= 30
    for mistake in mistakes:
        assert mistake["title"]
        assert mistake["mend"], mistake["key"]
        assert mistake["key"] in done.stdout
    only = json.loads(tiny_runs.invoke("audit", "list", "--kind", "layer", "--json").stdout)
    assert {entry["kind"] for entry in only} == {"layer"}


@pytest.mark.parametrize("kind", choices.AUDIT_KINDS)
def test_help_ends_with_the_names(kind):
    done = tiny_runs.invoke("audit", kind, "--help")
    assert done.exit_code == 0
    for each in contract.contracts(kind):
        assert each.name in done.stdout


def test_the_group_needs_no_numpy():
    code = "import sys, dimref.cli; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_ctrl_c_leaves_no_process_behind(mine):
    import signal
    from pathlib import Path

    child = tiny_runs.start("audit", "bound", "jsd", f"{mine}:hangs", "--time-limit", "600", start_new_session=True)
    listed = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    until = time.monotonic() + 60
    while not (workers := listed.read_text().split()) and time.monotonic() < until:
        time.sleep(0.05)
    assert workers
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err.splitlines()[-1]) == (130, "", "dimref: stopped")
    assert not Path(f"/proc/{workers[0]}").exists()


# ---- from Python


def test_a_function_of_this_process_can_be_held(mine):
    scale = 1.0
    auditing.assert_conforms(lambda joint, product: scale * jsd(joint, product), "bound", "jsd", cases=16)
    with pytest.raises(AssertionError, match="MISTAKE  bound jsd"):
        auditing.assert_conforms(lambda joint, product: 2 * jsd(joint, product), "bound", "jsd", cases=16)
    assert auditing.audit(f"{mine}:once", "bound", "jsd", cases=16, time_limit=60).verdict == "mistake"


def jsd(joint, product):
    return 2 * np.log(2) - np.logaddexp(0, -joint).mean() - np.logaddexp(0, product).mean()
