"""Which pictures a run gets, from what, and what is said where one cannot be drawn."""

import math

import numpy as np
import pytest
import tiny_runs

from dimref import encoders, objectives
from dimref.backend import NUMPY
from dimref.commands import pictures
from dimref.errors import DimrefError
from dimref.evaluation.report import ceilings
from dimref.export.inference import Encoder
from dimref.objectives import Objective
from dimref.training import loop, task
from dimref.training import state as states


@pytest.fixture
def encoder(prepare):
    task = prepare()
    state = states.initial_state(task)
    state, _ = loop.train_step(task, state)
    return Encoder(task.layout, NUMPY, state.parameters["encoder"], state.model["encoder"])


@pytest.fixture
def drawn(monkeypatch):
    """What the pictures were asked to show, by name."""
    calls = {}
    for name in ("filters", "neighbours", "components"):
        monkeypatch.setattr(
            pictures.plots, name, lambda run, *args, name=name: (calls.update({name: args}), run / name)[1]
        )
    return calls


def test_every_picture_is_drawn_from_the_encoder_and_test_images(encoder, images, drawn, tmp_path):
    config = tiny_runs.config(images)
    rows = dict(pictures.of_encoder(tmp_path, encoder, config, 7))
    assert rows == {name: str(tmp_path / name) for name in ("filters", "neighbours", "components")}
    weights, side, title = drawn["filters"]
    assert side == 4
    first, now, change = weights.values()
    assert list(weights) == ["as initialized", "after 7 steps", "the change"]
    assert title == "dim-local on npz, jsd, seed 0"
    np.testing.assert_array_equal(now, encoder.parameters["conv1"]["w"])
    np.testing.assert_array_equal(change, now - first)
    fresh, _ = objectives.init_parameters(task.generator(config.seed, task.INIT, 0), encoder.layout, Objective(0, 1, 0))
    np.testing.assert_array_equal(first, fresh["encoder"]["conv1"]["w"])
    assert np.abs(change).max() > 0
    shown, labels, classes, spaces, _ = drawn["neighbours"]
    found = pictures.some_images(config)
    assert found.split == "test"
    np.testing.assert_array_equal(shown, found.images)
    np.testing.assert_array_equal(labels, found.labels)
    assert classes == ("0", "1", "2")
    np.testing.assert_array_equal(spaces["y"], encoder.features(found.images)["y"])
    np.testing.assert_array_equal(
        spaces["pixels"], encoders.scale(found.images, encoder.layout).reshape(len(shown), -1)
    )
    y, _, _, title = drawn["components"]
    np.testing.assert_array_equal(y, spaces["y"])
    assert title == "dim-local on npz, jsd, seed 0, step 7, test images"


def test_training_images_stand_in_where_there_are_no_test_images(encoder, drawn, tmp_path):
    path = tiny_runs.write_npz(tmp_path / "train.npz", test_images=None, test_labels=None, labels=None)
    rows = dict(pictures.of_encoder(tmp_path, encoder, tiny_runs.config(path), 1))
    assert "neighbours" in rows
    assert drawn["components"][-1].endswith("train images")


def test_a_single_image_has_no_neighbours(encoder, drawn, tmp_path, images, monkeypatch):
    monkeypatch.setattr(pictures, "IMAGES", 1)
    assert set(dict(pictures.of_encoder(tmp_path, encoder, tiny_runs.config(images), 1))) == {"filters", "components"}


def test_data_that_is_gone_leaves_the_filters_and_a_line(encoder, drawn, tmp_path):
    rows = dict(pictures.of_encoder(tmp_path, encoder, tiny_runs.config(tmp_path / "gone.npz"), 1))
    assert list(rows) == ["filters", "images"]
    assert rows["images"].startswith("no pictures of them: ")
    assert "gone.npz" in rows["images"]


def test_a_picture_that_fails_is_a_line_and_no_end():
    def fail():
        raise DimrefError("disk: expected room, found none")

    assert pictures.drawn(fail) == "none: disk: expected room, found none"


@pytest.mark.parametrize(
    ("options", "n", "expected"),
    [
        ({}, 64, {"local": math.log(4)}),
        ({"global_weight": 1, "local_weight": 0}, 64, {"global": math.log(4)}),
        ({"bound": "infonce", "local_scorer": "dot", "local_negatives": "same-location"}, 8, {"local": math.log(8)}),
        ({"bound": "infonce", "local_negatives": "sampled", "candidates": 8}, 5, {"local": math.log(5)}),
        ({"bound": "dv"}, 64, {"local": math.inf}),
    ],
)
def test_ceilings(options, n, expected):
    objective = Objective(**{"global_weight": 0, "local_weight": 1, "prior_weight": 0, **options})
    assert ceilings(objective, n, 16) == pytest.approx(expected)
