"""The worker's side of the wire, in this process."""

import io
import os

import numpy as np
import pytest

from dimref.audit import wire, worker


def messages(*sent):
    stream = io.BytesIO()
    for each in sent:
        wire.send(stream, each)
    stream.seek(0)
    return stream


def served(*sent):
    answers = io.BytesIO()
    with pytest.raises(EOFError):
        worker.serve(messages(*sent), answers)
    answers.seek(0)
    found = []
    while answers.tell() < len(answers.getvalue()):
        found.append(wire.receive(answers, b"mark"))
    return found


OPENING = {"target": "dimref.bounds:jsd", "framework": "", "adapter": "", "call": "", "dtype": "", "mark": "mark"}
CALL = {"signature": [["joint", "product"], ["value"], ["joint"], "value"]}


def test_calls_are_answered_until_nobody_asks():
    inputs = {"joint": np.zeros(2), "product": np.zeros((1, 1))[:, 0]}
    opened, first, second = served(OPENING, {**CALL, "inputs": inputs}, {**CALL, "inputs": {**inputs, "joint": None}})
    assert opened == {"framework": "autograd", "takes": [2, 2]}
    assert first["value"]["value"] == 0
    np.testing.assert_array_equal(first["gradients"]["joint"], [0.25, 0.25])
    assert (first["problem"], first["remarks"], first["framework"]) == ("", [], "autograd")
    assert "raised" in second["problem"]


def test_a_target_that_is_refused_ends_it():
    answers = io.BytesIO()
    worker.serve(messages({**OPENING, "target": "dimref.bounds:nothing"}), answers)
    answers.seek(0)
    assert "expected nothing in dimref.bounds, found only" in wire.receive(answers, b"mark")["refused"]


def test_whatever_is_raised_is_told(tmp_path):
    (tmp_path / "mine.py").write_text("def f(joint, product):\n    raise KeyboardInterrupt\n")
    there = worker.open_target(f"{tmp_path / 'mine.py'}:f", "", "", "", "")
    found = worker.answer(there, {**CALL, "inputs": {"joint": np.ones(1), "product": np.ones(1)}})
    assert found["problem"] == "raised KeyboardInterrupt (mine.py, line 2: raise KeyboardInterrupt)"


def test_it_ends_with_the_process_that_asks(monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    worker._end_with(os.getpid())  # which is not its parent
    assert ended == [0]
