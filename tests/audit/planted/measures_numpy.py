"""More mistakes in SSIM and MS-SSIM, in NumPy."""

import numpy as np

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


def taps(scale=2 * 1.5**2):
    d = np.arange(-5, 6)
    g = np.exp(-(d**2) / scale)
    return g / g.sum()


def blur(images, g):
    """Rows, then columns, where the whole window fits; (B, H, W, C)."""
    for axis in (1, 2):
        size = images.shape[axis] - len(g) + 1
        images = sum(w * np.take(images, np.arange(k, k + size), axis=axis) for k, w in enumerate(g))
    return images


def statistics(a, b, g):
    """Means, variances and covariance in each window."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    mu_a, mu_b = blur(a, g), blur(b, g)
    return mu_a, mu_b, blur(a * a, g) - mu_a**2, blur(b * b, g) - mu_b**2, blur(a * b, g) - mu_a * mu_b


def luminance(mu_a, mu_b, c1):
    return (2 * mu_a * mu_b + c1) / (mu_a**2 + mu_b**2 + c1)


def structure(var_a, var_b, cov, c2):
    return (2 * cov + c2) / (var_a + var_b + c2)


def maps(a, b, c1=1e-4, c2=9e-4, g=None):
    mu_a, mu_b, var_a, var_b, cov = statistics(a, b, taps() if g is None else g)
    return luminance(mu_a, mu_b, c1), structure(var_a, var_b, cov, c2)


def mean(values):
    return values.mean(axis=(1, 2, 3))


# ---- MS-SSIM


def halved(images):
    high, wide = images.shape[1] // 2 * 2, images.shape[2] // 2 * 2
    images = images[:, :high, :wide].astype(np.float64)
    return (images[:, ::2] + images[:, 1::2])[:, :, ::2] / 4 + (images[:, ::2] + images[:, 1::2])[:, :, 1::2] / 4


def pyramid(a, b, halve=halved, c1=1e-4, c2=9e-4):
    """Luminance and structure maps, the finest scale first, as far down as a window fits."""
    levels = []
    while len(levels) < len(WEIGHTS) and min(a.shape[1:3]) >= 11:
        levels.append(maps(a, b, c1, c2))
        a, b = halve(a), halve(b)
    return levels


def shares(levels):
    weights = WEIGHTS[: len(levels)]
    return weights / weights.sum()


def channel(values):
    """The mean of each channel; a negative one counts as 0."""
    return np.maximum(values.mean(axis=(1, 2)), 0.0)


def ms_ssim_of_ssims(a, b):
    """SSIM itself at every scale."""
    levels = pyramid(a, b)
    terms = [channel(lum * cs) ** w for (lum, cs), w in zip(levels, shares(levels), strict=True)]
    return np.prod(terms, axis=0).mean(axis=1)
