"""The game of the prior as PyTorch repositories write it."""

import torch
import torch.nn.functional as F

# ---- from logits, right


def discriminator_loss(real, fake):
    ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
    return F.binary_cross_entropy_with_logits(real, ones) + F.binary_cross_entropy_with_logits(fake, zeros)


def discriminator_loss_halved(real, fake):
    return 0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())


def encoder_loss(fake):
    """E[log(1 − D)]."""
    return F.logsigmoid(-fake).mean()


def encoder_loss_non_saturating(fake):
    return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))


# ---- mistakes


def discriminator_loss_labels_exchanged(real, fake):
    ones, zeros = torch.ones_like(fake), torch.zeros_like(real)
    return F.binary_cross_entropy_with_logits(fake, ones) + F.binary_cross_entropy_with_logits(real, zeros)


def discriminator_loss_averaged(real, fake):
    """Logits averaged first."""
    return F.softplus(-real.mean()) + F.softplus(fake.mean())


def encoder_loss_ns_sign_flipped(fake):
    return F.logsigmoid(fake).mean()


# ---- the whole game, right


def logits(p, x):
    h = F.relu(x @ p["first"]["w"] + p["first"]["b"])
    h = F.relu(h @ p["second"]["w"] + p["second"]["b"])
    return (h @ p["score"]["w"] + p["score"]["b"]).squeeze(-1)


def frozen(p):
    return {layer: {name: w.detach() for name, w in weights.items()} for layer, weights in p.items()}


def _game(p, sample, z):
    d = F.softplus(-logits(p, z)).mean() + F.softplus(logits(p, sample.detach())).mean()
    return d, -F.softplus(logits(frozen(p), sample)).mean()


def game_uniform(parameters, y, z):
    return _game(parameters, torch.sigmoid(y), z)


def game_gaussian(parameters, y, z):
    return _game(parameters, y, z)


# ---- the whole game, mistakes


def game_gaussian_parameters_not_stopped(parameters, y, z):
    """One optimizer for both: the encoder's loss also moves the discriminator."""
    d = F.softplus(-logits(parameters, z)).mean() + F.softplus(logits(parameters, y.detach())).mean()
    return d, -F.softplus(logits(parameters, y)).mean()


def game_gaussian_with_sigmoid(parameters, y, z):
    """A sigmoid for a prior that has the whole line."""
    return _game(parameters, torch.sigmoid(y), z)


# ---- gradient penalty


def gradient_penalty(parameters, z):
    z = z.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(logits(parameters, z).sum(), z)
    return 0.5 * slope.pow(2).flatten(1).sum(1).mean()


def gradient_penalty_one_row(parameters, z):
    """The gradient of the first output alone: grad_outputs was forgotten."""
    z = z.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(logits(parameters, z)[0], z)
    return 0.5 * slope.pow(2).sum(1).mean()


def gradient_penalty_mean_of_outputs(parameters, z):
    """The mean is differentiated: every slope is divided by B."""
    z = z.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(logits(parameters, z).mean(), z)
    return 0.5 * slope.pow(2).sum(1).mean()


def gradient_penalty_not_squared(parameters, z):
    z = z.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(logits(parameters, z).sum(), z)
    return 0.5 * slope.norm(dim=1).mean()


def gradient_penalty_no_half(parameters, z):
    z = z.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(logits(parameters, z).sum(), z)
    return slope.pow(2).sum(1).mean()
