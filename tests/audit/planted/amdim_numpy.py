"""AMDIM's loss and evaluations around it, in NumPy, right and wrong."""

import numpy as np


def log_sum(x, axis):
    top = x.max(axis=axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.sum(np.exp(x - top), axis=axis))


def entropies(t):
    """−log softmax of each positive, a list of (L,)."""
    n = t.shape[0]
    found = []
    for j in range(n):
        others = np.concatenate([t[i, j] for i in range(n) if i != j])
        found.append(np.logaddexp(t[j, j], log_sum(others, 0)) - t[j, j])
    return found


def loss_loops(scores, clip, penalty):
    t = clip * np.tanh(scores / clip)
    return np.mean(np.concatenate(entropies(t))) + penalty * np.mean(scores * scores)


def loss_of_averaged_negatives(scores, clip, penalty):
    t = clip * np.tanh(scores / clip)
    n, _, places = t.shape
    terms = []
    for j in range(n):
        others = np.concatenate([t[i, j] for i in range(n) if i != j])
        terms.append(np.logaddexp(t[j, j], log_sum(others, 0) - np.log(places)) - t[j, j])
    return np.mean(np.stack(terms)) + penalty * np.mean(scores * scores)


def error_rate(logits, labels, batch_size):
    return np.mean(logits.argmax(-1) != labels)
