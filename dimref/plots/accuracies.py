"""Accuracies of probes as bars, beside their baselines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dimref.errors import DimrefError
from dimref.plots.style import BLUE, GREY, ORANGE, new_figure, save, tidy
from dimref.training import choices
from dimref.training.files import need_file, read_small
from dimref.training.signals import killable

EVALUATION = "evaluation.json"
TITLES = {
    "linear": "linear", "mlp": "one hidden layer", "svm": "linear SVM", "svm-hinge": "SVM, hinge",
    "knn": "k nearest neighbours",
}  # fmt: skip
ENCODERS = {"trained": {"color": BLUE}, "untrained": {"color": "white", "edgecolor": ORANGE, "hatch": "///"}}
WIDTH = 0.38


def accuracies(run: Path, title: str) -> Path:
    """Draw the probes in a run's evaluation.json into accuracies.png: a panel a probe, bars for conv, fc and y.

    Whiskers are the standard deviation over seeds, where there are several; lines are raw pixels and chance.

    Raises:
        DimrefError: matplotlib or evaluation.json is missing, or the file is damaged or holds no probe.
    """
    cells, chance = read_probes(run / EVALUATION)
    probes = list(dict.fromkeys(name for name, _, _ in cells))
    figure = new_figure(1.2 + 3.0 * len(probes), 4.4)
    panels = figure.subplots(1, len(probes), sharey=True, squeeze=False)[0]
    for axes, probe in zip(panels, probes, strict=True):
        _draw_probe(axes, {key[1:]: value for key, value in cells.items() if key[0] == probe}, chance)
        axes.set_title(TITLES.get(probe, probe))
        tidy(axes)
        axes.grid(visible=False, axis="x")
    panels[0].set_ylim(0, 1.15 * max(mean + spread for mean, spread in cells.values()) or 1)
    panels[0].set_ylabel("accuracy on test images (%)")
    named = {n: handle for axes in panels for handle, n in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(named.values(), named, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    figure.suptitle(title)
    return save(figure, run / "accuracies.png")


def _draw_probe(axes: Any, cells: dict[tuple[str, str], tuple[float, float]], chance: float) -> None:
    features = [name for name in choices.FEATURES if any(key[1] == name for key in cells)]
    for side, (encoder, style) in zip((-0.5, 0.5), ENCODERS.items(), strict=True):
        for place, feature in enumerate(features):
            if (encoder, feature) not in cells:
                continue
            mean, spread = cells[encoder, feature]
            x = place + side * WIDTH
            axes.bar(x, mean, WIDTH * 0.94, label=encoder, zorder=2, **style)
            if spread:
                axes.errorbar(x, mean, spread, color="black", capsize=3, linewidth=1)
            axes.annotate(
                f"{mean:.1f}", (x, mean + spread), (0, 3), textcoords="offset points", ha="center", fontsize=8
            )
    if ("raw", "pixels") in cells:
        axes.axhline(cells["raw", "pixels"][0], color=GREY, label="raw pixels", zorder=1)
    axes.axhline(chance, color=GREY, linestyle=":", label="chance", zorder=1)
    axes.set_xticks(range(len(features)), features)
    axes.set_xlim(-0.6, max(len(features), 1) - 0.4)


Cells = dict[tuple[str, str, str], tuple[float, float]]  # (probe, encoder, feature) → mean and deviation in %


@killable()
def read_probes(path: Path) -> tuple[Cells, float]:
    """The probes in an evaluation.json, and chance, all in %; a deviation that is not known is 0.

    Raises:
        DimrefError: the file is missing, damaged or holds no probe.
    """
    need_file(path)
    try:
        content = json.loads(read_small(path).decode())
    except OSError as error:
        raise DimrefError(
            f"{path}: expected the results of dimref evaluate, found: {error.strerror or error}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DimrefError(f"{path}: expected JSON, found: {error}") from None
    try:
        cells = {
            (str(cell["name"]), str(cell["encoder"]), str(cell["feature"])): (
                100 * float(cell["mean"]), 100 * float(cell["std"] or 0)
            )
            for cell in content["results"]
            if cell["kind"] == "probe" and cell["name"] in choices.PROBES
        }  # fmt: skip
        chance = 100 * float(content["data"]["chance"] or 0)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DimrefError(
            f"{path}: expected results as dimref evaluate writes them, found a fault at {error}"
        ) from None
    if not cells:
        raise DimrefError(f"{path}: expected at least one known probe, found none")
    for percent in (chance, *(v for value in cells.values() for v in value)):
        if not 0 <= percent <= 100:
            raise DimrefError(
                f"{path}: expected accuracies, deviations and chance from 0 to 1, found {percent / 100:g}"
            )
    return cells, chance
