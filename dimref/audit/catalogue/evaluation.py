"""Contracts of an evaluation: the accuracy of a classifier that sees the test images batch by batch.

Values alone are compared. What batch norm does in an evaluation is `layer batch_norm_inference`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from dimref.audit.answer import Inputs, Signature
from dimref.audit.catalogue.forms import reference, variant
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
    logits: Array, labels: Array, batch_size: int, reduce: Callable[[list[Array]], float], whole: bool = False
) -> float:
    """What `reduce` makes of the hits of each batch; `whole`: without the last one where it is not full."""
    right = hits(logits, labels)
    found = [right[k : k + batch_size] for k in range(0, len(right), batch_size)]
    return reduce([batch for batch in found if len(batch) == batch_size] if whole else found)


def mean_of_means(batches: list[Array]) -> float:
    """Every batch counts alike."""
    return float(np.mean([batch.mean() for batch in batches]))


def pooled(batches: list[Array]) -> float:
    """Every image counts alike."""
    return float(np.concatenate(batches).mean())


def over_full_batches(batches: list[Array]) -> float:
    """The hits over batches times the batch size."""
    return float(sum(batch.sum() for batch in batches) / (len(batches) * len(batches[0])))


def over_whole_count(batches: list[Array], count: int) -> float:
    """The hits of some batches over all images."""
    return float(sum(batch.sum() for batch in batches) / count)


def dropped_but_counted(logits: Array, labels: Array, batch_size: int) -> float:
    """The hits of the full batches over all images."""
    return of_batches(logits, labels, batch_size, partial(over_whole_count, count=len(labels)), whole=True)


def counted(logits: Array, labels: Array, batch_size: int, of: Callable[[float], float]) -> float:
    """A function of the accuracy."""
    return of(accuracy(logits, labels, batch_size))


def _draw(rng: np.random.Generator, sizes: Sizes) -> Inputs:
    """Batches of which the last is mostly not full; more than half of the images are right, no two logits equal."""
    batch, classes = 3 + sizes.m % 3, 2 + sizes.kernel[0]
    n = batch * (1 + sizes.n % 3) + int(rng.integers(batch))
    logits = np.stack([rng.permutation(classes) for _ in range(n)]) - 0.5 * classes
    chosen = np.where(rng.random(n) < 0.5, logits.argmax(axis=1), rng.integers(classes, size=n))
    return {"logits": logits.astype(sizes.dtype), "labels": chosen.astype(np.int64), "batch_size": batch}


_v = partial(variant, BATCHES)
ALL = "count the hits of all images, and divide by their number"
FORM = Form(
    name="logits",
    signature=BATCHES,
    meaning="f(logits (M, K), labels (M,), batch_size) -> the share of right ones; M need not be a multiple of batch_size",
    draw=_draw,
    reference=reference(accuracy, BATCHES),
    conventions=(
        _v("percent", partial(counted, of=lambda a: 100 * a), "the accuracy in percent", "divide by 100", "common"),
        _v("error", partial(counted, of=lambda a: 1 - a), "the error rate, 1 − accuracy", "take 1 − it", "common"),
        _v("error-percent", partial(counted, of=lambda a: 100 * (1 - a)), "the error rate in percent",
           "take 1 − it/100", "common"),
    ),
    mistakes=(
        _v("partial-batch-dropped", partial(of_batches, reduce=pooled, whole=True),
           "the accuracy without the last batch, which is not full", f"drop_last=False; {ALL}",
           "public code of arXiv 1906.00910's kind"),
        _v("batch-means-averaged", partial(of_batches, reduce=mean_of_means), "the mean of the accuracies of batches",
           ALL, "common", consequence="an image of the last batch, which is not full, counts more than the others"),
        _v("dropped-and-counted", dropped_but_counted, "the hits of the full batches over the number of all images",
           ALL, "common", consequence="low: the images of the last batch count as wrong"),
        _v("divided-by-full-batches", partial(of_batches, reduce=over_full_batches),
           "all hits over the number of batches times the batch size", ALL, "common",
           consequence="low: the last batch counts as full"),
        _v("last-batch", partial(of_batches, reduce=lambda batches: float(batches[-1].mean())),
           "the accuracy of the last batch alone", ALL, "common", consequence="of a few images"),
        _v("first-batch", partial(of_batches, reduce=lambda batches: float(batches[0].mean())),
           "the accuracy of the first batch alone", ALL, "common", consequence="of a few images"),
    ),
)  # fmt: skip

CONTRACTS = (
    Contract(
        "measure", "accuracy_over_batches", "the accuracy on test images that come in batches", (FORM,), "definition"
    ),
)
