"""More mistakes in scorers and the prior's discriminator, as PyTorch repositories write them."""

import torch
import torch.nn.functional as F


def first_layer(p, x, y):
    return F.linear(x, p["feature"]["w"].t(), p["feature"]["b"]) + F.linear(y, p["representation"]["w"].t())


def top(p, h):
    """From the first layer's output, before its ReLU, to the score."""
    h = F.relu(torch.addmm(p["hidden"]["b"], F.relu(h).flatten(0, -2), p["hidden"]["w"]).view(h.shape))
    return (h @ p["score"]["w"] + p["score"]["b"]).squeeze(-1)


def critic(p, x, y):
    return top(p, first_layer(p, x, y))


# ---- detached on one path or both


def concat_pairs_y_detached_joint(parameters, features, y, index):
    partners = y.detach().unsqueeze(1).expand(-1, features.size(1), -1)
    return critic(parameters, features, partners), critic(parameters, features, y[index])


def concat_pairs_negatives_without_grad(parameters, features, y, index):
    joint = critic(parameters, features, y[:, None].repeat(1, features.size(1), 1))
    with torch.no_grad():
        product = critic(parameters, features, y[index])
    return joint, product


def concat_pairs_negatives_of_constants(parameters, features, y, index):
    """As fake images are detached from their generator."""
    joint = critic(parameters, features, y[:, None].repeat(1, features.size(1), 1))
    return joint, critic(parameters, features.detach(), y.detach()[index])


def global_pairs_map_detached_joint(parameters, last_map, y, index):
    x = last_map.flatten(start_dim=1)
    return critic(parameters, x.detach(), y), critic(parameters, x, y[index])


def global_pairs_map_detached_product(parameters, last_map, y, index):
    x = last_map.flatten(start_dim=1)
    return critic(parameters, x, y), critic(parameters, x.detach(), y.index_select(0, index))


# ---- activations


# ---- dot products


def block(p, x):
    h = F.relu(x @ p["hidden"]["w"] + p["hidden"]["b"]) @ p["out"]["w"] + p["out"]["b"]
    h = h + x @ p["shortcut"]["w"]
    return F.layer_norm(h, h.shape[-1:], p["norm"]["gain"], p["norm"]["shift"])


def dots(a, b):
    return torch.einsum("nld, md -> nml", a, b) * a.shape[-1] ** -0.5


def dot_square_positive_embeddings(parameters, features, y):
    """Norm, then ReLU, as between any two layers."""
    a, b = block(parameters["feature"], features), block(parameters["representation"], y)
    return dots(F.relu(a), F.relu(b))
