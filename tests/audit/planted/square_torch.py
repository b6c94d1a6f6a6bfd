"""InfoNCE and the bounds on a square of scores, as PyTorch repositories write them. Rows are images."""

import math

import torch
import torch.nn.functional as F

# ---- InfoNCE, right


def infonce_cross_entropy(scores):
    """Cross-entropy over the images for each representation: the transpose makes them the classes."""
    n = scores.shape[0]
    labels = torch.arange(n)
    if scores.dim() == 3:
        labels = labels[:, None].expand(n, scores.shape[2])
    return math.log(n) - F.cross_entropy(scores.transpose(0, 1), labels)


def infonce_log_softmax(scores):
    log_p = F.log_softmax(scores, dim=0)
    return math.log(len(scores)) + torch.diagonal(log_p, dim1=0, dim2=1).mean()


def infonce_logsumexp(scores):
    positive = scores.diagonal(dim1=0, dim2=1)
    lse = torch.logsumexp(scores, dim=0)
    if scores.dim() == 3:
        lse = lse.t()
    return (positive - lse).mean() + math.log(scores.size(0))


def infonce_masked(scores):
    """Positives and negatives cut out with a mask, then put side by side: the positive at place 0."""
    n = scores.size(0)
    square = scores if scores.dim() == 3 else scores.unsqueeze(-1)
    by_y = square.permute(1, 2, 0)
    eye = torch.eye(n, dtype=torch.bool)[:, None, :].expand_as(by_y)
    pos = by_y[eye].view(n, -1, 1)
    neg = by_y[~eye].view(n, -1, n - 1)
    logits = torch.cat([pos, neg], dim=2).reshape(-1, n)
    return math.log(n) - F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))


def infonce_nll_double(scores):
    log_p = F.log_softmax(scores.to(torch.float64), 0)
    log_p = log_p if log_p.dim() == 3 else log_p[..., None]
    total = torch.einsum("iil->", log_p) / (log_p.size(0) * log_p.size(2))
    return (total + math.log(log_p.size(0))).to(scores.dtype)


def infonce_mean_exp(scores):
    """log of the ratio to the mean, stabilised."""
    top = scores.amax(0, keepdim=True).detach()
    log_mean = (scores - top).exp().mean(0, keepdim=True).log() + top
    return (scores - log_mean).diagonal(dim1=0, dim2=1).mean()


# ---- InfoNCE, conventions


def infonce_other_axis(scores):
    """The candidates are the representations: cross-entropy over rows."""
    n = scores.shape[0]
    labels = torch.arange(n)
    if scores.dim() == 3:
        labels = labels[:, None].expand(n, scores.shape[2])
    return math.log(n) - F.cross_entropy(scores, labels)


def infonce_other_axis_loss(scores):
    return -F.log_softmax(scores, dim=1).diagonal(dim1=0, dim2=1).mean()


def infonce_loss(scores):
    """The loss: a cross-entropy to be minimised, without log N."""
    return -F.log_softmax(scores, dim=0).diagonal(dim1=0, dim2=1).mean()


def infonce_bits(scores):
    log_p = F.log_softmax(scores, dim=0).diagonal(dim1=0, dim2=1).mean()
    return (math.log(scores.shape[0]) + log_p) / math.log(2)


def infonce_symmetric(scores):
    rows = F.log_softmax(scores, dim=1).diagonal(dim1=0, dim2=1).mean()
    columns = F.log_softmax(scores, dim=0).diagonal(dim1=0, dim2=1).mean()
    return math.log(scores.shape[0]) + (rows + columns) / 2


# ---- InfoNCE, mistakes


def infonce_no_log_k(scores):
    """Printed as an estimate, but the loss with its sign flipped."""
    return F.log_softmax(scores, dim=0).diagonal(dim1=0, dim2=1).mean()


def infonce_log_n_minus_1(scores):
    """log of the number of negatives."""
    n = scores.shape[0]
    return math.log(n - 1) + F.log_softmax(scores, dim=0).diagonal(dim1=0, dim2=1).mean()


def infonce_positive_excluded(scores):
    n = scores.shape[0]
    eye = torch.eye(n, dtype=torch.bool)
    if scores.dim() == 3:
        eye = eye[:, :, None]
    negatives = scores.masked_fill(eye, float("-inf"))
    lse = torch.logsumexp(negatives, dim=0)
    positive = scores.diagonal(dim1=0, dim2=1)
    return math.log(n) + positive.mean() - lse.mean()


def infonce_masked_by_minus_ten(scores):
    """The official repository's way: n_mask * u − 10 · (1 − n_mask), positive joined again."""
    n = scores.shape[0]
    square = scores if scores.dim() == 3 else scores.unsqueeze(-1)
    u = square.permute(1, 0, 2)
    mask = 1.0 - torch.eye(n, dtype=scores.dtype).unsqueeze(-1)
    negatives = mask * u - 10.0 * (1.0 - mask)
    positive = square.diagonal(dim1=0, dim2=1).t().unsqueeze(1)
    pred = torch.cat([positive, negatives], dim=1)
    return math.log(n) + F.log_softmax(pred, dim=1)[:, 0].mean()


def infonce_wrong_axis_diagonal(scores):
    """Softmax over everything at once."""
    n = scores.shape[0]
    log_p = F.log_softmax(scores.reshape(n * n, -1), dim=0).reshape(n, n, -1)
    return math.log(n) + torch.diagonal(log_p, dim1=0, dim2=1).mean()


def infonce_softmax_before_ce(scores):
    """nn.CrossEntropyLoss fed with probabilities."""
    n = scores.shape[0]
    probabilities = torch.softmax(scores, dim=0)
    labels = torch.arange(n)
    if scores.dim() == 3:
        labels = labels[:, None].expand(n, scores.shape[2])
    return math.log(n) - F.cross_entropy(probabilities.transpose(0, 1), labels)


def infonce_naive(scores):
    """exp, sum, divide, log."""
    e = torch.exp(scores)
    ratio = torch.diagonal(e / e.sum(dim=0, keepdim=True), dim1=0, dim2=1)
    return math.log(scores.shape[0]) + torch.log(ratio).mean()


def infonce_summed(scores):
    n = scores.shape[0]
    return (math.log(n) + F.log_softmax(scores, dim=0).diagonal(dim1=0, dim2=1)).sum()


def infonce_divided_twice(scores):
    """A mean over all, divided by the number of locations once more."""
    n = scores.shape[0]
    value = math.log(n) + F.log_softmax(scores, dim=0).diagonal(dim1=0, dim2=1).mean()
    return value / (scores.shape[2] if scores.dim() == 3 else 1)


def infonce_mask_multiplied(scores):
    """The mask multiplies the logits: a masked logit is 0, not −∞, and e⁰ = 1 still counts."""
    n = scores.shape[0]
    mask = 1.0 - torch.eye(n, dtype=scores.dtype)
    if scores.dim() == 3:
        mask = mask.unsqueeze(-1)
    positive = scores.diagonal(dim1=0, dim2=1)
    negatives = torch.logsumexp(scores * mask, dim=0)
    negatives = negatives.t() if scores.dim() == 3 else negatives
    return math.log(n) + (positive - torch.logaddexp(positive, negatives)).mean()


def infonce_logits_averaged(scores):
    n = scores.shape[0]
    off = ~torch.eye(n, dtype=torch.bool)
    positive = scores.diagonal(dim1=0, dim2=1)
    by_y = scores.transpose(0, 1)
    negatives = by_y[off].reshape(n, n - 1, *scores.shape[2:]).mean(1)
    negatives = negatives.t() if scores.dim() == 3 else negatives
    return math.log(n) + (positive - torch.logaddexp(positive, negatives)).mean()


def infonce_detached(scores):
    """Only the positive gets a gradient."""
    positive = scores.diagonal(dim1=0, dim2=1)
    lse = torch.logsumexp(scores.detach(), dim=0)
    return math.log(len(scores)) + positive.mean() - lse.mean()


def infonce_temperature(scores):
    """A temperature inherited from SimCLR."""
    return math.log(len(scores)) + F.log_softmax(scores / 0.1, dim=0).diagonal(dim1=0, dim2=1).mean()


# ---- dv, nwj, jsd of a square of scores, right


def _off(u):
    """The off-diagonal elements of a square, row by row: the trick with the shifted view."""
    n = u.shape[0]
    tail = u.shape[2:]
    return u.reshape(n * n, *tail)[1:].reshape(n - 1, n + 1, *tail)[:, :-1].reshape(n * (n - 1), *tail)


def jsd_square(u):
    """Masked means, as the official repository's fenchel-dual loss has them."""
    n = u.size(0)
    mask = torch.eye(n, dtype=u.dtype)
    if u.dim() == 3:
        mask = mask.unsqueeze(-1).expand_as(u)
    e_pos = math.log(2.0) - F.softplus(-u)
    e_neg = F.softplus(-u) + u - math.log(2.0)
    e_pos = (e_pos * mask).sum() / mask.sum()
    e_neg = (e_neg * (1 - mask)).sum() / (1 - mask).sum()
    return e_pos - e_neg


def jsd_square_labels(u):
    """Every pair is an example of a classifier, positives weighted up."""
    n = u.size(0)
    labels = torch.eye(n, dtype=u.dtype)
    if u.dim() == 3:
        labels = labels.unsqueeze(-1).expand_as(u).contiguous()
    per_pair = F.binary_cross_entropy_with_logits(u, labels, reduction="none")
    locations = u[0, 0].numel()
    positive = (per_pair * labels).sum() / (n * locations)
    negative = (per_pair * (1 - labels)).sum() / (n * (n - 1) * locations)
    return math.log(4) - positive - negative


def dv_square(u):
    off = _off(u)
    return u.diagonal(dim1=0, dim2=1).mean() - (torch.logsumexp(off, 0) - math.log(off.shape[0])).mean()


def dv_square_masked(u):
    n = u.size(0)
    eye = torch.eye(n, dtype=torch.bool)
    if u.dim() == 3:
        eye = eye.unsqueeze(-1)
    hidden = u.masked_fill(eye, -float("inf"))
    lme = torch.logsumexp(hidden, dim=(0, 1)) - math.log(n * (n - 1))
    return u.diagonal(dim1=0, dim2=1).mean() - lme.mean()


def nwj_square(u):
    return u.diagonal(dim1=0, dim2=1).mean() - torch.exp(_off(u) - 1).mean()


# ---- conventions


def dv_square_all(u):
    """All N² pairs count as samples of the product."""
    n = u.size(0)
    lme = torch.logsumexp(u.reshape(n * n, -1), 0) - math.log(n * n)
    return u.diagonal(dim1=0, dim2=1).mean() - lme.mean()


def jsd_square_all(u):
    return math.log(4) - F.softplus(-u.diagonal(dim1=0, dim2=1)).mean() - F.softplus(u).mean()


def nwj_square_all(u):
    return u.diagonal(dim1=0, dim2=1).mean() - torch.exp(u - 1).mean()


# ---- mistakes


def jsd_square_divided_by_all(u):
    """The negatives' sum is divided by N², though N of them are masked out."""
    n = u.size(0)
    mask = 1 - torch.eye(n, dtype=u.dtype)
    if u.dim() == 3:
        mask = mask.unsqueeze(-1)
    return math.log(4) - F.softplus(-u.diagonal(dim1=0, dim2=1)).mean() - (F.softplus(u) * mask).mean()


def jsd_square_masked_logits(u):
    """The mask multiplies the logits, not the losses: every masked pair still costs log 2."""
    n = u.size(0)
    mask = 1 - torch.eye(n, dtype=u.dtype)
    if u.dim() == 3:
        mask = mask.unsqueeze(-1)
    negative = F.softplus(u * mask).sum() / mask.expand_as(u).sum()
    return math.log(4) - F.softplus(-u.diagonal(dim1=0, dim2=1)).mean() - negative


def jsd_square_averaged(u):
    return math.log(4) - F.softplus(-u.diagonal(dim1=0, dim2=1)).mean() - F.softplus(_off(u).mean(0)).mean()


def jsd_square_halved(u):
    value = math.log(4) - F.softplus(-u.diagonal(dim1=0, dim2=1)).mean() - F.softplus(_off(u)).mean()
    return value / 2


def dv_square_naive(u):
    return u.diagonal(dim1=0, dim2=1).mean() - torch.log(torch.exp(_off(u)).mean(0)).mean()


def dv_square_masked_by_minus_ten(u):
    n = u.size(0)
    mask = 1 - torch.eye(n, dtype=u.dtype)
    if u.dim() == 3:
        mask = mask.unsqueeze(-1)
    hidden = (u * mask - 10.0 * (1 - mask)).reshape(n * n, -1)
    lme = torch.logsumexp(hidden, 0) - math.log(n * (n - 1))
    return u.diagonal(dim1=0, dim2=1).mean() - lme.mean()
