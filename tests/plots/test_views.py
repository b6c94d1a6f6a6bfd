"""The picture of two views: every image in its place, labelled, in grey and in colour."""

import numpy as np
import pytest
import tiny_runs
from png_files import size
from sampling import by_default

from dimref import plots
from dimref.backend import NUMPY
from dimref.commands import pictures
from dimref.export.inference import untrained
from dimref.training import task

pytest.importorskip("matplotlib")


@pytest.mark.parametrize(("channels", "count"), [(1, 1), (3, 4)])
def test_every_image_is_above_its_views(tmp_path, drawn, channels, count):
    rng = np.random.default_rng(0)
    rows = {name: rng.random((count, 6, 6, channels)).astype(np.float32) for name in ("image", "one view", "the other")}
    labels = np.arange(count) % 3 - 1
    path = plots.views(tmp_path, rows, labels, ("round", "square"), "npz", "cropped")
    assert path == tmp_path / "views.png"
    assert size(path)[0] > 150
    (figure,) = drawn
    grid = np.array(figure.axes).reshape(3, count)
    for row, (caption, images) in zip(grid, rows.items(), strict=True):
        assert row[0].get_ylabel() == caption
        for axes, image in zip(row, images, strict=True):
            np.testing.assert_array_equal(axes.images[0].get_array().reshape(image.shape), image)
    assert [axes.get_xlabel() for axes in grid[-1]] == [["", "round", "square"][k % 3] for k in range(count)]
    assert figure.get_suptitle() == "npz\ncropped"


@pytest.mark.parametrize("augmentation", by_default([None, "crop", "none"], "crop"))
def test_a_run_shows_its_own_augmentation(tmp_path, images, undrawn, augmentation):
    config = tiny_runs.config(images, method="amdim", ndf=1, nrkhs=4, augmentation=augmentation)
    prepared = task.prepare(config)
    encoder = untrained(config, prepared.layout, NUMPY, prepared.images)
    rows = dict(pictures.of_encoder(tmp_path, encoder, config, 3))
    assert rows["views"] == str(tmp_path / "views.png")
    shown = [axes.images[0].get_array() for axes in undrawn[-1].axes]
    count = len(shown) // 3
    for image, first, second in zip(shown[:count], shown[count : 2 * count], shown[2 * count :], strict=True):
        assert np.array_equal(first, image) == np.array_equal(second, image) == (augmentation == "none")
    words = {
        None: "shifted by up to 4 pixels, colours",
        "crop": "cropped and enlarged, colours",
        "none": "not augmented",
    }
    assert words[augmentation] in undrawn[-1].get_suptitle()
