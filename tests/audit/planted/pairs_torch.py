"""Bounds of (joint, product) scores, as PyTorch repositories write them: right ones, other conventions, and mistakes."""

import math

import torch
import torch.nn.functional as F

LOG2 = math.log(2.0)


# ---- JSD, conventions


def jsd_bits(real, fake):
    return (math.log(4) - F.softplus(-real).mean() - F.softplus(fake).mean()) / LOG2


# ---- JSD, mistakes


def jsd_averaged_negatives(real, fake):
    """The negatives' logits are averaged, then pass the softplus."""
    return 2 * LOG2 - F.softplus(-real).mean() - F.softplus(fake.mean(0)).mean()


def jsd_max_subtracted(real, fake):
    """The habit from softmax: subtract the maximum, "for stability"."""
    top = torch.maximum(real.max(), fake.max()).detach()
    real, fake = real - top, fake - top
    return math.log(4) - F.softplus(-real).mean() - F.softplus(fake).mean()


def jsd_naive_sigmoid_eps(real, fake, eps=1e-8):
    d_real, d_fake = torch.sigmoid(real), torch.sigmoid(fake)
    return math.log(4) + torch.log(d_real + eps).mean() + torch.log(1 - d_fake + eps).mean()


def jsd_summed(real, fake):
    return (LOG2 - F.softplus(-real)).sum() + (LOG2 - F.softplus(fake)).sum()


# ---- DV, conventions


def dv_pooled(joint, product):
    """All locations in one expectation."""
    log_mean = torch.logsumexp(product.reshape(-1), 0) - math.log(product.numel())
    return joint.mean() - log_mean


# ---- DV, mistakes


def dv_summed(t, et):
    return t.sum() - (torch.logsumexp(et, 0) - math.log(et.shape[0])).sum()


# ---- NWJ, mistakes


def nwj_via_logsumexp(joint, product):
    """DV with a one subtracted: its author wanted it stable."""
    return joint.mean() - (torch.logsumexp(product - 1, dim=0) - math.log(product.shape[0])).mean()


def nwj_summed(joint, product):
    return joint.mean() - torch.exp(product - 1).sum(0).mean()


def log_mean_exp(x):
    return torch.logsumexp(x, 0) - math.log(x.size(0))


# ---- Donsker–Varadhan


def dv_clamped(joint, product):
    """Only what is exponentiated."""
    return joint.mean() - log_mean_exp(product.clamp(-50.0, 50.0)).mean()


# ---- Jensen–Shannon


def jsd_location_mean(joint, product):
    """A score for each image: the mean over its locations."""
    joint, product = (t.mean(1) if t.dim() == 2 else t for t in (joint, product))
    return math.log(4) - F.softplus(-joint).mean() - F.softplus(product).mean()


# ---- TUBA


def tuba_baseline_detached(joint, product, joint_log_a, product_log_a):
    ratio = joint - joint_log_a.detach()
    return 1 + ratio.mean() - torch.exp(product - product_log_a.detach()).mean()
