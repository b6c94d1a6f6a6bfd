"""The scorers' pieces against the scorers themselves."""

import numpy as np
import pytest

from dimref import bounds, discriminators, negatives


def tree(arrays, prefix):
    found = {}
    for name, array in arrays.items():
        if name.startswith(prefix):
            *parents, last = name.removeprefix(prefix).split("/")
            node = found
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = array
    return found


@pytest.mark.parametrize("term", ["local", "global"])
def test_concat_pairs(term, traced):
    a = traced(global_weight=1.0).arrays
    parameters = tree(a, f"parameters/{term}/")
    joint, product = discriminators.concat_pairs(
        parameters, a[f"{term}/features"], a["encoder/y"], a[f"noise/{term}/index"]
    )
    np.testing.assert_allclose(a[f"{term}/joint/scores"], joint, rtol=1e-5)  # training scores both kinds in one product
    np.testing.assert_allclose(a[f"{term}/product/scores"], product, rtol=1e-5)
    for i, at in np.ndindex(*a[f"noise/{term}/index"].shape):
        j = a[f"noise/{term}/index"][i, at]
        np.testing.assert_array_equal(a[f"{term}/product/partner"][i, at], a[f"{term}/representation"][j])


def test_concat_candidates(traced):
    a = traced(bound="infonce", local_scorer="concat", candidates=3).arrays
    expected = discriminators.concat_candidates(
        tree(a, "parameters/local/"), a["local/features"], a["encoder/y"], a["noise/local/shifts"]
    )
    np.testing.assert_array_equal(a["local/positive/scores"], expected[0])
    np.testing.assert_array_equal(a["local/negatives"], expected[1])
    assert a["local/bound"] == bounds.infonce_sampled(*expected)


def test_squares(traced):
    a = traced(bound="infonce", global_weight=1.0).arrays
    dot = discriminators.dot_scores(tree(a, "parameters/local/"), a["local/features"], a["encoder/y"])
    np.testing.assert_allclose(a["local/scores"], dot, rtol=1e-5, atol=1e-6)  # which adds two products in one memory
    concat = discriminators.concat_scores(tree(a, "parameters/global/"), a["global/features"], a["encoder/y"])
    np.testing.assert_array_equal(a["global/scores"], concat)


def test_all_pairs_and_mine(traced):
    a = traced(bound="mine", local_scorer="dot").arrays
    joint, product = negatives.all_pairs(a["local/scores"])
    np.testing.assert_allclose(a["local/joint/scores"], joint, rtol=1e-5, atol=1e-6)  # as above
    np.testing.assert_allclose(a["local/product/scores"], product, rtol=1e-5, atol=1e-6)
    value, average = bounds.mine(joint, product, None)
    np.testing.assert_allclose(a["local/bound"], value, rtol=1e-5)
    np.testing.assert_allclose(a["after/state/mine/local"], average, rtol=1e-5, atol=1e-6)


def test_certified(traced):
    a = traced(bound="infonce", negatives="all-locations").arrays
    assert a["local/certified"] == bounds.infonce_certified(a["local/scores"])
    assert "local/bound_by_location" not in a
