"""The first layer of joint and product pairs against a double loop and against its plain form."""

import numpy as np
import pytest
from fake_cupy import STRICT
from finite_differences import check_gradient, check_second_derivative, gradients
from hypothesis import given
from hypothesis import strategies as st

from dimref import ops
from dimref.engine import pair_layer


def arrays(seed, n, locations, hidden, rows):
    """Features near whole numbers, the others near halves: no sum comes within 0.3 of the ReLU's kink."""
    rng = np.random.default_rng(seed)

    def near(offset, *shape):
        return rng.integers(-2, 2, shape) + offset + rng.uniform(-0.1, 0.1, shape)

    index = rng.integers(-rows, rows, (n, locations))
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


def test_its_vjp_is_differentiable():
    *given_, index = arrays(5, 3, 4, 2, 3)
    check_gradient(lambda *some: pair_layer.side_by_side(*some, index), *given_)
    check_second_derivative(lambda *some: pair_layer.side_by_side(*some, index), *given_)


def test_a_device_without_kernels_takes_the_same_passes():
    given_ = arrays(6, 3, 4, 2, 3)
    found = pair_layer.side_by_side(*map(STRICT.to_device, given_))
    np.testing.assert_array_equal(found.get(), pair_layer.side_by_side(*given_))


def test_what_goes_in_stays_as_it_is():
    *given_, index = arrays(6, 3, 4, 2, 3)
    kept = [a.copy() for a in given_]
    gradients(lambda f, h, o: pair_layer.side_by_side(f, h, o, index), *given_)
    for a, b in zip(given_, kept, strict=True):
        np.testing.assert_array_equal(a, b)
