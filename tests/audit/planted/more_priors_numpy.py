"""More mistakes in the game of the prior, in NumPy."""

import autograd.numpy as np
from autograd import grad
from autograd.tracer import getval


def sigmoid(t):
    return 1 / (1 + np.exp(-t))


def cross_entropy(logits, label):
    """From logits, averaged."""
    return np.mean(np.maximum(logits, 0) - label * logits + np.log1p(np.exp(-np.abs(logits))))


# ---- the discriminator's loss


def discriminator_loss_real_only(real, fake):
    return cross_entropy(real, 1.0)


def discriminator_loss_fake_only(real, fake):
    return np.mean(np.logaddexp(0.0, fake))


def discriminator_loss_all_ones(real, fake):
    """One vector of labels for both."""
    labels = np.ones(len(real) + len(fake))
    both = np.concatenate([real, fake])
    return np.mean(np.logaddexp(0.0, both) - labels * both) * 2


def discriminator_loss_smoothed(real, fake):
    """One-sided label smoothing."""
    return cross_entropy(real, 0.9) + cross_entropy(fake, 0.0)


def discriminator_loss_guarded(real, fake):
    return -(np.log(sigmoid(real) + 1e-8).mean() + np.log(1 - sigmoid(fake) + 1e-8).mean())


# ---- the encoder's loss


def encoder_loss_total(fake):
    return -np.sum(np.logaddexp(0.0, fake))


def encoder_loss_stopped(fake):
    return -np.mean(np.logaddexp(0.0, getval(fake)))


def encoder_loss_ns_total(fake):
    return sum(np.logaddexp(0.0, -logit) for logit in fake)


def encoder_loss_ns_critic(fake):
    return -np.mean(fake)


def encoder_loss_ns_minimax_sign(fake):
    """The discriminator's half, minimized by the encoder too."""
    return cross_entropy(fake, 0.0)


# ---- the whole game


def logits(p, x):
    for layer in ("first", "second"):
        x = np.maximum(x @ p[layer]["w"] + p[layer]["b"], 0.0)
    return (x @ p["score"]["w"] + p["score"]["b"])[:, 0]


def constant(p):
    return {layer: {name: getval(p[layer][name]) for name in p[layer]} for layer in p.keys()}  # noqa: SIM118


def discriminator_part(p, fake, z):
    return cross_entropy(logits(p, z), 1.0) + cross_entropy(logits(p, fake), 0.0)


def game_uniform_tanh(parameters, y, z):
    s = np.tanh(y)
    return discriminator_part(parameters, getval(s), z), -cross_entropy(logits(constant(parameters), s), 0.0)


def game_uniform_nothing_stopped(parameters, y, z):
    s = sigmoid(y)
    return discriminator_part(parameters, s, z), -cross_entropy(logits(parameters, s), 0.0)


def game_uniform_both_stopped(parameters, y, z):
    s = getval(sigmoid(y))
    return discriminator_part(parameters, s, z), -cross_entropy(logits(constant(parameters), s), 0.0)


def game_gaussian_non_saturating_sign(parameters, y, z):
    d = discriminator_part(parameters, getval(y), z)
    return d, -cross_entropy(logits(constant(parameters), y), 1.0)


# ---- gradient penalty


def slopes(parameters, z):
    return grad(lambda x: np.sum(logits(parameters, x)))(z)


def gradient_penalty_one_norm(parameters, z):
    """np.linalg.norm without an axis."""
    return 0.5 * np.sqrt(np.sum(slopes(parameters, z) ** 2))


def gradient_penalty_all_mean(parameters, z):
    return 0.5 * np.mean(slopes(parameters, z) ** 2)


def gradient_penalty_of_probability(parameters, z):
    slope = grad(lambda x: np.sum(sigmoid(logits(parameters, x))))(z)
    return 0.5 * np.mean(np.sum(slope**2, axis=1))
