"""Mistakes that hide: in the gradient alone, from a size on, two at once; and right ones that look odd."""

import math

import torch
import torch.nn.functional as F


def jsd_two_mistakes(real, fake):
    """log 2 once, and the negatives' logits averaged."""
    return math.log(2) - F.softplus(-real).mean() - F.softplus(fake.mean(0)).mean()


def jsd_through_item(real, fake):
    """A number by way of Python: no gradient is left."""
    value = math.log(4) - F.softplus(-real).mean() - F.softplus(fake).mean()
    return torch.tensor(value.item(), dtype=real.dtype)


def jsd_double_gradient(real, fake):
    """The value is right, the joint's gradient counted twice."""
    surrogate = math.log(4) - 2 * F.softplus(-real).mean() - F.softplus(fake).mean()
    return surrogate + F.softplus(-real).mean().detach()


def jsd_half_precision(real, fake):
    """Mixed precision, switched on inside the loss."""
    r, f = real.half(), fake.half()
    return (math.log(4) - F.softplus(-r).mean() - F.softplus(f).mean()).to(real.dtype)


def infonce_two_mistakes(scores):
    """Candidates along the other axis, and no log N, as an estimate."""
    return F.log_softmax(scores, dim=1).diagonal(dim1=0, dim2=1).mean()


def infonce_wrong_from_four(scores):
    """A mask of three by three is all that its author tried."""
    n = scores.shape[0]
    kept = scores if n < 4 else scores[:3, :3]
    return math.log(n) + F.log_softmax(kept, dim=0).diagonal(dim1=0, dim2=1).mean()


def dv_small_sample_corrected(joint, product):
    """(P − 1) for P: right at none, nearly right at many."""
    return joint.mean() - (torch.logsumexp(product, 0) - math.log(max(product.shape[0] - 1, 1))).mean()


def nwj_single_precision(joint, product):
    """Computed in float32 whatever comes in: another precision, no mistake."""
    j, p = joint.float(), product.float()
    return (j.mean() - torch.exp(p - 1).mean()).to(joint.dtype)


def dv_unusual_but_right(joint, product):
    """The mean of the joint as a product with ones; the partition by a running logaddexp."""
    ones = torch.ones(joint.shape[0], dtype=joint.dtype) / joint.shape[0]
    gain = torch.tensordot(ones, joint, dims=1)
    lse = product[0]
    for row in product[1:]:
        lse = torch.logaddexp(lse, row)
    return (gain - lse + math.log(product.shape[0])).mean()


def infonce_sorted(scores):
    """The candidates are sorted first: the sum does not care."""
    n = scores.shape[0]
    ordered = scores.sort(dim=0).values
    lse = torch.logcumsumexp(ordered, dim=0)[-1]
    positive = scores.diagonal(dim1=0, dim2=1)
    return math.log(n) + (positive - (lse.t() if scores.dim() == 3 else lse)).mean()


def infonce_pairwise_sigmoids(scores):
    """1 / Σ exp(T' − T), by gaps of which one is 0."""
    n = scores.shape[0]
    positive = torch.diagonal(scores, dim1=0, dim2=1)
    positive = positive.t().unsqueeze(0) if scores.dim() == 3 else positive.unsqueeze(0)
    return math.log(n) - torch.logsumexp(scores - positive, dim=0).mean()
