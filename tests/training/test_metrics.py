"""metrics.jsonl: complete lines are read, cut and appended, and damaged ones refused."""

import json
import os

import numpy as np
import pytest
from tiny_runs import run_error

from dimref.training import metrics


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (2, 4, 6):
        metrics.append(path, {"step": step, "nats": {"local": step / 3}})
    return path


def test_metrics_are_json_even_where_a_number_is_not_finite(log):
    metrics.append(log, {"step": 8, "a": -np.inf, "nats": {"b": float("nan"), "c": np.inf}, "n": 3, "t": True})

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    lines = [json.loads(line, parse_constant=refuse) for line in log.read_text().splitlines()]
    assert lines[-1] == {"step": 8, "a": "-inf", "nats": {"b": "nan", "c": "inf"}, "n": 3, "t": True}
    assert lines == metrics.read(log)


def test_metrics_are_cut_back_to_a_step_and_the_rest_kept_to_the_last_bit(log):
    before = log.read_text().splitlines()
    metrics.cut(log, 4)
    assert log.read_text().splitlines() == before[:2]
    metrics.cut(log, 0)
    assert log.read_text() == ""


@pytest.mark.parametrize("rest", ['{"st', '{"step": 8, "nats": {"loc', "{", "7", "\0\0\0"])
def test_a_last_line_cut_short_is_dropped(log, rest):
    with log.open("a") as file:
        file.write(rest)
    assert [line["step"] for line in metrics.read(log)] == [2, 4, 6]
    metrics.cut(log, 6)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [2, 4, 6]


@pytest.mark.parametrize(
    "line",
    ["{", "7", "[]", '{"kind": "step"}', '{"step": "x"}', "\udcff", '{"step": 2.5}', '{"step": true}', "{}\r{}",
     '{"step": 9223372036854775808}', '{"step": NaN}', f'{{"step": 8, "more": "{"x" * metrics.LONGEST_LINE}"}}'],
    ids=range(12),
)  # fmt: skip
def test_a_damaged_line_is_refused_by_its_number_and_nothing_is_lost(log, line):
    content = log.read_bytes() + line.encode(errors="surrogateescape") + b"\n"
    log.write_bytes(content)
    assert "line 4" in run_error(metrics.cut, log, 2)
    assert log.read_bytes() == content


def test_metrics_larger_than_any_run_s_are_not_read(log):
    os.truncate(log, metrics.MOST_BYTES + 1)
    assert run_error(metrics.read, log) == (
        f"{log}: expected a run's metrics, at most 1073741824 bytes, found 1073741825"
    )
    os.truncate(log, metrics.MOST_BYTES)
    assert "line 4" in run_error(metrics.read, log)  # a gigabyte of zeros is no line cut short


def test_metrics_that_are_missing_or_cannot_be_written_are_refused(tmp_path):
    assert "No such file" in run_error(metrics.read, tmp_path / "metrics.jsonl")
    assert "directory" in run_error(metrics.append, tmp_path, {"step": 1})


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_is_told_when_metrics_are_appended(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    assert "No space left" in run_error(metrics.append, tmp_path / "metrics.jsonl", {"step": 1})
