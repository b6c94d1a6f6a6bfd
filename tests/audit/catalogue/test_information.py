"""What is drawn for entropies and informations."""

import numpy as np
from catalogue_checks import PLAIN, SIZES, drawn, forms

from dimref.audit.catalogue.information import CONTRACTS
from dimref.audit.contract import CORE, Sizes

FORMS = {name.rpartition("-")[0]: form for name, form in forms(CONTRACTS)}


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
