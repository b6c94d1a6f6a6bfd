"""Critics of DV: which rows train, which stop, and for how long."""

import numpy as np

from dimref.backend import NUMPY
from dimref.evaluation import dv_critic
from dimref.evaluation.dv_critic import held_out_dv, maximize

N = 60


def trained(monkeypatch, n=N):
    """The rows of every call of `draw`, and the step that was best, of a linear critic whose samples are all alike."""
    rows_seen = []

    def draw(rng, rows):
        rows_seen.append(set(rows))
        return {"positive": np.ones((len(rows), 2), np.float32), "negative": -np.ones((len(rows), 2), np.float32)}

    def score(parameters, sample):
        return (sample["positive"] @ parameters["w"])[:, 0], (sample["negative"] @ parameters["w"])[:, 0]

    _, step = maximize(score, draw, {"w": np.ones((2, 1), np.float32)}, n, np.random.default_rng(0), NUMPY)
    return rows_seen, step


def test_a_fifth_of_the_training_images_is_never_in_a_batch(monkeypatch):
    monkeypatch.setattr(dv_critic, "ROUNDS", 1)
    rows_seen, step = trained(monkeypatch)
    held, *batches = rows_seen
    assert len(held) == N // 5
    assert all(len(batch) == N - N // 5 and not batch & held for batch in batches)
    assert len(batches) == step == dv_critic.LEAST_STEPS


def test_a_round_is_one_pass_where_there_are_more_batches_than_the_least(monkeypatch):
    monkeypatch.setattr(dv_critic, "ROUNDS", 2)
    monkeypatch.setattr(dv_critic, "BATCH", 4)
    monkeypatch.setattr(dv_critic, "LEAST_STEPS", 3)
    rows_seen, step = trained(monkeypatch)
    held, batches = rows_seen[:3], rows_seen[3:]
    assert set.union(*held, *batches) == set(range(N))
    assert len(batches) == step == 2 * 12
    assert set.union(*batches[:12]) == set.union(*batches[12:])  # each image once a round


def test_held_out_dv_is_that_of_all_parts_together():
    parts = [(np.float32([1, 2]), np.float32([0, 1])), (np.float32([3]), np.float32([2]))]
    assert abs(held_out_dv(parts, NUMPY) - (2 - np.log((1 + np.e + np.e**2) / 3))) < 1e-12
