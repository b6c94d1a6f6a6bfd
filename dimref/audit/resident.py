"""How much memory a process and everything it started have resident."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")


def resident(session: int) -> int:
    """Bytes resident in all processes of a session, a page that is shared counted for each; 0 where nothing tells.

    An address-space limit would be simpler, but CUDA and JAX reserve far more than they use.
    """
    if (PROC / "self" / "stat").exists():
        return sum(_of_proc(session))
    try:
        listed = subprocess.run(["ps", "-A", "-o", "sess=,pgid=,rss="], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return 0
    rows = [line.split() for line in listed.stdout.splitlines()]
    return sum(1024 * int(row[2]) for row in rows if len(row) == 3 and row[1] == str(session))


def _of_proc(session: int) -> Iterator[int]:
    import resource

    page = resource.getpagesize()
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[3]) == session:
            yield page * int(fields[21])
