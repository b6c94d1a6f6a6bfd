"""Every way a table can be wrong, and the words that say so."""

import math

import numpy as np
import pytest

from dimref.theory.probability_tables import SUM_TOLERANCE, as_pair, as_probabilities, as_real, as_table, nats_per_unit


def message(call, *args):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the caller compares it whole)
        call(*args)
    return str(caught.value)


def test_unit():
    assert nats_per_unit(math.e) == 1.0
    assert nats_per_unit(2) == math.log(2)
    assert nats_per_unit(1.5) == math.log(1.5)


@pytest.mark.parametrize("base", [1, 0.5, 0, -2, math.inf, math.nan])
def test_unit_refuses(base):
    assert (
        message(nats_per_unit, base) == f"base is {base!r}, expected a finite number > 1 (math.e for nats, 2 for bits)"
    )


@pytest.mark.parametrize("values", [[1, 0], np.array([1, 0], np.uint8), np.array([1, 0], np.float32), (1.0, 0.0)])
def test_real_numbers_become_float64(values):
    array = as_real(values, "p")
    assert array.dtype == np.float64
    assert array.tolist() == [1.0, 0.0]


def test_the_argument_is_not_shared():
    values = np.array([0.5, 0.5])
    as_real(values, "p")[0] = 7
    assert values[0] == 0.5


@pytest.mark.parametrize(
    ("values", "dtype"), [([1j], "complex128"), (["a"], "<U1"), ([True], "bool"), ([None], "object")]
)
def test_other_dtypes_are_refused(values, dtype):
    assert message(as_real, values, "p_x") == f"p_x has dtype {dtype}, expected real numbers"


def test_tables_of_text_are_refused_by_name():
    assert message(as_table, ["a"], "p_x", 1) == "p_x has dtype <U1, expected real numbers"


def test_ragged_lists_are_refused():
    assert message(as_real, [[1], [1, 2]], "p_xy").startswith("p_xy is not an array: setting an array element")


@pytest.mark.parametrize("value", [-0.25, -1e-300, math.nan, math.inf, -math.inf])
def test_the_wrong_entry_is_named(value):
    expected = f"is {value!r}, expected a finite probability ≥ 0"
    assert message(as_table, [[0.5, 0.5, 0.0], [0.0, 0.0, value]], "p_xy", 2) == f"p_xy[1, 2] {expected}"
    assert message(as_table, [0.5, value, value], "p_x", 1) == f"p_x[1] {expected}"


def test_the_first_wrong_entry_is_named():
    assert message(as_table, [0.5, -1.0, -2.0], "p", 1).startswith("p[1] is -1.0,")


@pytest.mark.parametrize("ndim", [1, None])
@pytest.mark.parametrize("total", [0.75, 1.5, 1 + 2e-9, 1 - 2e-9, 0.0])
def test_the_wrong_sum_is_named(total, ndim):
    assert message(as_table, [total], "p", ndim) == f"p sums to {total!r}, expected 1 within 1e-09"


def test_a_sum_within_the_tolerance_is_taken_as_it_is():
    assert SUM_TOLERANCE == 1e-9
    for total in (1 + 0.9e-9, 1 - 0.9e-9):
        assert as_table([total], "p", 1).tolist() == [total]


def test_shapes():
    assert as_table(np.full((2, 2, 2), 0.125), "p", None).shape == (2, 2, 2)
    assert message(as_table, [1.0], "p_xy", 2) == "p_xy has shape (1,), expected 2 axes"
    assert message(as_table, [[1.0]], "p_x", 1) == "p_x has shape (1, 1), expected 1 axes"
    assert message(as_table, 1.0, "p", None) == "p has shape (), expected at least one axes"
    assert message(as_table, [], "p", 1) == "p has shape (0,), expected at least one entry"
    assert message(as_probabilities, np.zeros((2, 0)), "p", 2) == "p has shape (2, 0), expected at least one entry"


def test_probabilities_need_not_sum_to_one():
    assert as_probabilities([[0.0, 3.0]], "w", 2).tolist() == [[0.0, 3.0]]


def test_pairs():
    p, q = as_pair([[0.5, 0.5]], [[1, 0]])
    assert (p.tolist(), q.tolist()) == ([[0.5, 0.5]], [[1.0, 0.0]])
    assert message(as_pair, [1.0], [0.5, 0.5]) == "q has shape (2,), expected (1,), the shape of p"
    assert message(as_pair, [0.5, 0.5], [1.0]) == "q has shape (1,), expected (2,), the shape of p"
    assert message(as_pair, [-1.0, 2.0], [0.5, 0.5]).startswith("p[0] is -1.0")
    assert message(as_pair, [0.5, 0.5], [0.5, 0.25]).startswith("q sums to 0.75")
