"""Threads for the work on one array: which rows go to which thread. NumPy releases Python's lock while it computes.

BLAS has threads of its own, but elementwise passes between two products have none. So the command line gives BLAS one
thread and shares whole blocks of rows, products and passes alike, among threads here. One thread is the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from dimref.names import THREADS

Result = TypeVar("Result")


class _Pool:
    """The threads of this process; made when they are first needed."""

    def __init__(self) -> None:
        self.size = max(1, int(os.environ.get(THREADS) or 1))
        self._executor: ThreadPoolExecutor | None = None

    def executor(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.size - 1, thread_name_prefix="dimref")
        return self._executor

    def forget(self, size: int | None = None) -> None:
        """Threads do not survive a fork, and a pool does not change its size."""
        self.size, self._executor = size or self.size, None


_pool = _Pool()
_shared: ContextVar[bool] = ContextVar("shared", default=False)  # whether this thread already has its share of something
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forget)


def threads() -> int:
    """How many threads work can be shared among: 1 within a share."""
    return 1 if _shared.get() else _pool.size


def set_threads(count: int) -> None:
    """Share work among `count` threads. BLAS should have one of its own then (OPENBLAS_NUM_THREADS=1)."""
    if count < 1:
        raise ValueError(f"set_threads: count must be ≥ 1, was {count}")
    _pool.forget(count)


def shares(n: int, count: int) -> list[slice]:
    """0..n−1 cut into at most `count` runs of nearly equal length, none empty."""
    count = min(count, n)
    edges = [n * k // count for k in range(count + 1)]
    return [slice(*pair) for pair in zip(edges, edges[1:], strict=False)]


def run(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """The results of the calls, in their order; the first runs here, each other on a thread, all in this context.

    Every call has ended when this returns or raises: they write into arrays that their caller owns.
    """
    if len(calls) == 1 or threads() == 1:
        return [call() for call in calls]
    others = [_pool.executor().submit(copy_context().run, _marked, call) for call in calls[1:]]
    try:
        first = copy_context().run(_marked, calls[0])
    finally:
        errors = [other.exception() for other in others]
    for error in errors:
        if error is not None:
            raise error
    return [first, *(other.result() for other in others)]


def _marked(call: Callable[[], Any]) -> Any:
    _shared.set(True)
    return call()
