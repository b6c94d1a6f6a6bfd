"""plug_in, smile, tuba, MINE and the f-divergences in NumPy and autograd."""

import math

import autograd.numpy as np
from autograd.scipy.special import logsumexp
from autograd.tracer import getval

# ---- reading a critic that was trained with JSD


def plug_in_joint_only(joint, product):
    """The mean score of the joint, read as the information."""
    return np.mean(joint) + 0.0 * np.sum(product)


# ---- SMILE


def smile_of_exponentials(joint, product, tau):
    z = np.mean(np.clip(np.exp(product), math.exp(-tau), math.exp(tau)), axis=0)
    return np.mean(joint) - np.mean(np.log(z))


# ---- MINE's moving average


def mine_autograd(joint, product, average, rate):
    log_mean = logsumexp(product) - math.log(len(product))
    new = (1 - rate) * average + rate * np.exp(getval(log_mean))
    biased = np.mean(joint) - np.exp(log_mean) / new
    return biased - getval(biased) + np.mean(getval(joint)) - getval(log_mean), new


def mine_log_of_average(joint, product, average, rate):
    e = np.exp(product)
    new = (1 - rate) * average + rate * np.mean(getval(e))
    surrogate = np.mean(joint) - np.mean(e) / new
    return surrogate - getval(surrogate) + np.mean(getval(joint)) - np.log(new), new


def mine_not_fed_back_numpy(joint, product, average, rate):
    e = np.exp(product)
    used = (1 - rate) * average + rate * np.mean(getval(e))
    surrogate = np.mean(joint) - np.mean(e) / used
    return surrogate - getval(surrogate) + np.mean(getval(joint)) - np.log(np.mean(getval(e))), average


def mine_not_detached_numpy(joint, product, average, rate):
    e = np.exp(product)
    new = (1 - rate) * average + rate * np.mean(e)
    surrogate = np.mean(joint) - np.mean(e) / new
    return surrogate - getval(surrogate) + np.mean(getval(joint)) - np.log(np.mean(getval(e))), new


# ---- f-divergences, right


def chi2(v_real, v_fake):
    """Pearson: f*(t) = t + t²/4."""
    return v_real.mean() - (v_fake + 0.25 * v_fake**2).mean()


def squared_hellinger_conjugate(v_real, v_fake):
    t_fake = -np.expm1(-v_fake)
    return -np.mean(np.expm1(-v_real)) - np.mean(t_fake / (1 - t_fake))


def reverse_kl(v_real, v_fake):
    return np.mean(1 - v_fake) - np.mean(np.exp(-v_real))


# ---- f-divergences, mistakes


def chi2_half(v_real, v_fake):
    """The conjugate t + t²/2."""
    return np.mean(v_real) - np.mean(v_fake + 0.5 * v_fake**2)


def hellinger_raw(v_real, v_fake):
    """The conjugate on the raw score: t/(1 − t), without an activation."""
    return v_real.mean() - (v_fake / (1 - v_fake)).mean()


def total_variation_tanh(v_real, v_fake):
    """tanh without the ½: bounded by 2."""
    return np.mean(np.tanh(v_real)) - np.mean(np.tanh(v_fake))


def reverse_kl_sign(v_real, v_fake):
    """E_Q[v + 1]: −1 − log(−T) with its sign lost."""
    return -np.mean(np.exp(-v_real)) - np.mean(v_fake + 1)
