"""Threads that share the rows of one array. NumPy releases Python's lock while it computes.

BLAS has threads of its own, but elementwise passes between two products have none. Within `sharing()` BLAS is held to one
thread, and as many threads as it had take a share of the rows each, through products and passes alike. Outside of it nothing
is shared; nor is it where nobody can hold BLAS back: threadpoolctl is not installed, or does not know this BLAS.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import cache, partial
from itertools import pairwise
from typing import Any, TypeVar

Result = TypeVar("Result")

_threads: ContextVar[int] = ContextVar("threads", default=1)


def threads() -> int:
    """How many threads work can be shared among, here: 1 outside of `sharing` and within a share."""
    return _threads.get()


@contextlib.contextmanager
def sharing() -> Iterator[None]:
    """Give BLAS one thread until this is left, and let `run` use as many as it had.

    For a whole step or more: BLAS's own threads wait awake for some time after each product, and would be in the way.
    """
    blas = _blas()
    count = max((pool["num_threads"] for pool in blas.info()), default=1) if blas else 1
    if count == 1:
        yield
        return
    token = _threads.set(count)
    try:
        with blas.limit(limits=1):
            yield
    finally:
        _threads.reset(token)


def shares(n: int, count: int) -> list[slice]:
    """0..n−1 cut into `count` runs of nearly equal length; into n where that is fewer, but at least one."""
    count = max(1, min(count, n))
    edges = [n * k // count for k in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def blocks(n: int, size: int) -> list[list[slice]]:
    """0..n−1 cut into blocks of nearly equal length, of `size` at most, dealt in runs to the threads."""
    windows = shares(n, -(-n // size))
    return [windows[share] for share in shares(len(windows), threads())]


def over_blocks(function: Callable[[slice], Result], n: int, size: int) -> list[Result]:
    """function(block) of each of the `blocks`, in their order: what is summed over them knows nothing of threads."""

    def work(windows: list[slice]) -> list[Result]:
        return [function(window) for window in windows]

    return [result for results in run([partial(work, windows) for windows in blocks(n, size)]) for result in results]


def run(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """The results of at most `threads()` calls, in their order, each on a thread of its own, in the context of this one.

    Every call has ended when this returns or raises: they may write into arrays of their caller.
    """
    if len(calls) == 1:
        return [calls[0]()]
    others = [_pool(threads()).submit(copy_context().run, _share, call) for call in calls[1:]]
    try:
        first = copy_context().run(_share, calls[0])
    finally:
        failed = [error for error in (other.exception() for other in others) if error is not None]
    if failed:
        raise failed[0]
    return [first, *(other.result() for other in others)]


def _share(call: Callable[[], Any]) -> Any:
    _threads.set(1)
    return call()


@cache
def _blas() -> Any:
    """threadpoolctl's hold on the BLAS that is loaded, or None."""
    try:
        import threadpoolctl
    except ImportError:
        return None
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


@cache
def _pool(size: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(size - 1, thread_name_prefix="dimref")


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)
