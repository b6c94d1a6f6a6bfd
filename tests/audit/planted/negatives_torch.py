"""Which pairs count as negatives, in PyTorch."""

import torch

# ---- all pairs, right


def all_pairs(scores):
    n = scores.size(0)
    off = ~torch.eye(n, dtype=torch.bool)
    return scores.diagonal(dim1=0, dim2=1).movedim(-1, 0), scores[off]


# ---- all pairs, mistakes


def all_pairs_zeroed(scores):
    """The diagonal is multiplied by 0 and kept."""
    n = scores.size(0)
    mask = 1 - torch.eye(n, dtype=scores.dtype)
    mask = mask.reshape(n, n, *[1] * (scores.dim() - 2))
    return scores.diagonal(dim1=0, dim2=1).movedim(-1, 0), (scores * mask).reshape(n * n, *scores.shape[2:])


# ---- a mask, right


def mask(n):
    return 1 - torch.eye(n)


# ---- a mask, mistakes


# ---- logsumexp over the negatives of a column, right


def masked_logsumexp(scores):
    n = scores.size(0)
    return torch.logsumexp(scores.masked_fill(torch.eye(n, dtype=torch.bool), float("-inf")), dim=0)


def masked_logsumexp_gathered(scores):
    n = scores.size(0)
    others = scores.t()[~torch.eye(n, dtype=torch.bool)].view(n, n - 1)
    return torch.logsumexp(others, dim=1)


# ---- mistakes


def masked_by_minus_ten(scores):
    n = scores.size(0)
    keep = 1 - torch.eye(n, dtype=scores.dtype)
    return torch.logsumexp(scores * keep - 10.0 * (1 - keep), dim=0)


def masked_by_minus_ten_added(scores):
    """−10 is added to the positive's logit."""
    n = scores.size(0)
    return torch.logsumexp(scores - 10.0 * torch.eye(n, dtype=scores.dtype), dim=0)


def masked_to_zero(scores):
    n = scores.size(0)
    return torch.logsumexp(scores * (1 - torch.eye(n, dtype=scores.dtype)), dim=0)


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
