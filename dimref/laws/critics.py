"""Laws of critics: against the literal networks of the paper's figures, pair by pair, in float64."""

import math

import numpy as np

from dimref import bounds, discriminators, layers, negatives
from dimref.backend import Backend
from dimref.laws.cases import double, in_float64, normal
from dimref.laws.law import Case, Sizes, Slack, equal, law, number, on_device, tightest

HJELM = "arXiv 1808.06670"


def _concat(rng: np.random.Generator, sizes: Sizes) -> Case:
    sizes = double(sizes)
    return {
        **in_float64(discriminators.init_concat(rng, sizes.m, 2, hidden=5)),
        "features": normal(rng, sizes, sizes.n, sizes.locations, sizes.m),
        "y": normal(rng, sizes, sizes.n, 2),
        "index": negatives.derangements(rng, sizes.n, sizes.locations),
    }


LAYERS = ("feature", "representation", "hidden", "score")


def _literal(case: Case, i: int, j: int, at: int) -> float:
    """The critic as the paper draws it: concatenate, then 1×1 layers."""
    both = np.concatenate([case["features"][i, at], case["y"][j]])
    first = both @ np.concatenate([case["feature"]["w"], case["representation"]["w"]]) + case["feature"]["b"]
    hidden = np.maximum(first, 0) @ case["hidden"]["w"] + case["hidden"]["b"]
    return float((np.maximum(hidden, 0) @ case["score"]["w"] + case["score"]["b"])[0])


@law("identity", "W_f·f + W_y·y = W·[f, y]: the split critic is the literal one", _concat,
     f"{HJELM}, appendix A.1 and figure 3")  # fmt: skip
def split_layer_is_the_literal_one(case: Case, backend: Backend) -> Slack:
    """Positive pairs, shuffled ones and the whole score matrix, each score computed alone on the host."""
    n, locations = case["features"].shape[:2]
    parameters = backend.tree_to_device({k: case[k] for k in LAYERS})
    features, y, index = on_device(case, backend, "features", "y", "index")
    joint, product = (backend.to_host(s) for s in discriminators.concat_pairs(parameters, features, y, index))
    every = backend.to_host(discriminators.concat_scores(parameters, features, y))
    expected = np.array([[[_literal(case, i, j, at) for at in range(locations)] for j in range(n)] for i in range(n)])
    rows, columns = np.indices((n, locations))
    return tightest(
        equal(every, expected, 1e-10),
        equal(joint, expected[rows, rows, columns], 1e-10),
        equal(product, expected[rows, case["index"], columns], 1e-10),
    )


@law("identity", "local bound = mean over locations of the global bound on 1×1 maps", _concat, f"{HJELM}, eq. (6)")
def local_is_global_on_1x1_maps(case: Case, backend: Backend) -> Slack:
    """The same critic, one location at a time: DV would differ if locations were pooled."""
    locations = case["features"].shape[1]
    parameters = backend.tree_to_device({k: case[k] for k in LAYERS})
    y = backend.to_device(case["y"])

    def values(features: np.ndarray, index: np.ndarray) -> list[float]:
        maps = backend.to_device(np.ascontiguousarray(features))
        shuffled = backend.to_device(np.ascontiguousarray(index))
        scores = discriminators.concat_pairs(parameters, maps, y, shuffled)
        every = discriminators.concat_scores(parameters, maps, y)
        result = (bounds.jsd(*scores), bounds.dv(*scores), bounds.nwj(*scores), bounds.infonce(every))
        return [number(backend, value) for value in result]

    local = values(case["features"], case["index"])
    apart = [values(case["features"][:, at : at + 1], case["index"][:, at : at + 1]) for at in range(locations)]
    return equal(local, np.mean(apart, axis=0), 1e-10)


@law("identity", "sampled candidates are entries of the score matrix", _concat, f"{HJELM}, eq. (5)")
def candidates_are_entries_of_the_matrix(case: Case, backend: Backend) -> Slack:
    """y_j with x_j, and with x_{index[k, j]} for each k, which run over every other image."""
    own = np.arange(len(case["y"]))
    parameters = backend.tree_to_device({k: case[k] for k in LAYERS})
    features, y = on_device(case, backend, "features", "y")
    every = backend.to_host(discriminators.concat_scores(parameters, features, y))
    index = (own + own[1:, None]) % len(own)
    scores = discriminators.concat_candidates(parameters, features, y, backend.to_device(index))
    positives, others = map(backend.to_host, scores)
    return tightest(equal(positives, every[own, own], 1e-12), equal(others, every[index, own], 1e-12))


def _dot(rng: np.random.Generator, sizes: Sizes) -> Case:
    sizes = double(sizes)
    return {
        **in_float64(discriminators.init_dot(rng, sizes.m, 2, units=6)),
        "features": normal(rng, sizes, sizes.n, sizes.locations, sizes.m),
        "y": normal(rng, sizes, sizes.n, 2),
    }


def _embedded(branch: dict, x: np.ndarray) -> np.ndarray:
    """Two layers, a linear shortcut and layer norm, for one vector."""
    hidden = np.maximum(x @ branch["hidden"]["w"] + branch["hidden"]["b"], 0)
    out = hidden @ branch["out"]["w"] + branch["out"]["b"] + x @ branch["shortcut"]["w"]
    unit = (out - out.mean()) / math.sqrt(out.var() + layers.EPSILON)
    return branch["norm"]["gain"] * unit + branch["norm"]["shift"]


@law("identity", "dot critic: S[i, j, l] = ⟨a(f_il), b(y_j)⟩/√E, each on its own", _dot,
     f"{HJELM}, appendix A.1")  # fmt: skip
def dot_scores_are_every_inner_product(case: Case, backend: Backend) -> Slack:
    """One matrix product stands for N²·L inner products; row = image, column = representation."""
    parameters = backend.tree_to_device({k: case[k] for k in ("feature", "representation")})
    result = backend.to_host(discriminators.dot_scores(parameters, *on_device(case, backend, "features", "y")))
    expected = np.zeros(result.shape)
    for i, j, at in np.ndindex(*result.shape):
        a = _embedded(case["feature"], case["features"][i, at])
        expected[i, j, at] = a @ _embedded(case["representation"], case["y"][j]) / math.sqrt(len(a))
    return equal(result, expected, 1e-10)
