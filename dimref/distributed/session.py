"""How a command among ranks ends: all of them, in one line and with one exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from dimref.distributed.launch import Agreed, rank, started
from dimref.errors import DimrefError


@contextlib.contextmanager
def session() -> Iterator[None]:
    """End all ranks where one ends early: in one line, and with one exit code."""
    if started() == 1:
        yield
        return
    failed: DimrefError | None = None
    try:
        yield
    except DimrefError as error:
        failed = error
    except BaseException as error:
        from dimref.distributed import mpi

        world = mpi.world()
        if world is not None:
            world.abort(130 if isinstance(error, KeyboardInterrupt) else 2)
        raise
    _end(failed)


def _end(error: DimrefError | None) -> None:
    """Wait for the others, which may still have an error; raise it on rank 0, elsewhere end with its exit code."""
    if not isinstance(error, Agreed):
        from dimref.distributed import mpi

        try:
            world = mpi.world()
            if world is not None:
                world.meet(error)
        except DimrefError as of_all:
            error = of_all
    if error is not None:
        if rank() == 0:
            raise error
        sys.exit(error.exit_code)
