"""Contracts of an evaluation: the accuracy of a classifier that sees the test images batch by batch.

Values alone are compared. What batch norm does in an evaluation is `layer batch_norm_inference`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import reference, variants
from dimref.audit.contract import Contract, Form, Sizes
from dimref.trees import Array

BATCHES = Signature(("logits", "labels", "batch_size"))


def hits(logits: Array, labels: Array) -> Array:
    """Whether the largest logit is the label's."""
    return np.argmax(logits, axis=1) == labels


def accuracy(logits: Array, labels: Array, batch_size: int) -> float:
    """The share of all images that are classified rightly, whatever the batches."""
    return float(hits(logits, labels).mean())


def of_batches(
    logits: Array, labels: Array, batch_size: int, reduce: Callable[[list[Array], int], float], whole: bool = False
) -> float:
    """What `reduce` makes of the hits of each batch and their number; `whole`: without the last one where it is not full."""
    right = hits(logits, labels)
    found = [right[k : k + batch_size] for k in range(0, len(right), batch_size)]
    return float(reduce([b for b in found if len(b) == batch_size] if whole else found, len(right)))


def _total(batches: list[Array]) -> float:
    return sum(batch.sum() for batch in batches)


def _draw(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """Batches of which the last is mostly not full; more than half of the images are right, no two logits equal."""
    batch, classes = 3 + sizes.m % 3, 2 + sizes.kernel[0]
    n = batch * (1 + sizes.n % 3) + int(rng.integers(batch))
    logits = np.stack([rng.permutation(classes) for _ in range(n)]) - 0.5 * classes
    chosen = np.where(rng.random(n) < 0.5, logits.argmax(axis=1), rng.integers(classes, size=n))
    return {"logits": logits.astype(sizes.dtype), "labels": chosen.astype(np.int64), "batch_size": batch}


# fmt: off
ALL = "count the hits of all images, and divide by their number"
FORM = Form(
    "logits", BATCHES,
    "f(logits (M, K), labels (M,), batch_size) -> the share of right ones; M need not be a multiple of batch_size",
    _draw, reference(accuracy, BATCHES),
    conventions=variants(BATCHES, (
        ("percent", lambda *a: 100 * accuracy(*a), "the accuracy in percent", "divide by 100", "common"),
        ("error", lambda *a: 1 - accuracy(*a), "the error rate, 1 − accuracy", "take 1 − it", "common"),
        ("error-percent", lambda *a: 100 * (1 - accuracy(*a)), "the error rate in percent", "take 1 − it/100", "common"),
    )),
    mistakes=variants(BATCHES, (
        ("partial-batch-dropped", partial(of_batches, reduce=lambda b, n: np.concatenate(b).mean(), whole=True),
         "the accuracy without the last batch, which is not full", f"drop_last=False; {ALL}",
         "public code of arXiv 1906.00910's kind"),
        ("batch-means-averaged", partial(of_batches, reduce=lambda b, n: np.mean([batch.mean() for batch in b])),
         "the mean of the accuracies of batches", ALL, "common",
         "an image of the last batch, which is not full, counts more than the others"),
        ("dropped-and-counted", partial(of_batches, reduce=lambda b, n: _total(b) / n, whole=True),
         "the hits of the full batches over the number of all images", ALL, "common",
         "low: the images of the last batch count as wrong"),
        ("divided-by-full-batches", partial(of_batches, reduce=lambda b, n: _total(b) / (len(b) * len(b[0]))),
         "all hits over the number of batches times the batch size", ALL, "common", "low: the last batch counts as full"),
        ("last-batch", partial(of_batches, reduce=lambda b, n: b[-1].mean()), "the accuracy of the last batch alone", ALL,
         "common", "of a few images"),
        ("first-batch", partial(of_batches, reduce=lambda b, n: b[0].mean()), "the accuracy of the first batch alone", ALL,
         "common", "of a few images"),
    )),
)
CONTRACTS = (Contract("measure", "accuracy_over_batches", "the accuracy on test images that come in batches", (FORM,),
                      "definition"),)
