"""The probes with a hidden layer, by support vectors and by neighbours, against scikit-learn, brute force and each other."""

import importlib.util
import sys

import numpy as np
import pytest
from fake_cupy import STRICT
from hypothesis import given, settings
from hypothesis import strategies as st

from dimref import layers
from dimref.backend import NUMPY
from dimref.errors import DimrefError
from dimref.evaluation.probes import PROBES, classifier, knn, linear, mlp, problem_of, svm
from dimref.training.fit import Fitted

pytestmark = pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="needs scikit-learn")


def rings(n, seed):
    """Two classes that no line parts: inside and outside of a circle, in two dimensions of three."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, 3)).astype(np.float32)
    return x, ((x[:, 0] ** 2 + x[:, 1] ** 2) > 0.6).astype(np.int64)


def blobs(n, seed, classes=3, features=8, distance=1.0):
    centers = distance * np.random.default_rng(99).standard_normal((classes, features))
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    return (centers[labels] + rng.standard_normal((n, features))).astype(np.float32), labels


BLOBS = problem_of(blobs(300, 0), blobs(300, 1))


# ---- what all of them promise


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(classifier, "LEAST_STEPS", 40)


@pytest.mark.parametrize("name", PROBES)
def test_classes_far_apart_are_told_apart(name, few_steps):
    given = problem_of(blobs(200, 0, distance=8.0), blobs(100, 1, distance=8.0))
    found = PROBES[name](given, 0, NUMPY)
    assert (found.accuracy, found.train_count, found.test_count) == (1.0, 200, 100)


@pytest.mark.parametrize("name", PROBES)
def test_the_test_labels_have_no_part_in_what_is_chosen(name, few_steps):
    x, labels = blobs(120, 1)
    found = [PROBES[name](problem_of(blobs(150, 0), (x, other)), 3, NUMPY) for other in (labels, (labels + 1) % 3)]
    for result in found:
        result.chosen.pop("last", None)  # an accuracy on the test set
    assert found[0].chosen == found[1].chosen
    assert found[0].accuracy > 0.6 > 0.4 > found[1].accuracy


@pytest.mark.parametrize("name", PROBES)
def test_the_same_seed_gives_the_same_result(name, few_steps):
    assert PROBES[name](BLOBS, 5, NUMPY) == PROBES[name](BLOBS, 5, NUMPY)


@pytest.mark.parametrize("name", PROBES)
def test_the_strict_device_gives_numpys_result(name, few_steps):
    given = problem_of(blobs(60, 0), blobs(40, 1))
    assert PROBES[name](given, 0, STRICT) == PROBES[name](given, 0, NUMPY)


@pytest.mark.parametrize("name", PROBES)
def test_a_class_so_rare_that_the_fitted_part_may_lack_it_is_no_trouble(name, few_steps):
    """One sample of ten: for some seed it is left out, and for some it is all that the choice is judged by."""
    x, _ = blobs(10, 0)
    given = problem_of((x, np.eye(10, dtype=np.int64)[0]), (x, np.eye(10, dtype=np.int64)[0]))
    for seed in range(6):
        assert 0.5 <= PROBES[name](given, seed, NUMPY).accuracy <= 1


@pytest.mark.parametrize("name", ["svm", "svm-hinge", "knn"])
def test_without_scikit_learn_one_line_says_what_to_install(name, monkeypatch):
    for module in ("sklearn", "sklearn.svm", "sklearn.neighbors"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DimrefError, match=rf"--probe {name}: .*pip install '\.\[eval\]'"):
        PROBES[name](BLOBS, 0, NUMPY)


# ---- one hidden layer


def test_a_hidden_layer_reads_what_no_line_can(monkeypatch):
    monkeypatch.setattr(mlp, "DROPOUT", 0.0)  # the oracle has none
    given = problem_of(rings(1500, 0), rings(500, 1))
    found = mlp.probe(given, 0, NUMPY).accuracy
    neural_network = pytest.importorskip("sklearn.neural_network")
    oracle = neural_network.MLPClassifier((200,), alpha=1e-3, max_iter=60, tol=0, n_iter_no_change=99, random_state=0)
    with pytest.warns(match="Maximum iterations"):
        oracle.fit(given.x, given.labels)
    assert found == pytest.approx(oracle.score(given.x_test, given.labels_test), abs=0.05)
    assert found > 0.9 > linear.probe(given, 0, NUMPY).accuracy + 0.15


def test_the_network_is_that_of_pytorch_layers_in_the_papers_order():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    parameters = {
        "hidden": {"w": rng.standard_normal((4, 6)), "b": rng.standard_normal(6)},
        "norm": {"gain": rng.standard_normal(6), "shift": rng.standard_normal(6)},
        "out": {"w": rng.standard_normal((6, 3)), "b": rng.standard_normal(3)},
    }
    twin = torch.nn.Sequential(
        torch.nn.Linear(4, 6), torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(6), torch.nn.ReLU(), torch.nn.Linear(6, 3)
    ).double()
    for layer, name, weight, bias in ((0, "hidden", "w", "b"), (2, "norm", "gain", "shift"), (4, "out", "w", "b")):
        twin[layer].weight.data = torch.tensor(parameters[name][weight].T)
        twin[layer].bias.data = torch.tensor(parameters[name][bias])
    x, kept = rng.standard_normal((5, 4)), (rng.random((5, 6)) > 0.5) * 2.0
    twin[1].forward = lambda hidden: hidden * torch.tensor(kept)
    found, running = mlp._forward(parameters, layers.init_running(6), x, kept)
    np.testing.assert_allclose(found, twin(torch.tensor(x)).detach(), atol=1e-12)
    twin.eval()
    twin[1].forward = lambda hidden: hidden
    expected = twin(torch.tensor(x)).detach()
    np.testing.assert_allclose(
        mlp._forward(parameters, running, x)[0], expected, atol=1e-5
    )  # float32 running statistics


def test_a_tenth_of_the_units_is_dropped_and_the_rest_makes_up_for_it(monkeypatch):
    seen = []

    def fitted(loss, parameters, batches, schedule, state):
        seen.append(next(batches)[2])
        return [Fitted(schedule.steps, parameters, state)]

    monkeypatch.setattr(mlp, "states", fitted)
    mlp.probe(problem_of(blobs(300, 0), blobs(300, 1)), 0, NUMPY)
    kept = np.concatenate(seen)
    assert kept.dtype == np.float32
    assert set(np.unique(kept)) == {np.float32(0), np.float32(1 / 0.9)}
    assert (kept == 0).mean() == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize(
    ("best", "lengths"),
    [((1e-4, 10), (10, 30)), ((1e-3, 30), (10, 30, 100)), ((0.0, 100), (10, 30, 100))],
    ids=["the first", "the second", "the last"],
)
def test_length_and_penalty_are_the_best_trials_and_no_longer_one_follows_a_loss(monkeypatch, best, lengths):
    """Trials see a fifth and its rest; the result is the mean of the last epochs on the test set, beside the last."""
    calls = []

    def accuracies(problem, epochs, penalty, rng, backend):
        calls.append((len(problem.x), len(problem.x_test), penalty, epochs))
        return np.array([0.2, 0.4]) + (0.1 + epochs / 1000) * (epochs <= best[1]) + 0.1 * ((penalty, epochs) == best)

    monkeypatch.setattr(mlp, "_accuracies", accuracies)
    found = mlp.probe(BLOBS, 0, NUMPY)
    assert calls == [(240, 60, p, n) for n in lengths for p in mlp.PENALTIES] + [(300, 300, *best)]
    assert (found.chosen["penalty"], found.chosen["epochs"]) == best
    assert found.chosen["last"] - found.accuracy == pytest.approx(0.1)


def test_the_accuracies_are_those_after_each_epoch_of_the_last_fifth(monkeypatch):
    seen = []
    monkeypatch.setattr(mlp, "_accuracy", lambda *rest: seen.append(rest) or len(seen))
    monkeypatch.setattr(classifier, "BATCH", 100)
    monkeypatch.setattr(classifier, "LEAST_STEPS", 1)
    np.testing.assert_array_equal(mlp._accuracies(BLOBS, 10, 0.0, np.random.default_rng(0), NUMPY), [1, 2])


# ---- support vectors


@pytest.mark.parametrize(("name", "loss"), [("svm", "squared_hinge"), ("svm-hinge", "hinge")])
def test_a_support_vector_machine_is_scikit_learns_at_the_best_of_the_strengths(name, loss):
    machine = pytest.importorskip("sklearn.svm").LinearSVC
    given = problem_of(blobs(600, 0, distance=0.6), blobs(600, 1, distance=0.6)).standardized
    scores = [
        machine(C=s / 8, loss=loss, max_iter=10_000).fit(given.x, given.labels).score(given.x_test, given.labels_test)
        for s in svm.STRENGTHS
    ]
    found = PROBES[name](given, 0, NUMPY)
    assert 0.5 < found.accuracy < 0.95
    assert found.accuracy == pytest.approx(scores[svm.STRENGTHS.index(found.chosen["C"] * 8)], abs=0.01)


@pytest.mark.parametrize("strength", svm.STRENGTHS)
def test_the_weights_are_those_of_the_primal_solver_to_the_end(strength):
    machine = pytest.importorskip("sklearn.svm").LinearSVC
    given = problem_of(blobs(300, 0, distance=0.6), blobs(9, 1)).standardized
    primal = machine(C=strength / 8, dual=False, tol=1e-8, max_iter=10_000).fit(given.x, given.labels).coef_
    found = svm._fit(given.x, given.labels, strength, "squared_hinge").coef_
    assert np.linalg.norm(found - primal) < 0.05 * np.linalg.norm(primal)


# ---- neighbours


@given(seed=st.integers(0, 2**20), n=st.integers(1, 30), k=st.integers(1, 8), classes=st.integers(2, 5))
@settings(max_examples=40)
def test_the_majority_is_that_of_counting_and_the_nearest_breaks_a_tie(seed, n, k, classes):
    near = np.random.default_rng(seed).integers(0, classes, (n, k))
    found = knn._majority(near, classes)
    for row, label in zip(near.tolist(), found, strict=True):
        assert label == max(dict.fromkeys(row), key=row.count)  # the first of the commonest


def test_neighbours_are_those_of_brute_force():
    rng = np.random.default_rng(0)
    x, points = rng.standard_normal((50, 4)), rng.standard_normal((7, 4))
    distances = ((points[:, None] - x[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(knn._nearest(x, points, 5), distances.argsort(axis=1)[:, :5])


def test_neighbours_read_what_no_line_can_and_choose_few_of_them():
    given = problem_of(rings(1000, 0), rings(400, 1))
    found = knn.probe(given, 0, NUMPY)
    assert found.accuracy > linear.probe(given, 0, NUMPY).accuracy + 0.15
    assert found.chosen["k"] <= 50


def test_many_neighbours_are_chosen_where_labels_are_noisy():
    rng = np.random.default_rng(0)

    def draw(n):
        labels = rng.integers(0, 2, n)
        seen = np.where(rng.random(n) < 0.3, 1 - labels, labels)
        return (labels[:, None] + 0.1 * rng.standard_normal((n, 2))).astype(np.float32), seen

    assert knn.probe(problem_of(draw(500), draw(200)), 0, NUMPY).chosen["k"] >= 20
