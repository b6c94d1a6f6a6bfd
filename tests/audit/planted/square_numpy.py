"""InfoNCE and the bounds on a square of scores in NumPy and autograd. Rows are images."""

import math

import autograd.numpy as np
from autograd.scipy.special import logsumexp
from autograd.tracer import getval


def softplus(x):
    return np.logaddexp(x, 0.0)


def diagonal_of(scores):
    return np.array([scores[i, i] for i in range(scores.shape[0])])


# ---- InfoNCE, right


def infonce(scores):
    n = scores.shape[0]
    return math.log(n) + np.mean(diagonal_of(scores) - logsumexp(scores, axis=0))


def infonce_loop(scores):
    """For every representation, at every location: the own image against all images."""
    n = scores.shape[0]
    square = scores if scores.ndim == 3 else scores[:, :, None]
    total = 0.0
    for here in range(square.shape[2]):
        for j in range(n):
            column = square[:, j, here]
            top = np.max(column)
            total = total + column[j] - top - np.log(np.sum(np.exp(column - top)))
    return total / (n * square.shape[2]) + math.log(n)


def infonce_of_differences(scores):
    """−log Σ exp(T_neg − T_pos)."""
    n = scores.shape[0]
    gap = scores - diagonal_of(scores)[None]
    return math.log(n) - np.mean(logsumexp(gap, axis=0))


def infonce_softmax(scores):
    shifted = scores - np.max(scores, axis=0, keepdims=True)
    log_softmax = shifted - np.log(np.sum(np.exp(shifted), axis=0, keepdims=True))
    return np.mean(diagonal_of(log_softmax)) + math.log(scores.shape[0])


# ---- InfoNCE, conventions


def infonce_rows(scores):
    """Candidates along the second axis."""
    n = scores.shape[0]
    return math.log(n) + np.mean(diagonal_of(scores) - logsumexp(scores, axis=1))


def infonce_negative_log_likelihood(scores):
    return np.mean(logsumexp(scores, axis=0) - diagonal_of(scores))


def infonce_rows_bits(scores):
    n = scores.shape[0]
    return (math.log(n) + np.mean(diagonal_of(scores) - logsumexp(scores, axis=1))) / math.log(2)


def infonce_both_ways(scores):
    n = scores.shape[0]
    pos = diagonal_of(scores)
    return math.log(n) + 0.5 * np.mean(pos - logsumexp(scores, axis=0)) + 0.5 * np.mean(pos - logsumexp(scores, axis=1))


# ---- InfoNCE, mistakes


def infonce_without_log_k(scores):
    return np.mean(diagonal_of(scores) - logsumexp(scores, axis=0))


def infonce_negatives_counted(scores):
    """log of the number of negatives in place of that of candidates."""
    n = scores.shape[0]
    return np.mean(diagonal_of(scores) - logsumexp(scores, axis=0)) + math.log(max(n - 1, 1))


def infonce_only_negatives(scores):
    """For every representation: the own image against the others alone."""
    n = scores.shape[0]
    square = scores if scores.ndim == 3 else scores[:, :, None]
    total = 0.0
    for j in range(n):
        others = np.concatenate([square[:j, j], square[j + 1 :, j]])
        total = total + np.mean(square[j, j] - logsumexp(others, axis=0))
    return total / n + math.log(n)


def infonce_leave_one_out(scores):
    """The same with log(N − 1), so that it is the mean over the others."""
    n = scores.shape[0]
    square = scores if scores.ndim == 3 else scores[:, :, None]
    total = 0.0
    for j in range(n):
        others = np.concatenate([square[:j, j], square[j + 1 :, j]])
        total = total + np.mean(square[j, j] - logsumexp(others, axis=0))
    return total / n + math.log(n - 1)


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


def infonce_stopped(scores):
    return math.log(scores.shape[0]) + np.mean(diagonal_of(scores) - logsumexp(getval(scores), axis=0))


# ---- sampled candidates and MoCo's logits, right


def sampled(positives, negatives):
    candidates = np.concatenate([positives[None], negatives])
    return math.log(candidates.shape[0]) + np.mean(positives - logsumexp(candidates, axis=0))


def sampled_logaddexp(positives, negatives):
    return math.log(1 + negatives.shape[0]) + np.mean(-softplus(logsumexp(negatives, axis=0) - positives))


def logits_first_column(logits):
    return math.log(logits.shape[1]) + np.mean(logits[:, 0] - logsumexp(logits, axis=1))


# ---- mistakes


def sampled_positive_missing(positives, negatives):
    return math.log(1 + negatives.shape[0]) + np.mean(positives - logsumexp(negatives, axis=0))


def sampled_log_of_negatives(positives, negatives):
    candidates = np.concatenate([positives[None], negatives])
    return math.log(negatives.shape[0]) + np.mean(positives - logsumexp(candidates, axis=0))


def sampled_no_log(positives, negatives):
    candidates = np.concatenate([positives[None], negatives])
    return np.mean(positives - logsumexp(candidates, axis=0))


def logits_positive_missing(logits):
    return math.log(logits.shape[1]) + np.mean(logits[:, 0] - logsumexp(logits[:, 1:], axis=1))


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


def all_locations_log_n(scores):
    """log of the batch in place of the number of candidates."""
    n, _, locations = scores.shape
    return all_locations(scores) - math.log(1 + (n - 1) * locations) + math.log(n)


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


def jsd_square(scores):
    return math.log(4) - np.mean(softplus(-diagonal_of(scores))) - np.mean(softplus(off_diagonal(scores)))


def dv_square(scores):
    negative = off_diagonal(scores)
    return np.mean(diagonal_of(scores)) - np.mean(logsumexp(negative, axis=0)) + math.log(len(negative))


def nwj_square(scores):
    n = scores.shape[0]
    locations = math.prod(scores.shape[2:])
    diagonal = diagonal_of(scores)
    cost = (np.sum(np.exp(scores - 1)) - np.sum(np.exp(diagonal - 1))) / (n * (n - 1) * locations)
    return np.mean(diagonal) - cost


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


def nwj_square_no_shift(scores):
    return np.mean(diagonal_of(scores)) - np.mean(np.exp(off_diagonal(scores)))


def jsd_square_first_only(scores):
    """One negative for each image, and for image 0 its own."""
    negative = np.array([scores[i, 0] for i in range(scores.shape[0])])
    return math.log(4) - np.mean(softplus(-diagonal_of(scores))) - np.mean(softplus(negative))
