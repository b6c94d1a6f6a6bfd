"""Which pairs count as negatives, in NumPy."""

import random

import numpy as np

# ---- all pairs, mistakes


def all_pairs_upper_only(scores):
    """Half of the pairs, as if T(x, y) = T(y, x)."""
    n = len(scores)
    return scores[np.arange(n), np.arange(n)], scores[np.triu_indices(n, 1)]


def all_pairs_wrong_axes(scores):
    """The mask broadcasts along the wrong axes: whole rows of (N, N, L) are lost when it lies as (N, L)."""
    n = len(scores)
    keep = np.ones(n, bool)
    keep[0] = False
    return scores[np.arange(n), np.arange(n)], scores[keep].reshape((n - 1) * n, *scores.shape[2:])


# ---- a mask, right


def mask_boolean(n):
    i, j = np.indices((n, n))
    return i != j


# ---- a mask, mistakes


def mask_ones_numpy(n):
    return np.ones((n, n))


def mask_inverted_numpy(n):
    return np.eye(n)


def mask_off_by_one(n):
    """The diagonal beside the diagonal."""
    return 1 - np.eye(n, k=1)


# ---- indices, right


def roll(n, shift):
    return np.array([(i + shift) % n for i in range(n)])


def derangements(seed, n, locations):
    """Shuffled until no index stays."""
    random_state = random.Random(seed)
    columns = []
    for _ in range(locations):
        column = list(range(n))
        while any(i == at for at, i in enumerate(column)):
            random_state.shuffle(column)
        columns.append(column)
    return np.array(columns).T


def candidates(seed, n, count):
    rng = np.random.default_rng(seed)
    columns = [rng.choice([i for i in range(n) if i != j], size=count, replace=False) for j in range(n)]
    return np.stack(columns, axis=1)


# ---- indices, mistakes


def roll_ignores_shift(n, shift):
    return np.roll(np.arange(n), 0)


def shuffles_with_fixed_points(seed, n, locations):
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(n) for _ in range(locations)], axis=1)


def others_with_replacement(seed, n, locations):
    """Never the own one, but no permutation."""
    shift = np.random.default_rng(seed).integers(1, n, (n, locations))
    return (np.arange(n)[:, None] + shift) % n


def shifts_with_replacement(seed, n, count):
    return np.random.default_rng(seed).integers(1, n, count)


def shifts_with_zero(seed, n, count):
    return np.random.default_rng(seed).permutation(n)[:count]


# ---- indices


def roll_clipped(n, shift):
    return np.minimum(np.arange(n) + shift, n - 1)


def _shuffled(rng, n):
    while True:
        order = rng.permutation(n)
        if (order != np.arange(n)).all():
            return order


def derangements_flat(seed, n, locations):
    """One shuffle of the batch, whatever the number of locations, without their axis."""
    return _shuffled(np.random.default_rng(seed), n)


def candidates_not_wrapped(seed, n, count):
    """Own index plus a shift, the modulo forgotten."""
    rng = np.random.default_rng(seed)
    return np.stack([j + 1 + rng.permutation(n - 1)[:count] for j in range(n)], axis=1)
