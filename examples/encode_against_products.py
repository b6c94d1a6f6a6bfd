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
from dimref.bench import products
from dimref.export import inference


def main(count: int = 10_000) -> None:
    rng = np.random.default_rng(0)
    layout = encoders.Layout(32, 3)
    encoder = inference.Encoder(layout, NUMPY, *encoders.init_encoder(rng, layout))
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    batch = min(inference.BATCH, count)
    shapes = products.product_shapes("encode", batch, layout)
    multiply = products.bare_products(shapes, NUMPY.to_device)
    seconds: dict[str, list[float]] = {"products": [], "encoding": []}
    encoded = encoder.batches(images)
    for turn in range(count // batch):
        start = time.perf_counter()
        multiply()
        middle = time.perf_counter()
        next(encoded)
        if turn or count == batch:  # the first warms up
            seconds["products"].append(middle - start)
            seconds["encoding"].append(time.perf_counter() - middle)
    bare, whole = (statistics.median(seconds[name]) / batch for name in ("products", "encoding"))
    ratio = statistics.median(e / p for e, p in zip(seconds["encoding"], seconds["products"], strict=True))
    gflop = products.gflop(shapes) / batch
    print(f"bare matrix products {1e4 * bare:6.2f} s per 10,000 images, {gflop / bare:.0f} GFLOP/s")
    print(f"encoding             {1e4 * whole:6.2f} s per 10,000 images, ratio {ratio:.2f}, {1 / whole:.0f} images/s")
    print(f"peak memory          {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:6.0f} MiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
