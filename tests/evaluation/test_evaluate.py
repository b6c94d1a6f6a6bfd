"""The whole evaluation: which cells there are, what they are made of, that features are shared, and what cannot be had."""

import sys

import numpy as np
import pytest
import tiny_runs
from fake_cupy import STRICT

from dimref import encoders
from dimref.backend import NUMPY
from dimref.errors import DimrefError
from dimref.evaluation import evaluate as module
from dimref.evaluation.evaluate import Cell, Requested, evaluate
from dimref.evaluation.labelled import Labelled
from dimref.evaluation.probes import linear_probe
from dimref.export import inference


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    tiny_runs.narrow(monkeypatch)


def labelled(n=60, side=12, seed=0):
    """Images in three grey levels, their label."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    images = (rng.integers(0, 60, (n, side, side, 1)) + 70 * labels[:, None, None, None]).astype(np.uint8)
    return Labelled((images, labels), (images[::-1], labels[::-1]), "test split", "these images")


def encoder(seed=0, backend=NUMPY, side=12):
    layout = encoders.Layout(side, 1, width=2, fc=6, representation=4)
    trees = encoders.init_encoder(np.random.default_rng(seed), layout)
    return inference.Encoder(layout, backend, *map(backend.tree_to_device, trees))


def keys(cells):
    return [(cell.kind, cell.name, cell.encoder, cell.feature) for cell in cells]


def test_every_probe_is_on_every_feature_and_on_the_pixels_once():
    networks = {"trained": encoder(0), "untrained": encoder(1)}
    requested = Requested(("linear", "mlp"), ("ndm",), (0, 1))
    calls = []
    cells = list(evaluate(networks, labelled(), requested, lambda text, done: calls.append((text, done))))
    expected = []
    for name in networks:
        expected.append(("measure", "ndm", name, "y"))
        expected += [("probe", probe, name, kind) for kind in ("conv", "fc", "y") for probe in ("linear", "mlp")]
    expected += [("probe", probe, "raw", "pixels") for probe in ("linear", "mlp")]
    assert keys(cells) == expected
    assert all(len(cell.values) == len(cell.details) == 2 for cell in cells)
    assert all(len(set(cell.values)) == 2 for cell in cells if cell.name == "ndm")  # a value for each seed
    assert sum(done for _, done in calls) == requested.count(encoders=2) == 2 * len(cells)
    assert ("mlp of fc, untrained, seed 1", 1) in calls


def test_the_cells_are_those_of_the_probe_on_the_features():
    both, found = encoder(), labelled()
    cells = {
        (cell.encoder, cell.feature): cell
        for cell in evaluate({"trained": both}, found, Requested(("linear",), (), (4, 5)))
    }
    train, test = (both.features(images) for images, _ in (found.train, found.test))
    pixels = [images.reshape(60, -1) / np.float32(127.5) - 1 for images, _ in (found.train, found.test)]
    given = {("trained", kind): (train[kind], test[kind]) for kind in train} | {("raw", "pixels"): tuple(pixels)}
    assert cells.keys() == given.keys()
    for key, (x, x_test) in given.items():
        results = [linear_probe((x, found.train[1]), (x_test, found.test[1]), seed) for seed in (4, 5)]
        assert cells[key].values == tuple(result.accuracy for result in results)
        assert cells[key].details == tuple(result.chosen for result in results)


def test_features_are_computed_once_for_all_probes_measures_and_seeds(monkeypatch):
    calls = []
    batches = inference.Encoder.batches

    def counted(self, images, kinds):
        calls.append(len(images))
        return batches(self, images, kinds)

    monkeypatch.setattr(inference.Encoder, "batches", counted)
    requested = Requested(("linear", "knn"), ("ndm",), (0, 1, 2))
    list(evaluate({"trained": encoder()}, labelled(), requested))
    assert calls == [60, 60]  # training images, test images


def test_measures_alone_need_no_labels_and_ask_for_y_alone(monkeypatch):
    kinds = []
    features = inference.Encoder.features

    def seen(self, images, requested):
        kinds.append(requested)
        return features(self, images, requested)

    monkeypatch.setattr(inference.Encoder, "features", seen)
    found = labelled()
    unlabelled = Labelled((found.train[0], np.full(60, -1)), (found.test[0], np.full(60, -1)), "", "")
    cells = list(evaluate({"trained": encoder()}, unlabelled, Requested((), ("mine", "ndm", "ms-ssim"), (0,))))
    assert keys(cells) == [("measure", name, "trained", "y") for name in ("mine", "ndm", "ms-ssim")]
    assert kinds == [("y",), ("y",)]
    mine, ndm, alike = cells
    low, high = mine.interval
    assert low <= mine.mean <= high
    assert set(mine.details[0]) == {"steps", "interval"}
    assert ndm.interval is alike.interval is None
    assert 0 <= alike.mean <= 1


def test_only_the_features_asked_for_are_probed():
    requested = Requested(("knn",), (), (0,), ("fc",))
    assert [cell.feature for cell in evaluate({"trained": encoder()}, labelled(), requested)] == ["fc", "pixels"]


def test_the_strict_device_gives_numpys_cells():
    requested = Requested(("linear", "mlp"), ("mine", "ndm"), (0,))
    host, device = (list(evaluate({"trained": encoder(backend=b)}, labelled(45), requested)) for b in (NUMPY, STRICT))
    for one, other in zip(host, device, strict=True):
        assert one.values == pytest.approx(other.values, abs=1e-6)


def test_an_encoder_that_gives_no_numbers_is_refused(monkeypatch):
    broken = encoder()
    broken.parameters["y"]["b"][1] = np.nan
    with pytest.raises(DimrefError, match="encoder, trained: expected finite features, found NaN or infinity in y"):
        list(evaluate({"trained": broken}, labelled(), Requested(("knn",), (), (0,))))


# ---- cells


def test_mean_deviation_and_interval_are_over_seeds():
    details = ({"interval": [1.0, 3.0]}, {"interval": [2.0, 5.0]})
    cell = Cell("measure", "mine", "trained", "y", (2.0, 4.0), details)
    assert (cell.mean, cell.std, cell.interval) == (3.0, pytest.approx(np.sqrt(2)), (1.5, 4.0))
    alone = Cell("probe", "knn", "raw", "pixels", (0.5,), ({"k": 5},))
    assert (alone.mean, alone.std, alone.interval) == (0.5, None, None)


# ---- what cannot be had


@pytest.mark.parametrize(
    ("name", "n", "side", "reason"),
    [
        ("linear", 60, 12, None),
        ("knn", 60, 12, None),
        ("linear", 9, 12, "9 training images are too few, 10 are the least"),
        ("svm", 9, 12, "9 training images are too few, 10 are the least"),
        ("mine", 40, 12, None),
        ("mine", 39, 12, "needs 40 training and 40 test images, found 39 and 39"),
        ("ndm", 39, 12, "needs 40 training and 40 test images, found 39 and 39"),
        ("ms-ssim", 39, 11, None),
        ("ms-ssim", 60, 10, "no window of 11×11 pixels fits into images of 10×10"),
        ("ms-ssim", 1, 12, "needs 2 training and 2 test images, found 1 and 1"),
    ],
)
def test_obstacles_are_known_before_anything_is_computed(name, n, side, reason):
    assert module.obstacle(name, labelled(n, side), encoder(side=side).layout) == reason


def test_scikit_learn_is_missed_by_its_probes_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    for name in ("svm", "knn"):
        assert "pip install '.[eval]'" in module.obstacle(name, labelled(), encoder().layout)
    for name in ("linear", "mlp", "mine"):
        assert module.obstacle(name, labelled(), encoder().layout) is None
