"""Two formulations agree, and break apart where one is broken."""

import math

import numpy as np
import pytest
from law_cases import broken_functions_break, laws_of

from dimref import bounds, negatives, ops
from dimref.laws import forms
from dimref.theory import f_divergences

pytestmark = pytest.mark.usefixtures("plain_forms")
LAWS = laws_of(forms)


# ---- what each law is there to catch: (module, function, what replaces it given the original, the laws that break)


def mistaken_k(good):
    return lambda s, c="same-location": good(s, c) if c == "same-location" else good(s, c) - math.log(s[0, 0].size)


def naive_dv(good):
    return lambda j, p: j.mean() - np.log(np.exp(p).mean(axis=0)).mean()


def naive_jsd(good):
    return lambda j, p: bounds.LOG_4 - np.log(1 + np.exp(-j)).mean() - np.log(1 + np.exp(p)).mean()


BROKEN = [
    (bounds, "dv", lambda good: lambda j, p: good(j, p) + 0.01,
     ["dv_is_the_best_shift_of_nwj", "tuba_contains_nwj_and_dv", "smile_is_dv_until_it_clips"]),
    (bounds, "dv", naive_dv, ["bounds_are_finite_at_1e4"]),
    (bounds, "jsd", naive_jsd, ["bounds_are_finite_at_1e4"]),
    (bounds, "nwj", lambda good: lambda j, p: ops.mean(j) - ops.mean(np.exp(p)),
     ["dv_is_the_best_shift_of_nwj", "nwj_is_its_variational_form", "tuba_contains_nwj_and_dv"]),
    (bounds, "nwj", lambda good: lambda j, p: good(j, np.minimum(p, 80)), ["exponential_bounds_reach_their_limit"]),
    (bounds, "plug_in", lambda good: lambda j, p: good(j, np.minimum(p, 80)), ["exponential_bounds_reach_their_limit"]),
    (bounds, "jsd", lambda good: lambda j, p: good(j, p) - math.log(2), ["jsd_is_its_variational_form"]),
    (bounds, "jsd", lambda good: lambda j, p: good(p, j), ["jsd_is_its_variational_form"]),
    (bounds, "jsd", lambda good: lambda j, p: good(j, -p), ["jsd_is_its_variational_form"]),
    (bounds, "jsd", lambda good: lambda j, p: good(-j, -p), ["jsd_is_its_variational_form"]),
    (f_divergences, "GENERATORS", lambda good: {**good, "jsd": good["gan"]}, ["jsd_is_its_variational_form"]),
    (f_divergences, "GENERATORS", lambda good: {**good, "kl": good["chi2"]}, ["nwj_is_its_variational_form"]),
    (bounds, "infonce", mistaken_k, ["infonce_is_a_classification"]),
    (bounds, "infonce", lambda good: lambda s, c="same-location": good(s.transpose(1, 0, 2), c),
     ["infonce_is_a_classification", "sampled_infonce_agrees_with_the_matrix"]),
    (bounds, "infonce_certified", lambda good: lambda s: good(2 * s), ["infonce_is_a_classification"]),
    (bounds, "infonce_certified", lambda good: lambda s: bounds.infonce(s, "all-locations"),
     ["infonce_is_a_classification"]),
    (bounds, "infonce_sampled", lambda good: lambda p, n: good(p, n[:1]), ["sampled_infonce_agrees_with_the_matrix"]),
    (bounds, "tuba", lambda good: lambda j, p, a, b: good(j, p, -a, -b), ["tuba_contains_nwj_and_dv"]),
    (bounds, "tuba", lambda good: lambda j, p, a, b: good(j, p, 0 * a, b), ["tuba_contains_nwj_and_dv"]),
    (bounds, "smile", lambda good: lambda j, p, tau: good(j, p, tau / 4), ["smile_is_dv_until_it_clips"]),
    (bounds, "smile", lambda good: lambda j, p, tau: bounds.dv(np.clip(j, -tau, tau), p), ["smile_is_dv_until_it_clips"]),
    (bounds, "mine", lambda good: lambda j, p, a, rate=0.01: (bounds.nwj(j, p), a), ["mine_has_the_value_of_dv"]),
    (negatives, "all_pairs", lambda good: lambda s: (good(s)[0], s.reshape(-1, *s.shape[2:])),
     ["all_pairs_splits_the_matrix"]),
    (negatives, "all_pairs", lambda good: lambda s: (good(s)[0][::-1], good(s)[1]), ["all_pairs_splits_the_matrix"]),
    (negatives, "derangements", lambda good: lambda rng, n, k: rng.permuted(np.tile(np.arange(n)[:, None], (1, k)), axis=0),
     ["drawn_negatives_are_derangements"]),
    (negatives, "derangements", lambda good: lambda rng, n, k: (np.arange(n)[:, None] + rng.integers(1, n, (n, k))) % n,
     ["drawn_negatives_are_derangements"]),
    (negatives, "roll", lambda good: lambda n, shift: np.arange(n), ["drawn_negatives_are_derangements"]),
    (negatives, "sampled", lambda good: lambda rng, n, k: (np.arange(n) + rng.integers(1, n, (k, 1))) % n,
     ["drawn_negatives_are_derangements"]),
    (negatives, "sampled", lambda good: lambda rng, n, k: (good(rng, n, k) - 1) % n,
     ["drawn_negatives_are_derangements"]),
]  # fmt: skip


test_broken_function_breaks_its_laws = broken_functions_break(LAWS, BROKEN)
