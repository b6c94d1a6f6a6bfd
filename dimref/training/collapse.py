"""Signs that a representation collapses."""

from __future__ import annotations

import math

import numpy as np


def health(y: np.ndarray, images: np.ndarray) -> dict[str, float | int]:
    """Signs of a representation that collapses, from one batch.

    effective_rank: exp of the entropy of the covariance's normalized eigenvalues, 1..min(D, B − 1) (Roy & Vetterli
    2007, eq. 2).
    variance: mean over dimensions of the variance of y. duplicates: images equal to an earlier one of the batch.
    """
    centred = y - y.mean(axis=0, dtype=np.float64)
    eigenvalues = np.linalg.svd(centred, compute_uv=False) ** 2  # min(B, D) of the covariance's, times B − 1
    p = eigenvalues / max(eigenvalues.sum(), np.finfo(np.float64).tiny)
    rank = math.exp(-float((p[p > 0] * np.log(p[p > 0])).sum()))
    distinct = len({image.tobytes() for image in images})
    return {"effective_rank": rank, "variance": float(y.var(axis=0).mean()), "duplicates": len(images) - distinct}
