"""A direction of AMDIM in blocks: its memory."""

import tracemalloc

import numpy as np
from finite_differences import draw

from dimref.amdim import objective
from dimref.tape import value_and_gradients


def test_memory_does_not_grow_with_the_number_of_scores():
    """Blocks hold a bounded number of scores: 16 times as many scores, and less than half as much again in memory."""
    peaks = []
    for n in (256, 1024):
        named = dict(zip("yf", draw(0, (n, 2), (n, 49, 2), dtype=np.float32), strict=True))
        inputs = sum(a.nbytes for a in named.values())
        tracemalloc.start()
        value_and_gradients(lambda at: objective.contrast(at["y"], at["f"], 20.0, 0.05), named)
        peaks.append(tracemalloc.get_traced_memory()[1] - 4 * inputs)
        tracemalloc.stop()
    assert 3 * peaks[1] < 1024**2 * 49 * 4  # one array of all scores would already be more
    assert peaks[1] < 1.5 * peaks[0]
