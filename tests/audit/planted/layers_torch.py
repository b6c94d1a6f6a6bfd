"""Layers in PyTorch: its own functions, and what people write by hand."""

import torch
import torch.nn.functional as F

# ---- right


def linear(x, w, b):
    return F.linear(x, w, b)


def conv2d(x, w, b, stride, padding):
    return F.conv2d(x, w, b, stride=stride, padding=padding)


def conv2d_unfold(x, w, b, stride, padding):
    """im2col by hand."""
    c_out, _, k, _ = w.shape
    columns = F.unfold(x, k, padding=padding, stride=stride)
    high = (x.shape[2] + 2 * padding - k) // stride + 1
    wide = (x.shape[3] + 2 * padding - k) // stride + 1
    out = w.reshape(c_out, -1) @ columns + b[:, None]
    return out.reshape(x.shape[0], c_out, high, wide)


def conv_transpose2d(x, w, b, stride, padding):
    return F.conv_transpose2d(x, w, b, stride=stride, padding=padding)


def batch_norm(x, gain, shift, mean, variance):
    mean, variance = mean.detach().clone(), variance.detach().clone()
    out = F.batch_norm(x, mean, variance, gain, shift, training=True, momentum=0.1, eps=1e-5)
    return out, mean, variance


def batch_norm_output(x, gain, shift):
    return F.batch_norm(x, None, None, gain, shift, training=True)


def batch_norm_output_last(x, gain, shift):
    var, mu = torch.var_mean(x, dim=(0, 1, 2), correction=0)
    return (x - mu) * torch.rsqrt(var + 1e-5) * gain + shift


def batch_norm_inference(x, gain, shift, mean, variance):
    return F.batch_norm(x, mean, variance, gain, shift, training=False)


def layer_norm(x, gain, shift):
    return F.layer_norm(x, (x.shape[1],), gain, shift)


# ---- mistakes


def linear_no_bias(x, w, b):
    return F.linear(x, w)


def conv2d_no_bias(x, w, b, stride, padding):
    return F.conv2d(x, w, None, stride=stride, padding=padding)


def conv2d_flipped(x, w, b, stride, padding):
    """A convolution in the mathematician's sense."""
    return F.conv2d(x, w.flip(2, 3), b, stride=stride, padding=padding)


def conv2d_kernel_transposed(x, w, b, stride, padding):
    """Rows and columns of the kernel exchanged on the way from another framework."""
    return F.conv2d(x, w.transpose(2, 3), b, stride=stride, padding=padding)


def conv2d_padded_behind(x, w, b, stride, padding):
    """SAME padding of TensorFlow at an even size: all of it behind."""
    return F.conv2d(F.pad(x, (0, 2 * padding, 0, 2 * padding)), w, b, stride=stride)


def conv2d_reflected(x, w, b, stride, padding):
    """Padded with copies of the border."""
    return F.conv2d(F.pad(x, (padding,) * 4, mode="replicate"), w, b, stride=stride)


def batch_norm_output_test_statistics(x, gain, shift):
    """Per image: an instance norm."""
    var, mu = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
    return (x - mu) / torch.sqrt(var + 1e-5) * gain[:, None, None] + shift[:, None, None]


def batch_norm_output_unbiased(x, gain, shift):
    var, mu = torch.var_mean(x, dim=(0, 2, 3), keepdim=True)
    return (x - mu) / torch.sqrt(var + 1e-5) * gain[:, None, None] + shift[:, None, None]


def batch_norm_output_eps_outside(x, gain, shift):
    mu = x.mean((0, 2, 3), keepdim=True)
    std = x.std((0, 2, 3), unbiased=False, keepdim=True)
    return (x - mu) / (std + 1e-5) * gain[:, None, None] + shift[:, None, None]


def batch_norm_output_statistics_detached(x, gain, shift):
    """The gradient does not flow through mean and variance."""
    with torch.no_grad():
        var, mu = torch.var_mean(x, dim=(0, 2, 3), keepdim=True, correction=0)
    return (x - mu) / torch.sqrt(var + 1e-5) * gain[:, None, None] + shift[:, None, None]


def batch_norm_output_no_gain(x, gain, shift):
    return F.batch_norm(x, None, None, training=True)


def batch_norm_output_keras_eps(x, gain, shift):
    return F.batch_norm(x, None, None, gain, shift, training=True, eps=1e-3)


def batch_norm_inference_batch_statistics(x, gain, shift, mean, variance):
    """model.train() was left on at test time."""
    return F.batch_norm(x, None, None, gain, shift, training=True)


def batch_norm_inference_no_root(x, gain, shift, mean, variance):
    scale = gain / (variance + 1e-5)
    return x * scale[:, None, None] + (shift - mean * scale)[:, None, None]


def batch_norm_swapped_momentum(x, gain, shift, mean, variance):
    """Keras's momentum in PyTorch's argument."""
    mean, variance = mean.detach().clone(), variance.detach().clone()
    out = F.batch_norm(x, mean, variance, gain, shift, training=True, momentum=0.9)
    return out, mean, variance


def batch_norm_biased_running(x, gain, shift, mean, variance):
    """TensorFlow's convention for the running variance."""
    var, mu = torch.var_mean(x, dim=(0, 2, 3), correction=0)
    out = (x - mu[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5) * gain[:, None, None] + shift[:, None, None]
    return out, 0.9 * mean + 0.1 * mu.detach(), 0.9 * variance + 0.1 * var.detach()


def batch_norm_not_moved(x, gain, shift, mean, variance):
    return F.batch_norm(x, None, None, gain, shift, training=True), mean, variance


def layer_norm_unbiased(x, gain, shift):
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + 1e-5) * gain + shift


def layer_norm_std_plus_eps(x, gain, shift):
    """The annotated Transformer's: unbiased, and ε beside σ."""
    return gain * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6) + shift


def layer_norm_eps_outside(x, gain, shift):
    std = x.std(-1, keepdim=True, unbiased=False)
    return gain * (x - x.mean(-1, keepdim=True)) / (std + 1e-5) + shift


def layer_norm_over_batch(x, gain, shift):
    return F.batch_norm(x, None, None, gain, shift, training=True)


def layer_norm_no_gain(x, gain, shift):
    return F.layer_norm(x, (x.shape[1],))


def layer_norm_no_centre(x, gain, shift):
    """RMS norm."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * gain + shift


def conv_transpose2d_no_bias(x, w, b, stride, padding):
    return F.conv_transpose2d(x, w, None, stride=stride, padding=padding)


def conv_transpose2d_flipped(x, w, b, stride, padding):
    return F.conv_transpose2d(x, w.flip(2, 3), b, stride=stride, padding=padding)
