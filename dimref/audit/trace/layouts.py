"""How an array of this project lies, and how the same numbers lie in PyTorch.

Every difference is one recipe, reshape → transpose → reshape, written into the manifest as it is used here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dimref.amdim import encoder as amdim_encoder
from dimref.encoders import KERNEL
from dimref.training.method import AnyLayout

LAYOUTS = {
    "plain": "the same in PyTorch",
    "images": "(B, H, W, C); PyTorch (B, C, H, W)",
    "locations": "(N, L, F); PyTorch (N, F, L)",
    "partner": "(N, L, F); PyTorch (N, F, L); with one partner for all locations (N, F)",
    "flat": "(B, side·side·C) by (row, column, channel); PyTorch by (channel, row, column)",
    "flat location": "(N, 1, side·side·C) by (row, column, channel); PyTorch by (channel, row, column)",
    **{
        f"conv {k}×{k}": f"({k}·{k}·C_in, C_out), rows by (kh, kw, C_in); PyTorch OIHW (C_out, C_in, {k}, {k})"
        for k in range(1, KERNEL + 1)
    },
    "linear": "(in, out); PyTorch (out, in)",
    "linear on flat": "(side·side·C, out), rows by (row, column, channel); PyTorch (out, C·side·side)",
    "flat local map": "(N, 1, M·M·F) by (row, column, channel); PyTorch by (channel, row, column)",
    "linear on flat local map": "(M·M·F, out), rows by (row, column, channel); PyTorch (out, F·M·M)",
}


@dataclass(frozen=True)
class Recipe:
    """reshape to `split`, transpose by `axes`, reshape to `shape`."""

    split: tuple[int, ...]
    axes: tuple[int, ...]
    shape: tuple[int, ...]

    def apply(self, array: np.ndarray) -> np.ndarray:
        """From this project's layout to PyTorch's."""
        return array.reshape(self.split).transpose(self.axes).reshape(self.shape)

    def undo(self, array: np.ndarray) -> np.ndarray:
        """From PyTorch's layout to this project's, flattened to (size,): the shape is the caller's to restore."""
        turned = tuple(self.split[axis] for axis in self.axes)
        return array.reshape(turned).transpose(np.argsort(self.axes)).reshape(-1)


def parameter_layout(name: str, encoder: AnyLayout) -> str:
    """The layout of a parameter by its name below parameters/."""
    if not name.endswith("/w"):
        return "plain"
    if isinstance(encoder, amdim_encoder.Layout):
        k = _kernel(name.split("/")[1:-1], encoder)
        return f"conv {k}×{k}"
    if re.fullmatch(r"encoder/conv\d+/w", name):
        return f"conv {KERNEL}×{KERNEL}"
    return "linear on flat" if name in ("encoder/fc/w", "global/feature/w") else "linear"


def _kernel(path: list[str], encoder: amdim_encoder.Layout) -> int:
    """The side of the kernel of a weight of the multi-scale encoder: there every weight is a convolution's."""
    if path == ["first"]:
        return amdim_encoder.FIRST
    kernels = {layer.name: layer.kernel for stage in encoder.stages.values() for layer in stage}
    return kernels.get(path[0], 1) if path[1:] == ["conv"] else 1


def recipe(layout: str, shape: Sequence[int], side: int) -> Recipe | None:
    """How to get PyTorch's layout; None where it is the same.

    Args:
        layout: a key of `LAYOUTS`. side: of the last map, for what was flattened from it.
    """
    shape = tuple(shape)
    if layout.endswith(" local map"):
        layout, side = layout.removesuffix(" local map"), 2 * side
    if layout == "images":
        b, h, w, c = shape
        return Recipe(shape, (0, 3, 1, 2), (b, c, h, w))
    if layout in ("locations", "partner") and len(shape) == 3:
        n, places, features = shape
        return Recipe(shape, (0, 2, 1), (n, features, places))
    if layout in ("flat", "flat location"):
        channels = shape[-1] // side**2
        return Recipe((shape[0], side, side, channels), (0, 3, 1, 2), shape)
    if layout.startswith("conv "):
        k = int(layout[-1])
        c_in = shape[0] // k**2
        return Recipe((k, k, c_in, shape[1]), (3, 2, 0, 1), (shape[1], c_in, k, k))
    if layout == "linear":
        return Recipe(shape, (1, 0), shape[::-1])
    if layout == "linear on flat":
        return Recipe((side, side, shape[0] // side**2, shape[1]), (3, 2, 0, 1), shape[::-1])
    return None
