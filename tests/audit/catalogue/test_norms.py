"""Batch norm and layer norm of a constant."""

import numpy as np
import pytest
from catalogue_checks import PLAIN, answered, drawn, forms

from dimref.audit.catalogue.norms import CONTRACTS
from dimref.audit.contract import Sizes

FORMS = dict(forms(CONTRACTS))


@pytest.mark.parametrize("name", ["batch_norm-output-last", "layer_norm-rows"])
def test_without_epsilon_a_constant_gives_nan(name):
    form = FORMS[name]
    (without,) = (each for each in form.edits() if each.key == "epsilon-left-out")
    inputs = drawn(form, Sizes(**{**PLAIN, "regime": "shifted"}))
    assert np.isnan(answered(without.function, form, inputs)["out"]).any()
    assert np.isfinite(form.reference(inputs)["out"]).all()
