"""Layers and image measures of packages."""

from __future__ import annotations

from typing import Any

from parts import alone


def torch_linear(x: Any, w: Any, b: Any) -> Any:
    """torch.nn.functional.linear."""
    import torch

    return torch.nn.functional.linear(x, w, b)


def torch_conv2d(x: Any, w: Any, b: Any, stride: int, padding: int) -> Any:
    """torch.nn.functional.conv2d."""
    import torch

    return torch.nn.functional.conv2d(x, w, b, stride, padding)


def torch_conv_transpose2d(x: Any, w: Any, b: Any, stride: int, padding: int) -> Any:
    """torch.nn.functional.conv_transpose2d."""
    import torch

    return torch.nn.functional.conv_transpose2d(x, w, b, stride, padding)


def torch_batch_norm(x: Any, gain: Any, shift: Any) -> Any:
    """torch.nn.functional.batch_norm in training."""
    import torch

    return torch.nn.functional.batch_norm(x, None, None, gain, shift, training=True)


def torch_batch_norm_inference(x: Any, gain: Any, shift: Any, mean: Any, variance: Any) -> Any:
    """torch.nn.functional.batch_norm with its running statistics."""
    import torch

    return torch.nn.functional.batch_norm(x, mean.detach(), variance.detach(), gain, shift)


def torch_batch_norm_moments(x: Any, gain: Any, shift: Any, mean: Any, variance: Any) -> Any:
    """The same in training with its running statistics, momentum 0.1: PyTorch's variance is over the count less one."""
    import torch

    mean, variance = mean.detach().clone(), variance.detach().clone()
    return torch.nn.functional.batch_norm(x, mean, variance, gain, shift, training=True), mean, variance


def torch_layer_norm(x: Any, gain: Any, shift: Any) -> Any:
    """torch.nn.functional.layer_norm."""
    import torch

    return torch.nn.functional.layer_norm(x, (x.shape[1],), gain, shift)


def _first(*images: Any) -> Any:
    return tuple(x.permute(0, 3, 1, 2) for x in images)


def piqa_ssim(a: Any, b: Any) -> Any:
    """piqa.SSIM."""
    return alone("piqa.ssim").SSIM(n_channels=a.shape[3], reduction="none").to(a.dtype)(*_first(a, b))


def msssim_ssim(a: Any, b: Any) -> Any:
    """pytorch_msssim.ssim."""
    import pytorch_msssim

    return pytorch_msssim.ssim(*_first(a, b), data_range=1.0, size_average=False)


def metrics_ssim(a: Any, b: Any) -> Any:
    """torchmetrics' structural_similarity_index_measure."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    return structural_similarity_index_measure(*_first(a, b), data_range=1.0, reduction="none")


def skimage_ssim(a: Any, b: Any) -> Any:
    """skimage.metrics.structural_similarity as its documentation sets it to match Wang et al.: Gaussian weights."""
    import numpy as np
    from skimage.metrics import structural_similarity

    return np.array([
        structural_similarity(x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0,
                              channel_axis=2)
        for x, y in zip(a, b, strict=True)
    ])  # fmt: skip
