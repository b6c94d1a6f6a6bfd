"""What W ranks cost: bytes that travel in a step, strong and weak scaling on this machine, and what follows for more ranks.

Ranks are pinned, one thread each. Strong: N images shared by W ranks; weak: N images on each. Predictions are for
`mpiexec` on many machines of this kind; they assume that nothing overlaps (a rank computes, then waits), that each byte
takes its time at the stated bandwidth and each call its latency log₂ W times, and that scores of a rank's own images
against those of all others run at the measured rate of a matrix product.
python examples/scaling_of_ranks.py [STEPS IMAGES MOST_RANKS]
"""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from dimref import engine
from dimref.amdim.objective import LOCATIONS
from dimref.backend import NUMPY
from dimref.distributed import mpi
from dimref.training import loop, memory
from dimref.training.choices import THREAD_VARIABLES
from dimref.training.config import Config
from dimref.training.method import METHODS
from dimref.training.state import initial_state
from dimref.training.task import Task
from dimref.trees import leaves

OPTIONS = {
    "JSD, concat critic": {},
    "DV, concat critic": {"bound": "dv"},
    "InfoNCE, dot critic": {"bound": "infonce"},
    "AMDIM": {"method": "amdim"},
}
NETWORKS = {"10 Gb/s, 50 µs": (1.25e9, 50e-6), "100 Gb/s, 2 µs": (12.5e9, 2e-6)}  # bytes a second, seconds a call
CONCAT, DOT = 512, 2048  # numbers that a critic gathers of each image


class Counting(Task):
    """A task that keeps the ranks of its last step, for what they counted."""

    def ranks(self, n):
        object.__setattr__(self, "last", super().ranks(n))
        return self.last


def work(name: str, n: int, steps: int) -> None:
    """Steps of one of W ranks; rank 0 prints what was measured."""
    world = mpi.world()
    rank, size = (0, 1) if world is None else (world.rank, world.size)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[rank % len(cores)]})
    images = np.random.default_rng(0).integers(0, 256, (max(n, 20), 32, 32, 3), dtype=np.uint8)
    config = Config(batch_size=n, **OPTIONS[name])
    method = METHODS[config.method]
    layout = method.layout(32, 3, *(getattr(config, width) for width in method.widths))
    task = Counting(config, config.objective(), layout, NUMPY, "random", images, images[:2], world=world)
    engine.turn_on()
    state, taken = initial_state(task), []
    parts = {"parameters": state.parameters, "running": state.model["encoder"]}
    sizes = {part: sum(np.size(a) for _, a in leaves(tree)) for part, tree in parts.items()}
    for _ in range(steps + 1):
        start = time.perf_counter()
        state, _ = loop.train_step(task, state)
        taken.append(time.perf_counter() - start)
    square = np.ones((512, 512), np.float32)
    start = time.perf_counter()
    for _ in range(8):
        square @ square
    rate = 8 * 2 * 512**3 / (time.perf_counter() - start)
    peak = np.array([memory.high_water() or 0])
    peaks = peak if world is None else world.gather(peak, (1,) * size)
    measured = {
        "seconds": statistics.median(taken[1:]),  # the first warms up
        "peak": int(peaks.max()),
        "rate": rate,
        "traffic": dict(getattr(task.last, "traffic", {})),
        "channels": sizes["running"] // 2,  # a mean and a variance each
        "parameters": sizes["parameters"],
        "locations": task.locations,
        "width": getattr(task.layout, "nrkhs", 0) or task.layout.representation,
    }
    if rank == 0:
        print(json.dumps(measured))


def measure(name: str, w: int, n: int, steps: int) -> dict:
    """What `work` measured on W ranks that share n images."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    start = [mpiexec if mpiexec.exists() else "mpiexec", "-n", w] if w > 1 else []
    command = [*start, sys.executable, __file__, "--work", name, n, steps]
    env = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=env)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def travels(name: str, one: dict, w: int, n: int) -> tuple[float, float]:
    """Bytes of the sums and of the gathers of a step of n images on W ranks."""
    sums = 4 * one["parameters"] + 16 * one["channels"]  # every gradient; batch norm, two sums forward and two backward
    gathers = 4 * n * one["width"]  # y, for the metrics
    if name == "AMDIM":  # in each of six directions: anchors, log sums, the positives' pull; two views
        return (
            sums + 16 * one["channels"] + 6 * 4 * n * one["width"],
            gathers + 6 * 4 * (n * one["width"] + w * n + n),
        )
    critic = 4 * n * (DOT if "dot" in name else CONCAT)
    scores = {"DV": 4 * w * one["locations"], "InfoNCE": 4 * w * n * one["locations"]}.get(name.split(",")[0], 0)
    return sums + critic + scores, gathers + critic + scores


def predicted(name: str, one: dict, compute: float, w: int, n: int, network: tuple[float, float]) -> float:
    """Seconds of a step of n images on W ranks, one of which computes for so long on its own images."""
    bandwidth, latency = network
    sums, gathers = travels(name, one, w, n)
    calls = one["calls"] * math.ceil(math.log2(w))
    own, units = n / w, {"AMDIM": 2 * sum(LOCATIONS[k] for k in "575") * one["width"]}
    products = {"InfoNCE, dot critic": 6 * one["locations"] * DOT, "AMDIM": 8 * units["AMDIM"]}.get(name, 0)
    scores = products * own * (n - own) / one["rate"]
    return compute + scores + (w - 1) / w * (2 * sums + gathers) / bandwidth + calls * latency


def main(steps: int = 20, n: int = 64, most: int = 4) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    widths = [w for w in (1, 2, 4) if w <= most]
    for name in OPTIONS:
        print(f"\n{name}, N = {n}", flush=True)
        strong = {w: measure(name, w, n, steps) for w in widths}
        half = measure(name, 1, n // 2, steps)["seconds"]
        weak = {w: measure(name, w, w * n, steps) for w in widths[1:] if w <= cores}
        one, two = strong[1], strong[2]
        counted = two["traffic"]
        one["calls"] = counted["sum calls"] + counted["gather calls"]
        formula = travels(name, one, 2, n)
        print(
            f"  {one['parameters']:,} parameters, {one['calls']} calls; bytes of sums and gathers, by formula and counted:"
        )
        print(
            f"  {formula[0]:>14,.0f} {counted['sum bytes']:>14,}    {formula[1]:>12,.0f} {counted['gather bytes']:>12,}"
        )
        print("  ranks   strong s  efficiency     weak s  efficiency   peak MiB of a rank")
        for w, seen in strong.items():
            e = f"{one['seconds'] / (w * seen['seconds']):>10.0%}" if w <= cores else f"{'':>10}"
            wide = weak.get(w, one if w == 1 else None)
            weakly = f"{wide['seconds']:>10.3f} {one['seconds'] / wide['seconds']:>11.0%}" if wide else " " * 22
            print(f"  {w:>5} {seen['seconds']:>10.3f} {e}  {weakly} {seen['peak'] / 2**20:>14.0f}", flush=True)
        slope = (one["seconds"] - half) / (n - n // 2)
        print("  predicted efficiency  " + "".join(f"{label:>22}" for label in NETWORKS))
        for w in (8, 64, 512):
            row = [one["seconds"] / predicted(name, one, one["seconds"], w, w * n, net) for net in NETWORKS.values()]
            print(f"  weak, {w:>3} ranks of {n:<6}" + "".join(f"{e:>22.0%}" for e in row))
            if w <= n:
                own = max(half - slope * (n // 2 - n / w), 0)  # what a step takes of n/w images, Adam's part included
                row = [one["seconds"] / (w * predicted(name, one, own, w, n, net)) for net in NETWORKS.values()]
                print(f"  strong, {w:>3} ranks" + " " * 9 + "".join(f"{e:>22.0%}" for e in row), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        main(*map(int, sys.argv[1:]))
