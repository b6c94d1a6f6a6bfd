"""The representation's first two principal components, one point an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dimref.plots.style import GREY, class_name, class_style, legend_below, new_figure, save, tidy

MOST = 10  # classes that get a style of their own; the rest are grey


def components(run: Path, y: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], title: str) -> Path:
    """Draw the first two principal components of y into components.png, coloured by label.

    Args:
        y: (N, D). labels: (N,), −1 = unlabelled. classes: names of the labels.
    Raises:
        DimrefError: matplotlib is missing. RunError: the picture cannot be written.
    """
    points, shares = principal(y)
    known, counts = np.unique(labels[labels >= 0], return_counts=True)
    chosen = np.sort(known[np.argsort(-counts, kind="stable")[:MOST]])
    figure = new_figure(8, 7)
    axes = figure.subplots()
    rest = ~np.isin(labels, chosen)
    if rest.any():
        name = f"{len(known) - len(chosen)} other classes" if len(chosen) else "no labels"
        axes.scatter(*points[rest].T, s=8, color=GREY, alpha=0.35, linewidths=0, label=name)
    for k, label in enumerate(chosen):
        own = points[labels == label]
        axes.scatter(*own.T, s=18, alpha=0.55, linewidths=0, **class_style(k))
    for k, label in enumerate(chosen):  # above every point: where each class has its middle
        middle = points[labels == label].mean(axis=0)
        name = class_name(classes, label)
        axes.scatter(*middle, s=90, edgecolors="white", linewidths=1.5, label=name, **class_style(k))
    axes.margins(0.02)
    for which, (set_label, share) in enumerate(zip((axes.set_xlabel, axes.set_ylabel), shares, strict=True), start=1):
        set_label(f"component {which} of y ({100 * share:.1f} % of its variance)")
    tidy(axes)
    handles = axes.get_legend_handles_labels()[0]
    legend_below(axes, [*handles[1:], *handles[:1]] if rest.any() else handles, columns=5, gap=0.09)
    large = "; large markers: means of classes" if len(chosen) else ""
    axes.set_title(f"{title}\nrepresentation y of {len(y):,} images{large}", fontsize="medium")
    return save(figure, run / "components.png")


def principal(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first two principal components (N, 2) of y (N, D), and the share of the variance that each holds, (2,)."""
    centred = y - y.mean(axis=0, dtype=np.float64)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    points, variances = np.zeros((len(y), 2)), np.zeros(2)  # one image, or one dimension, has fewer
    shown = min(2, len(singular))
    points[:, :shown] = centred @ axes[:shown].T
    variances[:shown] = singular[:shown] ** 2
    return points, variances / max((singular**2).sum(), 1e-12)
