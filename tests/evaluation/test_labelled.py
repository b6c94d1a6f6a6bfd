"""Images with labels: which images, and where none can be had. (`tests/commands/test_report.py` sees them in use.)"""

import numpy as np
import pytest
import tiny_runs

from dimref import data
from dimref.evaluation.labelled import Labelled, labelled_images


@pytest.fixture
def found(tmp_path):
    """What a configuration of tiny images finds, with arrays changed and options given."""

    def call(limit=None, options=None, **arrays):
        path = tiny_runs.write_npz(tmp_path / "images.npz", **arrays)
        return labelled_images(tiny_runs.config(path, **(options or {})), limit)

    return call


def test_both_splits_come_whole_with_their_labels(found):
    both = found()
    assert (len(both.train[0]), len(both.test[0]), both.origin) == (60, 30, "test split")
    np.testing.assert_array_equal(both.train[1], np.arange(60) % 3)
    np.testing.assert_array_equal(both.test[1], (np.arange(60) % 3)[::-2])


def test_a_limit_holds_for_both_splits_and_the_configurations_own_for_training_images(found):
    both = found(limit=20)
    assert (len(both.train[0]), len(both.test[0])) == (20, 20)
    both = found(options={"limit": 12})
    assert (len(both.train[0]), len(both.test[0])) == (12, 30)
    both = found(limit=20, options={"limit": 12})
    assert (len(both.train[0]), len(both.test[0])) == (20, 20)


def test_without_a_test_split_the_images_are_parted(found):
    both = found(test_images=None, test_labels=None)
    assert (len(both.train[0]), len(both.test[0])) == (48, 12)
    assert "the encoder has seen them" in both.origin
    together = {image.tobytes() for image in both.train[0]} & {image.tobytes() for image in both.test[0]}
    assert not together


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({}, None),
        ({"test_labels": np.zeros(30, np.int64)}, None),
        ({"labels": None}, None),  # the classifier has test images then
        ({"labels": None, "test_labels": None}, "the images have no labels, or some have none"),
        ({"test_labels": None}, "the images have no labels, or some have none"),
        ({"labels": np.r_[np.zeros(59, np.int64), -1]}, "the images have no labels, or some have none"),
        ({"labels": np.full(60, 7)}, "the training images are all of one class"),
        ({"n": 9}, "9 training images are too few, 10 are the least"),
        ({"n": 10}, None),
    ],
)
def test_labels_that_no_classifier_can_be_judged_by_are_told(found, arrays, reason):
    both = found(**arrays)
    assert both.unfit == reason
    assert len(both.train[0]) == len(both.train[1])


def test_test_images_of_another_size_are_refused(found):
    with pytest.raises(data.DataError, match="expected test images of the training images' size 8×8×1, found 16×16×1"):
        found(test_images=np.zeros((30, 16, 16, 1), np.uint8))


def test_unlabelled_stl10_is_judged_with_the_labels_of_stl10(monkeypatch, tmp_path):
    calls = []

    def load(name, split, *rest, **options):
        calls.append((name, split))
        raise data.DataError("enough")

    config = tiny_runs.config(tmp_path / "images.npz")
    object.__setattr__(config, "data", "stl10-unlabeled")
    monkeypatch.setattr(data, "load", load)
    with pytest.raises(data.DataError):
        labelled_images(config)
    assert calls == [("stl10", "train")]


def test_chance_is_the_share_of_the_commonest_test_label():
    images, labels = np.zeros((4, 8, 8, 1), np.uint8), np.array([0, 1, 1, 1])
    assert Labelled((images, labels), (images, labels), "", "").chance == 0.75
