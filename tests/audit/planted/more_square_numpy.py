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


def infonce_log_k_subtracted(scores):
    n = scores.shape[0]
    return np.mean(positives(scores) - logsumexp(with_locations(scores), axis=0)) - np.log(n)


def infonce_ten_off_the_diagonal(scores):
    """The positive is to leave the denominator: 10 is subtracted from it."""
    square = with_locations(scores)
    masked = square - 10.0 * np.eye(len(square))[:, :, None]
    return math.log(len(square)) + np.mean(positives(scores) - logsumexp(masked, axis=0))


def infonce_positive_and_all(scores):
    """Column 0 the positive, then every image, the positive again."""
    everything = np.concatenate([positives(scores)[None], with_locations(scores)])
    return math.log(len(scores)) + np.mean(positives(scores) - logsumexp(everything, axis=0))


def infonce_mean_of_negatives(scores):
    p, n = positives(scores), negatives(scores)
    top = np.maximum(p, np.max(n, axis=0))
    denominator = np.exp(p - top) + np.mean(np.exp(n - top), axis=0)
    return math.log(len(scores)) + np.mean(p - top - np.log(denominator))


def infonce_mean_logit(scores):
    """K − 1 times the exponential of the negatives' mean logit."""
    p, mean = positives(scores), np.mean(negatives(scores), axis=0)
    k = len(scores)
    return math.log(k) + np.mean(p - np.logaddexp(p, math.log(k - 1) + mean))


def infonce_log_of_mean_share(scores):
    log_share = positives(scores) - logsumexp(with_locations(scores), axis=0)
    return math.log(len(scores)) + logsumexp(log_share) - math.log(log_share.size)


def infonce_accuracy_like(scores):
    """The mean probability given to the positive."""
    square = with_locations(scores)
    e = np.exp(square - np.max(square, axis=0))
    share = e / np.sum(e, axis=0)
    return np.einsum("iil->", share) / (len(share) * share.shape[2])


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


def logits_epsilon_12(logits):
    e = np.exp(logits - np.max(logits, axis=1, keepdims=True))
    p = e[:, 0] / np.sum(e, axis=1)
    return math.log(logits.shape[1]) + np.mean(np.log(p + 1e-12))


def logits_softmax_of_batch(logits):
    """axis=0 where the candidates are axis 1."""
    k = logits.shape[1]
    return math.log(k) + np.mean(logits[:, 0] - logsumexp(logits, axis=0)[0])


def logits_exp_sum_log(logits):
    total = 0.0
    for row in logits:
        total = total + row[0] - np.log(sum(np.exp(t) for t in row))
    return math.log(logits.shape[1]) + total / len(logits)


def logits_denominator_epsilon_10(logits):
    e = np.exp(logits)
    return np.log(logits.shape[1]) + np.mean(np.log(e[:, 0] / (e.sum(axis=1) + 1e-10)))


# ---- ε inside the logarithm, and in the denominator


def infonce_epsilon_10(scores):
    square = with_locations(scores)
    share = np.exp(square - logsumexp(square, axis=0, keepdims=True))
    return math.log(len(square)) + np.mean(np.log(positives(share) + 1e-10))


def infonce_epsilon_7(scores):
    """As a loss."""
    e = np.exp(with_locations(scores))
    share = positives(e) / e.sum(axis=0)
    return -np.mean(np.log(share + 1e-7)) - math.log(len(e))


def sampled_epsilon_6(positives, negatives):
    e_p, e_n = np.exp(positives), np.exp(negatives)
    share = e_p / (e_p + e_n.sum(axis=0))
    return math.log(1 + len(negatives)) + np.mean(np.log(1e-6 + share))


def infonce_denominator_epsilon_12(scores):
    e = np.exp(with_locations(scores))
    return math.log(len(e)) + np.mean(np.log(positives(e)) - np.log(np.sum(e, axis=0) + 1e-12))


def sampled_denominator_epsilon_7(positives, negatives):
    e_p = np.exp(positives)
    e_n = np.einsum("k...->...", np.exp(negatives))
    return math.log(1 + negatives.shape[0]) + np.mean(positives - np.log(e_p + e_n + 1e-7))


def infonce_denominator_epsilon_6(scores):
    """As a loss."""
    n = len(scores)
    p = positives(scores)
    return np.mean(np.log(np.exp(p) + np.exp(negatives(scores)).sum(axis=0) + 1e-6) - p) - np.log(n)
