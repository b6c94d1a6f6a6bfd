"""Targets in a process of their own: what they do wrong is a line, and nothing is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from started_processes import soon

from dimref.audit import sandbox
from dimref.audit.answer import Signature
from dimref.audit.loading import LoadError
from dimref.audit.sandbox import Sandbox
from dimref.training import processes

SIGNATURE = Signature(("what", "x"), ("value",), ("x",))
EXHAUSTIVE = pytest.mark.exhaustive
HOSTILE = Path(__file__).with_name("hostile.py")
X = np.array([0.5, -1.0, 2.0])


@pytest.fixture(scope="module")
def held():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "FORBEARANCE", 1000)
        with Sandbox(f"{HOSTILE}:act", time_limit=60) as target:
            yield target


def ask(target, what, x=X):
    return target.call(SIGNATURE, {"what": what, "x": x})


def left():
    """The processes that this one has started and that are still there."""
    found = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return [int(pid) for pid in found.read_text().split()] if found.exists() else []


def test_value_and_gradient_come_back(held):
    answer = ask(held, "good")
    assert (answer.problem, answer.printed, answer.remarks) == ("", "", ())
    assert answer.value["value"] == np.mean(X * X)
    np.testing.assert_allclose(answer.gradients["x"], 2 * X / 3)
    assert held.framework == "numpy"
    assert ask(held, "good", X.astype(np.float32)).value["value"].dtype == np.float32


@pytest.mark.parametrize(
    ("what", "printed"), [("prints", "loss 3"), ("spawns", "from a child"), ("forks", ""), ("takes_handlers", "")]
)
def test_what_it_prints_and_starts_does_not_reach_the_wire(held, what, printed):
    answer = ask(held, what)
    assert (answer.problem, answer.printed) == ("", printed)
    assert answer.value["value"] == X.mean()
    assert ask(held, "good").printed == ""  # and is forgotten


def test_a_child_that_comes_back_answers_nobody(held):
    before = ask(held, "process").value["value"]
    ask(held, "forks")
    assert ask(held, "process", X[:1]).value["value"] == before


def test_its_input_is_empty(held):
    assert ask(held, "reads").value["value"] == X.mean()


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("none", "returned None; expected one array or number (value)"),
        ("a_list", "returned a list of 2; expected one array or number (value)"),
        ("a_word", "returned a str; expected one array or number (value)"),
        ("integer", "returned int64; expected a real number (value)"),
        ("complex_number", "returned complex numbers; expected an array of real numbers"),
        ("an_object", "returned an object; expected an array of real numbers"),
        ("raises", "raised ValueError: scores of shape (3,) are wrong (hostile.py, line {}: raise ValueError("),
        ("divides", "raised ZeroDivisionError: division by zero (hostile.py, line {}: return 1 / int("),
        ("recurses", "raised RecursionError: maximum recursion depth exceeded (hostile.py, line {}: return recurses"),
        ("interrupts", "raised KeyboardInterrupt (hostile.py, line {}: raise KeyboardInterrupt"),
        ("exits", "called sys.exit('done') (hostile.py, line {}: sys.exit("),
    ],
)
def test_no_usable_value_is_a_line(held, what, problem):
    answer = ask(held, what)
    place = answer.problem.rpartition(", line ")[2].partition(":")[0]
    assert answer.problem.startswith(problem.format(place))
    assert "\n" not in answer.problem
    assert (answer.value, answer.gradients) == ({}, {})
    if "{}" in problem:
        source = HOSTILE.read_text(encoding="utf-8").splitlines()
        assert source[int(place) - 1].strip().startswith(problem.partition("{}: ")[2])


def test_a_strange_value_is_a_value(held):
    assert np.isnan(ask(held, "nan").value["value"])
    answer = ask(held, "wrong_shape")
    assert answer.value["value"].shape == (3, 7)
    assert answer.gradients == {}
    assert "an array of object" in ask(held, "objects").problem or "inhomogeneous" in ask(held, "objects").problem


def test_an_input_changed_in_place_is_told_and_does_no_harm(held):
    x = X.copy()
    answer = ask(held, "in_place", x)
    assert "changes its input x in place" in answer.remarks
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("leaves_at_once", "ended its process with exit code 3"),
        ("segfaults", "crashed with SIGSEGV (hostile.py, line "),
        ("aborts", "crashed with SIGABRT (hostile.py, line "),
        ("kills_itself", "crashed with SIGKILL"),
        ("closes_everything", "ended its process with exit code"),
        ("writes_everywhere", "gave an answer that cannot be read: message: expected its mark, found b'"),
    ],
)
def test_a_death_is_a_line_and_the_next_call_is_answered(held, what, problem):
    answer = ask(held, what)
    assert answer.problem.startswith(problem)
    assert answer.printed == ""
    assert left() == []
    assert ask(held, "good").problem == ""
    if what == "leaves_at_once":
        assert ask(held, what) == answer.__class__(problem=problem)  # from memory: nothing is started
        assert ask(held, "good").problem == ""


@pytest.mark.parametrize("what", ["hangs", "hangs_in_c"])
def test_a_call_that_hangs_is_ended(held, monkeypatch, what):
    ask(held, "good")
    monkeypatch.setattr(held, "_time_limit", 0.3)
    assert ask(held, what).problem == "gave no answer within 0.3 s"
    assert left() == []


@pytest.mark.parametrize("what", ["eats_memory", "a_child_eats_memory", "a_session_eats_memory"])
def test_the_memory_of_all_its_processes_is_watched(held, monkeypatch, what):
    ask(held, "good")
    monkeypatch.setattr(held, "_memory_limit", 400)
    assert ask(held, what).problem == "used more than 400 MiB of memory"
    assert left() == []


def test_a_flood_of_words_is_ended(held, monkeypatch):
    monkeypatch.setattr(sandbox, "MOST_PRINTED", 1 << 20)
    answer = ask(held, "prints_forever")
    assert answer.problem == "printed more than 1 MiB"
    assert len(answer.printed) == 200


def test_a_target_that_dies_often_is_not_asked_again(monkeypatch):
    monkeypatch.setattr(sandbox, "PATIENCE", 2)
    monkeypatch.setattr(sandbox, "FORBEARANCE", 3)
    with Sandbox(f"{HOSTILE}:act") as target:
        for size in (1, 2):
            assert ask(target, "leaves_at_once", np.ones(size)).problem == "ended its process with exit code 3"
        problem = ask(target, "good").problem
        assert problem == "not asked again, after 2 times: ended its process with exit code 3"
        assert left() == []
        target._answered = True  # one that has answered is given one more chance
        assert ask(target, "good").problem == ""
        assert ask(target, "aborts").problem.startswith("crashed with SIGABRT")
        assert ask(target, "good").problem.startswith("not asked again, after 3 times: crashed with SIGABRT")


def test_another_value_when_called_again_is_told():
    with Sandbox(f"{HOSTILE}:act") as target:
        assert "returned another value when it was called again with the same inputs" in ask(target, "counts").remarks


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="no keeper")


@ON_LINUX
@pytest.mark.parametrize("what", ["leaves_a_child", "leaves_sessions", "good"])
def test_nothing_is_left_behind(started, what):
    with Sandbox(f"{HOSTILE}:act") as target:
        for size in (1, 2):
            assert ask(target, what, np.ones(size)).problem == ""
        alone = 2  # the worker and its keeper
        assert soon(lambda: len(started()) >= (alone if what == "good" else alone + 2))
    assert started() == []


@ON_LINUX
def test_nothing_is_left_behind_by_a_death(started):
    with Sandbox(f"{HOSTILE}:act") as target:
        ask(target, "leaves_sessions")
        assert ask(target, "aborts").problem.startswith("crashed with SIGABRT (hostile.py, line ")
        assert started() == []


@ON_LINUX
@pytest.mark.parametrize("what", ["hangs", "holds_the_lock", "leaves_sessions_and_hangs"])
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.exhaustive)]
)
def test_an_audit_that_is_killed_leaves_nothing_behind(tmp_path, started, what, number):
    code = f"""
        import numpy as np
        from dimref.audit.answer import Signature
        from dimref.audit.sandbox import Sandbox
        with Sandbox({f"{HOSTILE}:act"!r}, time_limit=600) as target:
            target.call(Signature(("what", "x"), ("value",), ("x",)), {{"what": {what!r}, "x": np.ones(2)}})
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stderr=subprocess.PIPE, text=True)
    assert soon((tmp_path / "entered").exists, 60)
    parent.send_signal(number)
    assert ("KeyboardInterrupt" in parent.communicate(timeout=60)[1]) == (number == signal.SIGINT)
    assert soon(lambda: started() == [])


@ON_LINUX
def test_a_worker_ends_with_its_keeper(started):
    with Sandbox(f"{HOSTILE}:act") as target:
        assert ask(target, "kills_its_parent").problem == "crashed with SIGKILL"
        assert soon(lambda: started() == [])
        assert ask(target, "good").problem == ""


def test_a_process_without_a_keeper_leaves_nothing_behind(monkeypatch, started):
    """As on other systems."""
    monkeypatch.setattr(processes, "SUPERVISED", False)
    with Sandbox(f"{HOSTILE}:act") as target:
        assert ask(target, "leaves_a_child").problem == ""
        assert ask(target, "aborts").problem.startswith("crashed with SIGABRT (hostile.py, line ")
        ask(target, "leaves_a_child", np.ones(1))
    assert soon(lambda: started() == [])


# ---- what cannot be loaded


FILES = {
    "syntax.py": "def f(x):\n    return (x\n",
    "text.py": "Dear Sir,\n",
    "binary.py": "\x00\x01",
    "import_.py": "import numpy\nimport no_such_module\n",
    "raises.py": "\nraise RuntimeError('on import')\n",
    "exits.py": "import sys\nsys.exit(4)\n",
    "dies.py": "import os\nos._exit(5)\n",
    "hangs.py": "import time\ntime.sleep(600)\n",
    "empty.py": "",
    "values.py": "f = 3\ndef g(x): pass\ndef h(x): pass\n",
}


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("syntax.py:f", "raised SyntaxError: '(' was never closed (syntax.py, line 2)"),
        pytest.param("text.py:f", "raised SyntaxError: invalid syntax (text.py, line 1)", marks=EXHAUSTIVE),
        pytest.param("binary.py:f", "null bytes", marks=EXHAUSTIVE),
        pytest.param(
            "import_.py:f",
            "raised ModuleNotFoundError: No module named 'no_such_module' (import_.py, line 2: import no",
            marks=EXHAUSTIVE,
        ),
        ("raises.py:f", "raised RuntimeError: on import (raises.py, line 2: raise"),
        pytest.param("exits.py:f", "called sys.exit(4) (exits.py, line 2: sys.exit(4))", marks=EXHAUSTIVE),
        ("dies.py:f", "it ended its process with exit code 5"),
        ("hangs.py:f", "it gave no answer within 0.7 s"),
        pytest.param("empty.py:f", "expected f in empty.py, found no function there", marks=EXHAUSTIVE),
        ("values.py:x", "expected x in values.py, found only g, h"),
        pytest.param("values.py:f", "expected a function, found f to be of type int", marks=EXHAUSTIVE),
        ("missing.py:f", "expected a Python file, found no such file: missing.py"),
        ("sub/missing:f", "expected a Python file, found no such file: sub/missing"),
        (".:f", "expected a Python file, found a directory: ."),
        ("values.py", "expected module:function or path/to/file.py:function, found no :"),
        ("values.py:", "found no name after :"),
        (":f", "found no name after :"),
        ("values.py:f()", "found no name after :"),
        ("no_such_module:f", "raised ModuleNotFoundError: No module named 'no_such_module'"),
        ("a b:f", "found neither a file nor a module's name: a b"),
        ("", "found no :"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(tmp_path, monkeypatch, target, told):
    monkeypatch.chdir(tmp_path)
    name = target.partition(":")[0]
    if name in FILES:
        (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    limits = {"loading_limit": 0.7} if name == "hangs.py" else {}
    with pytest.raises(LoadError) as caught, Sandbox(target, **limits):
        pass
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"TARGET {target}: expected ")
    assert "\n" not in str(caught.value)
    assert left() == []


def test_an_adapter_stands_between(tmp_path):
    (tmp_path / "mine.py").write_text("def loss(x, scale):\n    return -(x * scale).sum()\n")
    (tmp_path / "between.py").write_text("def adapt(target, what, x):\n    return target(x, scale=2.0)\n")
    with Sandbox(f"{tmp_path / 'mine.py'}:loss", adapter=f"{tmp_path / 'between.py'}:adapt") as target:
        answer = ask(target, "")
    assert answer.value["value"] == -3
    np.testing.assert_array_equal(answer.gradients["x"], [-2, -2, -2])
    with pytest.raises(LoadError, match=r"--adapter .*: expected a Python file, found no such file"):
        Sandbox(f"{tmp_path / 'mine.py'}:loss", adapter=f"{tmp_path / 'none.py'}:adapt").__enter__()


REPOSITORY = {
    "repo/pyproject.toml": "",
    "repo/helpers.py": "SCALE = 2.0\n",
    "repo/package/__init__.py": "",
    "repo/package/sizes.py": "SHIFT = 1.0\n",
    "repo/package/losses/__init__.py": "from .own import mean\n",
    "repo/package/losses/own.py": "def mean(x):\n    return x.mean()\n",
    "repo/package/losses/of_root.py": "from helpers import SCALE\nfrom package.losses.own import mean\n"
    "def act(what, x):\n    return SCALE * mean(x)\n",
    "repo/package/losses/relative.py": "from ..sizes import SHIFT\nfrom .own import mean\n"
    "def act(what, x):\n    return mean(x) + SHIFT\n",
    "loose/own.py": "HALF = 0.5\n",
    "loose/relative.py": "from .own import HALF\ndef act(what, x):\n    return HALF * x.mean()\n",
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("repo/package/losses/of_root.py", 2 * X.mean()),
        ("repo/package/losses/relative.py", X.mean() + 1),
        ("loose/relative.py", X.mean() / 2),
    ],
)
def test_a_file_of_a_repository_imports_as_it_does_there(tmp_path, name, expected):
    for path, text in REPOSITORY.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    with Sandbox(f"{tmp_path / name}:act") as target:
        assert ask(target, "").value["value"] == expected


def test_a_call_of_new_shapes_may_be_compiled_outside_the_limit(monkeypatch):
    """Of a target in JAX."""
    held = Sandbox(f"{HOSTILE}:act", "jax", time_limit=1, loading_limit=50)
    limits = [held._limit(SIGNATURE, {"what": "", "x": np.ones(n)}) for n in (2, 2, 2, 2, 3, 2)]
    assert limits == [51, 51, 51, 1, 51, 1]
    held.framework = "torch"
    assert held._limit(SIGNATURE, {"what": "", "x": np.ones(7)}) == 1


def test_neighbours_and_modules_can_be_imported(tmp_path, monkeypatch):
    (tmp_path / "neighbour.py").write_text("def mean(x):\n    return x.mean()\n")
    (tmp_path / "mine.py").write_text("from neighbour import mean\ndef act(what, x):\n    return mean(x)\n")
    monkeypatch.chdir(tmp_path)
    for name in ("mine.py:act", "mine:act", f"{tmp_path}/mine.py:act"):
        with Sandbox(name) as target:
            assert ask(target, "").value["value"] == X.mean()
