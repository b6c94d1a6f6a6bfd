"""Critics score every pair as a loop over pairs does, on every backend; their gradients are those of differences."""

import numpy as np
import pytest
from finite_differences import draw

from dimref import ops
from dimref.backend import NUMPY
from dimref.estimation.critics import CRITICS
from dimref.tape import value_and_gradients
from dimref.trees import leaves, map_tree

N, M, D_X, D_Y, P = 5, 4, 3, 2, 2


def sides(seed, dtype=np.float32):
    xs, xg, ys, yg = draw(seed, (N, D_X), (N, P + 2), (M, D_Y), (M, P + 2), dtype=dtype)
    return {"values": xs, "gaussian": xg}, {"values": ys, "gaussian": yg}


def parameters_of(name, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return map_tree(
        lambda leaf: (leaf + 0.1 * rng.standard_normal(leaf.shape)).astype(dtype), CRITICS[name].init(rng, D_X, D_Y)
    )


def dense(layer, v):
    return v @ layer["w"] + layer.get("b", 0)


def by_hand(name, p, x, y):
    if name == "separable":
        a, b = x["values"], y["values"]
        for layer in ("first", "second"):
            a, b = np.maximum(dense(p["x"][layer], a), 0), np.maximum(dense(p["y"][layer], b), 0)
        network = float(dense(p["x"]["out"], a) @ dense(p["y"]["out"], b))
    else:
        first = np.concatenate([x["values"], y["values"]]) @ np.concatenate([p["x"]["w"], p["y"]["w"]]) + p["x"]["b"]
        network = (np.maximum(dense(p["hidden"], np.maximum(first, 0)), 0) @ p["score"]["w"]).item()
    return network + float(x["gaussian"] @ y["gaussian"]) + float(p["offset"])


@pytest.mark.parametrize("name", CRITICS)
def test_every_pair_is_scored_as_by_hand_on_every_backend(name, backend):
    p = parameters_of(name)
    x, y = sides(1)
    moved = [backend.tree_to_device(tree) for tree in (p, x, y)]
    scores = backend.to_host(CRITICS[name].score(*moved))
    assert (scores.shape, scores.dtype) == ((N, M), np.float32)
    for i in range(N):
        for j in range(M):
            one = by_hand(name, p, {k: v[i] for k, v in x.items()}, {k: v[j] for k, v in y.items()})
            assert scores[i, j] == pytest.approx(one, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", CRITICS)
def test_gradients_against_central_differences(name):
    p, (x, y) = parameters_of(name, dtype=np.float64), sides(2, np.float64)
    weights = draw(3, (N, M))[0]

    def scalar(parameters):
        return ops.total(ops.multiply(CRITICS[name].score(parameters, x, y), weights)), None

    _, found, _ = value_and_gradients(scalar, p)
    rng = np.random.default_rng(4)
    direction = map_tree(lambda leaf: rng.standard_normal(leaf.shape), p)
    step = 1e-6
    high, low = (scalar(map_tree(lambda a, d, s=s: a + s * d, p, direction))[0] for s in (step, -step))
    along = sum(float((g * d).sum()) for (_, g), (_, d) in zip(leaves(found), leaves(direction), strict=True))
    assert along == pytest.approx(float(high - low) / (2 * step), rel=1e-5)


@pytest.mark.parametrize("name", CRITICS)
def test_a_fresh_critic_is_the_gaussians_but_for_a_little(name):
    p = CRITICS[name].init(np.random.default_rng(5), D_X, D_Y)
    x, y = sides(6)
    assert np.abs(CRITICS[name].score(p, x, y) - x["gaussian"] @ y["gaussian"].T).max() < 0.5
    assert NUMPY.tree_to_host(p)["offset"] == 0
