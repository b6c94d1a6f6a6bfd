"""What the tests of the catalogue share: a form's reference and variants on drawn inputs, values and gradients."""

import itertools

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


def drawn(form, sizes, seed=0):
    """Inputs of a form."""
    return form.draw(np.random.default_rng(seed), sizes)


def answered(function, form, inputs):
    """Every output, and every gradient as ∂parameters/…, of a function of named inputs; no gradient stands for 0."""
    answer = evaluate(function, form.signature, inputs)
    return {**answer.value, **{f"∂{path}": gradient for path, gradient in leaves(answer.gradients)}}


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


def refuse_two_alike(form):
    """Fail if two variants of a form have one key, or agree on all that is drawn."""
    known = (*form.conventions, *form.mistakes)
    assert len({each.key for each in known}) == len(known)
    for first, second in itertools.combinations(known, 2):
        assert apart(form, first.function, second.function), (first.key, second.key)
