"""The first layer's filters, as small images."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from dimref.plots.style import new_figure, save

GAP = 1  # white pixels between two filters


def filters(run: Path, weights: dict[str, np.ndarray], side: int, title: str) -> Path:
    """Draw first-layer weights into filters.png: a mosaic for each entry, its filters on one scale around mid-grey = 0.

    Args:
        weights: (side²·C, F) by caption, C = 1 or 3. side: of a filter, in pixels.
    Raises:
        DimrefError: matplotlib is missing. RunError: the picture cannot be written.
    """
    figure = new_figure(4.4 * len(weights), 5)
    figure.get_layout_engine().set(w_pad=0.15)
    for axes, (caption, w) in zip(figure.subplots(1, len(weights), squeeze=False)[0], weights.items(), strict=True):
        largest = float(np.abs(w).max())
        axes.imshow(mosaic(w, side, largest), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(f"{caption}, within ±{largest:.2g}")
        axes.set_axis_off()
    figure.suptitle(f"{title}\nfirst layer: {w.shape[1]} filters of {side}×{side} pixels; mid-grey is 0, each panel has "
                    "one scale", fontsize="medium")  # fmt: skip
    return save(figure, run / "filters.png")


def mosaic(w: np.ndarray, side: int, largest: float) -> np.ndarray:
    """Filters (side²·C, F) one beside the other, ±largest as [0, 1]: (rows·(side + 1) − 1, the same, C), or two axes."""
    count = w.shape[1]
    channels = w.shape[0] // side**2
    images = w.T.reshape(count, side, side, channels)
    images = 0.5 + 0.5 * images / max(largest, 1e-12)
    columns = math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    pitch = side + GAP
    canvas = np.ones((rows * pitch - GAP, columns * pitch - GAP, channels))
    for k, image in enumerate(images):
        top, left = pitch * (k // columns), pitch * (k % columns)
        canvas[top : top + side, left : left + side] = image
    return canvas[:, :, 0] if channels == 1 else canvas
