"""InfoNCE over all locations, CLIP's, SimCLR's and MoCo's losses and MINE: mistakes that belong to PyTorch."""

import math

import torch
import torch.nn.functional as F


def first(logits):
    """The cross entropy with label 0."""
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))


# ---- InfoNCE over all locations


def split(scores):
    """Positives (N, L, 1) and negatives (N, L, (N − 1)·L)."""
    n, _, locations = scores.shape
    own = torch.eye(n, dtype=torch.bool)
    negative = scores.transpose(0, 1)[~own].reshape(n, 1, (n - 1) * locations)
    return scores[own].unsqueeze(2), negative.expand(-1, locations, -1)


def all_denominator_detached(scores):
    logits = torch.cat(split(scores), dim=2)
    return (logits[..., 0] - torch.logsumexp(logits.detach(), dim=-1)).mean() + math.log(logits.shape[-1])


def all_numerator_detached(scores):
    logits = torch.cat(split(scores), dim=2)
    own = logits[:, :, 0].detach()
    return (own - logits.logsumexp(2)).mean() + math.log(logits.shape[2])


def all_negatives_detached(scores):
    positive, negative = split(scores)
    logits = torch.cat([positive, negative.detach()], dim=2)
    return logits.log_softmax(2)[:, :, 0].mean() + math.log(logits.shape[2])


def all_positives_detached(scores):
    positive, negative = split(scores)
    logits = torch.cat([positive.detach(), negative], dim=2)
    return math.log(logits.shape[2]) - first(logits.flatten(0, 1))


def all_through_no_grad(scores):
    """What is to be trained is under no_grad."""
    with torch.no_grad():
        logits = torch.cat(split(scores), dim=2)
    loss = first(logits.flatten(0, 1)) - math.log(logits.shape[2])
    return -loss + 0 * scores.sum()


# ---- CLIP


def clip_logits(image, text, temperature):
    return F.normalize(image) @ F.normalize(text).T / temperature


def clip_denominators_detached(image, text, temperature):
    logits = clip_logits(image, text, temperature)
    rows, columns = (torch.logsumexp(logits.detach(), dim) for dim in (1, 0))
    return ((rows + columns) / 2 - logits.diagonal()).mean()


def clip_numerators_detached(image, text, temperature):
    logits = clip_logits(image, text, temperature)
    own = logits.diagonal().detach()
    return (logits.logsumexp(0) - own).mean() / 2 + (logits.logsumexp(1) - own).mean() / 2


def clip_negatives_detached(image, text, temperature):
    logits = clip_logits(image, text, temperature)
    eye = torch.eye(len(logits), dtype=logits.dtype)
    logits = eye * logits + (1 - eye) * logits.detach()
    labels = torch.arange(len(logits))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def clip_positives_detached(image, text, temperature):
    logits = clip_logits(image, text, temperature)
    logits = torch.where(torch.eye(len(logits), dtype=torch.bool), logits.detach(), logits)
    labels = torch.arange(len(logits))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def clip_features_detached(image, text, temperature):
    """Features of frozen encoders, though both are to be trained."""
    logits = clip_logits(image.detach(), text.detach(), temperature).requires_grad_()
    labels = torch.arange(len(logits))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def clip_log_softmax(logits, epsilon):
    rows = -torch.log(F.softmax(logits, dim=1) + epsilon).diagonal().mean()
    columns = -torch.log(F.softmax(logits, dim=0) + epsilon).diagonal().mean()
    return (rows + columns) / 2


def clip_log_softmax_1e_7(image, text, temperature):
    return clip_log_softmax(clip_logits(image, text, temperature), 1e-7)


def clip_log_softmax_1e_6(image, text, temperature):
    return clip_log_softmax(clip_logits(image, text, temperature), 1e-6)


def clip_log_softmax_1e_5(image, text, temperature):
    return clip_log_softmax(clip_logits(image, text, temperature), 1e-5)


# ---- NT-Xent


def nt_xent_logits(z_i, z_j, temperature):
    z = F.normalize(torch.cat([z_i, z_j]), dim=1)
    return z @ z.T / temperature


def nt_xent_labels(n):
    return torch.arange(2 * n).roll(n)


def without_self(similarity):
    return similarity.masked_fill(torch.eye(len(similarity), dtype=torch.bool), float("-inf"))


def nt_xent_normalized_over_batch(z_i, z_j, temperature):
    z = F.normalize(torch.cat([z_i, z_j]), dim=0)
    return F.cross_entropy(without_self(z @ z.T / temperature), nt_xent_labels(len(z_i)))


def nt_xent_self_at_minus_ten(z_i, z_j, temperature):
    similarity = nt_xent_logits(z_i, z_j, temperature)
    similarity = similarity.masked_fill(torch.eye(len(similarity), dtype=torch.bool), -10.0)
    return F.cross_entropy(similarity, nt_xent_labels(len(z_i)))


def nt_xent_denominator_detached(z_i, z_j, temperature):
    similarity = without_self(nt_xent_logits(z_i, z_j, temperature))
    positive = similarity[torch.arange(len(similarity)), nt_xent_labels(len(z_i))]
    return (torch.logsumexp(similarity.detach(), dim=1) - positive).mean()


def nt_xent_numerator_detached(z_i, z_j, temperature):
    """The positive's own product is computed under no_grad."""
    similarity = without_self(nt_xent_logits(z_i, z_j, temperature))
    with torch.no_grad():
        positive = F.cosine_similarity(z_i, z_j) / temperature
    return torch.logsumexp(similarity, dim=1).mean() - positive.mean()


def nt_xent_negatives_detached(z_i, z_j, temperature):
    similarity = without_self(nt_xent_logits(z_i, z_j, temperature))
    labels = nt_xent_labels(len(z_i))
    others = ~F.one_hot(labels, len(labels)).bool()
    return F.cross_entropy(torch.where(others, similarity.detach(), similarity), labels)


def nt_xent_positives_detached(z_i, z_j, temperature):
    similarity = without_self(nt_xent_logits(z_i, z_j, temperature))
    labels = nt_xent_labels(len(z_i))
    similarity = torch.where(F.one_hot(labels, len(labels)).bool(), similarity.detach(), similarity)
    return F.cross_entropy(similarity, labels)


def nt_xent_under_no_grad(z_i, z_j, temperature):
    with torch.no_grad():
        similarity = without_self(nt_xent_logits(z_i, z_j, temperature))
    return F.cross_entropy(similarity.requires_grad_(), nt_xent_labels(len(z_i)))


def nt_xent_log_softmax(z_i, z_j, temperature, epsilon):
    shares = without_self(nt_xent_logits(z_i, z_j, temperature)).softmax(dim=1)
    own = shares.gather(1, nt_xent_labels(len(z_i)).unsqueeze(1))
    return -torch.log(own + epsilon).mean()


def nt_xent_log_softmax_1e_7(z_i, z_j, temperature):
    return nt_xent_log_softmax(z_i, z_j, temperature, 1e-7)


def nt_xent_log_softmax_1e_6(z_i, z_j, temperature):
    return nt_xent_log_softmax(z_i, z_j, temperature, 1e-6)


def nt_xent_log_softmax_1e_5(z_i, z_j, temperature):
    return nt_xent_log_softmax(z_i, z_j, temperature, 1e-5)


# ---- MoCo


def moco_logits(q, k, queue, temperature):
    q, k, queue = F.normalize(q, dim=1), F.normalize(k, dim=1), F.normalize(queue, dim=1)
    return torch.cat([torch.einsum("nc,nc->n", q, k).unsqueeze(1), q @ queue.T], dim=1) / temperature


def moco_softmax_first(q, k, queue, temperature):
    return first(moco_logits(q, k, queue, temperature).softmax(dim=1))


def moco_denominator_detached(q, k, queue, temperature):
    logits = moco_logits(q, k, queue, temperature)
    return (logits.detach().logsumexp(1) - logits[:, 0]).mean()


def moco_numerator_detached(q, k, queue, temperature):
    logits = moco_logits(q, k, queue, temperature)
    return (logits.logsumexp(1) - logits[:, 0].detach()).mean()


def moco_negatives_detached(q, k, queue, temperature):
    """Not the queue alone: the scores against it."""
    logits = moco_logits(q, k, queue, temperature)
    return first(torch.cat([logits[:, :1], logits[:, 1:].detach()], dim=1))


def moco_positives_detached(q, k, queue, temperature):
    logits = moco_logits(q, k, queue, temperature)
    return first(torch.cat([logits[:, :1].detach(), logits[:, 1:]], dim=1))


def moco_query_detached(q, k, queue, temperature):
    """The query is detached, and the key as ever."""
    return first(moco_logits(q.detach(), k.detach(), queue.detach(), temperature).requires_grad_())


def moco_log_softmax(q, k, queue, temperature, epsilon):
    return -torch.log(moco_logits(q, k, queue, temperature).softmax(dim=1)[:, 0] + epsilon).mean()


def moco_log_softmax_1e_7(q, k, queue, temperature):
    return moco_log_softmax(q, k, queue, temperature, 1e-7)


def moco_log_softmax_1e_6(q, k, queue, temperature):
    return moco_log_softmax(q, k, queue, temperature, 1e-6)


def moco_log_softmax_1e_5(q, k, queue, temperature):
    return moco_log_softmax(q, k, queue, temperature, 1e-5)


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
