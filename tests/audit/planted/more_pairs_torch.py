"""More mistakes in the bounds of (joint, product) scores, as PyTorch repositories write them."""

import math

import torch
import torch.nn.functional as F


def log_mean_exp(x):
    return torch.logsumexp(x, 0) - math.log(x.size(0))


# ---- Donsker–Varadhan


def dv_epsilon_10(joint, product):
    return joint.mean() - torch.log(torch.exp(product).mean(dim=0) + 1e-10).mean()


def dv_epsilon_6(joint, product):
    mi = torch.mean(joint) - product.exp().mean(0).add(1e-6).log().mean()
    return -mi


def dv_clamped(joint, product):
    """Only what is exponentiated."""
    return joint.mean() - log_mean_exp(product.clamp(-50.0, 50.0)).mean()


def dv_joint_detached(joint, product):
    return joint.detach().mean() - log_mean_exp(product).mean()


def dv_maximum_not_returned(joint, product):
    """The maximum is no part of the graph, as it need not be, and no part of the sum either."""
    top = product.detach().amax(dim=0, keepdim=True)
    return joint.mean() - (product - top).exp().mean(0).log().mean()


# ---- NWJ


def nwj_negatives_detached(joint, product):
    return joint.mean() - torch.exp(product.detach() - 1).mean()


def nwj_positives_detached(joint, product):
    """A loss whose first term was meant for logging."""
    with torch.no_grad():
        gain = joint.mean()
    return (product - 1).exp().mean() - gain


def nwj_without_graph(joint, product):
    with torch.no_grad():
        return joint.mean() - (product - 1).exp().mean()


# ---- Jensen–Shannon


def jsd_of_probabilities(joint, product):
    """The critic ends in a sigmoid; the loss takes logits."""
    joint, product = torch.sigmoid(joint), torch.sigmoid(product)
    real = F.binary_cross_entropy_with_logits(joint, torch.ones_like(joint))
    fake = F.binary_cross_entropy_with_logits(product, torch.zeros_like(product))
    return 2 * math.log(2) - real - fake


def jsd_bce_clamped(joint, product):
    """PyTorch's cross entropy of probabilities clamps its logarithms at −100."""
    real = F.binary_cross_entropy(joint.sigmoid(), torch.ones_like(joint))
    fake = F.binary_cross_entropy(product.sigmoid(), torch.zeros_like(product))
    return math.log(4) - real - fake


def jsd_epsilon_10(joint, product):
    eps = 1e-10
    real = torch.log(torch.sigmoid(joint) + eps).mean()
    fake = torch.log(1 - torch.sigmoid(product) + eps).mean()
    return real + fake + 2 * math.log(2)


def jsd_epsilon_5(joint, product):
    d_joint, d_product = joint.sigmoid(), product.sigmoid()
    return math.log(4) + (d_joint + 1e-5).log().mean() + (1 - d_product + 1e-5).log().mean()


def jsd_joint_detached(joint, product):
    return math.log(4) - F.softplus(-joint.detach()).mean() - F.softplus(product).mean()


def jsd_clamped(joint, product):
    """Clamped against overflow."""
    joint, product = (torch.clamp(t, -15, 15) for t in (joint, product))
    return math.log(4) - F.softplus(-joint).mean() - F.softplus(product).mean()


def jsd_clamped_probabilities(joint, product):
    d_joint, d_product = (torch.sigmoid(t).clamp(1e-7, 1 - 1e-7) for t in (joint, product))
    return math.log(4) + torch.log(d_joint).mean() + torch.log(1 - d_product).mean()


def jsd_location_mean(joint, product):
    """A score for each image: the mean over its locations."""
    joint, product = (t.mean(1) if t.dim() == 2 else t for t in (joint, product))
    return math.log(4) - F.softplus(-joint).mean() - F.softplus(product).mean()


# ---- reading a critic that was trained with JSD


def plug_in_negatives_detached(joint, product):
    return 1 + joint.mean() - product.detach().exp().mean()


def plug_in_positives_detached(joint, product):
    return joint.detach().mean() - torch.expm1(product).mean()


def plug_in_for_the_log(joint, product):
    with torch.no_grad():
        value = 1.0 + joint.mean() - product.exp().mean()
    return value


# ---- TUBA


def tuba_baseline_detached(joint, product, joint_log_a, product_log_a):
    ratio = joint - joint_log_a.detach()
    return 1 + ratio.mean() - torch.exp(product - product_log_a.detach()).mean()
