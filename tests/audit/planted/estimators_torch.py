"""plug_in, smile, tuba, MINE and the f-divergences as PyTorch repositories write them."""

import math

import torch
import torch.nn.functional as F

# ---- reading a critic that was trained with JSD


def plug_in(joint, product):
    return 1 + joint.mean() - product.exp().mean()


def plug_in_through_nwj(joint, product):
    """Read as if the critic had been trained with NWJ."""
    return joint.mean() - torch.exp(product - 1).mean()


# ---- SMILE


def smile(joint, product, tau):
    clipped = torch.clamp(product, -tau, tau)
    return joint.mean() - (torch.logsumexp(clipped, 0) - math.log(clipped.size(0))).mean()


# ---- TUBA


def tuba(joint, product, joint_log_a, product_log_a):
    return 1 + (joint - joint_log_a).mean() - torch.exp(product - product_log_a).mean()


# ---- MINE's moving average


def mine(joint, product, average, rate):
    """A detached denominator in the loss, DV as the value: surrogate plus what is missing."""
    e = torch.exp(product)
    new = (1 - rate) * average + rate * e.mean().detach()
    surrogate = joint.mean() - e.mean() / new
    value = joint.mean() - torch.log(e.mean())
    return surrogate + (value - surrogate).detach(), new


def mine_average_in_value(joint, product, average, rate):
    """The popular line: mean(t) − (1/ma.mean()).detach()·mean(et), shown as the estimate."""
    e = torch.exp(product)
    new = (1 - rate) * average + rate * e.mean().detach()
    return joint.mean() - e.mean() / new, new


def mine_uncorrected(joint, product, average, rate):
    """The average is kept, but the gradient is that of DV."""
    log_mean = torch.logsumexp(product, 0) - math.log(len(product))
    new = (1 - rate) * average + rate * log_mean.detach().exp()
    return joint.mean() - log_mean, new


# ---- f-divergences, right


def squared_hellinger(v_real, v_fake):
    """T = 1 − exp(−v), f*(T) = T/(1 − T)."""
    return (1 - torch.exp(-v_real)).mean() - torch.expm1(v_fake).mean()


def total_variation(v_real, v_fake):
    return 0.5 * torch.tanh(v_real).mean() - 0.5 * torch.tanh(v_fake).mean()


def gan(v_real, v_fake):
    return F.logsigmoid(v_real).mean() + F.logsigmoid(-v_fake).mean()


# ---- f-divergences, mistakes


def chi2_official(v_real, v_fake):
    """Squares on both sides and a sign lost: E_P[T²] + ½·E_Q[(|T| + 1)²], as it stands in public code."""
    e_pos = v_real**2
    e_neg = -0.5 * ((torch.sqrt(v_fake**2) + 1.0) ** 2)
    return e_pos.mean() - e_neg.mean()


def reverse_kl_official(v_real, v_fake):
    """−E_P[e^{−T}] − E_Q[T − 1] with both halves exchanged."""
    return -torch.exp(-v_fake).mean() - (v_real - 1).mean()


def hellinger_exchanged(v_real, v_fake):
    return (1 - torch.exp(v_real)).mean() - (torch.exp(-v_fake) - 1).mean()
