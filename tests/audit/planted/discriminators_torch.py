"""Scorers and the prior's discriminator as PyTorch repositories write them, on weights that are handed in."""

import math

import torch
import torch.nn.functional as F


def linear(layer, x):
    return F.linear(x, layer["w"].t(), layer.get("b"))


def mlp_score(p, x):
    """Concatenated [feature, y] through three layers; the first weight is stacked from its two halves."""
    first = torch.cat([p["feature"]["w"], p["representation"]["w"]], dim=0)
    h = F.relu(x @ first + p["feature"]["b"])
    h = F.relu(linear(p["hidden"], h))
    return linear(p["score"], h).squeeze(-1)


def expand(y, locations):
    return y.unsqueeze(1).expand(-1, locations, -1)


# ---- concat-and-convolve, right


def concat_pairs(parameters, features, y, index):
    locations = features.shape[1]
    joint = mlp_score(parameters, torch.cat([features, expand(y, locations)], dim=-1))
    product = mlp_score(parameters, torch.cat([features, y[index]], dim=-1))
    return joint, product


def concat_square(parameters, features, y):
    n, locations, f = features.shape
    left = features.unsqueeze(1).expand(n, n, locations, f)
    right = y.unsqueeze(0).unsqueeze(2).expand(n, n, locations, y.shape[1])
    return mlp_score(parameters, torch.cat([left, right], dim=-1))


def global_pairs(parameters, last_map, y, index):
    flat = last_map.flatten(1)
    return (
        mlp_score(parameters, torch.cat([flat, y], dim=1)),
        mlp_score(parameters, torch.cat([flat, y[index]], dim=1)),
    )


# ---- concat, mistakes


def concat_pairs_features_detached(parameters, features, y, index):
    locations = features.shape[1]
    joint = mlp_score(parameters, torch.cat([features, expand(y, locations)], dim=-1))
    product = mlp_score(parameters, torch.cat([features.detach(), y[index]], dim=-1))
    return joint, product


def concat_pairs_hidden_bypassed(parameters, features, y, index):
    """The second layer is built, and forgotten in forward."""

    def score(x):
        first = torch.cat([parameters["feature"]["w"], parameters["representation"]["w"]], dim=0)
        return linear(parameters["score"], F.relu(x @ first + parameters["feature"]["b"])).squeeze(-1)

    here = torch.cat([features, expand(y, features.shape[1])], dim=-1)
    return score(here), score(torch.cat([features, y[index]], dim=-1))


def concat_pairs_no_first_relu(parameters, features, y, index):
    def score(x):
        first = torch.cat([parameters["feature"]["w"], parameters["representation"]["w"]], dim=0)
        h = F.relu(linear(parameters["hidden"], x @ first + parameters["feature"]["b"]))
        return linear(parameters["score"], h).squeeze(-1)

    here = torch.cat([features, expand(y, features.shape[1])], dim=-1)
    return score(here), score(torch.cat([features, y[index]], dim=-1))


def concat_pairs_sigmoid(parameters, features, y, index):
    """A sigmoid at the end, as a GAN's discriminator has it."""
    joint, product = concat_pairs(parameters, features, y, index)
    return torch.sigmoid(joint), torch.sigmoid(product)


def concat_pairs_same_partner(parameters, features, y, index):
    """The product's y was never shuffled."""
    joint, _ = concat_pairs(parameters, features, y, index)
    return joint, joint.clone()


def concat_pairs_first_location(parameters, features, y, index):
    """One shuffle for all locations: the first location's."""
    locations = features.shape[1]
    joint = mlp_score(parameters, torch.cat([features, expand(y, locations)], dim=-1))
    product = mlp_score(parameters, torch.cat([features, expand(y[index[:, 0]], locations)], dim=-1))
    return joint, product


def global_pairs_channels_first(parameters, last_map, y, index):
    """Flattened in PyTorch's order: (C, M, M)."""
    flat = last_map.permute(0, 3, 1, 2).flatten(1)
    return (
        mlp_score(parameters, torch.cat([flat, y], dim=1)),
        mlp_score(parameters, torch.cat([flat, y[index]], dim=1)),
    )


# ---- encode-and-dot-product, right


def embed(p, x, activation_on_shortcut=False, activation_on_sum=False, bypass=False, norm=True):
    h = linear(p["out"], F.relu(linear(p["hidden"], x)))
    shortcut = linear(p["shortcut"], x)
    out = h + shortcut
    if activation_on_shortcut:
        out = F.relu(h) + F.relu(shortcut)
    if activation_on_sum:
        out = F.relu(out)
    if bypass:
        out = shortcut
    if not norm:
        return out
    return F.layer_norm(out, out.shape[-1:], p["norm"]["gain"], p["norm"]["shift"])


def dot_square(parameters, features, y):
    a, b = embed(parameters["feature"], features), embed(parameters["representation"], y)
    return torch.einsum("ile,je->ijl", a, b) / math.sqrt(b.shape[-1])


# ---- dot, mistakes


def dot_square_no_norm(parameters, features, y):
    a = embed(parameters["feature"], features, norm=False)
    b = embed(parameters["representation"], y, norm=False)
    return torch.einsum("ile,je->ijl", a, b) / math.sqrt(b.shape[-1])


def dot_square_cosine(parameters, features, y):
    a = F.normalize(embed(parameters["feature"], features), dim=-1)
    b = F.normalize(embed(parameters["representation"], y), dim=-1)
    return torch.einsum("ile,je->ijl", a, b)


def dot_square_divided_by_e(parameters, features, y):
    a, b = embed(parameters["feature"], features), embed(parameters["representation"], y)
    return torch.einsum("ile,je->ijl", a, b) / b.shape[-1]


# ---- the prior's discriminator


def prior_logits(parameters, y):
    h = F.relu(linear(parameters["first"], y))
    h = F.relu(linear(parameters["second"], h))
    return linear(parameters["score"], h).squeeze(1)
