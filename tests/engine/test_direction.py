"""A direction of AMDIM in blocks: its memory, and how far from zero its scores may be."""

import math
import tracemalloc

import numpy as np
import pytest
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e2, 1e4])
@pytest.mark.parametrize("clip", [0.0, 20.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_large_scores_stay_finite(dtype, scale, clip, sign):
    y = math.sqrt(scale) * np.eye(4, dtype=dtype)
    f = sign * np.repeat(y[:, None], 3, axis=1)
    value, slopes, scores = value_and_gradients(
        lambda at: objective.contrast(at["y"], at["f"], clip, 0.0), {"y": y, "f": f}
    )
    for array in (value, scores.certified_nats, slopes["y"], slopes["f"]):
        assert np.isfinite(array).all()
        assert np.asarray(array).dtype == dtype
    top = min(scale / 2, clip or math.inf)
    assert abs(float(value) - (0 if sign > 0 else top)) < 0.05 * top + math.log(10)
