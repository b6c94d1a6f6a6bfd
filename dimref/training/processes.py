"""Processes that dimref starts of itself: to measure in, to keep somebody else's code in, to lose without loss."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]  # where `import dimref` finds this very package


def environment(**changes: str) -> dict[str, str]:
    """This process's environment with changes, in which a child imports the dimref that runs here."""
    paths = [str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **changes, "PYTHONPATH": os.pathsep.join(paths)}
