"""How far two arrays may lie apart and still be the same: rounding, and nothing else.

The yardstick is the reference's own rounding. A second graph gets the reference's arrays for the names that the other
side has, so that what it expects differs from the reference by what float32 does to a right implementation there. To
that comes a share of the array's scale, and for a sum that cancels (a bias's gradient under InfoNCE is exactly 0) of the
scale of its terms.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dimref.audit.trace.graph import Graph

FORWARD, GRADIENT = 48, 1024  # units of the coarser precision's eps, relative to the largest element
OWN_ROUNDING = 16
LOOSE = 16  # times wider, where an array is held against the reference's and not against what follows from theirs
FLIPPED, FLIP = 2e-3, 0.05  # a ReLU at 0 may open by rounding: so many elements of a gradient may be so far off
NATS = ("bound", "bound_by_location", "certified", "loss", "value", "discriminator_loss", "encoder_loss")


class Tolerance:
    """Which differences between their array and an expected one are rounding.

    Args:
        theirs: the graph on their arrays. own: the graph on the reference's arrays of the same names.
        reference: the trace's arrays, float64. eps: of the reference's precision. lr: Adam's.
    """

    def __init__(self, theirs: Graph, own: Graph, reference: dict[str, np.ndarray], eps: float, lr: float) -> None:
        self._theirs, self._own, self._reference, self._eps, self._lr = theirs, own, reference, eps, lr

    def close(self, name: str, found: np.ndarray, expected: np.ndarray | None, eps: float, times: float = 1) -> bool:
        """Whether `found`, stored with precision `eps`, is `expected` up to rounding."""
        if expected is None or found.shape != expected.shape:
            return False
        if not np.isfinite(found).all() or not np.isfinite(expected).all():
            return bool(np.array_equal(found, expected, equal_nan=True))
        eps = max(eps, self._eps)
        error = np.abs(found - expected)
        scale = _largest(expected)
        relative = GRADIENT if name.startswith(("gradient/", "after/adam/")) else FORWARD
        allowed = times * relative * eps * max(scale, 1.0 if name.rpartition("/")[2] in NATS else 0.0)
        if (error <= allowed).all():
            return True
        allowed = allowed + times * (OWN_ROUNDING * self._own_rounding(name) + self._terms(name, expected, eps))
        far = error > allowed
        if not far.any():
            return True
        return relative == GRADIENT and far.mean() <= FLIPPED and float(error.max()) <= FLIP * scale

    def _own_rounding(self, name: str) -> float:
        expected = self._own.expected(name)
        reference = self._reference.get(name)
        if expected is None or reference is None or reference.shape != np.shape(expected):
            return 0.0
        return _largest(reference - expected)

    def _terms(self, name: str, expected: np.ndarray, eps: float) -> Any:
        """Rounding of the terms of a sum, where the sum itself may be near 0."""
        if name.startswith("gradient/parameters/") and name.endswith(("/b", "/shift")):
            users = self._theirs.consumers.get(name.removeprefix("gradient/"), [])
            arrays = [self._theirs.filled(f"gradient/{user.name}") for user in users]
            return 4 * eps * sum(float(np.abs(a).sum()) for a in arrays if a is not None)
        if name.startswith("after/adam/"):
            moment, path = name[len("after/adam/")], name.split("/", 3)[3]
            noise, g = self._of_gradient(path, eps)
            return 0.1 * noise if moment == "m" else 1e-3 * (2 * np.abs(g) + noise) * noise
        if name.startswith("after/parameters/"):
            noise, g = self._of_gradient(name.removeprefix("after/parameters/"), eps)
            return self._lr * np.minimum(2.2, 4 * noise / np.maximum(np.abs(g), 1e-300))  # the first step is lr·sign(g)
        return 0.0

    def _of_gradient(self, path: str, eps: float) -> tuple[Any, np.ndarray]:
        """Rounding of a parameter's gradient, and the gradient."""
        name = f"gradient/parameters/{path}"
        g = self._theirs.filled(name)
        if g is None:
            return 0.0, np.asarray(0.0)
        return GRADIENT * eps * _largest(g) + OWN_ROUNDING * self._own_rounding(name) + self._terms(name, g, eps), g


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array).max()) if array.size else 0.0
