"""A workload in PyTorch, with dimref's weights: its step, gradients and bare products. Imports PyTorch, as `dim` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from dimref.bench import products
from dimref.bench.oracle import amdim, dim
from dimref.bench.products import Shape
from dimref.bench.reference import LR
from dimref.bench.work import Work
from dimref.encoders import Layout
from dimref.export import torch_layout
from dimref.training.method import AnyLayout
from dimref.trees import Tree, map_tree

Named = dict[str, np.ndarray]


class Twin:
    """A workload on a device.

    Raises:
        ValueError: a weight is missing, or is not the twin's.
    """

    def __init__(self, work: Work, device: str = "cpu", compiled: bool = False, tf32: bool = False) -> None:
        self.trains, self.device, self.tf32 = work.trains, torch.device(device), tf32
        if self.device.type == "cuda":  # the same rounding on both sides
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        layout, objective = work.layout, cast(Any, work.objective)
        self.model: nn.Module = (
            dim.Model(layout, objective, work.parameters)
            if isinstance(layout, Layout)
            else amdim.Model(layout, objective)
        )
        self.model.to(self.device, torch.float64 if work.images.dtype == np.float64 else torch.float32)
        nn.utils.convert_conv2d_weight_memory_format(self.model, torch.channels_last)
        named = named_arrays(work.layout, work.parameters, work.state)
        missing, unknown = self.model.load_state_dict(map_tree(self.tensor, named), strict=False)
        if wrong := [name for name in [*missing, *unknown] if not name.endswith("num_batches_tracked")]:
            raise ValueError(f"twin: weights must be those of its modules, were {wrong}")
        self.images = self.tensor(torch_layout.channels_first(work.images)).to(memory_format=torch.channels_last)
        self.noise = map_tree(self.tensor, work.noise)
        self.optimizer = torch.optim.Adam(self.model.parameters(), LR)
        self.model.train(work.trains)
        call: nn.Module = self.model if work.trains else self.model.get_submodule("encoder")
        if compiled:
            torch.compiler.reset()  # what was compiled before counts toward a limit of recompilations
        self.call: Callable[..., Any] = torch.compile(call) if compiled else call

    def like(self, work: Work) -> Twin:
        """The twin of other work on the same device, not compiled."""
        return Twin(work, str(self.device), tf32=self.tf32)

    def step(self) -> None:
        """Loss, gradient and Adam; or one encoding."""
        if not self.trains:
            with torch.inference_mode():
                self.call(self.images)
            return
        self.optimizer.zero_grad()
        self.call(self.images, self.noise).backward()
        self.optimizer.step()

    def gradients(self) -> tuple[float, Named]:
        """The loss and its gradient by PyTorch's names, with the weights as they are."""
        self.optimizer.zero_grad()
        value = self.call(self.images, self.noise)
        value.backward()
        gradients = {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}
        return value.item(), {name: gradient.cpu().numpy().copy() for name, gradient in gradients.items()}

    def update(self, gradients: Named) -> None:
        """One step of Adam with these gradients, by name."""
        for name, parameter in self.model.named_parameters():
            parameter.grad = self.tensor(gradients[name])
        self.optimizer.step()

    def encodings(self) -> Named:
        """Local map, last map, fc and y of the batch, in PyTorch's layout."""
        with torch.inference_mode():
            outputs = self.call(self.images)
        return {name: t.cpu().numpy() for name, t in zip(("local_map", "last_map", "fc", "y"), outputs, strict=True)}

    def weights(self) -> Named:
        """Parameters and running statistics by name."""
        return {name: t.detach().cpu().numpy().copy() for name, t in self.model.state_dict().items()}

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def bare_products(self, shapes: list[Shape]) -> Callable[[], None]:
        """`products.bare_products` by PyTorch."""
        return products.bare_products(shapes, self.tensor)

    def tensor(self, array: np.ndarray) -> Tensor:
        """A copy of a host array on the device."""
        return torch.tensor(array, device=self.device)


def named_arrays(layout: AnyLayout, parameters: Tree, state: Tree | None = None) -> Named:
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
    return f"{dim.RENAMED.get(module, module)}.{rest}"
