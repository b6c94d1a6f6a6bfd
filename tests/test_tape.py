"""The tape over nested dicts: structure, what is left out, higher orders, memory; and places for implementations."""

import dataclasses
import gc
import math
import weakref
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
import pytest
from autograd.extend import defvjp
from autograd.tracer import isbox
from fake_cupy import STRICT, DeviceArray
from finite_differences import away_from_zero, draw, gradients

from dimref import ops, tape
from dimref.tape import implement, plain_forms, primitive, region, stop_gradient, value_and_gradients

pytestmark = pytest.mark.usefixtures("plain_forms")


def half_square(x):
    """½‖x‖², whose gradient is x."""
    return ops.total(ops.multiply(x, x)) * 0.5


def test_gradients_have_the_structure_of_the_parameters(backend):
    a, b, c = draw(0, (2, 3), (3,), ())
    parameters = backend.tree_to_device({"net": {"a": a, "deep": {"b": b}}, "c": c})

    def loss(p, weight):
        value = half_square(p["net"]["a"]) + half_square(p["net"]["deep"]["b"]) * weight + half_square(p["c"]) * 3.0
        return value, {"twice": p["c"] * 2.0, "note": "as it was"}

    value, found, auxiliary = value_and_gradients(loss, parameters, 2.0)
    assert list(found) == ["net", "c"]
    np.testing.assert_array_equal(backend.to_host(found["net"]["a"]), a)
    np.testing.assert_array_equal(backend.to_host(found["net"]["deep"]["b"]), 2 * b)
    np.testing.assert_array_equal(backend.to_host(found["c"]), 3 * c)
    assert float(backend.to_host(value)) == pytest.approx((a**2).sum() / 2 + (b**2).sum() + 1.5 * c**2)
    assert not isbox(value)
    assert not isbox(auxiliary["twice"])
    assert float(backend.to_host(auxiliary["twice"])) == 2 * c
    assert auxiliary["note"] == "as it was"


def test_a_single_array_is_a_tree_too():
    (x,) = draw(1, (3,))
    _, found, auxiliary = value_and_gradients(lambda x: (half_square(x), None), x)
    np.testing.assert_array_equal(found, x)
    assert auxiliary is None


def test_a_leaf_that_is_not_used_has_no_gradient():
    x, y = draw(2, (3,), (3,))
    _, found, _ = value_and_gradients(lambda p: (half_square(p["y"]), p["x"]), {"x": x, "y": y, "z": {"w": x}})
    assert found["x"] is None
    assert found["z"] == {"w": None}
    np.testing.assert_array_equal(found["y"], y)


def test_a_value_that_depends_on_nothing_has_no_gradients():
    value, found, _ = value_and_gradients(lambda p: (np.float64(3), None), {"x": np.ones(2)})
    assert value == 3
    assert found == {"x": None}


def test_a_leaf_used_twice_collects_both_gradients():
    (x,) = draw(3, (4,))
    _, found, _ = value_and_gradients(lambda p: (half_square(p["x"]) + ops.total(p["x"]), None), {"x": x})
    np.testing.assert_allclose(found["x"], x + 1)


def test_one_array_under_two_names_is_two_leaves():
    (x,) = draw(3, (4,))
    _, found, _ = value_and_gradients(lambda p: (half_square(p["x"]) + ops.total(p["y"]), None), {"x": x, "y": x})
    np.testing.assert_array_equal(found["x"], x)
    np.testing.assert_array_equal(found["y"], np.ones(4))


def test_stop_gradient_keeps_the_value_and_drops_the_slope(backend):
    (x,) = draw(4, (4,))

    def loss(p):
        assert not isbox(stop_gradient(p))
        return ops.total(ops.multiply(stop_gradient(p), p)), None

    _, found, _ = value_and_gradients(loss, backend.to_device(x))
    np.testing.assert_array_equal(backend.to_host(found), x)  # and not 2x
    assert stop_gradient(x) is x


def test_the_value_is_of_the_parameters_dtype():
    (x,) = draw(5, (4,), dtype=np.float32)
    value, found, _ = value_and_gradients(lambda p: (half_square(p), None), x)
    assert value.dtype == found.dtype == np.float32


@pytest.mark.parametrize("infinite", [-math.inf, math.inf])
def test_an_infinite_value_has_a_gradient_all_the_same(infinite, backend):
    """A bound may be −inf at its right limit: the seed of the pass back is 1 and not a function of the value."""
    x = backend.to_device(np.array([1.0, 2.0]))
    value, found, _ = value_and_gradients(lambda p: (ops.total(p) + infinite, None), x)
    assert float(backend.to_host(value)) == infinite
    np.testing.assert_array_equal(backend.to_host(found), [1, 1])


# ---- a gradient inside a gradient


def test_gradient_of_a_gradient_norm(backend):
    """f = Σ softplus(x·w)², so that every path of the second derivative matters; against central differences."""
    x, w = draw(6, (5, 3), (3, 2))

    def penalty(p, x, to_device):
        def inner(x):
            scores = ops.softplus(ops.matmul(x, p["w"]))
            return ops.total(ops.multiply(scores, scores)), None

        _, slope, _ = value_and_gradients(inner, to_device(x))
        return ops.total(ops.multiply(slope, slope)), None

    _, found, _ = value_and_gradients(penalty, {"w": backend.to_device(w)}, x, backend.to_device)
    (direction,) = draw(7, w.shape)
    moved = [float(penalty({"w": w + h * direction}, x, np.asarray)[0]) for h in (1e-5, -1e-5)]
    along = float((backend.to_host(found["w"]) * direction).sum())
    assert along == pytest.approx((moved[0] - moved[1]) / 2e-5, rel=1e-7)


def test_an_inner_value_that_depends_on_outer_parameters_alone_has_no_inner_gradient():
    x, y = draw(8, (3,), (3,))

    def outer(p):
        value, found, _ = value_and_gradients(lambda q: (half_square(p), None), y)
        assert found is None
        return value, None

    _, found, _ = value_and_gradients(outer, x)
    np.testing.assert_array_equal(found, x)


def test_third_derivative():
    """d³/dx³ x⁴ = 24x."""

    def power(x):
        return ops.multiply(ops.multiply(x, x), ops.multiply(x, x))

    def derivative(function):
        return lambda x: value_and_gradients(lambda p: (function(p), None), x)[1]

    x = np.array(1.7)
    assert float(derivative(derivative(derivative(power)))(x)) == pytest.approx(24 * 1.7)


# ---- mixing, and memory


def test_a_bare_device_array_does_not_give_way_to_a_box():
    """What CuPy does, and why `ops.multiply` and its siblings exist."""
    x = STRICT.to_device(np.ones(3))
    with pytest.raises(TypeError, match="Unsupported type"):
        value_and_gradients(lambda p: (ops.total(x * p), None), x)
    _, found, _ = value_and_gradients(lambda p: (ops.total(p * x), None), x)
    assert isinstance(found, DeviceArray)


def test_the_tape_is_freed_without_the_garbage_collector():
    seen = []

    def loss(p):
        hidden = ops.multiply(p, p)
        seen.append(weakref.ref(stop_gradient(hidden)))
        return ops.total(ops.softplus(hidden)), None

    gc.disable()
    try:
        value_and_gradients(loss, np.ones(5))
        assert seen[0]() is None
    finally:
        gc.enable()


def test_what_the_forward_pass_kept_is_freed_during_the_pass_back():
    """The first step's turn comes last: by then the last step's value is gone, and so are the gradients on the way."""
    kept, alive = [], []

    @primitive
    def middle(x):
        return x + 0.0

    def middle_vjp(ans, x):
        def vjp(g):
            kept.append(weakref.ref(g))
            return g * 1.0

        return vjp

    defvjp(middle, middle_vjp)

    @primitive
    def first(x):
        return x + 0.0

    def first_vjp(ans, x):
        def vjp(g):
            alive.extend(ref() is not None for ref in kept)
            return g

        return vjp

    defvjp(first, first_vjp)

    def loss(p):
        hidden = ops.softplus(middle(ops.softplus(first(p))))
        last = ops.multiply(hidden, hidden)
        kept.append(weakref.ref(stop_gradient(last)))
        return ops.total(ops.multiply(last, last)), None

    value_and_gradients(loss, np.ones(5))
    assert alive == [False, False]


def test_parameters_are_left_as_they_were():
    (x,) = draw(9, (3, 3))
    x = away_from_zero(x)
    kept = x.copy()
    gradients(lambda x: ops.add(ops.relu(x), ops.softplus(ops.multiply(x, x))), x)
    np.testing.assert_array_equal(x, kept)


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass(frozen=True)
class Found:
    value: Any
    name: str = "as it was"


def test_auxiliary_values_of_every_kind_are_taken_off_the_tape():
    """A list that stays on the tape keeps it, and turns up as a box in whatever is done with it."""

    def loss(p):
        y = ops.multiply(p, p)
        kinds = {
            "list": [y, (y, None)],
            "tuple": (y, {"deep": [y]}),
            "named": Pair(y, [y]),
            "data": Found((y, Found(y))),
        }
        return ops.total(y), kinds

    _, _, auxiliary = value_and_gradients(loss, np.array([2.0]))
    four = np.array([4.0])
    expected = {
        "list": [four, (four, None)],
        "tuple": (four, {"deep": [four]}),
        "named": Pair(four, [four]),
        "data": Found((four, Found(four))),
    }
    assert repr(auxiliary) == repr(expected)  # a box would show itself


# ---- places for other implementations


@pytest.fixture
def places(monkeypatch):
    """The list of places, empty."""
    monkeypatch.setattr(tape, "REGIONS", {})
    monkeypatch.setattr(tape, "_plain", ContextVar("plain", default=False))
    return tape.REGIONS


def test_a_place_is_taken_by_the_last_implementation_that_applies(places):
    @region
    def place(x, y):
        """What it computes."""
        return "plain", x, y

    assert places == {f"{__name__}.place": place}
    assert (place.__name__, place.__doc__) == ("place", "What it computes.")
    assert place(1, 2) == ("plain", 1, 2)
    implement(place, "large", lambda x, y: ("large", x, y), lambda x, y: x > 10)
    implement(place, "odd", lambda x, y: ("odd", x, y), lambda x, y: x % 2 == 1)
    assert [place(x, 2)[0] for x in (2, 3, 12, 13)] == ["plain", "odd", "large", "odd"]
    implement(place, "large", lambda x, y: ("larger", x, y), lambda x, y: x > 10)
    assert [place(x, 2)[0] for x in (2, 3, 12, 13)] == ["plain", "odd", "larger", "larger"]
    assert [each.name for each in place.implementations] == ["large", "odd"]


def test_plain_forms_run_inside_and_implementations_after(places):
    @region
    def inner():
        return "plain"

    @region
    def outer():
        return "plain", inner()

    for place in (inner, outer):
        implement(place, "fast", lambda: "fast", lambda: True)
    with plain_forms():
        assert (inner(), outer()) == ("plain", ("plain", "plain"))
        with pytest.raises(KeyError), plain_forms():
            raise KeyError
        assert inner() == "plain"
    assert outer() == "fast"
    assert outer.plain() == ("plain", "fast")  # itself alone: what it calls is not


def test_an_implementation_of_a_primitive_takes_raw_arrays_and_keeps_the_vjp(places):
    @primitive
    def thrice(x):
        return x * 3.0

    defvjp(thrice, lambda ans, x: lambda g: thrice(g))
    seen = []
    implement(thrice, "noted", lambda x: seen.append(isbox(x)) or x + x + x, lambda x: not isbox(x))
    assert places == {f"{__name__}.thrice": thrice}
    x = np.array([1.0, 2.0])
    value, found, _ = value_and_gradients(lambda p: (ops.total(thrice(p)), None), x)
    assert value == 9
    np.testing.assert_array_equal(found, [3, 3])
    assert thrice.plain(x).tolist() == [3, 6]
    assert seen == [False, False]  # forward and backward, and not for the plain form
