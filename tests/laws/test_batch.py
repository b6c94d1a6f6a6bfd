"""Laws of every batch hold, and a broken bound breaks the right one."""

import math

import numpy as np
import pytest
from law_cases import broken_functions_break, laws_of

from dimref import bounds, ops
from dimref.laws import batch
from dimref.theory import information

pytestmark = pytest.mark.usefixtures("plain_forms")
LAWS = laws_of(batch)


# ---- what each law is there to catch: (module, function, what replaces it given the original, the laws that break)


def wrong_axis(good):
    return lambda s, candidates="same-location": (
        math.log(len(s)) + ops.mean(bounds._diagonal(s) - ops.logsumexp(s, axis=1))
    )


def without_positive(good):
    return lambda positives, others: math.log(1 + len(others)) + ops.mean(positives - ops.logsumexp(others, axis=0))


def pooled(good):
    return lambda joint, product: ops.mean(joint) - ops.logmeanexp(product)


def certified_without_positive(good):
    def value(s):
        positive, others = bounds._positives_and_others(s)
        return math.log(len(s)) + ops.mean(positive - ops.logsumexp(others, axis=0, keepdims=True))

    return value


BROKEN = [
    (bounds, "infonce", wrong_axis, ["infonce_ignores_a_function_of_y"]),
    (bounds, "infonce", lambda good: lambda s, c="same-location": good(s, c) - math.log(len(s)), ["dv_below_infonce"]),
    (bounds, "infonce", lambda good: lambda s, c="same-location": good(s, c) + 20,
     ["infonce_below_log_n", "all_locations_below_log_k", "infonce_below_empirical_information"]),
    (bounds, "infonce_certified", certified_without_positive, ["certified_below_log_n"]),
    (bounds, "infonce_sampled", without_positive, ["sampled_infonce_below_log_k"]),
    (bounds, "dv", pooled, ["local_bounds_are_averages"]),
    (bounds, "dv", lambda good: lambda j, p: ops.mean(j) + ops.mean(ops.logmeanexp(p, axis=0)),
     ["dv_ignores_a_constant", "dv_below_infonce"]),
    (bounds, "dv", lambda good: lambda j, p: ops.mean(j) - ops.mean(ops.logsumexp(p, axis=0)),
     ["nwj_below_dv_on_all_pairs", "nwj_below_dv_off_the_diagonal", "plug_in_below_dv"]),
    (bounds, "dv", lambda good: lambda j, p: good(p, j), ["dv_below_infonce"]),
    (bounds, "dv", lambda good: lambda j, p: good(j[:1], p), ["bounds_ignore_the_order"]),
    (bounds, "nwj", lambda good: lambda j, p: ops.mean(j) + ops.mean(np.exp(p - 1)),
     ["nwj_below_dv_on_all_pairs", "nwj_below_dv_off_the_diagonal"]),
    (bounds, "nwj", lambda good: lambda j, p: good(j, p) + 1, ["nwj_below_dv_on_all_pairs"]),
    (bounds, "plug_in", lambda good: lambda j, p: good(j, p) + 1, ["plug_in_below_dv"]),
    (bounds, "jsd", lambda good: lambda j, p: good(j, p) + math.log(2),
     ["jsd_below_log_4", "jsd_below_its_sharp_ceiling", "jsd_below_empirical_divergence"]),
    (information, "mutual_information", lambda good: lambda p: good(p) / 2, ["infonce_below_empirical_information"]),
    (information, "jensen_shannon", lambda good: lambda p, q: good(p, q) / 2, ["jsd_below_empirical_divergence"]),
]  # fmt: skip


test_broken_function_breaks_its_laws = broken_functions_break(LAWS, BROKEN)
