"""Contracts of the measures of images: SSIM at one scale and at several.

Values alone are compared: a measure is no loss. Everything is written with arrays of planes (P, H, W), a channel of an
image each, P = B·C.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np

from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import reference, variant
from dimref.audit.contract import CORE, Contract, Form, Sizes
from dimref.evaluation import ssim as measure
from dimref.trees import Array

WANG = "Wang, Bovik, Sheikh & Simoncelli 2004, section III-C"
MULTI = "Wang, Simoncelli & Bovik 2003, eq. (7)"
Padding = Literal["", "constant", "reflect", "symmetric"]
Terms = Callable[[Array, Array], tuple[Array, Array]]


# ---- windows


def gaussian(sigma: float = measure.SIGMA, size: int = measure.WINDOW) -> Array:
    """The Gaussian window along one line, its sum 1."""
    offset = np.arange(size) - (size - 1) / 2
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
    x: Array, y: Array, window: Array, padded: Padding = "", c1: float = measure.C1, c2: float = measure.C2,
    unbiased: bool = False,
) -> tuple[Array, Array]:  # fmt: skip
    """The luminance term l and the contrast-structure term cs in every window."""
    mean_x, mean_y = filtered(x, window, padded), filtered(y, window, padded)
    n = len(window) ** 2
    size = n / (n - 1) if unbiased else 1.0
    covariance = size * (filtered(x * y, window, padded) - mean_x * mean_y)
    variances = size * (filtered(x * x + y * y, window, padded) - mean_x**2 - mean_y**2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)


def whole_image(x: Array, y: Array) -> tuple[Array, Array]:
    """The terms with the statistics of the whole plane: no windows."""
    (mean_x, mean_y), (var_x, var_y) = (
        [each.mean(axis=(1, 2)) for each in (x, y)],
        [e.var(axis=(1, 2)) for e in (x, y)],
    )
    covariance = ((x - mean_x[:, None, None]) * (y - mean_y[:, None, None])).mean(axis=(1, 2))
    luminance = (2 * mean_x * mean_y + measure.C1) / (mean_x**2 + mean_y**2 + measure.C1)
    contrast = (2 * covariance + measure.C2) / (var_x + var_y + measure.C2)
    return luminance[:, None, None], contrast[:, None, None]


def with_constants(c1: float, c2: float) -> Terms:
    """The terms with other constants."""
    return lambda x, y: terms(x, y, gaussian(), c1=c1, c2=c2)


# ---- one scale


def planes(images: Array) -> Array:
    """(B, H, W, C) → float64 (B·C, H, W)."""
    batch, high, wide, channels = images.shape
    return np.asarray(images, np.float64).transpose(0, 3, 1, 2).reshape(batch * channels, high, wide)


def over_channels(values: Array, images: Array) -> Array:
    """(B·C,) → (B,)."""
    return values.reshape(images.shape[0], images.shape[3]).mean(axis=1)


def plain(x: Array, y: Array) -> tuple[Array, Array]:
    """The reference's terms."""
    return terms(x, y, gaussian())


def ssim(of: Terms, a: Array, b: Array) -> Array:
    """The mean of l · cs."""
    luminance, contrast = of(planes(a), planes(b))
    return over_channels((luminance * contrast).mean(axis=(1, 2)), a)


def contrast_alone(a: Array, b: Array) -> Array:
    """The mean of cs."""
    return over_channels(plain(planes(a), planes(b))[1].mean(axis=(1, 2)), a)


def product_of_means(a: Array, b: Array) -> Array:
    """mean l · mean cs."""
    luminance, contrast = (each.mean(axis=(1, 2)) for each in plain(planes(a), planes(b)))
    return over_channels(luminance * contrast, a)


def of_grey(a: Array, b: Array) -> Array:
    """SSIM of the mean over channels."""
    return ssim(plain, a.mean(axis=3, keepdims=True), b.mean(axis=3, keepdims=True))


def of_data_range(a: Array, b: Array) -> Array:
    """L = the range of the first image's values in place of 1."""
    values = []
    for x, y in zip(a, b, strict=True):
        span = float(x.max() - x.min())
        values.append(ssim(with_constants((0.01 * span) ** 2, (0.03 * span) ** 2), x[None], y[None])[0])
    return np.array(values)


def batch_mean(a: Array, b: Array) -> Array:
    """One number for the whole batch."""
    return ssim(plain, a, b).mean() + np.zeros(len(a))


def dissimilarity(function: Callable[[Array, Array], Array], half: float, a: Array, b: Array) -> Array:
    """(1 − value) · half."""
    return half * (1 - function(a, b))


# ---- several scales


def means(images: Array) -> Array:
    """From one scale to the next: the mean of every 2 × 2 pixels."""
    high, wide = images.shape[1] // 2, images.shape[2] // 2
    return images[:, : 2 * high, : 2 * wide].reshape(-1, high, 2, wide, 2).mean(axis=(2, 4))


def every_second(images: Array) -> Array:
    """Every second pixel, nothing averaged."""
    return images[:, : images.shape[1] // 2 * 2 : 2, : images.shape[2] // 2 * 2 : 2]


def largest(images: Array) -> Array:
    """The largest of every 2 × 2 pixels."""
    high, wide = images.shape[1] // 2, images.shape[2] // 2
    return images[:, : 2 * high, : 2 * wide].reshape(-1, high, 2, wide, 2).max(axis=(2, 4))


def _scaled(side: int) -> tuple[float, ...]:
    return measure.scales(side)


def raw_weights(side: int) -> tuple[float, ...]:
    """The first of the five weights as they stand: their sum is less than 1."""
    return measure.WEIGHTS[: len(measure.scales(side))]


def equal_weights(side: int) -> tuple[float, ...]:
    """The same weight at every scale."""
    count = len(measure.scales(side))
    return (1 / count,) * count


def backwards(side: int) -> tuple[float, ...]:
    """The weights with the coarsest scale first."""
    return measure.scales(side)[::-1]


def ms_ssim(
    a: Array, b: Array, of: Terms = plain, smaller: Callable[[Array], Array] = means, luminance_everywhere: bool = False,
    luminance: bool = True, clip: Callable[[Array], Array] = lambda v: np.maximum(v, 0), summed: bool = False,
    weigh: Callable[[int], tuple[float, ...]] = _scaled, channels_first: bool = False, windows_last: bool = False,
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


_v = partial(variant, IMAGES)
L255, L2 = 255.0, 2.0
GAUSS = "a Gaussian window of 11 × 11 pixels, σ = 1.5"
ONE_MINUS = "1 − it, or a half of that, is a loss: give the value itself"
SSIM = Form(
    name="images",
    signature=IMAGES,
    meaning="f(a (B, H, W, C), b (B, H, W, C)) in [0, 1] -> (B,)",
    draw=partial(_draw, 11),
    reference=reference(measure.ssim, IMAGES),
    conventions=(
        _v("window-7-unbiased", partial(ssim, lambda x, y: terms(x, y, uniform(7), unbiased=True)),
           "SSIM in windows of 7 × 7 equal weights with unbiased variances, scikit-image's defaults",
           f"gaussian_weights=True, use_sample_covariance=False: {GAUSS}", "skimage.metrics.structural_similarity"),
        _v("window-7", partial(ssim, lambda x, y: terms(x, y, uniform(7))), "SSIM in windows of 7 × 7 equal weights",
           GAUSS),
        _v("window-8", partial(ssim, lambda x, y: terms(x, y, uniform(8))), "SSIM in windows of 8 × 8 equal weights",
           GAUSS, "Wang & Bovik 2002, the universal quality index"),
        _v("window-11", partial(ssim, lambda x, y: terms(x, y, uniform(11))),
           "SSIM in windows of 11 × 11 equal weights", GAUSS),
        _v("padded-reflected", partial(ssim, lambda x, y: terms(x, y, gaussian(), padded="reflect")),
           "SSIM with a window about every pixel, the images reflected about their border pixels",
           "let the windows lie within the images",
           "github.com/Lightning-AI/torchmetrics, functional/image/ssim.py",
           consequence="pixels near the border count more than once"),
        _v("dissimilarity", partial(dissimilarity, measure.ssim, 1.0), "1 − SSIM, a loss", ONE_MINUS),
        _v("half-dissimilarity", partial(dissimilarity, measure.ssim, 0.5), "(1 − SSIM)/2, a loss in [0, 1]",
           ONE_MINUS),
    ),
    mistakes=(
        _v("range-255", partial(ssim, with_constants((0.01 * L255) ** 2, (0.03 * L255) ** 2)),
           "SSIM with the constants of images in 0 … 255 for images in [0, 1]",
           "C₁ = 0.01², C₂ = 0.03² (data_range=1)", WANG),
        _v("range-2", partial(ssim, with_constants((0.01 * L2) ** 2, (0.03 * L2) ** 2)),
           "SSIM with the constants of the range 2, that of floats in [−1, 1]", "data_range=1",
           "scikit-image before 0.16 took 2 for floats when data_range was left out"),
        _v("range-of-data", of_data_range, "SSIM with L = max − min of the first image in place of 1",
           "L is the range of the format, 1 here"),
        _v("constants-left-out", partial(ssim, with_constants(0.0, 0.0)), "SSIM without its constants",
           "C₁ = 0.01², C₂ = 0.03²", WANG),
        _v("constants-not-squared", partial(ssim, with_constants(0.01, 0.03)),
           "SSIM with C₁ = 0.01, C₂ = 0.03, not squared", "C₁ = (K₁L)², C₂ = (K₂L)²", WANG),
        _v("constants-exchanged", partial(ssim, with_constants(measure.C2, measure.C1)),
           "SSIM with K₁ and K₂ exchanged", "K₁ = 0.01 for luminance, K₂ = 0.03 for contrast", WANG),
        _v("one-constant", partial(ssim, with_constants(measure.C2, measure.C2)), "SSIM with K₂ for both constants",
           "K₁ = 0.01 for luminance, K₂ = 0.03 for contrast", WANG),
        _v("unbiased-variances", partial(ssim, lambda x, y: terms(x, y, gaussian(), unbiased=True)),
           "SSIM with variances and covariance times n/(n − 1)", "weights that sum to 1 need no correction", WANG),
        _v("padded-zeros", partial(ssim, lambda x, y: terms(x, y, gaussian(), padded="constant")),
           "SSIM of images padded with zeros", "let the windows lie within the images",
           "pytorch-ssim, padding = window // 2"),
        _v("padded-symmetric", partial(ssim, lambda x, y: terms(x, y, gaussian(), padded="symmetric")),
           "SSIM of images padded by reflection, the border pixel repeated", "let the windows lie within the images",
           "the default of filters in scipy.ndimage"),
        _v("sigma-squared", partial(ssim, lambda x, y: terms(x, y, gaussian(1.5**0.5))),
           "SSIM with the variance 1.5 of its window in place of the deviation", "exp(−d²/(2·1.5²))", WANG),
        _v("no-windows", partial(ssim, whole_image), "SSIM of the statistics of the whole image, without windows",
           "take means and variances in windows, then the mean of SSIM", WANG),
        _v("luminance-left-out", contrast_alone, "the contrast-structure term alone", "multiply by l", WANG),
        _v("means-multiplied", product_of_means, "in each channel the mean of l times the mean of cs",
           "multiply in each window, then take the mean"),
        _v("grey", of_grey, "SSIM of the mean over channels", "take SSIM of each channel, then the mean"),
        _v("batch-mean", batch_mean, "the mean SSIM of the whole batch for every pair",
           "one number for each pair of images", consequence="the same number for each pair"),
    ),
)  # fmt: skip
MS_SSIM = Form(
    name="images",
    signature=IMAGES,
    meaning="f(a (B, H, W, C), b (B, H, W, C)) in [0, 1], sides of 22 or more -> (B,)",
    draw=partial(_draw, 24),
    reference=reference(measure.ms_ssim, IMAGES),
    conventions=(
        _v("channels-first", partial(ms_ssim, channels_first=True),
           "MS-SSIM with channels averaged before the powers", "take the powers of each channel, then the mean"),
        _v("dissimilarity", partial(dissimilarity, measure.ms_ssim, 1.0), "1 − MS-SSIM, a loss", ONE_MINUS),
        _v("half-dissimilarity", partial(dissimilarity, measure.ms_ssim, 0.5), "(1 − MS-SSIM)/2, a loss in [0, 1]",
           ONE_MINUS),
    ),
    mistakes=(
        _v("luminance-at-every-scale", partial(ms_ssim, luminance_everywhere=True),
           "MS-SSIM with the luminance term at every scale", "multiply by l at the coarsest scale alone", MULTI),
        _v("luminance-left-out", partial(ms_ssim, luminance=False), "MS-SSIM without the luminance term",
           "multiply by l at the coarsest scale", MULTI),
        _v("weights-not-normalized", partial(ms_ssim, weigh=raw_weights),
           "MS-SSIM of few scales with the weights of five as they stand", "divide them by their sum"),
        _v("equal-weights", partial(ms_ssim, weigh=equal_weights), "MS-SSIM with equal weights",
           "0.0448, 0.2856, 0.3001, 0.2363, 0.1333", MULTI),
        _v("weights-backwards", partial(ms_ssim, weigh=backwards),
           "MS-SSIM with the weights of the coarsest scale first", "the finest scale comes first: 0.0448", MULTI),
        _v("sum-of-scales", partial(ms_ssim, summed=True), "a weighted sum over the scales in place of the product",
           "multiply the powers", MULTI),
        _v("every-second-pixel", partial(ms_ssim, smaller=every_second), "MS-SSIM that halves by dropping pixels",
           "average 2 × 2 pixels first", MULTI),
        _v("largest-pixel", partial(ms_ssim, smaller=largest), "MS-SSIM that halves by the largest of 2 × 2 pixels",
           "average 2 × 2 pixels", MULTI),
        _v("range-255", partial(ms_ssim, of=with_constants((0.01 * L255) ** 2, (0.03 * L255) ** 2)),
           "MS-SSIM with the constants of images in 0 … 255 for images in [0, 1]",
           "C₁ = 0.01², C₂ = 0.03² (data_range=1)", WANG),
        _v("padded-zeros", partial(ms_ssim, of=lambda x, y: terms(x, y, gaussian(), padded="constant")),
           "MS-SSIM of images padded with zeros", "let the windows lie within the images"),
        _v("powers-of-windows", partial(ms_ssim, windows_last=True),
           "MS-SSIM with powers of single windows, then means", "take the mean over windows first", MULTI),
        _v("absolute-values", partial(ms_ssim, clip=np.abs), "MS-SSIM with absolute values of negative means",
           "count a negative mean as 0", "a ReLU in pytorch-msssim", consequence="an inverted image counts as alike"),
        _v("not-clipped", partial(ms_ssim, clip=lambda v: v), "MS-SSIM of negative means: NaN",
           "count a negative mean as 0"),
    ),
)  # fmt: skip
CONTRACTS: tuple[Contract, ...] = (
    Contract("measure", "ssim", "structural similarity at one scale", (SSIM,), WANG),
    Contract("measure", "ms_ssim", "structural similarity at several scales", (MS_SSIM,), MULTI),
)
