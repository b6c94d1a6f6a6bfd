"""AMDIM in PyTorch as a good PyTorch user writes it: views, the residual encoder, the objective on whole score matrices.

Modules carry the names of `torch_layout.torch_names`. The view is read by one `grid_sample`, a window's mean is an average
pool, a direction's N²·L scores are computed at once and saved for the backward pass. Imports PyTorch, as `dim` does.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dimref import amdim
from dimref.amdim import augmentation as amdim_augmentation
from dimref.amdim.encoder import FIRST, SIDES, Layer, Layout
from dimref.layers import EPSILON, MOMENTUM

Draws = dict[str, Tensor]

# ---- views


def view(images: Tensor, draws: Draws) -> Tensor:
    """A view in [−1, 1] of images (B, C, H, W) in [−1, 1]."""
    x = _read((0.5 * images + 0.5).clamp(0, 1), draws["rows"], draws["columns"])
    x = (x * _each(draws["brightness"])).clamp(0, 1)
    x = _blend(_grey(x).mean((1, 2, 3), keepdim=True), x, draws["contrast"])
    if x.shape[1] == 3:
        x = _turn(_blend(_grey(x), x, draws["saturation"]), draws["hue"])
        x = torch.where(_each(draws["grey"]), _grey(x), x)
    return 2 * x - 1


def _read(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pixels at these rows and columns, (B, H) and (B, W), between them by linear interpolation."""
    high, wide = x.shape[2:]
    down, across = 2 * rows / (high - 1) - 1, 2 * columns / (wide - 1) - 1
    grid = torch.stack([across[:, None].expand(-1, high, -1), down[:, :, None].expand(-1, -1, wide)], dim=3)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=True)


def _grey(x: Tensor) -> Tensor:
    if x.shape[1] == 1:
        return x
    weights = x.new_tensor(amdim_augmentation.LUMA).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True).clamp(max=1)


def _blend(other: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(other.expand_as(x), x, _each(factor)).clamp(0, 1)


def _turn(x: Tensor, turns: Tensor) -> Tensor:
    """Colours turned in HSV by a share of a full turn, saturation and value unchanged."""
    red, green, blue = x.split(1, dim=1)
    top = x.amax(1, keepdim=True)
    span = top - x.amin(1, keepdim=True)
    divisor = torch.where(span > 0, span, 1)
    sixths = torch.where(
        top == red,
        (green - blue) / divisor,
        torch.where(top == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    k = (sixths + 6 * _each(turns) + x.new_tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1)) % 6
    return top - span * torch.minimum(k, 4 - k).clamp(0, 1)


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


# ---- modules


class Residual(nn.Module):
    """out·ReLU(conv(x)) + the mean of x over each window, with zeros for the channels that x lacks.

    (B, C_in, H, W) → (B, C_out, H', W').
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.kernel, self.stride, self.more = layer.kernel, layer.stride, layer.c_out - layer.c_in
        self.conv = nn.Conv2d(layer.c_in, layer.c_out, layer.kernel, layer.stride, bias=False)
        self.out = nn.Conv2d(layer.c_out, layer.c_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mean = functional.avg_pool2d(x, self.kernel, self.stride) if self.kernel > 1 else x
        return self.out(torch.relu(self.conv(x))) + functional.pad(mean, (0, 0, 0, 0, 0, self.more))


class Embedding(nn.Module):
    """out·ReLU(hidden·x) + shortcut·x at each location: (B, C, H, W) → (B, E, H, W)."""

    def __init__(self, channels: int, units: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Conv2d(channels, units, 1, bias=False), nn.Conv2d(units, units, 1, bias=False)
        self.shortcut = nn.Conv2d(channels, units, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.hidden(x))) + self.shortcut(x)


class Encoder(nn.Module):
    """Views (B, C, H, W) → embeddings (B, 49, E), (B, 25, E), (B, E), by the side of the map."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.first = nn.Conv2d(layout.channels, layout.ndf, FIRST)
        self.stages = {side: [layer.name for layer in stage] for side, stage in layout.stages.items()}
        for stage in layout.stages.values():
            for layer in stage:
                self.add_module(layer.name, Residual(layer))
        self.embed7 = Embedding(layout.map_channels, layout.nrkhs)
        self.embed5 = Embedding(layout.map_channels, layout.nrkhs)
        for side in SIDES:
            self.add_module(f"norm{side}", nn.BatchNorm2d(layout.nrkhs, EPSILON, MOMENTUM))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = torch.relu(self.first(x))
        features = {}
        for side, names in self.stages.items():
            for name in names:
                x = self.get_submodule(name)(x)
            embedded = x if side == 1 else self.get_submodule(f"embed{side}")(x)
            features[str(side)] = self.get_submodule(f"norm{side}")(embedded).flatten(2).transpose(1, 2)
        return {**features, "1": features["1"].squeeze(1)}


class Model(nn.Module):
    """The encoder as a module; called, it gives the loss of a batch."""

    def __init__(self, layout: Layout, objective: amdim.Objective) -> None:
        super().__init__()
        self.objective = objective
        self.encoder = Encoder(layout)

    def forward(self, images: Tensor, noise: dict[str, Any]) -> Tensor:
        """Σ over pairs of scales of the mean over both directions."""
        first, second = (self.encoder(view(images, noise[name])) for name in ("first", "second"))
        loss = images.new_zeros(())
        for term in self.objective.scales:
            a, b = term.split("-")
            for one, other, name in ((first, second, "first"), (second, first, "second")):
                anchors = one[a] if a == "1" else functional.embedding(noise["anchors"][name], one[a].flatten(0, 1))
                loss = loss + 0.5 * contrast(anchors, other[b], self.objective.clip, self.objective.penalty)
        return loss


def contrast(anchors: Tensor, candidates: Tensor, clip: float, penalty: float) -> Tensor:
    """One direction's loss with its penalty, from anchors (N, E) and candidates (N, L, E)."""
    n, units = anchors.shape
    scores = torch.matmul(candidates, anchors.T) * (1 / math.sqrt(units))  # (N, L, N): of x_i at l, and y_j
    clipped = clip * torch.tanh(scores * (1 / clip)) if clip else scores
    own = torch.eye(n, dtype=torch.bool, device=scores.device)[:, None]
    positives = torch.diagonal(clipped, dim1=0, dim2=2)  # (L, N)
    others = torch.logsumexp(clipped.masked_fill(own, -math.inf), (0, 1))
    return (torch.logaddexp(positives, others) - positives).mean() + penalty * (scores * scores).mean()
