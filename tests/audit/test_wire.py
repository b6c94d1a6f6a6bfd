"""What crosses between two processes, and what is refused."""

import io
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimref.audit import wire

DTYPES = ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")


def crossed(message):
    stream = io.BytesIO()
    wire.send(stream, message)
    stream.seek(0)
    found = wire.receive(stream)
    assert stream.read() == b""
    return found


@given(st.integers(0, 2**32 - 1), st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=4))
def test_an_array_arrives_bit_for_bit_and_can_be_written_to(seed, dtype, shape):
    array = (100 * np.random.default_rng(seed).normal(size=shape)).astype(dtype)
    found = crossed({"a": array, "twice": [array, array.T]})
    for there, here in ((found["a"], array), (found["twice"][0], array), (found["twice"][1], array.T)):
        assert (there.dtype, there.shape) == (here.dtype, here.shape)
        assert there.tobytes() == np.ascontiguousarray(here).tobytes()
        there[...] = 0


def test_words_and_numbers_arrive_as_they_were():
    message = {
        "none": None,
        "yes": True,
        "one": 1,
        "array": {"array": "a name", "dict": {}},
        "x → y": [0.1, math.inf, "µ", [], {}],
        "big": 2**70,
    }
    assert crossed(message) == message
    assert math.isnan(crossed(math.nan))
    assert crossed((1, 2)) == [1, 2]


def test_special_numbers_and_byte_orders():
    array = np.array([np.inf, -np.inf, np.nan, -0.0, 1e-310])
    np.testing.assert_array_equal(crossed(array), array)
    found = crossed(array.astype(">f8"))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, array)
    assert crossed(np.float32(0.1)).dtype == np.float32


@pytest.mark.parametrize("thing", [object(), {1, 2}, b"x", 1j, np.array([object()]), np.array("word"), np.array([1j])])
def test_nothing_else_is_sent(thing):
    stream = io.BytesIO()
    with pytest.raises(TypeError, match="expected"):
        wire.send(stream, {"value": thing})
    assert stream.getvalue() == b""


def message(words, body=b"", promised=None):
    text = words if isinstance(words, bytes) else json.dumps(words).encode()
    return io.BytesIO(wire.LENGTHS.pack(len(text), len(body) if promised is None else promised) + text + body)


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        (message({"array": ["<f8", [10**9]]}), "0 bytes for arrays that need 8000000000"),
        (message({"array": ["<f8", [2]]}, bytes(15)), "15 bytes for arrays"),
        (message({"array": ["<f8", [1]]}, bytes(16)), "expected 8 bytes of arrays, found 16"),
        (message({"array": ["|O", [1]]}, bytes(8)), "an array of object"),
        (message({"array": ["<f8", [-1]]}, bytes(8)), "an array of float64"),
        (message({"array": ["<f8", 1]}, bytes(8)), "not iterable"),
        (message({"array": ["nonsense", []]}), "nonsense"),
        (message({"array": "<f8"}), "unpack"),
        (message({"other": 1}), "array"),
        (message(b"{"), "Expecting"),
        (message(pickle.dumps({"a": 1})), "decode"),
        (message(b"[" * 100_000), "recursion"),
        (message(0, promised=1 << 62), "expected at most"),
        (message({"dict": [1]}), "items"),
        (message({"array": ["<f8", [0, "\x1b" * 10_000]]}), r"^.{,100}\[0, '(\\x1b)+.{,3}$"),
    ],
)
def test_no_message_is_told(stream, told):
    with pytest.raises(wire.WireError, match=told):
        wire.receive(stream)


def test_what_somebody_else_wrote_is_no_message():
    stream = io.BytesIO()
    for mark in (b"ours", b"ours", b"none"):
        wire.send(stream, 1, mark)
    stream.seek(0)
    assert [wire.receive(stream, b"ours"), wire.receive(stream, b"ours")] == [1, 1]
    with pytest.raises(wire.WireError, match=r"^message: expected its mark, found b'none': the target wrote"):
        wire.receive(stream, b"ours")


@pytest.mark.parametrize("cut", [0, 5, 16, 20, -1])
def test_a_stream_that_ends(cut):
    stream = io.BytesIO()
    wire.send(stream, {"a": np.ones(3)})
    with pytest.raises(EOFError):
        wire.receive(io.BytesIO(stream.getvalue()[:cut]))
