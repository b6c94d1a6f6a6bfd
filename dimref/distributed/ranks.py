"""W ranks: the two collectives as primitives on the tape, over whatever carries arrays from rank to rank."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

import numpy as np
from autograd.extend import defvjp

from dimref import ops, ranks
from dimref.ranks import OneRank
from dimref.tape import primitive
from dimref.trees import Array, Tree, leaves, map_tree


class Carrier(Protocol):
    """What carries raw arrays between W processes or threads; every rank calls the same functions in the same order."""

    rank: int
    size: int

    def gather(self, x: Array, counts: tuple[int, ...]) -> Array:
        """Every rank's rows, in the order of the ranks; `counts` are their numbers."""

    def sum(self, x: Array) -> Array:
        """Σ of every rank's x, the same to the last bit on every rank."""


def shares(n: int, size: int) -> tuple[int, ...]:
    """How many of n images each rank has: numbers that differ by at most one."""
    return tuple(n // size + (rank < n % size) for rank in range(size))


class Ranks(OneRank):
    """One of W ranks, with its share of a batch of n images.

    Raises:
        ValueError: a rank would have no image.
    Source: arXiv 2006.15704, section 3.2, where gradients are averaged: that needs W times this share.
    """

    def __init__(self, carrier: Carrier, n: int) -> None:
        if n < carrier.size:
            raise ValueError(f"ranks: a batch must have an image for each of {carrier.size} ranks, had {n}")
        self.carrier, self.size, self.n = carrier, carrier.size, n
        self.counts = shares(n, carrier.size)
        self.first = sum(self.counts[: carrier.rank])
        self.count = self.counts[carrier.rank]
        self.traffic: Counter[str] = Counter()  # calls of each collective, and the bytes of their results

    def all_sum(self, x: Array) -> Array:
        return _all_sum(x)

    def all_gather(self, x: Array, counts: tuple[int, ...] = ()) -> Array:
        return _all_gather(x, counts or self.counts)

    def own(self, tree: Tree) -> Tree:
        rows = (slice(self.first, self.first + self.count),)
        return map_tree(lambda a: ops.cut(a, rows), tree)

    def of_batch(self, count: int) -> int:
        return count * self.n // self.count

    def share(self, loss: Array) -> Array:
        return loss * (1 / self.size)

    def summed(self, gradients: Tree) -> Tree:
        flat = [g.reshape(-1) for _, g in leaves(gradients) if g is not None]
        total = _sum(self, np.concatenate(flat))  # as one array: many small ones would each wait for every rank
        parts = iter(np.split(total, np.cumsum([g.size for g in flat])[:-1]))
        return map_tree(lambda g: g if g is None else next(parts).reshape(g.shape), gradients)


def _now() -> Ranks:
    now = ranks.now()
    assert isinstance(now, Ranks)
    return now


def _counted(now: Ranks, name: str, result: Array) -> Array:
    now.traffic[f"{name} calls"] += 1
    now.traffic[f"{name} bytes"] += result.nbytes
    return result


def _sum(now: Ranks, x: Array) -> Array:
    return _counted(now, "sum", now.carrier.sum(x))


@primitive
def _all_sum(x: Array) -> Array:
    return _sum(_now(), x)


defvjp(_all_sum, lambda ans, x: _all_sum)


@primitive
def _all_gather(x: Array, counts: tuple[int, ...]) -> Array:
    now = _now()
    return _counted(now, "gather", now.carrier.gather(x, counts))


def _all_gather_vjp(ans: Array, x: Array, counts: tuple[int, ...]) -> Array:
    start = sum(counts[: _now().carrier.rank])
    return lambda g: ops.cut(_all_sum(g), (slice(start, start + x.shape[0]),))


defvjp(_all_gather, _all_gather_vjp)
