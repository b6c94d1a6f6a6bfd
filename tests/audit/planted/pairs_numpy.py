"""Bounds of (joint, product) scores in NumPy and autograd: right ones, other conventions, and mistakes."""

import math

import autograd.numpy as np


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


# ---- mistakes


def jsd_one_half(positive, negative):
    gain = -softplus(-positive).mean()
    cost = softplus(negative).mean()
    return math.log(2.0) + (gain - cost) / 2


def dv_exp_mean_log(joint, marginal):
    return np.mean(joint) - np.mean(np.log(np.mean(np.exp(marginal), axis=0)))


def nwj_shifted(joint, marginal):
    return np.mean(joint) - np.mean(np.exp(marginal) - 1)


def nwj_mean_in_exponent(joint, marginal):
    return np.mean(joint) - np.mean(np.exp(np.mean(marginal, axis=0) - 1))


# ---- SMILE


def smile_of_clipped_ratio(joint, product, tau):
    """The ratio itself is clipped to ±τ."""
    ratio = np.clip(np.exp(product), -tau, tau)
    return np.mean(joint) - np.mean(np.log(np.mean(ratio, axis=0)))


# ---- TUBA


def tuba_without_baseline(joint, product, joint_log_a, product_log_a):
    unused = 0.0 * (np.sum(joint_log_a) + np.sum(product_log_a))
    return np.mean(joint) - np.mean(np.expm1(product)) + unused


def relu(x):
    return np.maximum(x, 0)


# ---- reverse KL


def reverse_kl_no_constant(v_real, v_fake):
    return -np.mean(np.exp(-v_real)) - np.mean(v_fake)


# ---- total variation


def total_variation_rectified(v_real, v_fake):
    return 0.5 * np.mean(np.tanh(relu(v_real))) - 0.5 * np.mean(np.tanh(relu(v_fake)))


# ---- the original game


def gan_same_sign(v_real, v_fake):
    return -softplus(-v_real).mean() - softplus(-v_fake).mean()


def gan_fake_alone(v_real, v_fake):
    return -np.mean(softplus(v_fake)) + 0.0 * np.sum(v_real)
