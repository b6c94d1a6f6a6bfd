"""More mistakes in information-theoretic quantities, as PyTorch invites them."""

import torch
import torch.nn.functional as F

# ---- entropies


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


def kl_div_of_probabilities(p, q):
    """F.kl_div takes log q."""
    return F.kl_div(q, p, reduction="sum")


def kl_div_of_probabilities_exchanged(p, q):
    """F.kl_div takes (log q, p)."""
    return F.kl_div(p, q, reduction="sum")


# ---- Gaussians
