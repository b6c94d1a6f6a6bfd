"""Which pairs count as negatives, in NumPy."""

import random

import numpy as np

# ---- all pairs, right


def all_pairs_upper_then_lower(scores):
    """Another order of the product."""
    n = len(scores)
    above, below = np.triu_indices(n, 1), np.tril_indices(n, -1)
    return scores[np.arange(n), np.arange(n)], np.concatenate([scores[above], scores[below]])


# ---- all pairs, mistakes


def all_pairs_with_diagonal_numpy(scores):
    n = len(scores)
    joint = np.stack([scores[i, i] for i in range(n)])
    return joint, np.concatenate(list(scores))


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


def mask_loop(n):
    return np.array([[float(i != j) for j in range(n)] for i in range(n)])


# ---- a mask, mistakes


def mask_ones_numpy(n):
    return np.ones((n, n))


def mask_inverted_numpy(n):
    return np.eye(n)


def mask_upper(n):
    return np.triu(np.ones((n, n)), 1)


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


def distinct_shifts(seed, n, count):
    return np.random.default_rng(seed).choice(np.arange(1, n), size=count, replace=False)


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


def one_shuffle_for_all_locations(seed, n, locations):
    column = derangements(seed, n, 1)
    return np.repeat(column, locations, axis=1)


def others_with_replacement(seed, n, locations):
    """Never the own one, but no permutation."""
    shift = np.random.default_rng(seed).integers(1, n, (n, locations))
    return (np.arange(n)[:, None] + shift) % n


def shifts_with_replacement(seed, n, count):
    return np.random.default_rng(seed).integers(1, n, count)


def shifts_with_zero(seed, n, count):
    return np.random.default_rng(seed).permutation(n)[:count]


def candidates_with_own(seed, n, count):
    rng = np.random.default_rng(seed)
    return np.stack([rng.choice(n, size=count, replace=False) for _ in range(n)], axis=1)


def candidates_repeated(seed, n, count):
    rng = np.random.default_rng(seed)
    return np.stack([(j + rng.integers(1, n, count)) % n for j in range(n)], axis=1)
