"""How cost grows: InfoNCE with its candidates, a training step with the dataset, encoding with the images.

Each size is measured in a process of its own, since a process's peak memory does not fall. Sizes double (the dataset's grow
fourfold) up to the largest that is given; 16,384 pairs take 3 GiB.
python examples/cost_against_size.py [PAIRS TRAIN_IMAGES ENCODE_IMAGES [PICTURE.png]]
"""

import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from dimref import bounds, encoders, engine, ops
from dimref.backend import NUMPY
from dimref.export.inference import Encoder
from dimref.tape import value_and_gradients
from dimref.training import loop, memory
from dimref.training.config import Config
from dimref.training.state import initial_state
from dimref.training.task import Task

WIDTH = 64  # of the embeddings whose products are the scores: the paper's D
LAYOUT = encoders.Layout(32, 3)


def infonce(n: int) -> float:
    """Loss and gradient of N pairs, K = N: N² scores."""
    rng = np.random.default_rng(n)
    embeddings = {side: rng.standard_normal((n, WIDTH), dtype=np.float32) for side in ("x", "y")}

    def loss(e):
        return -bounds.infonce(ops.matmul(e["x"], ops.transpose(e["y"], (1, 0))) / math.sqrt(WIDTH)), None

    return shortest(lambda: value_and_gradients(loss, embeddings))


def train(n: int) -> float:
    """A step of `dimref train` with 64 images of n."""
    config = Config(batch_size=min(64, n))
    task = Task(config, config.objective(), LAYOUT, NUMPY, "windows", windows(n), windows(0))
    state = initial_state(task)

    def step():
        nonlocal state
        state, _ = loop.train_step(task, state)

    return shortest(step)


def encode(n: int) -> float:
    """All n images, batch by batch, nothing kept."""
    encoder = Encoder(LAYOUT, NUMPY, *encoders.init_encoder(np.random.default_rng(0), LAYOUT))
    start = time.perf_counter()
    for _ in encoder.batches(windows(n)):
        pass
    return time.perf_counter() - start


KINDS = {  # what is measured: its words, the smallest size, the factor between sizes, the power that the mathematics has
    infonce: ("InfoNCE of N pairs, loss and gradient", 64, 2, 2),
    train: ("a training step beside N images", 4096, 4, 0),
    encode: ("encoding N images", 1024, 2, 1),
}


def windows(n: int) -> np.ndarray:
    """n different images that take n bytes: every window of a string of random bytes, each a byte after the last."""
    string = np.random.default_rng(0).integers(0, 256, n + 32 * 32 * 3, dtype=np.uint8)
    return np.lib.stride_tricks.as_strided(string, (n, 32, 32, 3), (1, 32 * 3, 3, 1), writeable=False)


def shortest(call) -> float:
    """Seconds of the fastest of some calls, after one that warms up: the system hands out memory for that one."""
    call()
    taken = []
    while len(taken) < 3 or (sum(taken) < 0.5 and len(taken) < 100):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)


def measured(kind, n: int) -> tuple[float, float]:
    """Seconds, and MiB that they add to the process's peak (NaN where the system does not report it)."""
    before = memory.high_water() or math.nan
    with engine.sharing():
        seconds = kind(n)
    return seconds, ((memory.high_water() or math.nan) - before) / 2**20


def ladder(kind, largest: int) -> list[tuple[int, float]]:
    """(N, seconds) from the smallest size to the largest, printed line by line."""
    words, n, factor, power = KINDS[kind]
    print(f"\n{words}\n  {'N':>10} {'ms':>10} {'peak MiB':>10}")
    sizes, rows = [], []
    while n < largest:
        sizes.append(n)
        n *= factor
    for n in [*sizes, largest]:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            seconds, peak = process.submit(measured, kind, n).result()
        rows.append((n, seconds))
        print(f"  {n:>10,} {1e3 * seconds:>10.2f} {peak:>10.0f}", flush=True)
    if len(rows) > 2:
        (before, a), (last, b) = rows[-3], rows[-1]
        print(f"  grows as N to the power {math.log(b / a) / math.log(last / before):.2f}; {power} is expected")
    return rows


def draw(ladders: list[list[tuple[int, float]]], path: Path) -> None:
    """Time on log-log axes beside the growth that the mathematics has."""
    from dimref.plots.style import BLUE, GREY, new_figure, save, tidy

    figure = new_figure(12, 3.8)
    for axes, rows, (words, _, _, power) in zip(figure.subplots(1, 3), ladders, KINDS.values(), strict=True):
        x, y = zip(*rows, strict=True)
        axes.set(title=words, xlabel="N", ylabel="seconds", xscale="log", yscale="log")
        tidy(axes)
        axes.plot(x, y, color=BLUE, marker="o", ms=4)
        axes.plot(x, [y[-1] * (n / x[-1]) ** power for n in x], color=GREY, ls="--", lw=1, label=f"∝ N^{power}")
        axes.legend(frameon=False, fontsize="small")
    save(figure, path)


def main(pairs: int = 8192, train_images: int = 262_144, encode_images: int = 8192, picture: str = "") -> None:
    ladders = [ladder(kind, n) for kind, n in zip(KINDS, (pairs, train_images, encode_images), strict=True)]
    if picture:
        draw(ladders, Path(picture))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), *sys.argv[4:5])
