"""Rows that depend on each other stay together, and are reported; independent ones are left alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimref.estimation import MutualInformation
from dimref.estimation.dependence import NEIGHBOURS, alike, copies, permuted, table_information, units
from dimref.estimation.held_out import HeldOut
from dimref.estimation.samples import SampleError, splits
from dimref.theory.information import mutual_information

QUICK = {"folds": 5, "steps": 25, "batch_size": 64}


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def walks(n, seed=0):
    return (each[:, None] for each in normal(seed, 2, n).cumsum(axis=1))


def test_fifty_independent_pairs_repeated_four_times_have_no_information():
    """A fold that sees copies of its rows in training finds 0.2 nats here, 1.8 with more steps."""
    x, y = normal(0, 2, 50)
    found = MutualInformation(folds=5, steps=150, batch_size=64).fit(np.tile(x, 4), np.tile(y, 4))
    assert found.interval_[0] < 0.02
    assert abs(found.nats_) < 0.1
    assert found.notes_[0].startswith("150 of 200 rows repeat an earlier one: copies stay in one fold")
    assert not any(note.startswith(NEIGHBOURS) for note in found.notes_)
    assert [len(np.unique(part)) for part in found.units_.reshape(4, 50).T] == [1] * 50


@pytest.mark.parametrize(
    ("x", "y", "repeats"),
    [
        (np.tile(normal(1, 40, 2), (3, 1)), np.tile(normal(2, 40, 1), (3, 1)), True),
        (
            np.vstack([normal(1, 90, 1), normal(1, 90, 1)[:10]]),
            np.arange(100)[:, None] % 90 % 7,
            True,
        ),  # labels of a few
        (normal(1, 100, 1), normal(2, 100, 1), False),
        (np.arange(100)[:, None] % 3, np.arange(100)[:, None] % 4, False),  # discrete
        (np.arange(1000)[:, None] % 30, np.arange(1000)[:, None] % 30, False),  # discrete, one determines the other
        (np.round(normal(1, 2000, 1), 2), np.arange(2000)[:, None] % 3, False),  # measured to two digits
        (np.arange(100)[:, None] % 4 / 3, normal(2, 100, 1), False),
    ],
)
def test_copies_are_rows_that_no_chance_makes_equal(x, y, repeats):
    found = copies(np.asarray(x, float), np.asarray(y, float))
    assert (found is not None) == repeats
    if repeats:
        pairs = [tuple(row) for row in np.hstack([x, y])]
        assert found.tolist() == [pairs.index(pair) for pair in pairs]


def test_random_walks_are_warned_of_and_blocks_hold_their_runs_out():
    x, y = walks(500)
    found = MutualInformation(**QUICK).fit(x, y)
    assert found.interval_[0] > 0.3  # which is wrong: they are independent
    assert found.notes_[0].startswith(f"{NEIGHBOURS}: their rank correlation is 0.9")
    held = MutualInformation(**QUICK, blocks=20).fit(x, y)
    assert held.interval_[0] < 0
    assert held.nats_ < 0.1
    assert held.notes_ == ()
    np.testing.assert_array_equal(held.units_, np.arange(500) * 20 // 500)


@pytest.mark.parametrize("seed", range(5))
def test_one_side_that_depends_on_its_neighbours_is_no_warning(seed):
    x, y = walks(300, seed)
    assert alike(x, y)
    assert alike(x, normal(9, 300, 3)) is None
    assert alike(normal(8, 300, 1), normal(9, 300, 50)) is None
    assert alike(np.zeros((300, 1)), y) is None


@given(count=st.integers(10, 40), folds=st.integers(2, 5), runs=st.booleans(), seed=st.integers(0, 99))
def test_a_unit_is_whole_in_every_split(count, folds, runs, seed):
    rng = np.random.default_rng(seed)
    labels = np.sort(np.concatenate([np.arange(count), rng.integers(0, count, 60)]))
    seen = []
    for split in splits(rng, labels, folds, 0.2, runs):
        parts = [set(labels[rows]) for rows in (split.train, split.validation, split.test)]
        assert sum(map(len, parts)) == count == len(set.union(*parts))
        assert sum(map(len, (split.train, split.validation, split.test))) == len(labels)
        seen += split.test.tolist()
        assert not runs or np.ptp(split.test) == len(split.test) - 1
    assert sorted(seen) == list(range(len(labels)))


def test_blocks_that_copies_join_are_one_and_too_few_are_refused():
    x, y = normal(1, 100, 1), normal(2, 100, 1)
    x[99], y[99] = x[0], y[0]
    labels, notes = units(x, y, 10, 2)
    assert labels.tolist() == [0] * 10 + [k for k in range(1, 9) for _ in range(10)] + [0] * 10
    assert "1 of 100 rows" in notes[0]
    with pytest.raises(SampleError, match="blocks: expected 2 for each fold at least, found 8 for 5 folds"):
        MutualInformation(blocks=8).fit(normal(1, 100), normal(2, 100))
    with pytest.raises(SampleError, match="at least 50 samples, found 40 and copies of them"):
        MutualInformation().fit(np.tile(x[:40], (3, 1)), np.tile(y[:40], (3, 1)))


def test_leaving_out_units_is_exact_for_a_mean_and_covers_what_repeats():
    rng, n = np.random.default_rng(0), 60
    values, labels = rng.standard_normal(n), rng.integers(0, 12, n)
    single = HeldOut(values.mean(), (values.sum() - values) / (n - 1))
    found = single.of_units(labels)
    np.testing.assert_allclose(found.without, [values[labels != g].mean() for g in range(12)])
    assert found.samples == single.samples == n
    assert single.of_units(np.arange(n)) is single


def test_units_change_places_with_those_of_their_size():
    labels = np.array([0, 0, 1, 2, 2, 3, 4, 4, 4, 1])
    seen = set()
    for seed in range(50):
        rows = permuted(np.random.default_rng(seed), labels)
        assert sorted(rows) == list(range(10))
        moved = labels[rows]
        seen.add(tuple(moved))
        for unit in range(5):
            (whole,) = set(moved[labels == unit])
            assert (labels == whole).sum() == (labels == unit).sum()
    assert len(seen) == 6  # three pairs; the single row and the triple have no other


def test_a_p_value_counts_the_permutations_that_reach_the_value():
    x, y = normal(3, 60), normal(4, 60)
    found = MutualInformation(folds=2, steps=0, null=19).fit(x, x + y)
    assert (found.p_value_, len(found.null_)) == (1 / 20, 19)
    found = MutualInformation(folds=2, steps=0, null=19).fit(x, y)
    assert found.p_value_ == (1 + (found.null_ >= found.nats_).sum()) / 20
    assert found == MutualInformation(folds=2, steps=0, null=19)
    with pytest.raises(SampleError, match="null: a permutation of y would break its dependence on z"):
        MutualInformation(null=9).fit(x, y, given=x)


@pytest.mark.exhaustive
def test_p_values_are_uniform_where_there_is_nothing():
    nothing = [MutualInformation(folds=2, steps=0, null=9, seed=s).fit(normal(s, 50), normal(99 + s, 50)).p_value_
               for s in range(60)]  # fmt: skip
    assert np.mean(nothing) == pytest.approx(0.55, abs=4 * 0.29 / math.sqrt(60))
    assert np.mean(np.array(nothing) <= 0.2) == pytest.approx(0.2, abs=4 * math.sqrt(0.16 / 60))


def test_the_table_of_counts_is_corrected_by_miller_and_madow():
    table = np.array([[0.3, 0.05, 0.05], [0.05, 0.2, 0.05], [0.0, 0.1, 0.2]])
    plain, corrected = [], []
    for seed in range(400):
        k = np.random.default_rng(seed).choice(9, 100, p=table.ravel())
        counts = np.bincount(k, minlength=9).reshape(3, 3)
        one, other = table_information(k[:, None] // 3, k[:, None] % 3)
        assert one == pytest.approx(mutual_information(counts / 100))
        plain.append(one)
        corrected.append(other)
    truth = mutual_information(table)
    assert abs(np.mean(corrected) - truth) < 0.008 < 0.015 < np.mean(plain) - truth
