"""The helpers that read exactly what was promised."""

import gzip
import os
import zlib

import numpy as np
import pytest

from dimref.data import DataError
from dimref.data.files import DEFLATE_RATIO, most_bytes, need_file, need_folder, read_exactly, read_records, unpacked


def test_need_file_and_folder(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"1")
    assert need_file(path) == path
    assert need_folder(tmp_path) == tmp_path
    with pytest.raises(DataError, match="expected a file, found a directory"):
        need_file(tmp_path)
    with pytest.raises(DataError, match="found no such file"):
        need_file(tmp_path / "y")
    with pytest.raises(DataError, match="unpack an archive first"):
        need_folder(path)
    with pytest.raises(DataError, match="no such directory"):
        need_folder(tmp_path / "y")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="expected a file, found a device or a pipe"):
        need_file(tmp_path / "pipe")


def test_read_records(tmp_path):
    path = tmp_path / "r"
    path.write_bytes(bytes(range(12)))
    assert read_records(path, 4).tolist() == np.arange(12).reshape(3, 4).tolist()
    assert read_records(path, 4, 2).tolist() == np.arange(8).reshape(2, 4).tolist()
    assert len(read_records(path, 4, 99)) == 3
    with pytest.raises(DataError, match="r: expected a whole number of 5-byte records, found 12 bytes"):
        read_records(path, 5)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="found 0 bytes"):
        read_records(path, 4)


@pytest.mark.parametrize("packed", [False, True])
def test_read_exactly(packed, tmp_path):
    path = tmp_path / ("f.gz" if packed else "f")
    path.write_bytes(gzip.compress(b"abcd") if packed else b"abcd")
    with unpacked(path) as stream:
        assert read_exactly(stream, 3, path).tobytes() == b"abc"
        with pytest.raises(DataError, match="expected 2 more bytes, found the end after 1"):
            read_exactly(stream, 2, path)


@pytest.mark.parametrize(
    "damage", [lambda z: z[:-9], lambda z: z[:-5] + bytes([z[-5] ^ 1]) + z[-4:], lambda z: b"x" + z]
)
def test_damaged_gzip(damage, tmp_path):
    path = tmp_path / "f.gz"
    path.write_bytes(damage(gzip.compress(np.random.default_rng(0).bytes(1000))))
    with pytest.raises(DataError, match=r"f\.gz: expected a sound gzip stream"), unpacked(path) as stream:
        stream.read(2000)


def test_deflate_expands_no_further():
    zeros = bytes(1 << 24)
    assert len(zeros) < len(zlib.compress(zeros, 9)) * DEFLATE_RATIO < 1.01 * len(zeros)


def test_most_bytes(tmp_path):
    gib = 1 << 30
    for name, size, most in (
        ("a", 10, 10), ("a.gz", 10, 10 * DEFLATE_RATIO), ("b.gz", gib // 16, gib), ("c.gz", gib, 8 * gib)
    ):  # fmt: skip
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)  # a hole: it takes no space
        assert most_bytes(tmp_path / name) == most
