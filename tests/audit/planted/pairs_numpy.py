"""Bounds of (joint, product) scores in NumPy and autograd: right ones, other conventions, and mistakes."""

import math

import autograd.numpy as np
from autograd.tracer import getval


def softplus(x):
    """max(x, 0) + log(1 + e^−|x|)."""
    return np.where(x > 0, x, 0.0) + np.log1p(np.exp(-np.abs(x)))


# ---- right


def jsd(positive, negative):
    return math.log(4.0) - softplus(-positive).mean() - softplus(negative).mean()


def nwj(joint, marginal):
    return np.average(joint) - np.average(np.exp(marginal - 1))


# ---- conventions


def jsd_tenfold(positive, negative):
    return 10.0 * (math.log(4.0) - softplus(-positive).mean() - softplus(negative).mean())


def dv_bits(joint, marginal):
    biggest = np.max(marginal, axis=0)
    partition = np.log2(np.mean(np.exp(marginal - biggest), axis=0)) + biggest / math.log(2)
    return np.mean(joint) / math.log(2) - np.mean(partition)


# ---- mistakes


def jsd_mean_first(positive, negative):
    return math.log(4.0) - np.mean(softplus(-positive)) - np.mean(np.logaddexp(0.0, np.mean(negative, axis=0)))


def jsd_probabilities(positive, negative):
    """The discriminator's probabilities come first, as in a GAN tutorial."""
    d_positive = 1 / (1 + np.exp(-positive))
    d_negative = 1 / (1 + np.exp(-negative))
    return np.mean(np.log(d_positive)) + np.mean(np.log(1 - d_negative)) + math.log(4.0)


def jsd_stabilised(positive, negative):
    m = max(getval(positive).max(), getval(negative).max())
    return math.log(4.0) - np.logaddexp(0.0, m - positive).mean() - np.logaddexp(0.0, negative - m).mean()


def jsd_one_half(positive, negative):
    gain = -softplus(-positive).mean()
    cost = softplus(negative).mean()
    return math.log(2.0) + (gain - cost) / 2


def jsd_sum(positive, negative):
    return np.sum(math.log(2.0) - softplus(-positive)) - np.sum(softplus(negative) - math.log(2.0))


def jsd_other_way_round(positive, negative):
    return math.log(4.0) - softplus(-negative).mean() - softplus(positive).mean()


def dv_exp_mean_log(joint, marginal):
    return np.mean(joint) - np.mean(np.log(np.mean(np.exp(marginal), axis=0)))


def nwj_shifted(joint, marginal):
    return np.mean(joint) - np.mean(np.exp(marginal) - 1)


def nwj_mean_in_exponent(joint, marginal):
    return np.mean(joint) - np.mean(np.exp(np.mean(marginal, axis=0) - 1))
