"""Score matrices too large to hold: computed in blocks of columns, summarized, and forgotten.

A column is one y with all its candidates x', so InfoNCE's logsumexp needs no more than one block at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from dimref import ops

ELEMENTS = 1 << 22  # scores in a block: 32 MiB in float64, and a few times that while they are worked on

Columns = Callable[[slice], np.ndarray]  # columns j of the score matrix → T(x_i, y_j) for all i, (N, columns)


def blocks(n: int) -> Iterator[slice]:
    """The columns of an (N, N) matrix, cut so that no block has more than ELEMENTS scores (or one column)."""
    width = max(1, ELEMENTS // n)
    return (slice(start, min(start + width, n)) for start in range(0, n, width))


def infonce(columns: Columns, n: int) -> float:
    """`bounds.infonce` of an (N, N) score matrix in memory of O(N + ELEMENTS): the same number, to rounding.

    log N + mean_j (T(x_j, y_j) − log Σ_i e^T(x_i, y_j))

    Args:
        columns: gives the columns of a slice, (N, its length), in any float dtype.
        n: N ≥ 2.
    Returns:
        nats, summed in float64.
    Raises:
        ValueError: n < 2, or a block is not (N, its length).
    Source: arXiv 1808.06670, eq. (5); arXiv 1905.06922, eq. (10).
    """
    if n < 2:
        raise ValueError(f"infonce: a score matrix must have N ≥ 2 samples, was {n}")
    total = 0.0
    for block in blocks(n):
        scores = checked(columns(block), n, block)
        total += float((diagonal(scores, block) - ops.logsumexp(scores, axis=0)).sum(dtype=np.float64))
    return math.log(n) + total / n


def checked(scores: np.ndarray, n: int, block: slice) -> np.ndarray:
    """The scores of a block.

    Raises:
        ValueError: it is not (N, its length).
    """
    if scores.shape != (n, block.stop - block.start):
        raise ValueError(f"columns: a block must be {(n, block.stop - block.start)}, was {scores.shape}")
    return scores


def diagonal(scores: np.ndarray, block: slice) -> np.ndarray:
    """The scores of the block's positive pairs (x_j, y_j)."""
    return scores[np.arange(block.start, block.stop), np.arange(block.stop - block.start)]
