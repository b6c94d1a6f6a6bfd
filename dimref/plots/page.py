"""A page of HTML that stands alone: no script, nothing fetched, drawings as inline SVG, in light and in dark.

Text is escaped wherever it goes in; what `tag` and the functions below it return is `Markup`, which is not escaped again.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

CSS = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --soft: #5c5c5c; --line: #d5d5d5; --box: #f5f5f3;
  --plus: #0072b2; --minus: #d55e00; --good: #00724f; --bad: #b03a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #151617; --soft: #a4a4a4; --line: #3d3f41;
  --box: #1f2123; --plus: #56b4e9; --minus: #f08a3c; --good: #4cc79d; --bad: #ff9a62; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem clamp(.75rem, 4vw, 2rem) 3rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word }
h1 { font-size: 1.45rem; line-height: 1.3; margin: 0 0 .5rem }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
p { margin: .5rem 0; max-width: 46rem }
.soft, figcaption { color: var(--soft); font-size: .9rem }
.good { color: var(--good); font-weight: 600 }
.bad { color: var(--bad); font-weight: 600 }
.scroll { overflow-x: auto; margin: .5rem 0 1rem }
.wrap { white-space: pre-wrap }
pre { background: var(--box); padding: .75rem; margin: .5rem 0; overflow-wrap: normal }
code { font: .85rem/1.45 ui-monospace, monospace }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line) }
th { font-weight: 600 }
td code { overflow-wrap: anywhere }
thead th { color: var(--soft); font-size: .9rem }
figure { margin: .5rem 0 }
img { display: block; width: 100%; max-width: 48rem; background: #fff } img.wide { min-width: 38rem; max-width: none }
@media (prefers-color-scheme: dark) { img.lines { filter: invert(.93) hue-rotate(180deg) } img.images { padding: .25rem } }
summary { cursor: pointer; padding: .35rem 0 }
@media (max-width: 30rem) { th, td { padding-right: .5rem; font-size: .9rem } }
figure { margin: .75rem 0; min-width: 0 }
.beside { display: flex; flex-wrap: wrap; gap: 0 2rem }
.beside figure { flex: 1 1 14rem }
svg { display: block; width: 100%; max-width: 34rem; height: auto }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif }
svg .soft { fill: var(--soft); font-size: 12px }
svg .grid { stroke: var(--line) } svg .frame { fill: none; stroke: var(--line) }
svg .plus { fill: var(--plus) } svg .minus { fill: var(--minus) } svg .none { fill: var(--soft) }
svg .s0 { stroke: var(--plus); fill: var(--plus) } svg .s1 { stroke: var(--minus); fill: var(--minus) }
svg .s2 { stroke: var(--good); fill: var(--good) } svg .s3 { stroke: var(--soft); fill: var(--soft) }
svg polyline { fill: none !important; stroke-width: 2 } svg .s1 polyline, svg polyline.s1 { stroke-dasharray: 7 3 }
"""
Scale = Callable[[float], float]
COLOURS = 4


class Markup(str):
    """HTML that is not escaped again."""


def tag(name: str, *inside: object, **attributes: object) -> Markup:
    """An element; `class_` is the attribute class, `text_anchor` text-anchor."""
    given = "".join(f' {k.rstrip("_").replace("_", "-")}="{html.escape(str(v))}"' for k, v in attributes.items())
    content = "".join(part if isinstance(part, Markup) else html.escape(str(part)) for part in inside)
    return Markup(f"<{name}{given}/>" if name == "img" else f"<{name}{given}>{content}</{name}>")


def join(parts: Iterable[Markup]) -> Markup:
    return Markup("".join(parts))


def page(title: str, *sections: Markup) -> str:
    """The whole file."""
    head = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    style = Markup(f"<style>{CSS}</style>\n")
    return f"{head}{view}{tag('title', title)}\n{style}</head><body>\n" + "\n".join(sections) + "\n</body></html>\n"


def section(title: str, *inside: object) -> Markup:
    return tag("section", tag("h2", title), *inside)


def table(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> Markup:
    """Rows whose first cell names them."""
    body = [tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows]
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in header))) if header else ""
    return tag("div", tag("table", head, tag("tbody", *body)), class_="scroll")


def code(text: str, wrap: bool = False) -> Markup:
    return tag("pre", tag("code", text), class_="wrap" if wrap else "scroll")


# ---- drawings


def line_chart(series: Mapping[str, Sequence[tuple[float, float]]], x_title: str, y_title: str, x_log: bool = False,
               y_linear: float = math.inf) -> Markup:  # fmt: skip
    """Lines by name; ∞ and NaN are crosses at the upper edge, −∞ at the lower.

    Args:
        x_log: a logarithmic axis of numbers above 0.
        y_linear: linear within ±y_linear, logarithmic beyond it.
    """
    width, height, left, right, top, bottom = 440, 280, 54, 14, 34, 46
    points = [point for line in series.values() for point in line]
    x, x_ticks = _axis([p[0] for p in points], 0.0 if x_log else math.inf, left, width - right)
    y, y_ticks = _axis([p[1] for p in points], y_linear, height - bottom, top)
    parts: list[Markup] = []
    for at in y_ticks:
        parts.append(tag("line", x1=left, x2=width - right, y1=f"{y(at):.1f}", y2=f"{y(at):.1f}", class_="grid"))
        parts.append(tag("text", number(at), x=left - 6, y=f"{y(at) + 4:.1f}", text_anchor="end"))
    for at in x_ticks:
        parts.append(tag("text", number(at), x=f"{x(at):.1f}", y=height - bottom + 17, text_anchor="middle"))
    parts.append(tag("text", x_title, x=(left + width - right) / 2, y=height - 8, text_anchor="middle", class_="soft"))
    parts.append(tag("text", y_title, x=4, y=14, class_="soft"))
    at = width - right
    for k, (name, line) in reversed([*enumerate(series.items())]):
        at -= 7 * len(name)
        parts.append(tag("text", name, x=at, y=14))
        parts.append(tag("polyline", points=f"{at - 26},10 {at - 5},10", class_=f"s{k % COLOURS}"))
        at -= 40
        parts.append(_line(line, x, y, top, height - bottom, f"s{k % COLOURS}"))
    return tag("svg", *parts, viewBox=f"0 0 {width} {height}", role="img", aria_label=f"{y_title} against {x_title}")


def _line(line: Sequence[tuple[float, float]], x: Scale, y: Scale, top: float, bottom: float, style: str) -> Markup:
    """Runs of finite points, and a cross for every other."""
    runs: list[list[str]] = [[]]
    parts = []
    for at, value in line:
        if math.isfinite(value):
            runs[-1].append(f"{x(at):.1f},{y(value):.1f}")
            continue
        runs.append([])
        edge = bottom - 4 if value < 0 else top + 4
        d = f"M{x(at) - 4:.1f} {edge - 4}l8 8m0 -8l-8 8"
        parts.append(tag("path", tag("title", f"{value} at {number(at)}"), d=d, stroke_width=2))
    parts += [tag("polyline", points=" ".join(run)) for run in runs if len(run) > 1]
    parts += [tag("circle", cx=run[0].split(",")[0], cy=run[0].split(",")[1], r=2.5) for run in runs if len(run) == 1]
    return tag("g", *parts, class_=style)


def _axis(values: Sequence[float], linear: float, start: float, end: float) -> tuple[Scale, list[float]]:
    """Where numbers lie between two ends, and numbers to mark: linear within ±`linear` (0: above 0), logarithmic beyond."""
    finite = [v for v in values if math.isfinite(v)] or [float(linear == 0)]
    low, high = min(finite), max(finite)
    if linear == 0:
        bent: Scale = lambda v: math.log10(v)  # noqa: E731
        ticks = [
            10.0**k for k in range(math.floor(bent(low)), max(math.ceil(bent(high)), math.floor(bent(low)) + 1) + 1)
        ]
        low, high = ticks[0], ticks[-1]
    elif math.isfinite(linear):
        bent = lambda v: math.copysign(math.log10(1 + abs(v) / linear), v)  # noqa: E731
        decades = [linear * 10**k for k in range(24) if linear * 10**k <= 10 * max(-low, high, linear)]
        decades = decades[:: 1 + len(decades) // 5]
        low, high = min(low, 0.0), max(high, 0.0)
        ticks = [0.0, *(v for v in decades if v <= 1.01 * high), *(-v for v in decades if -v >= 1.01 * low)]
        if len(ticks) == 1:
            low, high, ticks = -linear, linear, [-linear, 0.0, linear]
    else:
        bent = lambda v: v  # noqa: E731
        low, high = (low, high) if high > low else (low - 1, high + 1)
        step = 10.0 ** math.floor(math.log10((high - low) / 3))
        step *= next((k for k in (5, 2) if (high - low) / (k * step) >= 3), 1)
        ticks = [step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    first, last = bent(low), bent(high)
    return lambda v: start + (end - start) * (bent(v) - first) / (last - first), ticks


def heat_map(array: Any, largest: float, title: str) -> Markup:
    """A matrix: blue above 0, orange below, darker towards ±`largest`; its numbers too where they are few."""
    matrix = np.asarray(array, np.float64)
    matrix = matrix.reshape(1, -1) if matrix.ndim < 2 else matrix.reshape(len(matrix), -1)
    rows, columns = matrix.shape
    few = columns <= 8
    wide, high = (56, 34) if few else (14, 14)
    cells = []
    for i, j in np.ndindex(rows, columns):
        value = float(matrix[i, j])
        share = min(1.0, abs(value) / largest) if largest > 0 and math.isfinite(value) else 1.0
        style = "none" if math.isnan(value) else "plus" if value > 0 else "minus"
        opacity = f"{0.7 * share if value else 0:.3f}"
        place = {"x": j * wide, "y": i * high, "width": wide, "height": high}
        cells.append(tag("rect", tag("title", f"[{i}, {j}] {value:.6g}"), **place, class_=style, fill_opacity=opacity))
        cells.append(tag("rect", **place, class_="frame"))
        if few:
            text = {"x": (j + 0.5) * wide, "y": (i + 0.5) * high + 4, "text_anchor": "middle"}
            cells.append(tag("text", number(value, 3), **text))
    box = f"-1 -1 {columns * wide + 2} {rows * high + 2}"
    drawing = tag("svg", *cells, viewBox=box, role="img", aria_label=title, style=f"max-width:{columns * wide + 2}px")
    return tag("figure", tag("figcaption", title), drawing)


def number(value: float, digits: int = 4) -> str:
    """A short number with a true minus sign."""
    return f"{value + 0.0:.{digits}g}".replace("-", "−").replace("e+0", "e").replace("e−0", "e−").replace("inf", "∞")
