"""Which pairs count as samples of the product of marginals.

Either a mask over a computed score matrix, for critics that afford N² pairs; or indices drawn on the host before scoring,
for those that do not. The index of `roll` and `derangements` gives each x a y: at location l, x_i is paired with
y_{index[i, l]}; that of `sampled` gives each y its x. N = 1 leaves no negative pairs: a ValueError, as is a wrong shape.
"""

import numpy as np

from dimref import ops, ranks
from dimref.tape import stop_gradient
from dimref.trees import Array, need_arrays


def all_pairs(scores: Array) -> tuple[Array, Array]:
    """Split a score matrix into its diagonal (the joint) and its N(N − 1) off-diagonal pairs (the product).

    The diagonal is no sample of the product: counting it there gives another quantity, with a ceiling (log N for DV).

    scores[i, j(, l)] = T(x_i, y_j), (N, N) or (N, N, L) → joint (N,) or (N, L), product (N(N−1),) or (N(N−1), L), by rows.
    Source: arXiv 1808.06670, section 3.1 (all other images of the batch as negatives).
    """
    check_scores("all_pairs", scores)
    (n, columns), tail = scores.shape[:2], scores.shape[2:]
    flat = ops.reshape(scores, (n * columns, *tail))
    # Every (N+1)-th element is a positive. Between the first and the last: rows that end on one.
    start, end = ranks.now().first, ranks.now().first + (n - 1) * (columns + 1) + 1
    rows = ops.reshape(ops.cut(flat, (slice(start + 1, end),)), (n - 1, columns + 1, *tail))
    between = ops.reshape(ops.cut(rows, (slice(None), slice(None, -1))), ((n - 1) * columns, *tail))
    if ranks.now().size == 1:  # nothing is before the first, or after the last
        return positives(scores), between
    around = [ops.cut(flat, (slice(0, start),)), between, ops.cut(flat, (slice(end, None),))]
    return positives(scores), ops.concatenate(around)


def positives(scores: Array) -> Array:
    """The positive pairs of a score matrix, T(x_i, y_i): (N,) or (N, L)."""
    n, columns = scores.shape[:2]
    flat = ops.reshape(scores, (n * columns, *scores.shape[2:]))
    return ops.cut(flat, (slice(ranks.now().first, None, columns + 1),))


def without_positives(scores: Array) -> Array:
    """A score matrix with −∞, which weighs nothing under an exponential, in place of its positive pairs."""
    value = stop_gradient(scores)
    n, columns = value.shape[:2]
    mask = np.zeros_like(value, shape=n * columns)
    mask[ranks.now().first :: columns + 1] = -np.inf
    return ops.add(scores, mask.reshape(n, columns, *(1,) * (value.ndim - 2)))


def check_scores(name: str, scores: Array) -> None:
    """Raise ValueError unless scores is a score matrix, of at least one location, with negative pairs."""
    need_arrays(name, scores=scores)
    n, columns = (*scores.shape, 0, 0)[:2]
    if scores.ndim not in (2, 3) or ranks.now().of_batch(n) != columns or columns < 2 or 0 in scores.shape:
        raise ValueError(f"{name}: scores must be (N, N) or (N, N, L) with N ≥ 2, was {scores.shape}")


def roll(n: int, shift: int = 1) -> np.ndarray:
    """Pair x_i with y_{(i + shift) mod N}, the same at every location: (N,); shift must not be a multiple of N."""
    _check_batch("roll", n)
    if shift % n == 0:
        raise ValueError(f"roll: shift must not be a multiple of N = {n}, was {shift}")
    return (np.arange(n) + shift) % n


def derangements(rng: np.random.Generator, n: int, locations: int) -> np.ndarray:
    """A uniformly random derangement of 0..N−1 at each location, independently: (N, L).

    No x is paired with its own y, and every other y is equally likely. Drawn by rejection: a permutation has no fixed point
    with a probability between 1/3 and 1/2, near 1/e, whatever N.
    """
    _check_batch("derangements", n)
    index = np.tile(np.arange(n)[:, None], (1, locations))
    fixed = np.arange(locations)
    while fixed.size:
        index[:, fixed] = rng.permuted(index[:, fixed], axis=0)
        fixed = fixed[(index[:, fixed] == np.arange(n)[:, None]).any(axis=0)]
    return index


def sampled(rng: np.random.Generator, n: int, count: int) -> np.ndarray:
    """`count` different negatives x_{index[k, j]} of each y_j, index[k, j] = (j + s_k) mod N: (count, N).

    The shifts s_k are drawn from 1..N−1 without repetition.
    """
    _check_batch("sampled", n)
    if not 1 <= count < n:
        raise ValueError(f"sampled: count must be in 1..{n - 1} for N = {n}, was {count}")
    shifts = rng.permutation(n - 1)[:count] + 1
    return (np.arange(n) + shifts[:, None]) % n


def inverse(permutation: Array) -> Array:
    """The inverse permutation: inverse[permutation[j]] = j."""
    place = np.empty_like(permutation)
    place[permutation] = np.arange(len(place), like=place)
    return place


def _check_batch(name: str, n: int) -> None:
    if n < 2:
        raise ValueError(f"{name}: a batch must have N ≥ 2 to have negatives, was {n}")
