"""`dimref check`: the table, the list, the shrunk counterexample that can be pasted, JSON, exit codes."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from dimref import bounds, laws
from dimref.cli import main
from dimref.laws import report


def run(*arguments):
    return CliRunner().invoke(main, ["check", *arguments])


def test_table():
    done = run("--laws", "jsd", "--examples", "5")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    chosen = laws.matching("jsd")
    assert lines[0].split() == ["law", "source", "tried", "tightest", "verdict"]
    assert [line.split()[0] for line in lines[1 : len(chosen) + 1]] == [law.name for law in chosen]
    assert max(map(len, lines)) <= 110
    assert lines[-1].startswith(f"{len(chosen)} laws, ")
    assert lines[-1].endswith("seed 0: all as stated")
    assert run("--laws", "jsd", "--examples", "5").output == done.output
    assert run("--laws", "jsd", "--examples", "5", "--seed", "1").output != done.output


def test_a_broken_bound_prints_a_case_that_can_be_pasted(monkeypatch, tmp_path):
    monkeypatch.setattr(bounds, "jsd", lambda joint, product: joint.mean() + 7.0)
    done = run("--laws", "batch.jsd_below_log_4", "--json", str(tmp_path / "out.json"))
    assert done.exit_code == 1
    assert "VIOLATED  batch.jsd_below_log_4: JSD ≤ log 4" in done.output
    assert done.output.splitlines()[-1].endswith("1 VIOLATED")
    pasted = done.output[done.output.index("import numpy") :].rpartition("\n\n")[0]
    *statements, last = pasted.splitlines()
    scope = {}
    exec("\n".join(statements), scope)
    slack = eval(last, scope)
    assert not slack.holds
    assert scope["case"]["joint"].shape == (2, 1)  # as small as a batch can be
    (written,) = json.loads((tmp_path / "out.json").read_text())["laws"]
    assert written["verdict"] == "VIOLATED"
    assert written["slack"] == pytest.approx(slack.value)
    np.testing.assert_equal(eval(written["counterexample"], {"np": np}), scope["case"])


def test_json_holds_every_law(tmp_path):
    path = tmp_path / "laws.json"
    assert run("--laws", "counter", "--json", str(path), "--seed", "3").exit_code == 0
    found = json.loads(path.read_text())
    assert (found["backend"], found["seed"]) == ("numpy", 3)
    assert [entry["name"] for entry in found["laws"]] == [law.name for law in laws.matching("counter")]
    assert {entry["verdict"] for entry in found["laws"]} == {"refuted"}
    assert list(tmp_path.iterdir()) == [path]


def test_json_alone_is_all_that_is_printed(tmp_path):
    done = run("--laws", "batch.jsd_below_log_4", "--examples", "5", "--json", "--seed", "3")
    assert done.exit_code == 0
    assert [entry["name"] for entry in json.loads(done.stdout)["laws"]] == ["batch.jsd_below_log_4"]


def test_list_tries_nothing(monkeypatch):
    monkeypatch.setattr(laws, "check", None)
    done = run("--list", "--laws", "chain_rule")
    assert done.exit_code == 0
    assert "I(X; Y, Z) = I(X; Z) + I(X; Y | Z)" in done.output
    assert "theorem 2.5.2" in done.output
    assert len(re.findall(r"^\S", run("--list").output, re.MULTILINE)) == len(laws.LAWS)
    assert max(map(len, run("--list").output.splitlines())) <= 110


@pytest.mark.parametrize("arguments", [["--laws", "nothing"], ["--list", "--laws", "nothing"]])
def test_an_unknown_pattern_is_one_line(arguments):
    done = run(*arguments)
    assert done.exit_code == 2
    assert len(done.output.splitlines()) == 1
    assert "found 'nothing'" in done.output


def test_a_missing_hypothesis_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "dimref.laws.search")
    done = run()
    assert done.exit_code == 2
    assert done.output.splitlines() == [
        "dimref: check: expected Hypothesis, which draws and shrinks the cases, found it not installed; "
        "install it with pip install '.[check]'"
    ]
    assert run("--list").exit_code == 0


def test_it_leaves_nothing_where_the_user_stands(tmp_path):
    command = [sys.executable, "-m", "dimref", "check", "--laws", "tables.chain_rule", "--examples", "3"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "value",
    [3, 0.5, "minimax", (2, 1), np.float64(2.5), np.arange(4), np.array([np.inf, -np.inf, np.nan, 1e-9], np.float32)],
)
def test_a_literal_gives_the_value_back(value):
    found = eval(report.literal({"a": {"b": value}}), {"np": np})["a"]["b"]
    np.testing.assert_equal(found, value)
    assert getattr(found, "dtype", None) == (value.dtype if isinstance(value, np.ndarray) else None)
