"""Whether a target computes a candidate: tolerances, agreement, and what factor and constant are found."""

import math

import numpy as np
import pytest

from dimref import ops
from dimref.audit import matching
from dimref.audit.answer import Answer, Signature
from dimref.audit.answering import evaluate
from dimref.audit.cases import Observation
from dimref.audit.contract import Form, Sizes
from dimref.audit.matching import Entry, Fit

NAN, INF = math.nan, math.inf


def squares(inputs):
    """A quantity with a gradient: the mean of x²."""
    return {"value": ops.mean(inputs["x"] * inputs["x"])}


COUNT = iter(range(999))
COUNTED = lambda shape: next(COUNT)  # noqa: E731
OBJECTIVE = Form("x", Signature(("x",), differentiate=("x",)), "", None, squares, objective=True)
NUMBERS = Form("x", Signature(("x",), differentiate=("x",)), "", None, squares)
VALUES = Form("x", Signature(("x",)), "", None, lambda inputs: {"value": np.asarray(inputs["x"].sum())})


def drawn(count=8, dtype="float64", regime="mild", shapes=((2,), (3,), (4, 2), (5,))):
    rng = np.random.default_rng(0)
    xs = [rng.standard_normal(shapes[k // 2 % len(shapes)]).astype(dtype) for k in range(count)]
    return [observed(x, regime) for x in xs]


def observed(x, regime="mild", change=lambda inputs, answer: answer, form=OBJECTIVE):
    inputs = {"x": x}
    return Observation(Sizes(regime=regime), inputs, change(inputs, evaluate(form.reference, form.signature, inputs)))


def changed(cases, change):
    return [Observation(c.sizes, c.inputs, change(c.inputs, c.found)) for c in cases]


def times(k, c=0.0):
    """k · value + c, k and c numbers or functions of the shape."""
    number = lambda each, x: each(x.shape) if callable(each) else each  # noqa: E731

    def change(inputs, answer):
        x = inputs["x"]
        value = np.asarray(number(k, x) * answer.value["value"] + number(c, x))
        return Answer({"value": value}, {"x": number(k, x) * answer.gradients["x"]})

    return change


def fitted(cases, single=False, form=OBJECTIVE):
    return matching.fit(form, cases, matching.answers(form, form.reference, cases), single)


# ---- tolerances


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        (["float64"], 2.0**-52), (["float32"], 2.0**-23), (["float64", "float32"], 2.0**-23), (["float16"], 0.1 * 2.0**-10),
        ([], 2.0**-52), (["int64"], 2.0**-52),
    ],
)  # fmt: skip
def test_the_coarsest_dtype_counts(arrays, expected):
    inputs = {str(k): np.ones(2, dtype) for k, dtype in enumerate(arrays)}
    assert matching.epsilon(inputs) == expected
    assert matching.epsilon({"t": 0.5}, Answer({"value": np.ones((), "float32")})) == 2.0**-23
    assert matching.epsilon({}, Answer({}, {"x": np.ones(1, "float32")})) == 2.0**-23
    assert matching.epsilon({}, Answer({"value": np.ones((), "float16")}, rounding=2.0**-7)) == 0.1 * 2.0**-7


def test_the_largest_finite_number():
    assert matching.largest({"a": np.array([1.0, -7.0, INF, NAN]), "b": 3, "c": "9", "d": None}) == 7
    assert matching.largest({"a": np.array([NAN])}) == matching.largest({}) == 0
    assert matching.largest({"a": np.array([True, False]), "n": np.float32(0.5), "i": np.array([2], np.uint8)}) == 2


def test_tolerances_follow_from_eps_and_the_numbers_that_took_part():
    inputs = {"x": np.array([2.0, -3.0])}
    answer = Answer({"value": np.array(-10.0)}, {"x": np.array([4.0, INF])})
    assert matching.value_tolerance(inputs, answer, 1e-3) == pytest.approx(100 * 1e-3 * (1 + 3 + 10 + 8))
    assert matching.gradient_tolerance(inputs, np.array([4.0, -5.0]), 1e-3) == pytest.approx(400 * 1e-3 * 4 * 5)
    assert matching.gradient_tolerance(inputs, np.array([0.1, 0.0]), 1e-3) == pytest.approx(400 * 1e-3 * 4 / 2)
    assert matching.gradient_tolerance(inputs, np.zeros(0), 1e-3) == pytest.approx(400 * 1e-3 * 4)


@pytest.mark.parametrize(
    ("found", "expected", "wide", "outcome"),
    [
        (1.0, 1.1, False, True), (1.0, 1.11, False, False), (1.1, 1.0, False, True), (INF, INF, False, True),
        (INF, -INF, False, False), (NAN, NAN, False, False), (NAN, NAN, True, True), (INF, NAN, True, True),
        (0.0, NAN, True, False), (NAN, 0.0, True, False), ([1.0], 1.0, False, False), ([1.0, 2.0], [1.0, 2.2], False, False),
    ],
)  # fmt: skip
def test_near(found, expected, wide, outcome):
    assert matching.near(found, expected, 0.1 + 1e-9, wide) is outcome


@pytest.mark.parametrize(
    ("found", "expected", "entry"),
    [
        ([1.0, 2.0], [1.0, 4.0], (2.0, 4.0, 0.5)),
        ([1.0, 2.0], [1.0, 2.0], (1.0, 1.0, 0.0)),
        ([0.0, 1e-3], [0.0, 0.0], (1e-3, 0.0, 2e-3)),  # by one sample's weight in a mean
        ([0.0, NAN], [8.0, 1.0], (NAN, 1.0, INF)),
        ([INF, 1.0], [INF, 1.5], (1.0, 1.5, pytest.approx(0.5 / 1.5))),
        ([-5.0, 0.0], [INF, 0.0], (-5.0, INF, matching.INFINITE)),
        ([1.0], [1.0, 1.0], (NAN, NAN, INF)),
        ([[2.0]], 1.0, (2.0, 1.0, 1.0)),
        ([], [], (NAN, NAN, 0.0)),
    ],
)  # fmt: skip
def test_the_worst_entry(found, expected, entry):
    worst = matching.worst(Answer({"value": np.array(found)}), Answer({"value": np.array(expected)}))
    np.testing.assert_equal((worst.found, worst.expected), entry[:2])
    assert worst.error == entry[2]
    assert matching.relative(found, expected) == entry[2]


def test_the_worst_entry_of_value_and_gradients():
    found = Answer({"value": np.array(1.0)}, {"x": np.array([1.0, 3.0])})
    expected = Answer({"value": np.array(1.1)}, {"x": np.array([1.0, 2.0]), "y": np.ones(3)})
    assert matching.worst(found, expected) == Entry("gradient in x", 3.0, 2.0, 0.5)
    assert str(matching.worst(found, expected)) == "the gradient in x is 3 where 2 is due"
    assert matching.worst(Answer({"value": np.array(9.0)}, found.gradients), expected).where == ""
    assert matching.worst(Answer({"value": np.array(9.0)}, found.gradients), expected, values=False).found == 3
    assert matching.worst(Answer({}), expected).error == INF
    assert str(Entry("", -5.0, 0.25, 1.0)) == "it is -5 where 0.25 is due"


# ---- factor and constant


FACTORS = {
    1.0: "", -1.0: "", 2.0: "", 0.5: "", -0.25: "", 4.0: "", 1 / math.log(2): "", math.log(2): "", 0.3: "", -7.5: "",
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("factor", FACTORS)
def test_a_factor_is_found(factor, dtype):
    found = fitted(changed(drawn(dtype=dtype), times(factor)))
    assert found.factor == pytest.approx(factor, rel=1e-5)
    assert abs(found.factor) not in FACTORS or found.factor in (factor, -factor)
    assert (found.scaling, found.constant, found.exact, found.single) == ("", "zero", abs(factor) == 1, False)
    assert found.scale(drawn()[0].inputs) == 1


@pytest.mark.parametrize("scaling", [name for name in matching.SCALES if "τ" not in name])
@pytest.mark.parametrize("sign", [1.0, -0.5])
def test_a_factor_of_the_shapes_is_found(scaling, sign):
    def k(shape):
        return sign * matching.SCALES[scaling]({"N": float(shape[0]), "L": float(math.prod(shape[1:]))})

    shapes = ((2, 3), (3, 2), (4, 5), (5, 2))
    found = fitted(changed(drawn(shapes=shapes), times(k)))
    assert (found.factor, found.scaling, found.constant, found.exact) == (sign, scaling, "zero", False)
    assert found.factor * found.scale({"x": np.ones((7, 3))}) == pytest.approx(k((7, 3)))


def test_n_and_l():
    assert matching.shapes({"t": 1.0, "x": np.ones((3, 2, 4))}) == {"N": 3, "L": 8, "τ": 1}
    assert matching.shapes({"scores": np.ones((3, 3))}) == {"N": 3, "L": 1, "τ": 1}
    assert matching.shapes({"scores": np.ones((3, 3, 5)), "x": np.ones(4)}) == {"N": 3, "L": 5, "τ": 1}
    assert matching.shapes({"scores": np.ones(3)}) == {"N": 3, "L": 1, "τ": 1}


@pytest.mark.parametrize(
    ("constant", "kind"),
    [
        (0.0, "zero"), (-2.5, "shape"), (lambda shape: math.log(shape[0]), "shape"), (1e-4, "shape"),
        (COUNTED, "varies"),
    ],
)  # fmt: skip
def test_a_constant_is_found(constant, kind):
    cases = changed(drawn(), times(-2.0, constant))
    found = fitted(cases)
    assert (found.factor, found.constant, found.single) == (-2.0, kind, False)
    right = [
        c.found.value["value"] - -2.0 * evaluate(squares, OBJECTIVE.signature, c.inputs).value["value"] for c in cases
    ]
    assert found.constants == pytest.approx(right, abs=1e-12)


def test_a_constant_that_varies_needs_a_gradient_that_is_right():
    cases = changed(drawn(), times(1.0, COUNTED))
    assert fitted(changed(cases, lambda inputs, answer: Answer(answer.value))) is None
    assert fitted(changed(cases, lambda inputs, answer: Answer(answer.value, {"x": 2 + answer.gradients["x"]}))) is None


@pytest.mark.parametrize("size", [1e-7, 4e-7])
def test_a_constant_of_single_precision_is_none(size):
    """As log K, rounded to float32, in a formula that is otherwise in double."""
    found = fitted(changed(drawn(), times(1.0, lambda shape: size * (-1) ** shape[0])))
    assert (found.constant, found.exact, found.single) == ("zero", True, True)
    assert not fitted(changed(drawn(), times(1.0, 1e-5))).single
    assert fitted(changed(drawn(dtype="float32"), times(1.0))).single is False


def test_single_precision_everywhere_is_allowed_where_it_is_asked_for():
    def rounded(inputs, answer):
        return Answer(*({k: np.float64(np.float32(a)) for k, a in d.items()} for d in (answer.value, answer.gradients)))

    cases = changed(drawn(), rounded)
    assert fitted(cases) is None
    assert fitted(cases, single=True) == Fit(1.0, "", "zero", pytest.approx([0] * 8, abs=1e-6), single=True)
    assert fitted(changed(drawn(), times(1.001)), single=True).factor == pytest.approx(1.001)


def test_without_gradients_differences_of_values_decide():
    bare = lambda inputs, answer: Answer(answer.value)  # noqa: E731
    found = fitted(changed(changed(drawn(), times(-3.0, 0.7)), bare))
    assert (found.factor, found.constant) == (pytest.approx(-3.0), "shape")
    few = changed(drawn(4), bare)  # two shapes, two differences: too few
    assert fitted(few) == Fit(1.0, "", "zero", (0.0,) * 4)
    assert fitted(changed(few, lambda inputs, answer: Answer({"value": answer.value["value"] + 1}))) is None


def test_wrong_gradients_shapes_and_outputs_fit_nothing():
    for change in (
        lambda inputs, answer: Answer(answer.value, {"x": np.abs(answer.gradients["x"])}),
        lambda inputs, answer: Answer({"value": answer.value["value"] * np.ones(2)}, answer.gradients),
        lambda inputs, answer: Answer({"value": np.asarray(NAN)}, answer.gradients),
        lambda inputs, answer: Answer(answer.value, {"x": 0 * answer.gradients["x"]}),
    ):
        assert fitted(changed(drawn(), change)) is None


def test_other_outputs_must_agree_too():
    def both(inputs):
        return {**squares(inputs), "largest": np.asarray(np.max(getattr(inputs["x"], "_value", inputs["x"])))}

    form = Form("x", Signature(("x",), ("value", "largest"), ("x",)), "", None, both, objective=True)
    cases = [observed(c.inputs["x"], form=form) for c in drawn()]
    assert fitted(cases, form=form).exact
    wrong = changed(cases, lambda i, a: Answer({**a.value, "largest": a.value["largest"] + 1e-3}, a.gradients))
    assert fitted(wrong, form=form) is None


def test_core_cases_with_a_problem_count_for_nothing():
    cases = changed(drawn(), times(2.0))
    broken = [Observation(c.sizes, c.inputs, Answer(problem="it hung")) for c in drawn(3)]
    assert fitted(cases + broken).factor == 2.0
    assert fitted(broken) is None


# ---- in every number


def test_every_number_must_agree_where_nothing_is_free():
    cases = drawn()
    assert fitted(cases, form=NUMBERS) == Fit(1.0, "", "zero", (0.0,) * 8)
    for change in (
        times(-1.0),
        times(1.0, 1e-3),
        lambda inputs, answer: Answer(answer.value, {"x": -answer.gradients["x"]}),
    ):
        assert fitted(changed(cases, change), form=NUMBERS) is None
    assert fitted(changed(cases, lambda inputs, answer: Answer(answer.value)), form=NUMBERS).exact


@pytest.mark.parametrize(
    ("found", "right", "follows"),
    [
        (1.0, 1.0, True), (1.0, 2.0, False), (NAN, 1.0, False), (INF, INF, True), (3.0, INF, False), (NAN, NAN, True),
        (0.0, NAN, False),
    ],
)  # fmt: skip
def test_beyond_the_core_a_number_is_a_number(found, right, follows):
    case = Observation(Sizes(regime="large"), {"x": np.ones(1)}, Answer({"value": np.asarray(found)}))
    answer = Answer({"value": np.asarray(right)})
    assert matching.follows(VALUES, case, answer, Fit(1.0, "", "zero", ())) is follows
    problem = Answer(problem="raised")
    assert matching.follows(VALUES, case, problem, Fit(1.0, "", "zero", ()))
    assert not matching.follows(VALUES, Observation(case.sizes, case.inputs, problem), answer, Fit(1.0, "", "zero", ()))


def test_what_departs_beyond_the_core_is_kept():
    beyond = drawn(4, regime="large")
    cases = changed(drawn(), times(-2.0)) + changed(beyond, times(-2.0))
    assert fitted(cases).departed == ()
    assert (fitted(cases).beyond, fitted(cases).wide) == (4, 1.0)
    cases = changed(drawn(), times(-2.0)) + changed(beyond[:3], times(-2.0)) + changed(beyond[3:], times(2.0))
    assert fitted(cases).departed == (cases[-1],)
    assert fitted(cases).wide == 0.75
    assert fitted(drawn()).wide == 1


@pytest.mark.parametrize(("change", "constant", "follows"), [
    (times(2.0), "zero", True), (times(2.0, 1e-3), "zero", False), (times(2.0, 9.0), "shape", True),
    (times(2.0, INF), "shape", False), (times(2.0, 1e-6), "zero", False), (times(2.0, 1e-8), "zero", True),
])  # fmt: skip
def test_beyond_the_core_a_constant_is_not_asked_for(change, constant, follows):
    case = changed(drawn(1, regime="large"), change)[0]
    expected = evaluate(squares, OBJECTIVE.signature, case.inputs)
    assert matching.follows(OBJECTIVE, case, expected, Fit(2.0, "", constant, ())) is follows
    assert matching.follows(OBJECTIVE, case, Answer({"value": np.asarray(INF)}), Fit(1.0, "", "zero", ()))


def test_single_precision_is_enough_beyond_the_core_for_what_is_single():
    case = changed(drawn(1, regime="large"), times(1.0 + 1e-6, 1e-6))[0]
    expected = evaluate(squares, OBJECTIVE.signature, case.inputs)
    for single in (True, False):
        assert matching.follows(OBJECTIVE, case, expected, Fit(1.0, "", "zero", (), single=single)) is single
        assert matching.follows(NUMBERS, case, expected, Fit(1.0, "", "zero", (), single=single)) is single


def test_the_end_of_the_number_range():
    top = float(np.finfo(np.float32).max)
    for value, within in ((1.0, True), (2e-4 * top, False), (0.5e-4 * top, True), (NAN, False), (INF, False)):
        assert matching.within_range(Answer({"value": np.float32(value)})) is within
        assert matching.within_range(Answer({"value": np.float32(1)}, {"x": np.array([value], np.float32)})) is within
    assert matching.within_range(Answer({"value": np.float64(2e-4 * top), "n": np.array(3), "e": np.zeros(0)}))


def test_a_kink_is_left_out_where_numbers_are_equal():
    alone = matching.untied({"x": np.array([1.0, 2.0, 2.0]), "y": np.array([1.0, 3.0]), "n": np.array([1])})
    assert {name: list(mask) for name, mask in alone.items()} == {"x": [False] * 3, "y": [False, True]}
    case = observed(np.array([1.0, 1.0, 2.0]))
    expected = case.found
    case = Observation(case.sizes, case.inputs, Answer(expected.value, {"x": expected.gradients["x"] + [0.5, 0, 0]}))
    assert matching.gradients_agree(case, expected, 1.0, kinked=True)
    assert not matching.gradients_agree(case, expected, 1.0)
    case = Observation(case.sizes, case.inputs, Answer(expected.value, {"x": expected.gradients["x"] + [0, 0, 0.5]}))
    assert not matching.gradients_agree(case, expected, 1.0, kinked=True)


# ---- which cases count


def test_cases_without_a_number_are_none_of_the_quantitys():
    def root(inputs):
        if inputs["x"].size == 3:
            raise ValueError("three are refused")
        with np.errstate(all="ignore"):
            return {"value": np.asarray(np.sqrt(inputs["x"]).sum())}

    def ask(x, regime, differentiate=()):
        form = Form("x", Signature(("x",), differentiate=differentiate), "", None, root)
        return len(matching.due(form, [Observation(Sizes(regime=regime), {"x": np.array(x)}, Answer())]))

    assert ask([1.0], "large") == 1
    assert ask([-1.0], "large") == 0
    assert ask([-1.0], "mild") == 1
    assert ask([1.0] * 3, "large") == 0
    assert ask([INF], "large") == 1  # an infinite value is due, as of a divergence
    nothing = Form("x", Signature(("x",)), "", None, None)
    cases = drawn(2, regime="large")
    assert matching.due(nothing, cases) == cases
    huge = Form("x", Signature(("x",), differentiate=("x",)), "", None, squares, objective=True)
    assert matching.due(huge, [observed(np.array([1e200]), "large")]) == []


def test_what_a_candidate_cannot_answer_the_target_must_not_answer():
    def overflows(inputs):
        return {"value": ops.mean(inputs["x"]) * (1e308 * 10 if inputs["x"].size == 2 else 1.0)}

    form = Form("x", Signature(("x",), differentiate=("x",)), "", None, overflows, objective=True)
    cases = [observed(c.inputs["x"], form=form) for c in drawn()]
    answers = matching.answers(form, overflows, cases)
    assert [c.inputs["x"].size for c, _ in matching.comparable(form, cases, answers)] == [3, 3, 8, 8, 5, 5]
    finite = [Observation(c.sizes, c.inputs, Answer({"value": np.asarray(1.0)}, c.found.gradients)) for c in cases]
    assert matching.comparable(form, finite, answers) is None
