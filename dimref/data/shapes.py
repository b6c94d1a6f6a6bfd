"""Shapes: colour images drawn from three known factors, so that everything runs without a download.

Each image has stripes all over it (its texture), colours, and four copies of a shape, one in each quarter; of each factor
there are ten classes. A factor that is *shared* is the same in the whole image, the others vary from place to place; all
of it lies under pixel noise. What distant patches of an image have in common is what the local objective can learn, and
here it is known: with the texture shared, the default, y learns the texture; with the colour shared as well, y learns the
colour, which patches share more plainly. No pixel shows texture or shape, so a linear classifier on raw pixels stays
poor.

Every number comes from NumPy's PCG64, seeded by (seed, split, block) for blocks of `BLOCK` images that are always
drawn whole: image i of a split is the same however many are requested, and train and test share no stream. The upper
left quarter has the same classes whatever is shared.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dimref.data.dataset import Dataset, make

SIDE = 32
COUNTS = {"train": 10_000, "test": 2_000}
NOISE = 0.06  # standard deviation of the pixel noise unless another is chosen, in units of [0, 1]
SHARED = ("texture",)  # unless others are chosen; the labels are those of the first
COPIES = 4  # of the shape in each image, one to a quarter
KNOTS = 5  # a side: where colours are drawn, to be interpolated between
CLASS_COUNT = 10  # of each factor
BLOCK = 250  # a multiple of that: each block holds every class equally often

_FIRST = {"texture": 0, "shape": 0, "colour": KNOTS + 1}  # of a factor's places, the middle of the upper left quarter

Factors = Mapping[str, np.ndarray]
Field = np.ndarray  # one number per pixel, (N, SIDE, SIDE)


def load(
    split: str, limit: int | None = None, noise: float = NOISE, seed: int = 0, shared: Sequence[str] = SHARED
) -> Dataset:
    """The shapes as a `Dataset`: the first `limit` of 10,000 training or 2,000 test images, labelled by `shared[0]`."""
    count = min(limit or COUNTS[split], COUNTS[split])
    images, factors = draw(np.arange(count), split, seed, noise, shared)
    origin = f"drawn with seed {seed}, noise {noise:g}, {' and '.join(shared)} shared"
    return make("shapes", split, images, factors[shared[0]], CLASSES[shared[0]], origin)


def draw(
    indices: np.ndarray, split: str = "train", seed: int = 0, noise: float = NOISE, shared: Sequence[str] = SHARED
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draw the images of these indices; returns their factors too.

    Args:
        indices: (N,) non-negative integers, in any order.
        split: "train" or "test": two disjoint streams.
        seed: another seed, other images.
        noise: standard deviation of Gaussian pixel noise in units of [0, 1]; the scene does not depend on it.
        shared: those of `CLASSES` that are the same in the whole image.

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
        sampled = sample_factors(scene_stream, BLOCK, shared)
        factors = {key: value[indices[where] % BLOCK] for key, value in sampled.items()}
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


def sample_factors(rng: np.random.Generator, count: int, shared: Sequence[str] = SHARED) -> dict[str, np.ndarray]:
    """Draw the factors of `count` images.

    Returns:
        texture, shape, colour (N,) int64: the classes in the upper left quarter, which are those of the image where the
        factor is shared; each equally often if `count` is a multiple of ten. Of each quarter, from left to right:
        angle (N, 4) of the stripes in radians, cycles (N, 4) of them to the image's side, phase (N, 4) in radians;
        shapes (N, 4), x, y (N, 4) the centre in pixels from the left and from the top, size (N, 4) the radius in pixels,
        rotation (N, 4) radians, clockwise as seen, lift (N, 4) of the brightness inside.
        Of each knot: base (N, 5, 5, 3) the colour, contrast (N, 5, 5, 3) the amplitude of the stripes in each channel.
    """
    each = (count, COPIES)
    classes = {}
    for factor, shape in (("texture", each), ("shape", each), ("colour", (count, KNOTS**2))):
        classes[factor] = rng.integers(0, CLASS_COUNT, shape)
        classes[factor][:, _FIRST[factor]] = rng.permutation(np.arange(count) % CLASS_COUNT)
    texture = classes["texture"]
    size = rng.uniform(5.0, 6.8, each)
    reach = size * EXTENT + 0.1  # keeps the whole copy, tilted as it may be, inside its quarter
    left, top = SIDE / 2 * (np.arange(COPIES) % 2), SIDE / 2 * (np.arange(COPIES) // 2)
    knots = (count, KNOTS**2)
    places: dict[str, dict[str, np.ndarray]] = {
        "texture": {
            "angle": math.pi / 5 * (texture % 5) + rng.normal(0, 0.04, each),
            "cycles": np.where(texture < 5, 4, 7) * rng.uniform(0.95, 1.05, each),
            "phase": rng.uniform(0, 2 * math.pi, each),
        },
        "shape": {"shapes": classes["shape"]},
        "colour": {
            "base": hsv_to_rgb((classes["colour"] + rng.uniform(-0.4, 0.4, knots)) / CLASS_COUNT,
                               rng.uniform(0.3, 0.9, knots), rng.uniform(0.4, 0.9, knots)),
            "contrast": rng.uniform(-0.23, 0.47, (*knots, 3)),
        },
    }  # fmt: skip
    for factor in shared:  # everywhere as in the upper left quarter
        for name, value in places[factor].items():
            places[factor][name] = np.repeat(value[:, [_FIRST[factor]]], value.shape[1], axis=1)
    return {
        **{factor: value[:, _FIRST[factor]] for factor, value in classes.items()},
        **{name: value for of_factor in places.values() for name, value in of_factor.items()},
        "x": left + rng.uniform(reach, SIDE / 2 - reach),
        "y": top + rng.uniform(reach, SIDE / 2 - reach),
        "size": size,
        "rotation": rng.uniform(-0.2, 0.2, each),
        "lift": rng.choice([-0.1, 0.1], each),
    }


def render(factors: Factors) -> np.ndarray:
    """Paint stripes, colours and copies: float32 (N, 32, 32, 3), most of it in [0, 1], without noise."""
    picture = interpolated(factors["base"]) + interpolated(factors["contrast"]) * stripes(factors)[..., None]
    for copy in range(COPIES):
        picture += (coverage(factors, copy) * _per_image(factors["lift"][:, copy]))[..., None]
    return picture


def stripes(factors: Factors) -> np.ndarray:
    """The wave of each pixel's quarter: float32 (N, 32, 32) in [-1, 1]."""
    right, down = _pixel_centres()
    half = np.arange(SIDE) // (SIDE // 2)
    quarter = 2 * half[:, None] + half
    angle, cycles, phase = (factors[name].astype(np.float32)[:, quarter] for name in ("angle", "cycles", "phase"))
    across = (np.cos(angle) * right + np.sin(angle) * down) / np.float32(SIDE)
    return np.sin(np.float32(2 * math.pi) * cycles * across + phase)


def interpolated(knots: np.ndarray) -> np.ndarray:
    """Linearly from knots (N, 5·5, C) to every pixel: float32 (N, 32, 32, C)."""
    place = np.linspace(0, KNOTS - 1, SIDE)[:, None]
    weights = np.maximum(1 - abs(place - np.arange(KNOTS)), 0).astype(np.float32)
    grid = knots.astype(np.float32).reshape(-1, KNOTS, KNOTS, knots.shape[-1])
    return np.einsum("ra,nabc,sb->nrsc", weights, grid, weights, optimize=True)


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
        own = factors["shapes"][:, copy] == label
        distance[own] = outline(u[own], v[own])
    return np.clip(0.5 - distance * size, 0, 1)


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
HUES = ("red", "orange", "yellow green", "green", "sea green", "cyan", "blue", "violet", "purple", "pink")
STRIPES = tuple(f"{width} {36 * k}°" for width in ("wide", "narrow") for k in range(5))
CLASSES: dict[str, tuple[str, ...]] = {"texture": STRIPES, "shape": tuple(OUTLINES), "colour": HUES}
