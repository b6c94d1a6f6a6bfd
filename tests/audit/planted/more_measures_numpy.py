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


# ---- SSIM: constants


def ssim_data_range(a, b):
    """data_range = im1.max() − im1.min()."""
    out = []
    for x, y in zip(a, b, strict=True):
        span = float(x.max()) - float(x.min())
        lum, cs = maps(x[None], y[None], (0.01 * span) ** 2, (0.03 * span) ** 2)
        out.append(np.mean(lum * cs))
    return np.array(out)


def ssim_without_constants(a, b):
    lum, cs = maps(a, b, 0.0, 0.0)
    return mean(lum * cs)


def ssim_k_swapped(a, b):
    k2, k1 = 0.01, 0.03
    lum, cs = maps(a, b, k1**2, k2**2)
    return mean(lum * cs)


def ssim_one_constant(a, b):
    c = 0.03**2
    lum, cs = maps(a, b, c, c)
    return mean(lum * cs)


# ---- SSIM: windows


def ssim_sample_covariance(a, b):
    """Bessel's correction for a Gaussian window of 121 weights."""
    mu_a, mu_b, var_a, var_b, cov = statistics(a, b, taps())
    n = 11 * 11
    correct = n / (n - 1)
    return mean(luminance(mu_a, mu_b, 1e-4) * structure(correct * var_a, correct * var_b, correct * cov, 9e-4))


def ssim_mirrored(a, b):
    """As many windows as pixels: scipy.ndimage's default border, d c b a | a b c d."""
    edge = ((0, 0), (5, 5), (5, 5), (0, 0))
    lum, cs = maps(np.pad(a, edge, mode="symmetric"), np.pad(b, edge, mode="symmetric"))
    return mean(lum * cs)


def ssim_reflected(a, b):
    """torch's padding_mode="reflect": d c b | a b c d."""

    def framed(images):
        images = np.concatenate([images[:, 5:0:-1], images, images[:, -2:-7:-1]], axis=1)
        return np.concatenate([images[:, :, 5:0:-1], images, images[:, :, -2:-7:-1]], axis=2)

    lum, cs = maps(framed(a), framed(b))
    return mean(lum * cs)


def ssim_narrow_window(a, b):
    """exp(−d²/(2σ)): σ was not squared."""
    lum, cs = maps(a, b, g=taps(2 * 1.5))
    return mean(lum * cs)


def ssim_global(a, b):
    """One mean, one variance for each channel of each image."""
    x, y = (np.reshape(images.astype(np.float64), (len(images), -1, images.shape[3])) for images in (a, b))
    mu_x, mu_y = x.mean(axis=1), y.mean(axis=1)
    cov = np.mean((x - mu_x[:, None]) * (y - mu_y[:, None]), axis=1)
    value = luminance(mu_x, mu_y, 0.01**2) * structure(x.var(axis=1), y.var(axis=1), cov, 0.03**2)
    return value.mean(axis=1)


# ---- SSIM: what is averaged


def ssim_product_of_means(a, b):
    """Both terms are averaged, then multiplied."""
    lum, cs = maps(a, b)
    return np.mean(lum.mean(axis=(1, 2)) * cs.mean(axis=(1, 2)), axis=1)


def ssim_grey(a, b):
    lum, cs = maps(a.mean(axis=3, keepdims=True), b.mean(axis=3, keepdims=True))
    return mean(lum * cs)


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


def product(levels, weights, average=channel):
    """Structure at every scale, with luminance at the coarsest."""
    out = 1.0
    for s, (lum, cs) in enumerate(levels):
        out = out * average(lum * cs if s == len(levels) - 1 else cs) ** weights[s]
    return out.mean(axis=1)


def ms_ssim_of_ssims(a, b):
    """SSIM itself at every scale."""
    levels = pyramid(a, b)
    terms = [channel(lum * cs) ** w for (lum, cs), w in zip(levels, shares(levels), strict=True)]
    return np.prod(terms, axis=0).mean(axis=1)


def ms_ssim_no_luminance(a, b):
    levels = pyramid(a, b)
    terms = [channel(cs) ** w for (_, cs), w in zip(levels, shares(levels), strict=True)]
    return np.prod(terms, axis=0).mean(axis=1)


def ms_ssim_equal_weights(a, b):
    levels = pyramid(a, b)
    return product(levels, [1 / len(levels)] * len(levels))


def ms_ssim_weights_reversed(a, b):
    levels = pyramid(a, b)
    return product(levels, shares(levels)[::-1])


def ms_ssim_weighted_sum(a, b):
    levels = pyramid(a, b)
    last = len(levels) - 1
    terms = [
        w * channel(lum * cs if s == last else cs)
        for s, ((lum, cs), w) in enumerate(zip(levels, shares(levels), strict=True))
    ]
    return sum(terms).mean(axis=1)


def ms_ssim_strided(a, b):
    levels = pyramid(a, b, halve=lambda images: images[:, ::2, ::2])
    return product(levels, shares(levels))


def ms_ssim_max_pooled(a, b):
    def pooled(images):
        high, wide = images.shape[1] // 2, images.shape[2] // 2
        blocks = images[:, : 2 * high, : 2 * wide].reshape(len(images), high, 2, wide, 2, -1)
        return blocks.max(axis=(2, 4))

    levels = pyramid(a, b, halve=pooled)
    return product(levels, shares(levels))


def ms_ssim_same_size(a, b):
    """Windows over the border, where zeros lie."""
    edge, levels = ((0, 0), (5, 5), (5, 5), (0, 0)), []
    while len(levels) < 5 and min(a.shape[1:3]) >= 11:
        levels.append(maps(np.pad(a, edge), np.pad(b, edge)))
        a, b = halved(a), halved(b)
    return product(levels, shares(levels))


def ms_ssim_powers_first(a, b):
    """Each window's value to its power, then the mean."""
    levels = pyramid(a, b)
    return product(
        [
            (np.ones_like(lum), np.maximum(lum * cs if s == len(levels) - 1 else cs, 0) ** w)
            for s, ((lum, cs), w) in enumerate(zip(levels, shares(levels), strict=True))
        ],
        [1.0] * len(levels),
    )


def ms_ssim_absolute(a, b):
    levels = pyramid(a, b)
    return product(levels, shares(levels), average=lambda values: np.abs(values.mean(axis=(1, 2))))


def ms_ssim_raw_powers(a, b):
    levels = pyramid(a, b)
    with np.errstate(invalid="ignore"):
        return product(levels, shares(levels), average=lambda values: values.mean(axis=(1, 2)))
