"""Layers in PyTorch: its own functions, and what people write by hand."""

import torch.nn.functional as F

# ---- right


def linear(x, w, b):
    return F.linear(x, w, b)


def conv_transpose2d(x, w, b, stride, padding):
    return F.conv_transpose2d(x, w, b, stride=stride, padding=padding)


def layer_norm(x, gain, shift):
    return F.layer_norm(x, (x.shape[1],), gain, shift)


# ---- mistakes


def conv2d_kernel_transposed(x, w, b, stride, padding):
    """Rows and columns of the kernel exchanged on the way from another framework."""
    return F.conv2d(x, w.transpose(2, 3), b, stride=stride, padding=padding)


def conv2d_reflected(x, w, b, stride, padding):
    """Padded with copies of the border."""
    return F.conv2d(F.pad(x, (padding,) * 4, mode="replicate"), w, b, stride=stride)


def batch_norm_output_no_gain(x, gain, shift):
    return F.batch_norm(x, None, None, training=True)


def batch_norm_output_keras_eps(x, gain, shift):
    return F.batch_norm(x, None, None, gain, shift, training=True, eps=1e-3)


def batch_norm_inference_no_root(x, gain, shift, mean, variance):
    scale = gain / (variance + 1e-5)
    return x * scale[:, None, None] + (shift - mean * scale)[:, None, None]


def batch_norm_not_moved(x, gain, shift, mean, variance):
    return F.batch_norm(x, None, None, gain, shift, training=True), mean, variance


def layer_norm_std_plus_eps(x, gain, shift):
    """The annotated Transformer's: unbiased, and ε beside σ."""
    return gain * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6) + shift


def layer_norm_eps_outside(x, gain, shift):
    std = x.std(-1, keepdim=True, unbiased=False)
    return gain * (x - x.mean(-1, keepdim=True)) / (std + 1e-5) + shift


def conv_transpose2d_no_bias(x, w, b, stride, padding):
    return F.conv_transpose2d(x, w, None, stride=stride, padding=padding)


def conv_transpose2d_flipped(x, w, b, stride, padding):
    return F.conv_transpose2d(x, w.flip(2, 3), b, stride=stride, padding=padding)
