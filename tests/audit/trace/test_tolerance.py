"""Tolerance: rounding passes, mistakes do not, and a sum that cancels is measured by its terms."""

import numpy as np
import pytest
from trace_graphs import graph_of

from dimref.audit.trace.tolerance import Tolerance

EPS = float(np.finfo(np.float32).eps)


@pytest.fixture
def judged(traced):
    def make(**options):
        found = traced(**options)
        reference = {n: a.astype(float) if a.dtype.kind == "f" else a for n, a in found.arrays.items()}
        graph, own = graph_of(found), graph_of(found)
        return reference, Tolerance(graph, own, reference, EPS, 1e-4)

    return make


def test_float32_passes_and_a_thousandth_does_not(judged):
    reference, tolerance = judged()
    rng = np.random.default_rng(0)
    for name in (
        "encoder/conv1",
        "encoder/norm2",
        "local/joint/scores",
        "gradient/encoder/conv2",
        "after/adam/m/encoder/y/w",
    ):
        array = reference[name]
        assert tolerance.close(name, array.astype(np.float32).astype(float), array, EPS)
        assert tolerance.close(
            name, array + 8 * EPS * np.abs(array).max() * rng.uniform(-1, 1, array.shape), array, EPS
        )
        assert not tolerance.close(name, array * 1.001, array, EPS), name
        assert tolerance.close(name, array * 1.001, array, EPS, times=1e4)
    assert not tolerance.close("encoder/y", reference["encoder/y"], None, EPS)
    assert not tolerance.close("encoder/y", reference["encoder/y"], reference["encoder/y"][:2], EPS)


def test_float64_is_held_to_float64(traced):
    found = traced(dtype="float64")
    tolerance = Tolerance(graph_of(found), graph_of(found), found.arrays, float(np.finfo(float).eps), 1e-4)
    y = found.arrays["encoder/y"]
    eps = float(np.finfo(float).eps)
    assert not tolerance.close("encoder/y", y.astype(np.float32).astype(float), y, eps)
    assert tolerance.close("encoder/y", y.astype(np.float32).astype(float), y, EPS)  # if they computed in float32


def test_infinities_and_nans_must_be_the_same(judged):
    reference, tolerance = judged()
    y = reference["encoder/y"]
    odd = np.where(y > y.mean(), np.inf, y)
    assert not tolerance.close("encoder/y", odd, y, EPS)
    assert not tolerance.close("encoder/y", y, odd, EPS)
    assert tolerance.close("encoder/y", odd, odd, EPS)


def test_a_bound_near_0_is_measured_in_nats(judged):
    reference, tolerance = judged()
    value = reference["local/bound"]
    assert abs(value) < 0.1
    assert tolerance.close("local/bound", value + 4e-7, value, EPS)
    assert not tolerance.close("local/bound", value + 1e-4, value, EPS)


def test_a_gradient_that_cancels_to_0_is_measured_by_its_terms(judged):
    """InfoNCE does not change when all scores move: the gradient of the last bias is rounding."""
    _, tolerance = judged(bound="infonce", global_weight=1.0)
    name = "gradient/parameters/global/score/b"
    exact = tolerance._theirs.expected(name)
    assert np.abs(exact).max() < 1e-12
    assert tolerance.close(name, exact + 1e-8, exact, EPS)
    assert not tolerance.close(name, exact + 1e-4, exact, EPS)
    lr = 1e-4
    for name, noise in (("after/adam/m/global/score/b", 1e-9), ("after/parameters/global/score/b", 2 * lr)):
        expected = tolerance._theirs.expected(name)
        assert tolerance.close(name, expected + noise, expected, EPS), name
        assert not tolerance.close(name, expected + 1e4 * noise, expected, EPS), name


def test_a_relu_at_0_may_open_by_rounding(judged):
    """Of the gradient of a wide layer, few elements may be off, and not by much."""
    reference, tolerance = judged()
    name = "gradient/local/joint/first"
    array = reference[name]
    few, many, far = array.copy(), array.copy(), array.copy()
    scale = np.abs(array).max()
    few.flat[:1] += 0.02 * scale
    many.flat[:40] += 0.02 * scale
    far.flat[:1] += 0.5 * scale
    assert array.size > 500
    assert tolerance.close(name, few, array, EPS)
    assert not tolerance.close(name, many, array, EPS)
    assert not tolerance.close(name, far, array, EPS)
    assert not tolerance.close("local/joint/first", few, array, EPS)
