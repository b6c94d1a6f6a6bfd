"""Samples, checked for what an estimate needs; and which of them are held out when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dimref.errors import DimrefError

FEWEST = 50  # samples: with less, a fifth of them gives no interval worth the name


class SampleError(DimrefError, ValueError):
    """Samples or settings that no estimate can be made from."""


def as_samples(values: Any, name: str = "x") -> np.ndarray:
    """Samples in rows, float64 (N, D): a vector becomes one column; integers and truth values become floats.

    Args:
        values: an array, or a frame of pandas or the like, whose columns are named where one is at fault.
    Raises:
        SampleError: not numbers, not (N,) or (N, D), empty, or not finite; the first such entry is named.
    """
    if names := frame_columns(values):
        return np.hstack([as_samples(np.asarray(values[each]), f"{name}, column {each!r}") for each in names])
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise SampleError(f"{name}: expected numbers (N,) or (N, D), found {error}") from None
    if array.dtype.kind not in "biuf":
        texts = "; name its side in `categorical` (--categorical) for texts" if array.dtype.kind in "USO" else ""
        raise SampleError(
            f"{name}: expected numbers (float, integer or bool), found {array.dtype} {array.shape}{texts}"
        )
    if array.ndim not in (1, 2):
        raise SampleError(f"{name}: expected samples in rows, (N,) or (N, D), found {array.shape}")
    if array.size == 0:
        raise SampleError(f"{name}: expected at least one number, found an empty array {array.shape}")
    with np.errstate(invalid="ignore", over="ignore"):  # a signalling NaN, a long double: what is not finite is named
        array = array.reshape(len(array), -1).astype(np.float64)
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        row, column = wrong[0]
        raise SampleError(
            f"{name}: expected finite numbers, found {array[row, column]} in row {row}, column {column}"
            f" ({len(wrong)} such entries)"
        )
    return array


def frame_columns(values: Any) -> list[Any]:
    """The names of a frame's columns; none of anything else."""
    return list(values.columns) if hasattr(values, "columns") and hasattr(values, "to_numpy") else []


Levels = tuple[np.ndarray, ...]  # the categories of each column


def as_categories(values: Any, name: str = "x") -> list[np.ndarray]:
    """Columns of integers or texts, as texts.

    Raises:
        SampleError: others, not (N,) or (N, D), empty, or a missing entry; it is named.
    """
    if names := frame_columns(values):
        return [as_categories(np.asarray(values[each]), f"{name}, column {each!r}")[0] for each in names]
    array = np.asarray(values)
    if array.ndim not in (1, 2) or array.size == 0 or array.dtype.kind not in "biufUSO":
        raise SampleError(f"{name}: expected integers or texts, (N,) or (N, D), found {array.dtype} {array.shape}")
    columns = []
    for k, column in enumerate(array.reshape(len(array), -1).T):
        whole = column.dtype.kind != "f" or column == np.round(column)  # NaN is no integer
        fit = [isinstance(v, (str, int, np.integer)) for v in column] if column.dtype.kind == "O" else whole
        if not np.all(fit):
            row = int(np.argmin(fit))
            raise SampleError(f"{name}: expected integers or texts, found {column[row]} in row {row}, column {k}")
        columns.append((column.astype(np.int64) if column.dtype.kind == "f" else column).astype(str))
    return columns


def one_hot(columns: list[np.ndarray], levels: Levels) -> np.ndarray:
    """A column of 0 and 1 for each level of each column, float64."""
    return np.hstack([column[:, None] == of for column, of in zip(columns, levels, strict=True)]).astype(np.float64)


def check_counts(parts: dict[str, np.ndarray], fewest: int = FEWEST) -> None:
    """Row i of all parts (N, D) is one sample.

    Raises:
        SampleError: different lengths, or fewer than `fewest` samples.
    """
    rows, turned = [len(part) for part in parts.values()], transposed(parts)
    *first, last = parts
    names = f"{', '.join(first)} and {last}"
    if len(set(rows)) > 1:
        found = f"{', '.join(map(str, rows[:-1]))} and {rows[-1]} rows{turned}"
        raise SampleError(f"{names}: expected one row of {' and '.join(list(parts)[1:])} for each of x, found {found}")
    if rows[0] < fewest:
        raise SampleError(f"{names}: expected at least {fewest} samples, found {rows[0]}{turned}")


def transposed(parts: dict[str, np.ndarray]) -> str:
    """A hint where the parts would have one row each, and more of them, if they were transposed."""
    columns = {part.shape[1] if part.shape[1] > 1 else len(part) for part in parts.values()}
    if len(columns) > 1 or max(columns) <= min(len(part) for part in parts.values()):
        return ""
    return f" (samples are rows: transpose what has {max(columns):,} columns, if those are the samples)"


@dataclass(frozen=True)
class Split:
    """Row numbers: the critic learns from `train`, stops by `validation`, and is evaluated on `test`."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def splits(
    rng: np.random.Generator, units: np.ndarray, folds: int, validation: float, runs: bool = False
) -> Iterator[Split]:
    """Cross-fitting: the samples are cut at random into folds, and each is held out once. So all N give the estimate.

    Args:
        units: (N,) the unit 0 … of each row; a unit stays together.
        validation: share of the units outside the fold that training is stopped by; two at least.
        runs: whether a fold is of successive units, which depend on each other where they meet.
    """
    n = len(units)
    count = int(units.max()) + 1

    def rows(part: np.ndarray, shuffled: bool) -> np.ndarray:
        if count == n:
            return part
        chosen = np.flatnonzero(np.isin(units, part))
        return rng.permutation(chosen) if shuffled else chosen

    parts = np.array_split(np.arange(count) if runs else rng.permutation(count), folds)
    for k, test in enumerate(parts):
        rest = rng.permutation(np.concatenate(parts[:k] + parts[k + 1 :]))
        stop = max(2, round(validation * len(rest)))
        yield Split(rows(rest[stop:], True), rows(rest[:stop], True), rows(test, False))
