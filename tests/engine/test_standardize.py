"""Fused standardization: what it keeps and what it leaves as it was; its values are the registry's test."""

import numpy as np
from finite_differences import check_gradient, draw, gradients, is_kept

from dimref import ops


def test_it_does_not_keep_its_input():
    assert not is_kept(lambda x: ops.standardize(x, -1, 1e-5))


def test_it_leaves_its_input_and_its_gradient_as_they_were():
    (x,) = draw(8, (5, 4))
    kept = x.copy()
    gradients(lambda x: ops.standardize(x, 0, 1e-5), x)
    np.testing.assert_array_equal(x, kept)
    # two uses of one value share its gradient: overwriting it would spoil the other's
    check_gradient(lambda x: ops.add(ops.standardize(x, 0, 1e-5), ops.multiply(x, x)), x)
