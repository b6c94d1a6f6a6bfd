"""CLIP's, SimCLR's and MoCo's losses in NumPy and autograd."""

import math

import autograd.numpy as np
from autograd.scipy.special import logsumexp


def unit(x):
    return x / np.sqrt(np.sum(x**2, axis=1, keepdims=True))


# ---- mistakes


def moco_without_positive(q, k, queue, temperature):
    q, k, queue = unit(q), unit(k), unit(queue)
    return np.mean(logsumexp(np.dot(q, queue.T) / temperature, axis=1) - np.sum(q * k, axis=1) / temperature)


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


def all_own_unmasked(scores):
    """The positive, then everything."""
    positive, _ = parts(scores)
    everything = logsumexp(scores, axis=(0, 2))[:, None]
    return np.mean(positive - np.logaddexp(positive, everything)) + math.log(count(scores))


def all_softmax_twice(scores):
    logits = all_logits(scores)
    shares = np.exp(logits - logsumexp(logits, axis=2, keepdims=True))
    return np.mean(shares[:, :, 0] - logsumexp(shares, axis=2)) + math.log(count(scores))


# ---- InfoNCE over all locations, averaged


def certified_gap(scores):
    positive, negative = parts(scores)
    rest = logsumexp(negative, axis=1) - math.log(scores.shape[2])
    return -np.mean(np.logaddexp(0.0, rest[:, None] - positive))


def certified_all_counted(scores):
    return certified_gap(scores) + math.log(count(scores))


# ---- MoCo


def moco_of(positive, negative):
    logits = np.concatenate([positive[:, None], negative], axis=1)
    return np.mean(logsumexp(logits, axis=1) - logits[:, 0])


def moco_keys_enqueued_first(q, k, queue, temperature):
    """The batch's keys are put into the queue, then the queue is taken for negatives."""
    q, k, queue = unit(q), unit(k), unit(queue)
    queue = np.concatenate([k, queue])
    return moco_of(np.sum(q * k, axis=1) / temperature, np.dot(q, queue.T) / temperature)
