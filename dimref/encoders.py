"""The convolution encoder: images → (local feature map, last feature map, representation).

For 32×32: convolutions of 64, 128, 256 channels, each 4×4 with stride 2 and padding 1, batch norm and ReLU; a linear
layer of 1024 with batch norm and ReLU; a linear layer to D = 64. Every convolution halves the side. Other sizes take
the fewest (two at least) that bring the last map to a side of 4 or less, doubling the channels; images are padded with
black until every halving is whole, 28×28 to 32×32. The local map is the one before the last: M = 8 for 32×32 and 64×64.
A wrong shape is a ValueError that names the argument, what it must be and was.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dimref import layers, ops
from dimref.trees import Array, Tree, need_arrays

KERNEL, STRIDE, PADDING = 4, 2, 1


@dataclass(frozen=True)
class Layout:
    """The encoder's sizes: those that are chosen, and as properties those that follow."""

    size: int  # H = W of an image before padding
    channels: int  # C
    width: int = 64  # channels of the first convolution
    fc: int = 1024
    representation: int = 64  # D

    def __post_init__(self) -> None:
        check_size(self.size, self.channels)

    @property
    def depth(self) -> int:
        """Number of convolutions; two at least, so that there is a map before the last."""
        return max(2, math.ceil(math.log2(self.size / 4)))

    @property
    def padded(self) -> int:
        """Side of the padded image, a multiple of 2^depth."""
        return -(-self.size // 2**self.depth) * 2**self.depth

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each convolution."""
        return tuple(self.width * 2**k for k in range(self.depth))

    @property
    def local(self) -> tuple[int, int]:
        """M and F of the local map."""
        return self.padded // 2 ** (self.depth - 1), self.widths[-2]

    @property
    def last(self) -> tuple[int, int]:
        """Side and channels of the last map."""
        return self.padded // 2**self.depth, self.widths[-1]

    @property
    def parameter_count(self) -> int:
        """The number of scalar parameters: weights, the gain and shift of each norm, and y's bias."""
        side, channels = self.last
        pairs = zip((self.channels, *self.widths), self.widths, strict=False)
        convolutions = sum(KERNEL**2 * c_in * c_out + 2 * c_out for c_in, c_out in pairs)
        return convolutions + (side**2 * channels + 2) * self.fc + (self.fc + 1) * self.representation


@dataclass(frozen=True)
class Encoding:
    """The encoder's outputs; maps and fc are after their ReLU."""

    local_map: Array  # (B, M, M, F)
    last_map: Array  # (B, side, side, channels)
    fc: Array  # (B, fc)
    y: Array  # (B, D), the representation: no nonlinearity


def init_encoder(rng: np.random.Generator, layout: Layout) -> tuple[Tree, Tree]:
    """Parameters, and model state (running statistics). A layer below a batch norm has no bias: the norm removes it."""
    parameters: Tree = {}
    state: Tree = {}
    c_in = layout.channels
    for k, c_out in enumerate(layout.widths, start=1):
        parameters[f"conv{k}"] = layers.init_conv2d(rng, c_in, c_out, KERNEL, bias=False)
        parameters[f"norm{k}"], state[f"norm{k}"] = layers.init_norm(c_out), layers.init_running(c_out)
        c_in = c_out
    side, channels = layout.last
    parameters["fc"] = layers.init_linear(rng, side * side * channels, layout.fc, bias=False)
    parameters["norm_fc"], state["norm_fc"] = layers.init_norm(layout.fc), layers.init_running(layout.fc)
    parameters["y"] = layers.init_linear(rng, layout.fc, layout.representation)
    return parameters, state


def encode(parameters: Tree, state: Tree, images: Array, layout: Layout, training: bool) -> tuple[Encoding, Tree]:
    """Encode images (B, H, W, C), float in [−1, 1] from `scale`; returns the encoding and the new model state.
    Source: arXiv 1808.06670, section 4 and appendix A.1 (encoder architecture).
    """
    check_images(images, layout)
    running: Tree = {}
    maps = [images]
    for k in range(1, layout.depth + 1):
        x = layers.conv2d(parameters[f"conv{k}"], maps[-1], KERNEL, STRIDE, PADDING)
        x, running[f"norm{k}"] = layers.batch_norm(parameters[f"norm{k}"], state[f"norm{k}"], x, training, relu=True)
        maps.append(x)
    fc = layers.linear(parameters["fc"], flatten(maps[-1]))
    fc, running["norm_fc"] = layers.batch_norm(parameters["norm_fc"], state["norm_fc"], fc, training, relu=True)
    return Encoding(maps[-2], maps[-1], fc, layers.linear(parameters["y"], fc)), running


# ---- shapes


def check_size(size: int, channels: int) -> None:
    """Raise ValueError unless an encoder can be made for images of that size."""
    if size < 4 or channels not in (1, 3):
        raise ValueError(f"encoder: images must be at least 4×4 with 1 or 3 channels, were {size}×{size}×{channels}")


def check_images(images: Array, layout: Any) -> None:
    """Raise ValueError unless images are (B, H, W, C) of the padded size of a layout, this one or AMDIM's."""
    need_arrays("encode", images=images)
    expected = (layout.padded, layout.padded, layout.channels)
    if images.ndim != 4 or images.shape[1:] != expected:
        raise ValueError(f"encode: images must be (B, {', '.join(map(str, expected))}), were {images.shape}")


def flatten(feature_map: Array) -> Array:
    """(B, M, M, F) → (B, M·M·F), in the order (row, column, channel)."""
    return ops.reshape(feature_map, (feature_map.shape[0], -1))


def by_location(feature_map: Array) -> Array:
    """(B, M, M, F) → (B, L, F), L = M²."""
    b, high, wide, channels = feature_map.shape
    return ops.reshape(feature_map, (b, high * wide, channels))


def scale(images: Array, layout: Any) -> Array:
    """uint8 images (B, H, W, C) of a layout's size → float32 in [−1, 1], padded with black."""
    need_arrays("scale", images=images)
    expected = (layout.size, layout.size, layout.channels)
    if images.dtype != np.uint8 or images.shape[1:] != expected:
        sizes = ", ".join(map(str, expected))
        raise ValueError(f"scale: images must be uint8 (B, {sizes}), were {images.dtype} {images.shape}")
    margin = layout.padded - layout.size
    if margin:
        before = margin // 2
        images = np.pad(images, ((0, 0), (before, margin - before), (before, margin - before), (0, 0)))
    return images.astype(np.float32) * (2 / 255) - 1
