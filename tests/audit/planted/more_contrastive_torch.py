"""InfoNCE over all locations, CLIP's, SimCLR's and MoCo's losses and MINE: mistakes that belong to PyTorch."""

import torch
import torch.nn.functional as F


def first(logits):
    """The cross entropy with label 0."""
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))


# ---- InfoNCE over all locations


# ---- CLIP


# ---- NT-Xent


def nt_xent_logits(z_i, z_j, temperature):
    z = F.normalize(torch.cat([z_i, z_j]), dim=1)
    return z @ z.T / temperature


def nt_xent_labels(n):
    return torch.arange(2 * n).roll(n)


def nt_xent_self_at_minus_ten(z_i, z_j, temperature):
    similarity = nt_xent_logits(z_i, z_j, temperature)
    similarity = similarity.masked_fill(torch.eye(len(similarity), dtype=torch.bool), -10.0)
    return F.cross_entropy(similarity, nt_xent_labels(len(z_i)))


# ---- MoCo


def moco_logits(q, k, queue, temperature):
    q, k, queue = F.normalize(q, dim=1), F.normalize(k, dim=1), F.normalize(queue, dim=1)
    return torch.cat([torch.einsum("nc,nc->n", q, k).unsqueeze(1), q @ queue.T], dim=1) / temperature


def moco_softmax_first(q, k, queue, temperature):
    return first(moco_logits(q, k, queue, temperature).softmax(dim=1))


# ---- MINE


def mine_batch_mean(joint, product, average, rate):
    """The batch's own mean takes the average's place."""
    e = torch.exp(product)
    new = e.mean().detach()
    surrogate = joint.mean() - e.mean() / new
    value = joint.mean() - torch.log(e.mean())
    return surrogate + (value - surrogate).detach(), new


def mine_average_of_scores(joint, product, average, rate):
    """The scores are averaged, not their exponentials."""
    e = torch.exp(product)
    new = (1 - rate) * average + rate * product.mean().detach()
    surrogate = joint.mean() - e.mean() / new
    value = joint.mean() - torch.log(e.mean())
    return surrogate + (value - surrogate).detach(), new
