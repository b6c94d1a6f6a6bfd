"""More mistakes in the choice of negatives, in NumPy."""

import numpy as np

# ---- all pairs and masks


def all_pairs_minus_ten(scores):
    """Every row keeps its N entries, the own one hidden behind −10."""
    n = len(scores)
    eye = np.eye(n, dtype=bool).reshape(n, n, *(1,) * (scores.ndim - 2))
    hidden = np.where(eye, -10.0, scores)
    return scores[np.arange(n), np.arange(n)], hidden.reshape(n * n, *scores.shape[2:])


def all_pairs_anti_diagonal(scores):
    """One of the two batches came in reverse."""
    n = len(scores)
    here = [(i, n - 1 - i) for i in range(n)]
    rest = [(i, j) for i in range(n) for j in range(n) if (i, j) not in here]
    return np.stack([scores[ij] for ij in here]), np.array([scores[ij] for ij in rest]).reshape(-1, *scores.shape[2:])


def mask_triu(n):
    """k=1 was forgotten."""
    return np.triu(np.ones((n, n)))


def mask_flipped(n):
    return ~np.fliplr(np.eye(n, dtype=bool))


def masked_log_mean_exp(scores):
    """log-mean-exp over the N − 1 negatives."""
    n = len(scores)
    columns = []
    for j in range(n):
        others = np.concatenate([scores[:j, j], scores[j + 1 :, j]])
        top = np.max(others)
        columns.append(top + np.log(np.mean(np.exp(others - top))))
    return np.stack(columns)


# ---- indices


def roll_clipped(n, shift):
    return np.minimum(np.arange(n) + shift, n - 1)


def roll_reversed(n, shift):
    return np.arange(n)[::-1].copy()


def _shuffled(rng, n):
    while True:
        order = rng.permutation(n)
        if (order != np.arange(n)).all():
            return order


def derangements_flat(seed, n, locations):
    """One shuffle of the batch, whatever the number of locations, without their axis."""
    return _shuffled(np.random.default_rng(seed), n)


def derangements_from_one(seed, n, locations):
    """Counted from 1."""
    rng = np.random.default_rng(seed)
    return 1 + np.stack([_shuffled(rng, n) for _ in range(locations)], axis=1)


def distinct_shifts_all(seed, n, count):
    """All N − 1 of them, not cut to `count`, as a row."""
    return 1 + np.random.default_rng(seed).permutation(n - 1)[None, :]


def distinct_shifts_negative(seed, n, count):
    """Rolled backwards: −1 … −(N − 1)."""
    return -np.random.default_rng(seed).choice(np.arange(1, n), count, replace=False)


def candidates_by_row(seed, n, count):
    """(N, count): a row for each y."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation([i for i in range(n) if i != j])[:count] for j in range(n)])


def candidates_not_wrapped(seed, n, count):
    """Own index plus a shift, the modulo forgotten."""
    rng = np.random.default_rng(seed)
    return np.stack([j + 1 + rng.permutation(n - 1)[:count] for j in range(n)], axis=1)
