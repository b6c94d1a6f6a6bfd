"""Pickles: NumPy's own arrays are understood, and nothing that a hostile one names is run."""

import builtins
import io
import os
import pickle
import pickletools
import struct
import tracemalloc

import numpy as np
import pytest

from dimref.data import DataError
from dimref.data.pickles import PickledArray, PickledType, read_pickle

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 12)


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol(protocol, tmp_path):
    content = read_pickle(
        write(tmp_path / "p", pickle.dumps({b"data": ARRAY, "names": [b"a", 1, 2.5, None]}, protocol))
    )
    assert np.array_equal(content["data"].uint8(), ARRAY)
    assert content["names"][1:] == [1, 2.5, None]


def test_an_array_as_python_2_and_old_numpy_wrote_it(tmp_path):
    # The opening of a CIFAR batch: text as bytes (U), the array's bytes as a string (T), numpy.core, dtype 'u1'.
    raw = bytes(range(200, 206))
    old = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b"
        b"\x87Rq\x05(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89T\x06\x00\x00\x00" + raw + b"tbU\x06labelsq\x08]q\x09(K\x03K\x07eu."
    )
    assert pickle.loads(old, encoding="latin1")["data"].tolist() == [[200, 201, 202], [203, 204, 205]]  # NumPy agrees
    content = read_pickle(write(tmp_path / "p", old))
    assert content["data"].uint8().tolist() == [[200, 201, 202], [203, 204, 205]]
    assert content["labels"] == [3, 7]


class Call:
    """Pickles as a call of something, as an attacker would write it."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


HOSTILE = [
    lambda mark: Call(os.system, f"touch {mark}"),
    lambda mark: Call(os.mkdir, str(mark)),
    lambda mark: Call(builtins.exec, f"open({str(mark)!r}, 'w')"),
    lambda mark: Call(np.save, str(mark), 1),
    lambda mark: Call(np.load, str(mark)),
    lambda mark: {"data": Call(io.open, str(mark), "w")},
]


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nothing_hostile_runs(hostile, protocol, tmp_path):
    mark = tmp_path / "mark"
    with pytest.raises(DataError, match="UnpicklingError: it asks for"):
        read_pickle(write(tmp_path / "p", pickle.dumps(hostile(mark), protocol)))
    assert not list(tmp_path.glob("mark*"))


def test_the_hostile_program_would_have_worked(tmp_path):
    pickle.loads(pickle.dumps(Call(os.mkdir, str(tmp_path / "mark"))))
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["os\nsystem", "numpy\nload", "numpy.core.multiarray\nscalar", "builtins\neval"])
def test_names_outside_the_list(name, tmp_path):
    with pytest.raises(DataError, match="it asks for " + name.replace("\n", r"\.")):
        read_pickle(write(tmp_path / "p", b"c" + name.encode() + b"\n."))


def test_a_dotted_name_reaches_nothing(tmp_path):
    program = b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93."
    with pytest.raises(DataError, match=r"it asks for numpy\.ndarray\.dump"):
        read_pickle(write(tmp_path / "p", program))


def test_a_pickle_cannot_alter_the_stand_ins(tmp_path):
    # BUILD on what a name stands for, with a dictionary of attributes to set.
    for name in ("numpy\ndtype", "numpy\nndarray", "numpy.core.multiarray\n_reconstruct", "_codecs\nencode"):
        with pytest.raises(DataError, match="it sets the state of something that is no array"):
            read_pickle(write(tmp_path / "p", b"\x80\x02c" + name.encode() + b"\nN}U\x01xK\x01s\x86b."))
    assert not hasattr(PickledArray, "x")
    assert np.array_equal(read_pickle(write(tmp_path / "p", pickle.dumps({"a": ARRAY}, 2)))["a"].uint8(), ARRAY)


BOMBS = {
    "a memo index of sixteen million": b"\x80\x02}r\xff\xff\xff\x00.",
    "a memo index of four billion": b"\x80\x02}r\xff\xff\xff\xff.",
    "a string said to be huge": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x0f.",
    "a frame said to be huge": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x0f}.",
    "an array allocated huge": b"\x80\x02cnumpy\nndarray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85\x85R.",
    "a byte array said to be huge": b"\x80\x05\x96" + struct.pack("<Q", 3 << 30) + b".",
    "an object a byte": b"\x80\x04(" + b"]" * 100_000 + b"l.",
    "a string encoded again and again": (
        b"\x80\x02(X\x00\x00\x01\x00"
        + b"a" * 65536
        + b"q\x00"
        + b"c_codecs\nencode\nh\x00U\x06latin1\x86R" * 1000
        + b"l."
    ),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_bombs_stay_small(bomb, tmp_path):
    write(tmp_path / "p", bomb)
    tracemalloc.start()
    try:
        assert read_pickle(tmp_path / "p") == {}
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017 - the empty dictionary is as good an end
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4 << 20


KEYS = {
    "a number of 4,816 digits": b"\x8b" + struct.pack("<I", 2000) + b"\x7f" * 2000,
    "a number": b"K\x01",
    "a tuple in tuples": b")" + b"\x85" * 100_000,
    "a tuple in tuples, enough to crash": b")" + b"\x85" * 200_000,
    "a tuple whose hash takes years": b")" + b"2\x86" * 40,
    "the same from the memo": b")" + b"".join(b"q%ch%c\x86" % (k, k) for k in range(40)),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize("program", [b"}%sK\x01s.", b"}(%sK\x01u.", b"(%sK\x01d."], ids=["item", "items", "dict"])
def test_keys_are_text(key, program, tmp_path):
    with pytest.raises(
        DataError, match=r"it has a key that is no text|it has the opcode|more opcodes than arrays need"
    ):
        read_pickle(write(tmp_path / "p", b"\x80\x04" + program % key))


def test_a_call_has_few_arguments(tmp_path):
    """A long tuple from the memo would be copied by each of many calls."""
    with pytest.raises(DataError, match="it calls with other arguments than arrays need"):
        read_pickle(write(tmp_path / "p", b"\x80\x04cnumpy\nndarray\n(" + b"N" * 100 + b"tR."))


def test_a_shape_that_would_be_printed_for_years(tmp_path):
    array, shape = PickledArray(), ()
    for _ in range(60):
        shape = (shape, shape)
    array.__setstate__((1, shape, PickledType("u1"), False, b""))
    with pytest.raises(ValueError, match="an array whose shape is no tuple of sizes"):
        array.uint8()


def test_an_array_must_have_the_bytes_its_shape_says(tmp_path):
    program = pickle.dumps({"data": np.arange(10, dtype=np.uint8).reshape(2, 5)}, 4)
    content = read_pickle(write(tmp_path / "p", program.replace(b"K\x02K\x05\x86", b"K\x02K\x06\x86")))
    with pytest.raises(ValueError, match=r"an array of shape \(2, 6\) with 10 bytes"):
        content["data"].uint8()


def test_a_pickle_beyond_any_sane_size_is_not_read(tmp_path):
    with (tmp_path / "p").open("wb") as file:
        file.truncate(2 << 30)  # a hole: it takes no space
    with pytest.raises(DataError, match="expected a pickle of at most"):
        read_pickle(tmp_path / "p")


@pytest.mark.parametrize(
    "array", [ARRAY.astype(np.int8), ARRAY.astype(np.float32), ARRAY.astype(object), np.asfortranarray(ARRAY)]
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_other_arrays_are_refused_when_read(array, protocol, tmp_path):
    content = read_pickle(write(tmp_path / "p", pickle.dumps({"data": array}, protocol)))
    with pytest.raises(ValueError, match="an array"):
        content["data"].uint8()


@pytest.mark.parametrize("content", [[1], 3, "x", None])
def test_only_a_dictionary_will_do(content, tmp_path):
    with pytest.raises(DataError, match="expected a pickled dictionary, found"):
        read_pickle(write(tmp_path / "p", pickle.dumps(content)))


def test_cut_at_every_byte(tmp_path):
    program = pickle.dumps({"data": ARRAY, "labels": [1, 2]}, 2)
    assert len(list(pickletools.genops(program))) > 20
    for end in range(len(program)):
        with pytest.raises(DataError, match="expected a pickle of plain containers"):
            read_pickle(write(tmp_path / "p", program[:end]))
