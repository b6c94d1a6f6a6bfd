"""The blocks of a page: escaped, well formed, and drawn where the numbers say."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from dimref.plots import page


def parsed(markup):
    return ElementTree.fromstring(str(markup))


def test_text_is_escaped_once_wherever_it_goes_in():
    nasty = "<script>'&\""
    whole = page.page(nasty, page.section(nasty, page.table([(nasty, nasty)], (nasty,)), page.code(nasty)),
                      page.line_chart({nasty: [(1, 2.0)]}, nasty, nasty), page.heat_map([[1.0]], 1.0, nasty),
                      page.tag("p", "", title=nasty))  # fmt: skip
    assert "<script" not in whole
    assert "&amp;lt;" not in whole
    assert whole.count("&lt;script&gt;") == 1 + 5 + 5 + 2 + 1
    body = whole[whole.index("<body>") : whole.index("</body>") + 7]
    assert "".join(parsed(body).itertext()).count(nasty) >= 8


def test_a_page_fetches_nothing_and_has_both_colours():
    whole = page.page("x")
    assert not re.findall(r"(?i)https?:|url\(|@import|<script|<link|src=", whole)
    assert "prefers-color-scheme: dark" in whole
    assert "width=device-width" in whole


def points(chart, style):
    """Where the lines of one style have points, without the legend's."""
    group = next(g for g in parsed(chart).iter("g") if g.get("class") == style)
    return [[tuple(map(float, p.split(","))) for p in line.get("points").split()] for line in group.iter("polyline")]


def test_equal_steps_of_an_axis_are_equal_lengths():
    (line,) = points(page.line_chart({"a": [(0, 0.0), (1, 5.0), (2, 10.0)]}, "x", "y"), "s0")
    assert np.diff([p[0] for p in line]) == pytest.approx([line[1][0] - line[0][0]] * 2, abs=0.2)
    assert np.diff([p[1] for p in line]) == pytest.approx([line[1][1] - line[0][1]] * 2, abs=0.2)
    assert line[0][1] > line[1][1]  # up is smaller
    (line,) = points(
        page.line_chart({"a": [(1, 0.0), (10, 1.0), (100, 100.0), (1000, -1e4)]}, "x", "y", True, 0.01), "s0"
    )
    assert np.diff([p[0] for p in line]) == pytest.approx([line[1][0] - line[0][0]] * 3, abs=0.2)
    up = [line[0][1] - p[1] for p in line]
    assert [y / up[1] for y in up] == pytest.approx([0, 1, 4 / 2.0043, -6 / 2.0043], abs=0.02)


def test_what_is_not_finite_breaks_the_line_and_is_a_cross_at_its_edge():
    chart = page.line_chart({"a": [(1, 0.0), (2, 1.0), (3, math.nan), (4, -math.inf), (5, 2.0), (6, 1.0)]}, "x", "y")
    assert [len(line) for line in points(chart, "s0")] == [2, 2]
    high, low = (float(re.match(r"M\S+ (\S+)l", cross.get("d"))[1]) for cross in parsed(chart).iter("path"))
    assert high < 60 < 200 < low


@pytest.mark.parametrize("line", [[], [(1, math.nan)], [(1, 0.0)], [(3, 7.0), (3, 7.0)]])
@pytest.mark.parametrize("bent", [(False, math.inf), (True, 1e-3)])
def test_a_chart_of_little_is_a_chart(line, bent):
    text = str(page.line_chart({"a": line}, "x", "y", *bent))
    assert "nan" not in "".join(re.findall(r'(?:points|d|x\d?|y\d?)="([^"]*)"', text))


def test_a_heat_map_has_a_cell_for_each_number_darker_towards_the_largest():
    cells = [
        c for c in parsed(page.heat_map([[1.0, -2.0], [0.0, math.nan]], 2.0, "t")).iter("rect") if c.get("fill-opacity")
    ]
    assert [c.get("class") for c in cells] == ["plus", "minus", "minus", "none"]
    dark = [float(c.get("fill-opacity")) for c in cells]
    assert dark[1] == pytest.approx(2 * dark[0])
    assert dark[2] == 0
    assert len(list(parsed(page.heat_map(np.ones((3, 20)), 1.0, "t")).iter("text"))) == 0  # too many for numbers
    assert len(list(parsed(page.heat_map(np.ones((2, 3, 2)), 1.0, "t")).iter("text"))) == 12
