"""The linear probe against scikit-learn, at its extremes, and its choice of a penalty."""

import numpy as np
import pytest

from dimref.backend import NUMPY
from dimref.evaluation.probes import classifier, linear_probe, problem_of
from dimref.evaluation.probes import linear as module
from dimref.evaluation.probes.linear import PENALTIES


def gaussian_classes(n, classes=4, features=20, distance=1.0, seed=0):
    """Classes around random centers, on features of very different scales: (train, test) of n samples each."""
    rng = np.random.default_rng(seed)
    centers, scales = distance * rng.standard_normal((classes, features)), 10.0 ** rng.integers(-2, 3, features)

    def draw():
        labels = rng.integers(0, classes, n)
        x = (centers[labels] + rng.standard_normal((n, features))) * scales + 5 * scales
        return x.astype(np.float32), labels.astype(np.int64)

    return draw(), draw()


@pytest.mark.parametrize(("classes", "features", "distance"), [(2, 5, 0.7), (4, 20, 0.5)])
def test_accuracy_is_that_of_scikit_learns_logistic_regression(classes, features, distance):
    linear_model = pytest.importorskip("sklearn.linear_model")
    train, test = gaussian_classes(1500, classes, features, distance)
    center, scale = train[0].mean(axis=0), train[0].std(axis=0)
    x, x_test = (train[0] - center) / scale, (test[0] - center) / scale

    def score(penalty):  # ours is on the mean of the losses, scikit-learn's on their sum
        oracle = linear_model.LogisticRegression(C=1 / (penalty * len(x)), max_iter=500).fit(x, train[1])
        return oracle.score(x_test, test[1])

    found = linear_probe(train, test)
    assert 0.3 < found.accuracy < 0.97  # a problem on which probes can differ
    assert found.accuracy == pytest.approx(score(found.chosen["penalty"]), abs=0.015)
    assert found.accuracy > max(score(penalty) for penalty in PENALTIES) - 0.02


@pytest.fixture
def few_steps(monkeypatch):
    """For what does not depend on how well the probe is fitted."""
    monkeypatch.setattr(classifier, "LEAST_STEPS", 40)


def test_features_that_know_nothing_give_chance():
    rng = np.random.default_rng(1)

    def draw():
        return rng.standard_normal((1000, 30)).astype(np.float32), rng.integers(0, 5, 1000)

    assert linear_probe(draw(), draw()).accuracy == pytest.approx(0.2, abs=0.05)  # 4 standard errors


@pytest.mark.parametrize("best", range(4))
def test_the_penalty_is_that_of_the_best_accuracy_on_what_was_left_out(few_steps, monkeypatch, best):
    train, test = gaussian_classes(100)
    counts = []

    def accuracies(problem, *rest):
        counts.append(len(problem.x_test))
        return np.eye(4)[best]

    monkeypatch.setattr(module, "_accuracies", accuracies)
    assert linear_probe(train, test).chosen["penalty"] == PENALTIES[best]
    assert counts == [20, 100]  # a fifth of the training set, then the test set, once


def test_a_penalty_that_hides_the_signal_is_not_chosen(monkeypatch):
    """The label is the small difference of two features that share a large noise: it takes large weights."""
    monkeypatch.setattr(module, "PENALTIES", (10.0, 1e-4))
    rng = np.random.default_rng(0)

    def draw():
        labels, noise = rng.integers(0, 2, 1000), 3 * rng.standard_normal(1000)
        return np.stack([noise + labels, noise], axis=1).astype(np.float32), labels

    found = linear_probe(draw(), draw())
    assert found.chosen["penalty"] == 1e-4
    assert found.accuracy > 0.85


def test_the_test_set_has_no_part_in_the_standardization(few_steps):
    train, (x, labels) = gaussian_classes(300)
    alone = [linear_probe(train, (x[k : k + 1], labels[k : k + 1])).accuracy for k in range(3)]
    assert np.mean(alone) == linear_probe(train, (x[:3], labels[:3])).accuracy


def test_the_scale_of_a_feature_does_not_matter(few_steps):
    (x, labels), (x_test, labels_test) = gaussian_classes(300, distance=0.5)
    scaled = linear_probe((x * 1024, labels), (x_test * 1024, labels_test))  # exact in floating point
    assert scaled == linear_probe((x, labels), (x_test, labels_test))


def test_constant_features_are_no_trouble(few_steps):
    (x, labels), (x_test, labels_test) = gaussian_classes(200, distance=6.0)
    x[:, 3] = x_test[:, 3] = 7.0
    assert linear_probe((x, labels), (x_test, labels_test)).accuracy == 1.0
    nothing = np.ones((50, 4), np.float32)
    assert 0 <= linear_probe((nothing, labels[:50]), (nothing, labels_test[:50])).accuracy <= 1


def test_the_fewest_samples_will_do_and_fewer_are_refused(few_steps):
    (x, labels), (x_test, labels_test) = gaussian_classes(40)
    assert linear_probe((x[:10], labels[:10]), (x_test[:1], labels_test[:1])).train_count == 10
    for n, m in ((9, 5), (20, 0)):
        with pytest.raises(ValueError, match=f"needs 10 training samples and 1 test sample, had {n} and {m}"):
            linear_probe((x[:n], labels[:n]), (x_test[:m], labels_test[:m]))


def test_labels_are_names_and_not_numbers(few_steps):
    """Labels with gaps cost nothing, and a class that only the test set has is one that is never guessed right."""
    (x, labels), (x_test, labels_test) = gaussian_classes(300, distance=0.5)
    names = np.array([3, 70_000, 10, 2**40])
    plain = linear_probe((x, labels), (x_test, labels_test))
    sorted_names = np.sort(names)
    assert linear_probe((x, sorted_names[labels]), (x_test, sorted_names[labels_test])) == plain
    assert linear_probe((x, labels), (x_test, np.full(300, 9))).accuracy == 0


def test_each_penalty_is_fitted_as_if_alone():
    """Side by side in one layer, the classifiers share no weight: each ends where it ends alone."""
    (x, labels), _ = gaussian_classes(250, classes=3, features=6)
    given = problem_of((x, labels), (x, labels)).standardized
    wide = module._fit(given, (1e-3, 1.0), np.random.default_rng(0), NUMPY)
    for k, penalty in enumerate((1e-3, 1.0)):
        alone = module._fit(given, (penalty,), np.random.default_rng(0), NUMPY)
        np.testing.assert_allclose(wide["w"][:, 3 * k : 3 * k + 3], alone["w"], rtol=1e-3, atol=1e-5)
    assert np.linalg.norm(wide["w"][:, :3]) > 2 * np.linalg.norm(wide["w"][:, 3:])
