"""The inputs of an audit: their design, the shapes that a target takes, and the smallest case."""

import numpy as np
import pytest

from dimref.audit import cases
from dimref.audit.answer import Answer, Signature
from dimref.audit.cases import Limits, Observation
from dimref.audit.contract import CORE, REGIMES, Form, Sizes


def draw(rng, sizes):
    tail = () if sizes.flat else (sizes.locations,)
    shape = lambda n: (n, *tail)  # noqa: E731
    return {"x": rng.standard_normal(shape(sizes.n)).astype(sizes.dtype), "y": rng.standard_normal(shape(sizes.m))}


FORM = Form("pairs", Signature(("x", "y")), "", draw, lambda inputs: {"value": np.zeros(())}, objective=True)


class Target:
    """Answers with a function of the inputs; what it raises is its problem."""

    name, framework = "target", "numpy"

    def __init__(self, function):
        self.function = function

    def call(self, signature, inputs):
        try:
            return Answer({"value": np.asarray(self.function(**inputs))})
        except ValueError as error:
            return Answer(problem=str(error))


ANY = Target(lambda x, y: x.sum() + y.sum())


def test_a_design_has_every_regime_both_dtypes_and_shapes_twice():
    seen = cases.observe(FORM, ANY, Limits(), 96, 0)
    assert len(seen) == 96
    assert {case.sizes.regime for case in seen} == set(REGIMES)
    assert {case.sizes.dtype for case in seen} == {"float64", "float32"}
    assert {case.sizes.flat for case in seen} == {True, False}
    assert {case.sizes.n for case in seen} == {1, 2, 3, 4, 5, 6}
    assert {case.sizes.m for case in seen} == {1, 2, 3, 4, 5}
    assert {case.sizes.locations for case in seen} == {1, 2, 3, 4}
    for first, second in zip(seen[::2], seen[1::2], strict=True):
        assert first.sizes == second.sizes
        assert not np.array_equal(first.inputs["x"], second.inputs["x"])
    assert [case.core for case in seen] == [case.sizes.regime in CORE for case in seen]
    again = cases.observe(FORM, ANY, Limits(), 96, 0)
    assert all(np.array_equal(a.inputs["x"], b.inputs["x"]) for a, b in zip(seen, again, strict=True))
    other = cases.observe(FORM, ANY, Limits(), 96, 1)
    assert any(a.sizes != b.sizes for a, b in zip(seen, other, strict=True))


def refuse(condition):
    def function(x, y):
        if condition(x, y):
            raise ValueError("refused")
        return 0.0

    return Target(function)


@pytest.mark.parametrize(
    ("condition", "limits", "words"),
    [
        (lambda x, y: False, Limits(), ""),
        (lambda x, y: x.ndim == 2, Limits(flat=True), "without an axis of locations"),
        (lambda x, y: x.ndim == 1, Limits(flat=False), "with an axis of locations"),
        (lambda x, y: len(x) != len(y), Limits(equal=True), "as many product pairs as joint pairs"),
        (lambda x, y: len(x) != len(y) or x.ndim == 2, Limits(True, True),
         "without an axis of locations and as many product pairs as joint pairs"),
        (lambda x, y: True, None, ""),
    ],
)  # fmt: skip
def test_the_widest_shapes_are_found(condition, limits, words):
    found, problem = cases.find_limits(FORM, refuse(condition))
    assert found == limits
    assert problem == ("" if limits == Limits() else "refused")
    assert limits is None or str(limits) == words


def test_images_larger_than_the_smallest():
    form = Form("", Signature(("x",)), "", lambda rng, sizes: {"x": np.ones(1 + sizes.extra[0])}, None)
    found, _ = cases.find_limits(form, Target(lambda x: 0.0 if x.size > 1 else int("no")))
    assert found == Limits(larger=True)
    assert str(found) == "with images larger than the smallest"
    assert Limits(larger=True).apply(Sizes(extra=(0, 3))).extra == (1, 3)


def test_an_array_for_one_number_is_a_limit_unless_it_always_comes():
    found, problem = cases.find_limits(FORM, Target(lambda x, y: x.sum(0)))
    assert (found, problem) == (Limits(flat=True), "returns an array of shape (2,) where one number is due")
    assert cases.find_limits(FORM, Target(lambda x, y: x)) == (Limits(), "")
    assert cases.find_limits(FORM, Target(lambda x, y: x.sum(0, keepdims=True)[..., :1])) == (Limits(), "")


def test_limits_are_applied():
    sizes = Sizes(n=9, m=2, flat=False)
    assert Limits().apply(sizes) == sizes
    assert Limits(flat=True, equal=True).apply(sizes) == Sizes(n=9, m=6, flat=True)
    assert Limits(equal=True).apply(Sizes(n=3, m=2)).m == 3


def test_the_smallest_case_is_small_and_simple():
    departs = lambda case: case.inputs["x"].size >= 2 and case.inputs["x"].sum() > 0.5  # noqa: E731
    case = cases.smallest(FORM, ANY, Limits(flat=True), departs, ("mild",), 0)
    assert case.inputs["x"].size <= 3
    assert departs(case)
    assert set(case.inputs["x"]) <= {0.0, 1.0}
    assert cases.smallest(FORM, ANY, Limits(), lambda case: False, ("mild",), 0) is None
    ranged = Form("", FORM.signature, "", draw, FORM.reference, objective=True, range_of=("x",))
    case = cases.smallest(ranged, ANY, Limits(flat=True), departs, ("mild",), 0)
    assert set(case.inputs["x"]) <= {-1.0, 1.0}  # at 0 a right formula may have a kink


def test_simple_numbers_are_rounded_where_they_must_stay():
    inputs = {"x": np.array([0.123, 7.891]), "weight": np.array([0.123]), "n": np.array([3]), "t": 0.456}
    form = Form("", Signature(("x",)), "", None, None)
    target = Target(lambda x, **rest: x.sum())
    case = Observation(Sizes(), inputs, target.call(form.signature, inputs))
    found = cases.simplified(form, target, lambda c: c.inputs["x"][1] > 7, case)
    assert list(found.inputs["x"]) == [1.0, 8.0]
    found = cases.simplified(form, target, lambda c: 0.1 <= c.inputs["x"][0] < 0.2 and c.inputs["x"][1] > 7, case)
    assert list(found.inputs["x"]) == [0.1, 7.9]
    assert found.inputs["weight"] is inputs["weight"]
    assert float(found.found.value["value"]) == 8.0


def test_hypothesis_searches_the_core_for_a_departure():
    found = cases.search(FORM, ANY, Limits(), lambda case: case.inputs["x"].size > 2, 40, 0)
    assert found.inputs["x"].size > 2
    assert found.sizes.regime in CORE
    assert cases.search(FORM, ANY, Limits(), lambda case: False, 40, 0) is None
    tried = []
    cases.search(FORM, ANY, Limits(flat=True), lambda case: bool(tried.append(case)), 40, 0)
    assert len(tried) == 40
    assert all(case.sizes.flat for case in tried)
