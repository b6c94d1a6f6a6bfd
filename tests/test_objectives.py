"""The objective from its pieces, its gradient for every combination, the prior's two players, a PyTorch twin."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
from autograd.tracer import isbox
from fake_cupy import STRICT, DeviceArray
from hypothesis import given
from hypothesis import strategies as st

from dimref import bounds, discriminators, encoders, negatives, objectives, optim
from dimref.backend import NUMPY
from dimref.encoders import Layout
from dimref.objectives import Objective
from dimref.tape import value_and_gradients
from dimref.trees import leaves, map_tree

pytestmark = pytest.mark.usefixtures("plain_forms")
LAYOUT = Layout(8, 1, width=4, fc=8, representation=3)  # local map 4×4×4, last map 2×2×8
UNLIKE = Layout(12, 1, width=5, fc=8, representation=2)  # no two sizes are the same: local 6×6×5, last 3×3×10
N, L = 4, 16
PAIR_BOUNDS = ("jsd", "dv", "mine", "nwj")
COMBINATIONS = [
    *[(bound, "concat", kind) for bound in PAIR_BOUNDS for kind in ("shuffle", "roll", "all-pairs")],
    *[(bound, "dot", "all-pairs") for bound in PAIR_BOUNDS],
    *[("infonce", "concat", kind) for kind in ("same-location", "all-locations", "sampled")],
    *[("infonce", "dot", kind) for kind in ("same-location", "all-locations")],
    ("jsd", "official", "all-pairs"),
    ("infonce", "official", "all-locations"),
]
seeds = st.integers(0, 2**32 - 1)


def mixed(bound="jsd", scorer="concat", kind="shuffle", **changes):
    """With "official", the official code's dot critic, and the M×M map for the global one."""
    chosen = {"global_weight": 0.7, "local_weight": 1.3, "prior_weight": 0.4, "candidates": 3, **changes}
    if scorer == "official":
        scorer, chosen = "dot", {**chosen, "dot": discriminators.DOT_PIECES, "global_map": "local"}
    return Objective(bound=bound, local_scorer=scorer, local_negatives=kind, global_negatives=kind, **chosen)


def set_up(objective, seed=0, dtype=np.float64):
    """Parameters of few units, model state, images, and a step's noise."""
    rng = np.random.default_rng(seed)
    encoder, running = encoders.init_encoder(rng, LAYOUT)
    parameters, d = {"encoder": encoder}, LAYOUT.representation
    if objective.local_weight:
        concat = objective.local_scorer == "concat"
        init = discriminators.init_concat if concat else partial(discriminators.init_dot, pieces=objective.dot)
        parameters["local"] = init(rng, LAYOUT.local[1], d, 6)
    if objective.global_weight:
        flat = {"last": 32, "local": 4 * L}[objective.global_map]
        parameters["global"] = discriminators.init_concat(rng, flat, d, 6)
    if objective.prior_weight:
        parameters["prior"] = discriminators.init_prior(rng, d, (6, 5))
    state = {"encoder": running, "mine": {}}
    images = rng.uniform(-1, 1, (N, 8, 8, 1)).astype(dtype)
    noise = objectives.draw_noise(rng, objective, LAYOUT, N)

    def cast(tree):
        return map_tree(lambda a: a.astype(dtype) if a.dtype.kind == "f" else a, tree)

    return cast(parameters), cast(state), images, cast(noise)


def step(objective, parameters, state, images, noise, training=True):
    """Loss, gradients and the rest."""
    return value_and_gradients(
        lambda p: objectives.loss(p, state, images, noise, objective, LAYOUT, training), parameters
    )


# ---- the value, from its pieces


def square_by_hand(term, parameters, encoding, objective):
    seen = {"last": encoding.last_map, "local": encoding.local_map}[objective.global_map].reshape(N, 1, -1)
    features = encoding.local_map.reshape(N, L, 4) if term == "local" else seen
    if term == "global" or objective.local_scorer != "dot":
        return discriminators.concat_scores(parameters[term], features, encoding.y)
    scores = discriminators.dot_scores(parameters[term], features, encoding.y)
    return scores * math.sqrt(6) if "unscaled" in objective.dot else scores


def scores_by_hand(kind, square, noise):
    """What the bound sees, picked pair by pair from the square of all scores."""
    n, _, locations = square.shape
    own = np.array([square[i, i] for i in range(n)])
    if kind == "shuffle":
        index = noise["index"]
        return own, np.array([[square[i, index[i, k], k] for k in range(locations)] for i in range(n)])
    if kind == "roll":
        return own, np.array([square[i, (i + 1) % n] for i in range(n)])
    if kind == "all-pairs":
        return own, np.array([square[i, j] for i in range(n) for j in range(n) if i != j])
    if kind == "sampled":
        return own, np.array([[square[x, j] for j, x in enumerate(of_k)] for of_k in noise["candidates"].tolist()])
    return (square,)


def bound_by_hand(bound, kind, scores):
    if bound == "infonce":
        return bounds.infonce_sampled(*scores) if kind == "sampled" else bounds.infonce(*scores, kind)
    return {"jsd": bounds.jsd, "dv": bounds.dv, "mine": bounds.dv, "nwj": bounds.nwj}[bound](*scores)


def log_d(logits):
    return -np.logaddexp(0, -logits)


def players_by_hand(parameters, y, z, objective):
    """D_φ, and the encoder's loss, from the probabilities."""
    sample = 1 / (1 + np.exp(-y)) if objective.prior == "uniform" else y
    real, fake = (1 / (1 + np.exp(-discriminators.prior_logits(parameters["prior"], a))) for a in (z, sample))
    value = np.log(real).mean() + np.log(1 - fake).mean()
    return value, np.log(1 - fake).mean() if objective.prior_loss == "minimax" else -np.log(fake).mean()


@pytest.mark.parametrize(("bound", "scorer", "kind"), COMBINATIONS)
@pytest.mark.parametrize("training", [True, False])
def test_value_is_recomputed_from_its_pieces(bound, scorer, kind, training):
    objective = mixed(bound, scorer, kind)
    parameters, state, images, noise = set_up(objective)
    value, rest = objectives.loss(parameters, state, images, noise, objective, LAYOUT, training)
    encoding, running = encoders.encode(parameters["encoder"], state["encoder"], images, LAYOUT, training)
    expected = {}
    for term in ("global", "local"):
        square = square_by_hand(term, parameters, encoding, objective)
        scores = scores_by_hand(kind, square, noise[term])
        expected[term] = bound_by_hand(bound, kind, scores)
        if kind == "all-locations":
            expected[f"{term}_certified"] = bounds.infonce_certified(square)
        size = sum(s.size for s in scores)
        assert rest["saturated"][term] == sum((abs(s) > math.log(99)).sum() for s in scores) / size
    expected["prior"], encoder_loss = players_by_hand(parameters, encoding.y, noise["prior"]["z"], objective)
    assert set(rest["terms"]) == set(expected)
    for name, nats in expected.items():
        assert float(rest["terms"][name]) == pytest.approx(float(nats), abs=1e-12), name
    total = -(0.7 * expected["global"] + 1.3 * expected["local"]) + 0.4 * (encoder_loss - expected["prior"])
    assert float(value) == pytest.approx(float(total), abs=1e-12)
    np.testing.assert_array_equal(rest["y"], encoding.y)
    for (_, ours), (_, moved) in zip(leaves(rest["state"]["encoder"]), leaves(running), strict=True):
        np.testing.assert_array_equal(ours, moved)
    assert set(rest["state"]) == {"encoder", "mine"}
    assert set(rest["state"]["mine"]) == ({"global", "local"} if bound == "mine" else set())


def test_training_is_the_default():
    objective = mixed()
    parameters, state, images, noise = set_up(objective)
    default, _ = objectives.loss(parameters, state, images, noise, objective, LAYOUT)
    training, _ = objectives.loss(parameters, state, images, noise, objective, LAYOUT, True)
    inference, _ = objectives.loss(parameters, state, images, noise, objective, LAYOUT, False)
    assert default == training != inference


def test_the_two_terms_may_have_different_negatives():
    objective = dataclasses.replace(mixed("jsd", "dot", "all-pairs"), global_negatives="shuffle")
    parameters, state, images, noise = set_up(objective)
    assert noise["local"] == {}
    assert noise["global"]["index"].shape == (N, 1)
    _, rest = objectives.loss(parameters, state, images, noise, objective, LAYOUT)
    encoding, _ = encoders.encode(parameters["encoder"], state["encoder"], images, LAYOUT, True)
    for term, kind in {"local": "all-pairs", "global": "shuffle"}.items():
        scores = scores_by_hand(kind, square_by_hand(term, parameters, encoding, objective), noise[term])
        assert float(rest["terms"][term]) == pytest.approx(float(bounds.jsd(*scores)), abs=1e-12)


# ---- gradients


def directional(function, tree, seed, size=1e-5):
    """One random unit direction, and the central difference of `function` along it (no kink is that near)."""
    rng = np.random.default_rng(seed)
    direction = map_tree(lambda leaf: rng.standard_normal(leaf.shape), tree)
    norm = math.sqrt(sum((leaf**2).sum() for _, leaf in leaves(direction)))
    direction = map_tree(lambda leaf: leaf / norm, direction)
    ends = [
        float(function(map_tree(lambda leaf, along, sign=sign: leaf + sign * size * along, tree, direction)))
        for sign in (1, -1)
    ]
    return direction, (ends[0] - ends[1]) / (2 * size)


def along(gradients, direction):
    pairs = zip(leaves(gradients), leaves(direction), strict=True)
    return sum(float((slope * leaf).sum()) for (_, slope), (_, leaf) in pairs if slope is not None)


@pytest.mark.parametrize(("bound", "scorer", "kind"), COMBINATIONS)
def test_gradient_of_every_combination_is_the_central_difference(bound, scorer, kind):
    """Without the prior, whose two players do not descend one function; for MINE, with its average held."""
    objective = mixed(bound, scorer, kind, prior_weight=0)
    parameters, state, images, noise = set_up(objective, seed=3)
    _, gradients, rest = step(objective, parameters, state, images, noise)

    def value(tree):
        if bound != "mine":
            return objectives.loss(tree, state, images, noise, objective, LAYOUT)[0]
        encoding, _ = encoders.encode(tree["encoder"], state["encoder"], images, LAYOUT, True)
        total = 0.0
        for term, weight in {"global": 0.7, "local": 1.3}.items():
            joint, product = scores_by_hand(kind, square_by_hand(term, tree, encoding, objective), noise[term])
            ratio = np.exp(product).mean(axis=0) / np.exp(rest["state"]["mine"][term])
            total -= weight * (joint.mean(axis=0) - ratio).mean()
        return total

    for seed, part in enumerate(["encoder", "local", "global"]):

        def with_part(tree, part=part):
            return value({**parameters, part: tree})

        direction, expected = directional(with_part, parameters[part], seed)
        assert along(gradients[part], direction) == pytest.approx(expected, rel=1e-6, abs=1e-8), part


@pytest.mark.parametrize(
    ("both", "expected"), [((0.5, 2.0), {"local": 2.0, "global": 0.5}), ((0.0, 1.0), {"local": 1.0}), ((0.0, 0.0), {})]
)
def test_bounds_of_weight_zero_are_not_among_the_weights(both, expected):
    assert Objective(*both, prior_weight=0.3).weights == expected


@pytest.mark.parametrize("prior", ["uniform", "gaussian"])
@pytest.mark.parametrize("prior_loss", ["minimax", "non-saturating"])
def test_each_player_of_the_prior_follows_its_own_loss(prior, prior_loss):
    """The encoder's gradient has no part in D_φ's own term, and the discriminator's none in the encoder's."""
    objective = Objective(0, 0, 0.4, prior=prior, prior_loss=prior_loss)
    parameters, state, images, noise = set_up(objective, seed=4)
    _, gradients, _ = step(objective, parameters, state, images, noise)
    z = noise["prior"]["z"]

    def players(tree):
        encoding, _ = encoders.encode(tree["encoder"], state["encoder"], images, LAYOUT, True)
        return players_by_hand(tree, encoding.y, z, objective)

    direction, slope = directional(lambda tree: players({**parameters, "prior": tree})[0], parameters["prior"], 0)
    assert along(gradients["prior"], direction) == pytest.approx(-0.4 * slope, rel=1e-6, abs=1e-8)
    direction, slope = directional(lambda tree: players({**parameters, "encoder": tree})[1], parameters["encoder"], 1)
    assert along(gradients["encoder"], direction) == pytest.approx(0.4 * slope, rel=1e-6, abs=1e-8)
    assert abs(slope) > 1e-5


def test_weights_scale_each_terms_gradient():
    whole = mixed(gradient_penalty=0.5)
    parameters, state, images, noise = set_up(whole, seed=5)
    _, gradients, _ = step(whole, parameters, state, images, noise)
    alone = {}
    for name in ("global", "local", "prior"):
        only = {f"{n}_weight": float(n == name) for n in ("global", "local", "prior")}
        objective = Objective(**only, gradient_penalty=0.5)
        kept = {key: parameters[key] for key in ("encoder", name)}
        _, alone[name], _ = step(objective, kept, state, images, noise)
    weights = {"global": 0.7, "local": 1.3, "prior": 0.4}
    for name, weight in weights.items():
        for (_, ours), (_, other) in zip(leaves(gradients[name]), leaves(alone[name][name]), strict=True):
            np.testing.assert_allclose(ours, weight * other, atol=1e-12)
    for path, ours in leaves(gradients["encoder"]):
        parts = [weight * dict(leaves(alone[name]["encoder"]))[path] for name, weight in weights.items()]
        np.testing.assert_allclose(ours, sum(parts), atol=1e-12)


# ---- the game of the prior


def identity_discriminator():
    """d(y) = y in one dimension, above −10: the prior is thought to lie above."""
    one = np.ones((1, 1))
    return {
        "first": {"w": one, "b": np.array([10.0])},
        "second": {"w": one, "b": np.zeros(1)},
        "score": {"w": one, "b": np.array([-10.0])},
    }


@pytest.mark.parametrize("prior_loss", ["minimax", "non-saturating"])
def test_descent_moves_y_toward_the_prior(prior_loss):
    objective = Objective(0, 0, 1, prior="gaussian", prior_loss=prior_loss)
    y = np.array([[-2.0], [0.5], [3.0]])
    _, slope, _ = value_and_gradients(
        lambda at: objectives.prior_game(identity_discriminator(), at, y + 1, objective), y
    )
    sigma = 1 / (1 + np.exp(-y))
    # d/dy log(1 − D(y)) = −σ(y), d/dy −log D(y) = −σ(−y): both negative, so descent raises y.
    np.testing.assert_allclose(slope, -(sigma if prior_loss == "minimax" else 1 - sigma) / 3, atol=1e-12)


@pytest.mark.parametrize("prior_loss", ["minimax", "non-saturating"])
def test_descent_of_a_trained_discriminator_lowers_the_distance(prior_loss):
    """The discriminator learns by its own gradient to tell y ~ N(−1, ¼) from z ~ N(1, ¼); then y's points to z."""
    objective = Objective(0, 0, 1, prior="gaussian", prior_loss=prior_loss)
    rng = np.random.default_rng(6)
    y, z = rng.normal(-1, 0.5, (32, 1)), rng.normal(1, 0.5, (32, 1))
    parameters = map_tree(lambda a: a.astype(np.float64), discriminators.init_prior(rng, 1, (8, 8)))
    values = []
    for _ in range(60):
        _, slopes, value = value_and_gradients(lambda p: objectives.prior_game(p, y, z, objective), parameters)
        parameters = map_tree(lambda p, g: p - 0.5 * g, parameters, slopes)
        values.append(float(value))
    assert values[-1] > values[0] + 0.5  # the discriminator maximizes D_φ
    _, slope, _ = value_and_gradients(lambda at: objectives.prior_game(parameters, at, z, objective), y)
    assert (-slope).mean() > 0


@given(seeds)
def test_a_uniform_prior_sees_y_through_a_sigmoid_and_a_gaussian_one_sees_it_bare(seed):
    rng = np.random.default_rng(seed)
    parameters = map_tree(lambda a: a.astype(np.float64), discriminators.init_prior(rng, 2, (6, 5)))
    y, z = rng.standard_normal((3, 2)), rng.random((3, 2))
    through, value = objectives.prior_game(parameters, y, z, Objective(0, 0, 1, prior="uniform"))
    bare, same = objectives.prior_game(parameters, 1 / (1 + np.exp(-y)), z, Objective(0, 0, 1, prior="gaussian"))
    assert float(through) == pytest.approx(float(bare), abs=1e-12)
    assert float(value) == pytest.approx(float(same), abs=1e-12)
    real, fake = (discriminators.prior_logits(parameters, a) for a in (z, 1 / (1 + np.exp(-y))))
    assert float(value) == pytest.approx(float(log_d(real).mean() + log_d(-fake).mean()), abs=1e-12)
    assert value <= 0


@pytest.mark.parametrize(("prior_loss", "encoder"), [("minimax", -math.log(2)), ("non-saturating", math.log(2))])
def test_at_equilibrium_the_value_is_minus_log_4(prior_loss, encoder):
    parameters = map_tree(np.zeros_like, discriminators.init_prior(np.random.default_rng(0), 2, (6, 5)))
    y, z = np.random.default_rng(1).standard_normal((2, 5, 2))
    game, value = objectives.prior_game(parameters, y, z, Objective(0, 0, 1, prior_loss=prior_loss))
    assert float(value) == pytest.approx(-math.log(4), abs=1e-12)
    assert float(game) == pytest.approx(math.log(4) + encoder, abs=1e-12)


def test_gradient_penalty_is_added_for_the_discriminator_alone():
    plain, penalized = (Objective(0, 0, 1, gradient_penalty=weight) for weight in (0.0, 0.3))
    rng = np.random.default_rng(7)
    parameters = map_tree(lambda a: a.astype(np.float64), discriminators.init_prior(rng, 2, (6, 5)))
    tree = {"parameters": parameters, "y": rng.standard_normal((4, 2))}
    z = rng.random((4, 2))

    def play(objective):
        return value_and_gradients(lambda t: objectives.prior_game(t["parameters"], t["y"], z, objective), tree)

    (without, before, value), (game, after, same) = play(plain), play(penalized)
    penalty = float(discriminators.gradient_penalty(parameters, z))
    assert float(game - without) == pytest.approx(0.3 * penalty, abs=1e-12)
    assert float(value) == float(same)  # D_φ is reported without it
    np.testing.assert_array_equal(before["y"], after["y"])
    _, slopes, _ = value_and_gradients(lambda p: (discriminators.gradient_penalty(p, z), {}), parameters)
    for path, slope in leaves(slopes):
        change = dict(leaves(after["parameters"]))[path] - dict(leaves(before["parameters"]))[path]
        np.testing.assert_allclose(change, 0 if slope is None else 0.3 * slope, atol=1e-12)


def test_the_game_is_finite_at_extreme_logits():
    """log(1 − σ(·)) would be −inf."""
    parameters = identity_discriminator()
    parameters["first"]["b"], parameters["score"]["b"] = np.array([2e4]), np.array([-2e4])
    for prior_loss in ("minimax", "non-saturating"):
        for sign in (1, -1):
            y = np.array([[sign * 1e4]])
            objective = Objective(0, 0, 1, prior="gaussian", prior_loss=prior_loss)
            game, slope, value = value_and_gradients(
                lambda at, o=objective: objectives.prior_game(parameters, at, at, o), y
            )
            assert np.isfinite([float(game), float(value), slope.item()]).all()


# ---- MINE's state, the certified term, saturation


def test_mines_averages_flow_from_step_to_step():
    objective = mixed("mine", prior_weight=0)
    parameters, state, images, noise = set_up(objective, seed=8)
    expected = {}
    for batch in range(3):
        images = np.random.default_rng(batch).uniform(-1, 1, images.shape)
        encoding, _ = encoders.encode(parameters["encoder"], state["encoder"], images, LAYOUT, True)
        for term in ("global", "local"):
            _, product = scores_by_hand("shuffle", square_by_hand(term, parameters, encoding, objective), noise[term])
            now = np.exp(product).mean(axis=0)
            expected[term] = now if batch == 0 else 0.99 * expected[term] + 0.01 * now
        _, _, rest = step(objective, parameters, state, images, noise)
        state = rest["state"]
        for term, locations in {"global": 1, "local": L}.items():
            assert state["mine"][term].shape == (locations,)
            np.testing.assert_allclose(np.exp(state["mine"][term]), expected[term], rtol=1e-12)


@pytest.mark.parametrize("scorer", ["concat", "dot"])
def test_the_certified_term_is_reported_and_not_trained(scorer):
    whole = mixed("infonce", scorer, "all-locations", global_weight=0, prior_weight=0)
    parameters, state, images, noise = set_up(whole, seed=9)
    seen = []

    def loss(p):
        value, rest = objectives.loss(p, state, images, noise, whole, LAYOUT)
        seen.append(rest["terms"])
        return value, {}

    value_and_gradients(loss, parameters)
    assert isbox(seen[0]["local"])
    assert not isbox(seen[0]["local_certified"])
    for kind in ("same-location", "sampled"):
        if (scorer, kind) != ("dot", "sampled"):
            objective = mixed("infonce", scorer, kind)
            parts = set_up(objective)
            assert "local_certified" not in step(objective, *parts)[2]["terms"]


def test_saturated_share_counts_scores_beyond_log_99_on_either_side(monkeypatch):
    """σ(log 99) = 99 % itself does not count: 5, −5 and 4.6 (log 99 = 4.595) do."""
    scores = np.array([5.0, -5.0, 1.0, -1.0]), np.array([math.log(99), -math.log(99), 4.6, 0.0])
    objective = mixed(global_weight=0, prior_weight=0)
    parts = set_up(objective)
    monkeypatch.setattr(objectives, "score", lambda *_: scores)
    _, rest = objectives.loss(*parts, objective, LAYOUT)
    assert rest["saturated"] == {"local": 3 / 8}
    assert 1 / (1 + math.exp(-objectives.SATURATED)) == pytest.approx(0.99)


def test_everything_but_the_loss_is_off_the_tape():
    for bound, kind in (("jsd", "shuffle"), ("mine", "shuffle"), ("infonce", "all-locations")):
        objective = mixed(bound, "concat", kind)
        _, _, rest = step(objective, *set_up(objective))
        assert not any(isbox(leaf) for _, leaf in leaves(rest))


# ---- a weight of 0


NAMES = ("global", "local", "prior")


@pytest.mark.parametrize("on", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1)])
def test_what_a_weight_of_0_switches_off_costs_nothing(monkeypatch, on):
    objective = Objective(*map(float, on))
    names = {name for name, weight in zip(NAMES, on, strict=True) if weight}
    parameters, state = objectives.init_parameters(np.random.default_rng(0), LAYOUT, objective)
    assert set(parameters) == {"encoder", *names}
    noise = objectives.draw_noise(np.random.default_rng(1), objective, LAYOUT, N)
    assert set(noise) == names

    calls = {"pairs": 0, "prior": 0, "penalty": 0}

    def count(name, key):
        function = getattr(discriminators, name)

        def counted(*arguments):
            calls[key] += 1
            return function(*arguments)

        monkeypatch.setattr(discriminators, name, counted)

    for name in ("concat_pairs", "concat_scores", "concat_candidates", "dot_scores"):
        count(name, "pairs")
    count("prior_logits", "prior")
    count("gradient_penalty", "penalty")
    images = np.random.default_rng(2).uniform(-1, 1, (N, 8, 8, 1)).astype(np.float32)
    value, _, rest = step(objective, parameters, state, images, noise)
    assert set(rest["terms"]) == names
    assert set(rest["saturated"]) == names - {"prior"}
    # Real, fake, and fake again for the encoder's term; no penalty of weight 0.
    assert calls == {"pairs": on[0] + on[1], "prior": 3 * on[2], "penalty": 0}
    assert np.isfinite(value)


def test_without_any_weight_nothing_has_a_gradient():
    objective = Objective(0, 0, 0)
    value, gradients, rest = step(objective, *set_up(objective))
    assert value == 0
    assert all(slope is None for _, slope in leaves(gradients))
    assert rest["y"].shape == (N, 3)


# ---- parameters and noise


@pytest.mark.parametrize("scorer", ["concat", "dot"])
def test_initial_parameters_have_the_papers_widths(scorer):
    objective = mixed(scorer=scorer, kind="all-pairs")
    parameters, state = objectives.init_parameters(np.random.default_rng(0), UNLIKE, objective)
    shapes = {path: leaf.shape for path, leaf in leaves(parameters)}
    assert all(leaf.dtype == np.float32 for _, leaf in leaves(parameters))
    if scorer == "concat":
        assert shapes["local/feature/w"] == (5, 512)
        assert shapes["local/representation/w"] == (2, 512)
    else:
        assert shapes["local/feature/hidden/w"] == (5, 2048)
        assert shapes["local/representation/hidden/w"] == (2, 2048)
    assert shapes["global/feature/w"] == (90, 512)  # the last map, flattened
    assert shapes["global/representation/w"] == (2, 512)
    assert shapes["prior/first/w"] == (2, 1000)
    assert state["mine"] == {}
    assert set(state) == {"encoder", "mine"}
    assert set(state["encoder"]) == {"norm1", "norm2", "norm_fc"}


@given(seeds, st.integers(2, 6))
def test_noise_is_what_the_negatives_and_the_prior_need(seed, n):
    def draw(kind, bound="infonce", **changes):
        return objectives.draw_noise(np.random.default_rng(seed), mixed(bound, kind=kind, **changes), UNLIKE, n)

    noise = draw("shuffle", "jsd")
    for term, locations in {"local": 36, "global": 1}.items():
        index = noise[term]["index"]
        assert index.shape == (n, locations)
        assert (index != np.arange(n)[:, None]).all()
    assert draw("roll", "jsd")["local"]["index"].tolist() == negatives.roll(n).tolist()
    for kind, bound in {"all-pairs": "jsd", "same-location": "infonce", "all-locations": "infonce"}.items():
        assert draw(kind, bound)["local"] == draw(kind, bound)["global"] == {}
    candidates = draw("sampled", candidates=n)["local"]["candidates"]
    for j, column in enumerate(candidates.T.tolist()):
        assert sorted(column) == [i for i in range(n) if i != j]  # K − 1 of them
    z = noise["prior"]["z"]
    assert z.shape == (n, 2)
    assert z.dtype == np.float32
    assert (z >= 0).all()
    assert (z <= 1).all()
    for (_, ours), (_, again) in zip(leaves(noise), leaves(draw("shuffle", "jsd")), strict=True):
        np.testing.assert_array_equal(ours, again)


def test_draws_of_the_prior_have_its_moments():
    for prior, mean, deviation in (("uniform", 0.5, 1 / math.sqrt(12)), ("gaussian", 0.0, 1.0)):
        objective = Objective(0, 0, 1, prior=prior)
        z = objectives.draw_noise(np.random.default_rng(0), objective, LAYOUT, 4000)["prior"]["z"]
        assert z.mean() == pytest.approx(mean, abs=0.04)
        assert z.std() == pytest.approx(deviation, rel=0.04)


def test_ceilings():
    assert mixed("jsd").ceiling("local", 64, 64) == math.log(4)
    for bound in ("dv", "mine", "nwj"):
        assert mixed(bound).ceiling("local", 64, 64) == math.inf
    for term, k in {"local": 1 + 63 * 16, "global": 64}.items():  # the global map has one location
        assert mixed("infonce", kind="all-locations").ceiling(term, 64, 16) == math.log(k)
        assert mixed("infonce", kind="same-location").ceiling(term, 64, 16) == math.log(64)
        assert mixed("infonce", kind="sampled", candidates=5).ceiling(term, 64, 16) == math.log(5)
    apart = dataclasses.replace(mixed("infonce", kind="sampled"), global_negatives="same-location")
    assert apart.ceiling("local", 64, 16) == math.log(3)
    assert apart.ceiling("global", 64, 16) == math.log(64)


def test_defaults_are_the_papers_prior_and_the_cheapest_negatives():
    objective = Objective(0, 1, 0.1)
    assert (objective.bound, objective.local_scorer, objective.prior) == ("jsd", "concat", "uniform")
    assert (objective.negatives("local"), objective.negatives("global")) == ("shuffle", "shuffle")
    assert (objective.prior_loss, objective.gradient_penalty, objective.candidates) == ("minimax", 0.0, 8)


def a_step_of(objective):
    """All that a user calls, in its order."""
    rng = np.random.default_rng(0)
    parameters, state = objectives.init_parameters(rng, LAYOUT, objective)
    noise = objectives.draw_noise(rng, objective, LAYOUT, N)
    return objectives.loss(parameters, state, np.zeros((N, 8, 8, 1), np.float32), noise, objective, LAYOUT)


@pytest.mark.parametrize(
    ("argument", "known"),
    [
        ("bound", "jsd, dv, mine, nwj, infonce"),
        ("local_scorer", "concat, dot"),
        ("local_negatives", "shuffle, roll, sampled, all-pairs, same-location, all-locations"),
        ("global_map", "last, local"),
        ("prior", "uniform, gaussian"),
        ("prior_loss", "minimax, non-saturating"),
    ],
)
def test_an_unknown_name_is_refused_where_it_is_looked_up(argument, known):
    """A misspelt prior loss would otherwise be taken for the other one."""
    named = "negatives" if argument == "local_negatives" else argument
    with pytest.raises(ValueError, match=f"^Objective: {named} must be one of {known}, was 'other'$"):
        a_step_of(dataclasses.replace(mixed(), **{argument: "other"}))


@pytest.mark.parametrize("term", ["local", "global"])
@pytest.mark.parametrize("bound", [*PAIR_BOUNDS, "infonce"])
@pytest.mark.parametrize("scorer", ["concat", "dot"])
def test_negatives_that_do_not_fit_never_give_a_number(term, bound, scorer):
    """Which combinations make sense is the configuration's to say; one that makes none must not train all the same."""
    fits = {kind for b, s, kind in COMBINATIONS if (b, s) == (bound, scorer if term == "local" else "concat")}
    other = {"local": "global", "global": "local"}[term]
    for kind in ("shuffle", "roll", "all-pairs", "same-location", "all-locations", "sampled"):
        chosen = {"bound": bound, "local_scorer": scorer, f"{term}_negatives": kind, f"{term}_weight": 1.0}
        objective = Objective(**chosen, **{f"{other}_weight": 0.0, "prior_weight": 0.0, "candidates": 3})
        if kind in fits:
            assert math.isfinite(a_step_of(objective)[0])
        else:
            with pytest.raises((ValueError, TypeError)):
                a_step_of(objective)


def test_an_objective_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        mixed().bound = "dv"


# ---- a whole step on the device, and in PyTorch


@pytest.mark.parametrize(("bound", "scorer", "kind"), COMBINATIONS)
def test_a_training_step_in_float32_on_the_strict_device_equals_numpys(bound, scorer, kind):
    objective = mixed(bound, scorer, kind, gradient_penalty=0.1)

    def train(backend):
        """Two steps, so that MINE's average and Adam's moments are used too."""
        parameters, state, images, noise = set_up(objective, seed=10, dtype=np.float32)
        parameters, state, noise = map(backend.tree_to_device, (parameters, state, noise))
        adam = optim.init_adam(parameters)
        for _ in range(2):
            value, gradients, rest = step(objective, parameters, state, backend.to_device(images), noise)
            parameters, adam = optim.adam_step(parameters, gradients, adam)
            state = rest["state"]
        kept = {"value": value, "parameters": parameters, "state": state, "y": rest["y"]}
        kept |= {"terms": rest["terms"], "saturated": rest["saturated"]}
        return list(leaves({**kept, "moments": {k: adam[k] for k in ("m", "v")}}))

    for (path, host), (_, device) in zip(train(NUMPY), train(STRICT), strict=True):
        assert isinstance(device, DeviceArray), path
        assert device.dtype == host.dtype, path
        assert device.dtype == np.float32 or path.startswith("saturated"), path  # a share of counts
        np.testing.assert_array_equal(device.get(), host, err_msg=path)


@pytest.mark.parametrize("global_map", ["last", "local"])
def test_everything_agrees_with_the_torch_twin(global_map):
    """The mixed objective (concat scorers, JSD, shuffled negatives, uniform prior): loss and every gradient to 1e-4."""
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    objective = mixed(global_map=global_map)
    parameters, state, images, noise = set_up(objective, seed=11, dtype=np.float32)
    value, gradients, rest = step(objective, parameters, state, images, noise)

    p = {path: torch.tensor(leaf, requires_grad=True) for path, leaf in leaves(parameters)}

    def norm(x, name):
        gain, shift = p[f"encoder/{name}/gain"], p[f"encoder/{name}/shift"]
        return torch.relu(F.batch_norm(x, None, None, gain, shift, training=True))

    x, maps = torch.tensor(images.transpose(0, 3, 1, 2).copy()), []
    for k, (c_in, c_out) in enumerate([(1, 4), (4, 8)], start=1):
        weight = p[f"encoder/conv{k}/w"].reshape(4, 4, c_in, c_out).permute(3, 2, 0, 1)
        x = norm(F.conv2d(x, weight, stride=2, padding=1), f"norm{k}")
        maps.append(x.permute(0, 2, 3, 1))
    fc = norm(maps[1].reshape(N, 32) @ p["encoder/fc/w"], "norm_fc")
    y = fc @ p["encoder/y/w"] + p["encoder/y/b"]

    def mlp(name, x):
        weight = torch.cat([p[f"{name}/feature/w"], p[f"{name}/representation/w"]])
        x = torch.relu(x @ weight + p[f"{name}/feature/b"])
        x = torch.relu(x @ p[f"{name}/hidden/w"] + p[f"{name}/hidden/b"])
        return (x @ p[f"{name}/score/w"] + p[f"{name}/score/b"])[..., 0]

    loss = torch.zeros(())
    seen = maps[1] if global_map == "last" else maps[0]
    by_location = {"global": seen.reshape(N, 1, -1), "local": maps[0].reshape(N, L, 4)}
    for name, weight in {"global": 0.7, "local": 1.3}.items():
        features = by_location[name]
        own = y[:, None].expand(-1, features.shape[1], -1)
        other = y[torch.tensor(noise[name]["index"])]
        joint, product = mlp(name, torch.cat([features, own], 2)), mlp(name, torch.cat([features, other], 2))
        jsd = math.log(4) - F.softplus(-joint).mean() - F.softplus(product).mean()
        assert rest["terms"][name] == pytest.approx(jsd.item(), rel=1e-4, abs=1e-6)
        loss = loss - weight * jsd

    def logits(at, q):
        for name in ("first", "second"):
            at = torch.relu(at @ q[f"prior/{name}/w"] + q[f"prior/{name}/b"])
        return (at @ q["prior/score/w"] + q["prior/score/b"])[:, 0]

    sample = torch.sigmoid(y)
    frozen = {path: leaf.detach() for path, leaf in p.items()}
    ours, theirs = torch.ones(N), torch.zeros(N)
    cross_entropy = F.binary_cross_entropy_with_logits
    game = cross_entropy(logits(torch.tensor(noise["prior"]["z"]), p), ours)
    game = game + cross_entropy(logits(sample.detach(), p), theirs) - cross_entropy(logits(sample, frozen), theirs)
    loss = loss + 0.4 * game
    loss.backward()

    assert float(value) == pytest.approx(loss.item(), rel=1e-4)
    for path, slope in leaves(gradients):
        expected = p[path].grad.numpy()
        np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-4 * abs(expected).max() + 1e-8, err_msg=path)
