"""metrics.jsonl: a line of JSON at a time, flushed before a checkpoint that follows them, cut back when a run is resumed."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from dimref.training.files import RunError, need_file, need_same_directory, os_errors, replace
from dimref.training.signals import killable

MOST_BYTES, LONGEST_LINE = 1 << 30, 1 << 16  # a million lines and more; a line has some 700 bytes


def append(path: Path, line: dict[str, Any]) -> None:
    """Add one line; numbers that JSON has no name for are written as "inf", "-inf" and "nan"."""
    with _appending(path) as file:
        file.write(json.dumps(finite(line)) + "\n")


def flush(path: Path) -> None:
    """Have every line on the disk: a checkpoint must not outlive the lines before it."""
    with _appending(path) as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def _appending(path: Path) -> Iterator[TextIO]:
    need_same_directory(path)
    with os_errors(path), open(path, "a", encoding="utf-8") as file:
        yield file


def finite(value: Any) -> Any:
    """The same data for JSON, which has no name for some numbers: as the texts "inf", "-inf" and "nan"."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@killable()
def read(path: Path) -> list[dict[str, Any]]:
    """Every complete line; an incomplete last one, of a process that was killed while writing it, is left out.

    Raises:
        RunError: the file is not there, another line is damaged, or there is more than any run writes.
    """
    need_file(path)
    lines: list[dict[str, Any]] = []
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise RunError(f"{path}: expected a run's metrics, at most {MOST_BYTES} bytes, found {size}")
        with path.open("rb") as file:
            while text := file.readline(LONGEST_LINE):
                try:
                    line = json.loads(text)
                    if type(line["step"]) is not int or not 0 <= line["step"] < 1 << 63:
                        raise ValueError("step")
                    lines.append(line)
                except (ValueError, KeyError, TypeError, RecursionError):
                    if not text.endswith(b"\n") and len(text) < LONGEST_LINE:
                        return lines
                    raise RunError(
                        f"{path}: expected a JSON object with a step on line {len(lines) + 1}, "
                        f"found {text[:60].decode(errors='replace').strip()!r}"
                    ) from None
    except OSError as error:
        raise RunError(f"{path}: expected the run's metrics, found: {error.strerror or error}") from None
    return lines


def cut(path: Path, step: int) -> None:
    """Drop every line after `step`, so that a resumed run writes them again."""
    replace(path, "".join(json.dumps(line) + "\n" for line in read(path) if line["step"] <= step).encode())
