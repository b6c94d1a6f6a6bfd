"""Cost against size, each size in a fresh process, the largest as far as memory allows. Loads no NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from dimref import __version__
from dimref.bench.workers import Worker, WorkerFailed
from dimref.training import memory

SMALLEST = {"infonce": 64, "train": 4096, "encode": 1024}
FACTOR = {"infonce": 2, "train": 4, "encode": 2}
POWER = {"infonce": 2, "train": 1, "encode": 1}  # with which peak memory grows at most
TIME = {"infonce": "gradient", "train": "step", "encode": "seconds"}  # whose growth is reported
SPARE = 0.8  # of the memory that is available may be used


@dataclass(frozen=True)
class Options:
    """The largest sizes, and how long to measure each."""

    candidates: int
    train_images: int
    encode_images: int
    backend: str
    batch: int
    threads: int
    seconds: float
    layout: dict[str, int] = field(default_factory=lambda: {"size": 32, "channels": 3})  # of the encoder

    def sizes(self, kind: str) -> list[int]:
        """A ladder from the smallest size to the largest, which is on it in any case."""
        largest = {"infonce": self.candidates, "train": self.train_images, "encode": self.encode_images}[kind]
        ladder, n = [], SMALLEST[kind]
        while n < largest:
            ladder.append(n)
            n *= FACTOR[kind]
        return [*ladder, largest]

    def arguments(self, kind: str) -> dict[str, Any]:
        """What a worker needs to know besides the size."""
        common: dict[str, Any] = {"backend": self.backend}
        if kind != "encode":
            common["seconds"] = self.seconds
        if kind == "train":
            common["batch"] = self.batch
        if kind != "infonce":
            common["layout"] = self.layout
        return common


def grow(options: Options, announce: Callable[[str], None], start: Callable[[int], Worker]) -> dict[str, Any]:
    """Every ladder; plain data, as --json writes it.

    Raises:
        DimrefError: the backend is not there.
    """
    with start(options.threads) as worker:
        described = worker.ask("describe", backend=options.backend, threads=options.threads, torch=False)
    result: dict[str, Any] = {"version": __version__, "machine": described, "options": asdict(options)}
    for kind in SMALLEST:
        result[kind] = _ladder(options, kind, announce, start)
    return result


def _ladder(
    options: Options, kind: str, announce: Callable[[str], None], start: Callable[[int], Worker]
) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    stopped = None
    for n in options.sizes(kind):
        stopped = _too_large(rows[-1], n, POWER[kind]) if rows else None
        if stopped is None:
            announce(f"{kind}, {n:,}")
            try:
                with start(options.threads) as fresh:
                    rows.append({"n": n, **fresh.ask(kind, n=n, **options.arguments(kind))})
            except WorkerFailed as error:
                stopped = f"{n:,}: {error}"
        if stopped is not None:
            break
    return {"rows": rows, "stopped": stopped, "exponent": exponent(rows, TIME[kind])}


def _too_large(last: dict[str, Any], n: int, power: int) -> str | None:
    """Why the next size is left out: it would take more memory than there is, by how the last one's grows."""
    free = memory.available()
    if last["peak"] is None or free is None:
        return None
    needed = last["peak"] * (n / last["n"]) ** power
    if needed <= SPARE * free:
        return None
    return f"{n:,}: left out, it would take about {needed / 2**30:.1f} GiB of the {free / 2**30:.1f} GiB available"


def exponent(rows: list[dict[str, Any]], name: str) -> float | None:
    """p of cost ∝ n^p from the size two below the largest: 1 is linear; None where there are no three sizes."""
    if len(rows) < 3:
        return None
    before, last = rows[-3], rows[-1]
    return math.log(last[name] / before[name]) / math.log(last["n"] / before["n"])
