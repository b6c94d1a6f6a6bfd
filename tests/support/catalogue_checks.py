"""What the tests of the catalogue share: a form's reference and variants on drawn inputs, values and gradients."""

import itertools
import math
import re

import numpy as np

from dimref.audit.answering import evaluate
from dimref.audit.contract import REGIMES, Sizes
from dimref.trees import leaves

PLAIN = {
    "n": 6, "m": 4, "locations": 3, "kernel": (3, 3), "stride": (2, 2), "padding": (1, 1), "extra": (5, 4),
    "scale": 1.0, "dtype": "float64", "flat": False, "regime": "mild",
}  # fmt: skip
SIZES = [
    Sizes(**{**PLAIN, **more})
    for more in (
        {},
        {"n": 2, "m": 1, "locations": 1, "extra": (0, 1)},
        {"n": 3, "kernel": (4, 4), "padding": (0, 0), "stride": (3, 3), "extra": (2, 5)},
        {"kernel": (2, 2), "stride": (1, 1), "padding": (1, 1), "m": 2, "extra": (3, 0)},
        *({"regime": regime, "n": 4} for regime in REGIMES[1:]),
    )
]


def forms(contracts):
    """(contract, form) of a family, with an id each."""
    return [(f"{contract.name}-{form.name}", form) for contract in contracts for form in contract.forms]


def variants(contracts):
    """(id, form, variant) of a family."""
    return [
        (f"{name}-{variant.key}", form, variant)
        for name, form in forms(contracts)
        for variant in (*form.conventions, *form.mistakes)
    ]


def drawn(form, sizes, seed=0):
    """Inputs of a form."""
    return form.draw(np.random.default_rng(seed), sizes)


def answered(function, form, inputs):
    """Every output, and every gradient as ∂parameters/…, of a function of named inputs; no gradient stands for 0."""
    answer = evaluate(function, form.signature, inputs)
    return {**answer.value, **{f"∂{path}": gradient for path, gradient in leaves(answer.gradients)}}


def off(form, variant, sizes, seeds=range(8)):
    """‖variant − reference‖/‖reference‖ of the first output, or else gradient, that is not the reference's."""
    errors, norms = {}, {}
    for seed in seeds:
        inputs = drawn(form, sizes, seed)
        right, wrong = (answered(f, form, inputs) for f in (form.reference, variant.function))
        for name in right:
            a, b = np.asarray(right[name], np.float64), np.asarray(wrong[name], np.float64)
            with np.errstate(invalid="ignore"):
                gap = math.inf if a.shape != b.shape else float((np.where(a == b, 0.0, a - b) ** 2).sum())
            errors[name] = errors.get(name, 0.0) + gap
            norms[name] = norms.get(name, 0.0) + float((a[np.isfinite(a)] ** 2).sum())
    for name, error in errors.items():
        size = math.sqrt(error / norms[name]) if norms[name] else math.sqrt(error)
        if not size <= 1e-11:
            return size
    return 0.0


def percent(text):
    """The first percentage in a consequence as a fraction; None if there is none."""
    found = re.search(r"(?<![\d.,])([\d.]+) %", text)
    return float(found[1]) / 100 if found else None


def same(found, expected, tolerance=1e-9, floor=1e-300):
    """Two answers by name, to a relative tolerance of each array's size, but of `floor` at least."""
    assert set(found) == set(expected)
    for name, right in expected.items():
        right = np.asarray(right, np.float64)
        assert np.shape(found[name]) == right.shape, name
        finite = np.isfinite(right)
        size = float(np.abs(right[finite]).max(initial=0.0))
        np.testing.assert_allclose(
            np.asarray(found[name], np.float64), right, rtol=tolerance, atol=tolerance * max(size, floor), err_msg=name
        )


def apart(form, first, second, seeds=range(6)):
    """Whether two functions of named inputs differ beyond rounding on any of the drawn inputs."""
    for seed, sizes in itertools.product(seeds, SIZES):
        inputs = drawn(form, sizes, seed)
        found, expected = (answered(f, form, inputs) for f in (first, second))
        try:
            same(found, expected, 2e-13)
        except AssertionError:
            return True
    return False


def number_at(function, form, examples):
    """A single number as a consequence prints it."""
    with np.errstate(all="ignore"):
        value = float(np.ravel(function({name: examples[name] for name in form.signature.arguments})["value"])[0])
    return "NaN" if math.isnan(value) else {math.inf: "∞", -math.inf: "-∞"}.get(value, f"{value:.6g}")


def numbers(text):
    """(found, expected) of "… in place of …"; None if there is none."""
    said = re.search(r"(-?[\d.e-]+|NaN|∞|-∞) in place of (-?[\d.e-]+|∞)", text)
    return said and said.groups()


def refuse_two_alike(form):
    """Fail if two variants of a form have one key, or agree on all that is drawn."""
    known = (*form.conventions, *form.mistakes)
    assert len({each.key for each in known}) == len(known)
    for first, second in itertools.combinations(known, 2):
        assert apart(form, first.function, second.function), (first.key, second.key)


def refuse_another_number(form, variant, examples):
    """Fail if a variant agrees with the reference on all that is drawn, or gives another number than it says."""
    assert apart(form, form.reference, variant.function)
    said = numbers(variant.consequence)
    if said:
        assert said == tuple(number_at(f, form, examples) for f in (variant.function, form.reference))
