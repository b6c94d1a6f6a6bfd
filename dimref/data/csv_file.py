"""Tables in text files: columns by name, read with the standard library."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from dimref.data.dataset import fault
from dimref.data.files import need_file

SEPARATORS = ",;\t"  # the most frequent one in the first line counts


def read_csv(path: Path) -> dict[str, np.ndarray]:
    """The columns (N,) of a table by name: float64 where all entries are numbers, texts elsewhere.

    The first line names them; where it has numbers alone, they are called 1, 2, ….

    Raises:
        DataError: the file is missing, no text in UTF-8, empty, or no table.
    """
    try:
        text = need_file(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise fault(path, "a table as text in UTF-8", "bytes that are none (save it as UTF-8)") from None
    first = text.partition("\n")[0]
    try:
        lines = [row for row in csv.reader(io.StringIO(text), delimiter=max(SEPARATORS, key=first.count)) if row]
    except csv.Error as error:
        raise fault(path, "a table", str(error)) from None
    if not lines:
        raise fault(path, "a table", "an empty file")
    if all(_number(cell) is not None for cell in lines[0]):
        names = [str(k + 1) for k in range(len(lines[0]))]
    else:
        names, lines = [name.strip() for name in lines[0]], lines[1:]
    if len(set(names)) < len(names):
        raise fault(path, "a name for each column", f"{next(n for n in names if names.count(n) > 1)!r} twice")
    for number, row in enumerate(lines, start=1):
        if len(row) != len(names):
            raise fault(path, f"{len(names)} entries in each row", f"{len(row)} in row {number}")
    columns = zip(*lines, strict=True) if lines else [()] * len(names)
    return {name: _column(column) for name, column in zip(names, columns, strict=True)}


def numbers_of(path: Path, name: str, column: np.ndarray) -> np.ndarray:
    """The column, if it has numbers.

    Raises:
        DataError: it has texts; the first is named.
    """
    if column.dtype.kind != "U":
        return column
    row = next(k for k, cell in enumerate(column) if _number(cell) is None)
    expected = "numbers (for texts, --categorical and its side)"
    raise fault(f"{path}, column {name!r}", expected, f"{str(column[row])!r} in row {row + 1}")


def _column(cells: tuple[str, ...]) -> np.ndarray:
    try:
        return np.array(cells, np.float64)
    except ValueError:
        return np.char.strip(np.array(cells))


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
