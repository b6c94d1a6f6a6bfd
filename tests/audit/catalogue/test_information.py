"""Entropies and informations: SciPy's, scikit-learn's and plain formulas conform, every variant gives its number."""

import numpy as np
import pytest
from catalogue_checks import PLAIN, SIZES, drawn, forms

from dimref.audit.catalogue.information import CONTRACTS
from dimref.audit.contract import CORE, Sizes

FORMS = {name.rpartition("-")[0]: form for name, form in forms(CONTRACTS)}


def cases(form, dtype):
    """Arguments in order and the reference's value, for every size and regime."""
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


RIGHT = {
    "entropy": entropy,
    "joint_entropy": entropy,
    "conditional_entropy": lambda p: entropy(p) - entropy(p.sum(0)),
    "mutual_information": information,
    "conditional_mutual_information": lambda p: sum(
        p[:, :, k].sum() * information(p[:, :, k] / p[:, :, k].sum()) for k in range(p.shape[2]) if p[:, :, k].any()
    ),
    "capacity": blahut,
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_plain_formula_conforms(name, dtype):
    tolerance = 2e-9 if name == "capacity" else 1e-13 if dtype == "float64" else 2e-6
    for arguments, expected in cases(FORMS[name], dtype):
        assert RIGHT[name](*arguments) == pytest.approx(expected, abs=tolerance)


def test_scipy_and_scikit_learn_conform():
    stats, metrics = pytest.importorskip("scipy.stats"), pytest.importorskip("sklearn.metrics")
    for (p,), expected in cases(FORMS["entropy"], "float64"):
        assert stats.entropy(p) == pytest.approx(expected, abs=1e-13)
    for (p,), expected in cases(FORMS["mutual_information"], "float64"):
        found = metrics.mutual_info_score(None, None, contingency=np.round(p * 128).astype(int))
        assert found == pytest.approx(expected, abs=1e-13)


def test_tables_are_distributions_in_both_precisions():
    for form in FORMS.values():
        for sizes in SIZES:
            (p,) = (
                drawn(form, Sizes(**{**vars(sizes), "dtype": "float32"}))[name] for name in form.signature.arguments
            )
            assert p.dtype == np.float32
            assert np.all(p.sum(axis=-1) == 1 if form.name == "channel" else p.sum() == 1)
            assert (p > 0).all() or sizes.regime not in CORE
    assert not (drawn(FORMS["entropy"], Sizes(**{**PLAIN, "regime": "large"}), 1)["p_x"] > 0).all()
