"""Samples are numbers in rows, or the line says what they are; every sample is held out once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimref.errors import DimrefError
from dimref.estimation.samples import SampleError, as_samples, check_counts, splits


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint64", "bool", ">i2"])
def test_vectors_and_matrices_of_numbers_become_float64_rows(dtype):
    vector = np.arange(6).astype(dtype)
    found = as_samples(vector)
    assert (found.shape, found.dtype) == ((6, 1), np.float64)
    np.testing.assert_array_equal(found[:, 0], vector.astype(float))
    np.testing.assert_array_equal(as_samples(vector.reshape(3, 2)), vector.reshape(3, 2).astype(float))
    np.testing.assert_array_equal(as_samples([1, 2.5]), [[1], [2.5]])


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (np.array([1, None]), "x: expected numbers (float, integer or bool), found object (2,)"),
        (np.array(["a"]), "x: expected numbers (float, integer or bool), found <U1 (1,)"),
        (np.zeros(3, complex), "found complex128 (3,)"),
        (np.float64(3), "x: expected samples in rows, (N,) or (N, D), found ()"),
        (np.zeros((2, 3, 4)), "found (2, 3, 4)"),
        (np.zeros((0, 3)), "x: expected at least one number, found an empty array (0, 3)"),
        (np.zeros((3, 0)), "an empty array (3, 0)"),
        ([[1, 2], [3, np.nan]], "x: expected finite numbers, found nan in row 1, column 1 (1 such entries)"),
        ([np.inf, 1, -np.inf], "found inf in row 0, column 0 (2 such entries)"),
        ([[1], [2, 3]], "x: expected numbers (N,) or (N, D)"),
    ],
)
def test_what_is_no_sample_is_told_in_a_line(values, line):
    with pytest.raises(SampleError) as caught:
        as_samples(values)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, DimrefError)
    assert isinstance(caught.value, ValueError)


def test_pairs_have_one_row_each_and_there_are_enough():
    check_counts({"x": np.zeros((60, 1)), "y": np.zeros((60, 2))})
    for x, y, line in (
        ((60, 1), (59, 1), "found 60 and 59 rows$"),
        ((49, 1), (49, 1), "at least 50 samples, found 49$"),
        ((3, 5000), (2, 5000), r"found 3 and 2 rows \(samples are rows: transpose what has 5,000 columns"),
        ((3, 5000), (5000, 1), r"found 3 and 5000 rows \(samples are rows: transpose"),
        ((3, 5000), (3, 5000), r"found 3 \(samples are rows: transpose"),
    ):
        with pytest.raises(SampleError, match=line):
            check_counts({"x": np.zeros(x), "y": np.zeros(y)})


@given(n=st.integers(50, 300), folds=st.integers(2, 10), share=st.floats(0.01, 0.5), seed=st.integers(0, 99))
def test_every_sample_is_held_out_once_and_never_learned_from_then(n, folds, share, seed):
    found = list(splits(np.random.default_rng(seed), np.arange(n), folds, share))
    np.testing.assert_array_equal(np.sort(np.concatenate([split.test for split in found])), np.arange(n))
    assert len(found) == folds
    for split in found:
        everything = np.concatenate([split.train, split.validation, split.test])
        np.testing.assert_array_equal(np.sort(everything), np.arange(n))
        assert len(split.validation) == max(2, round(share * (n - len(split.test))))
        assert abs(len(split.test) - n / folds) < 1


@pytest.mark.parametrize(
    "wrong",
    [np.array([0x7FA00000], np.uint32).view(np.float32)[0:1], np.array(["1e4000"], np.longdouble)],
    ids=["a signalling NaN", "beyond float64"],
)
def test_a_number_that_the_conversion_warns_of_is_named_and_nothing_else_said(wrong):
    values = np.concatenate([np.ones(3, wrong.dtype), wrong])
    with pytest.raises(SampleError, match=r"^x: expected finite numbers, found (nan|inf) in row 3, column 0"):
        as_samples(values)
