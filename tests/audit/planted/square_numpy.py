"""InfoNCE and the bounds on a square of scores in NumPy and autograd. Rows are images."""

import math

import autograd.numpy as np
from autograd.scipy.special import logsumexp


def softplus(x):
    return np.logaddexp(x, 0.0)


def diagonal_of(scores):
    return np.array([scores[i, i] for i in range(scores.shape[0])])


# ---- InfoNCE, right


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


def infonce_only_negatives(scores):
    """For every representation: the own image against the others alone."""
    n = scores.shape[0]
    square = scores if scores.ndim == 3 else scores[:, :, None]
    total = 0.0
    for j in range(n):
        others = np.concatenate([square[:j, j], square[j + 1 :, j]])
        total = total + np.mean(square[j, j] - logsumexp(others, axis=0))
    return total / n + math.log(n)


def infonce_minus_ten(scores):
    """Positives among the negatives are set to −10, not removed."""
    n = scores.shape[0]
    eye = np.eye(n).reshape(n, n, *[1] * (scores.ndim - 2))
    hidden = scores * (1 - eye) - 10.0 * eye
    positive = diagonal_of(scores)
    stacked = np.concatenate([positive[None], hidden])
    return math.log(n) + np.mean(positive - logsumexp(stacked, axis=0))


def infonce_overflows(scores):
    weights = np.exp(scores)
    return math.log(scores.shape[0]) + np.mean(np.log(diagonal_of(weights) / np.sum(weights, axis=0)))


def infonce_total(scores):
    return np.sum(math.log(scores.shape[0]) + diagonal_of(scores) - logsumexp(scores, axis=0))


def infonce_twice_divided(scores):
    """A mean over images and locations, once more divided by the number of locations."""
    n = scores.shape[0]
    locations = scores.shape[2] if scores.ndim == 3 else 1
    return np.mean(math.log(n) + diagonal_of(scores) - logsumexp(scores, axis=0)) / locations


def infonce_softmax_twice(scores):
    """Softmax first, then a cross-entropy that takes logits."""
    n = scores.shape[0]
    p = np.exp(scores - logsumexp(scores, axis=0)[None])
    return math.log(n) + np.mean(diagonal_of(p) - logsumexp(p, axis=0))


def infonce_everything(scores):
    """One softmax over the whole square."""
    n = scores.shape[0]
    return math.log(n) + np.mean(diagonal_of(scores) - logsumexp(logsumexp(scores, axis=0), axis=0))


# ---- sampled candidates and MoCo's logits, right


# ---- mistakes


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


# ---- dv, nwj, jsd of a square, right


def off_diagonal(scores):
    n = scores.shape[0]
    return np.array([scores[i, j] for i in range(n) for j in range(n) if i != j])


# ---- conventions


def jsd_square_with_diagonal(scores):
    return math.log(4) - np.mean(softplus(-diagonal_of(scores))) - np.mean(softplus(scores))


def dv_square_with_diagonal(scores):
    n = scores.shape[0]
    return np.mean(diagonal_of(scores)) - np.mean(logsumexp(logsumexp(scores, axis=0), axis=0)) + 2 * math.log(n)


def nwj_square_with_diagonal(scores):
    return np.mean(diagonal_of(scores)) - np.mean(np.exp(scores - 1))


# ---- mistakes


def jsd_square_over_n_squared(scores):
    """Off-diagonal pairs summed, all pairs counted."""
    cost = np.sum(softplus(off_diagonal(scores))) / scores.size
    return math.log(4) - np.mean(softplus(-diagonal_of(scores))) - cost
