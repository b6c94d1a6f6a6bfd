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


def conv2d_windows(x, w, b, stride, padding):
    """Window by window."""
    k = w.shape[0]
    high = (x.shape[1] + 2 * padding - k) // stride + 1
    wide = (x.shape[2] + 2 * padding - k) // stride + 1
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode="constant")
    rows = [
        np.stack(
            [
                np.tensordot(x[:, p * stride : p * stride + k, q * stride : q * stride + k], w, axes=3) + b
                for q in range(wide)
            ],
            axis=1,
        )
        for p in range(high)
    ]
    return np.stack(rows, axis=1)


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


def layer_norm(x, gain, shift):
    centred = x - np.mean(x, axis=1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + 1e-5) * gain + shift


# ---- mistakes


def linear_bias_forgotten(x, w, b):
    return np.dot(x, w)


def linear_bias_twice(x, w, b):
    return np.dot(x, w) + b + b


def conv2d_mathematical(x, w, b, stride, padding):
    return conv2d(x, w[::-1, ::-1], b, stride, padding)


def conv2d_padding_in_front(x, w, b, stride, padding):
    x = np.pad(x, ((0, 0), (2 * padding, 0), (2 * padding, 0), (0, 0)), mode="constant")
    return conv2d(x, w, b, stride, 0)


def conv2d_padding_behind(x, w, b, stride, padding):
    x = np.pad(x, ((0, 0), (0, 2 * padding), (0, 2 * padding), (0, 0)), mode="constant")
    return conv2d(x, w, b, stride, 0)


def conv2d_bias_forgotten(x, w, b, stride, padding):
    return conv2d(x, w, 0.0 * b, stride, padding)


def batch_norm_output_ddof(x, gain, shift):
    rows = np.reshape(x, (-1, x.shape[3]))
    return (x - np.mean(rows, axis=0)) / np.sqrt(np.var(rows, axis=0, ddof=1) + 1e-5) * gain + shift


def batch_norm_output_per_image(x, gain, shift):
    mu, var = np.mean(x, axis=(1, 2), keepdims=True), np.var(x, axis=(1, 2), keepdims=True)
    return (x - mu) / np.sqrt(var + 1e-5) * gain + shift


def batch_norm_output_stopped(x, gain, shift):
    rows = np.reshape(getval(x), (-1, x.shape[3]))
    return (x - np.mean(rows, axis=0)) / np.sqrt(np.var(rows, axis=0) + 1e-5) * gain + shift


def batch_norm_output_sigma_plus_eps(x, gain, shift):
    rows = np.reshape(x, (-1, x.shape[3]))
    return (x - np.mean(rows, axis=0)) / (np.sqrt(np.var(rows, axis=0)) + 1e-5) * gain + shift


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


def layer_norm_ddof(x, gain, shift):
    centred = x - np.mean(x, axis=1, keepdims=True)
    return centred / np.sqrt(np.var(x, axis=1, ddof=1, keepdims=True) + 1e-5) * gain + shift


def layer_norm_columns(x, gain, shift):
    centred = x - np.mean(x, axis=0)
    return centred / np.sqrt(np.var(x, axis=0) + 1e-5) * gain + shift
