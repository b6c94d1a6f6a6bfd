"""Laws of gradients: each bound's, in closed form on the host; stopped paths; the prior's game; the whole objective."""

import math
from dataclasses import replace
from functools import partial

import numpy as np

from dimref import bounds, discriminators, encoders, objectives, ops
from dimref.backend import Backend
from dimref.laws.cases import in_float64, matrix_bounds, mild_pairs, mild_score_matrix, pairs, score_matrix
from dimref.laws.law import Case, Sizes, Slack, at_most, equal, gradients, in_nats, law, on_device, rounding, tightest
from dimref.objectives import Objective
from dimref.tape import stop_gradient, value_and_gradients
from dimref.trees import Array, leaves, map_tree

OORD, HJELM, BELGHAZI, NOWOZIN = "arXiv 1807.03748", "arXiv 1808.06670", "arXiv 1801.04062", "arXiv 1606.00709"


def _softmax(scores: np.ndarray, axis: int | tuple[int, ...] = 0) -> np.ndarray:
    tilted = np.exp(scores.astype(np.float64) - scores.max(axis=axis, keepdims=True))
    return tilted / tilted.sum(axis=axis, keepdims=True)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x.astype(np.float64)))


@law("identity", "∂DV/∂T = P's weights − Q's weights tilted by e^T; they sum to 0", pairs, f"{BELGHAZI}, section 3.2")
def gradient_of_dv(case: Case, backend: Backend) -> Slack:
    """At each location the weights 1/N of P against softmax over Q."""
    (n, locations), product = case["joint"].shape, case["product"]
    of_joint, of_product = gradients(backend, bounds.dv, case["joint"], product)
    tolerance = rounding(case["joint"], product)
    return tightest(
        equal(of_joint, np.full((n, locations), 1 / (n * locations)), tolerance),
        equal(of_product, -_softmax(product) / locations, tolerance),
        equal(float(of_joint.sum() + of_product.sum()), 0.0, tolerance),
    )


@law("identity", "∂NWJ/∂T_Q = −e^{T−1}/P; of the plug-in −e^T/P", mild_pairs, f"{NOWOZIN}, eq. (4)")
def gradient_of_nwj(case: Case, backend: Backend) -> Slack:
    """Minus the ratio that the critic claims."""
    product = case["product"].astype(np.float64)
    slacks = []
    for bound, shift in ((bounds.nwj, 1.0), (bounds.plug_in, 0.0)):
        of_joint, of_product = gradients(backend, bound, case["joint"], case["product"])
        expected = np.exp(product - shift)
        tolerance = rounding(*case.values()) * max(1.0, float(expected.max()))
        slacks.append(equal(of_product, -expected / product.size, tolerance))
        slacks.append(equal(of_joint, np.full(of_joint.shape, 1 / of_joint.size), tolerance))
    return tightest(*slacks)


@law("identity", "∂JSD/∂T_P = σ(−T)/N, ∂JSD/∂T_Q = −σ(T)/P", pairs, f"{HJELM}, eq. (4)")
def gradient_of_jsd(case: Case, backend: Backend) -> Slack:
    """The errors of a classifier of pairs: it stops learning from what it is sure of."""
    of_joint, of_product = gradients(backend, bounds.jsd, case["joint"], case["product"])
    tolerance = rounding(*case.values())
    return tightest(
        equal(of_joint, _sigmoid(-case["joint"]) / case["joint"].size, tolerance),
        equal(of_product, -_sigmoid(case["product"]) / case["product"].size, tolerance),
    )


@law("identity", "∂InfoNCE/∂S = ([i = j] − softmax over x')/N; each column sums to 0", score_matrix, f"{OORD}, eq. (4)")
def gradient_of_infonce(case: Case, backend: Backend) -> Slack:
    """The candidates of a column; rows do not sum to 0. Over all locations the columns sum to 0 with their locations."""
    scores = case["scores"]
    n, _, locations = scores.shape
    tolerance = rounding(scores)
    (slope,) = gradients(backend, bounds.infonce, scores)
    slacks = [equal(slope, (np.eye(n)[:, :, None] - _softmax(scores)) / (n * locations), tolerance)]
    for infonce in matrix_bounds()[1:3]:
        (slope,) = gradients(backend, infonce, scores)
        slacks.append(equal(slope.sum(axis=(0, 2)), np.zeros(n), tolerance))
    return tightest(*slacks)


def _mine(rng: np.random.Generator, sizes: Sizes) -> Case:
    rate = float(rng.choice([0.01, 0.3, 1.0]))
    return {**mild_pairs(rng, sizes), "log_average": rng.standard_normal(sizes.locations), "rate": rate}


@law("identity", "∂MINE/∂T_Q = −e^T/(P·A), A ← (1 − rate)·A + rate·E_Q[e^T]", _mine, f"{BELGHAZI}, eq. (12)")
def gradient_of_mine(case: Case, backend: Backend) -> Slack:
    """A is updated before it is used, belongs to one location, and is untraced."""
    joint, product, rate = case["joint"], case["product"], case["rate"]
    state = backend.to_device(case["log_average"].astype(joint.dtype))
    of_joint, of_product = gradients(backend, lambda j, p: bounds.mine(j, p, state, rate)[0], joint, product)
    tilted = np.exp(product.astype(np.float64))
    average = (1 - rate) * np.exp(case["log_average"]) + rate * tilted.mean(axis=0)
    ratio = tilted / average
    tolerance = rounding(joint, product) * max(1.0, float(ratio.max()))
    return tightest(
        equal(of_product, -ratio / product.size, tolerance),
        equal(of_joint, np.full(joint.shape, 1 / joint.size), tolerance),
    )


def _directions(rng: np.random.Generator, sizes: Sizes) -> Case:
    """Scores in float64, whatever the dtype drawn, and a direction for each array."""
    sizes = replace(sizes, dtype="float64")
    case = {**mild_score_matrix(rng, sizes), **mild_pairs(rng, sizes)}
    return {**case, **{f"along_{name}": rng.standard_normal(array.shape) for name, array in case.items()}}


def _sampled_infonce(scores: Array) -> Array:
    return bounds.infonce_sampled(ops.reshape(ops.cut(scores, (slice(0, 1),)), scores.shape[1:]), scores)


@law("identity", "⟨∂bound, v⟩ = [bound(T + hv) − bound(T − hv)] / 2h", _directions, "arXiv 1502.05767, section 2.1")
def gradients_are_central_differences(case: Case, backend: Backend) -> Slack:
    """Every bound, along a random direction, in float64: truncation h² and rounding ε/h are both near 1e-10."""
    step, slacks = 1e-5, []
    of_pairs = dict.fromkeys((bounds.dv, bounds.nwj, bounds.jsd, bounds.plug_in), ("joint", "product"))
    of_matrix = dict.fromkeys((*matrix_bounds()[:3], _sampled_infonce), ("scores",))
    for bound, names in (of_pairs | of_matrix).items():
        slopes = gradients(backend, bound, *(case[k] for k in names))
        ends = [in_nats(backend, bound, *(case[k] + h * case[f"along_{k}"] for k in names)) for h in (step, -step)]
        along = sum(float((g * case[f"along_{k}"]).sum()) for k, g in zip(names, slopes, strict=True))
        scale = math.exp(max(0.0, float(case["product"].max())))
        slacks.append(equal(along, (ends[0] - ends[1]) / (2 * step), 1e-6 * scale * max(1.0, abs(along))))
    return tightest(*slacks)


# ---- the prior's game


def _game(rng: np.random.Generator, sizes: Sizes) -> Case:
    """A discriminator of its own sizes, representations, and draws of the prior."""
    d = sizes.m
    parameters = in_float64(discriminators.init_prior(rng, d, (6, 4)))
    prior, loss = str(rng.choice(["uniform", "gaussian"])), str(rng.choice(["minimax", "non-saturating"]))
    z = rng.random((sizes.n, d)) if prior == "uniform" else rng.standard_normal((sizes.n, d))
    return {**parameters, "y": 2 * rng.standard_normal((sizes.n, d)), "z": z, "prior": prior, "prior_loss": loss}


def _play(case: Case, backend: Backend, player: str) -> dict[str, np.ndarray]:
    """Gradients of the game in its discriminator's parameters and in y; or of one player's own loss, written out."""
    layers = ("first", "second", "score")
    tree = backend.tree_to_device({**{k: case[k] for k in layers}, "y": case["y"]})
    z = backend.to_device(case["z"])
    objective = Objective(0, 0, 1, prior=case["prior"], prior_loss=case["prior_loss"])

    def loss(at: dict[str, Array]) -> tuple[Array, dict]:
        parameters = {k: at[k] for k in layers}
        if player == "both":
            return objectives.prior_game(parameters, at["y"], z, objective)[0], {}
        sample = ops.sigmoid(at["y"]) if case["prior"] == "uniform" else at["y"]
        if player == "discriminator":
            real, fake = (discriminators.prior_logits(parameters, s) for s in (z, stop_gradient(sample)))
            return ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake)), {}
        seen = discriminators.prior_logits(map_tree(stop_gradient, parameters), sample)
        return ops.total(seen), {}

    _, slopes_of, _ = value_and_gradients(loss, tree)
    flat = {f"{k}/{name}": g for k in layers for name, g in slopes_of[k].items()} | {"y": slopes_of["y"]}
    return {k: backend.to_host(g) for k, g in flat.items() if g is not None}


@law("identity", "the game's gradient in φ is that of −D_φ alone: y is stopped", _game, f"{HJELM}, eq. (7)")
def prior_discriminator_sees_y_stopped(case: Case, backend: Backend) -> Slack:
    """The encoder's term has φ stopped, so it adds nothing; in both its forms."""
    both, alone = (_play(case, backend, player) for player in ("both", "discriminator"))
    return tightest(*(equal(both[k], alone[k], 1e-12) for k in alone))


@law("identity", "∂game/∂y = −σ(d)·∇d / B (minimax) or −σ(−d)·∇d / B (non-saturating)", _game, f"{HJELM}, eq. (7)")
def encoder_climbs_the_log_odds(case: Case, backend: Backend) -> Slack:
    """A step down the loss raises d(y), the log odds of being a draw of the prior, in each sample: the encoder's side."""
    slope = _play(case, backend, "both")["y"]
    climb = _play(case, backend, "encoder").get("y", np.zeros_like(slope))
    sample = _sigmoid(case["y"]) if case["prior"] == "uniform" else case["y"]
    parameters = backend.tree_to_device({k: case[k] for k in ("first", "second", "score")})
    d = backend.to_host(discriminators.prior_logits(parameters, backend.to_device(sample)))[:, None]
    weight = _sigmoid(d if case["prior_loss"] == "minimax" else -d) / len(d)
    return tightest(equal(slope, -weight * climb, 1e-12), at_most((slope * climb).sum(axis=1), 0.0, 1e-12))


def _outside(rng: np.random.Generator, sizes: Sizes) -> Case:
    """Representations on one side of a prior that is centred at 0, and a discriminator whose log odds are 1 − Σ|y|."""
    d = sizes.m
    return {"y": rng.uniform(0.5, 3.0, (sizes.n, d)) * rng.choice([-1.0, 1.0]), "z": rng.standard_normal((sizes.n, d))}


@law("inequality", "one step of the encoder takes y toward the prior", _outside, f"{HJELM}, section 3.3")
def encoder_moves_toward_the_prior(case: Case, backend: Backend) -> Slack:
    """By the sign alone: d(y) = 1 − Σ|y|, made of the discriminator's own ReLUs, is largest at the prior's centre."""
    d = case["y"].shape[1]
    sign = np.concatenate([np.eye(d), -np.eye(d)], axis=1)
    parameters = {
        "first": {"w": sign, "b": np.zeros(2 * d)},
        "second": {"w": np.ones((2 * d, 1)), "b": np.zeros(1)},
        "score": {"w": -np.ones((1, 1)), "b": np.ones(1)},
    }
    games = [{**parameters, **case, "prior": "gaussian", "prior_loss": k} for k in ("minimax", "non-saturating")]
    slopes = np.stack([_play(game, backend, "both")["y"] for game in games])
    nearer = at_most(np.abs(case["y"] - 0.1 * slopes), np.abs(case["y"]), 0.0)
    return tightest(nearer, at_most(1e-9, np.abs(slopes), 0.0))  # and it does change


# ---- the objective

LAYOUT = encoders.Layout(4, 1, width=2, fc=3, representation=2)


def _objective(rng: np.random.Generator, sizes: Sizes) -> Case:
    """A small encoder with narrow critics, images, draws, the weights α, β, γ and a bound."""
    encoder, running = encoders.init_encoder(rng, LAYOUT)
    (side, channels), d = LAYOUT.last, LAYOUT.representation
    parameters = {
        "encoder": encoder,
        "global": discriminators.init_concat(rng, side**2 * channels, d, 3),
        "local": discriminators.init_concat(rng, LAYOUT.local[1], d, 3),
        "prior": discriminators.init_prior(rng, d, (3, 2)),
    }
    trees = in_float64({"parameters": parameters, "state": {"encoder": running, "mine": {}}})
    images = rng.uniform(-1, 1, (sizes.n, LAYOUT.padded, LAYOUT.padded, 1))
    weights, bound = rng.uniform(0.1, 2.0, 3), str(rng.choice(["jsd", "dv", "nwj"]))
    noise = objectives.draw_noise(rng, Objective(*weights), LAYOUT, sizes.n)
    return {**trees, "images": images, "noise": noise, "weights": weights, "bound": bound}


@law("identity", "loss(α, β, γ) = −α·I_global − β·I_local + γ·game, and so is its gradient", _objective,
     f"{HJELM}, eq. (8); {HJELM}, eq. (3)")  # fmt: skip
def objective_is_linear_in_its_weights(case: Case, backend: Backend) -> Slack:
    """A term alone is minus its bound (at α = 1 eq. (3)), or the prior's game; every other objective is a sum of these."""
    trees = [backend.tree_to_device(case[name]) for name in ("parameters", "state", "images", "noise")]

    def at(weights: np.ndarray) -> tuple[np.ndarray, dict[str, Array]]:
        """The loss followed by all of its gradients, as one vector; and the report."""
        objective = replace(Objective(*weights), bound=case["bound"])
        loss = partial(objectives.loss, objective=objective, layout=LAYOUT, training=False)
        value, slopes, report = value_and_gradients(loss, *trees)
        zeros = map_tree(np.zeros_like, case["parameters"])
        slopes = map_tree(lambda zero, g: zero if g is None else backend.to_host(g), zeros, slopes)
        return np.concatenate([[backend.to_host(value)], *(g.ravel() for _, g in leaves(slopes))]), report

    whole, report = at(case["weights"])
    alone = np.stack([at(unit)[0] for unit in np.eye(3)])
    game, _ = objectives.prior_game(trees[0]["prior"], report["y"], trees[3]["prior"]["z"], Objective(0, 0, 1))
    parts = [backend.to_host(part) for part in (-report["terms"]["global"], -report["terms"]["local"], game)]
    return tightest(equal(alone[:, 0], parts, 1e-10), equal(whole, case["weights"] @ alone, 1e-8))


@law("identity", "stop_gradient(x): x forward, 0 backward", score_matrix, "arXiv 1502.05767, section 3.2")
def stopped_paths_have_no_gradient(case: Case, backend: Backend) -> Slack:
    """⟨stop(x), x⟩ has the gradient x, not 2x; its value is that of ⟨x, x⟩."""
    x = case["scores"]
    (slope,) = gradients(backend, lambda s: ops.total(ops.multiply(stop_gradient(s), s)), x)
    (device,) = on_device(case, backend, "scores")
    same = float(np.abs(backend.to_host(stop_gradient(device)) - x).max())
    return tightest(equal(slope, x, 0.0), equal(same, 0.0, 0.0))
