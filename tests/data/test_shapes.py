"""Shapes: the same image for the same index, and factors that tell the truth about it."""

import colorsys
import functools
import math

import numpy as np
import pytest

from dimref.data import load, shapes

FIRST = np.arange(500)
PINNED_LABELS = [4, 5, 3, 3, 4, 6, 4, 8, 4, 4]
PINNED_PIXELS = [[126, 124, 121], [225, 143, 162], [126, 124, 121], [229, 94, 180]]


@functools.cache
def many():
    """The factors of 2,000 images."""
    return shapes.draw(np.arange(2_000))[1]


@pytest.fixture(scope="module")
def drawn():
    return shapes.draw(FIRST, noise=0)


def test_load_counts_and_names():
    train, test = load("shapes", "train"), load("shapes", "test")
    assert (train.images.shape, test.images.shape) == ((10_000, 32, 32, 3), (2_000, 32, 32, 3))
    assert train.classes == test.classes == shapes.SHAPES
    assert np.all(np.bincount(train.labels) == 1_000)
    assert np.all(np.bincount(test.labels) == 200)
    assert train.source == "shapes train: 10000 images 32x32x3 drawn with seed 0, noise 0.25"


def test_limit_gives_a_prefix(drawn):
    for limit in (1, 7, 250, 251):
        few = load("shapes", "train", limit=limit, noise=0)
        assert np.array_equal(few.images, drawn[0][:limit])
        assert np.array_equal(few.labels, drawn[1]["shape"][:limit])


def test_limit_is_at_most():
    assert len(load("shapes", "test", limit=10**9).images) == 2_000


def test_same_index_same_image_in_any_order(drawn):
    indices = np.array([499, 3, 250, 3, 0])
    images, factors = shapes.draw(indices, noise=0)
    assert np.array_equal(images, drawn[0][indices])
    noisy = shapes.draw(FIRST, noise=0.1)[0]
    assert np.array_equal(shapes.draw(indices, noise=0.1)[0], noisy[indices])
    for key, value in factors.items():
        assert np.array_equal(value, drawn[1][key][indices]), key


def test_seeds_and_splits_share_no_image(drawn):
    streams = [drawn[0], shapes.draw(FIRST, "test", noise=0)[0], shapes.draw(FIRST, seed=1, noise=0)[0]]
    digests = [{image.tobytes() for image in images} for images in streams]
    assert len(set.union(*digests)) == 3 * len(FIRST)


def test_pixel_values_stay_as_they_are_over_releases(drawn):
    # A run is compared with another by its seed: changing what a seed draws is a breaking change, to be made knowingly.
    assert drawn[1]["shape"][:10].tolist() == PINNED_LABELS
    assert drawn[0][0, 8, ::8].tolist() == PINNED_PIXELS


@pytest.mark.parametrize("copy", range(shapes.COPIES))
def test_each_copy_lies_in_its_quarter_where_the_factors_say(copy):
    factors = {key: value[:1_000] for key, value in many().items()}
    cover = shapes.coverage(factors, copy).astype(float)
    pixels = np.arange(32) + 0.5
    area = cover.sum((1, 2))
    assert np.allclose((cover.sum(1) * pixels).sum(1) / area, factors["x"][:, copy], atol=0.35)
    assert np.allclose((cover.sum(2) * pixels).sum(1) / area, factors["y"][:, copy], atol=0.35)
    rows, columns = (slice(16 * k, 16 * k + 16) for k in (copy // 2, copy % 2))
    assert np.all(cover[:, rows, columns].sum((1, 2)) == area)  # nothing leaves the quarter, so nothing is cut off
    assert np.all(area > 10)


AREAS = {
    "disc": math.pi * 0.85**2,
    "ring": math.pi * (0.92**2 - 0.52**2),
    "square": 1.5**2,
    "diamond": 2.0,
    "triangle": 0.75 * math.sqrt(3),
    "star": 10 * 0.5 * 0.42 * math.sin(math.pi / 5),
    "cross": 2 * 1.9 * 0.54 - 0.54**2,
    "horizontal bar": 1.9 * 0.56,
    "vertical bar": 1.9 * 0.56,
}


@pytest.mark.parametrize("name", AREAS)
def test_areas_are_those_of_geometry(name):
    factors = many()
    own = factors["shape"] == shapes.SHAPES.index(name)
    area = shapes.coverage({key: value[own] for key, value in factors.items()}, 3).astype(float).sum((1, 2))
    assert np.mean(area / factors["size"][own, 3] ** 2) == pytest.approx(AREAS[name], rel=0.03)


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("ring", (0.7, 0), (0, 0)),
        ("triangle", (0, -0.8), (0, 0.7)),
        ("star", (0, -0.8), (0, 0.8)),
        ("crescent", (-0.45, 0), (0.4, 0)),
        ("horizontal bar", (0.8, 0), (0, 0.8)),
        ("vertical bar", (0, 0.8), (0.8, 0)),
        ("diamond", (0.9, 0), (0.7, 0.7)),
        ("square", (0.7, 0.7), (0.9, 0)),
        ("cross", (0, 0.9), (0.6, 0.6)),
    ],
)
def test_outlines_point_the_right_way(name, inside, outside):
    outline = shapes.OUTLINES[name]
    assert outline(*(np.array([[[c]]]) for c in inside)) < 0 < outline(*(np.array([[[c]]]) for c in outside))


def test_the_middle_of_each_copy_has_its_colour_and_the_corner_the_ground(drawn):
    images, factors = drawn
    solid = np.isin(factors["shape"], [shapes.SHAPES.index(name) for name in ("disc", "square", "cross", "triangle")])
    for i in np.flatnonzero(solid)[:100]:
        for copy in range(shapes.COPIES):
            column, row = int(factors["x"][i, copy]), int(factors["y"][i, copy])
            assert np.allclose(images[i, row, column] / 255, factors["color"][i, copy], atol=0.01)
        low, high = factors["ground"][i].min(0) - 0.01, factors["ground"][i].max(0) + 0.01
        corner = images[i, 0, 0] / 255
        assert np.all((low <= corner) & (corner <= high))


def test_polarity_and_hue_are_those_of_the_colours(drawn):
    factors = drawn[1]
    shape_value, ground_value = factors["color"].max(2), factors["ground"].max(2)
    assert np.array_equal(np.sign(shape_value - ground_value.min(1)[:, None]), factors["polarity"])
    assert np.array_equal(np.sign(shape_value - ground_value.max(1)[:, None]), factors["polarity"])
    for color, hue in zip(factors["color"][:50].reshape(-1, 3), factors["hue"][:50].ravel(), strict=True):
        assert colorsys.rgb_to_hsv(*color)[0] == pytest.approx(hue, abs=1e-9)


def test_copies_share_the_shape_alone(drawn):
    """What the local objective can find in common between distant patches must not be hue, polarity, size or tilt."""
    for name in ("hue", "polarity", "size", "rotation"):
        correlation = np.corrcoef(drawn[1][name], rowvar=False)
        assert np.abs(correlation - np.eye(shapes.COPIES)).max() < 0.2, name


def test_hsv_agrees_with_the_standard_library():
    rng = np.random.default_rng(0)
    hsv = rng.uniform(0, 1, (3, 200))
    expected = [colorsys.hsv_to_rgb(*column) for column in hsv.T]
    assert np.allclose(shapes.hsv_to_rgb(*hsv), expected)


def test_textures_differ_in_kind(drawn):
    texture, kinds = shapes.texture(drawn[1]), drawn[1]["texture"]
    spread = [texture[kinds == k].std((1, 2)) for k in range(len(shapes.TEXTURES))]
    assert np.all(spread[0] == 0)
    assert all(np.all(s > 0.1) for s in spread[1:])
    assert texture.min() >= 0
    assert texture.max() <= 1


@pytest.mark.parametrize("strength", [0.02, 0.08])
def test_noise_has_the_strength_asked_for_and_leaves_the_scene(strength, drawn):
    noisy, factors = shapes.draw(FIRST, noise=strength)
    assert np.array_equal(factors["x"], drawn[1]["x"])
    clean = drawn[0].astype(float) / 255
    amid = (clean > 0.4) & (clean < 0.6)  # where five deviations are not cut off
    added = (noisy / 255 - clean)[amid]
    assert added.std() == pytest.approx(strength, rel=0.02)
    assert abs(added.mean()) < 0.001


def test_noise_is_a_prefix_too():
    whole = load("shapes", "test", limit=300, noise=0.1).images
    assert np.array_equal(load("shapes", "test", limit=20, noise=0.1).images, whole[:20])


@pytest.mark.parametrize("indices", [[], [-1], [[1]]])
def test_no_such_indices(indices):
    with pytest.raises(ValueError, match="indices"):
        shapes.draw(np.array(indices, int))
