"""Negatives: the split of a square against loops; drawn indices against their laws and their distribution."""

import itertools

import numpy as np
import pytest
from finite_differences import check_all
from hypothesis import given
from hypothesis import strategies as st

from dimref import negatives

pytestmark = pytest.mark.usefixtures("plain_forms")
seeds = st.integers(0, 2**32 - 1)
# The 0.999 quantile of χ² by degrees of freedom: a right sampler fails one seed in a thousand, and the seeds are fixed.
CHI_SQUARE = {1: 10.83, 2: 13.82, 3: 16.27, 5: 20.52, 8: 26.12}


def assert_uniform(drawn, outcomes):
    counts = np.array([drawn.count(outcome) for outcome in outcomes])
    assert counts.sum() == len(drawn)  # nothing else was drawn
    expected = len(drawn) / len(outcomes)
    assert ((counts - expected) ** 2 / expected).sum() < CHI_SQUARE[len(outcomes) - 1]


def all_derangements(n):
    return [p for p in itertools.permutations(range(n)) if all(p[i] != i for i in range(n))]


# ---- the mask


@given(seeds, st.integers(2, 6), st.sampled_from([(), (1,), (3,)]))
def test_all_pairs_splits_the_diagonal_from_the_rest_row_by_row(seed, n, tail):
    scores = np.random.default_rng(seed).standard_normal((n, n, *tail))
    joint, product = negatives.all_pairs(scores)
    np.testing.assert_array_equal(joint, [scores[i, i] for i in range(n)])
    np.testing.assert_array_equal(product, [scores[i, j] for i in range(n) for j in range(n) if i != j])
    assert joint.shape == (n, *tail)
    assert product.shape == (n * (n - 1), *tail)


@pytest.mark.parametrize("tail", [(), (2,)])
def test_all_pairs_on_every_kind_of_array(tail):
    scores = np.random.default_rng(0).standard_normal((3, 3, *tail))
    for part in (0, 1):
        check_all(lambda s, part=part: negatives.all_pairs(s)[part], scores)


@pytest.mark.parametrize("shape", [(), (3,), (1, 1), (1, 1, 4), (2, 3), (3, 2, 2), (2, 2, 2, 2), (0, 0)])
def test_all_pairs_needs_a_square_of_two_or_more(shape):
    wrong = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=rf"^all_pairs: scores must be .* with N ≥ 2, was {wrong}$"):
        negatives.all_pairs(np.zeros(shape))


# ---- drawn indices


@given(st.integers(2, 9), st.integers(-20, 20))
def test_roll_pairs_x_i_with_the_y_shift_places_on(n, shift):
    if shift % n == 0:
        with pytest.raises(ValueError, match=f"^roll: shift must not be a multiple of N = {n}, was {shift}$"):
            negatives.roll(n, shift)
        return
    index = negatives.roll(n, shift)
    assert index.tolist() == [(i + shift) % n for i in range(n)]
    assert index.dtype.kind == "i"


def test_roll_moves_by_one_unless_told():
    assert negatives.roll(4).tolist() == [1, 2, 3, 0]


@given(seeds, st.integers(2, 12), st.integers(1, 9))
def test_derangements_are_permutations_without_a_fixed_point(seed, n, locations):
    index = negatives.derangements(np.random.default_rng(seed), n, locations)
    assert index.shape == (n, locations)
    assert index.dtype.kind == "i"
    assert (np.sort(index, axis=0) == np.arange(n)[:, None]).all()
    assert (index != np.arange(n)[:, None]).all()


def test_derangements_of_two_swap():
    assert negatives.derangements(np.random.default_rng(0), 2, 5).tolist() == [[1] * 5, [0] * 5]


@pytest.mark.parametrize("n", [3, 4])
def test_derangements_are_uniform_and_independent_by_location(n):
    """Single cycles alone (Sattolo) are too few at N = 4; random transpositions to repair a fixed point are uneven."""
    index = negatives.derangements(np.random.default_rng(1), n, 6000)
    columns = [tuple(column) for column in index.T.tolist()]
    assert_uniform(columns, all_derangements(n))
    if n == 3:
        neighbours = list(itertools.pairwise(columns))[::2]
        assert_uniform(neighbours, list(itertools.product(all_derangements(n), repeat=2)))


def test_every_off_diagonal_pair_is_equally_likely():
    n = 4
    index = negatives.derangements(np.random.default_rng(2), n, 6000)
    for i in range(n):
        assert_uniform(index[i].tolist(), [j for j in range(n) if j != i])


@given(seeds, st.integers(2, 9), st.data())
def test_sampled_negatives_are_shifts_of_the_batch_and_all_different(seed, n, data):
    count = data.draw(st.integers(1, n - 1))
    index = negatives.sampled(np.random.default_rng(seed), n, count)
    assert index.shape == (count, n)
    assert index.dtype.kind == "i"
    assert (np.sort(index, axis=1) == np.arange(n)).all()  # each x once among those of all y
    assert (index != np.arange(n)).all()
    for column in index.T.tolist():
        assert len(set(column)) == count
    assert len({int(s) for s in np.ravel((index - np.arange(n)) % n)}) == count


def test_sampled_negatives_are_uniform():
    rng = np.random.default_rng(3)
    drawn = [tuple(negatives.sampled(rng, 4, 2)[:, 0].tolist()) for _ in range(3000)]
    assert_uniform(drawn, list(itertools.permutations((1, 2, 3), 2)))


def test_draws_follow_from_the_generator_alone():
    for draw in (lambda rng: negatives.derangements(rng, 5, 4), lambda rng: negatives.sampled(rng, 9, 5)):
        same = [draw(np.random.default_rng(seed)).tolist() for seed in (7, 7, 8)]
        assert same[0] == same[1] != same[2]


@pytest.mark.parametrize("n", [1, 0])
@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("roll", lambda n: negatives.roll(n)),
        ("derangements", lambda n: negatives.derangements(np.random.default_rng(0), n, 3)),
        ("sampled", lambda n: negatives.sampled(np.random.default_rng(0), n, 1)),
    ],
)
def test_one_image_has_no_negatives(name, draw, n):
    with pytest.raises(ValueError, match=f"^{name}: a batch must have N ≥ 2 to have negatives, was {n}$"):
        draw(n)


@pytest.mark.parametrize("count", [0, -1, 4, 5])
def test_sampled_needs_a_count_below_n(count):
    with pytest.raises(ValueError, match=rf"^sampled: count must be in 1\.\.3 for N = 4, was {count}$"):
        negatives.sampled(np.random.default_rng(0), 4, count)
