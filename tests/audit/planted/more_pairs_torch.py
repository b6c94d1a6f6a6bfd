"""More mistakes in the bounds of (joint, product) scores, as PyTorch repositories write them."""

import math

import torch
import torch.nn.functional as F


def log_mean_exp(x):
    return torch.logsumexp(x, 0) - math.log(x.size(0))


# ---- Donsker–Varadhan


def dv_clamped(joint, product):
    """Only what is exponentiated."""
    return joint.mean() - log_mean_exp(product.clamp(-50.0, 50.0)).mean()


# ---- NWJ


# ---- Jensen–Shannon


def jsd_bce_clamped(joint, product):
    """PyTorch's cross entropy of probabilities clamps its logarithms at −100."""
    real = F.binary_cross_entropy(joint.sigmoid(), torch.ones_like(joint))
    fake = F.binary_cross_entropy(product.sigmoid(), torch.zeros_like(product))
    return math.log(4) - real - fake


def jsd_clamped(joint, product):
    """Clamped against overflow."""
    joint, product = (torch.clamp(t, -15, 15) for t in (joint, product))
    return math.log(4) - F.softplus(-joint).mean() - F.softplus(product).mean()


def jsd_location_mean(joint, product):
    """A score for each image: the mean over its locations."""
    joint, product = (t.mean(1) if t.dim() == 2 else t for t in (joint, product))
    return math.log(4) - F.softplus(-joint).mean() - F.softplus(product).mean()


# ---- reading a critic that was trained with JSD


# ---- TUBA


def tuba_baseline_detached(joint, product, joint_log_a, product_log_a):
    ratio = joint - joint_log_a.detach()
    return 1 + ratio.mean() - torch.exp(product - product_log_a.detach()).mean()
