"""SSIM and MS-SSIM: scikit-image conforms, or is named."""

import numpy as np
import pytest
from catalogue_checks import SIZES, answered, drawn, forms

from dimref.audit.catalogue.measures import CONTRACTS
from dimref.audit.contract import CORE, Sizes

FORMS = {name.rpartition("-")[0]: form for name, form in forms(CONTRACTS)}
OPTIONS = {"data_range": 1, "channel_axis": 2}


def known(name, key):
    (variant,) = (v for form in (FORMS[name],) for v in (*form.conventions, *form.mistakes) if v.key == key)
    return variant.function


def cases(form, dtype="float64"):
    for k, sizes in enumerate(SIZES):
        yield drawn(form, Sizes(**{**vars(sizes), "dtype": dtype}), k)


def of_skimage(a, b, **options):
    metrics = pytest.importorskip("skimage.metrics")
    return np.array([metrics.structural_similarity(x, y, **OPTIONS, **options) for x, y in zip(a, b, strict=True)])


def test_scikit_image_conforms():
    for inputs in cases(FORMS["ssim"]):
        found = of_skimage(*inputs.values(), gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        np.testing.assert_allclose(found, FORMS["ssim"].reference(inputs)["value"], rtol=0, atol=1e-12)


def test_scikit_image_by_default_is_a_named_convention():
    for inputs in cases(FORMS["ssim"]):
        found = of_skimage(*inputs.values())
        np.testing.assert_allclose(found, known("ssim", "window-7-unbiased")(inputs)["value"], rtol=0, atol=1e-12)


def test_scikit_image_with_a_sample_covariance_is_named():
    for inputs in cases(FORMS["ssim"]):
        found = of_skimage(*inputs.values(), gaussian_weights=True, sigma=1.5)
        np.testing.assert_allclose(found, known("ssim", "unbiased-variances")(inputs)["value"], rtol=0, atol=1e-12)


def test_inverted_images_are_drawn_beyond_the_core_alone():
    """Where a negative mean has to be clipped, an implementation that does not is NaN."""
    form = FORMS["ms_ssim"]
    for sizes, inputs in zip(SIZES, cases(form), strict=True):
        found = answered(known("ms_ssim", "not-clipped"), form, inputs)["value"]
        assert np.isnan(found).any() == (sizes.regime not in CORE)
