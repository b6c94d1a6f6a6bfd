"""How well a decoder draws an image from its representation, by multi-scale SSIM on test images.

The decoder is trained on training images with the encoder frozen, by mean squared error; MS-SSIM only measures.
"""

from __future__ import annotations

import numpy as np

from dimref import layers, ops
from dimref.backend import Backend
from dimref.encoders import KERNEL, PADDING, STRIDE, Layout
from dimref.evaluation.labelled import too_few
from dimref.evaluation.probes.problem import standardized
from dimref.evaluation.ssim import ms_ssim
from dimref.training.fit import Schedule, fit, shuffled, whole_passes
from dimref.trees import Array, Tree

FEWEST = 2  # images in either set
WIDTH = 64  # channels of the first map
EPOCHS, BATCH, LR = 5, 100, 5e-3
LEAST_STEPS = 200  # where few images would end the epochs before the decoder has got anywhere


def reconstruction(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    layout: Layout,
    seed: int,
    backend: Backend,
) -> float:
    """The mean MS-SSIM between test images and what a decoder makes of their y, in 0 … 1.

    Args:
        train, test: images (N, H, W, C) uint8, H at least 11, and their representations (N, D).
    Raises:
        ValueError: no SSIM window fits into the images, or there are fewer than two images in one of the sets.
    Source: arXiv 1808.06670, section 4.1 (MS-SSIM of a decoder from y).
    """
    (images, y), (images_test, y_test) = train, test
    if reason := too_few(FEWEST, len(y), len(y_test)):
        raise ValueError(f"reconstruction: {reason}")
    y, y_test = standardized(y, y_test)
    decoder, running = _fit(images, y, layout, np.random.default_rng(seed), backend)
    total = 0.0
    for start in range(0, len(y_test), BATCH):
        window = slice(start, start + BATCH)
        drawn, _ = decode(decoder, running, backend.to_device(y_test[window]), layout, training=False)
        total += float(backend.to_host(ms_ssim(backend.to_device(_unit(images_test[window])), drawn)).sum())
    return total / len(y_test)


def init_decoder(rng: np.random.Generator, layout: Layout, representation: int) -> tuple[Tree, Tree]:
    """Parameters and running statistics: D → M × M × 64, then transposed convolutions that halve the channels."""
    side, width = layout.local[0], WIDTH
    parameters: Tree = {"start": layers.init_linear(rng, representation, side * side * width, bias=False)}
    parameters["norm0"], running = layers.init_norm(width), {"norm0": layers.init_running(width)}
    for k in range(1, layout.depth - 1):
        parameters[f"up{k}"] = layers.init_conv_transpose2d(rng, width, width // 2, KERNEL, bias=False)
        width //= 2
        parameters[f"norm{k}"], running[f"norm{k}"] = layers.init_norm(width), layers.init_running(width)
    parameters["image"] = layers.init_conv_transpose2d(rng, width, layout.channels, KERNEL)
    return parameters, running


def decode(parameters: Tree, running: Tree, y: Array, layout: Layout, training: bool) -> tuple[Array, Tree]:
    """Images (B, H, W, C) in [0, 1] from y (B, D), and the new running statistics.

    The mirror image of the encoder from its local map down: 4×4 kernels of stride 2, batch norm and ReLU; a sigmoid at
    the end. The encoder's padding is cut off.
    """
    side = layout.local[0]
    new_running: Tree = {}
    x = ops.reshape(layers.linear(parameters["start"], y), (y.shape[0], side, side, WIDTH))
    for k in range(layout.depth - 1):
        if k:
            x = layers.conv_transpose2d(parameters[f"up{k}"], x, KERNEL, STRIDE, PADDING)
        norm = f"norm{k}"
        x, new_running[norm] = layers.batch_norm(parameters[norm], running[norm], x, training, relu=True)
    x = ops.sigmoid(layers.conv_transpose2d(parameters["image"], x, KERNEL, STRIDE, PADDING))
    before = (layout.padded - layout.size) // 2
    inner = slice(before, before + layout.size)
    return ops.cut(x, (slice(None), inner, inner)), new_running


def _fit(
    images: np.ndarray, y: np.ndarray, layout: Layout, rng: np.random.Generator, backend: Backend
) -> tuple[Tree, Tree]:
    """Adam on the mean squared error, its rate half a cosine down to 0."""
    parameters, running = map(backend.tree_to_device, init_decoder(rng, layout, y.shape[1]))
    size = min(BATCH, len(y))
    batches = (
        (backend.to_device(y[rows]), backend.to_device(_unit(images[rows]))) for rows in shuffled(rng, len(y), size)
    )

    def loss(parameters: Tree, running: Tree, batch: tuple[Array, Array]) -> tuple[Array, Tree]:
        drawn, new_running = decode(parameters, running, batch[0], layout, training=True)
        difference = ops.subtract(drawn, batch[1])
        return ops.mean(difference * difference), new_running

    schedule = Schedule(whole_passes(len(y), size, EPOCHS, LEAST_STEPS), LR, cosine=True)
    result = fit(loss, parameters, batches, schedule, running)
    return result.parameters, result.state


def _unit(images: np.ndarray) -> np.ndarray:
    """uint8 → float32 in [0, 1]."""
    return images.astype(np.float32) * (1 / 255)
