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


def loss_exponentials(scores, clip, penalty):
    """Bounded by the clip, the exponentials need no maximum taken off."""
    e = np.exp(clip * np.tanh(scores / clip))
    n = e.shape[0]
    total = 0.0
    for j in range(n):
        rest = np.sum(e[:, j]) - np.sum(e[j, j])
        total = total - np.mean(np.log(e[j, j] / (e[j, j] + rest)))
    return total / n + penalty * np.mean(np.square(scores))


def loss_total(scores, clip, penalty):
    t = clip * np.tanh(scores / clip)
    return np.sum(np.concatenate(entropies(t))) + penalty * np.mean(scores * scores)


def loss_clip_of_ten(scores, clip, penalty):
    t = 10 * np.tanh(scores / 10)
    return np.mean(np.concatenate(entropies(t))) + penalty * np.mean(scores * scores)


def loss_without_clip(scores, clip, penalty):
    return np.mean(np.concatenate(entropies(scores))) + penalty * np.mean(scores * scores)


def loss_regularized_after(scores, clip, penalty):
    t = clip * np.tanh(scores / clip)
    return np.mean(np.concatenate(entropies(t))) + penalty * np.mean(t * t)


def loss_regularized_positives(scores, clip, penalty):
    t = clip * np.tanh(scores / clip)
    own = np.stack([scores[j, j] for j in range(scores.shape[0])])
    return np.mean(np.concatenate(entropies(t))) + penalty * np.mean(own * own)


def loss_without_positive(scores, clip, penalty):
    t = clip * np.tanh(scores / clip)
    n = t.shape[0]
    terms = []
    for j in range(n):
        others = np.concatenate([t[i, j] for i in range(n) if i != j])
        terms.append(log_sum(others, 0) - t[j, j])
    return np.mean(np.stack(terms)) + penalty * np.mean(scores * scores)


def loss_of_one_location(scores, clip, penalty):
    """Each location against the same location of the others."""
    t = clip * np.tanh(scores / clip)
    own = np.stack([t[j, j] for j in range(t.shape[0])])
    return np.mean(log_sum(t, 0) - own) + penalty * np.mean(scores * scores)


def loss_softmax_over_anchors(scores, clip, penalty):
    t = clip * np.tanh(scores / clip)
    own = np.stack([t[j, j] for j in range(t.shape[0])])
    return np.mean(log_sum(t, 1) - own) + penalty * np.mean(scores * scores)


def loss_of_averaged_negatives(scores, clip, penalty):
    t = clip * np.tanh(scores / clip)
    n, _, places = t.shape
    terms = []
    for j in range(n):
        others = np.concatenate([t[i, j] for i in range(n) if i != j])
        terms.append(np.logaddexp(t[j, j], log_sum(others, 0) - np.log(places)) - t[j, j])
    return np.mean(np.stack(terms)) + penalty * np.mean(scores * scores)


def loss_every_location(scores, clip, penalty):
    t = clip * np.tanh(scores / clip)
    terms = [log_sum(np.reshape(t[:, j], (-1,)), 0) - t[j, j] for j in range(t.shape[0])]
    return np.mean(np.stack(terms)) + penalty * np.mean(scores * scores)


def of_views(f_1, y_1, f_2, y_2, clip, penalty):
    root = np.sqrt(y_1.shape[1])
    there = loss_loops(np.einsum("ile,je->ijl", f_2, y_1) / root, clip, penalty)
    back = loss_loops(np.einsum("ile,je->ijl", f_1, y_2) / root, clip, penalty)
    return (there + back) / 2


def of_views_without_root(f_1, y_1, f_2, y_2, clip, penalty):
    there = loss_loops(np.einsum("ile,je->ijl", f_2, y_1), clip, penalty)
    back = loss_loops(np.einsum("ile,je->ijl", f_1, y_2), clip, penalty)
    return (there + back) / 2


def of_second_view(f_1, y_1, f_2, y_2, clip, penalty):
    return loss_loops(np.einsum("ile,je->ijl", f_1, y_2) / np.sqrt(y_1.shape[1]), clip, penalty)


def batches(count, size):
    return [slice(start, start + size) for start in range(0, count, size)]


def accuracy_counted(logits, labels, batch_size):
    hits = sum(np.count_nonzero(logits[b].argmax(-1) == labels[b]) for b in batches(len(labels), batch_size))
    return hits / len(labels)


def accuracy_of_full_batches(logits, labels, batch_size):
    hits = [logits[b].argmax(-1) == labels[b] for b in batches(len(labels) // batch_size * batch_size, batch_size)]
    return np.mean(np.concatenate(hits))


def accuracy_averaged(logits, labels, batch_size):
    return np.mean([np.mean(logits[b].argmax(-1) == labels[b]) for b in batches(len(labels), batch_size)])


def accuracy_overwritten(logits, labels, batch_size):
    for b in batches(len(labels), batch_size):
        found = np.mean(logits[b].argmax(-1) == labels[b])
    return found


def error_rate(logits, labels, batch_size):
    return np.mean(logits.argmax(-1) != labels)
