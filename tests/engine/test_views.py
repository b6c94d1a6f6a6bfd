"""AMDIM's views and first maps are made of so many images at a time; their numbers are the registry's test."""

import numpy as np
import pytest
from blas_threads import shared

from dimref.amdim import augmentation, encoder, objective
from dimref.amdim.encoder import Layout
from dimref.engine import views


@pytest.mark.parametrize(("block", "sizes"), [(2, [1, 2, 2]), (4, [2, 3]), (5, [5])])
def test_a_block_has_at_most_so_many_images(monkeypatch, block, sizes):
    rng, layout, seen = np.random.default_rng(0), Layout(32, 1, ndf=1, ndepth=1, nrkhs=4), []
    images = rng.uniform(-1, 1, (5, 32, 32, 1)).astype(np.float32)
    view, _ = augmentation.draw_views(rng, 5, 32, "crop")
    parameters, _ = encoder.init_encoder(rng, layout)
    for place, constant in ((objective.augmented, "AUGMENTED_IMAGES"), (encoder.largest_map, "LARGEST_MAP_IMAGES")):
        plain = place.plain
        monkeypatch.setattr(
            place, "plain", lambda *a, plain=plain, **k: seen.append(len(image_of(a))) or plain(*a, **k)
        )
        monkeypatch.setattr(views, constant, block)
    with shared(monkeypatch, 1):
        objective.augmented(images, view)
        assert seen == sizes
        seen.clear()
        encoder.largest_map(parameters, images, layout)
    assert seen == sizes


def image_of(arguments):
    """The one array of four axes among them."""
    return next(a for a in arguments if getattr(a, "ndim", 0) == 4)
