"""How much memory a process and everything it started have resident."""

from __future__ import annotations

import subprocess

from dimref.training.processes import family


def resident(session: int) -> int:
    """Bytes resident in a session and all that it started, a page that is shared counted for each; 0 where unknown.

    An address-space limit would be simpler, but CUDA and JAX reserve far more than they use.
    """
    found = family(session)
    if found:
        return sum(found.values())
    try:
        listed = subprocess.run(["ps", "-A", "-o", "sess=,pgid=,rss="], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return 0
    rows = [line.split() for line in listed.stdout.splitlines()]
    return sum(1024 * int(row[2]) for row in rows if len(row) == 3 and row[1] == str(session))
