"""More mistakes in the bounds of (joint, product) scores, in NumPy and autograd."""

import math

import autograd.numpy as np
from autograd.scipy.special import expit, logsumexp
from autograd.tracer import getval


def softplus(x):
    return np.logaddexp(0.0, x)


def log_mean_exp(x):
    """Over the pairs, at each location."""
    return logsumexp(x, axis=0) - math.log(x.shape[0])


# ---- Donsker–Varadhan


def dv_both_log_mean_exp(joint, product):
    return np.mean(log_mean_exp(joint) - log_mean_exp(product))


def dv_maximum_forgotten(joint, product):
    """The largest score is subtracted for safety, and never comes back."""
    m = product.max(axis=0)
    return joint.mean() - np.log(np.exp(product - m).mean(axis=0)).mean()


def dv_epsilon_12(joint, product):
    return np.mean(joint) - np.mean(np.log(np.mean(np.exp(product), axis=0) + 1e-12))


def dv_epsilon_8(joint, product):
    """Location after location."""
    columns = [product] if product.ndim == 1 else [product[:, k] for k in range(product.shape[1])]
    logs = [np.log(1e-8 + sum(np.exp(t) for t in column) / len(column)) for column in columns]
    return joint.mean() - sum(logs) / len(logs)


def dv_epsilon_7(joint, product):
    """As a loss."""
    eps = 1e-7
    partition = np.einsum("i...->...", np.exp(product)) / product.shape[0]
    return np.mean(np.log(partition + eps)) - np.mean(joint)


def dv_epsilon_5(t, t_shuffled):
    exp_mean = np.exp(t_shuffled).mean(0)
    return t.mean() - np.log(exp_mean + 10**-5).mean()


def dv_exchanged(joint, product):
    return np.mean(product) - np.mean(log_mean_exp(joint))


def dv_of_rectified(joint, product):
    joint, product = np.maximum(joint, 0.0), np.maximum(product, 0.0)
    return np.mean(joint) - np.mean(log_mean_exp(product))


def dv_values_only(joint, product):
    joint, product = getval(joint), getval(product)
    return np.mean(joint) - np.mean(log_mean_exp(product))


# ---- NWJ


def nwj_both_shifted(joint, product):
    joint, product = joint - 1, product - 1
    return np.mean(joint) - np.mean(np.exp(product))


def nwj_times_e(joint, product):
    return joint.mean() - math.e * np.exp(product).mean()


def nwj_of_mean_score(joint, product):
    """As the negative: a loss."""
    return np.exp(np.mean(product) - 1) - np.mean(joint)


def nwj_sums(joint, product):
    return np.sum(joint) - np.sum(np.exp(product - 1))


def nwj_softplus(joint, product):
    return np.mean(joint) - np.mean(np.log1p(np.exp(-np.abs(product))) + np.maximum(product, 0.0))


def nwj_exchanged(joint, product):
    return np.mean(product) - np.mean(np.exp(joint - 1))


def nwj_of_rectified(joint, product):
    joint = np.where(joint > 0, joint, 0.0)
    product = np.where(product > 0, product, 0.0)
    return np.mean(joint) - np.exp(-1) * np.mean(np.exp(product))


# ---- Jensen–Shannon


def jsd_constant_subtracted(joint, product):
    """−sp(−T) − log 2 in place of + log 2."""
    real = -softplus(-joint) - math.log(2)
    fake = softplus(-product) + product + math.log(2)
    return real.mean() - fake.mean()


def jsd_of_mean_negative(joint, product):
    return math.log(4) - np.mean(softplus(-joint)) - softplus(np.mean(product))


def jsd_maximum_of_product(joint, product):
    safe = product - np.max(product)
    return math.log(4) - np.mean(softplus(-joint)) - np.mean(np.log1p(np.exp(safe)))


def jsd_maximum_of_each(joint, product):
    """As a loss."""

    def shifted(scores):
        return scores - scores.max()

    return np.mean(softplus(-shifted(joint))) + np.mean(softplus(shifted(product))) - 2 * math.log(2)


def jsd_negative_as_positive(joint, product):
    """The expectation of the positives, copied for the negatives."""
    return math.log(4) - softplus(-joint).mean() - softplus(-product).mean()


def jsd_negatives_summed(joint, product):
    return math.log(2) - softplus(-joint).mean() + np.sum(math.log(2) - softplus(product))


def jsd_without_positives(joint, product):
    return np.mean(math.log(2) - softplus(product)) + 0.0 * np.sum(joint)


def jsd_without_negatives(joint, product):
    return np.mean(np.log(2.0) - softplus(-joint)) + 0 * np.mean(product)


def jsd_exponential(joint, product):
    return 2 * math.log(2) - np.mean(softplus(-joint)) - np.mean(np.exp(product))


def jsd_epsilon_12(joint, product):
    real = np.log(expit(joint) + 1e-12)
    fake = np.log(1 - expit(product) + 1e-12)
    return real.mean() + fake.mean() + math.log(4)


def jsd_epsilon_7(joint, product):
    """A binary cross entropy of probabilities, as Keras once had it."""
    eps = 1e-7

    def cross_entropy(p, label):
        return -np.mean(label * np.log(p + eps) + (1 - label) * np.log(1 - p + eps))

    return math.log(4) - cross_entropy(expit(joint), 1) - cross_entropy(expit(product), 0)


def jsd_epsilon_6(joint, product):
    d_real, d_fake = 1 / (1 + np.exp(-joint)), 1 / (1 + np.exp(-product))
    return np.log(4) + np.mean(np.log(1e-6 + d_real)) + np.mean(np.log(1e-6 + 1 - d_fake))


# ---- reading a critic that was trained with JSD


def plug_in_without_one(joint, product):
    return joint.mean() - np.exp(product).mean()


def plug_in_through_dv(joint, product):
    return np.mean(joint) - np.mean(np.log(np.mean(np.exp(product - np.max(product, 0)), 0)) + np.max(product, 0))


def plug_in_summed(joint, product):
    return 1 + joint.mean() - np.exp(product).sum()


def plug_in_exchanged(joint, product):
    return np.mean(product) - np.mean(np.expm1(joint))


def plug_in_of_rectified(joint, product):
    return 1 + np.mean(joint * (joint > 0)) - np.mean(np.exp(product * (product > 0)))


# ---- SMILE


def smile_minimum(joint, product, tau):
    return np.mean(joint) - np.mean(log_mean_exp(np.minimum(product, tau)))


def smile_of_the_logarithm(joint, product, tau):
    log_z = log_mean_exp(product)
    return np.mean(joint) - np.mean(np.clip(log_z, -tau, tau))


def smile_tau_unused(joint, product, tau):
    return np.mean(joint) - np.mean(log_mean_exp(product)) + 0.0 * tau


def smile_of_clipped_ratio(joint, product, tau):
    """The ratio itself is clipped to ±τ."""
    ratio = np.clip(np.exp(product), -tau, tau)
    return np.mean(joint) - np.mean(np.log(np.mean(ratio, axis=0)))


# ---- TUBA


def tuba_joint_raw(joint, product, joint_log_a, product_log_a):
    return 1 + np.mean(joint) - np.mean(np.exp(product - product_log_a)) + 0.0 * np.sum(joint_log_a)


def tuba_without_baseline(joint, product, joint_log_a, product_log_a):
    unused = 0.0 * (np.sum(joint_log_a) + np.sum(product_log_a))
    return np.mean(joint) - np.mean(np.expm1(product)) + unused


def tuba_times_a(joint, product, joint_log_a, product_log_a):
    a = np.exp(product_log_a)
    return 1 + np.mean(joint - joint_log_a) - np.mean(np.exp(product) * a)
