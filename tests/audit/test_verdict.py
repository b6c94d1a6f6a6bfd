"""Verdicts on small functions that people wrote: right ones, those right within limits, and mistakes, each by its kind."""

import itertools
import math

import autograd.numpy as anp
import numpy as np
import pytest
from sampling import by_default

from dimref.audit.answer import Answer
from dimref.audit.callables import audit
from dimref.audit.report import as_json, text
from dimref.tape import stop_gradient
from dimref.theory import f_divergences, information

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
CONFORMS, WITHIN, CONVENTION, MISTAKE = "conforms", "conforms within", "another valid convention", "mistake"


def logsumexp(x):
    top = np.max(getattr(x, "_value", x))
    return anp.log(anp.sum(anp.exp(x - top))) + top


def diagonal(s):
    return anp.array([s[i, i] for i in range(len(s))])


def off(s):
    return anp.array([s[i, j] for i in range(len(s)) for j in range(len(s)) if i != j])


def matrix(s):
    if s.ndim != 2:
        raise ValueError("a matrix, please")
    return s


def single(x):
    return float(np.float32(math.log(np.float32(x))))


# ---- zeros of tables: every quantity of one or two tables


def full(*tables):
    return all((t > 0).all() for t in tables)


TABLES = {
    "entropy": information.entropy,
    "mutual_information": information.mutual_information,
    "kl_divergence": information.kl_divergence,
    "cross_entropy": information.cross_entropy,
    "jensen_shannon": information.jensen_shannon,
    **{name: (lambda p, q, g=name: f_divergences.f_divergence(p, q, f_divergences.GENERATORS[g]))
       for name in ("reverse_kl", "chi2", "squared_hellinger", "total_variation")},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "wrong"),
    [*((name, 0.0) for name in TABLES), ("entropy", -5.0)],
)
def test_a_number_that_is_wrong_where_a_probability_is_0_is_a_mistake(name, wrong):
    right = TABLES[name]
    assert audit(right, "information", name, cases=16).verdict == CONFORMS
    report = audit(lambda *tables: right(*tables) if full(*tables) else wrong, "information", name, cases=16)
    assert (report.verdict, report.judgement.key) == (MISTAKE, "zeros")
    assert f"has a 0 it is {wrong:g} where" in report.judgement.diagnosis
    assert "nan" not in text(report).lower()
    assert any((a == 0).any() for a in report.counterexample.inputs.values())
    assert report.counterexample.found.value != report.counterexample.expected.value


def test_nan_where_a_probability_is_0_keeps_its_name():
    report = audit(lambda p: -np.sum(p * np.log(p)), "information", "entropy", cases=16)
    assert (report.verdict, report.judgement.key) == (MISTAKE, "zero-log-zero")


# ---- rows far from 0, constant rows


def moments(x, axis):
    """Layer norm or batch norm whose variance is E[x²] − μ²."""
    mean = anp.mean(x, axis=axis, keepdims=True)
    return x - mean, anp.maximum(anp.mean(x * x, axis=axis, keepdims=True) - mean * mean, 0)


def centred(x, axis):
    d = x - anp.mean(x, axis=axis, keepdims=True)
    return d, anp.mean(d * d, axis=axis, keepdims=True)


def norm(statistics, axis, epsilon=lambda variance, count: variance + 1e-5):
    def function(x, gain, shift):
        d, variance = statistics(x, axis)
        count = np.prod([x.shape[k] for k in np.atleast_1d(axis)])
        return d / anp.sqrt(epsilon(variance, count)) * gain + shift

    return function


NORMS = {"layer_norm": ("rows", 1), "batch_norm": ("output-last", (0, 1, 2))}


@pytest.mark.parametrize("name", NORMS)
def test_a_variance_that_cancels_conforms_within_a_distance_from_0(name):
    form, axis = NORMS[name]
    assert audit(norm(centred, axis), "layer", name, form, cases=24).verdict == CONFORMS
    report = audit(norm(moments, axis), "layer", name, form, cases=24)
    assert report.verdict == WITHIN
    assert not report.passes()
    assert {d.dtype for d in report.range} == {"float32"}
    assert 5 < min(d.magnitude for d in report.range) < 2000
    assert text(report).startswith(f"CONFORMS WITHIN {report.judgement.within}  layer {name}")
    assert as_json(report)["within"] == report.judgement.within
    found, expected = (a.value["out"] for a in (report.counterexample.found, report.counterexample.expected))
    assert np.abs(found - expected).max() > 0.1


def test_no_number_on_a_constant_row_is_a_mistake():
    """ε divided by the count with the sum of squares."""
    report = audit(norm(centred, 1, lambda v, n: v * n / (n + 1e-5)), "layer", "layer_norm", cases=16)
    assert (report.verdict, report.judgement.key) == (MISTAKE, "not-finite")
    assert "on a constant row or channel it is nan" in report.judgement.diagnosis
    assert np.isnan(report.counterexample.found.value["out"]).any()
    assert np.isfinite(report.counterexample.expected.value["out"]).all()


# ---- single precision, limits of shape, conventions

BOUNDS = {
    "infonce": (lambda s: anp.mean(diagonal(matrix(s)) - column(s)) + single(len(s)), "infonce", "matrix", CONFORMS, ""),
    "dv": (lambda j, p: anp.mean(j) - logsumexp(p) + single(p.size), "dv", "pairs", CONVENTION, "locations-pooled"),
    "jsd": (
        lambda j, p: 2 * single(2) - anp.mean(anp.logaddexp(0, -j)) - anp.mean(anp.logaddexp(0, p)), "jsd", "pairs",
        CONFORMS, "",
    ),
    "smile": (
        lambda j, p, tau: anp.mean(j) - logsumexp(anp.clip(p, -tau, tau)) + single(p.size), "smile", "pairs", CONVENTION,
        "locations-pooled",
    ),
}  # fmt: skip


def column(s):
    top = np.max(getattr(s, "_value", s), axis=0)
    return anp.log(anp.sum(anp.exp(s - top), axis=0)) + top


@pytest.mark.parametrize("name", BOUNDS)
def test_a_constant_rounded_to_single_precision_is_no_mistake(name):
    function, bound, form, verdict, key = BOUNDS[name]
    report = audit(function, "bound", bound, form, cases=16)
    assert (report.verdict, report.judgement.key) == (verdict, key)
    assert any("single precision" in note for note in report.notes)


def array_with_locations(s):
    """DV as a matrix wants it: with an axis of locations it returns an array."""
    n = len(s)
    rest = anp.array([s[i, j] for i in range(n) for j in range(n) if i != j])
    top = np.max(getattr(rest, "_value", rest), axis=0)
    joint = anp.mean(anp.array([s[i, i] for i in range(n)]))
    return joint - anp.log(anp.mean(anp.exp(rest - top), axis=0)) - top


ALONE = {
    "an array comes back": (array_with_locations, "dv", CONFORMS, "returns an array of shape"),
    "another number comes back": (
        lambda s: anp.mean(diagonal(s)) - logsumexp(s) + 2 * math.log(len(s)), "dv", CONVENTION, "computes something else",
    ),
    "it raises": (lambda s: anp.mean(diagonal(matrix(s))) - logsumexp(off(s)) + math.log(len(s) * (len(s) - 1)), "dv",
                  CONFORMS, "a matrix, please"),
}  # fmt: skip


@pytest.mark.parametrize("name", ALONE)
def test_what_takes_a_matrix_alone_is_limited_and_not_accused(name):
    function, bound, verdict, words = ALONE[name]
    report = audit(function, "bound", bound, "matrix", cases=48)
    assert report.verdict == verdict, str(report)
    assert report.limits.flat
    assert words in " ".join(report.notes)
    assert not any("VIOLATED" in line for line in text(report).splitlines())


def neighbours(bound, step):
    def function(s):
        n = len(s)
        return bound(diagonal(s), anp.array([s[i, (i + step) % n] for i in range(n)]))

    return function


PAIRS = {
    "dv": lambda j, p: anp.mean(j) - anp.mean(column(p)) + math.log(len(p)),
    "nwj": lambda j, p: anp.mean(j) - anp.mean(anp.exp(p - 1)),
    "jsd": lambda j, p: math.log(4) - anp.mean(anp.logaddexp(0, -j)) - anp.mean(anp.logaddexp(0, p)),
    "plug_in": lambda j, p: 1 + anp.mean(j) - anp.mean(anp.exp(p)),
    "chi2": lambda j, p: anp.mean(j) - anp.mean(p + p * p / 4),
}


@pytest.mark.parametrize("name", by_default(PAIRS, "jsd"))
def test_other_samples_of_the_product_are_conventions(name):
    bound = PAIRS[name]

    def everything(s):
        return bound(diagonal(s), anp.reshape(s, (len(s) ** 2, *s.shape[2:])))

    for function, key in (
        (everything, "diagonal-included"),
        (neighbours(bound, 1), "next-neighbour"),
        (neighbours(bound, -1), "previous-neighbour"),
    ):  # fmt: skip
        report = audit(function, "bound", name, "matrix", cases=48)
        assert (report.verdict, report.judgement.key) == (CONVENTION, key), str(report)
        assert report.passes()
        assert not report.passes(strict=True)


@pytest.mark.parametrize("kind", ["nwj", "jsd", "dv"])
def test_with_the_diagonal_among_the_product_none_exceeds_its_divergence(kind):
    """Expectations over all N-tuples of 120 tables: of NWJ and DV ≤ I, of JSD ≤ 2·JS, at the best critic and others."""
    rng = np.random.default_rng(0)
    for number in range(120):
        table = rng.random((2, 2)) ** rng.choice([0.3, 1, 3]) + 1e-3
        table /= table.sum()
        product = np.outer(table.sum(1), table.sum(0))
        n, ratio = 2 + number % 2, np.log(table / product)
        critic = ratio + (kind == "nwj") if number % 3 == 0 else ratio * rng.normal(1, 0.5) + rng.normal(0, 2, (2, 2))
        cells = [(x, y) for x in range(2) for y in range(2)]
        total = 0.0
        for tuples in np.ndindex(*(4,) * n):
            xs, ys = np.array([cells[k] for k in tuples]).T
            scores = critic[xs[:, None], ys[None, :]]
            weight = np.prod([table[cells[k]] for k in tuples])
            total += weight * float(PAIRS[kind](np.diag(scores), scores.reshape(-1)))
        js = information.jensen_shannon(table.ravel(), product.ravel())
        limit = 2 * js if kind == "jsd" else information.mutual_information(table)
        assert total <= limit + 1e-12


# ---- what cannot be compared is not called right


class Silent:
    """A target without autodiff."""

    name, framework = "silent", "numpy"

    def __init__(self, function):
        self._function = function

    def call(self, signature, inputs):
        return Answer({"value": np.asarray(self._function(*(inputs[name] for name in signature.arguments)))})


@pytest.mark.parametrize(("bound", "form"), [("jsd", "pairs"), ("nwj", "matrix"), ("plug_in", "pairs")])
def test_no_gradient_is_no_conforming_gradient(bound, form):
    from dimref import bounds, negatives

    function = getattr(bounds, bound)
    call = function if form == "pairs" else lambda s: function(*negatives.all_pairs(s))
    report = audit(Silent(call), "bound", bound, form, cases=16)
    assert (report.verdict, report.judgement.within) == (WITHIN, "its values")
    assert not report.passes()
    assert "a gradient is due and there is none" in report.judgement.diagnosis


def mine(joint, product, average, rate):
    now = anp.mean(anp.exp(product))
    new = (1 - rate) * average + rate * stop_gradient(now)
    value = anp.mean(joint) - logsumexp(product) + math.log(len(product))
    surrogate = anp.mean(joint) - now / new
    return surrogate + stop_gradient(value - surrogate), new


def test_a_tuple_has_a_range_too():
    report = audit(mine, "bound", "mine", cases=16)
    assert report.verdict == WITHIN
    assert min(d.magnitude for d in report.range if d.dtype == "float32") == pytest.approx(88.7, abs=1)
    assert "range         float32:" in text(report)


def test_a_law_that_could_not_be_evaluated_is_reported_so():
    report = audit(lambda j, p: anp.mean(j) + np.nan * anp.mean(p), "bound", "jsd", cases=16)
    assert report.verdict == MISTAKE
    assert "could not be evaluated" in text(report)
    assert "slack nan" not in text(report)


# ---- the smallest case shows the difference


def epsilon_in_log(j, p):
    return anp.mean(j) - anp.log(anp.mean(anp.exp(p)) + 1e-6)


SHOWN = {
    "an ε of 1e-6": (epsilon_in_log, "dv", "pairs"),
    "all pairs": (lambda s: anp.mean(diagonal(s)) - anp.mean(anp.exp(s - 1)), "nwj", "matrix"),
    "log N left out": (lambda s: anp.mean(diagonal(matrix(s)) - column(s)), "infonce", "matrix"),
    "1e-5 added": (lambda s: anp.mean(diagonal(matrix(s)) - column(s)) + math.log(len(s)) + 1e-5, "infonce", "matrix"),
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_found_and_expected_differ_in_what_is_printed(name):
    function, bound, form = SHOWN[name]
    report = audit(function, "bound", bound, form, cases=16)
    lines = text(report).split("# the smallest case")[1].splitlines()
    pairs = [(a.split("found")[1].strip(), b.split("expected")[1].strip())
             for a, b in itertools.pairwise(lines) if ": found " in a]  # fmt: skip
    assert pairs[0][0] != pairs[0][1], str(report)


def test_a_shape_is_quoted_from_a_case_where_it_differs():
    from dimref.audit.catalogue.layers import conv_transpose2d

    def padded(x, w, b, stride, padding):
        out = conv_transpose2d(x, w, b, stride, padding)
        if stride == 1:
            return out
        more = anp.zeros((out.shape[0], stride - 1, *out.shape[2:]))
        return anp.concatenate([out, more], axis=1)

    report = audit(padded, "layer", "conv_transpose2d", cases=16)
    found, due = report.judgement.diagnosis.removeprefix("returns value of shape ").split(" where ")
    assert report.judgement.key == "shape"
    assert found != due.removesuffix(" is due")


def test_long_arrays_are_cut():
    report = audit(lambda x, y: 0.9 * anp.mean(x * y) + 0 * x.sum(), "measure", "ssim", cases=16)
    assert len(text(report).splitlines()) < 80
    assert "more lines: --json FILE writes them all" in text(report)
    assert len(as_json(report)["counterexample"]["inputs"].splitlines()) > 10
