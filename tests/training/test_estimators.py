"""Estimators: the command's training, bit for bit; scikit-learn's manner, by scikit-learn's own checks."""

import copy
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tiny_runs

from dimref import data
from dimref.training import loop
from dimref.training.estimators import AMDIM, DeepInfoMax

pytestmark = pytest.mark.usefixtures("narrow")
SMALL = {"batch_size": 4, "steps": 3}
SMALL_AMDIM = {"ndf": 4, "nrkhs": 16, **SMALL}


@pytest.fixture
def npz(tmp_path):
    return tiny_runs.write_npz(tmp_path / "images.npz", side=32)


@pytest.fixture
def images(npz):
    return data.load("npz", "train", npz).images


@pytest.mark.parametrize(
    ("estimator", "typed"),
    [
        (DeepInfoMax(**SMALL), ()),
        (DeepInfoMax(bound="nwj", global_weight=0.5, seed=3, **SMALL),
         ("--bound", "nwj", "--global-weight", 0.5, "--seed", 3)),
        (AMDIM(**SMALL_AMDIM), ("--preset", "amdim", "--ndf", 4, "--nrkhs", 16)),
    ],
    ids=["default", "both terms", "amdim"],
)  # fmt: skip
def test_the_command_trains_the_same_encoder_bit_for_bit(estimator, typed, npz, images, tmp_path):
    done = tiny_runs.invoke(*tiny_runs.small(npz, "--out", tmp_path / "command", "--no-plot", "--quiet", *typed))
    assert done.exit_code == 0, done.output
    estimator.set_params(run=tmp_path / "python").fit(npz)
    tiny_runs.assert_same_run(tmp_path / "python", tmp_path / "command")
    of_path = estimator.transform(npz)
    assert np.array_equal(estimator.set_params(run=None).fit(images).transform(images), of_path)
    assert np.array_equal(type(estimator).load(tmp_path / "command").transform(images), of_path)
    (_, terms), *_ = estimator.held_out_
    assert terms == tiny_runs.metrics(tmp_path / "command")[-1]["held_out_nats"]


def test_a_fit_that_goes_on_is_the_longer_one(images, tmp_path):
    whole = DeepInfoMax(**SMALL | {"steps": 6}, bound="mine").fit(images)
    part = DeepInfoMax(**SMALL, bound="mine").fit(images)
    part.save(tmp_path / "part.npz")
    for fitted in (
        part,
        DeepInfoMax.load(tmp_path / "part.npz"),
        pickle.loads(pickle.dumps(part)),
        copy.deepcopy(part),
    ):
        assert not np.array_equal(fitted.transform(images), whole.transform(images))
        longer = fitted.set_params(steps=6).fit(images, resume=True)
        assert np.array_equal(longer.transform(images), whole.transform(images))
        assert longer.score(images[:9]) == whole.score(images[:9])
    with pytest.raises(ValueError, match="steps: expected an end at or after step 6, found 3"):
        part.set_params(steps=3).fit(images, resume=True)


def test_score_is_the_weighted_bound_of_the_images_given(images):
    fitted = DeepInfoMax(global_weight=0.5, local_weight=2.0, **SMALL).fit(images)
    terms = fitted.score_terms(images[:8])
    assert fitted.score(images[:8]) == pytest.approx(0.5 * terms["global"] + 2 * terms["local"])
    held_out = images[np.linspace(0, 59, 6).astype(int)]  # those of `fit`
    assert fitted.score_terms(held_out) == fitted.held_out_[-1][1]


@pytest.mark.parametrize("feature", ["conv", "fc", "y"])
def test_a_pipeline_with_a_classifier(feature, images):
    pipeline = pytest.importorskip("sklearn.pipeline")
    linear = pytest.importorskip("sklearn.linear_model")
    seen = []
    encoder = DeepInfoMax(feature=feature, progress=seen.append, **SMALL)
    labels = np.arange(60) % 3
    fitted = pipeline.make_pipeline(encoder, linear.LogisticRegression(max_iter=3000)).fit(images[:50], labels[:50])
    assert [progress.step for progress in seen] == [1, 2, 3]
    assert isinstance(seen[0], loop.Progress)
    if feature == "conv":
        assert fitted.score(images[50:], labels[50:]) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bound": "foo"}, "^bound: expected one of jsd, dv, mine, nwj, infonce, found 'foo'$"),
        ({"epochs": "3"}, "^DeepInfoMax: epochs: expected int, found '3'$"),
        ({"batch_size": 99}, "smaller batch_size"),
        ({"feature": "z"}, "^feature: expected one of conv, fc, y, found 'z'$"),
    ],
)
def test_parameters_that_do_not_fit_are_named(change, words, images):
    with pytest.raises(ValueError, match=words):
        DeepInfoMax(**SMALL | change).fit(images).transform(images)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([1, 2], "images: expected uint8 pixels from 0 to 255, or floats from 0 to 1, found int64"),
        (np.zeros((30, 3, 32, 32), np.uint8), "images: expected channels last"),
        (np.full((30, 32, 32), 7.0), "images: expected floats from 0 to 1, .*found 7 to 7"),
        (np.zeros((30, 16, 16), np.uint8), "images: expected images of 32×32×1, .*, found 16×16×1"),
        ("nowhere", "nowhere: expected a directory"),
    ],
)
def test_images_that_do_not_fit_are_named(wrong, words, images):
    fitted = DeepInfoMax(**SMALL).fit(images)
    for call in (fitted.transform, fitted.score):
        with pytest.raises(ValueError, match=words):
            call(wrong)


def test_images_that_are_read_only_or_floats_or_without_channels(images):
    images.flags.writeable = False
    expected = DeepInfoMax(**SMALL).fit(images).transform(images)
    for same in (images[..., 0], images / 255, images[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(DeepInfoMax(**SMALL).fit(same).transform(same), expected)


def test_scikit_learn_is_not_imported_where_it_is_not_asked_for(npz):
    code = f"""
import sys
from dimref import DeepInfoMax
encoder = DeepInfoMax(batch_size=4, steps=1).fit({str(npz)!r})
encoder.transform({str(npz)!r})
encoder.set_params(**encoder.get_params())
assert "sklearn" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- scikit-learn's checks, whose tables are laid out as grey images


class Tables(DeepInfoMax):
    """Takes the checks' (N, columns) of any numbers: a row's numbers repeat over an image, few rows over 20 images."""

    __init__ = DeepInfoMax.__init__

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
        return tags

    def fit(self, table, y=None, resume=False):
        images = self._images(table, reset=True)
        return super().fit(np.resize(images, (max(20, len(images)), 8, 8, 1)), y, resume)

    def transform(self, table, feature=None):
        self._fitted()
        return super().transform(self._images(table), feature)

    def score(self, table, y=None):
        return super().score(self._images(table))

    def fit_transform(self, table, y=None):
        return self.fit(table).transform(table)

    def _images(self, table, reset=False):
        from sklearn.utils.validation import validate_data

        table = validate_data(self, table, dtype=np.float64, reset=reset)
        return np.stack([np.resize((np.tanh(row) + 1) / 2, (8, 8, 1)) for row in table])


def test_scikit_learn_s_own_checks():
    """None of them is expected to fail."""
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it does not inherit from BaseEstimator, which would import scikit-learn
        pairs = list(checks.estimator_checks_generator(Tables(batch_size=2, steps=1), mark=None))
        assert len(pairs) > 40
        for estimator, check in pairs:
            check(estimator)
