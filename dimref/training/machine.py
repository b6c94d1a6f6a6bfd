"""What a result depends on besides the seed: machine, BLAS, threads, versions."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import numpy as np

from dimref.distributed.launch import available_cores
from dimref.training.choices import THREAD_VARIABLES


def description(backend: str, device: str) -> dict[str, str]:
    """Backend, device, BLAS, threads and versions, as text by name."""
    return {
        "backend": backend,
        "device": device,
        "machine": f"{platform.machine()} {platform.system()}",
        "processor": _processor(),
        "blas": blas(),
        "threads": threads(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("dimref", "numpy", "autograd")},
    }


def blas() -> str:
    """Name and version of the BLAS that NumPy was built with."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def threads() -> str:
    """The number of BLAS threads: what the environment says, or every core this process may use."""
    for name in THREAD_VARIABLES:
        if os.environ.get(name):
            return f"{os.environ[name]} ({name})"
    return f"{available_cores()} (all cores)"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
