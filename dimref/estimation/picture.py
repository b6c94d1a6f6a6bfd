"""The training of an estimate's critics, and where the held-out estimate lies beside it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from dimref.estimation.estimator import TERMS, MutualInformation
from dimref.estimation.report import label
from dimref.plots.style import BLUE, GREEN, GREY, ORANGE, legend_below, new_figure, save, tidy


def draw(path: Path, fits: list[MutualInformation], neighbours: float | None) -> Path:
    """Draw a panel for each bound: its value on the validation part at every evaluation, and the held-out bands.

    Args:
        fits: fitted, one for each bound.
        neighbours: the nearest-neighbour estimate in nats, where there is one.
    Raises:
        DimrefError: matplotlib is missing, or the file cannot be written.
    """
    figure = new_figure(max(4.2 * len(fits), 6.5), 4.6)
    for axes, fit in zip(figure.subplots(1, len(fits), squeeze=False)[0], fits, strict=True):
        _panel(axes, fit, neighbours)
    first = fits[0]
    figure.suptitle(f"{first.critic} critic, {first.transform}, {len(first.histories_)} critics for each bound")
    return save(figure, path)


def _panel(axes: Any, fit: MutualInformation, neighbours: float | None) -> None:
    objective = fit.objective
    handles: list[Any] = []
    for history in fit.histories_:
        steps, nats = zip(*history, strict=True)
        handles[:1] = axes.plot(steps, nats, color=BLUE, lw=1, alpha=0.6, label=f"{objective}, validation")
        best = max(range(len(nats)), key=nats.__getitem__)
        handles[1:2] = axes.plot(steps[best], nats[best], "o", color=BLUE, ms=4, ls="none", label="best state")
    tops = [value for history in fit.histories_ for _, value in history if math.isfinite(value)]
    estimates = fit.terms_[TERMS[0]] if fit.terms_ else fit.estimates_  # of what the curves are
    shown = [next(iter(estimates.values())), *(each for each in estimates.values() if each.reading == objective)]
    for each, colour in zip(dict.fromkeys(shown), (ORANGE, GREEN), strict=False):
        low, high = each.interval
        line = axes.axhline(each.nats, color=colour, lw=1.5)
        line.set_label(f"{label(fit.bound, each.reading)}, held out: {each.nats:.3f} [{low:.3f}, {high:.3f}]")
        axes.axhspan(low, high, color=colour, alpha=0.2, lw=0)
        handles.append(line)
        tops.append(high)
    if neighbours is not None:
        handles.append(axes.axhline(neighbours, color=GREY, ls=":", lw=1.5, label=f"KSG: {neighbours:.3f}"))
        tops.append(neighbours)
    starts = [history[0][1] for history in fit.histories_ if math.isfinite(history[0][1])]
    low = min([each.interval[0] for each in shown] + starts)  # a critic that fails falls out of the picture
    for each in dict.fromkeys(shown):
        if each.ceiling - max(tops) < max(tops) - low:
            handles.append(axes.axhline(each.ceiling, color=GREY, ls="--", lw=1, label=f"ceiling {each.ceiling:.3f}"))
            tops.append(each.ceiling)
    span = max(max(tops) - low, 0.01)
    axes.set_ylim(low - 0.1 * span, max(tops) + 0.1 * span)
    axes.set(title=f"{fit.bound}, {TERMS[0]}" if fit.terms_ else fit.bound, xlabel="training step", ylabel="nats")
    tidy(axes)
    legend_below(axes, handles, columns=1)
