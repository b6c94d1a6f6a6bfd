"""Critics in blocks of rows: how many there are, on one thread and on two; their numbers are the registry's test."""

import numpy as np
import pytest
from blas_threads import shared
from finite_differences import draw, gradients
from small_networks import as_function, concat, dot

from dimref import discriminators, negatives, ops
from dimref.engine import critics, row_blocks


@pytest.mark.parametrize("rows", [1, 3, 4, 100])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_block_has_at_most_so_many_rows(monkeypatch, rows, threads):
    features, y = draw(5, (5, 3, 4), (5, 2))
    index = negatives.derangements(np.random.default_rng(0), 5, 3)
    pairs, concat_leaves = as_function(
        concat(0, 4, 2), lambda *given: ops.concatenate(discriminators.concat_pairs(*given, index))
    )
    square, dot_leaves = as_function(dot(1, 4, 2), discriminators.dot_scores)
    blocks, sweep = [], row_blocks._Blocks._sweep
    monkeypatch.setattr(critics, "CRITIC_ROWS", rows)
    monkeypatch.setattr(row_blocks._Blocks, "_sweep", lambda *given: blocks.append(given[1]) or sweep(*given))
    with shared(monkeypatch, threads):
        for call, leaves in ((pairs, concat_leaves), (square, dot_leaves)):
            gradients(call, *leaves, features, y)
    of_y = {1: 5, 3: 1 + threads, 4: 1 + threads, 100: 0}[rows]  # y is embedded in rows of its own: 2 + 3, or 2 + 2 + 1
    assert len(blocks) == {1: 10, 3: 10, 4: 6, 100: 0}[rows] + of_y
