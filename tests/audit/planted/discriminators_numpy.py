"""Scorers and the prior's discriminator in NumPy and autograd, on weights that are handed in."""

import autograd.numpy as np
from autograd.tracer import getval


def relu(x):
    return x * (x > 0)


def score_one(p, feature, y):
    """One pair: two vectors in, one number out."""
    h = relu(np.dot(feature, p["feature"]["w"]) + np.dot(y, p["representation"]["w"]) + p["feature"]["b"])
    h = relu(np.dot(h, p["hidden"]["w"]) + p["hidden"]["b"])
    return np.dot(h, p["score"]["w"])[0] + p["score"]["b"][0]


# ---- right


def concat_pairs(parameters, features, y, index):
    n, locations, _ = features.shape
    joint = [[score_one(parameters, features[i, here], y[i]) for here in range(locations)] for i in range(n)]
    product = [
        [score_one(parameters, features[i, here], y[index[i, here]]) for here in range(locations)] for i in range(n)
    ]
    return np.array(joint), np.array(product)


def concat_square(parameters, features, y):
    n, locations, _ = features.shape
    square = [
        [[score_one(parameters, features[i, here], y[j]) for here in range(locations)] for j in range(n)]
        for i in range(n)
    ]
    return np.array(square)


def embedding(p, x):
    h = relu(np.dot(x, p["hidden"]["w"]) + p["hidden"]["b"])
    z = np.dot(h, p["out"]["w"]) + p["out"]["b"] + np.dot(x, p["shortcut"]["w"])
    z = z - np.mean(z, axis=-1, keepdims=True)
    z = z / np.sqrt(np.mean(z * z, axis=-1, keepdims=True) + 1e-5)
    return z * p["norm"]["gain"] + p["norm"]["shift"]


def prior_logits(parameters, y):
    h = np.maximum(0, np.dot(y, parameters["first"]["w"]) + parameters["first"]["b"])
    h = np.maximum(0, np.dot(h, parameters["second"]["w"]) + parameters["second"]["b"])
    return (np.dot(h, parameters["score"]["w"]) + parameters["score"]["b"])[:, 0]


# ---- mistakes


def concat_pairs_inverse_index(parameters, features, y, index):
    """The feature is shuffled where y should be: x[index] meets y."""
    n, locations, _ = features.shape
    joint, _ = concat_pairs(parameters, features, y, index)
    product = [
        [score_one(parameters, features[index[i, here], here], y[i]) for here in range(locations)] for i in range(n)
    ]
    return joint, np.array(product)


def concat_square_other_way(parameters, features, y):
    return np.transpose(concat_square(parameters, features, y), (1, 0, 2))


def dot_square_raw(parameters, features, y):
    """No 1/√E."""
    a, b = embedding(parameters["feature"], features), embedding(parameters["representation"], y)
    return np.einsum("ile,je->ijl", a, b)


def dot_square_shortcut_alone(parameters, features, y):
    def shortcut(p, x):
        z = np.dot(x, p["shortcut"]["w"])
        z = z - np.mean(z, axis=-1, keepdims=True)
        return z / np.sqrt(np.var(z, axis=-1, keepdims=True) + 1e-5) * p["norm"]["gain"] + p["norm"]["shift"]

    a, b = shortcut(parameters["feature"], features), shortcut(parameters["representation"], y)
    return np.einsum("ile,je->ijl", a, b) / np.sqrt(float(b.shape[1]))


def prior_logits_probabilities(parameters, y):
    return 1 / (1 + np.exp(-prior_logits(parameters, y)))


def rectified(x):
    return np.where(x > 0, x, 0.0)


def score(p, f, y, first=rectified, second=rectified, bias=1.0):
    """T of features and y, whose leading axes broadcast."""
    h = first(np.matmul(f, p["feature"]["w"]) + np.matmul(y, p["representation"]["w"]) + p["feature"]["b"])
    h = second(np.matmul(h, p["hidden"]["w"]) + bias * p["hidden"]["b"])
    return (np.matmul(h, p["score"]["w"]) + bias * p["score"]["b"])[..., 0]


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


# ---- the prior's discriminator


def odds(p, y, activations=(rectified, rectified), bias=1.0):
    for layer, activation in zip(("first", "second"), activations, strict=True):
        y = activation(y @ p[layer]["w"] + bias * p[layer]["b"])
    return y @ p["score"]["w"][:, 0] + bias * p["score"]["b"][0]


def prior_logits_of_sigmoid(parameters, y):
    return odds(parameters, 1 / (1 + np.exp(-y)))
