"""Laws of exact expectations hold, and a broken bound breaks the right one."""

import math

import numpy as np
import pytest
from law_cases import broken_functions_break, laws_of

from dimref import bounds, negatives, ops
from dimref.laws import exact
from dimref.theory import information

pytestmark = pytest.mark.usefixtures("plain_forms")
LAWS = laws_of(exact)


# ---- what each law is there to catch: (module, function, what replaces it given the original, the laws that break)

INTERPOLATED = "interpolated_below_information"
BROKEN = [
    (bounds, "dv", lambda good: lambda j, p: good(j, p) + 0.01,
     ["dv_below_information", "bounds_are_tight_at_their_critics"]),
    (bounds, "dv", lambda good: lambda j, p: ops.mean(j) - ops.mean(p),
     ["dv_below_information", "bounds_are_tight_at_their_critics"]),
    (bounds, "leave_one_out", lambda good: bounds.infonce, ["leave_one_out_above_information"]),
    (bounds, "leave_one_out", lambda good: lambda s: good(s) - math.log(len(s) - 1), ["leave_one_out_above_information"]),
    (bounds, "club", lambda good: lambda j, p: 0.5 * good(j, p), ["club_above_information"]),
    (bounds, "club", lambda good: lambda j, p: good(j, p) + 0.1, ["club_above_information"]),
    (bounds, "infonce_interpolated", lambda good: lambda s, a, alpha: good(s, a, alpha) + 0.01, [INTERPOLATED]),
    (bounds, "infonce_interpolated", lambda good: lambda s, a, alpha: good(s, a, 1 - alpha), [INTERPOLATED]),
    (bounds, "infonce_interpolated", lambda good: lambda s, a, alpha: bounds.infonce(s) + math.log(2), [INTERPOLATED]),
    (bounds, "dv", lambda good: lambda j, p: 0.5 * good(2 * j, 2 * p) if j.ndim == 2 else good(j, p) + 0.3,
     ["dv_off_is_biased_upward"]),
    (bounds, "nwj", lambda good: lambda j, p: ops.mean(j) - ops.mean(np.exp(p)), ["bounds_are_tight_at_their_critics"]),
    (bounds, "nwj", lambda good: lambda j, p: ops.mean(j) - ops.mean(np.exp(p - 2)), ["nwj_below_information"]),
    (bounds, "nwj", lambda good: lambda j, p: bounds.dv(j, p), ["nwj_and_jsd_off_are_unbiased"]),
    (bounds, "plug_in", lambda good: lambda j, p: good(j, p) + 0.01,
     ["plug_in_below_information", "tuba_below_information", "bounds_are_tight_at_their_critics"]),
    (bounds, "tuba", lambda good: lambda j, p, a, b: good(j, p, a, 0 * b), ["bounds_are_tight_at_their_critics"]),
    (bounds, "tuba", lambda good: lambda j, p, a, b: good(j, p, a - 1, b), ["tuba_below_information"]),
    (bounds, "jsd", lambda good: lambda j, p: good(j, p) + math.log(2),
     ["jsd_below_divergence", "jsd_certifies_information", "jsd_is_tight_at_r"]),
    (bounds, "jsd", lambda good: lambda j, p: good(j, p) - math.log(2), ["jsd_is_tight_at_r"]),
    (bounds, "jsd", lambda good: lambda j, p: bounds.LOG_4 - ops.mean(ops.softplus(-j)) - ops.mean(ops.softplus(-p)),
     ["jsd_below_divergence", "jsd_is_tight_at_r"]),
    (bounds, "infonce", lambda good: lambda s: good(s) + 0.1, ["infonce_below_information"]),
    (bounds, "infonce", lambda good: lambda s: good(s) - math.log(len(s)),
     ["infonce_rises_with_k_at_r", "sampled_infonce_same_expectation"]),
    (bounds, "infonce", lambda good: lambda s: good(s * 2), ["infonce_is_best_at_r"]),
    (bounds, "infonce_sampled", lambda good: lambda p, n: good(p, n[:1]), ["sampled_infonce_same_expectation"]),
    (bounds, "infonce_certified", lambda good: lambda s: bounds.infonce(s, "all-locations"),
     ["certified_below_information"]),
    (negatives, "all_pairs", lambda good: lambda s: (good(s)[0], s.reshape(-1, *s.shape[2:])),
     ["nwj_and_jsd_off_are_unbiased", "dv_off_is_biased_upward"]),
    (information, "optimal_critic", lambda good: lambda p, bound, log_a=None: good(p, "dv"),
     ["bounds_are_tight_at_their_critics"]),
    (information, "optimal_critic", lambda good: lambda p, *rest: 2 * good(p, *rest),
     ["infonce_is_best_at_r", "jsd_is_tight_at_r"]),
    (information, "js_from_information", lambda good: lambda i: good(i) * 0.9, ["divergence_below_its_ceiling"]),
    (information, "js_from_information", lambda good: lambda i: i / 2, ["divergence_below_its_ceiling"]),
    (information, "information_from_js", lambda good: lambda js: 1.2 * good(js),
     ["divergence_below_its_ceiling", "jsd_certifies_information"]),
]  # fmt: skip


test_broken_function_breaks_its_laws = broken_functions_break(LAWS, BROKEN)
