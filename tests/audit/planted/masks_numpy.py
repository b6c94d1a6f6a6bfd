"""Ways to leave out the diagonal of a square of scores that do not, in NumPy and autograd."""

import math

import autograd.numpy as np
from autograd.scipy.special import logsumexp

# ---- the square's parts


def diagonal(scores):
    n = len(scores)
    return scores[np.arange(n), np.arange(n)]


def eye_for(scores):
    """The identity, with an axis for locations where the scores have one."""
    eye = np.eye(len(scores))
    return eye if scores.ndim == 2 else eye[:, :, None]


def flat(scores):
    """All pairs, locations kept."""
    return scores.reshape(-1, *scores.shape[2:])


def softplus(x):
    return np.logaddexp(0.0, x)


# ---- scores times the mask: the diagonal becomes 0


def dv_masked_to_zero(scores):
    masked = flat(scores * (1 - eye_for(scores)))
    return np.mean(diagonal(scores)) - np.mean(logsumexp(masked, axis=0) - math.log(len(masked)))


def nwj_masked_to_zero(scores):
    """As a loss."""
    mask = 1.0 - eye_for(scores)
    return np.mean(np.exp(mask * scores - 1.0)) - np.mean(diagonal(scores))


def jsd_masked_to_zero(scores):
    product = scores * np.where(eye_for(scores) == 1, 0.0, 1.0)
    return math.log(4) - softplus(-diagonal(scores)).mean() - softplus(product).mean()


def plug_in_masked_to_zero(scores):
    off = scores - eye_for(scores) * scores
    return 1 + diagonal(scores).mean() - np.exp(off).mean()


def chi2_masked_to_zero(scores):
    v = scores * (1 - eye_for(scores))
    return diagonal(scores).mean() - np.mean(v + v * v / 4)


def reverse_kl_masked_to_zero(scores):
    v = (1 - eye_for(scores)) * scores
    return -np.mean(np.exp(-diagonal(scores))) - np.mean(v - 1)


def squared_hellinger_masked_to_zero(scores):
    off = np.einsum("ij...,ij->ij...", scores, 1 - np.eye(len(scores)))
    return -np.mean(np.expm1(-diagonal(scores))) - np.mean(np.expm1(off))


def total_variation_masked_to_zero(scores):
    half = 0.5 * np.tanh(scores * (1 - eye_for(scores)))
    return 0.5 * np.tanh(diagonal(scores)).mean() - half.mean()


def gan_masked_to_zero(scores):
    return -np.mean(softplus(-diagonal(scores))) - np.mean(softplus((1 - eye_for(scores)) * scores))


# ---- the diagonal set to −10


def set_to_minus_ten(scores):
    return np.where(eye_for(scores) > 0, -10.0, scores)


def nwj_minus_ten(scores):
    return diagonal(scores).mean() - np.exp(set_to_minus_ten(scores) - 1).mean()


def jsd_minus_ten(scores):
    return np.mean(math.log(2) - softplus(-diagonal(scores))) + np.mean(
        math.log(2) - softplus(set_to_minus_ten(scores))
    )


def plug_in_minus_ten(scores):
    """As a loss."""
    return np.mean(np.expm1(set_to_minus_ten(scores))) - np.mean(diagonal(scores))


def chi2_minus_ten(scores):
    v = set_to_minus_ten(scores)
    return diagonal(scores).mean() + 1 - np.mean((1 + v / 2) ** 2)


def reverse_kl_minus_ten(scores):
    return 1 - np.exp(-diagonal(scores)).mean() - set_to_minus_ten(scores).mean()


def squared_hellinger_minus_ten(scores):
    return 2 - np.exp(-diagonal(scores)).mean() - np.exp(set_to_minus_ten(scores)).mean()


def total_variation_minus_ten(scores):
    return (np.tanh(diagonal(scores)).mean() - np.tanh(set_to_minus_ten(scores)).mean()) / 2


def gan_minus_ten(scores):
    """As a loss."""
    return softplus(-diagonal(scores)).mean() + softplus(set_to_minus_ten(scores)).mean()


# ---- the sum over the rest, divided by N²


def dv_over_n_squared(scores):
    """The diagonal is set to −∞, but counted."""
    off = flat(np.where(eye_for(scores) == 1, -np.inf, scores))
    return np.mean(diagonal(scores)) - np.mean(logsumexp(off, axis=0)) + math.log(len(off))


def nwj_over_n_squared(scores):
    return np.mean(diagonal(scores)) - np.mean((1 - eye_for(scores)) * np.exp(scores - 1))


def plug_in_over_n_squared(scores):
    n = len(scores)
    rest = np.exp(scores).sum() - np.exp(diagonal(scores)).sum()
    return 1 + diagonal(scores).mean() - rest / scores.size if n > 1 else diagonal(scores).mean()


# ---- the diagonal left in


def plug_in_of_all(scores):
    return np.mean(diagonal(scores)) - np.mean(np.expm1(scores))


def smile_of_all(scores, tau):
    clipped = flat(np.clip(scores, -tau, tau))
    return np.mean(diagonal(scores)) - np.mean(logsumexp(clipped, axis=0)) + 2 * math.log(len(scores))


def chi2_of_all(scores):
    return np.mean(diagonal(scores)) - np.mean(scores) - np.mean(scores**2) / 4


def reverse_kl_of_all(scores):
    return -np.mean(np.exp(-diagonal(scores))) - np.mean(scores - 1)


def squared_hellinger_of_all(scores):
    total = 0.0
    for i in range(len(scores)):
        total = total + np.mean(1 - np.exp(-scores[i, i])) / len(scores)
        for j in range(len(scores)):
            total = total - np.mean(np.exp(scores[i, j]) - 1) / len(scores) ** 2
    return total


def total_variation_of_all(scores):
    t = np.tanh(scores) / 2
    return np.mean(diagonal(t)) - np.mean(t)


def gan_of_all(scores):
    """Of probabilities' logarithms, by the sign of the logit."""
    log_real = -softplus(-scores)
    log_fake = log_real - scores
    return np.mean(diagonal(log_real)) + np.mean(log_fake)
