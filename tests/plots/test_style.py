"""The style that the pictures share: colours that differ, names that fit, files that are whole."""

import builtins
import itertools
import re

import numpy as np
import pytest
from png_files import size

from dimref import plots
from dimref.errors import DimrefError
from dimref.plots import style
from dimref.training.files import RunError

pytest.importorskip("matplotlib")


def luminance(colour):
    """Relative luminance of #rrggbb (WCAG 2)."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_ten_classes_have_a_colour_and_a_marker_each_and_a_hundred_differ_in_one():
    styles = [tuple(style.class_style(k).values()) for k in range(100)]
    assert len(set(styles)) == 100
    assert all(len(set(kind)) == 10 for kind in zip(*styles[:10], strict=True))
    for one, other in itertools.pairwise(styles):
        assert one[0] != other[0]
        assert one[1] != other[1]


def test_every_colour_stands_out_from_white():
    for colour in (*style.CLASS_COLOURS, style.BLUE, style.ORANGE, style.GREEN, style.GREY):
        assert re.fullmatch("#[0-9A-Fa-f]{6}", colour)
        assert 1.05 / (luminance(colour) + 0.05) > 2


@pytest.mark.parametrize(
    ("label", "name"),
    [(0, "cat"), (1, "a name that i…"), (2, "horizontal bar"), (3, "3"), (-1, "")],
)
def test_names_of_classes_fit_below_an_image(label, name):
    assert style.class_name(("cat", "a name that is long", "horizontal bar"), label) == name
    assert len(name) <= 14


@pytest.mark.parametrize(
    "name",
    [
        "$\\frac{",
        "_hidden",
        *(
            pytest.param(name, marks=pytest.mark.exhaustive)
            for name in ("$x^$", "two\nlines", "猫", "\x00", "a$b$c", "\\")
        ),
    ],
)
def test_a_class_may_be_called_anything(tmp_path, drawn, name):
    y = np.random.default_rng(0).standard_normal((6, 2))
    plots.components(tmp_path, y, np.arange(6) % 2, (name, "other"), "title")
    texts = [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()]
    assert texts == [style.class_name((name,), 0), "other"]
    images = np.zeros((6, 8, 8, 3), np.uint8)
    plots.neighbours(tmp_path, images, np.arange(6) % 2, (name, "other"), {"y": y}, "title")


def test_a_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    figure = style.new_figure(2, 1)
    assert size(style.save(figure, tmp_path / "x.png")) == (220, 110)
    before = (tmp_path / "x.png").read_bytes()

    def full(file, **options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", full)
    with pytest.raises(RunError, match=r"x\.png: expected to write it, found: No space left"):
        style.save(figure, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


def test_a_legend_lies_below_its_axes():
    figure = style.new_figure(4, 4)
    axes = figure.subplots()
    (line,) = axes.plot([1, 2], label="line")
    style.legend_below(axes, [line], 1, gap=0.1)
    figure.canvas.draw()
    assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0


def test_without_matplotlib_one_line_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert not plots.available()
    with pytest.raises(DimrefError, match=r"pip install '\.\[plot\]'"):
        style.new_figure(1, 1)
