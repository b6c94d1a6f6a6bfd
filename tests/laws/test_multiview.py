"""The multi-view objective obeys its laws, and a broken one does not."""

import dataclasses
import math

import numpy as np
import pytest
from lawful import is_caught, laws_of

from dimref import ops
from dimref.amdim import augmentation as amdim_augmentation
from dimref.amdim import objective as amdim_objective
from dimref.laws import multiview

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

    def score(y, f, clip):
        scores = good(y, f, clip)
        own = ops.logsumexp(scores.positives, axis=1)
        return dataclasses.replace(scores, others=np.logaddexp(scores.others, own))

    return score


def half_the_negatives(good):
    return lambda y, f, clip: dataclasses.replace(good(y, f, clip), others=good(y, f, clip).others - math.log(2))


def no_own_candidates(good):
    """A softmax over the negatives alone."""
    return property(lambda self: (self.others.reshape(-1, 1) - self.positives).mean())


def anchors_of_the_first_view(good):
    """Both directions start from the first view's locations."""
    return lambda encoding, noise, term, view: good(encoding, noise, term, "first")


BROKEN = [
    (amdim_objective, "contrast", clipped_before_the_penalty, ["direction_is_the_double_loop"]),
    (amdim_objective, "contrast", without_root, ["direction_is_the_double_loop", "gradient_of_a_direction"]),
    (amdim_objective, "_score", own_locations_among_the_negatives, ["direction_is_the_double_loop"]),
    (amdim_objective, "_score", half_the_negatives, ["direction_is_the_double_loop"]),
    (amdim_objective, "_score", lambda good: lambda y, f, clip: good(y, f, 0.0),
     ["clipping_bounds_the_loss", "direction_is_the_double_loop"]),
    (amdim_objective.Scores, "cross_entropy", no_own_candidates, ["direction_below_log_k", "clipping_bounds_the_loss"]),
    (amdim_objective.Scores, "certified_nats", lambda good: property(lambda self: self.nats),
     ["certified_direction_below_log_n"]),
    (amdim_objective.Scores, "certified_nats", lambda good: property(lambda self: good.fget(self) - 5),
     ["certified_direction_is_the_smaller"]),
    (amdim_objective, "soft_clip", lambda good: lambda s, clip: np.tanh(s), ["soft_clip_is_bounded"]),
    (amdim_objective, "soft_clip", lambda good: lambda s, clip: np.clip(s, -clip, clip), ["direction_is_the_double_loop"]),
    (amdim_objective, "soft_clip", lambda good: lambda s, clip: clip * s, ["soft_clip_is_bounded"]),
    (amdim_objective, "_anchors", anchors_of_the_first_view, ["views_are_alike"]),
    (amdim_augmentation, "resample", lambda good: lambda x, r, c: good(x, r, c) * 1.01, ["views_stay_in_the_unit_range"]),
    (amdim_augmentation, "hue", lambda good: lambda x, turns: good(x, turns) - 1e-3, ["views_stay_in_the_unit_range"]),
    (amdim_augmentation, "brightness", lambda good: lambda x, factor: x * factor[:, None, None, None],
     ["views_stay_in_the_unit_range"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("module", "name", "mistake", "broken"), BROKEN, ids=[f"{b[1]}-{k}" for k, b in enumerate(BROKEN)]
)
def test_broken_function_breaks_its_laws(monkeypatch, module, name, mistake, broken):
    monkeypatch.setattr(module, name, mistake(getattr(module, name)))
    for law in broken:
        assert is_caught(LAWS[law]), law
