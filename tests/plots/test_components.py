"""Principal components against scikit-learn's; every image is a point, every class has its own look."""

import numpy as np
import pytest
from png_files import size

from dimref import plots
from dimref.plots.components import principal

pytest.importorskip("matplotlib")


def draw(n=50, d=6):
    return (np.random.default_rng(0).standard_normal((n, d)) * np.arange(1, d + 1) + 7).astype(np.float32)


def test_components_are_those_of_scikit_learn():
    decomposition = pytest.importorskip("sklearn.decomposition")
    y = draw()
    points, shares = principal(y)
    pca = decomposition.PCA(2).fit(y.astype(float))
    np.testing.assert_allclose(np.abs(points), np.abs(pca.transform(y.astype(float))), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(shares, pca.explained_variance_ratio_, rtol=1e-6)


def test_components_are_uncorrelated_and_centred_and_their_shares_add_up():
    y = draw(d=2)
    points, shares = principal(y)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-9)
    assert abs(points[:, 0] @ points[:, 1]) < 1e-6
    assert shares.sum() == pytest.approx(1)
    assert shares[0] > shares[1]


@pytest.mark.parametrize("y", [np.ones((5, 3)), np.ones((1, 3)), np.arange(4.0)[:, None]])
def test_degenerate_representations_have_components_of_zero(y):
    points, shares = principal(y)
    assert points.shape == (len(y), 2)
    np.testing.assert_allclose(points[:, 1], 0, atol=1e-12)
    assert np.isfinite(shares).all()


def scattered(axes):
    return [c for c in axes.collections if len(c.get_offsets())]


@pytest.mark.parametrize(("classes", "styled"), [(3, 3), (10, 10), (25, 10)])
def test_classes_have_their_own_look_and_what_is_beyond_ten_is_grey(tmp_path, drawn, classes, styled):
    y, labels = draw(100), np.arange(100) % classes
    path = plots.components(tmp_path, y, labels, tuple(f"kind {k}" for k in range(classes)), "title")
    assert path == tmp_path / "components.png"
    assert 700 < min(size(path)) < 1200
    axes = drawn[0].axes[0]
    clouds = scattered(axes)
    rest = int(classes > styled)
    assert len(clouds) == rest + 2 * styled  # points, and the mean of each class
    offsets = np.concatenate([c.get_offsets() for c in clouds[: rest + styled]])
    points, shares = principal(y)
    np.testing.assert_allclose(np.sort(offsets[:, 0]), np.sort(points[:, 0]))
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts[:styled] == [f"kind {k}" for k in range(styled)]
    assert texts[styled:] == [f"{classes - styled} other classes"] * rest
    first = clouds[rest + styled]
    np.testing.assert_allclose(first.get_offsets()[0], points[labels == 0].mean(axis=0))
    assert axes.get_xlabel() == f"component 1 of y ({100 * shares[0]:.1f} % of its variance)"
    assert axes.get_ylabel() == f"component 2 of y ({100 * shares[1]:.1f} % of its variance)"


def test_unlabelled_images_are_grey_points(tmp_path, undrawn):
    plots.components(tmp_path, draw(), np.full(50, -1), (), "title")
    axes = undrawn[0].axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["no labels"]
    assert "means" not in axes.get_title()
