"""One call of a function in this process: what it returns, raises and leaves changed."""

import numpy as np
import pytest

from dimref.audit.answer import Signature, Target
from dimref.audit.calling import InProcess

X = Signature(("x",), ("value",), ("x",))
TWO = Signature(("x",), ("joint", "product"), (), "joint")


def call(function, signature=X, **inputs):
    return InProcess(function, "numpy").call(signature, inputs or {"x": np.array([1.0, 2.0])})


def test_it_is_a_target():
    target = InProcess(lambda x: x.sum(), name="mine")
    assert isinstance(target, Target)
    assert target.name == "mine"
    assert InProcess(call).name == "call"


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
    ],
)
def test_other_arguments_are_told_before_it_is_called(function, told):
    problem = call(function).problem
    assert told in problem
    assert problem.endswith(
        "--call or an --adapter (dimref audit adapter prints one) can call it as it wants to be called"
    )


class Scaled:
    def __init__(self, scale=1.0):
        self.scale = scale

    def __call__(self, x):
        return (self.scale * x).sum()


def test_a_class_names_the_expression_that_makes_an_object():
    two = Signature(("x", "scale"), ("value",), ("x",))
    problem = InProcess(Scaled, "numpy").call(two, {"x": np.ones(2), "scale": 3.0}).problem
    assert problem == 'is a class: expected --call "Scaled(scale={scale})", which makes an object and calls it'


# ---- an expression in place of the call


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Scaled, "Scaled(scale={scale})"),  # called with the rest
        (Scaled, "Scaled({scale})({x})"),
        (Scaled(3.0), "lambda x, scale: (scale * x).sum()"),
        (np.sum, "np.sum({x} * {scale})"),
        (np.sum, "sum({scale}\n * {x})"),
    ],
)
def test_an_expression_calls_the_target(target, text):
    two = Signature(("x", "scale"), ("value",), ("x",))
    answer = InProcess(target, call=text).call(two, {"x": np.array([1.0, 2.0]), "scale": 3.0})
    assert (answer.problem, answer.value["value"]) == ("", 9)
    np.testing.assert_array_equal(answer.gradients["x"], [3, 3])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Scaled({y})", "--call Scaled({y}): expected arguments out of x, found {y}"),
        ("Scaled(", "--call Scaled(: expected a Python expression, found "),
        ("import os", "--call import os: expected a Python expression, found "),
    ],
)
def test_a_mistaken_expression_is_a_line(text, told):
    problem = InProcess(Scaled, call=text).call(X, {"x": np.ones(2)}).problem
    assert problem.startswith(told)
    assert "\n" not in problem


# ---- precision


def single_alone(x):
    if x.dtype != np.float32:
        raise TypeError(f"expected float32, found {x.dtype}")
    return (x * x).sum()


def test_code_that_takes_float32_alone_is_called_with_it():
    target = InProcess(single_alone, "numpy")
    for x in (np.array([1.0, 2.0]), np.array([1.5])):
        answer = target.call(X, {"x": x})
        assert (answer.problem, answer.value["value"].dtype) == ("", np.float32)
        np.testing.assert_array_equal(answer.gradients["x"], 2 * x)
        (remark,) = answer.remarks
        assert remark.startswith(
            "takes float32 alone, with float64 it raised TypeError: expected float32, found float64"
        )
    assert target.call(X, {"x": np.ones(1, np.float32)}).problem == ""


def test_a_failure_later_is_no_matter_of_precision():
    def small(x):
        if x.dtype == np.float64 and len(x) > 1:
            raise ValueError("one alone")
        return x.sum()

    target = InProcess(small, "numpy")
    assert target.call(X, {"x": np.ones(1)}).problem == ""
    assert target.call(X, {"x": np.ones(2)}).problem.startswith("raised ValueError: one alone")


def test_half_precision_is_asked_for():
    answer = InProcess(lambda x: x.sum(), "numpy", dtype="float16").call(X, {"x": np.array([0.1, 0.2])})
    assert answer.value["value"] == np.float16(0.1) + np.float16(0.2)
    assert answer.gradients["x"].dtype == np.float16
    assert answer.remarks == ("called with float16 in place of any other",)
    assert InProcess(len, "numpy", dtype="bfloat16").call(X, {"x": np.ones(2)}).problem == "numpy has no bfloat16"


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
    target = InProcess(lambda x: rng.normal(), "numpy")
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
