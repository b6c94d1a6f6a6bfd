"""The residual encoder of Augmented Multiscale Deep InfoMax: images → embeddings of a 7×7, a 5×5 and a 1×1 map.

No convolution pads, and only a few see more than their own pixel, so that the features of a map see windows that overlap
little: in 32×32 pixels a feature of the 7×7 map sees 8×8, at a stride of 4; one of the 5×5 map 16×16. Depth comes from 1×1
residual layers, which widen no window. For 32×32:

| | side | channels |
|---|---|---|
| 3×3 convolution, ReLU; one 1×1 residual layer | 30 | ndf |
| block 4×4, stride 2 | 14 | 2·ndf |
| block 2×2, stride 2: the 7×7 map | 7 | 4·ndf |
| block 3×3: the 5×5 map | 5 | 4·ndf |
| block 3×3 | 3 | 4·ndf |
| residual layer 3×3, batch norm: the 1×1 map, embedded as it is | 1 | nrkhs |

Each doubling of the size adds a block of 4×4 with stride 2, which doubles the channels up to 8·ndf. Images are padded with
black to 32×32, 64×64, 128×128, … The maps of 7×7 and 5×5 are embedded by a residual layer of their own, with batch norm.
"""

import math
from dataclasses import dataclass

import numpy as np

from dimref import layers, ops
from dimref.encoders import check_images, check_size
from dimref.ops import Pair
from dimref.tape import region
from dimref.trees import Array, Tree

FIRST = 3  # side of the first convolution's kernel
SMALLEST = 32  # pixels along a side
WIDEST = 8  # times ndf: the most channels of a map
DEEPEST = 1000  # layers of a block at most: a hundred times the paper's
SIDES = (7, 5, 1)  # of the maps that are embedded


@dataclass(frozen=True)
class Layer:
    """A residual layer: the side of its kernel, its stride, and its channels before and after."""

    name: str
    kernel: int
    stride: int
    c_in: int
    c_out: int


@dataclass(frozen=True)
class Layout:
    """The encoder's sizes: those that are chosen, and as properties those that follow."""

    size: int  # H = W of an image before padding
    channels: int  # C
    ndf: int = 32  # channels of the first map
    ndepth: int = 1  # residual layers in a block
    nrkhs: int = 256  # E, the dimension of every embedding

    def __post_init__(self) -> None:
        check_size(self.size, self.channels)
        if min(self.ndf, self.ndepth) < 1 or self.nrkhs < self.map_channels:
            widths = f"{self.ndf}, {self.ndepth} and {self.nrkhs}"
            raise ValueError(
                f"encoder: ndf and ndepth must be at least 1 and nrkhs at least the {self.map_channels} channels of the "
                f"maps before it, were {widths}"
            )
        if self.ndepth > DEEPEST:
            raise ValueError(f"encoder: ndepth must be at most {DEEPEST}, was {self.ndepth}")

    @property
    def padded(self) -> int:
        """Side of the padded image: 32, 64, 128, …"""
        side = SMALLEST
        while side < self.size:
            side *= 2
        return side

    @property
    def halvings(self) -> int:
        """The number of blocks of stride 2, which bring the image to 7×7: 2 for 32×32, 3 for 64×64."""
        return (self.padded // 16).bit_length()

    @property
    def map_channels(self) -> int:
        """Channels of the 7×7 and of the 5×5 map."""
        return self.ndf * min(2**self.halvings, WIDEST)

    @property
    def local(self) -> tuple[int, int]:
        """M and F of the largest map that is embedded."""
        return SIDES[0], self.map_channels

    @property
    def representation(self) -> int:
        """Dimension of the 1×1 features."""
        return self.nrkhs

    @property
    def stages(self) -> dict[int, tuple[Layer, ...]]:
        """By the side of each map, the residual layers from the map before it."""
        blocks: dict[int, tuple[Layer, ...]] = {}
        before = self.ndf
        largest: tuple[Layer, ...] = (Layer("res1", 1, 1, before, before),) if self.padded == SMALLEST else ()
        for k in range(1, self.halvings + 1):
            after = self.ndf * min(2**k, WIDEST)
            largest += self._block(f"down{k}", 2 if k == self.halvings else 4, 2, before, after)
            before = after
        blocks[7] = largest
        blocks[5] = self._block("five", 3, 1, before, before)
        blocks[1] = (*self._block("three", 3, 1, before, before), Layer("one", 3, 1, before, self.nrkhs))
        return blocks

    def _block(self, name: str, kernel: int, stride: int, c_in: int, c_out: int) -> tuple[Layer, ...]:
        deeper = (Layer(f"{name}_{k}", 1, 1, c_out, c_out) for k in range(2, self.ndepth + 1))
        return (Layer(f"{name}_1", kernel, stride, c_in, c_out), *deeper)

    @property
    def parameter_count(self) -> int:
        """The number of scalar parameters."""
        residual = sum(
            layer.kernel**2 * layer.c_in * layer.c_out + layer.c_out**2
            for stage in self.stages.values()
            for layer in stage
        )
        embedding = (2 * self.map_channels + self.nrkhs + 1) * self.nrkhs
        return (FIRST**2 * self.channels + 1) * self.ndf + residual + 2 * embedding + len(SIDES) * 2 * self.nrkhs


@dataclass(frozen=True)
class Encoding:
    """The embeddings, each after its batch norm."""

    seven: Array  # (B, 49, E)
    five: Array  # (B, 25, E)
    one: Array  # (B, E): the 1×1 features, the image's representation


def init_encoder(rng: np.random.Generator, layout: Layout) -> tuple[Tree, Tree]:
    """Parameters, and model state (running statistics).

    The last product of each residual layer starts at 0, so that at first an image passes through the shortcuts alone; an
    embedding's shortcut starts near the identity.

    Source: arXiv 1906.00910, section 3.6 (encoder); Zhang, Dauphin & Ma 2019, arXiv 1901.09321, section 3 (zero start).
    """
    parameters: Tree = {"first": layers.init_conv2d(rng, layout.channels, layout.ndf, FIRST)}
    for stage in layout.stages.values():
        for layer in stage:
            parameters[layer.name] = {
                "conv": layers.init_conv2d(rng, layer.c_in, layer.c_out, layer.kernel, bias=False),
                "out": {"w": np.zeros((layer.c_out, layer.c_out), np.float32)},
            }
    state: Tree = {}
    for name in ("embed7", "embed5"):
        parameters[name] = _init_embedding(rng, layout.map_channels, layout.nrkhs)
    for side in SIDES:
        parameters[f"norm{side}"], state[f"norm{side}"] = (
            layers.init_norm(layout.nrkhs),
            layers.init_running(layout.nrkhs),
        )
    return parameters, state


def _init_embedding(rng: np.random.Generator, channels: int, units: int) -> Tree:
    shortcut = layers.init_linear(rng, channels, units)
    shortcut["w"] = rng.uniform(-0.01, 0.01, (channels, units)).astype(np.float32)
    np.fill_diagonal(shortcut["w"], 1)
    return {
        "hidden": layers.init_linear(rng, channels, units, bias=False),
        "out": {"w": np.zeros((units, units), np.float32)},
        "shortcut": shortcut,
    }


def encode(parameters: Tree, state: Tree, images: Array, layout: Layout, training: bool) -> tuple[Encoding, Tree]:
    """Embed images (B, H, W, C), float in [−1, 1] from `encoders.scale`; returns the encoding and the new model state.

    Raises:
        ValueError: images are not of the layout's padded size.
    Source: arXiv 1906.00910, section 3.6 (encoder); public code's encoders for 32×32 and 64×64.
    """
    maps = _maps(parameters, images, layout)
    embeddings, running = [], {}
    for side in SIDES:
        x = maps[side] if side == 1 else embed(parameters[f"embed{side}"], maps[side])
        x, running[f"norm{side}"] = layers.batch_norm(parameters[f"norm{side}"], state[f"norm{side}"], x, training)
        embeddings.append(ops.reshape(x, (x.shape[0], side * side, layout.nrkhs)))
    seven, five, one = embeddings
    return Encoding(seven, five, ops.reshape(one, (one.shape[0], layout.nrkhs))), running


def features(parameters: Tree, state: Tree, images: Array, layout: Layout) -> Array:
    """The 1×1 features (B, E) in inference: `one` of `encode`, without the embeddings of the other maps."""
    one, _ = layers.batch_norm(
        parameters["norm1"], state["norm1"], _maps(parameters, images, layout)[1], training=False
    )
    return ops.reshape(one, (one.shape[0], layout.nrkhs))


def _maps(parameters: Tree, images: Array, layout: Layout) -> dict[int, Array]:
    """The map of each side in SIDES, before its embedding and batch norm."""
    check_images(images, layout)
    x = largest_map(parameters, images, layout)
    maps = {SIDES[0]: x}
    for side in SIDES[1:]:
        x = _stage(parameters, x, layout.stages[side])
        maps[side] = x
    return maps


@region
def largest_map(parameters: Tree, images: Array, layout: Layout) -> Array:
    """The 7×7 map of images: (B, H, W, C) → (B, 7, 7, channels)."""
    x = layers.conv2d(parameters["first"], images, FIRST, relu=True)
    return _stage(parameters, x, layout.stages[SIDES[0]])


def _stage(parameters: Tree, x: Array, stage: tuple[Layer, ...]) -> Array:
    for layer in stage:
        x = residual(parameters[layer.name], x, layer.kernel, layer.stride)
    return x


def residual(parameters: Tree, x: Array, kernel: int, stride: int) -> Array:
    """out·ReLU(conv(x)) + the mean over each window of x, with zeros for the channels that x lacks.

    (B, H, W, C_in) → (B, H', W', C_out).

    Source: arXiv 1906.00910, section 3.6; public code's ConvResNxN.
    """
    c_in = x.shape[3]
    hidden = layers.conv2d(parameters["conv"], x, kernel, stride, relu=True)
    out = layers.linear(parameters["out"], hidden)
    mean = window_mean(x, (kernel, kernel), (stride, stride)) if kernel > 1 else x
    if out.shape[3] > c_in:
        mean = ops.paste(mean, out.shape, (slice(None), slice(None), slice(None), slice(0, c_in)))
    return ops.add(out, mean)


@region
def window_mean(x: Array, kernel: Pair, stride: Pair) -> Array:
    """The mean of each channel over every window of images: (B, H, W, C) → (B, H', W', C)."""
    columns = ops.im2col(x, kernel, stride, (0, 0))
    taps = math.prod(kernel)
    return ops.mean(ops.reshape(columns, (*columns.shape[:3], taps, x.shape[3])), axis=3)


def embed(parameters: Tree, x: Array) -> Array:
    """out·ReLU(hidden·x) + shortcut·x at each location: (…, C) → (…, E).

    Source: arXiv 1906.00910, section 3.6 (embedding functions φ); public code's FakeRKHSConvNet.
    """
    return layers.mlp_with_shortcut(parameters, x)
