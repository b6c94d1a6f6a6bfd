"""Rows that depend on each other: which of them stay together, and whether neighbours are alike.

A unit is a set of rows that is held out, left out by the jackknife and permuted as a whole: one row, as a rule; all copies
of a row that repeats; a run of successive rows where blocks are requested.
"""

from __future__ import annotations

import math
import statistics

import numpy as np

from dimref.estimation.samples import FEWEST, SampleError
from dimref.estimation.transforms import rank
from dimref.theory.information import entropy

FEW = 20  # different rows at most: those of a discrete variable, which are no copies of each other
CHANCE = 1e-3  # of a false alarm
NEIGHBOURS = "neighbouring rows are alike"


def first_equal(rows: np.ndarray) -> np.ndarray:
    """For each row (N, D) the number of the first that is equal to it, (N,)."""
    keys = np.fromiter((hash(row.tobytes()) for row in np.ascontiguousarray(rows + 0.0)), np.int64, len(rows))
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return first[which]


def copies(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """`first_equal` of the pairs (x, y), where rows repeat that are no values of discrete variables; None elsewhere.

    Both sides repeat together: so do nine in ten of the equal pairs of rows of the side that has fewer of them, or more.
    """
    both = first_equal(np.hstack([x, y]))
    if len(np.unique(both)) == len(both):
        return None
    of_sides = first_equal(x), first_equal(y)
    if all(_discrete(part, first) for part, first in zip((x, y), of_sides, strict=True)):
        return None
    return both if 10 * _equal_pairs(both) >= 9 * min(map(_equal_pairs, of_sides)) else None


def units(x: np.ndarray, y: np.ndarray, blocks: int | None, folds: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """The unit 0 … of each row, and what to know of it.

    Raises:
        SampleError: too few units for the folds.
    """
    n, notes = len(x), []
    labels, same = np.arange(n), copies(x, y)
    if same is not None:
        labels = same
        extra = n - len(np.unique(same))
        notes.append(
            f"{extra:,} of {n:,} rows repeat an earlier one: copies stay in one fold, and count once for the interval"
        )
    if blocks is not None:
        labels = _joined(labels, np.arange(n) * blocks // n)
    elif text := alike(x[np.unique(labels)], y[np.unique(labels)]):
        notes.insert(0, text)
    labels = np.unique(labels, return_inverse=True)[1]
    count = int(labels.max()) + 1
    if count < 2 * folds:
        raise SampleError(f"blocks: expected 2 for each fold at least, found {count} for {folds} folds"
                          + (" (copies of a row in several blocks join them)" if same is not None else ""))  # fmt: skip
    if blocks is None and count < FEWEST:
        raise SampleError(f"x and y: expected at least {FEWEST} samples, found {count} and copies of them")
    return labels, tuple(notes)


def alike(x: np.ndarray, y: np.ndarray) -> str | None:
    """A warning where successive rows are correlated beyond chance in both x and y; None elsewhere."""
    (in_x, x_chance), (in_y, y_chance) = serial_correlation(x), serial_correlation(y)
    if abs(in_x) <= x_chance or abs(in_y) <= y_chance:
        return None
    return (
        f"{NEIGHBOURS}: their rank correlation is {in_x:.2f} in x and {in_y:.2f} in y, by chance within "
        f"±{max(x_chance, y_chance):.2f}. Unless independent samples were only sorted, the value may be far too high and "
        "the interval too narrow: hold out whole runs of rows (--blocks 20)"
    )


def serial_correlation(part: np.ndarray) -> tuple[float, float]:
    """The strongest correlation of successive rows' normal scores among the columns, and how strong chance makes it."""
    scores = rank(part)(part)
    scores -= scores.mean(axis=0)
    power = (scores**2).sum(axis=0)
    found = (scores[1:] * scores[:-1]).sum(axis=0) / np.where(power > 0, power, 1)
    chance = statistics.NormalDist().inv_cdf(1 - CHANCE / 2 / len(found)) / math.sqrt(len(part))
    return float(found[np.abs(found).argmax()]), chance


def permuted(rng: np.random.Generator, units: np.ndarray) -> np.ndarray:
    """Row numbers (N,) after units have changed places with others of their size."""
    order, sizes = np.argsort(units, kind="stable"), np.bincount(units)
    starts, rows = np.cumsum(sizes) - sizes, np.empty(len(units), np.intp)
    for size in np.unique(sizes):
        of_size = order[starts[sizes == size][:, None] + np.arange(size)]
        rows[of_size] = rng.permutation(of_size)
    return rows


def table_information(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """I of the table of counts of different rows, in nats: of the shares as they are, and with Miller & Madow's correction.

    I + (m_x + m_y − m_xy − 1)/(2N) for m different rows of x, of y and of both

    Source: Miller 1955, Note on the bias of information estimates; Paninski 2003, Neural Computation 15(6), section 4.
    """
    n = len(x)
    counts = [np.unique(first_equal(part), return_counts=True)[1] for part in (x, y, np.hstack([x, y]))]
    of_x, of_y, both = (entropy(count / n) for count in counts)
    m_x, m_y, m_xy = map(len, counts)
    plug_in = of_x + of_y - both
    return plug_in, plug_in + (m_x + m_y - m_xy - 1) / (2 * n)


def _equal_pairs(first: np.ndarray) -> int:
    counts = np.unique(first, return_counts=True)[1]
    return int((counts * (counts - 1)).sum())


def _discrete(part: np.ndarray, first: np.ndarray) -> bool:
    different = len(np.unique(first))
    return different <= FEW or bool(different < len(part) / 10 and (part == np.round(part)).all())


def _joined(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The finest labels that are constant wherever a or b is; all are in 0 … N − 1."""
    labels = a
    while True:
        before = labels
        for part in (b, a):
            lowest = np.full(len(a), len(a))
            np.minimum.at(lowest, part, labels)
            labels = lowest[part]
        if (labels == before).all():
            return labels
