"""Deep InfoMax in PyTorch, as a good PyTorch user writes it.

Both sides do the same mathematics in the same form: the critic's first layer is split into its two halves, whose products
positive and negative pairs share, and a pair is formed by gathering rows. So both multiply the same matrices, and a
difference in time is one of the implementations. Public code concatenates first and is slower than this twin.

Modules carry the names of `torch_layout.torch_names`, but for the two halves and for `global`, a word that the code which
torch.compile writes cannot use as a name: here global_. Imports PyTorch: to be imported where it is known to be there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from dimref.encoders import KERNEL, PADDING, STRIDE, Layout
from dimref.layers import EPSILON, MOMENTUM
from dimref.objectives import Objective
from dimref.trees import Tree

RENAMED = {"global": "global_"}


class Encoder(nn.Module):
    """Images (B, C, H, W) → local map (B, F, M, M), last map, fc (B, fc), y (B, D); every map is after its ReLU."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.depth = layout.depth
        for k, (c_in, c_out) in enumerate(zip((layout.channels, *layout.widths), layout.widths, strict=False), start=1):
            self.add_module(f"conv{k}", nn.Conv2d(c_in, c_out, KERNEL, STRIDE, PADDING, bias=False))
            self.add_module(f"norm{k}", nn.BatchNorm2d(c_out, EPSILON, MOMENTUM))
        self.fc = nn.Linear(layout.last[0] ** 2 * layout.last[1], layout.fc, bias=False)
        self.norm_fc = nn.BatchNorm1d(layout.fc, EPSILON, MOMENTUM)
        self.y = nn.Linear(layout.fc, layout.representation)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        maps = [images]
        for k in range(1, self.depth + 1):
            x = self.get_submodule(f"conv{k}")(maps[-1])
            maps.append(torch.relu(self.get_submodule(f"norm{k}")(x)))
        fc = torch.relu(self.norm_fc(self.fc(maps[-1].flatten(1))))
        return maps[-2], maps[-1], fc, self.y(fc)


class Concat(nn.Module):
    """The concat critic: features (N, L, F), y (N, D), index (N, L) → positive (N, L), negative pairs' scores (N, L)."""

    def __init__(self, parameters: Tree) -> None:
        super().__init__()
        (features, hidden), representation = parameters["feature"]["w"].shape, len(parameters["representation"]["w"])
        self.feature = nn.Linear(features, hidden)
        self.representation = nn.Linear(representation, hidden, bias=False)
        self.hidden, self.score = nn.Linear(hidden, hidden), nn.Linear(hidden, 1)

    def forward(self, features: Tensor, y: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        feature, representation = self.feature(features), self.representation(y)
        partner = functional.embedding(index, representation)
        return self.above(feature + representation[:, None]), self.above(feature + partner)

    def above(self, first: Tensor) -> Tensor:
        """The layers above the first."""
        return self.score(torch.relu(self.hidden(torch.relu(first)))).squeeze(-1)


class Embedding(nn.Module):
    """Two layers with a linear shortcut, then layer norm: (..., n_in) → (..., E)."""

    def __init__(self, parameters: Tree) -> None:
        super().__init__()
        n_in, units = parameters["hidden"]["w"].shape
        self.hidden, self.out = nn.Linear(n_in, units), nn.Linear(units, units)
        self.shortcut = nn.Linear(n_in, units, bias=False)
        self.norm = nn.LayerNorm(units, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.out(torch.relu(self.hidden(x))) + self.shortcut(x))


class Dot(nn.Module):
    """The dot critic: features (N, L, F), y (N, D) → scores[i, j, l] = ⟨a(f_il), b(y_j)⟩ / √E, (N, N, L)."""

    def __init__(self, parameters: Tree) -> None:
        super().__init__()
        self.feature, self.representation = Embedding(parameters["feature"]), Embedding(parameters["representation"])

    def forward(self, features: Tensor, y: Tensor) -> Tensor:
        a, b = self.feature(features), self.representation(y)
        return (torch.matmul(a, b.T) * (1 / math.sqrt(b.shape[1]))).transpose(1, 2)


class Prior(nn.Module):
    """The prior's discriminator: y (B, D) → the log odds (B,) that y came from the prior."""

    def __init__(self, parameters: Tree) -> None:
        super().__init__()
        self.first, self.second, self.score = (
            nn.Linear(*parameters[n]["w"].shape) for n in ("first", "second", "score")
        )

    def forward(self, y: Tensor, stopped: bool = False) -> Tensor:
        """With `stopped` no gradient flows to the parameters."""
        for layer in (self.first, self.second, self.score):
            weight, bias = (layer.weight.detach(), layer.bias.detach()) if stopped else (layer.weight, layer.bias)
            y = functional.linear(y, weight, bias)
            if layer is not self.score:
                y = torch.relu(y)
        return y.squeeze(-1)


class Model(nn.Module):
    """Encoder, critics and prior, of the sizes of dimref's parameters; called, it gives the loss."""

    def __init__(self, layout: Layout, objective: Objective, parameters: Tree) -> None:
        super().__init__()
        self.objective = objective
        self.encoder = Encoder(layout)
        for name in ("local", "global"):
            if name in parameters:
                critic = Concat if "w" in parameters[name]["feature"] else Dot
                self.add_module(RENAMED.get(name, name), critic(parameters[name]))
        if "prior" in parameters:
            self.prior = Prior(parameters["prior"])

    def forward(self, images: Tensor, noise: dict[str, dict[str, Tensor]]) -> Tensor:
        """−(α·I_global + β·I_local) + γ·(both players' prior terms)."""
        local_map, last_map, _, y = self.encoder(images)
        features = {
            "local": local_map.permute(0, 2, 3, 1).flatten(1, 2),
            "global": (local_map if self.objective.global_map == "local" else last_map).flatten(1).unsqueeze(1),
        }
        weights = {"global": self.objective.global_weight, "local": self.objective.local_weight}
        loss = y.new_zeros(())
        for term, weight in weights.items():
            if weight:
                critic = self.get_submodule(RENAMED.get(term, term))
                loss = loss - weight * _information(critic, features[term], y, noise.get(term, {}).get("index"))
        if self.objective.prior_weight:
            loss = loss + self.objective.prior_weight * _prior_game(self.prior, y, noise["prior"]["z"])
        return loss


def _information(critic: nn.Module, features: Tensor, y: Tensor, index: Tensor | None) -> Tensor:
    """JSD of a concat critic's pairs, or InfoNCE (same location) of a dot critic's score matrix, in nats."""
    if isinstance(critic, Dot):
        scores = critic(features, y)
        positive = torch.diagonal(scores).T  # (N, L)
        return math.log(len(y)) + (positive - torch.logsumexp(scores, 0)).mean()
    positive, negative = critic(features, y, index)
    return math.log(4) - functional.softplus(-positive).mean() - functional.softplus(negative).mean()


def _prior_game(prior: nn.Module, y: Tensor, z: Tensor) -> Tensor:
    """Both players' losses (minimax) against the uniform prior."""
    sample = torch.sigmoid(y)
    game = functional.softplus(-prior(z)).mean() + functional.softplus(prior(sample.detach())).mean()
    return game - functional.softplus(prior(sample, stopped=True)).mean()
