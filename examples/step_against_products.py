"""How long a DIM(L) concat/JSD step takes, beside its bare matrix products: the floor that no tape or layer can go below.

Same shapes, same BLAS, same threads, alternating in one run. python examples/step_against_products.py [BATCH] [REPEATS]
"""

import resource
import statistics
import sys
import time

import numpy as np

from dimref import encoders, objectives
from dimref.objectives import Objective
from dimref.optim import adam_step, init_adam
from dimref.tape import value_and_gradients


def product_shapes(batch: int) -> list[tuple[int, int, int]]:
    """(rows, inner, columns) of each matrix product of one step at 32×32: forward, and backward to weight and input."""
    forward = [
        (batch * 64, 16 * 64, 128),  # conv2
        (batch * 16, 16 * 128, 256),  # conv3
        (batch, 4096, 1024),  # fc
        (batch, 1024, 64),  # y
        (batch * 64, 128, 512),  # first scorer layer, its half of the feature
        (batch, 64, 512),  # and its half of the representation
        *[(batch * 64, 512, 512), (batch * 64, 512, 1)] * 2,  # the rest of the scorer, for joint and product pairs
    ]
    shapes = [(batch * 256, 48, 64), (48, batch * 256, 64)]  # conv1: the images need no gradient
    for m, k, n in forward:
        shapes += [(m, k, n), (k, m, n), (m, n, k)]
    return shapes


def main(batch: int = 64, repeats: int = 20) -> None:
    rng = np.random.default_rng(0)
    layout, objective = encoders.Layout(32, 3), Objective(0, 1, 0)
    parameters, state = objectives.init_parameters(rng, layout, objective)
    adam = init_adam(parameters)
    images = encoders.scale(rng.integers(0, 256, (batch, 32, 32, 3), dtype=np.uint8), layout)
    noise = objectives.draw_noise(rng, objective, layout, batch)
    shapes = product_shapes(batch)
    pairs = [(np.ones((m, k), np.float32), np.ones((k, n), np.float32)) for m, k, n in shapes]

    def step() -> None:
        _, gradients, _ = value_and_gradients(objectives.loss, parameters, state, images, noise, objective, layout)
        adam_step(parameters, gradients, adam)

    def products() -> None:
        for a, b in pairs:
            a @ b

    seconds: dict[str, list[float]] = {"step": [], "products": []}
    for turn in range(repeats + 2):
        for name, call in (("products", products), ("step", step)):
            start = time.perf_counter()
            call()
            if turn >= 2:  # the first two warm up
                seconds[name].append(time.perf_counter() - start)
    bare, whole = (statistics.median(seconds[name]) for name in ("products", "step"))
    ratio = statistics.median(s / p for s, p in zip(seconds["step"], seconds["products"], strict=True))
    gflop = sum(2 * m * k * n for m, k, n in shapes) / 1e9
    print(f"bare matrix products {1e3 * bare:6.1f} ms, {gflop:.1f} GFLOP, {gflop / bare:.0f} GFLOP/s")
    print(f"whole step           {1e3 * whole:6.1f} ms, ratio {ratio:.2f}, {batch / whole:.0f} images/s")
    print(f"peak memory          {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:6.0f} MiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
