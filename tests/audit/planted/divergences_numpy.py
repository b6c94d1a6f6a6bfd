"""Mistakes in the f-divergences' bounds, in NumPy and autograd: v_real of the joint, v_fake of the product."""

import autograd.numpy as np


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def relu(x):
    return np.maximum(x, 0)


# ---- Pearson's χ²


def chi2_even(v_real, v_fake):
    """A known repository's form, its second term subtracted."""
    return np.mean(v_real**2) - np.mean(0.5 * (np.sqrt(v_fake**2) + 1) ** 2)


def chi2_whole_square(v_real, v_fake):
    return v_real.mean() - (v_fake + v_fake**2).mean()


def chi2_minus_v(v_real, v_fake):
    return np.mean(v_real) - np.mean(0.25 * v_fake**2 - v_fake)


def chi2_exchanged(v_real, v_fake):
    return np.mean(v_fake) - np.mean(v_real + v_real**2 / 4)


def chi2_rectified(v_real, v_fake):
    r, f = relu(v_real), relu(v_fake)
    return np.mean(r) - np.mean(f * (1 + f / 4))


# ---- reverse KL


def reverse_kl_no_constant(v_real, v_fake):
    return -np.mean(np.exp(-v_real)) - np.mean(v_fake)


def reverse_kl_minus_v(v_real, v_fake):
    """f* = −1 − log(−T) with log(−T) = v."""
    return np.mean(-np.exp(-v_real)) - np.mean(-1 - v_fake)


def reverse_kl_forward(v_real, v_fake):
    return v_real.mean() - np.exp(v_fake - 1).mean()


def reverse_kl_rectified(v_real, v_fake):
    """As a loss."""
    return np.mean(np.exp(-relu(v_real))) + np.mean(relu(v_fake)) - 1


# ---- squared Hellinger


def hellinger_both_exponential(v_real, v_fake):
    return np.mean(1 - np.exp(v_real)) - np.mean(np.exp(v_fake) - 1)


def hellinger_constants_left_out(v_real, v_fake):
    return -np.exp(-v_real).mean() - np.exp(v_fake).mean()


def hellinger_rectified(v_real, v_fake):
    v_real, v_fake = v_real * (v_real > 0), v_fake * (v_fake > 0)
    return np.mean(1 - np.exp(-v_real)) + np.mean(1 - np.exp(v_fake))


# ---- total variation


def total_variation_rectified(v_real, v_fake):
    return 0.5 * np.mean(np.tanh(relu(v_real))) - 0.5 * np.mean(np.tanh(relu(v_fake)))


# ---- the original game


def gan_same_sign(v_real, v_fake):
    return -softplus(-v_real).mean() - softplus(-v_fake).mean()


def gan_fake_alone(v_real, v_fake):
    return -np.mean(softplus(v_fake)) + 0.0 * np.sum(v_real)


def gan_exchanged(v_real, v_fake):
    """Labels: the joint 0, the product 1."""
    v = np.concatenate([v_real.ravel() / 1.0, v_fake.ravel()])
    label = np.concatenate([np.zeros(v_real.size), np.ones(v_fake.size)])
    weight = np.concatenate([np.full(v_real.size, 1 / v_real.size), np.full(v_fake.size, 1 / v_fake.size)])
    return -np.sum(weight * (softplus(v) - label * v))
