"""Two random views of each image of a batch: a shift or a crop, a flip that both share, jittered colours, greyscale.

Images are (B, H, W, C) in [0, 1] and stay there. All parameters are drawn on the host, `draw_views`; the transforms are
functions of whole arrays on either backend, `augment`. A shift, a crop and a flip are positions in the image, one for each
row and each column of the view, so that one resampling does them all.

Strengths are those of the public code of arXiv 1906.00910 for CIFAR-10 and STL-10. It differs in two ways: it crops with
bicubic interpolation, which leaves [0, 1], here bilinear; and torchvision jitters colours in an order drawn for each image,
here always in the order below, so that a step does the same work each time.
"""

import math

import numpy as np

from dimref.trees import Array, Tree

SHIFT = 4  # pixels at most, along each axis
SHIFTED = 0.8  # share of the views that are shifted at all
AREA, RATIO = (0.3, 1.0), (0.7, 1.4)  # of a crop: its share of the image, and its width over its height
ATTEMPTS = 10  # draws of a crop that fits into the image, before the whole image is taken
JITTERED = 0.8  # share of the views with jittered colours
FACTORS, HUES = (0.6, 1.4), (-0.2, 0.2)  # brightness, contrast and saturation times these; turns of the colour circle
GREY = 0.25  # share of the views without colour
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


# ---- draws, on the host


def draw_views(rng: np.random.Generator, n: int, size: int, kind: str) -> tuple[Tree, Tree]:
    """The parameters of two views of each of n images of size × size: independent of each other but for the flip.

    Args:
        kind: "shift" or "crop".
    Returns:
        Twice {"rows", "columns": (n, size), "brightness", "contrast", "saturation", "hue": (n,) float32, "grey": (n,) bool}.
    Raises:
        ValueError: kind is neither.
    Source: arXiv 1906.00910, section 3.4 (data augmentation).
    """
    flipped = rng.random((n, 1)) < 0.5
    first, second = (_draw_view(rng, n, size, kind) for _ in range(2))
    for view in (first, second):
        view["columns"] = np.where(flipped, view["columns"][:, ::-1], view["columns"])
    return first, second


def _draw_view(rng: np.random.Generator, n: int, size: int, kind: str) -> Tree:
    if kind not in ("shift", "crop"):
        raise ValueError(f"draw_views: kind must be 'shift' or 'crop', was {kind!r}")
    rows, columns = draw_shifts(rng, n, size) if kind == "shift" else draw_crops(rng, n, size)
    jittered = rng.random(n) < JITTERED
    factors = {name: rng.uniform(*FACTORS, n) for name in ("brightness", "contrast", "saturation")}
    return {
        "rows": rows,
        "columns": columns,
        **{name: np.where(jittered, factor, 1).astype(np.float32) for name, factor in factors.items()},
        "hue": np.where(jittered, rng.uniform(*HUES, n), 0).astype(np.float32),
        "grey": rng.random(n) < GREY,
    }


def draw_shifts(rng: np.random.Generator, n: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rows and the columns of shifted images: whole pixels, reflected at the edge; (n, size) each.

    Pixels beyond the edge are the mirror image without the edge itself, as `np.pad`'s mode "reflect".
    """
    shifts = rng.integers(-SHIFT, SHIFT + 1, (2, n, 1)) * (rng.random((n, 1)) < SHIFTED)
    last = size - 1
    positions = last - np.abs(last - np.abs(np.arange(size) - shifts))
    return positions[0].astype(np.float32), positions[1].astype(np.float32)


def draw_crops(rng: np.random.Generator, n: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rows and the columns of crops that are enlarged to the image's size; (n, size) each.

    A crop's area is uniform, the logarithm of its ratio too, its sides are whole pixels and its place is uniform: the
    rule of torchvision's RandomResizedCrop. The first of `ATTEMPTS` draws that fits is taken, or else the whole image.
    """
    area = rng.uniform(*AREA, (ATTEMPTS, n)) * size**2
    ratio = np.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1]), (ATTEMPTS, n)))
    sides = np.rint(np.stack([np.sqrt(area / ratio), np.sqrt(area * ratio)])).astype(np.int64)  # heights, widths
    fits = ((sides >= 1) & (sides <= size)).all(axis=0)
    first = fits.argmax(axis=0)
    chosen = np.where(fits.any(axis=0), sides[:, first, np.arange(n)], size)
    starts = rng.integers(0, size - chosen + 1)
    rows, columns = (crop_positions(start, side, size) for start, side in zip(starts, chosen, strict=True))
    return rows, columns


def crop_positions(starts: np.ndarray, sides: np.ndarray, size: int) -> np.ndarray:
    """Positions of `size` pixels, evenly over pixels start … start + side − 1: (n,), (n,) → (n, size).

    Pixel k has its centre at (k + ½)·side/size − ½ in the crop; beyond the centres of the crop's outer pixels, at these.
    """
    inside = (np.arange(size) + 0.5) * (sides[:, None] / size) - 0.5
    return (starts[:, None] + np.clip(inside, 0, sides[:, None] - 1)).astype(np.float32)


# ---- transforms, on either backend


def augment(images: Array, view: Tree) -> Array:
    """A view of images (B, H, W, C) in [0, 1], by the parameters of `draw_views`. Images of one channel have no colours."""
    x = resample(images, view["rows"], view["columns"])
    x = brightness(x, view["brightness"])
    x = contrast(x, view["contrast"])
    if images.shape[3] == 1:
        return x
    x = saturation(x, view["saturation"])
    x = hue(x, view["hue"])
    return np.where(_each(view["grey"]), greyscale(x), x)


def resample(images: Array, rows: Array, columns: Array) -> Array:
    """Read each image at positions of rows and columns, between pixels by linear interpolation.

    out[b, i, j] = Σ_{p, q} hat(rows[b, i] − p) · hat(columns[b, j] − q) · images[b, p, q], hat(u) = max(0, 1 − |u|): the
    weights of a pixel sum to 1.

    Args:
        images: (B, H, W, C). rows: (B, H') in 0..H−1. columns: (B, W') in 0..W−1.
    Returns:
        (B, H', W', C).
    """
    b, high, wide, channels = images.shape
    out_high, out_wide = rows.shape[1], columns.shape[1]
    x = _read(images.reshape(b, high, wide * channels), rows).reshape(b, out_high, wide, channels)
    x = _read(x.transpose(0, 2, 1, 3).reshape(b, wide, out_high * channels), columns)
    return x.reshape(b, out_wide, out_high, channels).transpose(0, 2, 1, 3).copy()


def _read(lines: Array, positions: Array) -> Array:
    """Linear interpolation between the n lines of each image: (B, n, K) at positions (B, m) in 0..n−1 → (B, m, K)."""
    b, n, numbers = lines.shape
    before = positions.astype(np.int64)
    after = np.minimum(before + 1, n - 1)
    share = (positions - before.astype(positions.dtype)).reshape(*positions.shape, 1)
    start = np.arange(b, like=before).reshape(b, 1) * n
    flat = lines.reshape(b * n, numbers)
    return (1 - share) * flat[start + before] + share * flat[start + after]


def brightness(images: Array, factor: Array) -> Array:
    """factor·x, clipped at 1. images (B, H, W, C), factor (B,) ≥ 0, as in `contrast` and `saturation`."""
    return np.clip(images * _each(factor), 0, 1)


def contrast(images: Array, factor: Array) -> Array:
    """m + factor·(x − m), clipped to [0, 1], m the mean of the image's greyscale."""
    return _blend(greyscale(images).mean(axis=(1, 2, 3), keepdims=True), images, factor)


def saturation(images: Array, factor: Array) -> Array:
    """g + factor·(x − g), clipped to [0, 1], g the pixel's greyscale: factor 0 removes the colours."""
    return _blend(greyscale(images), images, factor)


def _blend(other: Array, images: Array, factor: Array) -> Array:
    weight = _each(factor)
    return np.clip(weight * images + (1 - weight) * other, 0, 1)


def greyscale(images: Array) -> Array:
    """0.299 R + 0.587 G + 0.114 B of (B, H, W, 3), as one channel; an image of one channel as it is. (B, H, W, 1).

    Source: ITU-R Recommendation BT.601.
    """
    if images.shape[3] == 1:
        return images
    red, green, blue = LUMA
    grey = red * images[..., 0:1] + green * images[..., 1:2] + blue * images[..., 2:3]
    return np.minimum(grey, 1)  # white, whatever the rounding


def hue(images: Array, turns: Array) -> Array:
    """Turn each image's colours (B, H, W, 3) by a share of a full turn, (B,): H + turns in HSV; S and V stay.

    With V = max, D = max − min and h in sixths of a turn, a channel is V − D·clip(u, 0, 1), u = 2 − |h − 3| for red,
    |h − 2| − 1 for green and |h − 4| − 1 for blue.

    Source: Smith 1978, "Color gamut transform pairs", SIGGRAPH 12(3) (hexcone model).
    """
    red, green, blue = (images[..., k : k + 1] for k in range(3))
    top = np.maximum(np.maximum(red, green), blue)  # `max` along an axis of three takes many times as long
    span = top - np.minimum(np.minimum(red, green), blue)
    divisor = np.where(span > 0, span, np.ones_like(span))  # grey has no hue: any divisor does
    sixths = np.where(
        top == red,
        (green - blue) / divisor,
        np.where(top == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )
    h = (sixths + 6 * _each(turns)) % 6
    away = 2 - np.abs(h - 3), np.abs(h - 2) - 1, np.abs(h - 4) - 1
    return np.concatenate([top - span * np.clip(u, 0, 1) for u in away], axis=3)


def _each(values: Array) -> Array:
    """One value per image, (B,) → (B, 1, 1, 1)."""
    return values.reshape(values.shape[0], 1, 1, 1)
