"""How cost grows: InfoNCE with its candidates, a training step with the dataset, encoding with the images.

Each function measures one size, in a process of its own (`worker`), and returns plain numbers.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from dimref import bounds, encoders, ops
from dimref.backend import Backend, get_backend
from dimref.encoders import Layout
from dimref.export.inference import Encoder
from dimref.tape import value_and_gradients
from dimref.training import loop, memory
from dimref.training.config import Config
from dimref.training.state import initial_state
from dimref.training.task import Task
from dimref.trees import Array, Tree

WIDTH = 64  # of the embeddings whose products are the scores: the paper's D


def infonce(n: int, backend: str, seconds: float) -> dict[str, Any]:
    """InfoNCE of N pairs, K = N: seconds of the loss, of loss and gradient, and their peak memory in bytes.

    From two arrays of embeddings (N, 64) to the loss and back to their gradients: N² scores.
    """
    before, device = memory.high_water(), get_backend(backend)
    rng = np.random.default_rng(n)
    embeddings = {side: device.to_device(rng.standard_normal((n, WIDTH), dtype=np.float32)) for side in ("x", "y")}
    loss = _median(lambda: infonce_loss(embeddings), device, seconds)
    gradient = _median(lambda: value_and_gradients(infonce_loss, embeddings), device, seconds)
    return {"loss": loss, "gradient": gradient, "peak": _since(before, device)}


def infonce_loss(embeddings: Tree) -> tuple[Array, None]:
    """−InfoNCE of the scores ⟨x_i, y_j⟩ / √64."""
    scores = ops.matmul(embeddings["x"], ops.transpose(embeddings["y"], (1, 0))) * (1 / math.sqrt(WIDTH))
    return -bounds.infonce(scores), None


def train(n: int, backend: str, batch: int, seconds: float, layout: dict[str, int]) -> dict[str, Any]:
    """A step of `dimref train` on a dataset of n images: seconds, and the peak memory in bytes beside the dataset."""
    before, device, sizes = memory.high_water(), get_backend(backend), Layout(**layout)
    config = Config(batch_size=batch)
    task = Task(config, config.objective(), sizes, device, "windows", windows(n, sizes), windows(0, sizes))
    state = initial_state(task)

    def step() -> None:
        nonlocal state
        state, _ = loop.train_step(task, state)

    return {"step": _median(step, device, seconds), "peak": _since(before, device)}


def encode(n: int, backend: str, layout: dict[str, int]) -> dict[str, Any]:
    """Encoding n images batch by batch, keeping nothing: seconds of all, and the peak memory in bytes."""
    before, device, sizes = memory.high_water(), get_backend(backend), Layout(**layout)
    parameters, running = encoders.init_encoder(np.random.default_rng(0), sizes)
    encoder = Encoder(sizes, device, device.tree_to_device(parameters), device.tree_to_device(running))
    start = time.perf_counter()
    for _ in encoder.batches(windows(n, sizes)):
        pass
    return {"seconds": time.perf_counter() - start, "peak": _since(before, device)}


def windows(n: int, layout: Layout) -> np.ndarray:
    """n different images that take n bytes: every window of a string of random bytes, each a byte after the last."""
    shape = (layout.size, layout.size, layout.channels)
    string = np.random.default_rng(0).integers(0, 256, n + math.prod(shape), dtype=np.uint8)
    strides = (1, layout.size * layout.channels, layout.channels, 1)
    return np.lib.stride_tricks.as_strided(string, (n, *shape), strides, writeable=False)


def _median(call: Callable[[], Any], backend: Backend, seconds: float) -> float:
    """The median of calls for about that many seconds, one at least, after one that warms up.

    The first call is also the one that the system hands out memory for: at the largest sizes it takes ten times as long.
    """
    call()
    backend.synchronize()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while not taken or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        backend.synchronize()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _since(before: int | None, backend: Backend) -> int | None:
    """The rise of the peak; None on a device, whose memory the system does not report."""
    after = memory.high_water()
    return None if before is None or after is None or backend.name != "numpy" else after - before
