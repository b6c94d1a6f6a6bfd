"""CLIP's, SimCLR's and MoCo's losses as PyTorch repositories write them."""

import math

import torch
import torch.nn.functional as F

# ---- CLIP, right


def clip(image_features, text_features, temperature):
    image_features = image_features / image_features.norm(dim=1, keepdim=True)
    text_features = text_features / text_features.norm(dim=1, keepdim=True)
    logits_per_image = image_features @ text_features.t() / temperature
    labels = torch.arange(len(logits_per_image))
    return (F.cross_entropy(logits_per_image, labels) + F.cross_entropy(logits_per_image.t(), labels)) / 2


def clip_sum_of_both(image_features, text_features, temperature):
    """The sum of both directions, not their mean: twice the loss."""
    logits = F.normalize(image_features) @ F.normalize(text_features).T / temperature
    labels = torch.arange(logits.shape[0])
    return F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)


# ---- CLIP, mistakes


def clip_one_direction(image_features, text_features, temperature):
    logits = F.normalize(image_features) @ F.normalize(text_features).T / temperature
    return F.cross_entropy(logits, torch.arange(logits.shape[0]))


def clip_not_normalized(image_features, text_features, temperature):
    logits = image_features @ text_features.T / temperature
    labels = torch.arange(logits.shape[0])
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def clip_times_temperature(image_features, text_features, temperature):
    logits = F.normalize(image_features) @ F.normalize(text_features).T * temperature
    labels = torch.arange(logits.shape[0])
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def clip_no_temperature(image_features, text_features, temperature):
    logits = F.normalize(image_features) @ F.normalize(text_features).T
    labels = torch.arange(logits.shape[0])
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


# ---- NT-Xent, right


def nt_xent(z_i, z_j, temperature):
    """The notebook's way: 2N rows, the diagonal masked, positives at a distance of N."""
    n = z_i.shape[0]
    z = F.normalize(torch.cat([z_i, z_j], dim=0), dim=1)
    similarity = z @ z.t() / temperature
    similarity = similarity.masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    labels = (torch.arange(2 * n) + n) % (2 * n)
    return F.cross_entropy(similarity, labels)


# ---- NT-Xent, mistakes


def nt_xent_exponentials(z_i, z_j, temperature):
    """exp, the self-similarity masked, sum, log: right at usual temperatures."""
    n = z_i.shape[0]
    z = F.normalize(torch.cat([z_i, z_j]), dim=1)
    e = torch.exp(z @ z.t() / temperature)
    total = (e * (1 - torch.eye(2 * n, dtype=z.dtype))).sum(1)
    positive = (z[:n] * z[n:]).sum(1) / temperature
    return -(torch.cat([positive, positive]) - torch.log(total)).mean()


def nt_xent_self_set_to_zero(z_i, z_j, temperature):
    """The diagonal is multiplied by 0: e⁰ = 1 stays in the denominator."""
    n = z_i.shape[0]
    z = F.normalize(torch.cat([z_i, z_j]), dim=1)
    similarity = z @ z.t() / temperature * (1 - torch.eye(2 * n, dtype=z.dtype))
    return F.cross_entropy(similarity, (torch.arange(2 * n) + n) % (2 * n))


def nt_xent_one_view(z_i, z_j, temperature):
    """N anchors, N candidates: the negatives within a view are missing."""
    logits = F.normalize(z_i) @ F.normalize(z_j).T / temperature
    return F.cross_entropy(logits, torch.arange(len(logits)))


def nt_xent_wrong_positive(z_i, z_j, temperature):
    """The neighbour in the list is taken for the positive, as if the views alternated."""
    n = z_i.shape[0]
    z = F.normalize(torch.cat([z_i, z_j]), dim=1)
    similarity = (z @ z.t() / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    return F.cross_entropy(similarity, torch.arange(2 * n) ^ 1)


# ---- MoCo, right


def moco(q, k, queue, temperature):
    q, k, queue = F.normalize(q, dim=1), F.normalize(k, dim=1).detach(), F.normalize(queue, dim=1)
    l_pos = torch.einsum("nc,nc->n", q, k).unsqueeze(-1)
    l_neg = torch.einsum("nc,ck->nk", q, queue.clone().detach().t())
    logits = torch.cat([l_pos, l_neg], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(logits.shape[0], dtype=torch.long))


# ---- MoCo, mistakes


def moco_wrong_label(q, k, queue, temperature):
    """The labels count up: correct for an in-batch loss, not for a queue."""
    q, k, queue = F.normalize(q), F.normalize(k), F.normalize(queue)
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], dim=1) / temperature
    return F.cross_entropy(logits, torch.arange(len(q)) % logits.shape[1])


def moco_temperature_on_negatives_only(q, k, queue, temperature):
    q, k, queue = F.normalize(q), F.normalize(k), F.normalize(queue)
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T / temperature], dim=1)
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))


def nt_xent_self_subtracted(a, b, temperature):
    """e^{1/τ} taken off for the pair of a row with itself."""
    z = F.normalize(torch.cat([a, b]), dim=1)
    e = torch.exp(z @ z.T / temperature)
    n = len(a)
    positive = torch.cat([torch.diagonal(e, n), torch.diagonal(e, -n)])
    return -torch.log(positive / (e.sum(1) - math.exp(1 / temperature))).mean()
