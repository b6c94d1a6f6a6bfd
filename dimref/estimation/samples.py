"""Samples, checked for what an estimate needs; and which of them are held out when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dimref.errors import DimrefError

FEWEST = 50  # samples: with less, a fifth of them gives no interval worth the name


class SampleError(DimrefError, ValueError):
    """Samples or settings that no estimate can be made from."""


def as_samples(values: ArrayLike, name: str = "x") -> np.ndarray:
    """Samples in rows, float64 (N, D): a vector becomes one column; integers and truth values become floats.

    Raises:
        SampleError: not numbers, not (N,) or (N, D), empty, or not finite; the first such entry is named.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise SampleError(f"{name}: expected numbers (N,) or (N, D), found {error}") from None
    if array.dtype.kind not in "biuf":
        raise SampleError(f"{name}: expected numbers (float, integer or bool), found {array.dtype} {array.shape}")
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


def as_pairs(x: ArrayLike, y: ArrayLike, fewest: int = FEWEST) -> tuple[np.ndarray, np.ndarray]:
    """Both arrays by `as_samples`; row i of both is one sample of the pair.

    Raises:
        SampleError: as `as_samples`; different lengths, or fewer than `fewest` samples.
    """
    x, y = as_samples(x, "x"), as_samples(y, "y")
    if len(x) != len(y):
        raise SampleError(f"x and y: expected one row of y for each of x, found {len(x)} and {len(y)} rows")
    if len(x) < fewest:
        raise SampleError(f"x and y: expected at least {fewest} samples, found {len(x)}")
    return x, y


@dataclass(frozen=True)
class Split:
    """Row numbers: the critic learns from `train`, stops by `validation`, and is evaluated on `test`."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def splits(rng: np.random.Generator, n: int, folds: int, validation: float) -> Iterator[Split]:
    """Cross-fitting: the samples are cut at random into folds, and each is held out once. So all n give the estimate.

    Args:
        validation: share of the samples outside the fold that training is stopped by; two samples at least.
    """
    parts = np.array_split(rng.permutation(n), folds)
    for k, test in enumerate(parts):
        rest = rng.permutation(np.concatenate(parts[:k] + parts[k + 1 :]))
        count = max(2, round(validation * len(rest)))
        yield Split(rest[count:], rest[:count], test)
