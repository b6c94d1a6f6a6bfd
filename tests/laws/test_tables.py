"""Laws of exact information hold, and a broken quantity breaks the right one."""

import numpy as np
import pytest
from law_cases import broken_functions_break, laws_of

from dimref.laws import tables
from dimref.theory import channels, f_divergences, information

pytestmark = pytest.mark.usefixtures("plain_forms")
LAWS = laws_of(tables)


# ---- what each law is there to catch: (module, function, what replaces it given the original, the laws that break)


def scaled(good):
    return lambda *arguments, **options: 1.1 * good(*arguments, **options)


def raised(good):
    return lambda *arguments, **options: good(*arguments, **options) + 0.01


BROKEN = [
    (information, "mutual_information", scaled, ["information_four_ways", "log_ratio_is_normalized"]),
    (information, "mutual_information", lambda good: lambda p: -good(p), ["information_below_both_entropies"]),
    (information, "mutual_information", lambda good: lambda p: good(p) ** 2,
     ["chain_rule", "information_is_additive"]),
    (information, "mutual_information", lambda good: lambda p: 1 / (1 + good(p)), ["data_processing_of_information"]),
    (information, "conditional_entropy", lambda good: lambda p: good(p.T), ["information_four_ways"]),
    (information, "joint_entropy", scaled, ["information_four_ways", "cross_entropy_splits"]),
    (information, "entropy", scaled, ["information_four_ways", "ideal_and_disturbed_channels",
     "capacities_of_textbook_channels", "channel_information_by_rows", "information_below_both_entropies"]),
    (information, "kl_divergence", lambda good: lambda p, q: good(q, p), ["information_four_ways"]),
    (information, "cross_entropy", raised, ["cross_entropy_splits"]),
    (information, "log_ratio", scaled, ["log_ratio_is_normalized"]),
    (information, "conditional_mutual_information", lambda good: lambda p: good(p.transpose(0, 2, 1)), ["chain_rule"]),
    (information, "jensen_shannon", scaled, ["variational_form_is_tight"]),
    (information, "jensen_shannon", lambda good: lambda p, q: -good(p, q), ["data_processing_of_divergences"]),
    (f_divergences, "f_divergence", raised, ["variational_form_is_tight"]),
    (f_divergences, "f_divergence", lambda good: lambda p, q, f: -good(p, q, f), ["data_processing_of_divergences"]),
    (f_divergences, "variational_f_divergence", raised, ["variational_form_is_tight"]),
    (f_divergences, "variational_f_divergence", lambda good: lambda p, q, t, f: float((p * t).sum() + (q * t).sum()) + 9,
     ["variational_form_below_divergence"]),
    (f_divergences, "optimal_f_critic", lambda good: lambda p, q, f: good(p, q, f) - 0.1, ["variational_form_is_tight"]),
    (f_divergences, "GENERATORS", lambda good: {**good, "jsd": good["kl"]}, ["variational_form_is_tight"]),
    (channels, "channel_information", lambda good: lambda p, w: good(p, w) + 0.1,
     ["ideal_and_disturbed_channels", "information_below_capacity", "channel_information_by_rows"]),
    (channels, "output_distribution", lambda good: lambda p, w: good(np.roll(p, 1), w), ["channel_information_by_rows"]),
    (channels, "capacity", lambda good: lambda w, **o: good(w, **o)._replace(information=0.0, gap=0.0),
     ["information_below_capacity", "capacities_of_textbook_channels"]),
    (channels, "binary_symmetric_channel", lambda good: lambda e: good(e * e), ["capacities_of_textbook_channels"]),
    (channels, "binary_erasure_channel", lambda good: lambda e: good(e * e), ["capacities_of_textbook_channels"]),
    (channels, "z_channel", lambda good: lambda e: good(e * e), ["capacities_of_textbook_channels"]),
]  # fmt: skip


test_broken_function_breaks_its_laws = broken_functions_break(LAWS, BROKEN)
