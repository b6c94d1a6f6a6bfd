"""The accuracy over batches: counted by hand, and no two ways to miss it are alike."""

import numpy as np
import pytest
from catalogue_checks import SIZES, drawn

from dimref.audit.catalogue.evaluation import FORM

EXAMPLE = {
    "logits": np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [0.0, 4.0], [5.0, 1.0]]),
    "labels": np.array([0, 1, 1, 1, 0]),
    "batch_size": 2,
}
BY_HAND = {  # hits 1 1 | 0 1 | 1
    "": 4 / 5, "percent": 80.0, "error": 1 / 5, "error-percent": 20.0, "partial-batch-dropped": 3 / 4,
    "batch-means-averaged": (1 + 0.5 + 1) / 3, "dropped-and-counted": 3 / 5, "divided-by-full-batches": 4 / 6,
    "last-batch": 1.0, "first-batch": 1.0,
}  # fmt: skip


def test_by_hand():
    known = {"": FORM.reference, **{v.key: v.function for v in (*FORM.conventions, *FORM.mistakes)}}
    assert known.keys() == BY_HAND.keys()
    for key, function in known.items():
        assert function(EXAMPLE)["value"] == pytest.approx(BY_HAND[key]), key


def test_what_is_drawn():
    partial = [drawn(FORM, sizes, seed) for sizes in SIZES for seed in range(4)]
    for inputs in partial:
        count, batch = len(inputs["labels"]), inputs["batch_size"]
        assert batch <= count == len(inputs["logits"])
        assert all(len(set(row)) == len(row) for row in inputs["logits"].tolist())
    assert any(len(inputs["labels"]) % inputs["batch_size"] for inputs in partial)
