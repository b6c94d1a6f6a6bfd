"""Which arguments a fused form can take: where they are, on how many tapes, of which types."""

import numpy as np
import pytest
from fake_cupy import STRICT

from dimref import ops
from dimref.engine.forms import of_one_type, on_host, on_one_tape, once
from dimref.tape import value_and_gradients


def test_on_the_host_are_numpys_arrays_on_a_tape_or_not():
    host, device, boxed = np.ones(2), STRICT.to_device(np.ones(2)), []
    for x in (host, device):
        value_and_gradients(lambda p: (ops.total(p), boxed.append((on_host(p), on_host(p, None, host)))), x)
    assert boxed == [(True, True), (False, False)]
    assert on_host()
    assert on_host(host, None)
    assert not on_host(host, device)


def test_of_one_type_are_floats_in_any_tree():
    one, two, index = np.ones(2, np.float32), np.ones(2), np.ones(2, int)
    assert of_one_type()
    assert of_one_type({"a": {"b": one}}, one, index, None)
    assert not of_one_type({"a": {"b": one}}, two)
    assert not of_one_type({"a": one, "b": two})
    _, _, boxed = value_and_gradients(lambda p: (ops.total(p), (of_one_type(p, two), of_one_type(p, one))), two)
    assert boxed == (True, False)


def test_on_one_tape_is_what_no_second_one_holds():
    host, found = np.ones(2), {}

    def inner(q, p):
        found["two tapes"] = on_one_tape(q, p), on_one_tape(p, host, q)
        found["one of two"] = on_one_tape(q, host), on_one_tape(p)
        return ops.total(q * p), None

    def of_the_same(p):
        found["one leaf on both"] = on_one_tape(p), on_one_tape(host, p)
        return ops.total(p * p), None

    def outer(p):
        found["one tape"] = on_one_tape(p), on_one_tape(p, host, p)
        value_and_gradients(of_the_same, p)
        return value_and_gradients(inner, np.ones(2), p)[0], None

    value_and_gradients(outer, np.ones(2))
    assert on_one_tape()
    assert on_one_tape(host, None, host)
    assert found == {
        "two tapes": (False, False),
        "one of two": (True, True),
        "one leaf on both": (False, False),
        "one tape": (True, True),
    }


def test_a_form_that_can_be_differentiated_once_says_so():
    def function(p):
        with pytest.raises(ValueError, match=r"^norm: .* no second derivative; use tape.plain_forms\(\)$"):
            once("norm", np.ones(2), p)
        return ops.total(p), None

    value_and_gradients(function, np.ones(2))
    once("norm", np.ones(2))
