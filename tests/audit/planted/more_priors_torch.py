"""More mistakes in the game of the prior, as PyTorch repositories write them."""

import torch
import torch.nn.functional as F

# ---- the discriminator's loss


def discriminator_loss_bce_of_probabilities(real, fake):
    """nn.Sigmoid in the network, BCEWithLogitsLoss outside."""
    criterion = torch.nn.BCEWithLogitsLoss()
    real, fake = torch.sigmoid(real), torch.sigmoid(fake)
    return criterion(real, torch.ones_like(real)) + criterion(fake, torch.zeros_like(fake))


def discriminator_loss_critic(real, fake):
    return fake.mean() - real.mean()


def discriminator_loss_hinge(real, fake):
    return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()


# ---- the encoder's loss


def encoder_loss_bce_of_probabilities(fake):
    d = fake.sigmoid()
    return -F.binary_cross_entropy_with_logits(d, torch.zeros_like(d))


def encoder_loss_critic(fake):
    """The generator of a WGAN."""
    return -fake.mean()


def encoder_loss_detached(fake):
    return F.logsigmoid(-fake.detach()).mean()


def encoder_loss_ns_bce_of_probabilities(fake):
    d = fake.sigmoid()
    return F.binary_cross_entropy_with_logits(d, torch.ones_like(d))


def encoder_loss_ns_detached(fake):
    """The discriminator is asked under no_grad, as in its own step."""
    with torch.no_grad():
        d = fake.clone()
    return F.softplus(-d).mean()


# ---- the whole game

bce = F.binary_cross_entropy_with_logits


def critic(p, x):
    h = F.relu(torch.addmm(p["first"]["b"], x, p["first"]["w"]))
    h = F.relu(torch.addmm(p["second"]["b"], h, p["second"]["w"]))
    return torch.addmm(p["score"]["b"], h, p["score"]["w"]).squeeze(1)


def fixed(p):
    return {layer: {name: w.detach() for name, w in weights.items()} for layer, weights in p.items()}


def discriminator_step(p, fake, z):
    real, fake = critic(p, z), critic(p, fake)
    return bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))


def encoder_step(p, fake, label):
    out = critic(fixed(p), fake)
    return bce(out, torch.full_like(out, label))


def game_uniform_ns_y_not_stopped(parameters, y, z):
    s = torch.sigmoid(y)
    return discriminator_step(parameters, s, z), encoder_step(parameters, s, 1.0)


def game_uniform_ns_sign(parameters, y, z):
    s = torch.sigmoid(y)
    return discriminator_step(parameters, s.detach(), z), -encoder_step(parameters, s, 1.0)


def game_gaussian_ns_y_not_stopped(parameters, y, z):
    return discriminator_step(parameters, y, z), encoder_step(parameters, y, 1.0)


def game_gaussian_nothing_stopped(parameters, y, z):
    d, out = discriminator_step(parameters, y, z), critic(parameters, y)
    return d, -bce(out, torch.zeros_like(out))


def game_gaussian_encoder_detached(parameters, y, z):
    """y is detached once for both."""
    y = y.detach()
    return discriminator_step(parameters, y, z), -encoder_step(parameters, y, 0.0)
