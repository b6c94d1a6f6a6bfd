"""Implementations written here, by hand and not from the catalogue: right ones are never accused, wrong ones are named."""

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import autograd.numpy as anp
import numpy as np
import pytest

from dimref.audit.answer import Answer
from dimref.audit.callables import assert_conforms, audit
from dimref.audit.contract import AuditError
from dimref.audit.report import as_json, text
from dimref.laws.search import no_directory_left

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def softplus(t):
    return anp.logaddexp(t, 0.0 * t)


def cross_entropy(scores, axis):
    top = anp.max(scores, axis=axis, keepdims=True)
    log_sum = anp.log(anp.sum(anp.exp(scores - top), axis=axis)) + anp.squeeze(top, axis)
    diagonal = anp.array([scores[i, i] for i in range(scores.shape[0])])
    return anp.mean(log_sum - diagonal)


def off(scores):
    return anp.array([scores[i, j] for i in range(len(scores)) for j in range(len(scores)) if i != j])


# ---- right

RIGHT = {
    "jsd by logaddexp": (lambda j, p: math.log(4) - anp.mean(softplus(-j)) - anp.mean(softplus(p)), "jsd", "pairs", ""),
    "jsd as a loss": (lambda j, p: anp.mean(softplus(-j)) + anp.mean(softplus(p)) - math.log(4), "jsd", "pairs", ""),
    "jsd in bits": (
        lambda j, p: (math.log(4) - anp.mean(softplus(-j)) - anp.mean(softplus(p))) / math.log(2), "jsd", "pairs", "bits",
    ),
    "infonce": (lambda s: math.log(len(s)) - cross_entropy(s, 0), "infonce", "matrix", ""),
    "infonce, other axis": (lambda s: math.log(len(s)) - cross_entropy(s, 1), "infonce", "matrix", "other-axis"),
}  # fmt: skip


def _lse(x):
    top = np.max(getattr(x, "_value", x))
    return anp.log(anp.sum(anp.exp(x - top))) + top


@pytest.mark.parametrize("name", RIGHT)
def test_right_implementations_are_not_accused(name):
    function, bound, form, key = RIGHT[name]
    report = audit(function, "bound", bound, form, cases=16)
    assert report.passes(), str(report)
    if key is not None:
        assert report.judgement.key == key
        assert report.passes(strict=True) == (key == "")


def test_one_matrix_is_enough():
    report = audit(lambda s: math.log(len(s)) - cross_entropy(_two_axes(s), 0), "bound", "infonce", "matrix", cases=16)
    assert report.verdict == "conforms"
    assert "without an axis of locations" in str(report)


def _two_axes(scores):
    if scores.ndim != 2:
        raise ValueError("a matrix, please")
    return scores


def test_what_refuses_the_smallest_images_is_audited_with_larger_ones():
    """As instance norm of PyTorch does, which has nothing to normalize in one pixel."""
    report = audit(_by_image, "layer", "batch_norm", "output-last", cases=24)
    assert report.judgement.key == "by-image"
    assert "only with images larger than the smallest; otherwise raised ValueError" in " ".join(str(report).split())


def _by_image(x, gain, shift):
    if x.shape[1:3] == (1, 1):
        raise ValueError("more than one pixel, please")
    centred = x - anp.mean(x, axis=(1, 2), keepdims=True)
    return centred / anp.sqrt(anp.mean(centred**2, axis=(1, 2), keepdims=True) + 1e-5) * gain + shift


# ---- wrong

WRONG = {
    "log-2-dropped-once": (lambda j, p: math.log(2) - anp.mean(softplus(-j)) - anp.mean(softplus(p)), "jsd", "pairs"),
    "naive-softplus": (
        lambda j, p: math.log(4) - anp.mean(anp.log(1 + anp.exp(-j))) - anp.mean(anp.log(1 + anp.exp(p))), "jsd", "pairs",
    ),
    "no-log": (lambda j, p: anp.mean(j) - anp.mean(anp.exp(p)), "dv", "pairs"),
    "missing-log-k": (lambda s: -cross_entropy(s, 0), "infonce", "matrix"),
    "unknown": (lambda j, p: anp.mean(j) - anp.mean(p**2), "jsd", "pairs"),
}  # fmt: skip


def _column_lse(scores):
    top = np.max(getattr(scores, "_value", scores), axis=0)
    return anp.log(anp.sum(anp.exp(scores - top), axis=0)) + top


@pytest.mark.parametrize("key", WRONG)
def test_wrong_implementations_are_named(key):
    function, bound, form = WRONG[key]
    report = audit(function, "bound", bound, form, cases=16)
    assert (report.verdict, report.judgement.key) == ("mistake", key), str(report)
    assert report.counterexample is not None
    shown = text(report)
    assert all(len(line) <= 100 for line in shown.splitlines())
    if key not in ("naive-softplus", "naive-log-sigmoid", "naive-exp-mean-log"):
        smallest = max(np.size(a) for a in report.counterexample.inputs.values())
        assert smallest <= (6 if form == "pairs" else 9)


def test_overflow_is_located():
    naive = WRONG["naive-softplus"][0]
    report = audit(naive, "bound", "jsd", cases=16)
    single = min(d.magnitude for d in report.range if d.dtype == "float32")
    double = min(d.magnitude for d in report.range if d.dtype == "float64")
    assert single == pytest.approx(88.7, abs=0.5)
    assert double == pytest.approx(709.8, abs=2)


def test_a_counterexample_can_be_pasted():
    report = audit(WRONG["no-log"][0], "bound", "dv", cases=16)
    space = {"np": np}
    for line in text(report).split("# the smallest case")[1].splitlines()[1:]:
        if not line.startswith("#"):
            exec(line, space)
    assert space["joint"].shape == space["product"].shape == (1,)
    np.testing.assert_array_equal(space["joint"], report.counterexample.inputs["joint"])


def test_json_has_the_keys_and_only_json():
    import json

    found = as_json(audit(WRONG["no-log"][0], "bound", "dv", cases=16))
    json.dumps(found, allow_nan=False)
    assert {"verdict", "diagnosis", "counterexample", "value", "gradient", "laws", "dtype", "range"} <= found.keys()


def test_a_detached_path_shows_in_the_gradient_alone():
    from dimref.tape import stop_gradient

    function = lambda j, p: math.log(4) - anp.mean(softplus(-j)) - anp.mean(softplus(stop_gradient(p)))  # noqa: E731
    report = audit(function, "bound", "jsd", cases=16)
    assert report.judgement.key == "product-detached"
    assert report.value < 1e-6 < report.gradient


def test_a_convention_is_not_charged_with_laws_that_are_none_of_its_own():
    other = audit(RIGHT["infonce, other axis"][0], "bound", "infonce", "matrix", cases=16)
    assert {law.key: bool(law.why_not) for law in other.laws} == {
        "order": False, "ceiling": False, "c(y)": True, "columns": True,
    }  # fmt: skip
    assert "VIOLATED" not in str(other)
    assert "left out, this convention does not obey it: InfoNCE(T + c(y)) = InfoNCE(T)" in " ".join(str(other).split())
    assert [bool(law["left_out"]) for law in as_json(other)["laws"]] == [bool(law.why_not) for law in other.laws]


def test_a_loss_with_a_value_of_its_own_is_held_to_the_laws_of_the_gradient_alone():
    from dimref.tape import stop_gradient

    def surrogate(j, p):
        loss = _lse(p) - math.log(p.size) - anp.mean(j)
        return loss - 0.5 * stop_gradient(loss)

    report = audit(lambda j, p: surrogate(anp.ravel(j), anp.ravel(p)), "bound", "dv", cases=16)
    assert (report.verdict, report.judgement.key) == ("another valid convention", "locations-pooled")
    assert {law.key for law in report.laws if not law.why_not} == {"gradient"}


def test_a_violated_law_of_a_mistake_is_told():
    report = audit(WRONG["no-log"][0], "bound", "dv", cases=16)
    assert "VIOLATED: DV(T + c) = DV(T)" in str(report)
    assert not any(law.why_not for law in report.laws)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda j, p: (anp.clip(j, -15, 15), anp.clip(p, -15, 15)), "clamping scores, or their σ, at about ±15 nats"),
        (lambda j, p: (j, anp.clip(p, -15, 15)), "clamping the scores of the product at about ±15 nats"),
        (lambda j, p: (anp.clip(j, -30, 30), p), "clamping the scores of the joint at about ±30 nats"),
    ],
)
def test_a_clamp_is_named(function, words):
    def jsd(j, p):
        j, p = function(j, p)
        return math.log(4) - anp.mean(softplus(-j)) - anp.mean(softplus(p))

    report = audit(jsd, "bound", "jsd", cases=16)
    assert report.judgement.key == "clamped"
    assert words in report.judgement.diagnosis


@pytest.mark.exhaustive
def test_a_maximum_on_the_tape_is_named_by_its_value():
    report = audit(lambda j, p: anp.mean(j) - (_lse(p) - anp.log(p.size) - anp.max(p)), "bound", "dv", cases=48)
    assert report.judgement.key == "maximum-kept"


@pytest.mark.exhaustive
def test_scores_averaged_over_locations_are_a_mistake():
    flat = lambda t: anp.mean(t, axis=1) if t.ndim == 2 else t  # noqa: E731
    right, wrong = RIGHT["jsd by logaddexp"][0], WRONG["log-2-dropped-once"][0]
    for function, key in ((right, "locations"), (wrong, "log-2-dropped-once")):
        report = audit(lambda j, p, f=function: f(flat(j), flat(p)), "bound", "jsd", cases=48)
        assert (report.verdict, report.judgement.key) == ("mistake", key)
        assert "of scores that are averaged over locations first" in report.judgement.diagnosis


@pytest.mark.parametrize("half", [pytest.param(0.0, marks=pytest.mark.exhaustive), 0.5,
                                  pytest.param(1.0, marks=pytest.mark.exhaustive)])  # fmt: skip
def test_the_derivative_at_a_kink_is_the_frameworks_choice(half):
    def softplus_of_difference(d):
        return anp.where(d > 0, d, half * (d == 0) * d) + anp.log1p(anp.exp(-anp.abs(d)))

    def infonce(s):
        total = s[0]
        for row in s[1:]:
            total = total + softplus_of_difference(row - total)
        return math.log(len(s)) + anp.mean(anp.diag(s) - total) if s.ndim == 2 else infonce_of_locations(s)

    def infonce_of_locations(s):
        return sum(infonce(s[:, :, k]) for k in range(s.shape[2])) / s.shape[2]

    report = audit(infonce, "bound", "infonce", "matrix", cases=48)
    assert report.verdict == "conforms"
    assert ("where scores are equal" in report.judgement.diagnosis) == (half != 0.5)


def test_assert_conforms():
    assert_conforms(RIGHT["infonce, other axis"][0], "bound", "infonce", "matrix", cases=16)
    with pytest.raises(AssertionError, match="other axis"):
        assert_conforms(RIGHT["infonce, other axis"][0], "bound", "infonce", "matrix", strict=True, cases=16)
    with pytest.raises(AssertionError, match="InfoNCE with log K left out"):
        assert_conforms(WRONG["missing-log-k"][0], "bound", "infonce", "matrix", cases=16)


# ---- targets that answer badly


class Always:
    """A target with one answer."""

    name, framework = "always", "numpy"

    def __init__(self, answer):
        self._answer = answer

    def call(self, signature, inputs):
        return self._answer


def test_no_answer_at_all():
    report = audit(Always(Answer(problem="it hung")), "bound", "jsd")
    assert (report.verdict, report.judgement.diagnosis) == ("could not run", "it hung")
    assert "it hung" in str(report)


@pytest.mark.parametrize("value", [math.nan, pytest.param(math.inf, marks=pytest.mark.exhaustive)])
def test_not_a_number(value):
    report = audit(Always(Answer({"value": np.asarray(value)})), "bound", "jsd", cases=16)
    assert (report.verdict, report.judgement.key) == ("mistake", "not-finite")
    str(report)


def test_values_alone_are_compared_where_there_is_no_gradient():
    class Plain:
        name, framework = "plain", "numpy"

        def __init__(self, function):
            self._function = function

        def call(self, signature, inputs):
            return Answer({"value": np.asarray(self._function(*(inputs[k] for k in signature.arguments)))})

    for name in ("jsd by logaddexp", "jsd in bits"):
        report = audit(Plain(RIGHT[name][0]), "bound", "jsd", cases=48)
        assert (report.verdict, report.judgement.within) == ("conforms within", "its values"), str(report)
        assert not report.passes()
        assert "a gradient is due and there is none" in " ".join(str(report).split())
    report = audit(Plain(WRONG["log-2-dropped-once"][0]), "bound", "jsd", cases=16)
    assert report.judgement.key == "log-2-dropped-once"


def test_unknown_names_end_in_a_line():
    for kind, name, form in (("bound", "jds", ""), ("bond", "jsd", ""), ("bound", "jsd", "triples")):
        with pytest.raises(AuditError, match="must be one of"):
            audit(lambda j, p: 0.0, kind, name, form)


# ---- several threads


def test_threads_audit_one_after_the_other():
    """Each borrows names and settings of the whole process, and gives them back."""
    norm, inside, most = anp.linalg.norm, [], []

    def jsd(j, p):
        inside.append(1)
        time.sleep(1e-4)  # the others' turn
        most.append(len(inside))
        inside.pop()
        return np.log(4) - np.mean(np.logaddexp(0, -j)) - np.mean(np.logaddexp(0, p))

    alone = str(audit(jsd, "bound", "jsd", cases=16))
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: str(audit(jsd, "bound", "jsd", cases=16)), range(2)))
    assert max(most) == 1
    assert reports == [alone] * 2
    assert anp.linalg.norm is norm
    assert np.__name__ == "numpy"


def test_hypothesis_has_one_place_for_all_threads():
    entered = threading.Event()

    def enter():
        with no_directory_left():
            entered.set()

    other = threading.Thread(target=enter)
    with no_directory_left():
        other.start()
        assert not entered.wait(0.1)
    other.join(60)
    assert entered.is_set()
