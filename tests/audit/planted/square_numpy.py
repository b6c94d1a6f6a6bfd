"""InfoNCE and the bounds on a square of scores in NumPy and autograd. Rows are images."""

import math

import autograd.numpy as np
from autograd.scipy.special import logsumexp


def diagonal_of(scores):
    return np.array([scores[i, i] for i in range(scores.shape[0])])


# ---- InfoNCE, conventions


def infonce_rows(scores):
    """Candidates along the second axis."""
    n = scores.shape[0]
    return math.log(n) + np.mean(diagonal_of(scores) - logsumexp(scores, axis=1))


def infonce_both_ways(scores):
    n = scores.shape[0]
    pos = diagonal_of(scores)
    return math.log(n) + 0.5 * np.mean(pos - logsumexp(scores, axis=0)) + 0.5 * np.mean(pos - logsumexp(scores, axis=1))


# ---- InfoNCE, mistakes


def infonce_total(scores):
    return np.sum(math.log(scores.shape[0]) + diagonal_of(scores) - logsumexp(scores, axis=0))


# ---- all locations


def all_locations(scores):
    """Candidates: the positive, and every location of every other image."""
    n, _, locations = scores.shape
    total = 0.0
    for j in range(n):
        others = np.concatenate([scores[i, j] for i in range(n) if i != j])
        for here in range(locations):
            candidates = np.concatenate([scores[j, j, here : here + 1], others])
            total = total + scores[j, j, here] - logsumexp(candidates)
    return total / (n * locations) + math.log(1 + (n - 1) * locations)


def all_locations_own(scores):
    """The other locations of the same image are candidates too."""
    n, _, locations = scores.shape
    flat = np.reshape(np.transpose(scores, (1, 0, 2)), (n, n * locations))
    lse = logsumexp(flat, axis=1)
    return math.log(n * locations) + np.mean(diagonal_of(scores) - lse[:, None])


def certified(scores):
    n, _, locations = scores.shape
    total = 0.0
    for j in range(n):
        others = np.concatenate([scores[i, j] for i in range(n) if i != j])
        rest = logsumexp(others) - math.log(locations)
        total = total + np.mean(scores[j, j] - np.logaddexp(scores[j, j], rest))
    return math.log(n) + total / n


def certified_unaveraged(scores):
    """The 1/L forgotten."""
    n, _, _ = scores.shape
    total = 0.0
    for j in range(n):
        others = np.concatenate([scores[i, j] for i in range(n) if i != j])
        total = total + np.mean(scores[j, j] - np.logaddexp(scores[j, j], logsumexp(others)))
    return math.log(n) + total / n


# ---- conventions


def dv_square_with_diagonal(scores):
    n = scores.shape[0]
    return np.mean(diagonal_of(scores)) - np.mean(logsumexp(logsumexp(scores, axis=0), axis=0)) + 2 * math.log(n)


# ---- the square's parts


def diagonal(scores):
    n = len(scores)
    return scores[np.arange(n), np.arange(n)]


def eye_for(scores):
    """The identity, with an axis for locations where the scores have one."""
    eye = np.eye(len(scores))
    return eye if scores.ndim == 2 else eye[:, :, None]


# ---- the sum over the rest, divided by N²


def nwj_over_n_squared(scores):
    return np.mean(diagonal(scores)) - np.mean((1 - eye_for(scores)) * np.exp(scores - 1))
