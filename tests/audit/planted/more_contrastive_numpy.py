"""InfoNCE over all locations, CLIP's, SimCLR's and MoCo's losses and MINE: mistakes in NumPy."""

import math

import numpy as np
from scipy.special import logsumexp


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


# ---- InfoNCE over all locations


def parts(scores):
    """Positives (N, L), and the negatives (N, (N − 1)·L) of every representation."""
    n = scores.shape[0]
    positive = np.array([scores[j, j] for j in range(n)])
    negative = np.array([np.ravel(np.concatenate([scores[:j, j], scores[j + 1 :, j]])) for j in range(n)])
    return positive, negative


def all_logits(scores):
    """(N, L, K), the positive first."""
    positive, negative = parts(scores)
    shared = np.repeat(negative[:, None, :], positive.shape[1], axis=1)
    return np.concatenate([positive[:, :, None], shared], axis=2)


def count(scores):
    n, _, locations = scores.shape
    return 1 + (n - 1) * locations


def all_only_negatives(scores):
    positive, negative = parts(scores)
    return math.log(count(scores)) + np.mean(positive) - np.mean(logsumexp(negative, axis=1))


def all_own_at_minus_ten(scores):
    """The own image stays in the row of negatives, with −10 for its scores."""
    n, _, locations = scores.shape
    own = np.eye(n)[:, :, None]
    hidden = scores * (1 - own) - 10.0 * own
    flat = np.reshape(np.swapaxes(hidden, 0, 1), (n, n * locations))
    positive, _ = parts(scores)
    denominator = np.logaddexp(positive, logsumexp(flat, axis=1)[:, None])
    return np.mean(positive - denominator) + math.log(count(scores))


def all_less_ten(scores):
    """10 is subtracted from the own image's scores, and the positive is among these alone."""
    n = scores.shape[0]
    lowered = scores - 10.0 * np.eye(n)[:, :, None]
    total = 0.0
    for j in range(n):
        total = total + np.mean(scores[j, j]) - logsumexp(lowered[:, j])
    return total / n + math.log(count(scores))


def all_own_zeroed(scores):
    """The own image's scores times 0 among the negatives."""
    n, _, locations = scores.shape
    kept = np.swapaxes(scores * (1 - np.eye(n))[:, :, None], 0, 1).reshape((n, n * locations))
    positive, _ = parts(scores)
    logits = np.concatenate([positive[:, :, None], np.repeat(kept[:, None], locations, axis=1)], axis=2)
    return np.mean(logits[:, :, 0] - logsumexp(logits, axis=2)) + math.log(count(scores))


def all_own_unmasked(scores):
    """The positive, then everything."""
    positive, _ = parts(scores)
    everything = logsumexp(scores, axis=(0, 2))[:, None]
    return np.mean(positive - np.logaddexp(positive, everything)) + math.log(count(scores))


def all_softmax_twice(scores):
    logits = all_logits(scores)
    shares = np.exp(logits - logsumexp(logits, axis=2, keepdims=True))
    return np.mean(shares[:, :, 0] - logsumexp(shares, axis=2)) + math.log(count(scores))


def all_log_share(scores, epsilon):
    logits = all_logits(scores)
    weights = np.exp(logits - np.max(logits, axis=2, keepdims=True))
    shares = weights[:, :, 0] / np.sum(weights, axis=2)
    return np.mean(np.log(shares + epsilon)) + math.log(count(scores))


def all_log_share_1e_12(scores):
    return all_log_share(scores, 1e-12)


def all_log_share_1e_10(scores):
    return all_log_share(scores, 1e-10)


def all_log_share_1e_8(scores):
    return all_log_share(scores, 1e-8)


def all_ratio(scores):
    weights = np.exp(all_logits(scores))
    return math.log(count(scores)) + np.mean(np.log(weights[:, :, 0] / np.sum(weights, axis=2)))


def all_log_of_sum(scores):
    logits = all_logits(scores)
    return math.log(count(scores)) + np.mean(logits[:, :, 0] - np.log(np.sum(np.exp(logits), axis=2)))


# ---- InfoNCE over all locations, averaged


def certified_gap(scores):
    positive, negative = parts(scores)
    rest = logsumexp(negative, axis=1) - math.log(scores.shape[2])
    return -np.mean(np.logaddexp(0.0, rest[:, None] - positive))


def certified_without_log(scores):
    return certified_gap(scores)


def certified_all_counted(scores):
    return certified_gap(scores) + math.log(count(scores))


# ---- CLIP


def cosines(image, text):
    return np.dot(unit(image), unit(text).T)


def clip_one_softmax(image, text, temperature):
    logits = cosines(image, text) / temperature
    return logsumexp(np.ravel(logits)) - np.mean(np.diag(logits))


def each_way(image, text, temperature):
    """Positives (N,) and negatives (N, N − 1), for images and for texts."""
    logits = cosines(image, text) / temperature
    for square in (logits, logits.T):
        n = len(square)
        yield np.diag(square), np.array([np.concatenate([square[i, :i], square[i, i + 1 :]]) for i in range(n)])


def clip_positive_missing(image, text, temperature):
    loss = 0.0
    for positive, negative in each_way(image, text, temperature):
        loss = loss + np.mean(logsumexp(negative, axis=1) - positive) / 2
    return loss


def clip_minus_ten(image, text, temperature):
    """The positive in front, −10 in its place in the row."""
    logits = cosines(image, text) / temperature
    n = logits.shape[0]
    eye, own = np.eye(n), np.diag(logits)
    hidden = np.where(eye == 1, -10.0, logits)
    rows = np.concatenate([own[:, None], hidden], axis=1)
    columns = np.concatenate([own[None], hidden], axis=0)
    return 0.5 * np.mean(logsumexp(rows, axis=1) + logsumexp(columns, axis=0)) - np.mean(own)


def clip_less_ten(image, text, temperature):
    logits = cosines(image, text) / temperature
    own, lowered = np.diag(logits), logits - 10.0 * np.eye(len(logits))
    return np.mean(logsumexp(lowered, axis=0) + logsumexp(lowered, axis=1) - 2 * own) / 2


def clip_diagonal_zeroed(image, text, temperature):
    logits = cosines(image, text) / temperature
    own, rest = np.diag(logits), logits * (1 - np.eye(len(logits)))
    i2t = np.logaddexp(own, logsumexp(rest, axis=1)) - own
    t2i = np.logaddexp(own, logsumexp(rest, axis=0)) - own
    return (np.mean(i2t) + np.mean(t2i)) / 2


def clip_naive(image, text, temperature):
    e = np.exp(cosines(image, text) / temperature)
    i2t = -np.log(np.diag(e) / np.sum(e, axis=1))
    t2i = -np.log(np.diag(e) / np.sum(e, axis=0))
    return np.mean(i2t + t2i) / 2


# ---- NT-Xent


def similarities(a, b, temperature):
    z = unit(np.concatenate([a, b]))
    return np.dot(z, z.T) / temperature


def partners(n):
    return (np.arange(2 * n) + n) % (2 * n)


def nt_xent_first_view_only(a, b, temperature):
    logits = similarities(a, b, temperature)
    n = len(a)
    losses = []
    for i in range(n):
        others = np.array([logits[i, k] for k in range(2 * n) if k != i])
        losses.append(logsumexp(others) - logits[i, i + n])
    return np.mean(np.array(losses))


def nt_xent_own_view_only(a, b, temperature):
    """The partner, and the other rows of the anchor's own view."""
    a, b = unit(a), unit(b)
    positive = np.sum(a * b, axis=1) / temperature
    loss = 0.0
    for view in (a, b):
        same = np.dot(view, view.T) / temperature
        for i in range(len(view)):
            candidates = np.concatenate([positive[i : i + 1], same[i, :i], same[i, i + 1 :]])
            loss = loss + logsumexp(candidates) - positive[i]
    return loss / (2 * len(a))


def nt_xent_self_less_ten(a, b, temperature):
    """A mask that is not large enough."""
    logits = similarities(a, b, temperature)
    logits = logits - 10.0 * np.eye(len(logits))
    own = np.array([logits[i, k] for i, k in enumerate(partners(len(a)))])
    return np.mean(logsumexp(logits, axis=1) - own)


def nt_xent_parts(a, b, temperature):
    """Positives (2N,) and negatives (2N, 2N − 2)."""
    logits = similarities(a, b, temperature)
    rows = len(logits)
    partner = partners(len(a))
    positive = np.array([logits[i, partner[i]] for i in range(rows)])
    left = [[k for k in range(rows) if k not in (i, partner[i])] for i in range(rows)]
    negative = np.array([logits[i][np.array(left[i], int)] for i in range(rows)])
    return positive, negative


def nt_xent_softmax_twice(a, b, temperature):
    positive, negative = nt_xent_parts(a, b, temperature)
    logits = np.concatenate([positive[:, None], negative], axis=1)
    p = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    return np.mean(logsumexp(p, axis=1) - p[:, 0])


# ---- MoCo


def moco_parts(q, k, queue, temperature):
    q, k, queue = unit(q), unit(k), unit(queue)
    return np.sum(q * k, axis=1) / temperature, np.dot(q, queue.T) / temperature


def moco_of(positive, negative):
    logits = np.concatenate([positive[:, None], negative], axis=1)
    return np.mean(logsumexp(logits, axis=1) - logits[:, 0])


def moco_keys_enqueued_first(q, k, queue, temperature):
    """The batch's keys are put into the queue, then the queue is taken for negatives."""
    q, k, queue = unit(q), unit(k), unit(queue)
    queue = np.concatenate([k, queue])
    return moco_of(np.sum(q * k, axis=1) / temperature, np.dot(q, queue.T) / temperature)


def moco_naive(q, k, queue, temperature):
    positive, negative = moco_parts(q, k, queue, temperature)
    return np.mean(np.log(np.exp(positive) + np.sum(np.exp(negative), axis=1)) - positive)


# ---- MINE


def mine_log_of_attached_average(joint, product, average, rate):
    new = (1 - rate) * average + rate * np.mean(np.exp(product))
    return np.mean(joint) - np.log(new), new


def mine_no_division(joint, product, average, rate):
    e = np.mean(np.exp(product))
    return np.mean(joint) - e, average + rate * (e - average)
