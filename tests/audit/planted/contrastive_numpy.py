"""CLIP's, SimCLR's and MoCo's losses in NumPy and autograd."""

import autograd.numpy as np
from autograd.scipy.special import logsumexp


def unit(x):
    return x / np.sqrt(np.sum(x**2, axis=1, keepdims=True))


# ---- right


def clip(image, text, temperature):
    logits = np.dot(unit(image), unit(text).T) / temperature
    own = np.diag(logits)
    return np.mean(logsumexp(logits, axis=1) + logsumexp(logits, axis=0)) / 2 - np.mean(own)


def nt_xent(a, b, temperature):
    """Anchor after anchor."""
    n = a.shape[0]
    z = unit(np.concatenate([a, b]))
    loss = 0.0
    for i in range(2 * n):
        partner = i + n if i < n else i - n
        similarities = np.dot(z, z[i]) / temperature
        others = np.concatenate([similarities[:i], similarities[i + 1 :]])
        loss = loss - similarities[partner] + logsumexp(others)
    return loss / (2 * n)


def moco(q, k, queue, temperature):
    q, k, queue = unit(q), unit(k), unit(queue)
    positive = np.sum(q * k, axis=1, keepdims=True)
    logits = np.concatenate([positive, np.dot(q, queue.T)], axis=1) / temperature
    return np.mean(logsumexp(logits, axis=1) - logits[:, 0])


# ---- mistakes


def clip_text_only(image, text, temperature):
    logits = np.dot(unit(image), unit(text).T) / temperature
    return np.mean(logsumexp(logits, axis=0) - np.diag(logits))


def clip_raw(image, text, temperature):
    logits = np.dot(image, text.T) / temperature
    return np.mean(logsumexp(logits, axis=1) + logsumexp(logits, axis=0)) / 2 - np.mean(np.diag(logits))


def clip_multiplied(image, text, temperature):
    logits = np.dot(unit(image), unit(text).T) * temperature
    return np.mean(logsumexp(logits, axis=1) + logsumexp(logits, axis=0)) / 2 - np.mean(np.diag(logits))


def nt_xent_with_self(a, b, temperature):
    n = a.shape[0]
    z = unit(np.concatenate([a, b]))
    logits = np.dot(z, z.T) / temperature
    positive = np.array([logits[i, (i + n) % (2 * n)] for i in range(2 * n)])
    return np.mean(logsumexp(logits, axis=1) - positive)


def nt_xent_raw(a, b, temperature):
    n = a.shape[0]
    z = np.concatenate([a, b])
    loss = 0.0
    for i in range(2 * n):
        similarities = np.dot(z, z[i]) / temperature
        others = np.concatenate([similarities[:i], similarities[i + 1 :]])
        loss = loss - similarities[(i + n) % (2 * n)] + logsumexp(others)
    return loss / (2 * n)


def nt_xent_no_positive(a, b, temperature):
    n = a.shape[0]
    z = unit(np.concatenate([a, b]))
    loss = 0.0
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        similarities = np.dot(z, z[i]) / temperature
        others = np.array([similarities[k] for k in range(2 * n) if k not in (i, partner)])
        loss = loss - similarities[partner] + logsumexp(others)
    return loss / (2 * n)


def moco_without_positive(q, k, queue, temperature):
    q, k, queue = unit(q), unit(k), unit(queue)
    return np.mean(logsumexp(np.dot(q, queue.T) / temperature, axis=1) - np.sum(q * k, axis=1) / temperature)


def moco_raw(q, k, queue, temperature):
    logits = np.concatenate([np.sum(q * k, axis=1, keepdims=True), np.dot(q, queue.T)], axis=1) / temperature
    return np.mean(logsumexp(logits, axis=1) - logits[:, 0])
