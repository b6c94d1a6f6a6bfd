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


def concat_pairs_y_detached_both(parameters, features, y, index):
    """The summary is made under no_grad, as a target network's would be."""
    with torch.no_grad():
        target = y.clone()
    partners = target[:, None].repeat(1, features.size(1), 1)
    return critic(parameters, features, partners), critic(parameters, features, target[index])


def concat_pairs_map_detached_both(parameters, features, y, index):
    """Only the representation is meant to learn."""
    local = features.detach()
    partners = y[:, None].repeat(1, features.size(1), 1)
    return critic(parameters, local, partners), critic(parameters, local, y[index])


def concat_pairs_negatives_without_grad(parameters, features, y, index):
    joint = critic(parameters, features, y[:, None].repeat(1, features.size(1), 1))
    with torch.no_grad():
        product = critic(parameters, features, y[index])
    return joint, product


def concat_pairs_negatives_of_constants(parameters, features, y, index):
    """As fake images are detached from their generator."""
    joint = critic(parameters, features, y[:, None].repeat(1, features.size(1), 1))
    return joint, critic(parameters, features.detach(), y.detach()[index])


def global_pairs_y_detached_joint(parameters, last_map, y, index):
    x = last_map.flatten(start_dim=1)
    return critic(parameters, x, y.detach()), critic(parameters, x, y[index])


def global_pairs_y_detached_product(parameters, last_map, y, index):
    """The shuffled batch is taken from .data."""
    x = last_map.flatten(start_dim=1)
    return critic(parameters, x, y), critic(parameters, x, y.data[index])


def global_pairs_y_detached_both(parameters, last_map, y, index):
    x, y = last_map.flatten(start_dim=1), y.detach()
    return critic(parameters, x, y), critic(parameters, x, y[index])


def global_pairs_map_detached_joint(parameters, last_map, y, index):
    x = last_map.flatten(start_dim=1)
    return critic(parameters, x.detach(), y), critic(parameters, x, y[index])


def global_pairs_map_detached_product(parameters, last_map, y, index):
    x = last_map.flatten(start_dim=1)
    return critic(parameters, x, y), critic(parameters, x.detach(), y.index_select(0, index))


def global_pairs_negatives_without_grad(parameters, last_map, y, index):
    x = last_map.flatten(start_dim=1)
    return critic(parameters, x, y), critic(parameters, x, y[index]).detach()


def global_pairs_negatives_of_constants(parameters, last_map, y, index):
    """Clones of what was computed, off the graph."""
    x = last_map.flatten(start_dim=1)
    negatives = x.clone().detach(), y[index].clone().detach()
    return critic(parameters, x, y), critic(parameters, *negatives)


def concat_square_y_detached(parameters, features, y):
    left = F.linear(features, parameters["feature"]["w"].t(), parameters["feature"]["b"])
    right = F.linear(y.detach(), parameters["representation"]["w"].t())
    return top(parameters, left.unsqueeze(1) + right[None, :, None])


def concat_square_map_detached(parameters, features, y):
    n, locations, _ = features.shape
    a = features.detach()[:, None].expand(n, n, locations, -1)
    b = y[None, :, None].expand(n, n, locations, -1)
    return critic(parameters, a, b)


# ---- activations


def global_pairs_tanh(parameters, last_map, y, index):
    x = last_map.flatten(start_dim=1)
    return torch.tanh(critic(parameters, x, y)), torch.tanh(critic(parameters, x, y[index]))


def global_pairs_one_relu(parameters, last_map, y, index):
    """The second layer has no activation."""
    p = parameters
    folded = p["hidden"]["w"] @ p["score"]["w"]
    offset = p["hidden"]["b"] @ p["score"]["w"] + p["score"]["b"]
    x = last_map.flatten(start_dim=1)
    joint = F.relu(first_layer(p, x, y)) @ folded + offset
    product = F.relu(first_layer(p, x, y[index])) @ folded + offset
    return joint[:, 0], product[:, 0]


def concat_square_sigmoid(parameters, features, y):
    """nn.Sigmoid() at the end of the nn.Sequential."""
    return torch.sigmoid(critic(parameters, features[:, None], y[None, :, None]))


def concat_square_leaky(parameters, features, y):
    """nn.LeakyReLU(0.2), as in DCGAN."""
    h = F.leaky_relu(first_layer(parameters, features[:, None], y[None, :, None]), 0.2)
    h = F.leaky_relu(h @ parameters["hidden"]["w"] + parameters["hidden"]["b"], 0.2)
    return torch.squeeze(h @ parameters["score"]["w"] + parameters["score"]["b"], -1)


# ---- dot products


def block(p, x):
    h = F.relu(x @ p["hidden"]["w"] + p["hidden"]["b"]) @ p["out"]["w"] + p["out"]["b"]
    h = h + x @ p["shortcut"]["w"]
    return F.layer_norm(h, h.shape[-1:], p["norm"]["gain"], p["norm"]["shift"])


def dots(a, b):
    return torch.einsum("nld, md -> nml", a, b) * a.shape[-1] ** -0.5


def dot_square_positive_scores(parameters, features, y):
    return dots(block(parameters["feature"], features), block(parameters["representation"], y)).clamp(min=0)


def dot_square_positive_embeddings(parameters, features, y):
    """Norm, then ReLU, as between any two layers."""
    a, b = block(parameters["feature"], features), block(parameters["representation"], y)
    return dots(F.relu(a), F.relu(b))


def dot_square_one_layer(parameters, features, y):
    """The hidden units go to the sum, past the second layer."""

    def short_block(p, x):
        h = F.relu(x @ p["hidden"]["w"] + p["hidden"]["b"]) + x @ p["shortcut"]["w"]
        return F.layer_norm(h, h.shape[-1:], p["norm"]["gain"], p["norm"]["shift"])

    return dots(short_block(parameters["feature"], features), short_block(parameters["representation"], y))
