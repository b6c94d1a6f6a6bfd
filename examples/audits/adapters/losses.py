"""Contrastive losses of packages, called with the features and the temperature of `dimref audit bound clip|nt_xent|moco`."""

from __future__ import annotations

from typing import Any

from parts import alone, unit

# ---- lightly


def _lightly() -> Any:
    return alone("lightly.loss.ntx_ent_loss", "lightly.models.modules", "lightly.models.utils")


def lightly_nt_xent(a: Any, b: Any, temperature: float) -> Any:
    """NTXentLoss of two views."""
    return _lightly().NTXentLoss(float(temperature))(a, b)


def lightly_nt_xent_memory(q: Any, k: Any, queue: Any, temperature: float) -> Any:
    """NTXentLoss against a memory bank that holds the queue."""
    loss = _lightly().NTXentLoss(float(temperature), memory_bank_size=tuple(queue.shape))
    loss.memory_bank.bank = unit(queue)[0].detach()
    return loss(q, k)


def lightly_dcl(a: Any, b: Any, temperature: float) -> Any:
    """DCLLoss of two views."""
    return alone("lightly.loss.dcl_loss").DCLLoss(float(temperature))(a, b)


# ---- pytorch-metric-learning


def _two_views(loss: Any, a: Any, b: Any) -> Any:
    import torch

    return loss(torch.cat([a, b]), torch.arange(len(a)).repeat(2))


def pml_nt_xent(a: Any, b: Any, temperature: float) -> Any:
    """NTXentLoss, the two views of an image in one class."""
    from pytorch_metric_learning.losses import NTXentLoss

    return _two_views(NTXentLoss(temperature=float(temperature)), a, b)


def pml_supcon(a: Any, b: Any, temperature: float) -> Any:
    """SupConLoss likewise: with one positive it is NT-Xent."""
    from pytorch_metric_learning.losses import SupConLoss

    return _two_views(SupConLoss(temperature=float(temperature)), a, b)


def pml_supcon_classes(features: Any, labels: Any, temperature: float) -> Any:
    """SupConLoss with labels."""
    import torch
    from pytorch_metric_learning.losses import SupConLoss

    return SupConLoss(temperature=float(temperature))(features, torch.as_tensor(labels))


def pml_nt_xent_one_direction(image: Any, text: Any, temperature: float) -> Any:
    """SelfSupervisedLoss(NTXentLoss, symmetric=False): images against texts alone."""
    from pytorch_metric_learning.losses import NTXentLoss, SelfSupervisedLoss

    return SelfSupervisedLoss(NTXentLoss(temperature=float(temperature)), symmetric=False)(image, text)


# ---- info-nce-pytorch, open-clip-torch, sentence-transformers, optax


def info_nce_in_batch(image: Any, text: Any, temperature: float) -> Any:
    """InfoNCE(query, positive_key): the other rows' positives are the negatives."""
    from info_nce import InfoNCE

    return InfoNCE(temperature=float(temperature))(image, text)


def info_nce_queue(q: Any, k: Any, queue: Any, temperature: float) -> Any:
    """InfoNCE(query, positive_key, negative_keys)."""
    from info_nce import InfoNCE

    return InfoNCE(temperature=float(temperature))(q, k, queue)


def open_clip(image: Any, text: Any, temperature: float) -> Any:
    """ClipLoss; the model normalizes."""
    return alone("open_clip.loss").ClipLoss()(*unit(image, text), 1 / temperature)


def open_clip_siglip(image: Any, text: Any, log_scale: Any, bias: Any) -> Any:
    """SigLipLoss; the model normalizes and takes the exponential of its scale."""
    return alone("open_clip.loss").SigLipLoss()(*unit(image, text), log_scale.exp(), bias)


def mnr(image: Any, text: Any, temperature: float) -> Any:
    """MultipleNegativesRankingLoss: queries against documents."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    return MultipleNegativesRankingLoss(None, scale=1 / float(temperature)).compute_loss_from_embeddings(
        [image, text], None
    )


def mnr_symmetric(image: Any, text: Any, temperature: float) -> Any:
    """MultipleNegativesRankingLoss in both directions."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    loss = MultipleNegativesRankingLoss(
        None, scale=1 / float(temperature), directions=("query_to_doc", "doc_to_query"), partition_mode="per_direction"
    )
    return loss.compute_loss_from_embeddings([image, text], None)


def optax_nt_xent(a: Any, b: Any, temperature: float) -> Any:
    """optax.losses.ntxent."""
    import jax.numpy as jnp
    import optax

    return optax.losses.ntxent(jnp.concatenate([a, b]), jnp.tile(jnp.arange(len(a)), 2), temperature)


def optax_infonce(logits: Any) -> Any:
    """optax.softmax_cross_entropy_with_integer_labels, label 0."""
    import jax.numpy as jnp
    import optax

    return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.zeros(len(logits), int)).mean()


def optax_prior(real: Any, fake: Any) -> Any:
    """optax.sigmoid_binary_cross_entropy of real and of fake."""
    import jax.numpy as jnp
    import optax

    bce = optax.sigmoid_binary_cross_entropy
    return bce(real, jnp.ones_like(real)).mean() + bce(fake, jnp.zeros_like(fake)).mean()


# ---- torch


def torch_infonce(logits: Any) -> Any:
    """torch.nn.CrossEntropyLoss, label 0."""
    import torch

    return torch.nn.CrossEntropyLoss()(logits, torch.zeros(len(logits), dtype=torch.long))


def torch_prior(real: Any, fake: Any) -> Any:
    """torch.nn.BCEWithLogitsLoss of real and of fake."""
    import torch

    bce = torch.nn.BCEWithLogitsLoss()
    return bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))


def torch_prior_probabilities(real: Any, fake: Any) -> Any:
    """torch.nn.BCELoss of sigmoids."""
    import torch

    bce = torch.nn.BCELoss()
    return bce(torch.sigmoid(real), torch.ones_like(real)) + bce(torch.sigmoid(fake), torch.zeros_like(fake))
