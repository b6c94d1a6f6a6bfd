"""Nearest neighbours: by brute force, never the image itself, framed where the class is the query's."""

import numpy as np
import pytest
from png_files import size

from dimref import plots
from dimref.plots.neighbours import nearest, queries
from dimref.plots.style import BLUE

to_hex = pytest.importorskip("matplotlib.colors").to_hex


def some(n=30, side=6, channels=3, classes=10):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, side, side, channels), dtype=np.uint8)
    return images, np.arange(n) % classes, tuple(f"kind {k}" for k in range(classes)), rng.standard_normal((n, 4))


def test_the_nearest_are_the_nearest():
    points = np.random.default_rng(1).standard_normal((40, 3)) + 100  # far from the origin
    found = nearest(points.astype(np.float32), 5)
    for i in range(40):
        others = [j for j in range(40) if j != i]
        expected = sorted(others, key=lambda j, i=i: ((points[i] - points[j]) ** 2).sum())[:5]
        assert found[i].tolist() == expected


def test_an_image_is_never_its_own_neighbour_even_beside_its_double():
    points = np.zeros((3, 2))
    assert all(i not in row for i, row in enumerate(nearest(points, 2).tolist()))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([2, 1, 0, 1, 2], [2, 1, 0]),  # the first of each class, in their order
        (list(range(20)), [0, 3, 7, 11, 15, 19]),  # six of many, spread evenly
        ([-1] * 9, [0, 1, 2, 3, 4, 5]),  # no labels
        ([5, 5], [0, 1]),
    ],
)
def test_which_images_are_asked_for(labels, expected):
    assert queries(np.array(labels)).tolist() == expected


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [2, pytest.param(100, marks=pytest.mark.exhaustive)])
def test_rows_show_the_query_and_its_nearest_in_each_space(tmp_path, drawn, channels, classes):
    images, labels, names, y = some(120, channels=channels, classes=classes)
    pixels = images.reshape(120, -1).astype(float)
    path = plots.neighbours(tmp_path, images, labels, names, {"y": y, "pixels": pixels}, "title")
    assert path == tmp_path / "neighbours.png"
    assert 900 < size(path)[0] < 1600
    (figure,) = drawn
    asked = queries(labels)
    grid = np.array(figure.axes).reshape(len(asked), 13)
    for row, query in zip(grid, asked, strict=True):
        shown = [query, *nearest(y, 5)[query], *nearest(pixels, 5)[query]]
        for axes, index in zip(row[[0, *range(2, 7), *range(8, 13)]], shown, strict=True):
            expected = images[index] if channels == 3 else images[index, :, :, 0]
            np.testing.assert_array_equal(axes.images[0].get_array(), expected)
            assert axes.get_xlabel() == names[labels[index]]
            framed = axes.spines["left"].get_visible()
            assert framed == (axes is not row[0] and labels[index] == labels[query])
            assert axes.spines["left"].get_edgecolor()[:3] == pytest.approx(
                [int(BLUE[k : k + 2], 16) / 255 for k in (1, 3, 5)]
            )
    titles = [axes.get_title() for axes in grid[0] if axes.get_title()]
    share = [100 * np.mean([labels[row[0]] == labels[i] for i, row in enumerate(nearest(s, 1))]) for s in (y, pixels)]
    assert titles == ["query", f"nearest in y: {share[0]:.0f} % share the class",
                      f"nearest in pixels: {share[1]:.0f} % share the class"]  # fmt: skip


def test_unlabelled_images_have_no_frames_and_no_shares(tmp_path, undrawn):
    images, labels, _, y = some()
    plots.neighbours(tmp_path, images, labels * 0 - 1, (), {"y": y}, "title")
    (figure,) = undrawn
    assert not any(axes.spines["left"].get_visible() for axes in figure.axes if axes.images)
    assert figure.axes[4].get_title() == "nearest in y"
    assert figure.get_suptitle() == "title"


def test_two_images_are_enough(tmp_path):
    images, labels, names, y = some(2)
    assert plots.neighbours(tmp_path, images, labels, names, {"y": y}, "title").exists()
