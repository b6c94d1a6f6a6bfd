"""Shapes: colour images drawn from known factors, so that everything runs without a download.

Each image holds four copies of one of ten shapes (the label) on a textured ground, under pixel noise. Every copy has
its own hue, contrast polarity, place, size and tilt, so the shape is what distant patches of an image have in common,
which is what the local objective learns; noise and hue are not. No pixel identifies its shape, so a linear classifier
on raw pixels stays poor. Since the factors are known, what a representation retains of each can be measured.

Every number comes from NumPy's PCG64, seeded by (seed, split, block) for blocks of `BLOCK` images that are always
drawn whole: image i of a split is the same however many are requested, and train and test share no stream.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from dimref.data.dataset import Dataset, make

SIDE = 32
COUNTS = {"train": 10_000, "test": 2_000}
TEXTURES = ("plain", "gradient", "stripes", "checks", "clouds")
NOISE = 0.25  # standard deviation of the pixel noise unless another is chosen, in units of [0, 1]
COPIES = 4  # of the shape in each image, one to a quarter
BLOCK = 250  # a multiple of the number of shapes: each block holds every shape equally often

Factors = Mapping[str, np.ndarray]
Field = np.ndarray  # one number per pixel, (N, SIDE, SIDE)


def load(split: str, limit: int | None = None, noise: float = NOISE, seed: int = 0) -> Dataset:
    """The shapes as a `Dataset`: the first `limit` of 10,000 training or 2,000 test images."""
    count = min(limit or COUNTS[split], COUNTS[split])
    images, factors = draw(np.arange(count), split, seed, noise)
    return make("shapes", split, images, factors["shape"], SHAPES, f"drawn with seed {seed}, noise {noise:g}")


def draw(
    indices: np.ndarray, split: str = "train", seed: int = 0, noise: float = NOISE
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draw the images of these indices; returns their factors too.

    Args:
        indices: (N,) non-negative integers, in any order.
        split: "train" or "test": two disjoint streams.
        seed: another seed, other images.
        noise: standard deviation of Gaussian pixel noise in units of [0, 1]; the scene does not depend on it.

    Returns:
        images uint8 (N, 32, 32, 3), and the factors of `sample_factors`.
    """
    indices = np.asarray(indices, dtype=np.int64)
    if indices.ndim != 1 or indices.size == 0 or indices.min() < 0:
        raise ValueError("indices must be one or more non-negative integers in one dimension")
    images = np.empty((len(indices), SIDE, SIDE, 3), np.uint8)
    parts: list[dict[str, np.ndarray]] = []
    rows: list[np.ndarray] = []
    for block in np.unique(indices // BLOCK):
        where = np.flatnonzero(indices // BLOCK == block)
        scene_stream, noise_stream = _streams(seed, split, int(block))
        factors = {key: value[indices[where] % BLOCK] for key, value in sample_factors(scene_stream, BLOCK).items()}
        scene = render(factors)
        if noise > 0:
            grain = noise_stream.standard_normal((BLOCK, SIDE, SIDE, 3), dtype=np.float32)
            scene += float(noise) * grain[indices[where] % BLOCK]
        images[where] = np.rint(np.clip(scene, 0, 1) * 255)
        parts.append(factors)
        rows.append(where)
    order = np.argsort(np.concatenate(rows))
    return images, {key: np.concatenate([part[key] for part in parts])[order] for key in parts[0]}


def _streams(seed: int, split: str, block: int) -> tuple[np.random.Generator, np.random.Generator]:
    key = (seed, tuple(COUNTS).index(split), block)
    scene, noise = np.random.SeedSequence(key).spawn(2)
    return np.random.Generator(np.random.PCG64(scene)), np.random.Generator(np.random.PCG64(noise))


def sample_factors(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Draw the factors of `count` images.

    Returns:
        shape (N,) int64, an index into `SHAPES`, each equally often if `count` is a multiple of their number;
        texture (N,) int64, an index into `TEXTURES`;
        of each copy: hue (N, 4) in [0, 1), polarity (N, 4), +1 brighter than the ground, -1 darker;
        x, y (N, 4) the centre in pixels from the left and from the top, size (N, 4) the radius in pixels;
        rotation (N, 4) radians, clockwise as seen; color (N, 4, 3), RGB in [0, 1];
        of the ground: ground (N, 2, 3) the two colours of the texture, RGB in [0, 1], near mid-grey;
        wave (N, 4, 2) wave vectors in radians per pixel and phase (N, 4) in radians: the texture's pattern.
    """
    each = (count, COPIES)
    polarity = rng.choice([-1, 1], each)
    size = rng.uniform(5.0, 6.8, each)
    reach = size * EXTENT + 0.1  # keeps the whole copy, tilted as it may be, inside its quarter
    left, top = SIDE / 2 * (np.arange(COPIES) % 2), SIDE / 2 * (np.arange(COPIES) // 2)
    hue, saturation = rng.uniform(0, 1, each), rng.uniform(0.2, 0.9, each)
    value = np.where(polarity > 0, rng.uniform(0.7, 1.0, each), rng.uniform(0.1, 0.4, each))
    ground_hue, grey, tint = (
        rng.uniform(0, 1, (2, count)),
        rng.uniform(0.47, 0.53, (2, count)),
        rng.uniform(0, 0.1, (2, count)),
    )
    angle, length = rng.uniform(0, 2 * math.pi, (4, count)), rng.uniform(0.4, 1.1, (4, count))
    return {
        "shape": rng.permutation(np.arange(count) % len(SHAPES)),
        "texture": rng.integers(0, len(TEXTURES), count),
        "hue": hue,
        "polarity": polarity,
        "x": left + rng.uniform(reach, SIDE / 2 - reach),
        "y": top + rng.uniform(reach, SIDE / 2 - reach),
        "size": size,
        "rotation": rng.uniform(-0.2, 0.2, each),
        "color": hsv_to_rgb(hue, saturation, value),
        "ground": np.stack([hsv_to_rgb(ground_hue[k], tint[k], grey[k]) for k in (0, 1)], axis=1),
        "wave": np.stack([length * np.cos(angle), length * np.sin(angle)], axis=-1).transpose(1, 0, 2),
        "phase": rng.uniform(0, 2 * math.pi, (count, 4)),
    }


def render(factors: Factors) -> np.ndarray:
    """Paint the copies over the ground: float32 (N, 32, 32, 3) in [0, 1], without noise."""
    mix = texture(factors)[..., None]
    one, other = (factors["ground"][:, None, None, k, :].astype(np.float32) for k in (0, 1))
    picture = other + mix * (one - other)
    for copy in range(COPIES):
        cover = coverage(factors, copy)[..., None]
        color = factors["color"][:, None, None, copy, :].astype(np.float32)
        picture += cover * (color - picture)
    return picture


def coverage(factors: Factors, copy: int) -> np.ndarray:
    """How much of each pixel one copy of the shape covers: float32 (N, 32, 32) in [0, 1].

    The signed distance d from a pixel's centre to the outline, in pixels and negative inside, gives the covered part
    of the pixel as 1/2 - d, cut to [0, 1]: exact for a straight outline along the pixel's sides.
    """
    size, x, y, tilt = (_per_image(factors[name][:, copy]) for name in ("size", "x", "y", "rotation"))
    right, down = _pixel_centres()
    dx, dy = right - x, down - y
    cos, sin = np.cos(tilt), np.sin(tilt)
    u, v = (cos * dx + sin * dy) / size, (cos * dy - sin * dx) / size
    distance = np.empty_like(u)
    for label, outline in enumerate(OUTLINES.values()):
        own = factors["shape"] == label
        distance[own] = outline(u[own], v[own])
    return np.clip(0.5 - distance * size, 0, 1)


def texture(factors: Factors) -> np.ndarray:
    """The share of the ground's first colour in each pixel: float32 (N, 32, 32) in [0, 1]."""
    right, down = _pixel_centres()
    wave, phase = factors["wave"].astype(np.float32), factors["phase"].astype(np.float32)
    first, second, *_ = waves = [
        np.cos(wave[:, k, 0, None, None] * right + wave[:, k, 1, None, None] * down + phase[:, k, None, None])
        for k in range(4)
    ]
    slope = (right - SIDE / 2) * np.cos(_per_image(phase[:, 0])) + (down - SIDE / 2) * np.sin(_per_image(phase[:, 0]))
    patterns = [np.zeros_like(first), slope / (SIDE / 2), 2 * first, 4 * first * second, sum(waves) / 1.5]
    return np.clip(0.5 + 0.5 * np.choose(factors["texture"][:, None, None], patterns), 0, 1)


def hsv_to_rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Colours (..., 3) from hue, saturation and value (...), all in [0, 1]."""
    turn = (hue[..., None] * 6 + np.array([5.0, 3.0, 1.0])) % 6
    return value[..., None] * (1 - saturation[..., None] * np.clip(np.minimum(turn, 4 - turn), 0, 1))


def _pixel_centres() -> tuple[np.ndarray, np.ndarray]:
    """Distance from the left (1, 1, 32) and from the top (1, 32, 1), in pixels."""
    centre = np.arange(SIDE, dtype=np.float32) + np.float32(0.5)
    return centre[None, None, :], centre[None, :, None]


def _per_image(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[:, None, None]


# --- outlines: signed distance at (u right, v down) from the shape's centre of mass, in units of its size -------------


def disc(u: Field, v: Field) -> Field:
    """Radius 0.85."""
    return np.hypot(u, v) - 0.85


def ring(u: Field, v: Field) -> Field:
    """Between the radii 0.52 and 0.92."""
    return abs(np.hypot(u, v) - 0.72) - 0.2


def box(u: Field, v: Field, half_width: float, half_height: float) -> Field:
    """A rectangle about the origin."""
    return np.maximum(abs(u) - half_width, abs(v) - half_height)


def square(u: Field, v: Field) -> Field:
    """Side 1.5."""
    return box(u, v, 0.75, 0.75)


def diamond(u: Field, v: Field) -> Field:
    """A square of diagonal 2, on a corner."""
    return (abs(u) + abs(v) - 1) / math.sqrt(2)


def triangle(u: Field, v: Field) -> Field:
    """Equilateral, standing on a side: within 0.5 of the centre towards each of the three sides."""
    return np.maximum(v, math.sqrt(3) / 2 * abs(u) - v / 2) - 0.5


def star(u: Field, v: Field) -> Field:
    """Five points, one up; all ten edges mirror the one from the tip (1, 0) to the notch at 36 degrees."""
    tenth = math.pi / 5
    radius, angle = np.hypot(u, v), np.arctan2(u, -v)
    folded = abs((angle + tenth) % (2 * tenth) - tenth)
    notch = 0.42 * math.cos(tenth), 0.42 * math.sin(tenth)
    edge = notch[0] - 1, notch[1]
    along, across = radius * np.cos(folded) - 1, radius * np.sin(folded)
    return (edge[0] * across - edge[1] * along) / -math.hypot(*edge)


def cross(u: Field, v: Field) -> Field:
    """Two bars of 1.9 by 0.54, upright."""
    return np.minimum(box(u, v, 0.95, 0.27), box(u, v, 0.27, 0.95))


def crescent(u: Field, v: Field) -> Field:
    """A disc of radius 0.9 without the disc of radius 0.75 about a point 0.45 to its right."""
    u = u - CRESCENT_SHIFT
    return np.maximum(np.hypot(u, v) - 0.9, 0.75 - np.hypot(u - 0.45, v))


def horizontal_bar(u: Field, v: Field) -> Field:
    """1.9 wide, 0.56 high."""
    return box(u, v, 0.95, 0.28)


def vertical_bar(u: Field, v: Field) -> Field:
    """0.56 wide, 1.9 high."""
    return box(u, v, 0.28, 0.95)


CRESCENT_SHIFT = 0.38  # brings the crescent's centre of mass to the origin
EXTENT = 1.15  # no outline leaves this radius

OUTLINES: dict[str, Callable[[Field, Field], Field]] = {
    "disc": disc,
    "ring": ring,
    "square": square,
    "diamond": diamond,
    "triangle": triangle,
    "star": star,
    "cross": cross,
    "crescent": crescent,
    "horizontal bar": horizontal_bar,
    "vertical bar": vertical_bar,
}
SHAPES: tuple[str, ...] = tuple(OUTLINES)
