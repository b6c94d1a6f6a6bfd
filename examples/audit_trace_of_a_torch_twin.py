"""A PyTorch twin of DIM(L) held against a trace of dimref, array by array; then the same twin with two planted mistakes.

Needs PyTorch (pip install '.[oracle]'). The twin knows nothing of dimref but the file: it loads weights, batch and
noise in PyTorch's layout, takes one training step and saves what it has under the trace's names, with torch/ in front
where the axes lie as PyTorch has them.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

try:
    import torch
    from torch.nn import functional as F
except ImportError:
    sys.exit("audit_trace_of_a_torch_twin: expected PyTorch, found it not installed; pip install '.[oracle]'")

MISTAKES = ("unbiased variance", "a ReLU left out")


class Twin:
    """DIM(L): concat critic, JSD, shuffled negatives, uniform prior; weights and inputs from the trace's file."""

    def __init__(self, file: Path, mistake: str = "") -> None:
        with np.load(file) as archive:
            self.given = {name: torch.tensor(archive[name]) for name in archive.files if name != "manifest"}
        self.mistake = mistake
        self.weights = {
            name.removeprefix("torch/parameters/"): array.clone().requires_grad_()
            for name, array in self.given.items()
            if name.startswith("torch/parameters/")
        }
        self.seen: dict[str, torch.Tensor] = {}

    def keep(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Note an intermediate array, and have its gradient kept."""
        if x.requires_grad:
            x.retain_grad()
        self.seen[name] = x
        return x

    def linear(self, name: str, x: torch.Tensor, layer: str) -> torch.Tensor:
        return self.keep(name, F.linear(x, self.weights[f"{layer}/w"], self.weights.get(f"{layer}/b")))

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        gain, shift = self.weights[f"{name}/gain"], self.weights[f"{name}/shift"]
        mean, variance = (self.given[f"state/{name}/{part}"].clone() for part in ("mean", "variance"))
        if self.mistake == "unbiased variance":
            axes = [axis for axis in range(x.ndim) if axis != 1]
            centred = x - x.mean(axes, keepdim=True)
            out = centred / torch.sqrt(x.var(axes, unbiased=True, keepdim=True) + 1e-5)
            shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
            out = out * gain.view(shape) + shift.view(shape)
            F.batch_norm(x.detach(), mean, variance, training=True)
        else:
            out = F.batch_norm(x, mean, variance, gain, shift, training=True)
        self.seen[f"after/state/{name}/mean"], self.seen[f"after/state/{name}/variance"] = mean, variance
        return self.keep(f"torch/{name}", out)

    def encode(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The local map (B, F, M, M) and y (B, D)."""
        x = self.given["torch/batch/scaled"]
        maps = []
        for k in (1, 2, 3):
            conv = F.conv2d(x, self.weights[f"encoder/conv{k}/w"], stride=2, padding=1)
            normed = self.norm(f"encoder/norm{k}", self.keep(f"torch/encoder/conv{k}", conv))
            x = normed if (self.mistake, k) == ("a ReLU left out", 3) else F.relu(normed)
            maps.append(self.keep(f"torch/encoder/relu{k}", x))
        fc = self.linear("encoder/fc", maps[-1].flatten(1), "encoder/fc")
        return maps[1], self.linear("encoder/y", F.relu(self.norm("encoder/norm_fc", fc)), "encoder/y")

    def scores(self, branch: str, feature: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        hidden = self.keep(f"local/{branch}/first", feature + rows)
        hidden = self.linear(f"local/{branch}/hidden", F.relu(hidden), "local/hidden")
        return self.keep(f"local/{branch}/scores", F.linear(F.relu(hidden), *self.pair("local/score")).squeeze(-1))

    def pair(self, layer: str) -> tuple[torch.Tensor, torch.Tensor]:
        return self.weights[f"{layer}/w"], self.weights[f"{layer}/b"]

    def prior(self, branch: str, y: torch.Tensor) -> torch.Tensor:
        first = self.linear(f"prior/{branch}/first", y, "prior/first")
        second = self.linear(f"prior/{branch}/second", F.relu(first), "prior/second")
        return self.keep(f"prior/{branch}/logits", F.linear(F.relu(second), *self.pair("prior/score")).squeeze(-1))

    def loss(self) -> torch.Tensor:
        local_map, y = self.encode()
        features = self.keep("local/features", local_map.flatten(2).transpose(1, 2))  # (N, L, F)
        feature = self.linear("local/feature", features, "local/feature")
        rows = self.linear("local/representation", y, "local/representation")
        joint = self.scores("joint", feature, rows[:, None])
        product = self.scores("product", feature, rows[self.given["noise/local/index"]])
        bound = 2 * np.log(2.0) - F.softplus(-joint).mean() - F.softplus(product).mean()
        self.keep("local/bound", bound)
        sample = self.keep("prior/sample", torch.sigmoid(y))
        real, fake = self.prior("real", self.given["noise/prior/z"]), self.prior("fake", sample.detach())
        discriminator = F.softplus(-real).mean() + F.softplus(fake).mean()
        # As the encoder sees it, the discriminator's weights stand still.
        moving, self.weights = self.weights, {name: weight.detach() for name, weight in self.weights.items()}
        encoder = -F.softplus(self.prior("seen", sample)).mean()
        self.weights = moving
        return self.keep("loss", -bound + 0.1 * (discriminator + encoder))

    def step(self) -> dict[str, np.ndarray]:
        """One training step; every array by its name in the trace."""
        adam = torch.optim.Adam(self.weights.values(), lr=1e-4)
        self.loss().backward()
        adam.step()
        found = dict(self.seen)
        for name, x in self.seen.items():
            if x.grad is not None:
                prefix, _, plain = name.rpartition("torch/")
                found[f"{'torch/' if name != plain else prefix}gradient/{plain}"] = x.grad
        for name, weight in self.weights.items():
            found[f"torch/gradient/parameters/{name}"] = weight.grad
            found[f"torch/after/parameters/{name}"] = weight
            found[f"torch/after/adam/m/{name}"] = adam.state[weight]["exp_avg"]
            found[f"torch/after/adam/v/{name}"] = adam.state[weight]["exp_avg_sq"]
        return {name: x.detach().numpy() for name, x in found.items()}


def main() -> None:
    from dimref.audit.trace import compare, export, report
    from dimref.encoders import Layout
    from dimref.training.config import Config
    from dimref.training.task import prepare

    # An encoder of a quarter of the paper's widths, so that the files are small. `dimref audit trace export` has them all.
    task = replace(prepare(Config(batch_size=8, limit=64)), layout=Layout(32, 3, width=16, fc=256, representation=64))
    with tempfile.TemporaryDirectory() as folder:
        reference, theirs = Path(folder) / "ref.npz", Path(folder) / "theirs.npz"
        export.write(reference, export.trace(task))
        for mistake in ("", *MISTAKES):
            np.savez(theirs, **Twin(reference, mistake).step())
            print(f"---- the twin {'with ' + mistake if mistake else 'as it should be'}")
            print(report.text(compare.compare(reference, theirs)).replace(str(theirs), "theirs.npz"))


if __name__ == "__main__":
    main()
