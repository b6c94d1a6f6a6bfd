"""The f-divergences' bounds with detached scores, as PyTorch repositories write them."""

import torch
import torch.nn.functional as F

# ---- the product detached: a generator's detach() left in where there is no generator


def chi2_fake_detached(v_real, v_fake):
    fake = v_fake.detach()
    return v_real.mean() - (fake + fake.pow(2) / 4).mean()


def reverse_kl_fake_detached(v_real, v_fake):
    return -torch.exp(-v_real).mean() - (v_fake.detach() - 1).mean()


def hellinger_fake_detached(v_real, v_fake):
    return (1 - torch.exp(-v_real)).mean() - torch.expm1(v_fake.detach()).mean()


def total_variation_fake_detached(v_real, v_fake):
    return 0.5 * (torch.tanh(v_real).mean() - torch.tanh(v_fake.detach()).mean())


def gan_fake_detached(v_real, v_fake):
    """As a loss."""
    fake = v_fake.detach()
    real_loss = F.binary_cross_entropy_with_logits(v_real, torch.ones_like(v_real))
    return real_loss + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))


# ---- the joint detached


def chi2_real_detached(v_real, v_fake):
    return v_real.detach().mean() - v_fake.mean() - v_fake.square().mean() / 4


def reverse_kl_real_detached(v_real, v_fake):
    """As a loss."""
    with torch.no_grad():
        real = torch.exp(-v_real).mean()
    return real + v_fake.mean() - 1


def hellinger_real_detached(v_real, v_fake):
    return -torch.expm1(-v_real.data).mean() - torch.expm1(v_fake).mean()


def total_variation_real_detached(v_real, v_fake):
    return v_real.detach().tanh().mul(0.5).mean() - v_fake.tanh().mul(0.5).mean()


def gan_real_detached(v_real, v_fake):
    return F.logsigmoid(v_real.detach()).mean() + F.logsigmoid(-v_fake).mean()


# ---- the value alone, as for a curve in a log


@torch.no_grad()
def chi2_without_graph(v_real, v_fake):
    return v_real.mean() - (v_fake + v_fake**2 / 4).mean()


@torch.no_grad()
def reverse_kl_without_graph(v_real, v_fake):
    return 1 - v_real.neg().exp().mean() - v_fake.mean()


def hellinger_without_graph(v_real, v_fake):
    v_real, v_fake = v_real.detach(), v_fake.detach()
    return (1 - torch.exp(-v_real)).mean() - (torch.exp(v_fake) - 1).mean()


def total_variation_without_graph(v_real, v_fake):
    value = (torch.tanh(v_real).mean() - torch.tanh(v_fake).mean()) / 2
    return value.detach()


def gan_without_graph(v_real, v_fake):
    real, fake = v_real.data, v_fake.data
    return -F.softplus(-real).mean() - F.softplus(fake).mean()
