"""The game of the prior in NumPy and autograd."""

import autograd.numpy as np
from autograd.tracer import getval


def softplus(x):
    return np.logaddexp(0.0, x)


# ---- right


def discriminator_loss(real, fake):
    return np.mean(softplus(-real)) + np.mean(softplus(fake))


def encoder_loss(fake):
    return -np.mean(softplus(fake))


def encoder_loss_non_saturating(fake):
    return np.mean(softplus(-fake))


def logits(p, x):
    h = np.maximum(np.dot(x, p["first"]["w"]) + p["first"]["b"], 0)
    h = np.maximum(np.dot(h, p["second"]["w"]) + p["second"]["b"], 0)
    return np.dot(h, p["score"]["w"])[:, 0] + p["score"]["b"][0]


def stopped(p):
    return {layer: {name: getval(w) for name, w in p[layer].items()} for layer in ("first", "second", "score")}


def _game(p, sample, z):
    return discriminator_loss(logits(p, z), logits(p, getval(sample))), encoder_loss(logits(stopped(p), sample))


def game_uniform(parameters, y, z):
    return _game(parameters, 1 / (1 + np.exp(-y)), z)


# ---- mistakes


def encoder_loss_wrong_sign(fake):
    return np.mean(softplus(fake))


def game_uniform_raw(parameters, y, z):
    return _game(parameters, y, z)


def game_uniform_wrong_sign(parameters, y, z):
    first, second = game_uniform(parameters, y, z)
    return first, -second


def game_gaussian_y_flows(parameters, y, z):
    """y is not stopped in the discriminator's loss."""
    return discriminator_loss(logits(parameters, z), logits(parameters, y)), encoder_loss(
        logits(stopped(parameters), y)
    )


def cross_entropy(logits, label):
    """From logits, averaged."""
    return np.mean(np.maximum(logits, 0) - label * logits + np.log1p(np.exp(-np.abs(logits))))


# ---- the encoder's loss


def encoder_loss_ns_critic(fake):
    return -np.mean(fake)


def encoder_loss_ns_minimax_sign(fake):
    """The discriminator's half, minimized by the encoder too."""
    return cross_entropy(fake, 0.0)


# ---- the whole game
