"""More mistakes in information-theoretic quantities, as PyTorch invites them."""

import math

import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Categorical, Normal
from torch.distributions import kl_divergence as divergence

# ---- entropies


def entropy_of_logits(p):
    """Probabilities taken for logits."""
    return Categorical(logits=p).entropy()


def entropy_bernoulli(p):
    return Bernoulli(p).entropy().sum()


def entropy_eps(p):
    return -(p * (p + 1e-6).log()).sum()


def entropy_one_hot_mean(p):
    return torch.special.entr(p).mean(dim=-1)


def joint_entropy_eps(p):
    return -torch.sum(p * torch.log(p + 1e-8))


def conditional_entropy_eps(p):
    joint = -(p * torch.log(p + 1e-8)).sum()
    p_y = p.sum(0)
    return joint + (p_y * torch.log(p_y + 1e-8)).sum()


def information_eps(p):
    outer = p.sum(1, keepdim=True) * p.sum(0, keepdim=True)
    return (p * ((p + 1e-8).log() - (outer + 1e-8).log())).sum()


def information_of_entropies_eps(p):
    def h(q):
        return -(q * (q + 1e-8).log()).sum()

    return h(p.sum(1)) + h(p.sum(0)) - h(p)


# ---- cross entropy and Kullback–Leibler divergences


def cross_entropy_of_probabilities(p, q):
    """F.cross_entropy takes logits."""
    return F.cross_entropy(q, p)


def cross_entropy_binary(p, q):
    return F.binary_cross_entropy(q, p, reduction="sum")


def cross_entropy_reduced(p, q):
    return -torch.xlogy(p, q).mean()


def cross_entropy_kl_div(p, q):
    return F.kl_div(q.log(), p, reduction="sum")


def cross_entropy_log_eps(p, q):
    return -(p * (q + 1e-8).log()).sum(-1)


def kl_div_of_probabilities(p, q):
    """F.kl_div takes log q."""
    return F.kl_div(q, p, reduction="sum")


def kl_div_of_probabilities_exchanged(p, q):
    """F.kl_div takes (log q, p)."""
    return F.kl_div(p, q, reduction="sum")


def kl_div_log_softmax(p, q):
    return F.kl_div(F.log_softmax(q, dim=-1), p, reduction="sum")


def kl_log_eps(p, q, eps=1e-8):
    return (p * torch.log((p + eps) / (q + eps))).sum()


def kl_negative(p, q):
    return -(torch.xlogy(p, p) - torch.xlogy(p, q)).sum()


def reverse_kl_div_forward(p, q):
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum()


# ---- Gaussians


def gaussian_entropy_factorized(cov):
    return Normal(0.0, cov.diagonal().sqrt()).entropy().sum()


def gaussian_entropy_scale(cov):
    """log σ² where log σ belongs."""
    log_sigma = torch.linalg.eigvalsh(cov).log()
    return (0.5 + 0.5 * math.log(2 * math.pi) + log_sigma).sum()


def gaussian_kl_factorized(mean_p, cov_p, mean_q, cov_q):
    p = Normal(mean_p, cov_p.diagonal().sqrt())
    q = Normal(mean_q, cov_q.diagonal().sqrt())
    return divergence(p, q).sum()


def gaussian_kl_centred(mean_p, cov_p, mean_q, cov_q):
    ratio = torch.linalg.solve(cov_q, cov_p)
    return 0.5 * (ratio.diagonal() - 1).sum() - 0.5 * torch.logdet(ratio)
