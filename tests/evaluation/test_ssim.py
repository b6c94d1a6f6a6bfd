"""Structural similarity against scikit-image and a naive loop; the scales, clipping, refusals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimref.evaluation import ssim as module
from dimref.evaluation.ssim import ms_ssim, scales, ssim


def pair(seed, shape=(3, 32, 32, 3), noise=0.2):
    """Images with structure (sums of waves) and noisy, dimmed copies of them, in [0, 1]."""
    rng = np.random.default_rng(seed)
    rows, columns = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    waves = np.sin(rows[None, :, :, None] * rng.uniform(0.1, 1, (shape[0], 1, 1, shape[3])) + columns[None, :, :, None])
    a = 0.5 + 0.4 * waves
    b = np.clip(0.8 * a + noise * rng.standard_normal(shape), 0, 1)
    return a, b


def naive_terms(x, y):
    """l and cs of two planes (H, W), window by window, straight from their definitions."""
    distance = np.arange(11) - 5
    line = np.exp(-(distance**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    found = []
    for i in range(x.shape[0] - 10):
        for j in range(x.shape[1] - 10):
            u, v = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            mean_u, mean_v = (window * u).sum(), (window * v).sum()
            var_u, var_v = (window * (u - mean_u) ** 2).sum(), (window * (v - mean_v) ** 2).sum()
            covariance = (window * (u - mean_u) * (v - mean_v)).sum()
            luminance = (2 * mean_u * mean_v + 1e-4) / (mean_u**2 + mean_v**2 + 1e-4)
            found.append((luminance, (2 * covariance + 9e-4) / (var_u + var_v + 9e-4)))
    return np.array(found).T


def naive_ms_ssim(x, y, weights):
    """Of two planes; the pixels are averaged one block at a time."""
    value = 1.0
    for k, weight in enumerate(weights):
        luminance, contrast = naive_terms(x, y)
        last = k == len(weights) - 1
        value *= max((luminance * contrast if last else contrast).mean(), 0) ** weight
        x, y = (
            np.array([[p[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(p.shape[1] // 2)]
                      for i in range(p.shape[0] // 2)])
            for p in (x, y)
        )  # fmt: skip
    return value


# ---- one scale


@given(seed=st.integers(0, 2**20), high=st.integers(11, 40), wide=st.integers(11, 40), channels=st.sampled_from((1, 3)))
def test_one_scale_is_that_of_scikit_image(seed, high, wide, channels):
    metrics = pytest.importorskip("skimage.metrics")
    a, b = pair(seed, (2, high, wide, channels))
    expected = [
        metrics.structural_similarity(
            x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=2
        )
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(ssim(a, b), expected, rtol=0, atol=1e-12)


def test_one_scale_is_the_mean_of_the_windows():
    a, b = pair(0, (2, 13, 15, 3))
    expected = [
        np.mean([np.prod(naive_terms(x[..., c], y[..., c]), axis=0).mean() for c in range(3)])
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(ssim(a, b), expected, rtol=1e-10)


# ---- several scales


@pytest.mark.parametrize(
    ("shape", "weights"),
    [
        ((2, 21, 30, 1), [1.0]),
        ((2, 32, 32, 3), [0.0448 / 0.3304, 0.2856 / 0.3304]),
        ((1, 27, 23, 1), [0.0448 / 0.3304, 0.2856 / 0.3304]),  # odd sides, on both of which a second window fits
        ((1, 45, 45, 1), [0.0448 / 0.6305, 0.2856 / 0.6305, 0.3001 / 0.6305]),
    ],
)
def test_several_scales_are_those_of_a_naive_loop(shape, weights):
    a, b = pair(1, shape)
    expected = [
        np.mean([naive_ms_ssim(x[..., c], y[..., c], weights) for c in range(shape[3])])
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(ms_ssim(a, b), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("side", "count"),
    [(10, 0), (11, 1), (21, 1), (22, 2), (28, 2), (32, 2), (64, 3), (96, 4), (176, 5), (999, 5)],
)
def test_there_are_as_many_scales_as_hold_a_window(side, count):
    found = scales(side)
    assert len(found) == count
    if count:
        assert math.isclose(sum(found), 1)
        assert found[-1] / found[0] == pytest.approx(module.WEIGHTS[count - 1] / module.WEIGHTS[0])


def test_a_negative_contrast_counts_as_none():
    a, _ = pair(2, (2, 32, 32, 1))
    inverted = 1 - a
    assert (ssim(a, inverted) < 0).all()
    np.testing.assert_array_equal(ms_ssim(a, inverted), 0)


# ---- what holds whatever the images


@given(seed=st.integers(0, 2**20))
def test_symmetric_one_for_equal_images_and_less_for_others(seed):
    a, b = pair(seed, (2, 24, 24, 3))
    for measure in (ssim, ms_ssim):
        np.testing.assert_allclose(measure(a, a), 1, rtol=1e-12)
        np.testing.assert_allclose(measure(a, b), measure(b, a), rtol=1e-12)
        assert (measure(a, b) < 0.99).all()


def test_more_noise_is_less_alike():
    clean, *_ = pair(3)
    values = [float(ms_ssim(*pair(3, noise=noise)).mean()) for noise in (0.0, 0.1, 0.3, 1.0)]
    assert sorted(values, reverse=True) == values
    assert values[0] < ms_ssim(clean, clean).mean()


def test_black_against_white_is_nothing_alike():
    black, white = np.zeros((1, 32, 32, 3)), np.ones((1, 32, 32, 3))
    assert ssim(black, white)[0] == pytest.approx(1e-4 / 1.0001)  # luminance alone: the contrasts are equal


def test_float32_images_are_judged_in_float64():
    a, b = pair(4)
    found = ms_ssim(a.astype(np.float32), b.astype(np.float32))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, ms_ssim(a, b), rtol=1e-5)


def test_every_backend_gives_the_same(backend):
    a, b = pair(5)
    for measure in (ssim, ms_ssim):
        found = backend.to_host(measure(backend.to_device(a), backend.to_device(b)))
        np.testing.assert_allclose(found, measure(a, b), rtol=1e-12)


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ((1, 32, 32, 3), (1, 32, 32, 1), r"both alike, were \(1, 32, 32, 3\) and \(1, 32, 32, 1\)"),
        ((32, 32, 3), (32, 32, 3), r"must be \(B, H, W, C\)"),
        ((1, 10, 32, 3), (1, 10, 32, 3), "at least 11×11, were 10×32"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(measure, first, second, words):
    with pytest.raises(ValueError, match=words):
        measure(np.zeros(first), np.zeros(second))
