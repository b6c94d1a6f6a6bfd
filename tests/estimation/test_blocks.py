"""A score matrix in blocks gives the number of the whole matrix, in memory of a block."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimref import bounds
from dimref.estimation import blocks


@given(n=st.integers(2, 60), seed=st.integers(0, 99), elements=st.integers(1, 500), scale=st.sampled_from([1, 1e4]))
def test_infonce_in_blocks_is_infonce(n, seed, elements, scale):
    scores = scale * np.random.default_rng(seed).standard_normal((n, n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "ELEMENTS", elements)
        found = blocks.infonce(lambda block: scores[:, block], n)
    assert found == pytest.approx(float(bounds.infonce(scores)), rel=1e-12, abs=1e-12)


@given(n=st.integers(1, 300), elements=st.integers(1, 1000))
def test_blocks_cut_the_columns(n, elements):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "ELEMENTS", elements)
        found = list(blocks.blocks(n))
    assert [j for block in found for j in range(n)[block]] == list(range(n))
    assert all(block.stop - block.start == 1 or n * (block.stop - block.start) <= elements for block in found)


def test_8192_candidates_take_the_memory_of_a_block_and_the_loop_agrees():
    n, d = 8192, 8
    a, b = (np.random.default_rng(k).standard_normal((n, d), dtype=np.float32) for k in (0, 1))
    b += a
    tracemalloc.start()
    found = blocks.infonce(lambda block: a @ b[block].T, n)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20  # the whole matrix is 256 MiB
    picked = np.random.default_rng(2).choice(n, 200, replace=False)
    scores = a.astype(float) @ b[picked].T.astype(float)
    some = scores[picked, np.arange(200)] - np.log(np.exp(scores - scores.max(axis=0)).sum(axis=0)) - scores.max(axis=0)
    whole = np.concatenate(
        [np.diag(s[j : j + 512]) - _logsumexp(s) for j in range(0, n, 512) for s in [a @ b[j : j + 512].T]]
    )
    np.testing.assert_allclose(whole[picked], some, rtol=1e-4, atol=1e-4)
    assert found == pytest.approx(math.log(n) + whole.mean(dtype=np.float64), abs=1e-5)


def _logsumexp(scores):
    top = scores.max(axis=0)
    return np.log(np.exp(scores - top).sum(axis=0)) + top


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="N ≥ 2 samples, was 1"):
        blocks.infonce(lambda block: np.zeros((1, 1)), 1)
    with pytest.raises(ValueError, match=r"must be \(5, 5\), was \(5, 4\)"):
        blocks.infonce(lambda block: np.zeros((5, 4)), 5)
