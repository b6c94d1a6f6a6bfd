"""More mistakes in the bounds of (joint, product) scores, in NumPy and autograd."""

import math

import autograd.numpy as np


def softplus(x):
    return np.logaddexp(0.0, x)


# ---- Donsker–Varadhan


def dv_maximum_forgotten(joint, product):
    """The largest score is subtracted for safety, and never comes back."""
    m = product.max(axis=0)
    return joint.mean() - np.log(np.exp(product - m).mean(axis=0)).mean()


# ---- NWJ


def nwj_softplus(joint, product):
    return np.mean(joint) - np.mean(np.log1p(np.exp(-np.abs(product))) + np.maximum(product, 0.0))


# ---- Jensen–Shannon


def jsd_maximum_of_product(joint, product):
    safe = product - np.max(product)
    return math.log(4) - np.mean(softplus(-joint)) - np.mean(np.log1p(np.exp(safe)))


def jsd_without_negatives(joint, product):
    return np.mean(np.log(2.0) - softplus(-joint)) + 0 * np.mean(product)


# ---- reading a critic that was trained with JSD


def plug_in_through_dv(joint, product):
    return np.mean(joint) - np.mean(np.log(np.mean(np.exp(product - np.max(product, 0)), 0)) + np.max(product, 0))


# ---- SMILE


def smile_of_clipped_ratio(joint, product, tau):
    """The ratio itself is clipped to ±τ."""
    ratio = np.clip(np.exp(product), -tau, tau)
    return np.mean(joint) - np.mean(np.log(np.mean(ratio, axis=0)))


# ---- TUBA


def tuba_without_baseline(joint, product, joint_log_a, product_log_a):
    unused = 0.0 * (np.sum(joint_log_a) + np.sum(product_log_a))
    return np.mean(joint) - np.mean(np.expm1(product)) + unused
