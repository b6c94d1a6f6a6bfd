"""One call of a function in this process: what it returns, raises and leaves changed."""

import numpy as np
import pytest

from dimref.audit.answer import Signature, Target
from dimref.audit.calling import Here

X = Signature(("x",), ("value",), ("x",))
TWO = Signature(("x",), ("joint", "product"), (), "joint")


def call(function, signature=X, **inputs):
    return Here(function, "numpy").call(signature, inputs or {"x": np.array([1.0, 2.0])})


def test_it_is_a_target():
    target = Here(lambda x: x.sum(), name="mine")
    assert isinstance(target, Target)
    assert target.name == "mine"
    assert Here(call).name == "call"


@pytest.mark.parametrize("result", [3.0, np.float64(3), np.float32(3), np.array([3.0]), np.array([[3.0]])])
def test_a_number_is_a_number(result):
    answer = call(lambda x: result)
    assert answer.problem == ""
    assert answer.value["value"].size == 1


def test_several_outputs_come_as_a_tuple():
    answer = call(lambda x: (x, 2 * x), TWO)
    np.testing.assert_array_equal(answer.value["product"], [2, 4])
    assert call(lambda x: [x, x], TWO).problem == ""
    for result, told in (((1,), "a tuple of 1"), (np.ones(2), "a numpy.ndarray of float64"), ({"a": 1}, "a dict of 1")):
        expected = f"returned {told}; expected a tuple of 2 (joint, product)"
        assert call(lambda x, result=result: result, TWO).problem == expected


def test_integers_and_truth_values_are_for_what_is_not_differentiated():
    counts = Signature(("n",), ("value",))
    assert call(lambda n: np.arange(n), counts, n=3).value["value"].dtype.kind == "i"
    assert call(lambda n: np.eye(n) == 0, counts, n=3).value["value"].dtype == bool
    assert call(lambda x: 1).problem == "returned int64; expected a real number (value)"
    assert call(lambda x: x[:0]).problem == "returned an array of shape (0,), without a number in it (value)"


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda: 1.0, "takes other arguments: called with (x), it is "),
        (lambda x, temperature: 1.0, "missing a required argument: 'temperature'"),
        (lambda *, x: 1.0, "too many positional arguments"),
        (Signature, "is a class: an adapter can make an object of it"),
    ],
)
def test_other_arguments_are_told_before_it_is_called(function, told):
    problem = call(function).problem
    assert told in problem
    assert problem.endswith("dimref audit adapter prints a file to begin an --adapter with")


def test_defaults_are_left_alone():
    assert call(lambda x, temperature=2.0: x.sum() * temperature).value["value"] == 6


def test_an_error_of_a_library_is_told_at_the_line_that_called_it():
    def function(x):
        return np.linalg.inv(np.zeros((2, 2))).sum()

    problem = call(function).problem
    assert problem.startswith("raised LinAlgError: Singular matrix (test_calling.py, line ")
    assert problem.endswith(": return np.linalg.inv(np.zeros((2, 2))).sum())")


def test_an_interrupt_is_the_users_own():
    def function(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(function)


def test_the_inputs_are_copies_and_changes_are_told():
    x = {"a": np.ones(2), "b": {"c": np.zeros(2)}}

    def function(p, n):
        p["b"]["c"] += 1
        return 0.0

    answer = call(function, Signature(("p", "n"), ("value",)), p=x, n=1)
    assert answer.remarks == ("changes its input p in place",)
    np.testing.assert_array_equal(x["b"]["c"], [0, 0])


def test_a_value_that_changes_is_told_once_found():
    rng = np.random.default_rng(0)
    told = "returned another value when it was called again with the same inputs"
    target = Here(lambda x: rng.normal(), "numpy")
    for _ in range(2):
        assert target.call(Signature(("x",)), {"x": np.ones(1)}).remarks == (told,)


def test_one_that_fails_when_called_again_is_told():
    calls = []

    def function(x):
        calls.append(x)
        if len(calls) > 1:
            raise ValueError("once only")
        return 0.0

    (remark,) = call(function, Signature(("x",))).remarks
    assert remark.startswith("answered once and then, called with the same inputs, raised ValueError: once only")
