"""Features of a frozen encoder."""

from __future__ import annotations

import numpy as np

from dimref import encoders
from dimref.backend import Tree
from dimref.task import Task


def encode_images(task: Task, parameters: Tree, model: Tree, images: np.ndarray) -> dict[str, np.ndarray]:
    """conv, fc and y of images with a frozen encoder, batch norm in inference mode: (N, side²·channels), (N, fc), (N, D)."""
    parts: dict[str, list[np.ndarray]] = {"conv": [], "fc": [], "y": []}
    for start in range(0, len(images), 250):
        batch = task.backend.to_device(encoders.scale(images[start : start + 250], task.layout))
        encoding, _ = encoders.encode(parameters["encoder"], model["encoder"], batch, task.layout, training=False)
        for name, value in zip(parts, (encoders.flatten(encoding.last_map), encoding.fc, encoding.y), strict=True):
            parts[name].append(task.backend.to_host(value))
    return {name: np.concatenate(pieces) for name, pieces in parts.items()}
