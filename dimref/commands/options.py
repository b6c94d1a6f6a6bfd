"""What several commands share."""

from __future__ import annotations

import os
import sys

from dimref.errors import DimrefError
from dimref.names import THREAD_VARIABLES


def set_threads(count: int | None) -> None:
    """Have BLAS use `count` threads. It reads the environment once, when NumPy loads it.

    Raises:
        DimrefError: NumPy is loaded already.
    """
    if count is None:
        return
    if "numpy" in sys.modules:
        raise DimrefError(
            "--threads: expected to be set before NumPy is loaded, found it loaded; start dimref as a command"
        )
    for name in THREAD_VARIABLES:
        os.environ[name] = str(count)
