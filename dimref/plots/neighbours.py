"""Images and what lies nearest to them, in the representation and, beside it, in the pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dimref.plots.style import BLUE, class_name, new_figure, save

QUERIES, NEAREST = 6, 5


def neighbours(
    run: Path,
    images: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    spaces: dict[str, np.ndarray],
    title: str,
) -> Path:
    """Draw into neighbours.png: a row for each of some images, with its nearest of all the others in each space.

    A frame says that an image is of the query's class.

    Args:
        images: (N, H, W, C) uint8, N at least 2. labels: (N,), −1 = unlabelled. classes: names of the labels.
        spaces: (N, P) by name; near is a small Euclidean distance.
    Raises:
        DimrefError: matplotlib is missing. RunError: the picture cannot be written.
    """
    shown = queries(labels)
    count = min(NEAREST, len(images) - 1)
    by_space = {name: nearest(points, count) for name, points in spaces.items()}
    known = labels >= 0
    figure = new_figure(1.0 * (1 + (count + 0.4) * len(spaces)), 1.22 * len(shown) + 1.1)
    ratios = [1.0] + [0.4, *[1.0] * count] * len(spaces)
    grid = figure.subplots(len(shown), len(ratios), squeeze=False, width_ratios=ratios)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, query in zip(grid, shown, strict=True):
        _show(row[0], images[query], class_name(classes, labels[query]))
        for k, index in enumerate(by_space.values()):
            for axes, other in zip(row[2 + k * (count + 1) :], index[query], strict=False):
                framed = known[query] and labels[other] == labels[query]
                _show(axes, images[other], class_name(classes, labels[other]), framed)
    grid[0][0].set_title("query", fontsize="medium")
    for k, (name, index) in enumerate(by_space.items()):
        share = f": {100 * (labels[index[:, 0]] == labels)[known].mean():.0f} % share the class" if known.any() else ""
        grid[0][2 + k * (count + 1) + count // 2].set_title(f"nearest in {name}{share}", fontsize="medium")
    legend = "\nframed: of the query's class; %: of the one nearest image, over "
    figure.suptitle(title + (f"{legend}{known.sum():,} images" if known.any() else ""), fontsize="medium")
    return save(figure, run / "neighbours.png")


def queries(labels: np.ndarray, most: int = QUERIES) -> np.ndarray:
    """Which images are shown: the first of each of some classes, evenly spread; of unlabelled ones, the first."""
    _, first = np.unique(labels, return_index=True)
    if len(first) == 1:
        return np.arange(min(most, len(labels)))
    return first[np.unique(np.linspace(0, len(first) - 1, min(most, len(first))).astype(int))]


def nearest(points: np.ndarray, count: int) -> np.ndarray:
    """The indices (N, count) of the nearest other points of each of (N, P), the nearest first."""
    points = points - points.mean(axis=0)
    squares = (points**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * points @ points.T
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1, kind="stable")[:, :count]


def _show(axes: Any, image: np.ndarray, name: str, framed: bool = False) -> None:
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    axes.imshow(image[:, :, 0] if image.shape[2] == 1 else image, cmap="gray", vmin=0, vmax=255)
    axes.set_xlabel(name, fontsize=8, labelpad=4)
    for spine in axes.spines.values():
        spine.set_visible(framed)
        spine.set(color=BLUE, linewidth=4)
