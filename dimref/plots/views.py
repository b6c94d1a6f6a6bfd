"""Images above the two random views that are encoded of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dimref.plots.style import class_name, new_figure, save


def views(
    run: Path, rows: dict[str, np.ndarray], labels: np.ndarray, classes: tuple[str, ...], title: str, note: str
) -> Path:
    """Draw into views.png: a column for each image, a row for it and one for each of its views.

    Args:
        rows: (N, H, W, C) float in [0, 1] by caption; all of one shape.
        labels: (N,), −1 = unlabelled. classes: names of the labels. note: how the views were made.
    Raises:
        DimrefError: matplotlib is missing. RunError: the picture cannot be written.
    """
    count = len(labels)
    figure = new_figure(1.05 * count + 0.8, 1.08 * len(rows) + 0.9)
    grid = figure.subplots(len(rows), count, squeeze=False)
    for row, (caption, images) in zip(grid, rows.items(), strict=True):
        for axes, image in zip(row, images, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.imshow(image[:, :, 0] if image.shape[2] == 1 else image, cmap="gray", vmin=0, vmax=1)
        row[0].set_ylabel(caption)
    for axes, label in zip(grid[-1], labels, strict=True):
        axes.set_xlabel(class_name(classes, label), fontsize=8)
    figure.suptitle(f"{title}\n{note}", fontsize="medium")
    return save(figure, run / "views.png")
