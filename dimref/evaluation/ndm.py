"""The neural dependency measure: how far a representation's dimensions are from independent, in nats."""

from __future__ import annotations

import numpy as np

from dimref import discriminators, ops
from dimref.backend import Backend
from dimref.evaluation.dv_critic import BATCH, Dependence, check_counts, held_out_dv, maximize
from dimref.evaluation.probes.problem import standardized
from dimref.trees import Array, Tree

SHUFFLES = 4  # of every dimension across the test images, at the end


def ndm(train: np.ndarray, test: np.ndarray, seed: int, backend: Backend) -> Dependence:
    """The neural dependency measure: DV between y and y with each dimension shuffled across the images by itself.

    A lower bound on the total correlation KL(p(y) ‖ Π_k p(y_k)): 0 where the dimensions are independent. The critic is
    D → 1000 → 200 → 1. No interval: the shuffled samples share their images, dimension by dimension.

    Args:
        train, test: representations (N, D).
    Raises:
        ValueError: fewer than 40 images in either set.
    Source: arXiv 1808.06670, section 4.1 (after Brakel & Bengio 2017, arXiv 1710.05050).
    """
    check_counts("ndm", len(train), len(test))
    rng = np.random.default_rng(seed)
    y, y_test = standardized(train, test)
    dimensions = np.arange(y.shape[1])

    def draw(rng: np.random.Generator, rows: np.ndarray) -> Tree:
        # From all training images: within a batch, two dimensions would come from one image too often.
        return {"positive": y[rows], "negative": y[rng.integers(len(y), size=(len(rows), len(dimensions))), dimensions]}

    def score(parameters: Tree, sample: Tree) -> tuple[Array, Array]:
        n = sample["positive"].shape[0]
        logits = discriminators.prior_logits(parameters, ops.concatenate([sample["positive"], sample["negative"]]))
        return ops.cut(logits, (slice(0, n),)), ops.cut(logits, (slice(n, 2 * n),))

    parameters = backend.tree_to_device(discriminators.init_prior(rng, y.shape[1]))
    parameters, steps = maximize(score, draw, parameters, len(y), rng, backend)
    parts = []
    for _ in range(SHUFFLES):
        shuffled = rng.permuted(y_test, axis=0)
        for start in range(0, len(y_test), BATCH):
            window = slice(start, start + BATCH)
            sample = backend.tree_to_device({"positive": y_test[window], "negative": shuffled[window]})
            parts.append(score(parameters, sample))
    return Dependence(held_out_dv(parts, backend), steps, None)
