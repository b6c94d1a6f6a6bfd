"""The checks that need a real device, in parts, each in a process of its own: `dimref hardware`.

Loads no NumPy: the parts do, in their processes (`dimref.bench.hardware.parts`).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

from dimref import __version__
from dimref.training.processes import Child, environment

PARTS = {
    "products": "cuBLAS's products, in every layout, against NumPy's in float64",
    "kernels": "the fused kernels against their plain forms",
    "gradients": "loss and gradients of every objective, NumPy against this device",
    "graph": "steps replayed as a graph against steps queued kernel by kernel",
    "laws": "the laws of the theory (dimref check)",
    "training": "a short run against NumPy's, step by step (dimref train)",
    "bench": "a step beside PyTorch's, float32 in full (dimref bench)",
    "bench-tf32": "the same with TF32 on both sides",
}
PATIENCE = 1800  # seconds a part may take

Found = dict[str, Any]  # {"ok": bool, "said": one line, and numbers}
Start = Callable[[str, bool], Found]


def run(names: tuple[str, ...], quick: bool, start: Start) -> Iterator[tuple[str, Found]]:
    """Each part by name and its result; one that fails, crashes or hangs takes no other with it."""
    for name in names:
        yield name, start(name, quick)


def report(device: str, parts: dict[str, Found]) -> dict[str, Any]:
    """All of it as plain data, as --json writes it."""
    return {"version": __version__, "device": device, "ok": all(p["ok"] for p in parts.values()), "parts": parts}


def in_a_process(name: str, quick: bool, backend: str = "cupy", patience: float = PATIENCE) -> Found:
    """A part in a process of its own."""
    child = Child("dimref.bench.hardware.parts", name, backend, "quick" if quick else "full", env=environment())
    try:
        output, _ = child.process.communicate(timeout=patience)
        return json.loads(output.decode().strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"ok": False, "said": f"expected an end within {patience:g} s, found none"}
    except (IndexError, ValueError):
        return {"ok": False, "said": f"expected a result, found {child.how_it_ended()}"}
    finally:
        child.end()
