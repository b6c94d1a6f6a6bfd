"""More mistakes in the game of the prior, as PyTorch repositories write them."""

import torch
import torch.nn.functional as F

# ---- the discriminator's loss


def discriminator_loss_bce_of_probabilities(real, fake):
    """nn.Sigmoid in the network, BCEWithLogitsLoss outside."""
    criterion = torch.nn.BCEWithLogitsLoss()
    real, fake = torch.sigmoid(real), torch.sigmoid(fake)
    return criterion(real, torch.ones_like(real)) + criterion(fake, torch.zeros_like(fake))


def discriminator_loss_hinge(real, fake):
    return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()


# ---- the encoder's loss


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
