"""More mistakes in scorers and the prior's discriminator, in NumPy."""

from functools import partial

import autograd.numpy as np
from autograd.tracer import getval


def rectified(x):
    return np.where(x > 0, x, 0.0)


def leaky(x, slope=0.2):
    return np.where(x > 0, x, slope * x)


identity = partial(leaky, slope=1.0)


def score(p, f, y, first=rectified, second=rectified, bias=1.0):
    """T of features and y, whose leading axes broadcast."""
    h = first(np.matmul(f, p["feature"]["w"]) + np.matmul(y, p["representation"]["w"]) + p["feature"]["b"])
    h = second(np.matmul(h, p["hidden"]["w"]) + bias * p["hidden"]["b"])
    return (np.matmul(h, p["score"]["w"]) + bias * p["score"]["b"])[..., 0]


# ---- pairs of feature map and y


def concat_pairs_tanh(parameters, features, y, index):
    return np.tanh(score(parameters, features, y[:, None])), np.tanh(score(parameters, features, y[index]))


def concat_pairs_linear(parameters, features, y, index):
    """Three matrices in a row."""
    one, two, three = parameters["feature"]["w"], parameters["hidden"]["w"], parameters["score"]["w"][:, 0]

    def chain(partner):
        h = features @ one + partner @ parameters["representation"]["w"] + parameters["feature"]["b"]
        return (h @ two + parameters["hidden"]["b"]) @ three + parameters["score"]["b"][0]

    return chain(y[:, None]), chain(y[index])


def concat_pairs_one_relu(parameters, features, y, index):
    return tuple(score(parameters, features, partner, second=identity) for partner in (y[:, None], y[index]))


def concat_pairs_leaky(parameters, features, y, index):
    return tuple(score(parameters, features, partner, leaky, leaky) for partner in (y[:, None], y[index]))


def concat_pairs_no_bias(parameters, features, y, index):
    """bias=False in all but the first layer."""
    return tuple(score(parameters, features, partner, bias=0.0) for partner in (y[:, None], y[index]))


def concat_pairs_tiled(parameters, features, y, index):
    """Features are laid out row by row, y batch by batch."""
    n, locations, width = features.shape
    rows = np.reshape(features, (n * locations, width))
    joint = score(parameters, rows, np.tile(y, (locations, 1)))
    return np.reshape(joint, (n, locations)), score(parameters, features, y[index])


def concat_pairs_index_by_location(parameters, features, y, index):
    """All pairs in one batch of N·L, sample by sample, but the partners column by column."""
    n, locations, width = features.shape
    product = score(parameters, np.reshape(features, (-1, width)), y[np.ravel(index, order="F")])
    return score(parameters, features, y[:, None]), np.reshape(product, (n, locations))


def concat_pairs_features_by_location(parameters, features, y, index):
    """All pairs in one batch of L·N, location by location, but the partners row by row."""
    rows = np.concatenate([features[:, at] for at in range(features.shape[1])])
    product = score(parameters, rows, y[np.ravel(index)])
    joint = score(parameters, features, y[:, None])
    return joint, np.transpose(np.reshape(product, np.shape(joint)[::-1]))


# ---- pairs of last map and y


def flat(last_map):
    return np.reshape(last_map, (last_map.shape[0], -1))


def global_pairs_transposed_map(parameters, last_map, y, index):
    """Columns before rows."""
    x = flat(np.swapaxes(last_map, 1, 2))
    return score(parameters, x, y), score(parameters, x, y[index])


def global_pairs_map_constant(parameters, last_map, y, index):
    x = flat(getval(last_map))
    return score(parameters, x, y), score(parameters, x, y[index])


# ---- every pair


# ---- dot products


def normalized(p, z, ddof=0):
    z = z - np.mean(z, axis=-1, keepdims=True)
    variance = np.sum(z**2, axis=-1, keepdims=True) / (z.shape[-1] - ddof)
    return z / np.sqrt(variance + 1e-5) * p["norm"]["gain"] + p["norm"]["shift"]


def branches(p, x, activation=rectified):
    hidden = activation(np.matmul(x, p["hidden"]["w"]) + p["hidden"]["b"])
    return np.matmul(hidden, p["out"]["w"]) + p["out"]["b"], np.matmul(x, p["shortcut"]["w"])


def products(a, b):
    return np.einsum("ile,je->ijl", a, b) / np.sqrt(1.0 * a.shape[-1])


def dot_square_rectified_sum(parameters, features, y):
    """A residual block that ends in a ReLU."""
    ends = []
    for p, x in ((parameters["feature"], features), (parameters["representation"], y)):
        deep, short = branches(p, x)
        ends.append(normalized(p, np.maximum(deep + short, 0.0)))
    return products(*ends)


def dot_square_ddof(parameters, features, y):
    """Layer norm by a sample variance."""
    a, b = parameters["feature"], parameters["representation"]
    return products(normalized(a, sum(branches(a, features)), 1), normalized(b, sum(branches(b, y)), 1))


def dot_square_no_shortcut(parameters, features, y):
    """The residual is not added."""
    a, b = parameters["feature"], parameters["representation"]
    return products(normalized(a, branches(a, features)[0]), normalized(b, branches(b, y)[0]))


# ---- the prior's discriminator


def odds(p, y, activations=(rectified, rectified), bias=1.0):
    for layer, activation in zip(("first", "second"), activations, strict=True):
        y = activation(y @ p[layer]["w"] + bias * p[layer]["b"])
    return y @ p["score"]["w"][:, 0] + bias * p["score"]["b"][0]


def prior_logits_of_sigmoid(parameters, y):
    return odds(parameters, 1 / (1 + np.exp(-y)))


def prior_logits_fake_is_one(parameters, y):
    """Positive for representations."""
    return -odds(parameters, y)
