"""The comparison: proof first, then turns, then memory and a profile. Loads no NumPy; the workers do the work."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from dimref import __version__
from dimref.bench.timing import median_ratio
from dimref.bench.workers import Worker, WorkerFailed
from dimref.training.choices import BENCH_METHODS

SIDES = ("dimref", "eager", "compiled")
Start = Callable[[int], Worker]
Announce = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What to compare, and how long."""

    presets: Sequence[str]
    batch_sizes: Sequence[int]
    against: str  # "torch" or "none"
    compiled: bool
    backend: str
    threads: Sequence[int]
    rounds: int
    seconds: float  # of one turn
    graph: bool = True  # on a device
    tf32: bool = False  # on a device, on both sides
    layouts: dict[str, dict[str, int]] = field(  # of each method's encoder
        default_factory=lambda: {method: {"size": 32, "channels": 3} for method in BENCH_METHODS.values()}
    )

    def opening(self, preset: str, batch: int, threads: int) -> dict[str, Any]:
        """What a worker needs to know to build its side."""
        layout = self.layouts[BENCH_METHODS[preset]]
        known = {"backend": self.backend, "threads": threads, "graph": self.graph, "tf32": self.tf32}
        return {"preset": preset, "batch": batch, "layout": layout, **known}


def compare(
    options: Options, announce: Announce, start: Start, watch: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Every preset at every batch size and number of threads; plain data, as --json writes it.

    Args:
        announce: called with each measurement's name. start: starts a worker with that many threads.
        watch: is shown the result when the machine is known, and again after each preset.
    Raises:
        Disagreement: a twin does not compute what dimref computes; nothing of that preset was timed.
        DimrefError: PyTorch or the backend is not there.
    """
    torch = options.against == "torch"
    sides = [side for side in SIDES if side == "dimref" or (torch and (side == "eager" or options.compiled))]
    result: dict[str, Any] = {}
    for threads in options.threads:
        with ExitStack() as stack:
            workers = {side: stack.enter_context(start(threads)) for side in sides}
            if not result:
                known = {"backend": options.backend, "threads": threads, "tf32": options.tf32}
                result = {
                    "version": __version__,
                    "machine": workers["dimref"].ask("describe", **known, torch=False),
                    "torch": workers["eager"].ask("describe", **known, torch=True) if torch else None,
                    "options": asdict(options),
                    "presets": [],
                }
                watch(result)
            for preset in options.presets:
                for batch in options.batch_sizes:
                    row = _Preset(options, preset, batch, threads, dict(workers), start, announce)
                    result["presets"].append(row.measure())
                    watch(result)
    return result


@dataclass
class _Preset:
    """One preset at one batch size and number of threads."""

    options: Options
    preset: str
    batch: int
    threads: int
    workers: dict[str, Worker]
    start: Start
    announce: Announce

    def measure(self) -> dict[str, Any]:
        opening, ours = self.options.opening(self.preset, self.batch, self.threads), self.workers["dimref"]
        text = ours.ask("open", side="dimref", **opening)
        agreement, failed = self._twins(opening)
        gflop = ours.ask("products")
        if "eager" in self.workers:
            self.workers["eager"].ask("products")
        turns, unsettled = self._turns()
        self._say("profile")
        return {
            "preset": self.preset,
            "text": text,
            "batch": self.batch,
            "threads": self.threads,
            "gflop": gflop,
            "agreement": agreement,
            "failed": failed,
            "sides": summary(turns, self.batch, gflop),
            "unsettled_turns": unsettled,
            **ours.ask("profile"),
            "peak_bytes": self._peaks(opening),
        }

    def _say(self, what: str) -> None:
        self.announce(f"{self.preset}, batch {self.batch}: {what}")

    def _twins(self, opening: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Build the twins, and prove that they are dimref's; a compiler that fails takes its side out."""
        agreement, failed = {}, {}
        for side in [side for side in self.workers if side != "dimref"]:
            compiles = side == "compiled"
            self._say(f"{'torch.compile, ' if compiles else ''}proof")
            try:
                self.workers[side].ask("open", side=side, **opening)
                agreement[side] = self.workers[side].ask("prove", backend=self.options.backend, tf32=self.options.tf32)
            except WorkerFailed as error:
                if not compiles:
                    raise
                failed[side] = str(error)
                del self.workers[side]
        return agreement, failed

    def _turns(self) -> tuple[dict[str, dict[str, list[float]]], int]:
        """Median seconds of each turn, by side and call; how many turns ended with threads that would not rest.

        torch.compile multiplies with the BLAS of eager PyTorch, whose bare products stand for both.
        """
        calls = [(s, c) for s in self.workers for c in ("step", "products") if (s, c) != ("compiled", "products")]
        turns: dict[str, dict[str, list[float]]] = {side: {} for side in self.workers}
        unsettled = 0
        for number in range(self.options.rounds):
            self._say(f"round {number + 1} of {self.options.rounds}")
            for side, call in calls:
                measured = self.workers[side].ask("turn", what=call, seconds=self.options.seconds)
                turns[side].setdefault(call, []).append(statistics.median(measured["seconds"]))
                unsettled += not measured["settled"]
        if "compiled" in turns:
            turns["compiled"]["products"] = turns["eager"]["products"]
        return turns, unsettled

    def _peaks(self, opening: dict[str, Any]) -> dict[str, int | None]:
        """Peak memory of a few steps of each side, each in a process of its own.

        Not of torch.compile, whose peak is that of its compiler.
        """
        peaks: dict[str, int | None] = {}
        for side in ("dimref", "eager") if self.options.against == "torch" else ("dimref",):
            self._say(f"memory of {side}")
            with self.start(self.threads) as fresh:
                peaks[side] = fresh.ask("peak", side=side, **opening)
        return peaks


def summary(turns: dict[str, dict[str, list[float]]], batch: int, gflop: float) -> dict[str, Any]:
    """Medians over turns, and ratios turn by turn, of each side."""
    ours = turns["dimref"]["step"]
    result = {}
    for side, calls in turns.items():
        step, products = statistics.median(calls["step"]), statistics.median(calls["products"])
        result[side] = {
            "step_ms": 1e3 * step,
            "images_per_second": batch / step,
            "ratio": None if side == "dimref" else median_ratio(calls["step"], ours),  # this side's time / dimref's
            "gflop_per_second": gflop / step,
            "products_ms": 1e3 * products,
            "products_gflop_per_second": gflop / products,
            "share_of_products": median_ratio(calls["products"], calls["step"]),
            "turns": calls,
        }
    return result
