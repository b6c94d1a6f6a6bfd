"""Which pairs count as negatives, in PyTorch."""

import torch

# ---- all pairs, right


def all_pairs(scores):
    n = scores.size(0)
    off = ~torch.eye(n, dtype=torch.bool)
    return scores.diagonal(dim1=0, dim2=1).movedim(-1, 0), scores[off]


# ---- logsumexp over the negatives of a column, right


def masked_logsumexp(scores):
    n = scores.size(0)
    return torch.logsumexp(scores.masked_fill(torch.eye(n, dtype=torch.bool), float("-inf")), dim=0)


# ---- mistakes


def masked_by_minus_ten_added(scores):
    """−10 is added to the positive's logit."""
    n = scores.size(0)
    return torch.logsumexp(scores - 10.0 * torch.eye(n, dtype=scores.dtype), dim=0)


def masked_wrong_axis(scores):
    n = scores.size(0)
    return torch.logsumexp(scores.masked_fill(torch.eye(n, dtype=torch.bool), float("-inf")), dim=1)


def masked_not_at_all(scores):
    return torch.logsumexp(scores, dim=0)


def masked_naive(scores):
    e = torch.exp(scores) * (1 - torch.eye(scores.size(0), dtype=scores.dtype))
    return torch.log(e.sum(0))


# ---- indices, right


def roll_torch(n, shift):
    return torch.roll(torch.arange(n), -shift)


def distinct_shifts_torch(seed, n, count):
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(n - 1, generator=generator)[:count] + 1


# ---- indices, mistakes


def roll_backwards(n, shift):
    """torch.roll moves the other way."""
    return torch.roll(torch.arange(n), shift)
