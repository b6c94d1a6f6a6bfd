"""Views: each transform against Pillow or its analytic form, bounds, independence, and what both views share."""

import colorsys
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimref.amdim import augmentation as amdim_augmentation

pytestmark = pytest.mark.usefixtures("plain_forms")
seeds = st.integers(0, 2**32 - 1)


def some_images(seed, n=3, size=12, channels=3):
    """Float32 images in [0, 1], black and white pixels and equal channels among them."""
    rng = np.random.default_rng(seed)
    images = rng.random((n, size, size, channels)).astype(np.float32)
    images[rng.random((n, size, size)) < 0.1] = 0
    images[rng.random((n, size, size)) < 0.1] = 1
    images[:, 0] = images[:, 0, :, :1]
    return images


def as_bytes(seed, n=2, size=16):
    """uint8 images for Pillow, and the same in [0, 1]."""
    images = np.random.default_rng(seed).integers(0, 256, (n, size, size, 3)).astype(np.uint8)
    return images, (images / 255).astype(np.float32)


def in_pillow(images, function):
    """A function of Pillow's images and their number on each of uint8 images, in [0, 1]."""
    image = pytest.importorskip("PIL.Image")
    return np.stack([np.asarray(function(image.fromarray(x), k)) for k, x in enumerate(images)]) / 255


# ---- pixels that move


def identity(n, size):
    return np.tile(np.arange(size, dtype=np.float32), (n, 1))


def test_reading_every_row_and_column_in_place_is_the_image_itself():
    images = some_images(0)
    np.testing.assert_array_equal(amdim_augmentation.resample(images, identity(3, 12), identity(3, 12)), images)


@given(seeds, st.integers(5, 14))
def test_shift_is_a_window_of_the_reflected_image(seed, size):
    images = some_images(seed, 6, size)
    rows, columns = amdim_augmentation.draw_shifts(np.random.default_rng(seed), 6, size)
    moved = amdim_augmentation.resample(images, rows, columns)
    for image, out, y, x in zip(images, moved, rows, columns, strict=True):
        margin = amdim_augmentation.SHIFT
        padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
        windows = [
            (top, left)
            for top in range(2 * margin + 1)
            for left in range(2 * margin + 1)
            if np.array_equal(padded[top : top + size, left : left + size], out)
        ]
        assert windows, (y, x)


def test_shifts_are_uniform_over_whole_pixels_where_there_is_one():
    size = 32
    rows, columns = amdim_augmentation.draw_shifts(np.random.default_rng(0), 40_000, size)
    for positions in (rows, columns):
        shift = 16 - positions[:, 16]
        values, counts = np.unique(shift, return_counts=True)
        np.testing.assert_array_equal(values, np.arange(-4, 5))
        expected = np.full(9, 0.8 / 9)
        expected[4] += 0.2
        np.testing.assert_allclose(counts / len(shift), expected, atol=0.01)
    both = ((rows[:, 16] == 16) & (columns[:, 16] == 16)).mean()
    assert abs(both - (0.2 + 0.8 / 81)) < 0.01  # left alone in both axes together


@given(seeds)
def test_crop_is_pillows_crop_and_bilinear_resize(seed):
    image = pytest.importorskip("PIL.Image")
    size = 16
    images, unit = as_bytes(seed, 4, size)
    rng = np.random.default_rng(seed)
    sides = rng.integers(1, size + 1, (2, 4))
    starts = rng.integers(0, size - sides + 1)
    out = amdim_augmentation.resample(
        unit, *(amdim_augmentation.crop_positions(starts[k], sides[k], size) for k in range(2))
    )

    def cropped(picture, k):
        (top, left), (high, wide) = starts[:, k], sides[:, k]
        box = picture.crop((left, top, left + wide, top + high))
        return box.resize((size, size), image.Resampling.BILINEAR)

    np.testing.assert_allclose(out, in_pillow(images, cropped), atol=1.5 / 255)  # Pillow rounds after each axis


def literal_crop(rng, size):
    """Height and width by torchvision's rule: draw until they fit, ten times at most."""
    for _ in range(10):
        area, ratio = rng.uniform(0.3, 1) * size * size, math.exp(rng.uniform(math.log(0.7), math.log(1.4)))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= size and 0 < high <= size:
            return high, wide
    return size, size


def test_crops_have_the_areas_ratios_and_places_they_should():
    size, n = 64, 20_000
    rows, columns = amdim_augmentation.draw_crops(np.random.default_rng(1), n, size)
    assert rows.min() >= 0
    assert max(rows.max(), columns.max()) <= size - 1
    # Evenly spaced in the middle: the side is the spacing times the size.
    high, wide = ((p[:, size // 2] - p[:, size // 2 - 1]) * size for p in (rows, columns))
    np.testing.assert_allclose(high, np.rint(high), atol=1e-3)
    share = high * wide / size**2
    assert 0.28 < share.min() < 0.32
    assert share.max() <= 1
    ratio = np.log(wide / high)
    assert np.abs(ratio).max() < np.log(1.4) + 0.06
    assert abs(ratio.mean()) < 0.02
    literal = np.array([literal_crop(np.random.default_rng([2, k]), size) for k in range(4000)])
    for found, expected in ((high, literal[:, 0]), (wide, literal[:, 1])):
        quantiles = [np.quantile(sides, (0.1, 0.5, 0.9)) for sides in (found, expected)]
        np.testing.assert_allclose(*quantiles, atol=1.01)
        assert abs(found.mean() - expected.mean()) < 0.6
    small = share < 0.4
    top = rows[small, size // 2] - high[small] / 2
    assert top.min() < 2
    assert top.max() > size * 0.3


def test_a_crop_that_never_fits_is_the_whole_image(monkeypatch):
    monkeypatch.setattr(amdim_augmentation, "AREA", (4.0, 5.0))
    rows, columns = amdim_augmentation.draw_crops(np.random.default_rng(0), 3, 8)
    np.testing.assert_array_equal(rows, identity(3, 8))
    np.testing.assert_array_equal(columns, identity(3, 8))


@pytest.mark.parametrize("kind", ["shift", "crop"])
def test_the_flip_is_shared_and_reverses_the_columns(kind):
    n, size = 400, 16
    views = amdim_augmentation.draw_views(np.random.default_rng(3), n, size, kind)
    falling = [(np.diff(view["columns"][:, 5:11]).sum(axis=1) < 0) for view in views]
    np.testing.assert_array_equal(falling[0], falling[1])
    assert 0.4 < falling[0].mean() < 0.6
    assert not np.array_equal(views[0]["columns"], views[1]["columns"])
    assert np.all(np.diff(views[0]["rows"][:, 5:11]).sum(axis=1) > 0)


# ---- colours


@given(seeds)
def test_brightness_contrast_saturation_are_pillows(seed):
    enhance = pytest.importorskip("PIL.ImageEnhance")
    images, unit = as_bytes(seed)
    factors = np.random.default_rng(seed).uniform(0, 2, 2).astype(np.float32)
    for ours, theirs in (
        (amdim_augmentation.brightness, enhance.Brightness),
        (amdim_augmentation.contrast, enhance.Contrast),
        (amdim_augmentation.saturation, enhance.Color),
    ):
        expected = in_pillow(images, lambda picture, k, theirs=theirs: theirs(picture).enhance(float(factors[k])))
        # Pillow rounds the greyscale, and cuts off what a blend leaves of a level.
        np.testing.assert_allclose(ours(unit, factors), expected, atol=2.1 / 255, err_msg=ours.__name__)


@given(seeds)
def test_greyscale_is_pillows(seed):
    images, unit = as_bytes(seed)
    np.testing.assert_allclose(
        amdim_augmentation.greyscale(unit)[..., 0],
        in_pillow(images, lambda picture, k: picture.convert("L")),
        atol=1 / 255,
    )


@given(seeds)
def test_hue_turns_each_pixel_as_colorsys_does(seed):
    images = some_images(seed, 2, 5)
    turns = np.random.default_rng(seed).uniform(-1, 1, 2).astype(np.float32)
    found = amdim_augmentation.hue(images, turns)
    for b, i, j in np.ndindex(2, 5, 5):
        h, s, v = colorsys.rgb_to_hsv(*images[b, i, j].tolist())
        expected = colorsys.hsv_to_rgb((h + float(turns[b])) % 1, s, v)
        np.testing.assert_allclose(found[b, i, j], expected, atol=2e-6)


def test_a_third_of_a_turn_permutes_the_channels():
    images = some_images(1)
    turned = amdim_augmentation.hue(images, np.full(3, 1 / 3, np.float32))
    np.testing.assert_allclose(turned, np.roll(images, 1, axis=3), atol=1e-6)


def test_neutral_parameters_change_nothing():
    images = some_images(2)
    for change in (amdim_augmentation.brightness, amdim_augmentation.contrast, amdim_augmentation.saturation):
        np.testing.assert_array_equal(change(images, np.ones(3, np.float32)), images)
    np.testing.assert_allclose(amdim_augmentation.hue(images, np.zeros(3, np.float32)), images, atol=1e-6)


def test_jitter_is_drawn_as_often_and_as_strong_as_it_should():
    first, second = amdim_augmentation.draw_views(np.random.default_rng(5), 20_000, 8, "shift")
    for view in (first, second):
        jittered = view["brightness"] != 1
        assert abs(jittered.mean() - 0.8) < 0.01
        assert abs(view["grey"].mean() - 0.25) < 0.01
        for name in ("contrast", "saturation", "hue"):
            np.testing.assert_array_equal(view[name] != (0 if name == "hue" else 1), jittered)
        for name in ("brightness", "contrast", "saturation"):
            assert 0.6 <= view[name].min() < 0.61
            assert 1.39 < view[name].max() <= 1.4
        assert np.abs(view["hue"]).max() <= 0.2
    assert abs(np.corrcoef(first["brightness"], second["brightness"])[0, 1]) < 0.03


# ---- whole views


@given(seeds, st.sampled_from(["shift", "crop"]), st.sampled_from([1, 3]))
def test_views_stay_in_the_unit_range_and_in_float32(seed, kind, channels):
    images = some_images(seed, 4, 9, channels)
    for view in amdim_augmentation.draw_views(np.random.default_rng(seed), 4, 9, kind):
        out = amdim_augmentation.augment(images, view)
        assert out.shape == images.shape
        assert out.dtype == np.float32
        assert out.min() >= 0
        assert out.max() <= 1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_stay_in_the_unit_range_exactly(value):
    images = np.full((50, 9, 9, 3), value, np.float32)
    for view in amdim_augmentation.draw_views(np.random.default_rng(0), 50, 9, "crop"):
        moved = amdim_augmentation.resample(images, view["rows"], view["columns"])
        np.testing.assert_array_equal(moved, images)
        out = amdim_augmentation.augment(images, view)
        assert out.min() >= 0
        assert out.max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_views_have_no_colour_and_others_keep_theirs(channels):
    images = some_images(0, 40, 6, channels)
    view, _ = amdim_augmentation.draw_views(np.random.default_rng(0), 40, 6, "shift")
    out = amdim_augmentation.augment(images, view)
    if channels == 3:
        grey = (out == out[..., :1]).all(axis=(1, 2, 3))
        np.testing.assert_array_equal(grey, view["grey"])


def test_a_view_is_its_transforms_one_after_the_other():
    images = some_images(3)
    view, _ = amdim_augmentation.draw_views(np.random.default_rng(8), 3, 12, "crop")
    view["grey"] = np.array([False, False, True])
    x = amdim_augmentation.resample(images, view["rows"], view["columns"])
    for name in ("brightness", "contrast", "saturation", "hue"):
        x = getattr(amdim_augmentation, name)(x, view[name])
    x[2] = amdim_augmentation.greyscale(x)[2]
    np.testing.assert_array_equal(amdim_augmentation.augment(images, view), x)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind must be 'shift' or 'crop', was 'zoom'"):
        amdim_augmentation.draw_views(np.random.default_rng(0), 2, 8, "zoom")
