"""One side of the comparison as a process of its own: a JSON request a line on its input, a JSON answer a line back.

The process that starts it (`workers.Worker`) sets the number of threads in the environment, which BLAS reads when it is
loaded. What a library prints goes to the error stream, so that nothing but answers reaches the pipe.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from collections.abc import Callable
from typing import Any

from dimref.backend import get_backend
from dimref.bench import products, reference, timing
from dimref.bench import profile as profiles
from dimref.bench import work as works
from dimref.bench.work import Work
from dimref.errors import DimrefError, first_line
from dimref.training import machine, memory

DEVICES = {"numpy": "cpu", "cupy": "cuda"}  # PyTorch's name for where a backend computes


class Server:
    """What a worker answers. A request's "do" is the name of a method, the rest are its arguments."""

    def __init__(self) -> None:
        self.work: Work | None = None
        self.side: Any = None  # a Reference or a Twin
        self.calls: dict[str, Callable[[], None]] = {}

    def describe(self, backend: str, threads: int, torch: bool, tf32: bool = False) -> dict[str, str]:
        """The machine as this process sees it."""
        if torch:
            return torch_machine(backend, threads)
        return machine.description(backend, get_backend(backend, tf32).device)

    def open(
        self,
        side: str,
        preset: str,
        batch: int,
        backend: str,
        threads: int,
        layout: dict[str, int],
        graph: bool = True,
        tf32: bool = False,
    ) -> str:
        """Build one side of a workload, "dimref", "eager" or "compiled", to be called in turns; what it is, in words."""
        self.work = works.make(preset, batch, layout=works.layout_of(preset, layout))
        if side == "dimref":
            self.side = reference.start(self.work, get_backend(backend, tf32), graph)
        else:
            torch_machine(backend, threads)
            from dimref.bench.oracle.twin import Twin

            self.side = Twin(self.work, DEVICES[backend], side == "compiled", tf32)
        self.calls = {"step": self.side.step}
        return works.describe(preset)

    def products(self) -> float:
        """Have the open workload's bare products to be called in turns, by this side's library; their GFLOP."""
        assert self.work is not None
        shapes = products.product_shapes(self.work.preset, len(self.work.images), self.work.layout)
        self.calls["products"] = self.side.bare_products(shapes)
        return products.gflop(shapes)

    def prove(self, backend: str, tf32: bool = False) -> dict[str, Any]:
        """That the step of the twin that is open is dimref's."""
        from dimref.bench.oracle import proof

        assert self.work is not None
        return dataclasses.asdict(proof.prove(self.work, get_backend(backend, tf32), self.side))

    def turn(self, what: str, seconds: float) -> dict[str, Any]:
        """Seconds of each call, and whether the threads came to rest after them."""
        taken = timing.turn(self.calls[what], self.side.synchronize, seconds)
        return {"seconds": taken, "settled": timing.settle()}

    def peak(self, steps: int = 3, **opening: Any) -> int | None:
        """Bytes that building a side and some of its steps add to the high-water mark of the imports.

        The answer of a fresh process: a high-water mark does not fall. On a device they are what the libraries have come to
        hold of its memory, of which they give nothing back.
        """
        if opening["side"] != "dimref":
            torch_machine(opening["backend"], opening["threads"])
            from dimref.bench.oracle import twin  # noqa: F401 (the last of the imports)
        in_use = _memory_in_use(opening["side"], opening["backend"])
        before = in_use()
        self.open(**opening)
        self.work = None  # each side has its own copy
        for _ in range(steps):
            self.calls["step"]()
        self.side.synchronize()
        after = in_use()
        return None if before is None or after is None else after - before

    def profile(self) -> dict[str, Any]:
        """How dimref's step was queued on a device, in words; or where its time goes on the host."""
        graph = self.side.graph()
        return {"graph": graph, "profile": None if graph else profiles.profile(self.calls["step"])}


def torch_machine(backend: str, threads: int) -> dict[str, str]:
    """PyTorch's version, BLAS, threads and optimizer, having set its threads.

    Raises:
        DimrefError: PyTorch is not installed, or has no CUDA device where one is needed.
    """
    try:
        import torch
    except ImportError:
        raise DimrefError(
            "--against torch: expected PyTorch, found it not installed; install it with pip install '.[oracle]', "
            "or use --against none"
        ) from None
    torch.set_num_threads(threads)
    if DEVICES[backend] == "cuda" and not torch.cuda.is_available():
        raise DimrefError(f"--against torch: expected PyTorch with CUDA, found {torch.__version__} without a device")
    settings = torch.optim.Adam([torch.zeros(1)]).defaults
    blas = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if DEVICES[backend] == "cuda" else "cpu",
        "blas": blas[1] if blas else "BLAS unknown",
        "threads": str(torch.get_num_threads()),
        "adam": f"torch.optim.Adam, foreach={settings['foreach']}, fused={settings['fused']}",
    }


def _memory_in_use(side: str, backend: str) -> Callable[[], int | None]:
    """How much memory there is in use: the most that this process had, or what all processes have on the device."""
    if side == "dimref":
        return get_backend(backend).memory_in_use or memory.high_water
    if DEVICES[backend] == "cpu":
        return memory.high_water
    import torch

    def in_use() -> int:
        free, total = torch.cuda.mem_get_info()
        return int(total - free)

    return in_use


def answer(server: Server, line: str) -> dict[str, Any]:
    """The answer to one request: {"answer"}, or {"refused", "code"} with one line, or {"failed"} with one line."""
    request = json.loads(line)
    try:
        return {"answer": getattr(server, request.pop("do"))(**request)}
    except DimrefError as error:
        return {"refused": str(error), "code": error.exit_code}
    except MemoryError:
        return {"failed": "no memory left"}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {first_line(error)}"}


def main() -> None:
    """Answer until the input ends, as it does when the process that asks is gone."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    server = Server()
    for line in sys.stdin:
        channel.write(json.dumps(answer(server, line)) + "\n")
        channel.flush()


if __name__ == "__main__":
    main()
