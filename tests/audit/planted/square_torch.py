"""InfoNCE and the bounds on a square of scores, as PyTorch repositories write them. Rows are images."""

import math

import torch
import torch.nn.functional as F

# ---- InfoNCE, mistakes


def infonce_summed(scores):
    n = scores.shape[0]
    return (math.log(n) + F.log_softmax(scores, dim=0).diagonal(dim1=0, dim2=1)).sum()


def infonce_divided_twice(scores):
    """A mean over all, divided by the number of locations once more."""
    n = scores.shape[0]
    value = math.log(n) + F.log_softmax(scores, dim=0).diagonal(dim1=0, dim2=1).mean()
    return value / (scores.shape[2] if scores.dim() == 3 else 1)


# ---- mistakes


def dv_square_masked_by_minus_ten(u):
    n = u.size(0)
    mask = 1 - torch.eye(n, dtype=u.dtype)
    if u.dim() == 3:
        mask = mask.unsqueeze(-1)
    hidden = (u * mask - 10.0 * (1 - mask)).reshape(n * n, -1)
    lme = torch.logsumexp(hidden, 0) - math.log(n * (n - 1))
    return u.diagonal(dim1=0, dim2=1).mean() - lme.mean()


def infonce_maximum_of_rows(u):
    """The candidates of a y are a column; the maximum is that of a row."""
    u = u - u.max(1, keepdim=True).values.detach()
    weight = torch.exp(u)
    return (
        math.log(len(u))
        + torch.log(
            torch.diagonal(weight, dim1=0, dim2=1)
            / torch.diagonal(weight.sum(0, keepdim=True).expand_as(weight), dim1=0, dim2=1)
        ).mean()
    )


def infonce_binary(u):
    """Each pair a decision of its own."""
    label = torch.eye(len(u), dtype=u.dtype)
    label = label if u.ndim == 2 else label[:, :, None].expand_as(u)
    return -F.binary_cross_entropy_with_logits(u, label)
