"""Relations of two arrays: each is found on random arrays, and none where there is none."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimref.audit.trace.layouts import recipe
from dimref.audit.trace.relations import constant_name, factor_name, find, matching_rows

SIZES = {"N": 5, "L": 9}


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def look(found, expected, how=None):
    def close(candidate):
        if candidate is None or candidate.shape != expected.shape:
            return False
        scale = np.abs(candidate).max()
        return np.abs(candidate - found.reshape(expected.shape)).max() <= 1e-9 * scale

    return find(found, expected, close, SIZES, how)


RELATIONS = {
    "sign": lambda x: -x,
    "scale": lambda x: 0.3 * x,
    "constant": lambda x: x + 0.3,
    "affine": lambda x: 2 * x - 0.3,
    "relu-added": lambda x: np.maximum(x, 0),
    "zero": lambda x: 0 * x,
    "nan": lambda x: np.where(x == x.max(), np.nan, x),
    "infinite": lambda x: np.where(x == x.max(), np.inf, x),
    "batch-permuted": lambda x: np.roll(x, 2, axis=0),
    "mirrored": lambda x: x[..., ::-1],
    "constant-by-channel": lambda x: x + draw(7, x.shape[-1]),
    "scale-by-channel": lambda x: x * draw(7, x.shape[-1]),
}


@given(seed=st.integers(0, 10**6), kind=st.sampled_from(list(RELATIONS)))
def test_each_is_found_and_can_be_applied(seed, kind):
    x = draw(seed, 5, 2, 4)
    y = RELATIONS[kind](x)
    finding = look(y, x)
    assert finding.id == kind
    assert finding.text
    if finding.apply is not None:
        np.testing.assert_allclose(finding.apply(x), y, atol=1e-9)


@given(seed=st.integers(0, 10**6), shape=st.sampled_from([(3,), (5, 4), (2, 3, 4), (5, 1, 4)]))
def test_unrelated_arrays_have_no_relation(seed, shape):
    assert look(draw(seed, *shape), draw(seed + 1, *shape)) is None


@given(seed=st.integers(0, 10**6), axes=st.permutations(range(3)))
def test_transposed_axes_are_named_and_put_back(seed, axes):
    x = draw(seed, 3, 4, 5)
    y = x.transpose(axes)
    if list(axes) == [0, 1, 2]:
        return
    finding = look(y, x)
    assert finding.id == "transposed"
    assert str(tuple(axes)) in finding.text
    np.testing.assert_array_equal(finding.saved, x)


def test_pytorchs_layout_is_called_by_its_name_and_put_back():
    x = draw(0, 2, 3, 3, 4)
    how = recipe("images", x.shape, 1)
    finding = look(np.moveaxis(x, 3, 1), x, how)
    assert finding.id == "layout"
    np.testing.assert_array_equal(finding.saved, x)
    w = draw(1, 32, 3)
    how = recipe("conv 4×4", w.shape, 1)
    finding = look(how.apply(w), w, how)
    assert finding.id == "layout"
    np.testing.assert_array_equal(finding.saved, w)
    rows_first = w.reshape(4, 4, 2, 3).transpose(2, 0, 1, 3).reshape(w.shape)  # rows by (C_in, kh, kw)
    finding = look(rows_first, w, how)
    assert (finding.id, "(2, 0, 1, 3)" in finding.text) == ("transposed", True)
    np.testing.assert_array_equal(finding.saved, w)


@pytest.mark.parametrize(
    ("found", "expected", "kind"),
    [
        (1.0 - math.log(4), 1.0, "constant"),
        (0.2, 1.0, "scale"),
        (45.0, 1.0, "scale"),
        (-1.0, 1.0, "sign"),
        (0.77, 1.0, None),
        (0.0, 1.0, "zero"),
    ],
)
def test_a_single_number_is_related_only_by_what_has_a_name(found, expected, kind):
    finding = look(np.asarray(found), np.asarray(expected))
    assert (finding and finding.id) == kind


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (5, " = N"), (1 / 5, " = 1/N"), (9, " = L"), (45, " = N·L"), (1 / 45, " = 1/(N·L)"), (0.25, " = 1/(N − 1)"),
        (1.25, " = N/(N − 1)"), (3, " = √L"), (-5, " = N with the sign flipped"), (1 / 255, " = 1/255"), (0.3, ""), (1, ""),
        (1.442695, " = log₂ e (bits for nats)"),
    ],
)  # fmt: skip
def test_factors_are_called_by_their_names(value, name):
    assert factor_name(value, SIZES) == name


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (math.log(2), " = log 2"), (-math.log(4), " = −2 log 2"), (math.log(5), " = log N"), (-math.log(9), " = −log L"),
        (1.0, " = 1"), (0.3, ""),
    ],
)  # fmt: skip
def test_constants_are_called_by_their_names(value, name):
    assert constant_name(value, SIZES) == name


def test_matching_rows():
    x = draw(3, 6, 4)
    assert matching_rows(x[[3, 3, 0]], x).tolist() == [3, 3, 0]
