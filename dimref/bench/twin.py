"""The same networks, objective and step in PyTorch, as a good PyTorch user writes them.

Both sides do the same mathematics in the same form: the critic's first layer is split into its two halves, whose products
joint and product pairs share, and a pair is formed by gathering rows. So both multiply the same matrices, and a
difference in time is one of the implementations. Public code concatenates first and is slower than this twin.

Modules carry the names of `layouts.torch_names`, but for the two halves and for `global`, a word that the code which
torch.compile writes cannot use as a name: here global_. Imports PyTorch: to be imported where it is known to be there.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dimref import amdim
from dimref.amdim import encoder as amdim_encoder
from dimref.bench import twin_amdim
from dimref.bench.reference import LR
from dimref.bench.work import Work
from dimref.encoders import KERNEL, PADDING, STRIDE, Layout
from dimref.export import torch_layout
from dimref.layers import EPSILON, MOMENTUM
from dimref.objectives import Objective
from dimref.training.method import AnyLayout
from dimref.trees import Tree, map_tree

RENAMED = {"global": "global_"}

# ---- modules


class Encoder(nn.Module):
    """Images (B, C, H, W) → local map (B, F, M, M), last map, fc (B, fc), y (B, D)."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.depth = layout.depth
        c_in = layout.channels
        for k, c_out in enumerate(layout.widths, start=1):
            self.add_module(f"conv{k}", nn.Conv2d(c_in, c_out, KERNEL, STRIDE, PADDING, bias=False))
            self.add_module(f"norm{k}", nn.BatchNorm2d(c_out, EPSILON, MOMENTUM))
            c_in = c_out
        self.fc = nn.Linear(layout.last[0] ** 2 * c_in, layout.fc, bias=False)
        self.norm_fc = nn.BatchNorm1d(layout.fc, EPSILON, MOMENTUM)
        self.y = nn.Linear(layout.fc, layout.representation)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Every map is after its ReLU."""
        maps = [images]
        for k in range(1, self.depth + 1):
            x = self.get_submodule(f"conv{k}")(maps[-1])
            maps.append(torch.relu(self.get_submodule(f"norm{k}")(x)))
        fc = torch.relu(self.norm_fc(self.fc(maps[-1].flatten(1))))
        return maps[-2], maps[-1], fc, self.y(fc)


class Concat(nn.Module):
    """The concat critic: features (N, L, F), y (N, D), index (N, L) → joint (N, L), product (N, L)."""

    def __init__(self, features: int, representation: int, hidden: int) -> None:
        super().__init__()
        self.feature = nn.Linear(features, hidden)
        self.representation = nn.Linear(representation, hidden, bias=False)
        self.hidden = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, 1)

    def forward(self, features: Tensor, y: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """The scores of the positive pairs, and of one negative pair for each."""
        feature, representation = self.feature(features), self.representation(y)
        partner = functional.embedding(index, representation)
        return self.above(feature + representation[:, None]), self.above(feature + partner)

    def above(self, first: Tensor) -> Tensor:
        """The layers above the first."""
        return self.score(torch.relu(self.hidden(torch.relu(first)))).squeeze(-1)


class Embedding(nn.Module):
    """Two layers with a linear shortcut and layer norm: (..., n_in) → (..., E)."""

    def __init__(self, n_in: int, units: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(n_in, units), nn.Linear(units, units)
        self.shortcut = nn.Linear(n_in, units, bias=False)
        self.norm = nn.LayerNorm(units, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Before the norm: the second layer's output plus the shortcut's."""
        return self.norm(self.out(torch.relu(self.hidden(x))) + self.shortcut(x))


class Dot(nn.Module):
    """The dot critic: features (N, L, F), y (N, D) → scores (N, N, L)."""

    def __init__(self, features: int, representation: int, units: int) -> None:
        super().__init__()
        self.feature, self.representation = Embedding(features, units), Embedding(representation, units)

    def forward(self, features: Tensor, y: Tensor) -> Tensor:
        """scores[i, j, l] = ⟨a(f_il), b(y_j)⟩ / √E."""
        a, b = self.feature(features), self.representation(y)
        return (torch.matmul(a, b.T) * (1 / math.sqrt(b.shape[1]))).transpose(1, 2)


class Prior(nn.Module):
    """The prior's discriminator: y (B, D) → the log odds (B,) that y came from the prior."""

    def __init__(self, representation: int, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(representation, hidden[0]), nn.Linear(*hidden)
        self.score = nn.Linear(hidden[1], 1)

    def forward(self, y: Tensor, stopped: bool = False) -> Tensor:
        """With `stopped` no gradient flows to the parameters."""
        for layer in (self.first, self.second, self.score):
            weight, bias = (layer.weight.detach(), layer.bias.detach()) if stopped else (layer.weight, layer.bias)
            y = functional.linear(y, weight, bias)
            if layer is not self.score:
                y = torch.relu(y)
        return y.squeeze(-1)


class Model(nn.Module):
    """Encoder, critics and prior as one module; called, it gives the loss."""

    def __init__(self, layout: Layout, objective: Objective, parameters: Tree) -> None:
        super().__init__()
        self.objective = objective
        self.encoder = Encoder(layout)
        for name in ("local", "global", "prior"):
            if name in parameters:
                self.add_module(RENAMED.get(name, name), _module(name, parameters[name]))

    def forward(self, images: Tensor, noise: dict[str, dict[str, Tensor]]) -> Tensor:
        """−(α·I_global + β·I_local) + γ·(both players' prior terms)."""
        local_map, last_map, _, y = self.encoder(images)
        features = {
            "local": local_map.permute(0, 2, 3, 1).flatten(1, 2),
            "global": last_map.flatten(1).unsqueeze(1),
        }
        weights = {"global": self.objective.global_weight, "local": self.objective.local_weight}
        loss = y.new_zeros(())
        for term, weight in weights.items():
            if weight:
                critic = self.get_submodule(RENAMED.get(term, term))
                loss = loss - weight * _information(critic, features[term], y, noise.get(term, {}).get("index"))
        if self.objective.prior_weight:
            loss = loss + self.objective.prior_weight * _prior_game(self.get_submodule("prior"), y, noise["prior"]["z"])
        return loss


def _module(name: str, tree: Tree) -> nn.Module:
    """An empty module of the sizes of dimref's parameters."""
    if name == "prior":
        return Prior(tree["first"]["w"].shape[0], (tree["first"]["w"].shape[1], tree["second"]["w"].shape[1]))
    feature, representation = tree["feature"], tree["representation"]
    if "w" in feature:
        return Concat(feature["w"].shape[0], representation["w"].shape[0], feature["w"].shape[1])
    inner = feature["hidden"]["w"]
    return Dot(inner.shape[0], representation["hidden"]["w"].shape[0], inner.shape[1])


def _information(critic: nn.Module, features: Tensor, y: Tensor, index: Tensor | None) -> Tensor:
    """JSD of a concat critic's pairs, or InfoNCE (same location) of a dot critic's score matrix, in nats."""
    if isinstance(critic, Dot):
        scores = critic(features, y)
        positive = torch.diagonal(scores).T  # (N, L)
        return math.log(len(y)) + (positive - torch.logsumexp(scores, 0)).mean()
    joint, product = critic(features, y, index)
    return math.log(4) - functional.softplus(-joint).mean() - functional.softplus(product).mean()


def _prior_game(prior: nn.Module, y: Tensor, z: Tensor) -> Tensor:
    """Both players' losses (minimax) against the uniform prior."""
    sample = torch.sigmoid(y)
    game = functional.softplus(-prior(z)).mean() + functional.softplus(prior(sample.detach())).mean()
    return game - functional.softplus(prior(sample, stopped=True)).mean()


# ---- the twin of a workload


def _model(work: Work) -> nn.Module:
    """The module of a workload, its weights not yet dimref's."""
    if isinstance(work.layout, amdim_encoder.Layout):
        assert isinstance(work.objective, amdim.Objective)
        return twin_amdim.Model(work.layout, work.objective)
    assert isinstance(work.objective, Objective)
    return Model(work.layout, work.objective, work.parameters)


class Twin:
    """A workload in PyTorch on a device: its step, its gradients, its products."""

    def __init__(self, work: Work, device: str = "cpu", compiled: bool = False, tf32: bool = False) -> None:
        self.trains, self.layout, self.device = work.trains, work.layout, torch.device(device)
        self.tf32 = tf32
        if self.device.type == "cuda":  # the same rounding on both sides
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        dtype = torch.float64 if work.images.dtype == np.float64 else torch.float32
        self.model = _model(work).to(self.device, dtype)
        nn.utils.convert_conv2d_weight_memory_format(self.model, torch.channels_last)
        self.load(work.parameters, work.state)
        self.images = self.tensor(torch_layout.channels_first(work.images)).to(memory_format=torch.channels_last)
        self.noise = map_tree(self.tensor, work.noise)
        self.optimizer = torch.optim.Adam(self.model.parameters(), LR)
        self.model.train(work.trains)
        call: nn.Module = self.model if work.trains else self.model.get_submodule("encoder")
        if compiled:
            torch.compiler.reset()  # what was compiled before counts toward a limit of recompilations
        self.call: Callable[..., Tensor] = torch.compile(call) if compiled else call

    def load(self, parameters: Tree, state: Tree | None = None) -> None:
        """Take over dimref's weights.

        Raises:
            ValueError: a weight is missing, or is not the twin's.
        """
        named = {name: self.tensor(array) for name, array in named_arrays(self.layout, parameters, state).items()}
        missing, unknown = self.model.load_state_dict(named, strict=False)
        missing = [name for name in missing if not name.endswith("num_batches_tracked")]
        if state is None:
            missing = [name for name in missing if "running_" not in name]
        if missing or unknown:
            raise ValueError(f"twin: weights must be those of its modules, were {[*missing, *unknown]}")

    def like(self, work: Work) -> Twin:
        """The twin of other work on the same device, not compiled."""
        return Twin(work, str(self.device), tf32=self.tf32)

    def loss(self) -> Tensor:
        """The loss on the batch, traced."""
        return self.call(self.images, self.noise)

    def step(self) -> None:
        """Loss, gradient and Adam; or one encoding."""
        if not self.trains:
            with torch.inference_mode():
                self.call(self.images)
            return
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    def gradients(self) -> tuple[float, dict[str, np.ndarray]]:
        """The loss and its gradient by PyTorch's names, with the weights as they are."""
        self.optimizer.zero_grad()
        value = self.loss()
        value.backward()
        gradients = {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}
        return value.item(), {name: gradient.cpu().numpy().copy() for name, gradient in gradients.items()}

    def update(self, gradients: dict[str, np.ndarray]) -> None:
        """One step of Adam with these gradients, by name."""
        for name, parameter in self.model.named_parameters():
            parameter.grad = self.tensor(gradients[name])
        self.optimizer.step()

    def encodings(self) -> dict[str, np.ndarray]:
        """Local map, last map, fc and y of the batch, in PyTorch's layout."""
        with torch.inference_mode():
            outputs = self.call(self.images)
        return {name: t.cpu().numpy() for name, t in zip(("local_map", "last_map", "fc", "y"), outputs, strict=True)}

    def weights(self) -> dict[str, np.ndarray]:
        """Parameters and running statistics by name."""
        return {name: t.detach().cpu().numpy().copy() for name, t in self.model.state_dict().items()}

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def tensor(self, array: np.ndarray) -> Tensor:
        """A copy of a host array on the device."""
        return torch.tensor(array, device=self.device)


def named_arrays(layout: AnyLayout, parameters: Tree, state: Tree | None = None) -> dict[str, np.ndarray]:
    """dimref's parameters (or gradients of them) and running statistics by the twin's names, in PyTorch's layout."""
    named = torch_layout.torch_names(parameters, layout, state)
    for term in ("local", "global"):
        joined = named.pop(f"{term}.concat.weight", None)
        if joined is not None:  # the twin keeps the two halves of the first layer apart, too
            width = joined.shape[1] - layout.representation
            named[f"{term}.feature.weight"] = joined[:, :width]
            named[f"{term}.representation.weight"] = joined[:, width:]
            named[f"{term}.feature.bias"] = named.pop(f"{term}.concat.bias")
    return {_renamed(name): array for name, array in named.items()}


def _renamed(name: str) -> str:
    module, _, rest = name.partition(".")
    return f"{RENAMED.get(module, module)}.{rest}"
