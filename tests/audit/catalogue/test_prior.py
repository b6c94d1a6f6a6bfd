"""The prior's losses: where naive logarithms end."""

import numpy as np
from catalogue_checks import forms

from dimref.audit.catalogue.prior import CONTRACTS

FORMS = {name.rpartition("-")[0]: form for name, form in forms(CONTRACTS)}


def test_where_naive_logarithms_end():
    for name, sign in (("encoder_loss", 1), ("encoder_loss_non_saturating", -1)):
        (naive,) = FORMS[name].numerical
        for dtype in (np.float32, np.float64):
            with np.errstate(all="ignore"):
                ends = [
                    d
                    for d in range(1, 800)
                    if not np.isfinite(naive.function({"fake": np.array([sign * d], dtype)})["value"])
                ]
            assert ends[0] in {np.float64: (37, 710), np.float32: (17, 89)}[dtype]
