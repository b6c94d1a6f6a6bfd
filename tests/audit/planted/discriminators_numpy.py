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


def global_pairs(parameters, last_map, y, index):
    n = y.shape[0]
    flat = np.reshape(last_map, (n, -1))
    joint = np.array([score_one(parameters, flat[i], y[i]) for i in range(n)])
    return joint, np.array([score_one(parameters, flat[i], y[index[i]]) for i in range(n)])


def embedding(p, x):
    h = relu(np.dot(x, p["hidden"]["w"]) + p["hidden"]["b"])
    z = np.dot(h, p["out"]["w"]) + p["out"]["b"] + np.dot(x, p["shortcut"]["w"])
    z = z - np.mean(z, axis=-1, keepdims=True)
    z = z / np.sqrt(np.mean(z * z, axis=-1, keepdims=True) + 1e-5)
    return z * p["norm"]["gain"] + p["norm"]["shift"]


def dot_square(parameters, features, y):
    a, b = embedding(parameters["feature"], features), embedding(parameters["representation"], y)
    return np.einsum("ile,je->ijl", a, b) / np.sqrt(float(b.shape[1]))


def prior_logits(parameters, y):
    h = np.maximum(0, np.dot(y, parameters["first"]["w"]) + parameters["first"]["b"])
    h = np.maximum(0, np.dot(h, parameters["second"]["w"]) + parameters["second"]["b"])
    return (np.dot(h, parameters["score"]["w"]) + parameters["score"]["b"])[:, 0]


# ---- mistakes


def concat_pairs_rectified(parameters, features, y, index):
    joint, product = concat_pairs(parameters, features, y, index)
    return relu(joint), relu(product)


def concat_pairs_y_stopped(parameters, features, y, index):
    joint, _ = concat_pairs(parameters, features, y, index)
    _, product = concat_pairs(parameters, features, getval(y), index)
    return joint, product


def concat_pairs_features_stopped(parameters, features, y, index):
    """The feature map is stopped in the joint's path."""
    joint, _ = concat_pairs(parameters, getval(features), y, index)
    _, product = concat_pairs(parameters, features, y, index)
    return joint, product


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


def dot_square_both_rectified(parameters, features, y):
    def rectified(p, x):
        h = relu(np.dot(x, p["hidden"]["w"]) + p["hidden"]["b"])
        z = relu(np.dot(h, p["out"]["w"]) + p["out"]["b"]) + relu(np.dot(x, p["shortcut"]["w"]))
        z = z - np.mean(z, axis=-1, keepdims=True)
        return z / np.sqrt(np.var(z, axis=-1, keepdims=True) + 1e-5) * p["norm"]["gain"] + p["norm"]["shift"]

    a, b = rectified(parameters["feature"], features), rectified(parameters["representation"], y)
    return np.einsum("ile,je->ijl", a, b) / np.sqrt(float(b.shape[1]))


def dot_square_shortcut_alone(parameters, features, y):
    def shortcut(p, x):
        z = np.dot(x, p["shortcut"]["w"])
        z = z - np.mean(z, axis=-1, keepdims=True)
        return z / np.sqrt(np.var(z, axis=-1, keepdims=True) + 1e-5) * p["norm"]["gain"] + p["norm"]["shift"]

    a, b = shortcut(parameters["feature"], features), shortcut(parameters["representation"], y)
    return np.einsum("ile,je->ijl", a, b) / np.sqrt(float(b.shape[1]))


def prior_logits_probabilities(parameters, y):
    return 1 / (1 + np.exp(-prior_logits(parameters, y)))
