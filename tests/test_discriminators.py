"""Critics against the literal network on each pair, in loops and in PyTorch; the prior's network and its penalty."""

import math
import re

import numpy as np
import pytest
from autograd import jacobian
from fake_cupy import STRICT, DeviceArray
from finite_differences import check_all, draw
from hypothesis import given
from hypothesis import strategies as st
from small_networks import as_function, concat, dot, in_float64

from dimref import discriminators as d
from dimref import negatives, ops
from dimref.tape import stop_gradient, value_and_gradients
from dimref.trees import leaves

pytestmark = pytest.mark.usefixtures("plain_forms")
seeds = st.integers(0, 2**32 - 1)
sizes = st.tuples(st.integers(2, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3))  # N, L, F, D


def prior(seed, representation, hidden=(6, 5)):
    return in_float64(d.init_prior(np.random.default_rng(seed), representation, hidden))


def affine(layer, x):
    return [
        sum(x[i] * layer["w"][i, o] for i in range(len(x))) + (layer["b"][o] if "b" in layer else 0.0)
        for o in range(layer["w"].shape[1])
    ]


def positive_part(x):
    return [max(v, 0.0) for v in x]


def literal_concat(parameters, feature, y):
    """The network on the concatenation [f, y] itself."""
    first = {
        "w": np.concatenate([parameters["feature"]["w"], parameters["representation"]["w"]]),
        "b": parameters["feature"]["b"],
    }
    hidden = positive_part(affine(first, [*feature, *y]))
    (score,) = affine(parameters["score"], positive_part(affine(parameters["hidden"], hidden)))
    return score


def literal_square(parameters, features, y, score=literal_concat):
    n, locations, _ = features.shape
    return np.array(
        [[[score(parameters, features[i, k], y[j]) for k in range(locations)] for j in range(n)] for i in range(n)]
    )


# ---- concat-and-convolve


@given(seeds, sizes)
def test_concat_scores_equal_the_literal_concatenation(seed, size):
    n, locations, f, r = size
    parameters = concat(seed, f, r)
    features, y = draw(seed, (n, locations, f), (n, r))
    expected = literal_square(parameters, features, y)
    np.testing.assert_allclose(d.concat_scores(parameters, features, y), expected, atol=1e-12)
    own = [expected[i, i] for i in range(n)]

    by_location = negatives.derangements(np.random.default_rng(seed), n, locations)
    joint, product = d.concat_pairs(parameters, features, y, by_location)
    np.testing.assert_allclose(joint, own, atol=1e-12)
    paired = [[expected[i, by_location[i, k], k] for k in range(locations)] for i in range(n)]
    np.testing.assert_allclose(product, paired, atol=1e-12)

    by_image = negatives.roll(n)
    joint, product = d.concat_pairs(parameters, features, y, by_image)
    np.testing.assert_allclose(joint, own, atol=1e-12)
    np.testing.assert_allclose(product, [expected[i, by_image[i]] for i in range(n)], atol=1e-12)

    index = negatives.sampled(np.random.default_rng(seed), n, 1 + seed % (n - 1))
    positives, others = d.concat_candidates(parameters, features, y, index)
    np.testing.assert_allclose(positives, own, atol=1e-12)
    picked = [[expected[x, j] for j, x in enumerate(of_k)] for of_k in index.tolist()]
    np.testing.assert_allclose(others, picked, atol=1e-12)


def test_concat_scores_take_both_signs():
    """No ReLU on a final score."""
    features, y = draw(0, (6, 4, 3), (6, 2))
    parameters = concat(3, 3, 2)
    low = d.concat_scores(parameters, features, y)
    parameters["score"] = {"w": -parameters["score"]["w"], "b": -parameters["score"]["b"]}
    np.testing.assert_allclose(d.concat_scores(parameters, features, y), -low, atol=1e-14)
    assert abs(low).min() > 0


@pytest.mark.parametrize("make", [(concat, d.concat_scores), (dot, d.dot_scores)], ids=["concat", "dot"])
def test_square_scores_know_no_order(make):
    """Permuting the images permutes rows and columns, permuting the locations permutes the last axis."""
    init, square = make
    features, y = draw(1, (4, 5, 3), (4, 2))
    parameters = init(1, 3, 2)
    scores = square(parameters, features, y)
    images, places = np.array([2, 0, 3, 1]), np.array([4, 2, 0, 1, 3])
    np.testing.assert_allclose(square(parameters, features[images], y[images]), scores[images][:, images], atol=1e-12)
    np.testing.assert_allclose(square(parameters, features[:, places], y), scores[:, :, places], atol=1e-12)


@pytest.mark.parametrize("make", [(concat, d.concat_scores), (dot, d.dot_scores)], ids=["concat", "dot"])
def test_a_local_score_is_the_global_score_of_its_location(make):
    init, square = make
    features, y = draw(2, (3, 4, 3), (3, 2))
    parameters = init(2, 3, 2)
    one_by_one = [square(parameters, features[:, k : k + 1], y) for k in range(4)]
    np.testing.assert_allclose(square(parameters, features, y), np.concatenate(one_by_one, axis=2), atol=1e-12)


# ---- encode-and-dot-product


def literal_embedding(parameters, x):
    hidden = positive_part(affine(parameters["hidden"], x))
    summed = [a + b for a, b in zip(affine(parameters["out"], hidden), affine(parameters["shortcut"], x), strict=True)]
    mean = sum(summed) / len(summed)
    variance = sum((v - mean) ** 2 for v in summed) / len(summed)
    norm = parameters["norm"]
    return [
        (v - mean) / math.sqrt(variance + 1e-5) * g + s
        for v, g, s in zip(summed, norm["gain"], norm["shift"], strict=True)
    ]


def literal_dot(parameters, feature, y):
    a = literal_embedding(parameters["feature"], feature)
    b = literal_embedding(parameters["representation"], y)
    return sum(p * q for p, q in zip(a, b, strict=True)) / math.sqrt(len(a))


@given(seeds, sizes)
def test_dot_scores_equal_the_scalar_products_of_the_embeddings(seed, size):
    n, locations, f, r = size
    parameters = dot(seed, f, r)
    features, y = draw(seed, (n, locations, f), (n, r))
    expected = literal_square(parameters, features, y, literal_dot)
    np.testing.assert_allclose(d.dot_scores(parameters, features, y), expected, atol=1e-10)


def test_dot_scores_start_within_the_root_of_the_width():
    """Both embeddings start with length √E; a factor other than 1/√E would break one of the two sides."""
    units = 400
    parameters = in_float64(d.init_dot(np.random.default_rng(4), 3, 2, units))
    features, y = draw(4, (8, 9, 3), (8, 2))
    scores = d.dot_scores(parameters, features, y)
    assert abs(scores).max() <= math.sqrt(units)
    # The same embedding on both sides meets its own length: E/√E.
    parameters["representation"] = parameters["feature"]
    same = d.dot_scores(parameters, features[:, :1], features[:, 0])
    np.testing.assert_allclose(np.diagonal(same[:, :, 0]), math.sqrt(units), rtol=1e-2)


# ---- the prior's discriminator


@given(seeds, st.integers(1, 4), st.integers(1, 4))
def test_prior_logits_equal_the_literal_network(seed, n, r):
    parameters = prior(seed, r)
    (y,) = draw(seed, (n, r))
    expected = []
    for row in y:
        hidden = positive_part(affine(parameters["first"], row))
        (logit,) = affine(parameters["score"], positive_part(affine(parameters["second"], hidden)))
        expected.append(logit)
    np.testing.assert_allclose(d.prior_logits(parameters, y), expected, atol=1e-12)


@pytest.mark.parametrize("n", [1, 4])
def test_gradient_penalty_is_half_the_mean_squared_slope(n):
    parameters = prior(5, 3)
    (z,) = draw(5, (n, 3))
    squares = []
    for row, k in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[row, k] = 1e-6
        ahead, behind = d.prior_logits(parameters, z + step), d.prior_logits(parameters, z - step)
        squares.append(((ahead[row] - behind[row]) / 2e-6) ** 2)
    assert float(d.gradient_penalty(parameters, z)) == pytest.approx(sum(squares) / n / 2, rel=1e-7)


WEIGHTS = ("first", "second", "score")


def penalty_of_weights(parameters, z):
    """(three weights) → the penalty, its biases and z held where the weights live."""

    def penalty(*weights):
        there = like(weights[0])
        tree = {n: {"w": w, "b": there(parameters[n]["b"])} for n, w in zip(WEIGHTS, weights, strict=True)}
        return d.gradient_penalty(tree, there(z))

    return penalty


def like(array):
    """Moves a host array to where `array` is, and to its type of number."""
    array = stop_gradient(array)

    def move(x):
        x = x.astype(array.dtype) if x.dtype.kind == "f" else x
        return STRICT.to_device(x) if isinstance(array, DeviceArray) else x

    return move


def test_gradient_penalty_is_differentiable_in_the_weights():
    """Its gradient in the biases is 0: the slope of a ReLU network is constant in pieces."""
    parameters = prior(6, 3)
    (z,) = draw(6, (4, 3))
    check_all(penalty_of_weights(parameters, z), *(parameters[name]["w"] for name in WEIGHTS), second=False)
    _, slopes, _ = value_and_gradients(lambda p: (d.gradient_penalty(p, z), {}), parameters)
    for name in WEIGHTS:
        assert slopes[name]["b"] is None or not slopes[name]["b"].any()


# ---- gradients, types, devices


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize(
    "index", [negatives.roll(3), negatives.derangements(np.random.default_rng(7), 3, 2)], ids=["roll", "derangements"]
)
def test_pair_scores_on_every_kind_of_array(part, index):
    def scores(parameters, features, y):
        return d.concat_pairs(parameters, features, y, like(features)(index))[part]

    call, arrays = as_function(concat(7, 3, 2), scores)
    check_all(call, *arrays, *draw(7, (3, 2, 3), (3, 2)))


@pytest.mark.parametrize("init", [concat, dot])
def test_square_scores_on_every_kind_of_array(init):
    square = d.concat_scores if init is concat else d.dot_scores
    call, arrays = as_function(init(8, 3, 2), square)
    features, y = draw(8, (3, 2, 3), (3, 2))
    check_all(call, *arrays, features, y)


@pytest.mark.parametrize("part", [0, 1])
def test_candidate_scores_on_every_kind_of_array(part):
    index = np.array([[2, 0, 1], [1, 2, 0]])
    call, arrays = as_function(concat(9, 3, 2), lambda p, f, y: d.concat_candidates(p, f, y, like(f)(index))[part])
    check_all(call, *arrays, *draw(9, (3, 2, 3), (3, 2)))


def test_prior_on_every_kind_of_array():
    call, arrays = as_function(prior(10, 3), d.prior_logits)
    check_all(call, *arrays, *draw(10, (4, 3)))


# ---- initial values


def assert_uniform(array, limit):
    """Uniform on ±limit: nothing beyond it, something near it, and the deviation limit/√3."""
    assert array.dtype == np.float32
    assert abs(array).max() <= limit * (1 + 1e-6)
    assert abs(array).max() > 0.9 * limit
    assert array.std() == pytest.approx(limit / math.sqrt(3), rel=0.15)
    assert abs(array.mean()) < 0.2 * limit


def test_concat_starts_with_the_fan_in_of_the_whole_concatenation():
    tree = d.init_concat(np.random.default_rng(0), 60, 40, 90)
    assert {path: leaf.shape for path, leaf in leaves(tree)} == {
        "feature/w": (60, 90),
        "feature/b": (90,),
        "representation/w": (40, 90),
        "hidden/w": (90, 90),
        "hidden/b": (90,),
        "score/w": (90, 1),
        "score/b": (1,),
    }
    for path in ("feature/w", "feature/b", "representation/w"):
        assert_uniform(dict(leaves(tree))[path], 1 / math.sqrt(60 + 40))
    for path in ("hidden/w", "hidden/b", "score/w"):
        assert_uniform(dict(leaves(tree))[path], 1 / math.sqrt(90))
    assert abs(tree["score"]["b"][0]) <= 1 / math.sqrt(90)


def test_dot_starts_with_linear_layers_and_a_plain_norm():
    tree = d.init_dot(np.random.default_rng(0), 60, 40, 90)
    for side, n_in in {"feature": 60, "representation": 40}.items():
        shapes = {path: leaf.shape for path, leaf in leaves(tree[side])}
        assert shapes == {
            "hidden/w": (n_in, 90),
            "hidden/b": (90,),
            "out/w": (90, 90),
            "out/b": (90,),
            "shortcut/w": (n_in, 90),
            "norm/gain": (90,),
            "norm/shift": (90,),
        }
        for layer, fan_in in {"hidden": n_in, "out": 90, "shortcut": n_in}.items():
            for leaf in tree[side][layer].values():
                assert_uniform(leaf, 1 / math.sqrt(fan_in))
        assert (tree[side]["norm"]["gain"] == 1).all()
        assert (tree[side]["norm"]["shift"] == 0).all()


def test_prior_starts_with_linear_layers():
    tree = d.init_prior(np.random.default_rng(0), 60, (90, 70))
    shapes = {path: leaf.shape for path, leaf in leaves(tree)}
    assert shapes == {
        "first/w": (60, 90),
        "first/b": (90,),
        "second/w": (90, 70),
        "second/b": (70,),
        "score/w": (70, 1),
        "score/b": (1,),
    }
    for layer, fan_in in {"first": 60, "second": 90, "score": 70}.items():
        assert_uniform(tree[layer]["w"], 1 / math.sqrt(fan_in))


def test_default_widths_are_the_papers():
    rng = np.random.default_rng(0)
    assert d.init_concat(rng, 2, 2)["hidden"]["w"].shape == (512, 512)
    assert d.init_dot(rng, 2, 2)["representation"]["out"]["w"].shape == (2048, 2048)
    tree = d.init_prior(rng, 2)
    assert [tree[name]["w"].shape for name in WEIGHTS] == [(2, 1000), (1000, 200), (200, 1)]


# ---- errors


F3 = np.zeros((3, 2, 4))
Y3 = np.zeros((3, 5))
CALLS = {
    "concat_pairs": lambda f, y: d.concat_pairs(concat(0, 4, 5), f, y, negatives.roll(3)),
    "concat_scores": lambda f, y: d.concat_scores(concat(0, 4, 5), f, y),
    "concat_candidates": lambda f, y: d.concat_candidates(concat(0, 4, 5), f, y, np.array([[1, 2, 0]])),
    "dot_scores": lambda f, y: d.dot_scores(dot(0, 4, 5), f, y),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("f", "y", "message"),
    [
        (F3[0], Y3, "features must be (N, L, F), was (2, 4)"),
        (F3[None], Y3, "features must be (N, L, F), was (1, 3, 2, 4)"),
        (F3, Y3[:, 0], "y must be (N, D) with N = 3, was (3,)"),
        (F3, Y3[:, None], "y must be (N, D) with N = 3, was (3, 1, 5)"),
        (F3, Y3[:2], "y must be (N, D) with N = 3, was (2, 5)"),
        (F3, Y3[[0, 1, 2, 0]], "y must be (N, D) with N = 3, was (4, 5)"),
    ],
)
def test_critics_check_their_shapes(name, f, y, message):
    with pytest.raises(ValueError, match=f"^{name.split('_')[0]} critic: {re.escape(message)}$"):
        CALLS[name](f, y)


@pytest.mark.parametrize("shape", [(), (2,), (2, 3), (3, 1), (3, 2, 1)])
def test_pairs_check_their_index(shape):
    message = re.escape(f"concat_pairs: index must be (3,) or (3, 2), was {shape}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        d.concat_pairs(concat(0, 4, 5), F3, Y3, np.zeros(shape, int))


@pytest.mark.parametrize("shape", [(), (3,), (1, 2), (1, 3, 2)])
def test_candidates_check_their_index(shape):
    message = re.escape(f"concat_candidates: index must be (K−1, 3), was {shape}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        d.concat_candidates(concat(0, 4, 5), F3, Y3, np.zeros(shape, int))


def test_rows_may_be_counted_from_the_last():
    tree, features, y = concat(3, 3, 2), *draw(3, (4, 2, 3), (4, 2))
    index = negatives.derangements(np.random.default_rng(0), 4, 2)
    found, expected = (d.concat_pairs(tree, features, y, i) for i in (index - 4, index))
    np.testing.assert_array_equal(found, expected)


def test_no_row_of_a_jacobian_through_pairs_is_lost():
    tree, features, y = concat(0, 3, 2, hidden=40), *draw(1, (40, 1, 3), (40, 2))
    slopes = jacobian(lambda f: d.concat_pairs(tree, f, y, negatives.roll(40))[0])(features)
    assert (slopes.reshape(40, -1) != 0).any(axis=1).all()


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4)])
def test_prior_checks_its_shape(shape):
    for function in (d.prior_logits, d.gradient_penalty):
        message = re.escape(f"prior_logits: y must be (B, D), was {shape}")
        with pytest.raises(ValueError, match=f"^{message}$"):
            function(prior(0, 4), np.zeros(shape))


# ---- PyTorch as an oracle


def torch_linear(torch, layers_in_order):
    """A stack of torch layers with a ReLU between them, from lists of {"w", "b"}."""
    modules = []
    for layer in layers_in_order:
        module = torch.nn.Linear(*layer["w"].shape, dtype=torch.float64)
        with torch.no_grad():
            module.weight.copy_(torch.tensor(layer["w"].T.copy()))
            module.bias.copy_(torch.tensor(layer["b"]))
        modules += [torch.nn.ReLU(), module]
    return torch.nn.Sequential(*modules[1:])


def test_concat_agrees_with_torch_value_and_gradients():
    torch = pytest.importorskip("torch")
    parameters = concat(11, 4, 3)
    features, y, weights = draw(11, (3, 2, 4), (3, 3), (3, 3, 2))
    first = {
        "w": np.concatenate([parameters["feature"]["w"], parameters["representation"]["w"]]),
        "b": parameters["feature"]["b"],
    }
    network = torch_linear(torch, [first, parameters["hidden"], parameters["score"]])
    f, r = (torch.tensor(a, requires_grad=True) for a in (features, y))
    pairs = torch.cat([f[:, None].expand(3, 3, 2, 4), r[None, :, None].expand(3, 3, 2, 3)], dim=3)
    scores = network(pairs)[..., 0]
    (scores * torch.tensor(weights)).sum().backward()

    tree = {"parameters": parameters, "features": features, "y": y}

    def weighted(t):
        ours = d.concat_scores(t["parameters"], t["features"], t["y"])
        return ops.total(ops.multiply(ours, weights)), ours

    _, slopes, ours = value_and_gradients(weighted, tree)
    np.testing.assert_allclose(ours, scores.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(slopes["features"], f.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(slopes["y"], r.grad.numpy(), atol=1e-12)
    halves = [slopes["parameters"]["feature"]["w"], slopes["parameters"]["representation"]["w"]]
    np.testing.assert_allclose(np.concatenate(halves), network[0].weight.grad.numpy().T, atol=1e-12)
    np.testing.assert_allclose(slopes["parameters"]["score"]["w"], network[4].weight.grad.numpy().T, atol=1e-12)


@pytest.mark.parametrize("pieces", [(), d.DOT_PIECES], ids=["plain", "official"])
def test_dot_agrees_with_torch(pieces):
    """Value and gradients, also with batch norm in the hidden layer, over all rows of the batch."""
    torch = pytest.importorskip("torch")
    parameters = dot(12, 4, 3, pieces=pieces)
    features, y = draw(12, (3, 2, 4), (3, 3))
    tensors = {path: torch.tensor(leaf, requires_grad=True) for path, leaf in leaves(parameters)}

    def embed(side, x):
        p = {path.removeprefix(f"{side}/"): t for path, t in tensors.items() if path.startswith(side)}
        x = torch.tensor(x)
        hidden = x @ p["hidden/w"]
        if pieces:
            norm = (p["hidden_norm/gain"], p["hidden_norm/shift"])
            rows = torch.nn.functional.batch_norm(hidden.reshape(-1, 6), None, None, *norm, training=True)
            hidden = rows.reshape(hidden.shape)
        else:
            hidden = hidden + p["hidden/b"]
        out = torch.relu(hidden) @ p["out/w"] + p["out/b"] + x @ p["shortcut/w"]
        return torch.nn.functional.layer_norm(out, out.shape[-1:], p["norm/gain"], p["norm/shift"])

    expected = torch.einsum("ile,je->ijl", embed("feature", features), embed("representation", y)) / math.sqrt(6)
    (weight,) = draw(13, (3, 3, 2))
    (expected * torch.tensor(weight)).sum().backward()

    def weighted(parameters):
        scores = d.dot_scores(parameters, features, y)
        return ops.total(ops.multiply(scores, weight)), scores

    _, slopes, found = value_and_gradients(weighted, parameters)
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-12)
    for path, slope in leaves(slopes):
        np.testing.assert_allclose(slope, tensors[path].grad.numpy(), atol=1e-10, err_msg=path)


def test_a_shortcut_may_start_as_a_noisy_copy():
    """The official code's: 1 on the diagonal, uniform on ±0.01 elsewhere; and no bias below a batch norm."""
    near = d.init_dot(np.random.default_rng(3), 5, 4, 7, d.DOT_PIECES)
    for side in ("feature", "representation"):
        w = near[side]["shortcut"]["w"]
        np.testing.assert_array_equal(np.diagonal(w), 1)
        assert 0.005 < np.abs(w[~np.eye(*w.shape, dtype=bool)]).max() <= 0.01
        assert near[side]["hidden"].keys() == {"w"}


def test_gradient_penalty_agrees_with_torchs_double_backward():
    torch = pytest.importorskip("torch")
    parameters = prior(13, 3)
    (z,) = draw(13, (5, 3))
    network = torch_linear(torch, [parameters[name] for name in WEIGHTS])
    at = torch.tensor(z, requires_grad=True)
    logits = network(at)[:, 0]
    np.testing.assert_allclose(d.prior_logits(parameters, z), logits.detach().numpy(), atol=1e-12)
    (slope,) = torch.autograd.grad(logits.sum(), at, create_graph=True)
    penalty = slope.pow(2).sum(dim=1).mean() / 2
    penalty.backward()
    value, slopes, _ = value_and_gradients(lambda p: (d.gradient_penalty(p, z), {}), parameters)
    assert float(value) == pytest.approx(penalty.item(), rel=1e-12)
    for name, module in zip(WEIGHTS, network[::2], strict=True):
        np.testing.assert_allclose(slopes[name]["w"], module.weight.grad.numpy().T, atol=1e-12)
