"""Threads that share the rows of one array. NumPy releases Python's lock while it computes.

BLAS has threads of its own, but elementwise passes between two products have none. Within `sharing()` BLAS is held to one
thread, and as many threads as it had take blocks of rows each, through products and passes alike. Outside of it nothing is
shared; nor is it where BLAS's threads cannot be limited: threadpoolctl is not installed, or does not know this BLAS.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_threads: ContextVar[int] = ContextVar("threads", default=1)


def threads() -> int:
    """The number of threads that may share work: 1 outside of `sharing` and within a share."""
    return _threads.get()


@contextlib.contextmanager
def sharing() -> Iterator[None]:
    """Limit BLAS to one thread inside the context, and let `run` use as many as it had.

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


def blocks(n: int, size: int) -> list[slice]:
    """0..n−1 cut into blocks of nearly equal length, of `size` at most."""
    return shares(n, -(-n // size))


def tapered(n: int, size: int) -> list[slice]:
    """0..n−1 cut into blocks of `size` at most that get smaller toward the end, so that all threads end at nearly one time.

    Each round gives every thread a block, half of what is left together, down to half of `size`. One thread alone has the
    even `blocks`.
    Source: Hummel, Schonberg & Flynn 1992, Factoring, Communications of the ACM 35(8).
    """
    count = threads()
    if count == 1:
        return blocks(n, size)
    edges, least = [0], max(1, min(size, n) // 2)
    while edges[-1] < n:
        length = max(least, min(size, -(-(n - edges[-1]) // (2 * count))))
        for _ in range(count):
            edges.append(min(n, edges[-1] + length))
    return [slice(start, stop) for start, stop in pairwise(edges) if start < stop]


def run(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """function(item) of each item, in their order: all of `in_order`."""
    return list(in_order(function, items))


def in_order(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """function(item) of each item, in their order, each once it and all before it are there.

    `threads()` calls run at once, in the context of this one, and a thread that is free takes the next: cores are seldom
    equally fast. The caller consumes results between calls of its own, in an order independent of the
    threads. When this ends, raises or is closed, no call is running (they may write into arrays of their caller), and
    after an error none begins. One item alone has all threads for itself.
    """
    count = min(threads(), len(items))
    if count < 2:
        yield from map(function, items)
        return
    left, results = deque(enumerate(items)), dict[int, Result]()
    others = [_pool(threads()).submit(copy_context().run, _work, function, left, results) for _ in range(count - 1)]
    context, ready = copy_context(), 0
    context.run(_threads.set, 1)
    try:
        while context.run(_take, function, left, results):
            while ready in results:
                yield results.pop(ready)
                ready += 1
    finally:
        left.clear()
        failed = [error for error in (other.exception() for other in others) if error is not None]
    if failed:
        raise failed[0]
    yield from (results.pop(k) for k in range(ready, len(items)))


def _work(function: Callable[[Item], Result], left: deque[tuple[int, Item]], results: dict[int, Result]) -> None:
    _threads.set(1)
    while _take(function, left, results):
        pass


def _take(function: Callable[[Item], Result], left: deque[tuple[int, Item]], results: dict[int, Result]) -> bool:
    """Call it with the next item; false where none is left."""
    try:
        k, item = left.popleft()
    except IndexError:
        return False
    try:
        results[k] = function(item)
    except BaseException:
        left.clear()
        raise
    return True


@cache
def _blas() -> Any:
    """threadpoolctl's controller of the loaded BLAS, or None."""
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
