"""A case: inputs from a stream that does not change, gradients against central differences, float32 beside float64."""

import dataclasses

import numpy as np
import pytest

from dimref.audit.vectors import write
from dimref.audit.vectors.case import GRID, Case, Draw, compute
from dimref.trees import leaves, map_tree

# Whose gradient is not the derivative of its value: MINE's is corrected, and the players of the prior's game stop each
# other's. Their gradients are checked in the tests of bounds and of objectives.
CORRECTED = ("bounds.mine", "objectives.prior_game", "objectives.loss")
CASES = [case for case in write.every_case() if case.differentiate and case.function not in CORRECTED]


def name(case):
    return f"{case.function}, {case.name}"


def test_draws_are_pinned():
    """Worked out by hand from the raw stream: these numbers must never change."""
    raw = np.random.PCG64(1).random_raw(3)
    expected = [round((4 * (int(r) >> 11) / 2**53 - 2) * GRID) / GRID for r in raw]
    assert Draw(1).uniform(3).tolist() == expected == [0.046875, 1.8017578125, -1.423828125]
    assert Draw(1).uniform().shape == ()
    assert Draw(2).probabilities(2, 3).sum() == pytest.approx(1, abs=1e-15)


def test_inputs_lie_on_the_grid_and_are_exact_in_float32():
    tables = {"p", "q", "p_x", "p_xy", "p_xyz", "channel", "cov", "cov_p", "cov_q"}
    for case in write.every_case():
        for key, array in leaves(case.inputs):
            if array.dtype.kind == "f" and key not in tables:
                assert (array == array.astype(np.float32)).all(), (name(case), key)
                assert (array * GRID == np.rint(array * GRID)).all(), (name(case), key)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_gradients_against_central_differences(case):
    _, gradients = compute(case)
    rng = np.random.default_rng(3)
    step = 1e-6

    def scalar(parameters):
        moved = dataclasses.replace(case, inputs={**case.inputs, **parameters}, differentiate=())
        value = dict(leaves(compute(moved)[0]))[case.of]
        return float(value if value.shape == () else (value * case.inputs["weight"]).sum())

    for key in case.differentiate:
        # Not across the kink of a ReLU, nor far out, where a step is lost in rounding.
        direction = map_tree(lambda a: rng.standard_normal(a.shape) * (a != 0) * (abs(a) < 1e3), case.inputs[key])
        there, back = (
            scalar({key: map_tree(lambda a, d, s=s: a + s * d, case.inputs[key], direction)}) for s in (step, -step)
        )
        along = sum(
            float((g * d).sum()) for (_, g), (_, d) in zip(leaves(gradients[key]), leaves(direction), strict=True)
        )
        noise = 2e-8 + 1e-15 * abs(there) / step
        assert along == pytest.approx((there - back) / (2 * step), rel=2e-6, abs=noise), key


def test_float32_is_computed_in_float32():
    for case in write.every_case():
        if case.float32:
            outputs, gradients = compute(case, "float32")
            for key, array in [*leaves(outputs), *leaves(gradients)]:
                assert array.dtype in (np.float32, np.int64), (name(case), key)
            exact, _ = compute(case)
            for (key, found), (_, expected) in zip(leaves(outputs), leaves(exact), strict=True):
                np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5, err_msg=f"{name(case)}, {key}")


def test_an_input_that_nothing_depends_on_has_the_gradient_zero():
    case = Case(
        "bounds.dv", "x", {"x": np.ones(2), "y": np.ones(2)}, {}, ("x", "y"), run=lambda i: {"value": i["x"].sum()}
    )
    assert compute(case)[1]["y"].tolist() == [0.0, 0.0]
