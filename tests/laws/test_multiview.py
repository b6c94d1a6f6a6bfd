"""The multi-view objective obeys its laws, and a broken one does not."""

import math

import numpy as np
import pytest
from law_cases import broken_functions_break, laws_of

from dimref import amdim, bounds, negatives, ops
from dimref.amdim import augmentation as amdim_augmentation
from dimref.amdim import objective as amdim_objective
from dimref.laws import multiview

pytestmark = pytest.mark.usefixtures("plain_forms")
LAWS = laws_of(multiview)


# ---- what each law is there to catch: (module, function, what replaces it given the original, the laws that break)


def clipped_before_the_penalty(good):
    """The penalty on what clipping has left of the scores."""

    def contrast(y, f, clip, penalty):
        value, scores = good(y, f, clip, penalty)
        square = np.einsum("ile,je->ijl", f, y) / math.sqrt(y.shape[1])
        return value + penalty * ((amdim_objective.soft_clip(square, clip) ** 2).mean() - scores.mean_square), scores

    return contrast


def without_root(good):
    return lambda y, f, clip, penalty: good(y * math.sqrt(y.shape[1]), f, clip, penalty)


def own_locations_among_the_negatives(good):
    """Every location of every image is a negative, the positive's own image's too."""

    def infonce(t, candidates):
        n, locations = t.shape[0], t.shape[2]
        by_y = ops.reshape(ops.transpose(t, (1, 0, 2)), (n, n * locations))
        everything = ops.logsumexp(by_y, axis=1, keepdims=True)
        positive, _ = negatives.all_pairs(t)
        return math.log(1 + (n - 1) * locations) + ops.mean(ops.subtract(positive, everything))

    return infonce


def anchors_of_the_first_view(good):
    """Both directions start from the first view's locations."""
    return lambda encoding, noise, term, view: good(encoding, noise, term, "first")


BROKEN = [
    (amdim, "contrast", clipped_before_the_penalty, ["direction_is_the_double_loop"]),
    (amdim, "contrast", without_root, ["direction_is_the_double_loop", "gradient_of_a_direction"]),
    (bounds, "infonce", own_locations_among_the_negatives, ["direction_is_the_double_loop"]),
    (bounds, "_over_locations", lambda good: lambda others: good(others) - math.log(2), ["direction_is_the_double_loop"]),
    (bounds, "_log_softmax_of_positive", lambda good: lambda positive, others, k: math.log(k) + ops.mean(positive - others),
     ["direction_below_log_k", "clipping_bounds_the_loss"]),
    (bounds, "infonce_certified", lambda good: lambda t: bounds.infonce(t, "all-locations"),
     ["certified_direction_below_log_n"]),
    (bounds, "infonce_certified", lambda good: lambda t: good(t) - 5, ["certified_direction_is_the_smaller"]),
    (amdim_objective, "soft_clip", lambda good: lambda s, clip: s,
     ["clipping_bounds_the_loss", "direction_is_the_double_loop"]),
    (amdim, "soft_clip", lambda good: lambda s, clip: np.tanh(s), ["soft_clip_is_bounded"]),
    (amdim_objective, "soft_clip", lambda good: lambda s, clip: np.clip(s, -clip, clip), ["direction_is_the_double_loop"]),
    (amdim, "soft_clip", lambda good: lambda s, clip: clip * s, ["soft_clip_is_bounded"]),
    (amdim_objective, "_anchors", anchors_of_the_first_view, ["views_are_alike"]),
    (amdim_augmentation, "resample", lambda good: lambda x, r, c: good(x, r, c) * 1.01, ["views_stay_in_the_unit_range"]),
    (amdim_augmentation, "hue", lambda good: lambda x, turns: good(x, turns) - 1e-3, ["views_stay_in_the_unit_range"]),
    (amdim_augmentation, "brightness", lambda good: lambda x, factor: x * factor[:, None, None, None],
     ["views_stay_in_the_unit_range"]),
]  # fmt: skip


test_broken_function_breaks_its_laws = broken_functions_break(LAWS, BROKEN)
