"""Small files: a regular file of a bounded size is read, and nothing else is waited for or taken into memory."""

import os
import subprocess
import sys

import pytest
import tiny_runs

from dimref.training.files import MOST_BYTES, no_file, read_small


def refusal(path):
    with pytest.raises(OSError) as caught:  # noqa: PT011 - what it says is looked at
        read_small(path)
    return caught.value.strerror


def test_a_regular_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert (no_file(path), read_small(path)) == ("", b"abc")
    os.truncate(path, MOST_BYTES)
    assert len(read_small(path)) == MOST_BYTES
    os.truncate(path, MOST_BYTES + 1)
    assert refusal(path) == "more than 16777216 bytes"


def test_what_is_no_file_is_named(tmp_path):
    assert no_file(tmp_path / "none") == ""
    assert refusal(tmp_path / "none") == "No such file or directory"
    assert refusal(tmp_path) == no_file(tmp_path) == "a directory"
    (tmp_path / "endless").symlink_to("/dev/zero")
    assert refusal(tmp_path / "endless") == "a device or a pipe"


READERS = """
import resource, signal, sys
from pathlib import Path

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
signal.alarm(60)
from dimref.data.files import need_file
from dimref.errors import DimrefError
from dimref.plots.accuracies import read_probes
from dimref.training import checkpoints, config

for path in map(Path, sys.argv[1:]):
    for read in (config.read, checkpoints.read_metrics, read_probes, checkpoints.load_checkpoint, need_file):
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
