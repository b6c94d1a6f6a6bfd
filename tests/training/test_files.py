"""Files: a complete one is there whatever happens while it is written, and only small regular ones are read."""

import errno
import os
import stat
import subprocess
import sys

import pytest
import tiny_runs
from tiny_runs import run_error

from dimref.training import checkpoint as checkpoints
from dimref.training import files, metrics
from dimref.training.files import MOST_BYTES, no_file, read_small


def unread(path):
    with pytest.raises(OSError) as caught:  # noqa: PT011 - what it says is looked at
        read_small(path)
    return caught.value.strerror


# ---- reading


def test_a_regular_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert (no_file(path), read_small(path)) == ("", b"abc")
    os.truncate(path, MOST_BYTES)
    assert len(read_small(path)) == MOST_BYTES
    os.truncate(path, MOST_BYTES + 1)
    assert unread(path) == "more than 16777216 bytes"


def test_what_is_no_file_is_named(tmp_path):
    assert no_file(tmp_path / "none") == ""
    assert unread(tmp_path / "none") == "No such file or directory"
    assert unread(tmp_path) == no_file(tmp_path) == "a directory"
    (tmp_path / "endless").symlink_to("/dev/zero")
    assert unread(tmp_path / "endless") == "a device or a pipe"


READERS = """
import resource, signal, sys
from pathlib import Path

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
signal.alarm(60)
from dimref.data.files import need_file
from dimref.errors import DimrefError
from dimref.plots.accuracies import read_probes
from dimref.training import checkpoint, config, metrics

for path in map(Path, sys.argv[1:]):
    for read in (config.read, metrics.read, read_probes, checkpoint.load, need_file):
        try:
            print(f"{path} is read: {read(path)}")
        except DimrefError as error:
            print(error)
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_no_reader_waits_for_a_pipe_or_fills_the_memory(tmp_path):
    """A pipe that nobody writes into, a link to a device without end, a file larger than any disk."""
    pipe, device, large = (tmp_path / name for name in ("pipe", "device", "large"))
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    large.touch()
    os.truncate(large, 1 << 42)
    command = [sys.executable, "-c", READERS, str(pipe), str(device), str(large)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    lines = found.stdout.splitlines()
    assert len(lines) == 15
    for line, path in zip(lines[:10], [pipe] * 5 + [device] * 5, strict=True):
        assert line.startswith(f"{path}: expected a")
        assert line.endswith("found a device or a pipe") or line.endswith("found: a device or a pipe")
    for line, word in zip(
        lines[10:], ("16777216", "1073741824", "16777216", "damaged", f"is read: {large}"), strict=True
    ):
        assert line.startswith(str(large))
        assert word in line


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
@pytest.mark.parametrize("options", [("--resume", "."), ("--config", "config.json")])
def test_a_pipe_in_a_configurations_place_is_a_line(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("config.json")
    line = "dimref: config.json: expected a configuration file, found: a device or a pipe"
    assert tiny_runs.refused("train", *options) == line


# ---- whole files or none


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


def only_old(path):
    """The old content is there, and no temporary file is left."""
    return [p.name for p in path.parent.iterdir()] == ["file"] and path.read_bytes() == b"old"


def test_a_file_is_replaced(old):
    files.replace(old, b"new")
    assert old.read_bytes() == b"new"
    assert [p.name for p in old.parent.iterdir()] == ["file"]


def test_a_file_is_copied_whole_or_not_at_all(old, tmp_path):
    (tmp_path / "from").mkdir()
    source = tmp_path / "from" / "new"
    source.write_bytes(bytes(range(256)) * 10_000)  # more than a piece
    files.copy(source, old)
    assert old.read_bytes() == source.read_bytes()
    source.unlink()
    assert run_error(files.copy, source, old) == f"{old}: expected to write it, found: No such file or directory"
    assert len(old.read_bytes()) == 2_560_000
    assert sorted(p.name for p in old.parent.iterdir()) == ["file", "from"]


def test_an_error_while_writing_leaves_the_old_file(old):
    for error in (ValueError, KeyboardInterrupt, MemoryError):
        with pytest.raises(error), files.writing(old) as file:  # noqa: PT012
            file.write(b"half")
            raise error
        assert only_old(old)


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_fails_leaves_the_old_file(old, monkeypatch, call, number):
    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    line = run_error(files.replace, old, b"new")
    assert str(old) in line
    assert os.strerror(number) in line
    assert only_old(old)


def test_the_file_is_on_the_disk_before_it_takes_its_place(old, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, n=name, r=real: (calls.append(n), r(*args)))
    files.replace(old, b"new")
    assert calls == ["fsync", "replace", "fsync"]  # the second one makes the rename durable


def test_a_link_stays_and_its_target_is_replaced(tmp_path, old):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link"
    link.symlink_to(old)
    files.replace(link, b"new")
    assert link.is_symlink()
    assert old.read_bytes() == b"new"
    assert [p.name for p in link.parent.iterdir()] == ["link"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_neither_replaced_nor_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for function, *arguments in (
        (files.replace, tmp_path / "pipe", b"new"),
        (checkpoints.load, tmp_path / "pipe"),
        (metrics.read, tmp_path / "pipe"),
    ):
        assert run_error(function, *arguments) == f"{tmp_path / 'pipe'}: expected a file, found a device or a pipe"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert run_error(files.replace, tmp_path, b"new") == f"{tmp_path}: expected a file, found a directory"


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127])
def test_a_name_may_be_as_long_as_the_system_takes(tmp_path, name):
    files.replace(tmp_path / name, b"new")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"new"
