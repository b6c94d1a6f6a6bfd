"""More mistakes in InfoNCE, in NumPy and autograd. Squares: rows are images, which are the candidates of a column."""

import math

import autograd.numpy as np
from autograd.scipy.special import logsumexp


def with_locations(scores):
    return scores if scores.ndim == 3 else scores[:, :, None]


def positives(scores):
    """T(x_j, y_j), (N, L)."""
    index = np.arange(len(scores))
    return with_locations(scores)[index, index]


def negatives(scores):
    """The other images of each column, (N − 1, N, L)."""
    square = with_locations(scores)
    columns = [np.concatenate([square[:j, j], square[j + 1 :, j]]) for j in range(len(square))]
    return np.stack(columns, axis=1)


# ---- constants and candidates


def infonce_exp_sum_log(scores):
    square = with_locations(scores)
    return math.log(len(square)) + np.mean(positives(scores) - np.log(np.exp(square).sum(0)))


# ---- which entries, which axes


def infonce_every_pair_positive(scores):
    log_share = scores - logsumexp(scores, axis=0, keepdims=True)
    return math.log(len(scores)) + np.mean(log_share)


def infonce_of_own_locations(scores):
    """A softmax over the last axis: the locations of one image compete with each other."""
    p = positives(scores)
    return math.log(p.shape[1]) + np.mean(p - logsumexp(p, axis=1, keepdims=True))


def infonce_of_mean_location(scores):
    square = np.mean(with_locations(scores), axis=2)
    return math.log(len(square)) + np.mean(np.diag(square) - logsumexp(square, axis=0))


def infonce_one_denominator(scores):
    """Positives against all the off-diagonal pairs of the batch at once."""
    n = negatives(scores)
    n = n.reshape(-1, n.shape[2])
    return np.mean(positives(scores)) - np.mean(logsumexp(n, axis=0) - math.log(len(n)))


# ---- the same from logits, one row a positive in column 0 and its negatives


def logits_softmax_of_batch(logits):
    """axis=0 where the candidates are axis 1."""
    k = logits.shape[1]
    return math.log(k) + np.mean(logits[:, 0] - logsumexp(logits, axis=0)[0])


# ---- ε inside the logarithm, and in the denominator


def infonce_accuracy_like(scores):
    """The mean probability given to the positive."""
    square = scores if scores.ndim == 3 else scores[:, :, None]
    e = np.exp(square - np.max(square, axis=0))
    share = e / np.sum(e, axis=0)
    return np.einsum("iil->", share) / (len(share) * share.shape[2])
