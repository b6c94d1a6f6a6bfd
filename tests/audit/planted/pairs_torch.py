"""Bounds of (joint, product) scores, as PyTorch repositories write them: right ones, other conventions, and mistakes."""

import math

import torch
import torch.nn.functional as F

LOG2 = math.log(2.0)


# ---- JSD, right


def jsd_expectations(p_samples, q_samples):
    """Two expectations, each with its own log 2, as in f-GAN derived code."""
    e_pos = LOG2 - F.softplus(-p_samples)
    e_neg = F.softplus(-q_samples) + q_samples - LOG2
    return e_pos.mean() - e_neg.mean()


def jsd_bce(pos_logits, neg_logits):
    """A binary classifier's loss, turned into the bound."""
    real = F.binary_cross_entropy_with_logits(pos_logits, torch.ones_like(pos_logits))
    fake = F.binary_cross_entropy_with_logits(neg_logits, torch.zeros_like(neg_logits))
    return 2 * LOG2 - (real + fake)


def jsd_logsigmoid(real, fake):
    return F.logsigmoid(real).mean() + F.logsigmoid(-fake).mean() + math.log(4)


def jsd_double_inside(real, fake):
    """Upcasts, to be safe, and casts back."""
    r, f = real.double(), fake.double()
    value = math.log(4) - torch.log1p(torch.exp(-r.abs())).mean() - torch.relu(-r).mean()
    value = value - torch.log1p(torch.exp(-f.abs())).mean() - torch.relu(f).mean()
    return value.to(real.dtype)


def jsd_one_bce_call(real, fake):
    """One call over the concatenation, each half weighted by its own size."""
    logits = torch.cat([real, fake])
    labels = torch.cat([torch.ones_like(real), torch.zeros_like(fake)])
    weight = torch.cat([torch.full_like(real, 1.0 / real.numel()), torch.full_like(fake, 1.0 / fake.numel())])
    return math.log(4) - F.binary_cross_entropy_with_logits(logits, labels, weight=weight, reduction="sum")


def jsd_logaddexp(real, fake):
    zero = torch.zeros((), dtype=real.dtype)
    return math.log(4) - torch.logaddexp(zero, -real).mean() - torch.logaddexp(zero, fake).mean()


# ---- JSD, conventions


def jsd_loss(real, fake):
    """A loss: the sign flipped, the constant dropped."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def jsd_loss_signed(real, fake):
    """A loss with its constants: only the sign flipped."""
    return F.softplus(-real).mean() + F.softplus(fake).mean() - math.log(4)


def jsd_bits(real, fake):
    return (math.log(4) - F.softplus(-real).mean() - F.softplus(fake).mean()) / LOG2


def jsd_no_constant(real, fake):
    return -F.softplus(-real).mean() - F.softplus(fake).mean()


def jsd_one_log2(real, fake):
    return LOG2 - F.softplus(-real).mean() - F.softplus(fake).mean()


def jsd_gan_half(real, fake):
    """A discriminator's loss: the mean of both halves."""
    return 0.5 * (
        F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    )


# ---- JSD, mistakes


def jsd_averaged_negatives(real, fake):
    """The negatives' logits are averaged, then pass the softplus."""
    return 2 * LOG2 - F.softplus(-real).mean() - F.softplus(fake.mean(0)).mean()


def jsd_averaged_both(pos, neg):
    e_pos = LOG2 - F.softplus(-pos.mean())
    e_neg = F.softplus(-neg.mean()) + neg.mean() - LOG2
    return e_pos - e_neg


def jsd_max_subtracted(real, fake):
    """The habit from softmax: subtract the maximum, "for stability"."""
    top = torch.maximum(real.max(), fake.max()).detach()
    real, fake = real - top, fake - top
    return math.log(4) - F.softplus(-real).mean() - F.softplus(fake).mean()


def jsd_naive(real, fake):
    """log(1 + exp) written out."""
    return math.log(4) - torch.log(1 + torch.exp(-real)).mean() - torch.log(1 + torch.exp(fake)).mean()


def jsd_naive_sigmoid(real, fake):
    """log(1 − σ) written out."""
    return math.log(4) + torch.log(torch.sigmoid(real)).mean() + torch.log(1 - torch.sigmoid(fake)).mean()


def jsd_naive_sigmoid_eps(real, fake, eps=1e-8):
    d_real, d_fake = torch.sigmoid(real), torch.sigmoid(fake)
    return math.log(4) + torch.log(d_real + eps).mean() + torch.log(1 - d_fake + eps).mean()


def jsd_halved(real, fake):
    """JS itself has the ½; the bound of the paper is twice it."""
    return 0.5 * (2 * LOG2 - F.softplus(-real).mean() - F.softplus(fake).mean())


def jsd_summed(real, fake):
    return (LOG2 - F.softplus(-real)).sum() + (LOG2 - F.softplus(fake)).sum()


def jsd_signs_swapped(real, fake):
    return math.log(4) - F.softplus(real).mean() - F.softplus(-fake).mean()


def jsd_relu_scores(real, fake):
    """The critic ends in a ReLU."""
    real, fake = F.relu(real), F.relu(fake)
    return math.log(4) - F.softplus(-real).mean() - F.softplus(fake).mean()


def jsd_detached_negatives(real, fake):
    return math.log(4) - F.softplus(-real).mean() - F.softplus(fake.detach()).mean()


# ---- DV, right


def dv_logsumexp(joint, product):
    """Each location on its own: the logsumexp runs over the pairs alone."""
    lme = torch.logsumexp(product, dim=0) - math.log(product.shape[0])
    return joint.mean() - lme.mean()


def dv_shifted(joint, product):
    top = product.max(dim=0, keepdim=True).values.detach()
    lme = (product - top).exp().mean(dim=0, keepdim=True).log() + top
    return joint.mean() - lme.mean()


def dv_softmax_trick(joint, product):
    """log Σ e^t = t_0 − log softmax(t)_0."""
    lse = product[0] - F.log_softmax(product, dim=0)[0]
    return (joint.mean(0) - (lse - math.log(len(product)))).mean()


# ---- DV, conventions


def dv_loss(joint, product):
    return torch.logsumexp(product, 0).mean() - math.log(product.size(0)) - joint.mean()


def dv_pooled(joint, product):
    """All locations in one expectation."""
    log_mean = torch.logsumexp(product.reshape(-1), 0) - math.log(product.numel())
    return joint.mean() - log_mean


def dv_without_count(joint, product):
    """The count dropped: a loss, up to a constant."""
    return joint.mean() - torch.logsumexp(product, dim=0).mean()


# ---- DV, mistakes


def dv_naive(t, et):
    """The line that most MINE repositories have."""
    return torch.mean(t) - torch.log(torch.mean(torch.exp(et), dim=0)).mean()


def dv_without_log(t, et):
    return torch.mean(t) - torch.mean(torch.exp(et))


def dv_averaged_negatives(t, et):
    """log exp of the mean: the mean has slipped inside."""
    return torch.mean(t) - torch.log(torch.exp(torch.mean(et)))


def dv_mean_of_logs(t, et):
    return t.mean() - torch.log(torch.exp(et)).mean()


def dv_detached_negatives(t, et):
    with torch.no_grad():
        second = (torch.logsumexp(et, 0) - math.log(et.shape[0])).mean()
    return t.mean() - second


def dv_summed(t, et):
    return t.sum() - (torch.logsumexp(et, 0) - math.log(et.shape[0])).sum()


# ---- NWJ, right


def nwj_plain(joint, product):
    return joint.mean() - (product - 1).exp().mean()


def nwj_divided_by_e(joint, product):
    return joint.mean() - torch.exp(product).mean() / math.e


def nwj_f_gan(v, w):
    """E_P[T] − E_Q[f*(T)] with f*(t) = exp(t − 1)."""

    def conjugate(t):
        return torch.exp(t - 1.0)

    return torch.mean(v) - torch.mean(conjugate(w))


# ---- NWJ, conventions


def nwj_loss(joint, product):
    return torch.exp(product - 1.0).mean() - joint.mean()


def nwj_bits(joint, product):
    return (joint.mean() - (product - 1).exp().mean()) / math.log(2)


# ---- NWJ, mistakes


def nwj_without_minus_one(joint, product):
    return joint.mean() - product.exp().mean()


def nwj_one_outside(joint, product):
    """The −1 has left the exponent."""
    return joint.mean() - (product.exp() - 1).mean()


def nwj_averaged_negatives(joint, product):
    return joint.mean() - torch.exp(product.mean(0) - 1).mean()


def nwj_via_logsumexp(joint, product):
    """DV with a one subtracted: its author wanted it stable."""
    return joint.mean() - (torch.logsumexp(product - 1, dim=0) - math.log(product.shape[0])).mean()


def nwj_summed(joint, product):
    return joint.mean() - torch.exp(product - 1).sum(0).mean()
