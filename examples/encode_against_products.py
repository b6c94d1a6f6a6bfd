"""How long encoding takes, beside the encoder's bare matrix products: the floor that no layer can go below.

Same shapes, same BLAS, same threads, alternating batch by batch. python examples/encode_against_products.py [IMAGES]
"""

import resource
import statistics
import sys
import time

import numpy as np

from dimref import encoders
from dimref.backend import NUMPY
from dimref.evaluation import frozen


def product_shapes(batch: int) -> list[tuple[int, int, int]]:
    """(rows, inner, columns) of each matrix product of one batch at 32×32."""
    return [
        (batch * 256, 16 * 3, 64),  # conv1
        (batch * 64, 16 * 64, 128),  # conv2
        (batch * 16, 16 * 128, 256),  # conv3
        (batch, 4096, 1024),  # fc
        (batch, 1024, 64),  # y
    ]


def main(count: int = 10_000) -> None:
    rng = np.random.default_rng(0)
    layout = encoders.Layout(32, 3)
    encoder = frozen.Frozen(layout, NUMPY, *encoders.init_encoder(rng, layout))
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    batch = min(frozen.BATCH, count)
    shapes = product_shapes(batch)
    pairs = [(rng.random((m, k), np.float32), rng.random((k, n), np.float32)) for m, k, n in shapes]
    seconds: dict[str, list[float]] = {"products": [], "encoding": []}
    encoded = encoder.batches(images)
    for turn in range(count // batch):
        start = time.perf_counter()
        for a, b in pairs:
            a @ b
        middle = time.perf_counter()
        next(encoded)
        if turn or count == batch:  # the first warms up
            seconds["products"].append(middle - start)
            seconds["encoding"].append(time.perf_counter() - middle)
    bare, whole = (statistics.median(seconds[name]) / batch for name in ("products", "encoding"))
    ratio = statistics.median(e / p for e, p in zip(seconds["encoding"], seconds["products"], strict=True))
    gflop = sum(2 * m * k * n for m, k, n in shapes) / batch / 1e9
    print(f"bare matrix products {1e4 * bare:6.2f} s per 10,000 images, {gflop / bare:.0f} GFLOP/s")
    print(f"encoding             {1e4 * whole:6.2f} s per 10,000 images, ratio {ratio:.2f}, {1 / whole:.0f} images/s")
    print(f"peak memory          {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:6.0f} MiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
