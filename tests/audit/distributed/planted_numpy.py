"""Losses on ranks in NumPy and autograd, right and wrong: `ranks` are the collectives."""

import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval


def unit(x):
    return x / np.sqrt((x * x).sum(1, keepdims=True))


def logsumexp(x):
    most = x.max(1, keepdims=True)
    return np.log(np.exp(x - most).sum(1)) + most[:, 0]


def infonce_share(queries, keys, temperature, ranks):
    """dimref's convention: the shares sum to the loss."""
    scores = unit(queries) @ ranks.all_gather(unit(keys)).T / temperature
    here = np.arange(len(queries))
    return (logsumexp(scores) - scores[here, here + ranks.first]).sum() / ranks.n


def infonce_bound(queries, keys, temperature, ranks):
    return np.log(ranks.n) / ranks.size - infonce_share(queries, keys, temperature, ranks)


def infonce_whole(queries, keys, temperature, ranks):
    """The whole loss on every rank."""
    return ranks.all_sum(infonce_share(queries, keys, temperature, ranks))


def infonce_mean_of_means(queries, keys, temperature, ranks):
    return infonce_share(queries, keys, temperature, ranks) * ranks.n / len(queries)


def infonce_stopped(queries, keys, temperature, ranks):
    keys = ranks.all_gather(getval(keys))
    scores = unit(queries) @ unit(keys).T / temperature
    here = anp.arange(len(queries))
    return (logsumexp(scores) - scores[here, here + ranks.first]).sum() / ranks.n


def infonce_no_offset(queries, keys, temperature, ranks):
    scores = unit(queries) @ ranks.all_gather(unit(keys)).T / temperature
    here = np.arange(len(queries))
    return (logsumexp(scores) - scores[here, here]).sum() / ranks.n


def moments(x, ranks):
    mean = ranks.all_sum(x.sum(0)) / ranks.n
    return mean, ranks.all_sum(((x - mean) ** 2).sum(0)) / ranks.n


def moments_as_if_equal(x, ranks):
    mean = ranks.all_sum(x.mean(0)) / ranks.size
    return mean, ranks.all_sum(((x - mean) ** 2).mean(0)) / ranks.size


def batch_norm(x, gain, shift, ranks):
    mean, variance = moments(x, ranks)
    return (x - mean) / np.sqrt(variance + 1e-5) * gain + shift


def one_more_collective(queries, keys, temperature, ranks):
    if ranks.first == 0:
        ranks.all_sum(keys)
    return infonce_share(queries, keys, temperature, ranks)
