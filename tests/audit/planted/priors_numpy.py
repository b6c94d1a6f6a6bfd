"""The game of the prior in NumPy and autograd."""

import autograd.numpy as np
from autograd import elementwise_grad
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


def game_gaussian(parameters, y, z):
    return _game(parameters, y, z)


def gradient_penalty(parameters, z):
    slope = elementwise_grad(lambda x: logits(parameters, x))(z)
    return 0.5 * np.mean(np.sum(slope**2, axis=1))


# ---- mistakes


def discriminator_loss_probabilities(real, fake):
    d_real, d_fake = 1 / (1 + np.exp(-real)), 1 / (1 + np.exp(-fake))
    return -np.mean(np.log(d_real)) - np.mean(np.log(1 - d_fake))


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


def gradient_penalty_first_row(parameters, z):
    slope = elementwise_grad(lambda x: logits(parameters, x))(z)
    return 0.5 * np.sum(slope[0] ** 2)
