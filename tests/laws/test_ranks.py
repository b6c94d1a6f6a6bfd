"""Laws of ranks: what breaks them, and by how much the false statements fail."""

import math

import numpy as np
import pytest
from fake_cupy import STRICT
from law_cases import broken_functions_break, laws_of, measured

from dimref import bounds, ops
from dimref import ranks as reference
from dimref.backend import NUMPY
from dimref.distributed import ranks as distributed
from dimref.distributed.ranks import Ranks
from dimref.laws import ranks

LAWS = laws_of(ranks)
FALSE = {name: law for name, law in LAWS.items() if law.kind == "counterexample"}

test_broken_functions_break_laws = broken_functions_break(
    LAWS,
    [
        (Ranks, "share", lambda f: lambda self, loss: loss, ["gradients_are_summed"]),
        (Ranks, "summed", lambda f: lambda self, gradients: gradients, ["five_steps_are_one_process"]),
        (reference, "logsumexp", lambda f: lambda x: ops.logsumexp(x, axis=0), ["gradients_are_summed"]),
        (
            distributed,
            "_all_sum",  # of the gather's backward pass: the own gradient alone
            lambda f: lambda x: x,
            ["collectives_have_their_adjoints", "gradients_are_summed"],
        ),
    ],
)


@pytest.mark.parametrize("law", FALSE.values(), ids=FALSE)
def test_false_statement_is_refuted(law):
    assert law.obeyed(measured(law, 0))
    assert law.obeyed(measured(law, 1, backend=STRICT))


def test_they_fail_by_what_theory_says():
    assert measured(LAWS["local_infonces_average_to_it"], 0).value == pytest.approx(-math.log(4), abs=1e-6)
    assert measured(LAWS["averaged_shares_have_its_length"], 0).value == pytest.approx(-3 / 4, abs=1e-6)


def test_the_whole_loss_is_the_double_sum():
    """−1/N Σ_j log of the share of e^s_jj in Σ_i e^s_ij, less log N: written out over all rows."""
    case = LAWS["gradients_are_summed"].draw(np.random.default_rng(0), ranks.Sizes(n=3))
    scores = case["x"] @ case["a"] @ (case["y"] @ case["a"]).T / math.sqrt(3)
    n = len(scores)
    expected = -math.log(n) - sum(scores[j, j] - math.log(np.exp(scores[:, j]).sum()) for j in range(n)) / n
    values, _ = ranks._on_ranks(case, NUMPY, ranks.whole)
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    np.testing.assert_allclose(expected, -bounds.infonce(scores), rtol=1e-12)
