"""Each false statement is refuted by its pinned case, by as much as theory says; and an implementation for which it is
true is found out."""

import math

import numpy as np
import pytest
from fake_cupy import STRICT
from law_cases import laws_of, measured

from dimref import bounds, negatives, ops
from dimref.laws import counter

LAWS = laws_of(counter)
FAILS_BY = {
    "dv_off_below_information": 30 - math.log(2),
    "dv_off_below_log_n": 20 - math.log(4),
    "infonce_without_positive_below_log_n": 20 - math.log(3),
    "smile_below_information": 50 - math.log((math.e + 1) / 2) - math.log(2),
    "mean_score_below_information": math.log(2),
    "jsd_critic_read_by_nwj": 1 / math.e,
    "all_locations_below_information": math.log(65) / 2 - math.log(2),
    "empirical_above_information": math.log(2) / 2,
    "empirical_below_information": math.log(2) / 4,
    "conditioning_lowers_information": math.log(2),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_false_statement_is_refuted(law):
    assert law.obeyed(measured(law, 0))
    assert law.obeyed(measured(law, 1, backend=STRICT))


@pytest.mark.parametrize("name", FAILS_BY)
def test_it_fails_by_what_theory_says(name):
    assert measured(LAWS[name], 0).value == pytest.approx(-FAILS_BY[name], abs=1e-6)


@pytest.mark.parametrize(
    ("module", "name", "mistake", "law"),
    [
        (negatives, "all_pairs", lambda s: (s.diagonal(), s.reshape(-1)), "dv_off_below_log_n"),
        (bounds, "smile", lambda j, p, tau: bounds.dv(np.clip(j, -tau, tau), p), "smile_below_information"),
        (bounds, "infonce", lambda s, c="": bounds.infonce_certified(s), "all_locations_below_information"),
        (bounds, "nwj", lambda j, p: bounds.plug_in(j, p), "jsd_critic_read_by_nwj"),
        (
            bounds,
            "infonce",
            lambda s, c="": math.log(len(s)) + ops.mean(s.diagonal() - ops.logsumexp(s, axis=1)),
            "infonce_ignores_a_function_of_x",
        ),
    ],
)
def test_an_implementation_for_which_it_is_true_is_found_out(monkeypatch, module, name, mistake, law):
    monkeypatch.setattr(module, name, mistake)
    assert not LAWS[law].obeyed(measured(LAWS[law], 0))
