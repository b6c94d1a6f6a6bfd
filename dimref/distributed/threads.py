"""W ranks as threads of this process in lock step: one runs until its next collective, then the next one does.

For laws, tests and audits: they need no MPI, and the same program gives the same numbers.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from autograd.tracer import trace_stack

from dimref.trees import Array


class _Abandoned(Exception):
    """Another rank failed."""


class _Round:
    """What the ranks share: whose turn it is, what each has brought, and what ended the round early."""

    def __init__(self, size: int) -> None:
        self.turns = [threading.Semaphore(0) for _ in range(size)]
        # Two of them: a rank may bring to the next collective before the last one has read from this one.
        self.brought: list[list[Any]] = [[None] * size, [None] * size]
        self.ended: int | None = None
        self.error: BaseException | None = None


class LockstepRank:
    """A `Carrier` among threads."""

    def __init__(self, shared: _Round, rank: int, size: int) -> None:
        self._shared, self.rank, self.size = shared, rank, size
        self._collectives = 0

    def gather(self, x: Array, counts: tuple[int, ...]) -> Array:
        parts = self.exchange(x)
        rows = tuple(len(part) for part in parts)
        if rows != counts:
            raise ValueError(f"all_gather: the ranks must have {counts} rows, had {rows}")
        return np.concatenate(parts)

    def sum(self, x: Array) -> Array:
        return reduce(np.add, self.exchange(x))

    def exchange(self, x: Any) -> list[Any]:
        """What every rank brings, once all have."""
        if self._shared.ended is not None:
            raise RuntimeError(f"rank {self.rank} waits in a collective that rank {self._shared.ended} ended without")
        brought = self._shared.brought[self._collectives % 2]
        brought[self.rank] = x
        self._collectives += 1
        depth = trace_stack.top  # autograd counts a process's nested traces: each rank has a count of its own
        self._pass_turn()
        self._wait()
        trace_stack.top = depth
        return list(brought)

    def run(self, program: Callable[[LockstepRank], Any]) -> Any:
        """The result of the whole program, from this rank's first turn to its last; None if any rank failed."""
        depth = trace_stack.top
        try:
            self._wait()
            trace_stack.top = depth
            return program(self)
        except _Abandoned:
            return None
        except BaseException as error:
            self._shared.error = self._shared.error or error
            return None
        finally:
            if self._shared.ended is None:
                self._shared.ended = self.rank
            self._pass_turn()

    def _wait(self) -> None:
        self._shared.turns[self.rank].acquire()
        if self._shared.error is not None:
            raise _Abandoned

    def _pass_turn(self) -> None:
        self._shared.turns[(self.rank + 1) % self.size].release()


def lockstep(size: int, program: Callable[[LockstepRank], Any]) -> list[Any]:
    """Run `program(rank)` on W ranks in lock step; every rank's result, in their order.

    Raises:
        RuntimeError: a rank ends while another waits in a collective; or whatever the first rank that failed raised.
    """
    shared, results, depth = _Round(size), [None] * size, trace_stack.top

    def run(rank: int) -> None:
        results[rank] = LockstepRank(shared, rank, size).run(program)

    threads = [threading.Thread(target=contextvars.copy_context().run, args=(run, r), daemon=True) for r in range(size)]
    for thread in threads:
        thread.start()
    shared.turns[0].release()
    for thread in threads:
        thread.join()
    trace_stack.top = depth
    if shared.error is not None:
        raise shared.error
    return results
