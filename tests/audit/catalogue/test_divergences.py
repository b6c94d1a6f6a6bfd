"""Divergences of tables: SciPy's, PyTorch's and plain formulas conform, every variant gives its number."""

import numpy as np
import pytest
from catalogue_checks import SIZES, drawn, forms, variants

from dimref.audit.catalogue.divergences import CONTRACTS
from dimref.audit.contract import Sizes

FORMS = {name.rpartition("-")[0]: form for name, form in forms(CONTRACTS)}
KNOWN = variants(CONTRACTS)


def cases(form, dtype):
    """Arguments in order and the reference's value, for every size and regime."""
    for k, sizes in enumerate(SIZES):
        inputs = drawn(form, Sizes(**{**vars(sizes), "dtype": dtype}), k)
        yield [inputs[name] for name in form.signature.arguments], form.reference(inputs)["value"]


def kl(p, q):
    return float(sum(a * np.log(a / b) if b > 0 else np.inf for a, b in zip(p, q, strict=True) if a > 0))


RIGHT = {
    "cross_entropy": lambda p, q: kl(p, q) - float((p[p > 0] * np.log(p[p > 0])).sum()),
    "kl_divergence": kl,
    "jensen_shannon": lambda p, q: (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2,
    "reverse_kl": lambda p, q: kl(q, p),
    "chi2": lambda p, q: sum((a - b) ** 2 / b if b > 0 else np.inf * a for a, b in zip(p, q, strict=True) if a or b),
    "squared_hellinger": lambda p, q: 2 - 2 * np.sqrt(p * q).sum(),
    "total_variation": lambda p, q: np.maximum(p - q, 0).sum(),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_plain_formula_conforms(name, dtype):
    infinite = 0
    for arguments, expected in cases(FORMS[name], dtype):
        assert RIGHT[name](*arguments) == pytest.approx(expected, abs=1e-13 if dtype == "float64" else 1e-5, rel=1e-6)
        infinite += expected == np.inf
    assert infinite or name in ("jensen_shannon", "squared_hellinger", "total_variation")


def test_scipy_and_pytorch_conform():
    special, distance = pytest.importorskip("scipy.special"), pytest.importorskip("scipy.spatial.distance")
    torch = pytest.importorskip("torch")
    for (p, q), expected in cases(FORMS["kl_divergence"], "float64"):
        assert special.rel_entr(p, q).sum() == pytest.approx(expected, abs=1e-13)
        if not ((p == 0) & (q == 0)).any():  # kl_div is NaN there, and named so
            found = torch.nn.functional.kl_div(torch.tensor(q).log(), torch.tensor(p), reduction="sum")
            assert float(found) == pytest.approx(expected, abs=1e-13)
    (root,) = (each for name, form, each in KNOWN if name == "jensen_shannon-table-distance")
    for (p, q), expected in cases(FORMS["jensen_shannon"], "float64"):
        assert distance.jensenshannon(p, q) == pytest.approx(np.sqrt(expected), abs=1e-7)
        assert float(root.function({"p": p, "q": q})["value"]) == pytest.approx(np.sqrt(expected), abs=1e-7)
