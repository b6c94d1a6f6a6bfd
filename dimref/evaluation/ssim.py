"""How alike two images are to an eye: structural similarity at one scale, and at several.

In windows of 11 × 11 pixels, Gaussian with σ = 1.5, the means μ, variances σ² and covariance σ_ab of the two images give
a luminance term l = (2μ_a μ_b + C₁)/(μ_a² + μ_b² + C₁) and a contrast-structure term
cs = (2σ_ab + C₂)/(σ_a² + σ_b² + C₂), with C₁ = (K₁L)², C₂ = (K₂L)², K₁ = 0.01, K₂ = 0.03 and L = 1, the range of the
images. A measure and no loss: in float64 whatever comes in, and untraced. Values are 1 for equal images.
"""

from __future__ import annotations

import numpy as np

from dimref.trees import Array

WINDOW, SIGMA = 11, 1.5  # pixels
C1, C2 = 0.01**2, 0.03**2
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first


def ssim(a: Array, b: Array) -> Array:
    """The mean over windows and channels of l · cs, for each pair of images.

    The windows lie within the images: nothing is padded.

    Args:
        a, b: images in [0, 1], (B, H, W, C), H and W at least 11.
    Returns:
        (B,) float64, in (−1, 1].
    Raises:
        ValueError: the shapes differ, or no window fits.
    Source: Wang, Bovik, Sheikh & Simoncelli 2004, IEEE Trans. Image Process. 13(4), eq. (13) and section III-C.
    """
    luminance, contrast = _terms(*_planes("ssim", a, b))
    return _over_channels((luminance * contrast).mean(axis=(1, 2)), a)


def ms_ssim(a: Array, b: Array) -> Array:
    """Multi-scale SSIM, (mean l·cs at the coarsest scale)^{w_S} · Π_{s<S} (mean cs at scale s)^{w_s}, for each pair.

    From one scale to the next, 2 × 2 pixels are averaged. As many scales as hold a window, five at most, with the first
    of the weights 0.0448, 0.2856, 0.3001, 0.2363, 0.1333 divided by their sum (see `scales`): two at 32×32, three at
    64×64. Means over windows come before the powers, and a mean below 0 counts as 0, since a negative number has no
    such power; the channels are averaged last. (Public code differs here: some averages channels first.)

    Args:
        a, b: images in [0, 1], (B, H, W, C), H and W at least 11.
    Returns:
        (B,) float64, in [0, 1].
    Raises:
        ValueError: the shapes differ, or no window fits.
    Source: Wang, Simoncelli & Bovik 2003, Asilomar Conf. Signals, Systems & Computers, eq. (7).
    """
    weights = scales(min(a.shape[1:3], default=0))
    x, y = _planes("ms_ssim", a, b)
    value = 1.0
    for k, weight in enumerate(weights):
        luminance, contrast = _terms(x, y)
        seen = contrast if k < len(weights) - 1 else luminance * contrast
        value = value * np.maximum(seen.mean(axis=(1, 2)), 0.0) ** weight
        x, y = _halved(x), _halved(y)
    return _over_channels(value, a)


def scales(side: int) -> tuple[float, ...]:
    """The weights of the scales at which a window fits into images of that side; they sum to 1. Empty below 11 pixels."""
    count = sum(side // 2**k >= WINDOW for k in range(len(WEIGHTS)))
    return tuple(weight / sum(WEIGHTS[:count]) for weight in WEIGHTS[:count])


def _planes(name: str, a: Array, b: Array) -> tuple[Array, Array]:
    """Both as float64 (B·C, H, W)."""
    if a.ndim != 4 or a.shape != b.shape:
        raise ValueError(f"{name}: a and b must be (B, H, W, C), both alike, were {a.shape} and {b.shape}")
    if min(a.shape[1:3]) < WINDOW:
        raise ValueError(f"{name}: images must be at least {WINDOW}×{WINDOW}, were {a.shape[1]}×{a.shape[2]}")
    batch, high, wide, channels = a.shape
    shape = (batch * channels, high, wide)
    return tuple(x.transpose(0, 3, 1, 2).reshape(shape).astype(np.float64) for x in (a, b))


def _over_channels(values: Array, images: Array) -> Array:
    return values.reshape(images.shape[0], images.shape[3]).mean(axis=1)


def _terms(x: Array, y: Array) -> tuple[Array, Array]:
    """l and cs in every window of planes (P, H, W): (P, H − 10, W − 10) each. Biased variances, as in the paper."""
    down, across = _gaussian(x.shape[1], x), _gaussian(x.shape[2], x)

    def local(plane: Array) -> Array:
        return down @ (plane @ across.T)

    mean_x, mean_y = local(x), local(y)
    covariance = local(x * y) - mean_x * mean_y
    variances = local(x * x + y * y) - mean_x * mean_x - mean_y * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
    return luminance, (2 * covariance + C2) / (variances + C2)


def _gaussian(size: int, like: Array) -> Array:
    """(size − 10, size): row i holds the Gaussian window over pixels i … i + 10. Its product with a line filters it."""
    reach = WINDOW // 2
    middle = np.arange(reach, size - reach, like=like).reshape(-1, 1)
    offset = (np.arange(size, like=like).reshape(1, -1) - middle).astype(np.float64)
    weight = np.exp(offset * offset * (-0.5 / SIGMA**2)) * (np.absolute(offset) <= reach)
    return weight / weight.sum(axis=1, keepdims=True)


def _halved(planes: Array) -> Array:
    """The mean of every 2 × 2 pixels; an odd last line is left out."""
    high, wide = planes.shape[1] // 2, planes.shape[2] // 2
    return planes[:, : 2 * high, : 2 * wide].reshape(-1, high, 2, wide, 2).mean(axis=(2, 4))
