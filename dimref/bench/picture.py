"""The growth of cost as a picture, with matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dimref.bench.report import threads
from dimref.plots.style import BLUE, GREY, ORANGE, new_figure, save, tidy

TITLES = {
    "infonce": ("InfoNCE of N pairs", "N", "seconds"),
    "train": ("a training step", "images in the dataset", "seconds"),
    "encode": ("encoding a dataset", "images", "seconds"),
}
CURVES = {
    "infonce": (("gradient", "loss and gradient", BLUE), ("loss", "loss", ORANGE)),
    "train": (("step", "step", BLUE),),
    "encode": (("seconds", "all images", BLUE),),
}
EXPECTED = {"infonce": (2, "∝ N²"), "train": (0, "constant"), "encode": (1, "linear")}


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw the three ladders of `growth.grow`: time on log-log axes beside the growth that the mathematics has.

    Raises:
        DimrefError: matplotlib is missing, or the file cannot be written. OSError: the directory cannot be made.
    """
    figure = new_figure(12, 3.8)
    for axes, kind in zip(figure.subplots(1, 3), TITLES, strict=True):
        _draw_ladder(axes, kind, result[kind]["rows"])
    machine = result["machine"]
    figure.suptitle(f"{machine['processor']}, {threads(result['options'])}", fontsize="medium")
    path.parent.mkdir(parents=True, exist_ok=True)
    save(figure, path)


def _draw_ladder(axes: Any, kind: str, rows: list[dict[str, Any]]) -> None:
    from matplotlib import ticker

    title, x_label, y_label = TITLES[kind]
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    tidy(axes)
    if not rows:
        return
    x = [row["n"] for row in rows]
    for name, label, colour in CURVES[kind]:
        axes.plot(x, [row[name] for row in rows], color=colour, marker="o", ms=4, label=label)
    power, label = EXPECTED[kind]
    times = [row[CURVES[kind][0][0]] for row in rows]
    line = [times[-1] * (n / x[-1]) ** power for n in x]
    axes.plot(x, line, color=GREY, ls="--", lw=1, label=label)
    axes.set_xscale("log")
    axes.minorticks_off()
    if power:
        axes.set_yscale("log")
        few = ticker.LogFormatterSciNotation(minor_thresholds=(2, 0.4))  # numbers between powers of ten
        axes.yaxis.set_minor_formatter(few)
    else:
        axes.set_ylim(0, 1.2 * max(times))  # a constant is compared from 0
    ticks = x[::-2][::-1] if len(x) > 5 else x
    axes.set_xticks(ticks, [_short(n) for n in ticks])
    axes.legend(frameon=False, fontsize="small")


def _short(n: int) -> str:
    """1,048,576 as "1M", 16,384 as "16k", in powers of 1024 where it is a multiple of them."""
    for size, letter in ((2**20, "M"), (2**10, "k")):
        if n % size == 0:
            return f"{n // size}{letter}"
    return f"{n:,}"
