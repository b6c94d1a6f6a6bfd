"""Peak memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
MEMINFO = Path("/proc/meminfo")


def high_water() -> int | None:
    """The most memory, in bytes, that this process has had resident; None where the system does not report it.

    Linux counts it for each program in /proc; `getrusage` there begins with that of the process that started it.
    """
    if (peak := _kilobytes(STATUS, "VmHWM")) is not None:
        return peak
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def available() -> int | None:
    """Bytes that a new process can have without swapping; None where the system does not report it."""
    return _kilobytes(MEMINFO, "MemAvailable")


def _kilobytes(path: Path, name: str) -> int | None:
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return None
