"""First-layer filters as images: every weight in its place, zero in the middle of the range."""

import itertools

import numpy as np
import pytest
from png_files import size

from dimref import plots
from dimref.plots.filters import mosaic

pytest.importorskip("matplotlib")


@pytest.mark.parametrize(("channels", "count"), [(1, 5), (3, 7), (3, 64), (1, 1)])
def test_every_weight_is_where_it_belongs(channels, count):
    w = np.random.default_rng(0).standard_normal((16 * channels, count))
    found = mosaic(w, 4, 5.0)
    columns = int(np.ceil(np.sqrt(count)))
    rows = int(np.ceil(count / columns))
    assert found.shape == (rows * 5 - 1, columns * 5 - 1) + ((3,) if channels == 3 else ())
    expected = np.ones((rows * 5 - 1, columns * 5 - 1, channels))
    for k, i, j, c in itertools.product(range(count), range(4), range(4), range(channels)):
        value = w[(i * 4 + j) * channels + c, k]
        expected[k // columns * 5 + i, k % columns * 5 + j, c] = 0.5 + value / 10
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-12)


def test_a_filter_of_zeros_is_grey():
    assert set(np.unique(mosaic(np.zeros((48, 1)), 4, 0.0))) == {0.5}


@pytest.mark.parametrize("channels", [1, 3])
def test_each_entry_gets_its_panel_and_caption(tmp_path, drawn, channels):
    w = np.random.default_rng(0).standard_normal((16 * channels, 9)).astype(np.float32)
    path = plots.filters(tmp_path, {"as initialized": w, "after 3 steps": 2 * w, "the change": w - w}, 4, "shapes, jsd")
    assert path == tmp_path / "filters.png"
    assert size(path)[0] > 1000
    (figure,) = drawn
    titles = [axes.get_title().split(", within ±") for axes in figure.axes]
    assert [caption for caption, _ in titles] == ["as initialized", "after 3 steps", "the change"]
    for (_, scale), axes, shown in zip(titles, figure.axes, (w, 2 * w, w - w), strict=True):
        assert float(scale) == pytest.approx(np.abs(shown).max(), rel=0.06)
        np.testing.assert_allclose(axes.images[0].get_array(), mosaic(shown, 4, np.abs(shown).max()))
    assert "9 filters of 4×4 pixels" in figure.get_suptitle()
