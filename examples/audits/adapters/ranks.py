"""Losses of packages and repositories on several ranks, called with one rank's rows by `dimref audit distributed`."""

from __future__ import annotations

from typing import Any

from parts import alone, clone, unit

# ---- lightly


def lightly_nt_xent_gathered(a: Any, b: Any, temperature: float) -> Any:
    """NTXentLoss with gather_distributed."""
    lightly = alone("lightly.loss.ntx_ent_loss", "lightly.models.modules", "lightly.models.utils")
    return lightly.NTXentLoss(float(temperature), gather_distributed=True)(a, b)


def lightly_nt_xent_apart(a: Any, b: Any, temperature: float) -> Any:
    """NTXentLoss as it is by default."""
    lightly = alone("lightly.loss.ntx_ent_loss", "lightly.models.modules", "lightly.models.utils")
    return lightly.NTXentLoss(float(temperature))(a, b)


def lightly_dcl_gathered(a: Any, b: Any, temperature: float) -> Any:
    """DCLLoss with gather_distributed."""
    return alone("lightly.loss.dcl_loss").DCLLoss(float(temperature), gather_distributed=True)(a, b)


# ---- open-clip-torch


def _open_clip(image: Any, text: Any, temperature: float, **how: Any) -> Any:
    return alone("open_clip.loss").ClipLoss(**how)(*unit(image, text), 1 / temperature)


def open_clip_global(image: Any, text: Any, temperature: float, rank: int, world_size: int) -> Any:
    """ClipLoss with its defaults."""
    return _open_clip(image, text, temperature, rank=rank, world_size=world_size)


def open_clip_global_with_grad(image: Any, text: Any, temperature: float, rank: int, world_size: int) -> Any:
    """ClipLoss with gather_with_grad."""
    return _open_clip(image, text, temperature, gather_with_grad=True, rank=rank, world_size=world_size)


def open_clip_local(image: Any, text: Any, temperature: float, rank: int, world_size: int) -> Any:
    """ClipLoss with local_loss."""
    return _open_clip(image, text, temperature, local_loss=True, rank=rank, world_size=world_size)


def open_clip_local_with_grad(image: Any, text: Any, temperature: float, rank: int, world_size: int) -> Any:
    """ClipLoss with both."""
    return _open_clip(
        image, text, temperature, local_loss=True, gather_with_grad=True, rank=rank, world_size=world_size
    )


def _siglip(image: Any, text: Any, log_scale: Any, bias: Any, how: str, rank: int, world_size: int) -> Any:
    loss = alone("open_clip.loss").SigLipLoss(rank=rank, world_size=world_size, dist_impl=how)
    return loss(*unit(image, text), log_scale.exp(), bias)


def open_clip_siglip_both_ways(image: Any, text: Any, log_scale: Any, bias: Any, rank: int, world_size: int) -> Any:
    """SigLipLoss with its default, an exchange with both neighbours."""
    return _siglip(image, text, log_scale, bias, "bidir", rank, world_size)


def open_clip_siglip_reduce(image: Any, text: Any, log_scale: Any, bias: Any, rank: int, world_size: int) -> Any:
    """SigLipLoss by all_reduce."""
    return _siglip(image, text, log_scale, bias, "reduce", rank, world_size)


# ---- pytorch-metric-learning


def _pml(a: Any, b: Any, temperature: float, efficient: bool) -> Any:
    import torch
    from pytorch_metric_learning.losses import NTXentLoss
    from pytorch_metric_learning.utils.distributed import DistributedLossWrapper

    wrapped = DistributedLossWrapper(NTXentLoss(temperature=float(temperature)), efficient=efficient)
    first = torch.distributed.get_rank() * len(a)
    return wrapped(torch.cat([a, b]), torch.arange(first, first + len(a)).repeat(2))


def pml_wrapper(a: Any, b: Any, temperature: float) -> Any:
    """DistributedLossWrapper(NTXentLoss)."""
    return _pml(a, b, temperature, False)


def pml_wrapper_efficient(a: Any, b: Any, temperature: float) -> Any:
    """DistributedLossWrapper(NTXentLoss, efficient=True)."""
    return _pml(a, b, temperature, True)


# ---- Spijkervet/SimCLR


def spijkervet_gather_layer(a: Any, b: Any, temperature: float, world_size: int) -> Any:
    """NT_Xent with GatherLayer."""
    nt_xent = clone("Spijkervet/SimCLR", "simclr.modules.nt_xent", without=("simclr.simclr", "torchvision"))
    return nt_xent.NT_Xent(len(a), temperature, world_size)(a, b)
