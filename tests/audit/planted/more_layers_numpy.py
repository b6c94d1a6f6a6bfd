"""More mistakes in layers, in NumPy."""

import autograd.numpy as np
from autograd.extend import defvjp, primitive
from autograd.tracer import getval

# ---- linear layers


def linear_reshaped(x, w, b):
    """The weight comes as (n_out, n_in) and is made to fit."""
    return x @ np.reshape(w, (x.shape[1], b.shape[0])) + b


def linear_rectified(x, w, b):
    return np.maximum(0.0, x @ w + b)


@primitive
def affine(x, w, b):
    return x @ w + b


# Backpropagation by hand: dw = x.T @ dz / m, db = dz.mean(0), as an introductory course writes it.
defvjp(
    affine,
    lambda out, x, w, b: lambda dz: dz @ w.T,
    lambda out, x, w, b: lambda dz: x.T @ dz / len(x),
    lambda out, x, w, b: lambda dz: np.mean(dz, axis=0),
)


def linear_backward_by_hand(x, w, b):
    return affine(x, w, b)


# ---- convolutions


def correlate(x, w, stride, padding):
    """A sum over the kernel's taps, channels last."""
    k = w.shape[0]
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode="constant")
    high, wide = (x.shape[1] - k) // stride + 1, (x.shape[2] - k) // stride + 1
    taps = [
        np.matmul(x[:, i : i + (high - 1) * stride + 1 : stride, j : j + (wide - 1) * stride + 1 : stride], w[i, j])
        for i in range(k)
        for j in range(k)
    ]
    return sum(taps[1:], taps[0])


def conv2d_rectified(x, w, b, stride, padding):
    z = correlate(x, w, stride, padding) + b
    return z * (z > 0)


def conv2d_weight_reshaped(x, w, b, stride, padding):
    """A weight (C_out, C_in, k, k) reshaped to (k, k, C_in, C_out)."""
    c_out, c_in, k, _ = w.shape
    out = correlate(np.transpose(x, (0, 2, 3, 1)), np.reshape(w, (k, k, c_in, c_out)), stride, padding) + b
    return np.transpose(out, (0, 3, 1, 2))


def conv2d_image_reshaped(x, w, b, stride, padding):
    """An image (C, H, W) reshaped to (H, W, C)."""
    n, c, high, wide = x.shape
    image = np.reshape(x, (n, high, wide, c))
    return np.transpose(correlate(image, np.transpose(w, (2, 3, 1, 0)), stride, padding) + b, (0, 3, 1, 2))


# ---- transposed convolutions


def spread(x, w, stride):
    """Every pixel's patch added into the full output, channels last."""
    k, out = w.shape[0], 0.0
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            patch = np.einsum("bc,hwoc->bhwo", x[:, i, j], w)
            below, beside = (x.shape[1] - 1 - i) * stride, (x.shape[2] - 1 - j) * stride
            out = out + np.pad(patch, ((0, 0), (i * stride, below), (j * stride, beside), (0, 0)), mode="constant")
    assert out.shape[1] == (x.shape[1] - 1) * stride + k
    return out


def conv_transpose2d_cropped_behind(x, w, b, stride, padding):
    """Cut to size from the top left corner."""
    full = spread(x, w, stride)
    high, wide = full.shape[1] - 2 * padding, full.shape[2] - 2 * padding
    return full[:, :high, :wide] + b


def conv_transpose2d_cropped_in_front(x, w, b, stride, padding):
    return spread(x, w, stride)[:, 2 * padding :, 2 * padding :] + b


def conv_transpose2d_rows_for_columns(x, w, b, stride, padding):
    """To (C_in, C_out, k, k) by w.T, which exchanges rows and columns too, and back by their names."""
    full = spread(x, np.transpose(w.T, (2, 3, 1, 0)), stride)
    return full[:, padding : full.shape[1] - padding, padding : full.shape[2] - padding] + b


# ---- batch norm


def batch_norm_output_no_epsilon(x, gain, shift):
    mu, sigma = np.mean(x, axis=(0, 1, 2)), np.std(x, axis=(0, 1, 2))
    return gain * (x - mu) / sigma + shift


def batch_norm_output_by_variance(x, gain, shift):
    mu, var = np.mean(x, axis=(0, 1, 2)), np.var(x, axis=(0, 1, 2))
    return gain * ((x - mu) / (var + 1e-5)) + shift


def batch_norm_output_shift_first(x, gain, shift):
    """Missing parentheses the other way: γ(x̂ + β)."""
    centred = x - np.mean(x, axis=(0, 1, 2))
    return gain * (centred / np.sqrt(np.mean(centred**2, axis=(0, 1, 2)) + 1e-5) + shift)


def batch_norm_output_axis_zero(x, gain, shift):
    """The formula for (B, F), given images."""
    return gain * (x - np.mean(x, axis=0)) / np.sqrt(np.var(x, axis=0) + 1e-5) + shift


def batch_norm_output_last_axis(x, gain, shift):
    """Statistics over the axis that gain and shift have."""
    x = np.transpose(x, (0, 2, 3, 1))
    x = (x - np.mean(x, axis=-1, keepdims=True)) / np.sqrt(np.var(x, axis=-1, keepdims=True) + 1e-5)
    return np.transpose(x * gain + shift, (0, 3, 1, 2))


def batch_norm_output_all_axes(x, gain, shift):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * gain + shift


def moments(x):
    """Detached mean, biased variance and unbiased variance of each channel, channels last."""
    rows = np.reshape(getval(x), (-1, x.shape[-1]))
    return rows.mean(axis=0), rows.var(axis=0), rows.var(axis=0, ddof=1)


def standardized(x, gain, shift):
    centred = x - np.mean(x, axis=(0, 1, 2))
    return gain * centred / np.sqrt(np.mean(centred**2, axis=(0, 1, 2)) + 1e-5) + shift


def batch_norm_by_running(x, gain, shift, mean, variance):
    """The running statistics are moved, and used at once."""
    mu, _, unbiased = moments(x)
    mean, variance = 0.9 * mean + 0.1 * mu, 0.9 * variance + 0.1 * unbiased
    return gain * (x - mean) / np.sqrt(variance + 1e-5) + shift, mean, variance


def batch_norm_by_old_running(x, gain, shift, mean, variance):
    """Normalized with what the running statistics were before."""
    mu, _, unbiased = moments(x)
    out = gain * (x - mean) / np.sqrt(variance + 1e-5) + shift
    return out, 0.9 * mean + 0.1 * mu, 0.9 * variance + 0.1 * unbiased


def batch_norm_running_std(x, gain, shift, mean, variance):
    mu, _, unbiased = moments(x)
    return standardized(x, gain, shift), 0.9 * mean + 0.1 * mu, 0.9 * variance + 0.1 * np.sqrt(unbiased)


def batch_norm_running_added(x, gain, shift, mean, variance):
    """+= where the old was to shrink."""
    mu, _, unbiased = moments(x)
    return standardized(x, gain, shift), mean + 0.1 * mu, variance + 0.1 * unbiased


# ---- batch norm in inference


def batch_norm_inference_eps_outside(x, gain, shift, mean, variance):
    return (x - mean) / (np.sqrt(variance) + 1e-5) * gain + shift


def batch_norm_inference_plain(x, gain, shift, mean, variance):
    return (x - mean) * (variance + 1e-5) ** -0.5


def batch_norm_inference_uncentred(x, gain, shift, mean, variance):
    """Folded into the weights before, the mean forgotten."""
    factor = gain / np.sqrt(variance + 1e-5)
    return x * factor + shift


# ---- layer norm


def layer_norm_no_epsilon(x, gain, shift):
    z = (x - np.mean(x, axis=1, keepdims=True)) / np.std(x, axis=1, keepdims=True)
    return gain * z + shift


def layer_norm_whole_batch(x, gain, shift):
    """axis was left out."""
    return gain * (x - np.mean(x)) / np.sqrt(np.var(x) + 1e-5) + shift


def layer_norm_centred(x, gain, shift):
    return gain * (x - np.mean(x, axis=1, keepdims=True)) + shift


def layer_norm_constants(x, gain, shift):
    row = getval(x)
    mu, var = row.mean(axis=1, keepdims=True), row.var(axis=1, keepdims=True)
    return gain * (x - mu) / np.sqrt(var + 1e-5) + shift
