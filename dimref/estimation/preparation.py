"""How samples become what a critic scores: transformed, and beside that their features in a Gaussian's log ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dimref.backend import Backend
from dimref.estimation import canonical
from dimref.estimation.canonical import Canonical
from dimref.estimation.transforms import TRANSFORMS, Transform
from dimref.trees import Array, Tree


@dataclass(frozen=True)
class Preparation:
    """Fitted on a training part, applied to any samples."""

    x_transform: Transform
    y_transform: Transform
    gaussian: Canonical
    backend: Backend

    def sides(self, x: np.ndarray, y: np.ndarray, factor: float) -> tuple[Tree, Tree]:
        """x (N, D) and y (M, D') as critics take them, float32 on the device.

        Args:
            factor: of the canonical correlations, in [0, 1].
        """
        x, y = self.x_transform(x), self.y_transform(y)
        left, right = self.gaussian.features(x, y, factor)
        found = [
            {"values": values.astype(np.float32), "gaussian": gaussian} for values, gaussian in ((x, left), (y, right))
        ]
        return self.backend.tree_to_device(found[0]), self.backend.tree_to_device(found[1])


def fit(x: np.ndarray, y: np.ndarray, transform: str, backend: Backend) -> Preparation:
    """Transforms and canonical correlations of a training part x (N, D), y (N, D')."""
    x_transform, y_transform = TRANSFORMS[transform](x), TRANSFORMS[transform](y)
    return Preparation(x_transform, y_transform, canonical.fit(x_transform(x), y_transform(y)), backend)


def rows_of(side: Tree, rows: Array | slice) -> Tree:
    """Some of the samples of one of the two `sides`."""
    return {name: values[rows] for name, values in side.items()}
