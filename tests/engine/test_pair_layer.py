"""The first layer of joint and product pairs against a double loop and against its plain form."""

import numpy as np
import pytest
import strict
from autograd.tracer import getval
from helpers import check_all, gradients
from hypothesis import given
from hypothesis import strategies as st
from strict import DeviceArray

from dimref import negatives, ops
from dimref.engine import pair_layer


def arrays(seed, n, locations, hidden, rows):
    """Features near whole numbers, the others near halves: no sum comes within 0.3 of the ReLU's kink."""
    rng = np.random.default_rng(seed)

    def near(offset, *shape):
        return rng.integers(-2, 2, shape) + offset + rng.uniform(-0.1, 0.1, shape)

    index = rng.integers(0, rows, (n, locations))
    return near(0, n, locations, hidden), near(0.5, n, hidden), near(0.5, rows, hidden), index


def plain(feature, here, others, index):
    there = ops.gather(others, index)
    beside = ops.reshape(here, (here.shape[0], 1, here.shape[1]))
    return ops.relu(ops.concatenate([ops.add(feature, beside), ops.add(feature, there)], axis=1))


@given(st.integers(0, 2**32 - 1), *[st.integers(1, 4)] * 4)
def test_each_pair_by_itself(seed, n, locations, hidden, rows):
    feature, here, others, index = arrays(seed, n, locations, hidden, rows)
    found = pair_layer.side_by_side(feature, here, others, index)
    assert found.shape == (n, 2 * locations, hidden)
    for i, location in np.ndindex(n, locations):
        joint = np.maximum(feature[i, location] + here[i], 0)
        np.testing.assert_array_equal(found[i, location], joint)
        product = np.maximum(feature[i, location] + others[index[i, location]], 0)
        np.testing.assert_array_equal(found[i, locations + location], product)


@pytest.mark.parametrize("wanted", [(0, 1, 2), (0,), (1,), (2,), (1, 2)])
def test_value_and_gradients_are_the_plain_forms(wanted):
    *given_, index = arrays(3, 4, 5, 3, 6)

    def of(function):
        def call(*some):
            filled = iter(some)
            return function(*(next(filled) if k in wanted else a for k, a in enumerate(given_)), index)

        return gradients(call, *(given_[k] for k in wanted))

    (value, found), (expected, slopes) = of(pair_layer.side_by_side), of(plain)
    for a, e in zip([value, *found], [expected, *slopes], strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-13, atol=1e-13)


def test_gradients_on_every_kind_of_array():
    feature, here, others, _ = arrays(5, 3, 4, 2, 3)
    index = negatives.derangements(np.random.default_rng(0), 3, 4)

    def function(feature, here, others):
        on_device = isinstance(getval(feature), DeviceArray)
        return pair_layer.side_by_side(feature, here, others, strict.to_device(index) if on_device else index)

    check_all(function, feature, here, others)


def test_what_goes_in_stays_as_it_is():
    *given_, index = arrays(6, 3, 4, 2, 3)
    kept = [a.copy() for a in given_]
    gradients(lambda f, h, o: pair_layer.side_by_side(f, h, o, index), *given_)
    for a, b in zip(given_, kept, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("wide", range(3))
def test_one_array_in_float64_makes_the_pairs_float64(wide):
    *given_, index = arrays(7, 3, 4, 2, 3)
    mixed = [a.astype(np.float64 if k == wide else np.float32) for k, a in enumerate(given_)]
    value, found = gradients(lambda f, h, o: pairs.side_by_side(f, h, o, index), *mixed)
    assert {value.dtype, *(g.dtype for g in found)} == {np.dtype("float64")}
    np.testing.assert_allclose(value, plain(*mixed, index), rtol=2e-7)


def test_rows_may_be_counted_from_the_last():
    *given_, index = arrays(8, 4, 5, 3, 6)
    expected, slopes = gradients(lambda f, h, o: pairs.side_by_side(f, h, o, index), *given_)
    value, found = gradients(lambda f, h, o: pairs.side_by_side(f, h, o, index - 6), *given_)
    for a, e in zip([value, *found], [expected, *slopes], strict=True):
        np.testing.assert_array_equal(a, e)
