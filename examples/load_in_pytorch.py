"""A run's encoder in PyTorch: `dimref export` wrote its weights, a plain module loads them and gives the same features.

dimref export RUN && python examples/load_in_pytorch.py RUN
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dimref.backend import NUMPY
from dimref.export import inference, torch_layout


class Encoder(nn.Module):
    """The encoder of arXiv 1808.06670; every size is read off the weights."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.depth = sum(name.startswith("conv") for name in weights)
        for k in range(1, self.depth + 1):
            c_out, c_in = weights[f"conv{k}.weight"].shape[:2]
            self.add_module(f"conv{k}", nn.Conv2d(c_in, c_out, kernel_size=4, stride=2, padding=1, bias=False))
            self.add_module(f"norm{k}", nn.BatchNorm2d(c_out))
        units, flat = weights["fc.weight"].shape
        self.fc, self.norm_fc = nn.Linear(flat, units, bias=False), nn.BatchNorm1d(units)
        self.y = nn.Linear(units, len(weights["y.weight"]))
        self.load_state_dict(weights)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Images (B, C, H, W) in [−1, 1] → conv, (B, channels·side²) in PyTorch's order, fc and y."""
        x = images
        for k in range(1, self.depth + 1):
            x = torch.relu(self.get_submodule(f"norm{k}")(self.get_submodule(f"conv{k}")(x)))
        fc = torch.relu(self.norm_fc(self.fc(x.flatten(1))))
        return {"conv": x.flatten(1), "fc": fc, "y": self.y(fc)}


def load(path: Path) -> Encoder:
    """The encoder in a file of `dimref export --format torch-layout-npz`, in inference mode."""
    with np.load(path) as archive:
        weights = {name: torch.from_numpy(archive[name]) for name in archive.files if name.startswith("encoder.")}
    return Encoder({name.removeprefix("encoder."): tensor for name, tensor in weights.items()}).eval()


def main(run: Path) -> None:
    theirs = load(run / "weights.npz")
    ours, _ = inference.load(run, NUMPY)
    layout = ours.layout
    size = (100, layout.size, layout.size, layout.channels)
    images = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    before = (layout.padded - layout.size) // 2
    after = layout.padded - layout.size - before
    scaled = torch.from_numpy(torch_layout.channels_first(images)).float() * (2 / 255) - 1
    with torch.no_grad():
        found = theirs(nn.functional.pad(scaled, (before, after, before, after), value=-1))
    expected = ours.features(images)
    expected["conv"] = torch_layout.flat_channels_first(expected["conv"], layout.last[0])
    for name, tensor in found.items():
        apart = np.abs(tensor.numpy() - expected[name]).max()
        print(
            f"{name:<5} {tuple(tensor.shape)}: at most {apart:.1e} apart, of at most {np.abs(expected[name]).max():.1f}"
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: dimref export RUN && python examples/load_in_pytorch.py RUN")
    main(Path(sys.argv[1]))
