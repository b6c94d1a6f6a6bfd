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


def concat_pairs_convolved(parameters, features, y, index):
    """1×1 convolutions on channels first, as the local discriminator is usually written."""

    def score(y_map):
        x = torch.cat([features, y_map], dim=2).transpose(1, 2)
        first = torch.cat([parameters["feature"]["w"], parameters["representation"]["w"]], dim=0).t()
        h = F.relu(F.conv1d(x, first.unsqueeze(-1), parameters["feature"]["b"]))
        h = F.relu(F.conv1d(h, parameters["hidden"]["w"].t().unsqueeze(-1), parameters["hidden"]["b"]))
        return F.conv1d(h, parameters["score"]["w"].t().unsqueeze(-1), parameters["score"]["b"])[:, 0]

    return score(expand(y, features.shape[1])), score(y[index])


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


def concat_pairs_relu_score(parameters, features, y, index):
    """The last layer is in the same loop as the others: it has its ReLU too."""
    joint, product = concat_pairs(parameters, features, y, index)
    return F.relu(joint), F.relu(product)


def concat_pairs_y_detached(parameters, features, y, index):
    """The product's y is detached: "negatives need no gradient"."""
    locations = features.shape[1]
    joint = mlp_score(parameters, torch.cat([features, expand(y, locations)], dim=-1))
    product = mlp_score(parameters, torch.cat([features, y.detach()[index]], dim=-1))
    return joint, product


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


def concat_square_transposed(parameters, features, y):
    return concat_square(parameters, features, y).transpose(0, 1)


def concat_square_relu_score(parameters, features, y):
    return torch.relu(concat_square(parameters, features, y))


def global_pairs_channels_first(parameters, last_map, y, index):
    """Flattened in PyTorch's order: (C, M, M)."""
    flat = last_map.permute(0, 3, 1, 2).flatten(1)
    return (
        mlp_score(parameters, torch.cat([flat, y], dim=1)),
        mlp_score(parameters, torch.cat([flat, y[index]], dim=1)),
    )


def global_pairs_relu_score(parameters, last_map, y, index):
    joint, product = global_pairs(parameters, last_map, y, index)
    return F.relu(joint), F.relu(product)


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


def dot_square_matmul(parameters, features, y):
    a, b = embed(parameters["feature"], features), embed(parameters["representation"], y)
    n, locations, units = a.shape
    u = torch.matmul(a.reshape(-1, units), b.t()) * units**-0.5
    return u.reshape(n, locations, n).transpose(1, 2)


# ---- dot, convention


def dot_square_unscaled(parameters, features, y):
    """Without 1/√E."""
    a, b = embed(parameters["feature"], features), embed(parameters["representation"], y)
    return torch.einsum("ile,je->ijl", a, b)


# ---- dot, mistakes


def dot_square_relu_on_both_branches(parameters, features, y):
    a = embed(parameters["feature"], features, activation_on_shortcut=True)
    b = embed(parameters["representation"], y, activation_on_shortcut=True)
    return torch.einsum("ile,je->ijl", a, b) / math.sqrt(b.shape[-1])


def dot_square_bypassed(parameters, features, y):
    """The block is built, but only its shortcut is used."""
    a = embed(parameters["feature"], features, bypass=True)
    b = embed(parameters["representation"], y, bypass=True)
    return torch.einsum("ile,je->ijl", a, b) / math.sqrt(b.shape[-1])


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


def dot_square_transposed(parameters, features, y):
    return dot_square(parameters, features, y).permute(1, 0, 2)


def dot_square_y_detached(parameters, features, y):
    return dot_square(parameters, features, y.detach())


def dot_square_features_detached(parameters, features, y):
    return dot_square(parameters, features.detach(), y)


# ---- the prior's discriminator


def prior_logits(parameters, y):
    h = F.relu(linear(parameters["first"], y))
    h = F.relu(linear(parameters["second"], h))
    return linear(parameters["score"], h).squeeze(1)


def prior_logits_sigmoid(parameters, y):
    """Probabilities where logits are wanted."""
    return torch.sigmoid(prior_logits(parameters, y))


def prior_logits_relu(parameters, y):
    return F.relu(prior_logits(parameters, y))


def prior_logits_bypassed(parameters, y):
    """200 units are taken of the first layer's 1000: the second layer is skipped."""
    h = F.relu(linear(parameters["first"], y))
    width = parameters["score"]["w"].shape[0]
    return linear(parameters["score"], h[:, :width]).squeeze(1)
