"""More mistakes in InfoNCE, as PyTorch repositories write them. Rows are images, which are the candidates of a column."""

import math

import torch
import torch.nn.functional as F


def positives(scores):
    """(N,) or (L, N)."""
    return scores.diagonal(dim1=0, dim2=1)


def columns(x):
    """(N,) or (N, L) as `positives` has them."""
    return x.t() if x.dim() == 2 else x


# ---- right


def infonce_pair_by_pair(scores):
    """log(e^a + e^b) = a + relu(b − a) + log(1 + e^−|b − a|), whose derivative at a = b is no half."""
    square = scores if scores.dim() == 3 else scores[..., None]
    total = square[0]
    for row in square[1:]:
        d = row - total
        total = total + torch.relu(d) + torch.log1p(torch.exp(-d.abs()))
    return math.log(len(square)) + (positives(square).t() - total).mean()


# ---- detached


def infonce_negatives_detached(scores):
    """A memory bank's habit: everything but the positive pair is a constant."""
    eye = torch.eye(len(scores), dtype=torch.bool)
    eye = eye if scores.dim() == 2 else eye[:, :, None]
    mixed = torch.where(eye, scores, scores.detach())
    return math.log(len(scores)) + (positives(mixed) - columns(torch.logsumexp(mixed, 0))).mean()


def infonce_positives_detached(scores):
    """The positives come from a frozen branch, and stand in front of the others."""
    n = len(scores)
    square = scores if scores.dim() == 3 else scores[..., None]
    own = torch.eye(n, dtype=torch.bool)[..., None].expand_as(square)
    pos = square[own].detach().view(n, -1)
    neg = square.transpose(0, 1)[~own].view(n, n - 1, -1)
    logits = torch.cat([pos[:, None], neg], dim=1)
    return math.log(n) + logits.log_softmax(dim=1)[:, 0].mean()


def infonce_numerator_detached(scores):
    return math.log(len(scores)) + (positives(scores).detach() - columns(scores.logsumexp(0))).mean()


@torch.no_grad()
def infonce_for_the_log(scores):
    log_p = scores.log_softmax(dim=0)
    return math.log(len(scores)) + positives(log_p).mean()


# ---- ε inside the logarithm, and in the denominator


def infonce_epsilon_8(scores):
    share = torch.softmax(scores, dim=0)
    return math.log(len(scores)) + torch.log(positives(share) + 1e-8).mean()


def logits_epsilon_5(logits):
    """As a loss."""
    share = torch.softmax(logits, dim=1)[:, 0]
    return -(share + 1e-5).log().mean() - math.log(logits.size(1))


def infonce_denominator_epsilon_8(scores):
    e = scores.exp()
    ratio = positives(e) / (columns(e.sum(0)) + 1e-8)
    return ratio.log().mean() + math.log(e.size(0))


def logits_denominator_epsilon_5(logits):
    denominator = torch.exp(logits).sum(1) + 1e-5
    return math.log(logits.shape[1]) + (logits[:, 0] - torch.log(denominator)).mean()


# ---- the numerator detached, in the losses that are made of InfoNCE


def detached_numerator(logits, dim):
    """A square's cross entropy whose positives are logged rather than trained."""
    return torch.logsumexp(logits, dim).mean() - logits.diagonal().detach().mean()


def all_locations_numerator_detached(scores):
    n, _, locations = scores.shape
    others = torch.stack([torch.cat([scores[:j, j], scores[j + 1 :, j]]).flatten() for j in range(n)])
    positive = positives(scores).t()
    rest = torch.logsumexp(others, 1, keepdim=True).expand_as(positive)
    gain = positive.detach() - torch.logaddexp(positive, rest)
    return gain.mean() + math.log((n - 1) * locations + 1)


def clip_numerator_detached(image, text, temperature):
    logits = F.normalize(image) @ F.normalize(text).T / temperature
    return (detached_numerator(logits, 0) + detached_numerator(logits, 1)) / 2


def nt_xent_numerator_detached(first, second, temperature):
    n = len(first)
    z = F.normalize(torch.cat([first, second]))
    similarity = (z @ z.T / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
    positive = similarity.roll(n, 1).diagonal()
    return (similarity.logsumexp(1) - positive.detach()).mean()


def moco_numerator_detached(q, k, queue, temperature):
    q, k, queue = F.normalize(q), F.normalize(k), F.normalize(queue)
    positive = (q * k).sum(1) / temperature
    negative = q @ queue.T / temperature
    return (torch.logaddexp(positive, negative.logsumexp(1)) - positive.detach()).mean()
