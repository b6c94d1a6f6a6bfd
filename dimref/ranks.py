"""What "over the batch" means where several processes, the ranks, share the images of every batch.

Each rank has some images of the batch, in the order of the ranks, and runs the same program on them. Every rank computes
the loss L of the whole batch and differentiates its share, L/W; the shares sum to L, so gradients are summed over ranks,
never averaged. By default there is one rank, and then `all_sum`, `all_gather`, `own` and `of_batch` are the identity.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar

from dimref import ops
from dimref.trees import Array, Tree


class OneRank:
    """One process. `distributed.Ranks` overrides each of these for W of them."""

    size = 1  # W
    first = 0  # place in the batch of this rank's first image

    def all_sum(self, x: Array) -> Array:
        """Σ_r x_r, on every rank. VJP: `all_sum` of the gradient."""
        return x

    def all_gather(self, x: Array, counts: tuple[int, ...] = ()) -> Array:
        """The rows of all ranks, (n, …) → (N, …). VJP: sum the gradient over ranks, then cut out the own rows.

        Args:
            counts: how many rows each rank has; by default one for each of its images.
        """
        return x

    def own(self, tree: Tree) -> Tree:
        """This rank's rows of arrays that have one for each image of the batch."""
        return tree

    def of_batch(self, count: int) -> int:
        """How many there are in the whole batch of what this rank has `count` of, as many for each image."""
        return count

    def share(self, loss: Array) -> Array:
        """L/W of a loss L that every rank has computed whole."""
        return loss

    def summed(self, gradients: Tree) -> Tree:
        """The gradient of the loss: the sum over ranks of the gradients of their shares."""
        return gradients


_ONE = OneRank()
_now: ContextVar[OneRank] = ContextVar("ranks", default=_ONE)


def now() -> OneRank:
    """The ranks that share the present batch."""
    return _now.get()


@contextlib.contextmanager
def among(ranks: OneRank) -> Iterator[None]:
    """Inside, arrays of a batch have this rank's rows alone."""
    token = _now.set(ranks)
    try:
        yield
    finally:
        _now.reset(token)


def mean(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """`ops.mean` over the whole batch, whose images are on axis 0: along that axis, or all axes."""
    count = now().of_batch(math.prod(x.shape) if axis is None else x.shape[0])
    return now().all_sum(ops.total(x, axis, keepdims)) * (1.0 / count)


def logsumexp(x: Array) -> Array:
    """`ops.logsumexp` along axis 0 over the whole batch: that of every rank's own, which is exact."""
    partial, w = ops.logsumexp(x, axis=0, keepdims=True), now().size
    return ops.logsumexp(now().all_gather(partial, (1,) * w), axis=0) if w > 1 else ops.reshape(partial, x.shape[1:])


def logmeanexp(x: Array) -> Array:
    """`ops.logmeanexp` along axis 0 over the whole batch."""
    return logsumexp(x) - math.log(now().of_batch(x.shape[0]))
