"""Exact quantities: SciPy's, scikit-learn's, PyTorch's and plain formulas conform, and tables are distributions."""

import numpy as np
import pytest
from catalogue_checks import PLAIN, SIZES, drawn

from dimref.audit.contract import CORE, Sizes, contracts

FORMS = {contract.name: contract.form() for contract in contracts("information")}


def cases(name, dtype="float64"):
    """Arguments in order and the reference's value, for every size and regime."""
    form = FORMS[name]
    for k, sizes in enumerate(SIZES):
        inputs = drawn(form, Sizes(**{**vars(sizes), "dtype": dtype}), k)
        yield [inputs[name] for name in form.signature.arguments], form.reference(inputs)["value"]


def entropy(p):
    p = np.ravel(p)
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())


def information(p):
    return entropy(p.sum(1)) + entropy(p.sum(0)) - entropy(p)


def blahut(channel):
    """Capacity by plain iteration in float64."""
    rows, p = np.asarray(channel, np.float64), np.full(len(channel), 1 / len(channel))
    for _ in range(20_000):
        q = p @ rows
        kl = np.array([sum(w * np.log(w / v) for w, v in zip(row, q, strict=True) if w > 0) for row in rows])
        p = p * np.exp(kl)
        p /= p.sum()
        if kl.max() - p @ kl < 1e-11:
            break
    return p @ kl


def kl(p, q):
    return float(sum(a * np.log(a / b) if b > 0 else np.inf for a, b in zip(p, q, strict=True) if a > 0))


def kl_of_moments(mean_p, cov_p, mean_q, cov_q):
    inverse = np.linalg.inv(cov_q)
    ratio = np.log(np.linalg.det(cov_q) / np.linalg.det(cov_p))
    shift = mean_p - mean_q
    return 0.5 * (np.trace(inverse @ cov_p) + shift @ inverse @ shift - len(mean_p) + ratio)


RIGHT = {
    "entropy": entropy,
    "joint_entropy": entropy,
    "conditional_entropy": lambda p: entropy(p) - entropy(p.sum(0)),
    "mutual_information": information,
    "conditional_mutual_information": lambda p: sum(
        p[:, :, k].sum() * information(p[:, :, k] / p[:, :, k].sum()) for k in range(p.shape[2]) if p[:, :, k].any()
    ),
    "capacity": blahut,
    "cross_entropy": lambda p, q: kl(p, q) - float((p[p > 0] * np.log(p[p > 0])).sum()),
    "kl_divergence": kl,
    "jensen_shannon": lambda p, q: (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2,
    "reverse_kl": lambda p, q: kl(q, p),
    "chi2": lambda p, q: sum((a - b) ** 2 / b if b > 0 else np.inf * a for a, b in zip(p, q, strict=True) if a or b),
    "squared_hellinger": lambda p, q: 2 - 2 * np.sqrt(p * q).sum(),
    "total_variation": lambda p, q: np.maximum(p - q, 0).sum(),
    "gaussian_entropy": lambda cov: 0.5 * np.log(np.linalg.det(2 * np.pi * np.e * cov.astype(np.float64))),
    "gaussian_mutual_information": lambda cov, d: (
        0.5 * np.log(np.linalg.det(cov[:d, :d]) * np.linalg.det(cov[d:, d:]) / np.linalg.det(cov))
    ),
    "gaussian_kl": kl_of_moments,
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_plain_formula_conforms(name, dtype):
    tolerance = {"capacity": 2e-9}.get(name, 1e-11 if dtype == "float64" else 2e-5)
    found = [(RIGHT[name](*arguments), expected) for arguments, expected in cases(name, dtype)]
    for value, expected in found:
        assert value == pytest.approx(expected, abs=tolerance, rel=tolerance)
    infinite = ("cross_entropy", "kl_divergence", "reverse_kl", "chi2")
    assert any(expected == np.inf for _, expected in found) == (name in infinite)


def test_libraries_conform():
    stats, metrics = pytest.importorskip("scipy.stats"), pytest.importorskip("sklearn.metrics")
    special, distance = pytest.importorskip("scipy.special"), pytest.importorskip("scipy.spatial.distance")
    torch = pytest.importorskip("torch")
    normal = torch.distributions.MultivariateNormal
    for (p,), expected in cases("entropy"):
        assert stats.entropy(p) == pytest.approx(expected, abs=1e-13)
    for (p,), expected in cases("mutual_information"):
        found = metrics.mutual_info_score(None, None, contingency=np.round(p * 128).astype(int))
        assert found == pytest.approx(expected, abs=1e-13)
    for (p, q), expected in cases("kl_divergence"):
        assert special.rel_entr(p, q).sum() == pytest.approx(expected, abs=1e-13)
        if not ((p == 0) & (q == 0)).any():  # kl_div is NaN there, and named so
            found = torch.nn.functional.kl_div(torch.tensor(q).log(), torch.tensor(p), reduction="sum")
            assert float(found) == pytest.approx(expected, abs=1e-13)
    for (p, q), expected in cases("jensen_shannon"):
        assert distance.jensenshannon(p, q) == pytest.approx(np.sqrt(expected), abs=1e-7)
    for (cov,), expected in cases("gaussian_entropy"):
        assert stats.multivariate_normal(cov=cov).entropy() == pytest.approx(expected, abs=1e-11)
    for arguments, expected in cases("gaussian_kl"):
        mean_p, cov_p, mean_q, cov_q = (torch.tensor(each) for each in arguments)
        found = torch.distributions.kl_divergence(normal(mean_p, cov_p), normal(mean_q, cov_q))
        assert float(found) == pytest.approx(expected, abs=1e-11, rel=1e-11)


def test_tables_are_distributions_in_both_precisions():
    for form in (each for each in FORMS.values() if len(each.signature.arguments) == 1 and each.name != "covariance"):
        for sizes in SIZES:
            (p,) = (
                drawn(form, Sizes(**{**vars(sizes), "dtype": "float32"}))[name] for name in form.signature.arguments
            )
            assert p.dtype == np.float32
            assert np.all(p.sum(axis=-1) == 1 if form.name == "channel" else p.sum() == 1)
            assert (p > 0).all() or sizes.regime not in CORE
    assert not (drawn(FORMS["entropy"], Sizes(**{**PLAIN, "regime": "large"}), 1)["p_x"] > 0).all()
