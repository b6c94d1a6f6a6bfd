"""Shapes: the same image for the same index, and factors that tell the truth about it."""

import colorsys
import functools
import math

import numpy as np
import pytest

from dimref.data import load, shapes

FIRST = np.arange(500)
PINNED_LABELS = [6, 9, 1, 2, 9, 4, 6, 3, 6, 2]
PINNED_PIXELS = [[71, 64, 169], [129, 102, 152], [113, 27, 125], [101, 19, 48]]


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
    assert train.classes == test.classes == shapes.CLASSES["texture"]
    assert np.all(np.bincount(train.labels) == 1_000)
    assert np.all(np.bincount(test.labels) == 200)
    assert train.source == "shapes train: 10000 images 32x32x3 drawn with seed 0, noise 0.06, texture shared"


def test_limit_gives_a_prefix(drawn):
    for limit in (1, 7, 250, 251):
        few = load("shapes", "train", limit=limit, noise=0)
        assert np.array_equal(few.images, drawn[0][:limit])
        assert np.array_equal(few.labels, drawn[1]["texture"][:limit])


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
    assert drawn[1]["texture"][:10].tolist() == PINNED_LABELS
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
    own = factors["shapes"][:, 3] == list(shapes.OUTLINES).index(name)
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


OF_FACTOR = {"texture": ("angle", "cycles", "phase"), "shape": ("shapes",), "colour": ("base", "contrast")}


@pytest.mark.parametrize("shared", ["texture", "shape", "colour", "texture,colour"])
def test_what_is_shared_is_one_in_the_whole_image_and_nothing_else_is(shared):
    labels = load("shapes", "test", limit=250, shared=shared).labels
    factors = shapes.draw(np.arange(250), "test", shared=shared.split(","))[1]
    assert np.array_equal(labels, factors[shared.split(",")[0]])
    for factor, names in OF_FACTOR.items():
        for name in names:
            value = factors[name]
            equal = np.all(value == value[:, :1], axis=tuple(range(1, value.ndim)))
            assert equal.mean() == 1 if factor in shared else equal.mean() < 0.01, name
    alone = shapes.draw(np.arange(250), "test")[1]  # the classes of the upper left quarter do not depend on it
    assert all(np.array_equal(factors[name], alone[name]) for name in OF_FACTOR)
    assert all(np.all(np.bincount(factors[name]) == 25) for name in OF_FACTOR)


def test_stripes_are_those_of_the_texture():
    """Where the wave repeats: the peak of the upper left quarter's spectrum lies across the stripes, at their frequency."""
    _, factors = shapes.draw(FIRST)
    wave = shapes.stripes(factors)
    along = np.fft.fft2(wave, axes=(1, 2))
    row, column = np.unravel_index(np.abs(along).reshape(len(wave), -1)[:, 1:512].argmax(1) + 1, (32, 32))
    column = np.where(column > 16, column - 32, column)
    angle = np.arctan2(row, column)
    off = (angle - math.pi / 5 * (factors["texture"] % 5) + math.pi / 2) % math.pi - math.pi / 2
    assert np.abs(off).max() < 0.3
    assert np.all((np.hypot(row, column) > 5.5) == (factors["texture"] >= 5))


def test_colours_are_those_of_the_class():
    factors = shapes.draw(FIRST, shared=("colour",))[1]
    hues = np.array([colorsys.rgb_to_hsv(*knots[0])[0] for knots in factors["base"]])
    off = (hues * 10 - factors["colour"] + 5) % 10 - 5
    assert np.abs(off).max() <= 0.4 + 1e-9


def test_a_plane_through_the_knots_is_a_plane_of_pixels():
    down, right = np.mgrid[0:5, 0:5] / 4
    picture = shapes.interpolated((2 * down - right).reshape(1, 25, 1))
    down, right = np.mgrid[0:32, 0:32] / 31
    np.testing.assert_allclose(picture[0, :, :, 0], 2 * down - right, atol=1e-6)


def test_copies_lift_the_scene_inside_alone():
    factors = {name: value.copy() for name, value in shapes.draw(FIRST[:50])[1].items()}
    scene = shapes.render(factors)
    cover = sum(shapes.coverage(factors, k) * np.sign(factors["lift"][:, k, None, None]) for k in range(shapes.COPIES))
    lift, factors["lift"] = np.abs(factors["lift"]).max(), 0 * factors["lift"]
    np.testing.assert_allclose(scene - shapes.render(factors), np.repeat(lift * cover[..., None], 3, axis=3), atol=1e-6)


def test_hsv_agrees_with_the_standard_library():
    rng = np.random.default_rng(0)
    hsv = rng.uniform(0, 1, (3, 200))
    expected = [colorsys.hsv_to_rgb(*column) for column in hsv.T]
    assert np.allclose(shapes.hsv_to_rgb(*hsv), expected)


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
