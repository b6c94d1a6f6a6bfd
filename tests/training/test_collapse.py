"""Health: the signs of a collapsing representation, on representations whose rank is known."""

import math

import numpy as np
import pytest

from dimref.training.collapse import health


def test_effective_rank_counts_the_directions_that_y_uses():
    rng = np.random.default_rng(0)
    pixels = np.arange(4000 * 4, dtype=np.int64).astype(np.uint8).reshape(4000, 2, 2, 1)

    def rank(y):
        return health(y.astype(np.float32), pixels[: len(y)])["effective_rank"]

    isotropic = rng.standard_normal((4000, 16))
    line = rng.standard_normal((4000, 1)) * np.arange(1, 17)
    assert rank(isotropic) == pytest.approx(16, abs=0.1)
    assert rank(line) == pytest.approx(1, abs=1e-4)
    assert rank(np.ones((8, 16))) == 1  # collapsed: no direction at all, and no warning
    # Two directions with variances 3 : 1, the entropy by hand.
    p = np.array([0.75, 0.25])
    skewed = isotropic[:, :2] * np.sqrt(p)
    assert rank(skewed) == pytest.approx(math.exp(-(p * np.log(p)).sum()), abs=0.05)


def test_variance_is_the_mean_over_dimensions():
    y = np.array([[0, 0], [2, 4]], np.float32)
    assert health(y, np.zeros((2, 1, 1, 1), np.uint8))["variance"] == 2.5


def test_duplicates_count_the_images_seen_before():
    images = np.array([1, 2, 1, 1, 3, 2], np.uint8).reshape(6, 1, 1, 1)
    assert health(np.eye(6, dtype=np.float32), images)["duplicates"] == 3
