"""Where a target leaves the quantity as its numbers grow."""

import math

import numpy as np
import pytest

from dimref import ops
from dimref.audit import numerical
from dimref.audit.answer import Answer, Signature
from dimref.audit.answering import evaluate
from dimref.audit.cases import Limits
from dimref.audit.contract import Form, find
from dimref.audit.matching import Fit

JSD, DV, INFONCE = (find("bound", name).form(form) for name, form in (("jsd", ""), ("dv", ""), ("infonce", "matrix")))
SAME = Fit(1.0, "", "zero", ())


def asking(form, change=lambda inputs, answer: answer, function=None):
    def ask(inputs):
        return change(inputs, evaluate(function or form.reference, form.signature, inputs))

    return ask


def scan(form, ask, fit=SAME):
    return numerical.scan(form, ask, form.reference, fit, Limits())


def beyond(limit, change):
    """What changes an answer where some score is larger than a limit."""

    def changed(inputs, answer):
        scores = [a for a in inputs.values() if isinstance(a, np.ndarray)]
        return change(answer) if max(np.abs(a).max() for a in scores) > limit else answer

    return changed


def value(x):
    return lambda answer: Answer({"value": np.asarray(x(answer.value["value"]))}, answer.gradients)


def gradient(change):
    return lambda answer: Answer(answer.value, {name: change(g) for name, g in answer.gradients.items()})


@pytest.mark.parametrize("form", [JSD, DV, INFONCE], ids=["jsd", "dv", "infonce"])
def test_a_right_target_departs_nowhere(form):
    assert scan(form, asking(form)) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (value(lambda v: v * math.nan), "NaN"), (value(lambda v: v + math.inf), "inf"),
        (value(lambda v: v - math.inf), "inf"), (value(lambda v: v + 0.01 * (1 + abs(v))), "a wrong value"),
        (value(lambda v: v * np.ones(2)), "a wrong value"),
        (gradient(lambda g: g * math.nan), "a gradient that is not finite"),
        (gradient(lambda g: g + 0.1), "a wrong gradient"),
        (lambda answer: Answer(problem="it hung"), "it hung"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("limit", [25.0, 300.0])
def test_the_first_departure_is_located(change, found, limit):
    departures = scan(JSD, asking(JSD, beyond(limit, change)))
    assert len(departures) == 2 * 4  # in both dtypes, four patterns of signs
    assert {(d.dtype, d.pattern) for d in departures} >= {
        ("float32", "all +"), ("float64", "all −"), ("float64", "joint +, product −"), ("float32", "joint −, product +"),
    }  # fmt: skip
    for departure in departures:
        assert departure.found == found
        assert limit < departure.magnitude < 1.03 * limit + 1
        scores = departure.inputs["joint"]
        assert np.abs(scores).max() == pytest.approx(departure.magnitude)
        assert scores.dtype == departure.dtype


def test_patterns_of_one_array():
    for form, names in (
        (INFONCE, {"all +", "all −", "diagonal +, rest −", "diagonal −, rest +"}),
        (Form("", Signature(("x",), differentiate=("x",)), "", lambda rng, sizes: {"x": np.ones((2, 3), sizes.dtype)},
              lambda inputs: {"value": ops.mean(inputs["x"])}, True, range_of=("x",)),
         {"all +", "all −", "first +, rest −", "first −, rest +"}),
    ):  # fmt: skip
        departures = scan(form, asking(form, beyond(50, value(lambda v: v + 9))))
        assert {d.pattern for d in departures} == names
    by = {d.pattern: d.inputs["x"] for d in departures if d.dtype == "float64"}
    assert (by["first +, rest −"][:, 0] > 0).all()
    assert (by["first +, rest −"][:, 1:] < 0).all()
    np.testing.assert_array_equal(by["first −, rest +"], -by["first +, rest −"])


@pytest.mark.parametrize(("factor", "constant"), [(-2.0, 0.0), (0.5, 3.0)])
def test_factor_and_constant_are_taken_out(factor, constant):
    def loss(inputs, answer):
        gradients = {name: factor * g for name, g in answer.gradients.items()}
        return Answer({"value": factor * answer.value["value"] + constant}, gradients)

    fit = Fit(factor, "", "shape" if constant else "zero", ())
    assert scan(JSD, asking(JSD, loss), fit) == []
    assert scan(JSD, asking(JSD), fit) != []


def test_a_value_of_its_own_is_not_compared():
    varies = Fit(1.0, "", "varies", ())
    assert scan(JSD, asking(JSD, beyond(20, value(lambda v: v * 3))), varies) == []
    assert scan(JSD, asking(JSD, beyond(20, gradient(lambda g: g * 3))), varies) != []
    kinked = Fit(1.0, "", "zero", (), kinked=True)
    assert scan(JSD, asking(JSD, beyond(20, gradient(lambda g: g * 3))), kinked) == []


def test_rounding_is_no_departure():
    small = asking(JSD, beyond(20, value(lambda v: v + 5e-6 * (1 + abs(v)))))
    assert scan(JSD, small) == []


def test_the_quantitys_own_end_is_no_departure():
    nwj = find("bound", "nwj").form()
    assert scan(nwj, asking(nwj, beyond(2e4, value(lambda v: v + 9)))) == []
    assert {d.pattern for d in scan(nwj, asking(nwj, beyond(800, value(lambda v: v + 9 + abs(v)))))} == {
        "all −", "joint +, product −",
    }  # fmt: skip


def test_the_worst_of_what_follows_is_shown():
    def creeping(inputs, answer):
        top = float(np.abs(inputs["joint"]).max())
        return value(lambda v: v + max(0.0, top - 25))(answer)

    ask = asking(JSD, creeping)
    inputs, found = numerical.worst(JSD, ask, JSD.reference, SAME, scan(JSD, ask))
    assert np.abs(inputs["joint"]).max() > 100
    assert found.value["value"] == ask(inputs).value["value"]
    ask = asking(
        JSD, lambda i, a: beyond(200, value(lambda v: v * math.nan))(i, beyond(20, value(lambda v: v + 1))(i, a))
    )
    inputs, found = numerical.worst(JSD, ask, JSD.reference, SAME, scan(JSD, ask))
    assert np.isnan(found.value["value"])


def test_an_output_that_ends_is_told_from_one_that_does_not():
    mine = find("bound", "mine").form()
    case = {"joint": np.ones(2), "product": np.ones(2), "average": np.asarray(1.0), "rate": 0.1}
    assert not numerical.ends(mine, mine.reference, case)
    assert numerical.ends(mine, mine.reference, {**case, "product": np.full(2, 800.0)})


@pytest.mark.exhaustive
def test_the_unstable_formula_that_departs_alike_is_named():
    for variant in JSD.numerical:
        ask = asking(JSD, function=variant.function)
        departures = scan(JSD, ask)
        assert departures
        assert numerical.name(JSD, ask, JSD.reference, SAME, departures, Limits()).key == variant.key
    ask = asking(JSD, beyond(300, value(lambda v: v + 1)))
    assert numerical.name(JSD, ask, JSD.reference, SAME, scan(JSD, ask), Limits()).key == "not-stabilised"
