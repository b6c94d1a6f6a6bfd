"""The first layer of joint and product pairs against a double loop and against its plain form."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dimref.engine import pair_layer


def arrays(seed, n, locations, hidden, rows):
    """Features near whole numbers, the others near halves: no sum comes within 0.3 of the ReLU's kink."""
    rng = np.random.default_rng(seed)

    def near(offset, *shape):
        return rng.integers(-2, 2, shape) + offset + rng.uniform(-0.1, 0.1, shape)

    index = rng.integers(-rows, rows, (n, locations))
    return near(0, n, locations, hidden), near(0.5, n, hidden), near(0.5, rows, hidden), index


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
