"""Layers in NumPy and autograd, channels last, most of them as loops."""

import autograd.numpy as np
from autograd.tracer import getval

# ---- right


def linear(x, w, b):
    return np.einsum("bi,io->bo", x, w) + b


def conv2d(x, w, b, stride, padding):
    """Tap by tap."""
    k = w.shape[0]
    high = (x.shape[1] + 2 * padding - k) // stride + 1
    wide = (x.shape[2] + 2 * padding - k) // stride + 1
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode="constant")
    out = 0.0
    for i in range(k):
        for j in range(k):
            window = x[:, i : i + stride * (high - 1) + 1 : stride, j : j + stride * (wide - 1) + 1 : stride]
            out = out + np.einsum("bhwc,co->bhwo", window, w[i, j])
    return out + b


def batch_norm(x, gain, shift, mean, variance):
    rows = np.reshape(x, (-1, x.shape[3]))
    mu, var = np.mean(rows, axis=0), np.var(rows, axis=0)
    out = (x - mu) / np.sqrt(var + 1e-5) * gain + shift
    unbiased = np.var(getval(rows), axis=0, ddof=1)
    return out, mean + 0.1 * (getval(mu) - mean), variance + 0.1 * (unbiased - variance)


def batch_norm_output(x, gain, shift):
    mu = np.mean(x, axis=(0, 1, 2), keepdims=True)
    var = np.mean((x - mu) ** 2, axis=(0, 1, 2), keepdims=True)
    return gain * (x - mu) * (var + 1e-5) ** -0.5 + shift


def batch_norm_inference(x, gain, shift, mean, variance):
    return gain * (x - mean) / np.sqrt(variance + 1e-5) + shift


# ---- mistakes


def linear_bias_twice(x, w, b):
    return np.dot(x, w) + b + b


def batch_norm_inference_of_batch(x, gain, shift, mean, variance):
    rows = np.reshape(x, (-1, x.shape[3]))
    return (x - np.mean(rows, axis=0)) / np.sqrt(np.var(rows, axis=0) + 1e-5) * gain + shift


def batch_norm_momentum_the_other_way(x, gain, shift, mean, variance):
    rows = np.reshape(x, (-1, x.shape[3]))
    mu, var = np.mean(rows, axis=0), np.var(rows, axis=0)
    out = (x - mu) / np.sqrt(var + 1e-5) * gain + shift
    unbiased = np.var(getval(rows), axis=0, ddof=1)
    return out, 0.1 * mean + 0.9 * getval(mu), 0.1 * variance + 0.9 * unbiased


def batch_norm_running_biased(x, gain, shift, mean, variance):
    rows = np.reshape(x, (-1, x.shape[3]))
    mu, var = np.mean(rows, axis=0), np.var(rows, axis=0)
    out = (x - mu) / np.sqrt(var + 1e-5) * gain + shift
    return out, 0.9 * mean + 0.1 * getval(mu), 0.9 * variance + 0.1 * getval(var)


# ---- linear layers


def linear_reshaped(x, w, b):
    """The weight comes as (n_out, n_in) and is made to fit."""
    return x @ np.reshape(w, (x.shape[1], b.shape[0])) + b


# Backpropagation by hand: dw = x.T @ dz / m, db = dz.mean(0), as an introductory course writes it.
