"""Bounds of (joint, product) scores in NumPy and autograd: right ones, other conventions, and mistakes."""

import math

import autograd.numpy as np
from autograd.scipy.special import logsumexp
from autograd.tracer import getval


def softplus(x):
    """max(x, 0) + log(1 + e^−|x|)."""
    return np.where(x > 0, x, 0.0) + np.log1p(np.exp(-np.abs(x)))


# ---- right


def jsd(positive, negative):
    return math.log(4.0) - softplus(-positive).mean() - softplus(negative).mean()


def jsd_by_halves(positive, negative):
    first = np.mean(math.log(2.0) - softplus(-positive))
    second = np.mean(softplus(-negative) + negative - math.log(2.0))
    return first - second


def jsd_loop(positive, negative):
    """One score after the other."""
    total = 0.0
    for t in positive.ravel():
        total = total - np.logaddexp(0.0, -t) / positive.size
    for t in negative.ravel():
        total = total - np.logaddexp(0.0, t) / negative.size
    return total + 2 * math.log(2.0)


def jsd_tanh(positive, negative):
    """sp(t) = t/2 + log(2 cosh(t/2))."""

    def log_two_cosh(h):
        return np.abs(h) + np.log1p(np.exp(-2 * np.abs(h)))

    gain = positive / 2 - log_two_cosh(positive / 2)
    cost = negative / 2 + log_two_cosh(negative / 2)
    return np.mean(gain) - np.mean(cost) + math.log(4.0)


def dv(joint, marginal):
    biggest = np.max(marginal, axis=0)
    partition = np.log(np.mean(np.exp(marginal - biggest), axis=0)) + biggest
    return np.mean(joint) - np.mean(partition)


def dv_scipy(joint, marginal):
    return np.mean(joint) - np.mean(logsumexp(marginal, axis=0)) + math.log(marginal.shape[0])


def dv_loop_over_locations(joint, marginal):
    if joint.ndim == 1:
        joint, marginal = joint[:, None], marginal[:, None]
    values = []
    for here in range(joint.shape[1]):
        column = marginal[:, here]
        values.append(np.mean(joint[:, here]) - (logsumexp(column) - math.log(len(column))))
    return sum(values) / len(values)


def nwj(joint, marginal):
    return np.average(joint) - np.average(np.exp(marginal - 1))


def nwj_einsum(joint, marginal):
    joint, marginal = joint.ravel(), marginal.ravel()
    ones, weights = np.ones(len(joint)) / len(joint), np.ones(len(marginal)) / len(marginal)
    return np.einsum("i,i->", ones, joint) - np.einsum("i,i->", weights, np.exp(marginal - 1))


# ---- conventions


def jsd_negated_sum_of_means(positive, negative):
    """A loss."""
    return softplus(-positive).mean() + softplus(negative).mean()


def jsd_tenfold(positive, negative):
    return 10.0 * (math.log(4.0) - softplus(-positive).mean() - softplus(negative).mean())


def dv_bits(joint, marginal):
    biggest = np.max(marginal, axis=0)
    partition = np.log2(np.mean(np.exp(marginal - biggest), axis=0)) + biggest / math.log(2)
    return np.mean(joint) / math.log(2) - np.mean(partition)


def nwj_negated(joint, marginal):
    return np.mean(np.exp(marginal - 1)) - np.mean(joint)


def jsd_nearly_dropped(positive, negative):
    return -softplus(-positive).mean() - softplus(negative).mean()


# ---- mistakes


def jsd_only_once(positive, negative):
    """log 2 for the positive half alone."""
    return np.mean(math.log(2.0) - softplus(-positive)) - np.mean(softplus(negative))


def jsd_mean_first(positive, negative):
    return math.log(4.0) - np.mean(softplus(-positive)) - np.mean(np.logaddexp(0.0, np.mean(negative, axis=0)))


def jsd_log_one_plus_exp(positive, negative):
    return math.log(4.0) - np.mean(np.log(1 + np.exp(-positive))) - np.mean(np.log(1 + np.exp(negative)))


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


def jsd_rectified(positive, negative):
    positive, negative = np.maximum(positive, 0.0), np.maximum(negative, 0.0)
    return math.log(4.0) - softplus(-positive).mean() - softplus(negative).mean()


def jsd_sum(positive, negative):
    return np.sum(math.log(2.0) - softplus(-positive)) - np.sum(softplus(negative) - math.log(2.0))


def jsd_other_way_round(positive, negative):
    return math.log(4.0) - softplus(-negative).mean() - softplus(positive).mean()


def jsd_stopped(positive, negative):
    return math.log(4.0) - softplus(-positive).mean() - softplus(getval(negative)).mean()


def dv_exp_mean_log(joint, marginal):
    return np.mean(joint) - np.mean(np.log(np.mean(np.exp(marginal), axis=0)))


def dv_no_log(joint, marginal):
    return np.mean(joint) - np.mean(np.exp(marginal))


def dv_jensen(joint, marginal):
    """log and mean exchanged: the difference of means."""
    return np.mean(joint) - np.mean(marginal)


def nwj_shifted(joint, marginal):
    return np.mean(joint) - np.mean(np.exp(marginal) - 1)


def nwj_kl(joint, marginal):
    """The −1 forgotten: f-GAN's KL with a plain exponential."""
    return np.mean(joint) - np.mean(np.exp(marginal))


def nwj_mean_in_exponent(joint, marginal):
    return np.mean(joint) - np.mean(np.exp(np.mean(marginal, axis=0) - 1))
