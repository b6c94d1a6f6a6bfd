"""Contracts of the measures of images: SSIM at one scale and at several.

Values alone are compared: a measure is no loss. Everything is written with arrays of planes (P, H, W), a channel of an
image each, P = B·C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import Row, reference, variants
from dimref.audit.contract import CORE, Contract, Form, Sizes
from dimref.evaluation import ssim as measure
from dimref.trees import Array

WANG = "Wang, Bovik, Sheikh & Simoncelli 2004, section III-C"
MULTI = "Wang, Simoncelli & Bovik 2003, eq. (7)"
Padding = Literal["", "constant", "reflect", "symmetric"]
Terms = Callable[..., tuple[Array, Array]]


# ---- one scale


def gaussian(sigma: float = measure.SIGMA) -> Array:
    """The Gaussian window along one line, its sum 1."""
    offset = np.arange(measure.WINDOW) - (measure.WINDOW - 1) / 2
    weight = np.exp(-0.5 * (offset / sigma) ** 2)
    return weight / weight.sum()


def uniform(size: int) -> Array:
    """Equal weights."""
    return np.full(size, 1 / size)


def filtered(plane: Array, window: Array, padded: Padding = "") -> Array:
    """Weighted means in every window that lies within; `padded`: in one about every pixel, with a border as said."""
    reach = len(window) // 2
    if padded:
        beyond = ((0, 0), (reach, reach), (reach, reach))
        plane = np.pad(plane, beyond, mode=padded)
    for axis in (1, 2):
        plane = np.lib.stride_tricks.sliding_window_view(plane, len(window), axis=axis) @ window
    return plane


def terms(
    x: Array, y: Array, window: Array | None = None, padded: Padding = "", c1: float = measure.C1, c2: float = measure.C2,
    unbiased: bool = False,
) -> tuple[Array, Array]:  # fmt: skip
    """The luminance term l and the contrast-structure term cs in every window."""
    window = gaussian() if window is None else window
    mean_x, mean_y = filtered(x, window, padded), filtered(y, window, padded)
    n = len(window) ** 2
    size = n / (n - 1) if unbiased else 1.0
    covariance = size * (filtered(x * y, window, padded) - mean_x * mean_y)
    variances = size * (filtered(x * x + y * y, window, padded) - mean_x**2 - mean_y**2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)


def whole_image(x: Array, y: Array) -> tuple[Array, Array]:
    """The terms with the statistics of the whole plane: no windows."""
    over = {"axis": (1, 2), "keepdims": True}
    covariance = ((x - x.mean(**over)) * (y - y.mean(**over))).mean(**over)
    light = x.mean(**over) ** 2 + y.mean(**over) ** 2 + measure.C1
    contrast = (2 * covariance + measure.C2) / (x.var(**over) + y.var(**over) + measure.C2)
    return (2 * x.mean(**over) * y.mean(**over) + measure.C1) / light, contrast


def planes(images: Array) -> Array:
    """(B, H, W, C) → float64 (B·C, H, W)."""
    batch, high, wide, channels = images.shape
    return np.asarray(images, np.float64).transpose(0, 3, 1, 2).reshape(batch * channels, high, wide)


def over_channels(values: Array, images: Array) -> Array:
    """(B·C,) → (B,)."""
    return values.reshape(images.shape[0], images.shape[3]).mean(axis=1)


def ssim(a: Array, b: Array, of: Terms = terms, join: Callable[[Array, Array], Array] = lambda light,
         cs: (light * cs).mean((1, 2)),
         **how: Any) -> Array:  # fmt: skip
    """The mean of l · cs."""
    return over_channels(join(*of(planes(a), planes(b), **how)), a)


def of_data_range(a: Array, b: Array) -> Array:
    """L = the range of the first image's values in place of 1."""
    spans = [float(x.max() - x.min()) for x in a]
    each = zip(a, b, spans, strict=True)
    return np.array([ssim(x[None], y[None], c1=(0.01 * s) ** 2, c2=(0.03 * s) ** 2)[0] for x, y, s in each])


# ---- several scales


def halved(images: Array, by: Callable[[Array], Array] = lambda blocks: blocks.mean(axis=(2, 4))) -> Array:
    """From one scale to the next: one pixel for every 2 × 2, their mean."""
    high, wide = images.shape[1] // 2, images.shape[2] // 2
    return by(images[:, : 2 * high, : 2 * wide].reshape(-1, high, 2, wide, 2))


def ms_ssim(
    a: Array, b: Array, of: Callable[..., Any] = terms, smaller: Callable[[Array], Array] = halved,
    luminance_everywhere: bool = False,
    luminance: bool = True, clip: Callable[[Array], Array] = lambda v: np.maximum(v, 0), summed: bool = False,
    weigh: Callable[[int], Sequence[float]] = measure.scales, channels_first: bool = False, windows_last: bool = False,
) -> Array:  # fmt: skip
    """(mean l·cs at the coarsest scale)^{w_S} · Π (mean cs)^{w_s}, or what is done otherwise."""
    x, y = planes(a), planes(b)
    weights = weigh(min(a.shape[1:3]))
    parts = []
    for k, weight in enumerate(weights):
        light, contrast = of(x, y)
        last = k == len(weights) - 1
        seen = light * contrast if luminance_everywhere or (last and luminance) else contrast
        if windows_last:  # powers of single windows, then the mean
            parts.append((clip(seen) ** weight).mean(axis=(1, 2)))
        else:
            value = seen.mean(axis=(1, 2))
            value = np.repeat(over_channels(value, a), a.shape[3]) if channels_first else value
            parts.append(weight * clip(value) if summed else clip(value) ** weight)
        x, y = smaller(x), smaller(y)
    return over_channels(sum(parts) if summed else np.prod(parts, axis=0), a)


# ---- what is asked

IMAGES = Signature(("a", "b"))


def _draw(least: int, rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """Images of waves, and noisy, dimmed copies; beyond the core regimes also inverted ones, whose cs is negative."""
    high, wide = (least + 2 * extra for extra in sizes.extra)
    n, channels = min(sizes.n, 2), 3 - 2 * (sizes.m % 2)
    rows, columns = np.meshgrid(np.arange(high), np.arange(wide), indexing="ij")
    pace = rng.uniform(0.1, 1, (2, n, 1, 1, channels))
    a = 0.5 + 0.4 * np.sin(rows[None, :, :, None] * pace[0] + columns[None, :, :, None] * pace[1])
    noise = 0.01 if sizes.regime == "tiny" else 0.2
    b = 0.8 * a + noise * rng.standard_normal(a.shape)
    if sizes.regime == "ties":
        a, b = np.round(2 * a) / 2, np.round(2 * b) / 2
    if sizes.regime == "separated":
        b = 0.3 * b
    if sizes.regime not in CORE:
        b = 1 - b
    return {name: np.clip(each, 0, 1).astype(sizes.dtype) for name, each in (("a", a), ("b", b))}


# fmt: off
GAUSS = "a Gaussian window of 11 × 11 pixels, σ = 1.5"
ONE_MINUS = "1 − it, or a half of that, is a loss: give the value itself"
WITHIN, CONSTANTS = "let the windows lie within the images", "C₁ = 0.01², C₂ = 0.03²"
K = "K₁ = 0.01 for luminance, K₂ = 0.03 for contrast"
MEAN, LAST = "average 2 × 2 pixels", "multiply by l at the coarsest scale alone"


def _losses(name: str, of: Callable[[Array, Array], Array]) -> tuple[Row, ...]:
    return (
        ("dissimilarity", lambda a, b: 1 - of(a, b), f"1 − {name}, a loss", ONE_MINUS),
        ("half-dissimilarity", lambda a, b: (1 - of(a, b)) / 2, f"(1 − {name})/2, a loss in [0, 1]", ONE_MINUS),
    )


def _terms(**how: Any) -> Terms:
    return partial(terms, **how)


def _range(size: float) -> dict[str, Any]:
    return {"c1": (0.01 * size) ** 2, "c2": (0.03 * size) ** 2}


SSIM = Form(
    "images", IMAGES, "f(a (B, H, W, C), b (B, H, W, C)) in [0, 1] -> (B,)", partial(_draw, 11),
    reference(measure.ssim, IMAGES),
    conventions=variants(IMAGES, (
        ("window-7-unbiased", partial(ssim, window=uniform(7), unbiased=True),
         "SSIM in windows of 7 × 7 equal weights with unbiased variances, scikit-image's defaults",
         f"gaussian_weights=True, use_sample_covariance=False: {GAUSS}", "skimage.metrics.structural_similarity"),
        *((f"window-{n}", partial(ssim, window=uniform(n)), f"SSIM in windows of {n} × {n} equal weights", GAUSS,
           "Wang & Bovik 2002, the universal quality index: 8 × 8") for n in (7, 8, 11)),
        ("padded-reflected", partial(ssim, padded="reflect"),
         "SSIM with a window about every pixel, the images reflected about their border pixels", WITHIN,
         "github.com/Lightning-AI/torchmetrics, functional/image/ssim.py"),
        *_losses("SSIM", measure.ssim),
    )),
    mistakes=variants(IMAGES, (
        ("range-255", partial(ssim, **_range(255)), "SSIM with the constants of images in 0 … 255 for images in [0, 1]",
         f"{CONSTANTS} (data_range=1)", WANG),
        ("range-2", partial(ssim, **_range(2)), "SSIM with the constants of the range 2, that of floats in [−1, 1]",
         "data_range=1",
         "scikit-image before 0.16 took 2 for floats when data_range was left out"),
        ("range-of-data", of_data_range, "SSIM with L = max − min of the first image in place of 1",
         "L is the range of the format, 1 here"),
        ("constants-left-out", partial(ssim, c1=0.0, c2=0.0), "SSIM without its constants", CONSTANTS, WANG),
        ("constants-not-squared", partial(ssim, c1=0.01, c2=0.03), "SSIM with C₁ = 0.01, C₂ = 0.03, not squared",
         "C₁ = (K₁L)², C₂ = (K₂L)²", WANG),
        ("constants-exchanged", partial(ssim, c1=measure.C2, c2=measure.C1), "SSIM with K₁ and K₂ exchanged", K, WANG),
        ("one-constant", partial(ssim, c1=measure.C2), "SSIM with K₂ for both constants", K, WANG),
        ("unbiased-variances", partial(ssim, unbiased=True), "SSIM with variances and covariance times n/(n − 1)",
         "weights that sum to 1 need no correction", WANG),
        ("padded-zeros", partial(ssim, padded="constant"), "SSIM of images padded with zeros", WITHIN,
         "pytorch-ssim, padding = window // 2"),
        ("padded-symmetric", partial(ssim, padded="symmetric"),
         "SSIM of images padded by reflection, the border pixel repeated", WITHIN,
         "the default of filters in scipy.ndimage"),
        ("sigma-squared", partial(ssim, window=gaussian(1.5**0.5)),
         "SSIM with the variance 1.5 of its window in place of the deviation", "exp(−d²/(2·1.5²))", WANG),
        ("no-windows", partial(ssim, of=whole_image), "SSIM of the statistics of the whole image, without windows",
         "take means and variances in windows, then the mean of SSIM", WANG),
        ("luminance-left-out", partial(ssim, join=lambda light, cs: cs.mean((1, 2))), "the contrast-structure term alone",
         "multiply by l", WANG),
        ("means-multiplied", partial(ssim, join=lambda light, cs: light.mean((1, 2)) * cs.mean((1, 2))),
         "in each channel the mean of l times the mean of cs", "multiply in each window, then take the mean"),
        ("grey", lambda a, b: ssim(a.mean(axis=3, keepdims=True), b.mean(axis=3, keepdims=True)),
         "SSIM of the mean over channels", "take SSIM of each channel, then the mean"),
        ("batch-mean", lambda a, b: ssim(a, b).mean() + np.zeros(len(a)), "the mean SSIM of the whole batch for every pair",
         "one number for each pair of images"),
    )),
)
MS_SSIM = Form(
    "images", IMAGES, "f(a (B, H, W, C), b (B, H, W, C)) in [0, 1], sides of 22 or more -> (B,)", partial(_draw, 24),
    reference(measure.ms_ssim, IMAGES),
    conventions=variants(IMAGES, (
        ("channels-first", partial(ms_ssim, channels_first=True), "MS-SSIM with channels averaged before the powers",
         "take the powers of each channel, then the mean"),
        *_losses("MS-SSIM", measure.ms_ssim),
    )),
    mistakes=variants(IMAGES, (
        ("luminance-at-every-scale", partial(ms_ssim, luminance_everywhere=True),
         "MS-SSIM with the luminance term at every scale", LAST, MULTI),
        ("luminance-left-out", partial(ms_ssim, luminance=False), "MS-SSIM without the luminance term", LAST, MULTI),
        ("weights-not-normalized", partial(ms_ssim, weigh=lambda side: measure.WEIGHTS[: len(measure.scales(side))]),
         "MS-SSIM of few scales with the weights of five as they stand", "divide them by their sum"),
        ("equal-weights", partial(ms_ssim, weigh=lambda side: [1 / len(measure.scales(side))] * len(measure.scales(side))),
         "MS-SSIM with equal weights", "0.0448, 0.2856, 0.3001, 0.2363, 0.1333", MULTI),
        ("weights-backwards", partial(ms_ssim, weigh=lambda side: measure.scales(side)[::-1]),
         "MS-SSIM with the weights of the coarsest scale first", "the finest scale comes first: 0.0448", MULTI),
        ("sum-of-scales", partial(ms_ssim, summed=True), "a weighted sum over the scales in place of the product",
         "multiply the powers", MULTI),
        ("every-second-pixel", partial(ms_ssim, smaller=partial(halved, by=lambda blocks: blocks[:, :, 0, :, 0])),
         "MS-SSIM that halves by dropping pixels", MEAN, MULTI),
        ("largest-pixel", partial(ms_ssim, smaller=partial(halved, by=lambda blocks: blocks.max(axis=(2, 4)))),
         "MS-SSIM that halves by the largest of 2 × 2 pixels", MEAN, MULTI),
        ("range-255", partial(ms_ssim, of=_terms(**_range(255))),
         "MS-SSIM with the constants of images in 0 … 255 for images in [0, 1]", f"{CONSTANTS} (data_range=1)", WANG),
        ("padded-zeros", partial(ms_ssim, of=_terms(padded="constant")), "MS-SSIM of images padded with zeros", WITHIN),
        ("powers-of-windows", partial(ms_ssim, windows_last=True), "MS-SSIM with powers of single windows, then means",
         "take the mean over windows first", MULTI),
        ("absolute-values", partial(ms_ssim, clip=np.abs), "MS-SSIM with absolute values of negative means",
         "count a negative mean as 0", "a ReLU in pytorch-msssim", "an inverted image counts as alike"),
        ("not-clipped", partial(ms_ssim, clip=lambda v: v), "MS-SSIM of negative means: NaN", "count a negative mean as 0"),
    )),
)
CONTRACTS: tuple[Contract, ...] = (
    Contract("measure", "ssim", "structural similarity at one scale", (SSIM,), WANG),
    Contract("measure", "ms_ssim", "structural similarity at several scales", (MS_SSIM,), MULTI),
)
