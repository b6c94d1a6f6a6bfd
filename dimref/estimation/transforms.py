"""Transforms of one variable at a time, fitted on the training part and applied to held-out samples.

An invertible one leaves mutual information as it is, and any other can only lower it (data processing), so a bound after
a transform is a bound before it. What they change is how hard the critic's task is: heavy tails, above all.

A column that is constant in the training part becomes 0: it says nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dimref.backend import Backend
from dimref.estimation import gaussian_critic
from dimref.estimation.gaussian_critic import GaussianCritic
from dimref.trees import Array, Tree

Transform = Callable[[np.ndarray], np.ndarray]  # (N, D) → (N, D), float64
Pair = tuple[np.ndarray, np.ndarray]  # x and y, transformed

QUARTILES = 1.349  # a normal distribution's interquartile range in standard deviations


def standardize(train: np.ndarray) -> Transform:
    """(x − mean) / standard deviation, per column. Units and offsets do not matter; tails stay as heavy as they are."""
    size = _size(train)
    mean, deviation = (train / size).mean(axis=0), (train / size).std(axis=0)
    deviation = np.where(_constant(train), np.inf, deviation)
    return lambda x: (x / size - mean) / deviation


def asinh(train: np.ndarray) -> Transform:
    """asinh((x − median) / scale), standardized; scale from the quartiles. Tails become logarithmic."""
    low, median, high = np.quantile(train, (0.25, 0.5, 0.75), axis=0)
    spread = high / QUARTILES - low / QUARTILES
    # Half the samples on one value: the quartiles meet, and the standard deviation has to do.
    scale = np.where(
        spread > 0, spread, np.where(_constant(train), 1, (train / _size(train)).std(axis=0) * _size(train))
    )

    def bend(x: np.ndarray) -> np.ndarray:
        return np.arcsinh(x / scale - median / scale)

    straighten = standardize(bend(train))
    return lambda x: straighten(bend(x))


def rank(train: np.ndarray) -> Transform:
    """Normal scores: Φ⁻¹ of the share of training values below, ties in the middle of their ranks.

    Whatever the margins were, they become standard normal: outliers and units do not matter. Not invertible between two
    training values and beyond the last: what that loses is of the order 1/N.
    """
    columns, n = np.sort(train, axis=0), len(train)
    constant = _constant(train)

    def transform(x: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        for k in range(x.shape[1]):
            below = np.searchsorted(columns[:, k], x[:, k], "left")
            not_above = np.searchsorted(columns[:, k], x[:, k], "right")
            share = np.clip((below + not_above) / (2 * n), 0.5 / n, 1 - 0.5 / n)
            out[:, k] = 0 if constant[k] else normal_quantile(share)
        return out

    return transform


TRANSFORMS = {"rank": rank, "standardize": standardize, "asinh": asinh}


def normal_quantile(share: np.ndarray) -> np.ndarray:
    """Φ⁻¹, by interpolation in a table of Φ; within 1e-4 up to six standard deviations, ±6 beyond."""
    return np.interp(share, _PHI, _GRID)


@dataclass(frozen=True)
class Preparation:
    """How samples become what a critic scores: transformed, and beside that their features in a Gaussian's log ratio.

    Fitted on a training part, applied to any samples.
    """

    x_transform: Transform
    y_transform: Transform
    gaussian: GaussianCritic
    backend: Backend

    def transformed(self, x: np.ndarray, y: np.ndarray) -> Pair:
        """Samples x (N, D) and y (M, D') as they are: what the other methods take."""
        return self.x_transform(x), self.y_transform(y)

    def sides(self, transformed: Pair, factor: float) -> tuple[Tree, Tree]:
        """Both sides as critics take them, float32 on the device.

        Args:
            factor: of the canonical correlations, in [0, 1].
        """
        x, y = transformed
        left, right = self.gaussian.features(x, y, factor)
        sides = [
            {"values": values.astype(np.float32), "gaussian": gaussian} for values, gaussian in ((x, left), (y, right))
        ]
        return self.backend.tree_to_device(sides[0]), self.backend.tree_to_device(sides[1])


def prepare(x: np.ndarray, y: np.ndarray, transform: str, backend: Backend) -> tuple[Preparation, Pair]:
    """Transforms and canonical correlations of a training part x (N, D), y (N, D'); and that part, transformed."""
    transforms = TRANSFORMS[transform](x), TRANSFORMS[transform](y)
    transformed = transforms[0](x), transforms[1](y)
    return Preparation(*transforms, gaussian_critic.fit(*transformed), backend), transformed


def rows_of(side: Tree, rows: Array | slice) -> Tree:
    """Some of the samples of one of the two `sides`."""
    return {name: values[rows] for name, values in side.items()}


def _constant(train: np.ndarray) -> np.ndarray:
    return train.max(axis=0) == train.min(axis=0)


def _size(train: np.ndarray) -> np.ndarray:
    """The largest number of each column, to divide by before anything is squared: 1e300 has no square."""
    return np.maximum(np.abs(train).max(axis=0), np.finfo(np.float64).tiny)


_GRID = np.linspace(-6, 6, 2401)
_PHI = np.array([statistics.NormalDist().cdf(z) for z in _GRID])
