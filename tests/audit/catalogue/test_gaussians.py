"""Quantities of Gaussians: SciPy, PyTorch's distributions and plain formulas conform, every variant gives its number."""

import numpy as np
import pytest
from catalogue_checks import SIZES, drawn, forms

from dimref.audit.catalogue.gaussians import CONTRACTS
from dimref.audit.contract import Sizes

FORMS = {name.rpartition("-")[0]: form for name, form in forms(CONTRACTS)}


def cases(form, dtype):
    """Arguments in order and the reference's value, for every size and regime."""
    for k, sizes in enumerate(SIZES):
        inputs = drawn(form, Sizes(**{**vars(sizes), "dtype": dtype}), k)
        yield [inputs[name] for name in form.signature.arguments], form.reference(inputs)["value"]


def kl(mean_p, cov_p, mean_q, cov_q):
    inverse = np.linalg.inv(cov_q)
    ratio = np.log(np.linalg.det(cov_q) / np.linalg.det(cov_p))
    shift = mean_p - mean_q
    return 0.5 * (np.trace(inverse @ cov_p) + shift @ inverse @ shift - len(mean_p) + ratio)


RIGHT = {
    "gaussian_entropy": lambda cov: 0.5 * np.log(np.linalg.det(2 * np.pi * np.e * cov.astype(np.float64))),
    "gaussian_mutual_information": lambda cov, d: (
        0.5 * np.log(np.linalg.det(cov[:d, :d]) * np.linalg.det(cov[d:, d:]) / np.linalg.det(cov))
    ),
    "gaussian_kl": kl,
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_plain_formula_conforms(name, dtype):
    for arguments, expected in cases(FORMS[name], dtype):
        tolerance = 1e-11 if dtype == "float64" else 2e-5
        assert RIGHT[name](*arguments) == pytest.approx(expected, abs=tolerance, rel=tolerance)


def test_scipy_and_pytorch_conform():
    stats, torch = pytest.importorskip("scipy.stats"), pytest.importorskip("torch")
    for (cov,), expected in cases(FORMS["gaussian_entropy"], "float64"):
        assert stats.multivariate_normal(cov=cov).entropy() == pytest.approx(expected, abs=1e-11)
    normal = torch.distributions.MultivariateNormal
    for arguments, expected in cases(FORMS["gaussian_kl"], "float64"):
        mean_p, cov_p, mean_q, cov_q = (torch.tensor(each) for each in arguments)
        found = torch.distributions.kl_divergence(normal(mean_p, cov_p), normal(mean_q, cov_q))
        assert float(found) == pytest.approx(expected, abs=1e-11, rel=1e-11)
