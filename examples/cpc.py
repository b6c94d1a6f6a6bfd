"""Contrastive predictive coding of an AR process: InfoNCE between the present and k steps later, beside the known truth.

x_{t+1} = ρ·x_t + √(1 − ρ²)·noise in D independent dimensions, so that I(x_t; x_{t+k}) = −D/2·log(1 − ρ^{2k}). One encoder
for all times and a bilinear critic for each k, z_{t+k}ᵀ·W_k·z_t (van den Oord et al., arXiv 1807.03748, eq. 3 and 4);
evaluated on a path that was not trained on. Where the truth exceeds log N, InfoNCE cannot follow.
Run: python examples/cpc.py [x.png]; the picture needs matplotlib.
"""

import math
import sys

import numpy as np

from dimref import bounds, layers, ops, optim
from dimref.tape import value_and_gradients
from dimref.trees import Array, Tree

RHO, D, UNITS, AHEAD = 0.9, 4, 32, (1, 2, 4, 8, 16)
N, STEPS, LR = 128, 600, 3e-3


def path(rng: np.random.Generator, length: int) -> np.ndarray:
    """One path of the process, (length, D) float32, stationary from its start."""
    x, noise = np.empty((length, D), np.float32), rng.standard_normal((length, D))
    x[0] = noise[0]
    for t in range(1, length):
        x[t] = RHO * x[t - 1] + math.sqrt(1 - RHO**2) * noise[t]
    return x


def encode(parameters: Tree, x: Array) -> Array:
    """x and x², each coordinate's, through a linear layer: a bilinear critic of these can be the log ratio."""
    return layers.linear(parameters, np.concatenate([x, x**2], axis=1))


def nats(parameters: Tree, x: np.ndarray, times: np.ndarray) -> tuple[Array, dict[int, Array]]:
    """Minus the sum of the bounds, and InfoNCE in nats of each k; the candidates are the other times of the batch."""
    z = encode(parameters["encoder"], x[times])
    found = {}
    for k in AHEAD:
        later = layers.linear(parameters[f"ahead{k}"], encode(parameters["encoder"], x[times + k]))
        own = encode(parameters["own"], x[times + k])  # of the later point alone: the softmax over it needs this part
        scores = ops.add(ops.matmul(later, ops.transpose(z, (1, 0))), ops.total(own, axis=1, keepdims=True))
        found[k] = bounds.infonce(ops.reshape(scores, (len(times), len(times), 1)), "same-location")
    return -sum(found.values()), found


def main(picture: str | None) -> None:
    rng = np.random.default_rng(0)
    parameters: Tree = {"encoder": layers.init_linear(rng, 2 * D, UNITS), "own": layers.init_linear(rng, 2 * D, 1)}
    parameters |= {f"ahead{k}": layers.init_linear(rng, UNITS, UNITS, bias=False) for k in AHEAD}
    adam, train, test = optim.init_adam(parameters), path(rng, 50_000), path(rng, 50_000)
    for _ in range(STEPS):
        times = rng.integers(0, len(train) - max(AHEAD), N)
        _, gradients, _ = value_and_gradients(nats, parameters, train, times)
        parameters, adam = optim.adam_step(parameters, gradients, adam, LR)
    batches = [rng.integers(0, len(test) - max(AHEAD), N) for _ in range(100)]
    values = np.array([[float(v) for v in nats(parameters, test, times)[1].values()] for times in batches])
    truths = [-D / 2 * math.log(1 - RHO ** (2 * k)) for k in AHEAD]
    print(f"ceiling log {N} = {math.log(N):.3f} nats")
    for k, value, truth in zip(AHEAD, values.mean(axis=0), truths, strict=True):
        print(f"{k:2d} ahead  InfoNCE {value:.3f}  truth {truth:.3f}")
    if picture:
        from dimref.plots.style import BLUE, GREY, ORANGE, new_figure, tidy

        figure = new_figure(6, 3.8)
        axes = figure.subplots()
        axes.plot(AHEAD, truths, "--", color=ORANGE, label="I(x_t; x_{t+k}), exact")
        axes.errorbar(
            AHEAD, values.mean(axis=0), 2 * values.std(axis=0) / 10, fmt="o", color=BLUE, label="InfoNCE, new path"
        )
        axes.axhline(math.log(N), color=GREY, ls=":", label=f"ceiling, log {N}")
        axes.set(xlabel="steps ahead, k", ylabel="nats", xscale="log", xticks=AHEAD, xticklabels=AHEAD)
        axes.legend(frameon=False)
        tidy(axes)
        figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:] or [None])
