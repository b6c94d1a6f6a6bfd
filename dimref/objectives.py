"""Deep InfoMax's objective: max over encoder and critics of α·I_global + β·I_local, and the game of the prior, γ.

The only file of Deep InfoMax's training where a bound changes its sign to become a loss. A term of weight 0 has no
parameters and no draws, and costs nothing. The prior is a game of two players, so it enters twice: the discriminator's
term sees y stopped, the encoder's term sees the discriminator's parameters stopped.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np

from dimref import bounds, discriminators, encoders, negatives, ops, ranks
from dimref.encoders import Encoding, Layout
from dimref.tape import stop_gradient
from dimref.trees import Array, Tree, map_tree

Scores = tuple[Array, ...]  # a score matrix (N, N, L) alone, or (joint, product), or (positives, negatives)

SATURATED = math.log(
    99
)  # |T| beyond it: σ(T) is within 1 % of 0 or 1; where that is right JSD's gradient is nearly gone


@dataclass(frozen=True)
class Objective:
    """Which terms, bound, critic and negatives; an unknown name is a ValueError where its function is looked up."""

    global_weight: float  # α
    local_weight: float  # β
    prior_weight: float  # γ
    bound: str = "jsd"
    local_scorer: str = "concat"  # the local term's critic; that of the global term is "concat"
    local_negatives: str = "shuffle"
    global_negatives: str = "shuffle"
    candidates: int = 8  # K of sampled negatives
    prior: str = "uniform"
    prior_loss: str = "minimax"
    gradient_penalty: float = 0.0
    dot: tuple[str, ...] = ()  # pieces of the dot critic, of `discriminators.DOT_PIECES`
    global_map: str = (
        "last"  # what the global critic sees of an image: the "last" map, or as in the paper the "local" one
    )

    def negatives(self, term: str) -> str:
        """The kind of negatives of the "local" or the "global" term."""
        return self.local_negatives if term == "local" else self.global_negatives

    @property
    def weights(self) -> dict[str, float]:
        """The weights of the bounds that are maximized."""
        weights = {"local": self.local_weight, "global": self.global_weight}
        return {term: weight for term, weight in weights.items() if weight}

    def for_batch(self, n: int) -> Self:
        """The objective with no more candidates than a batch of n has images."""
        return replace(self, candidates=min(self.candidates, n))

    def ceiling(self, term: str, n: int, locations: int) -> float:
        """Ceiling in nats of the "local" or the "global" bound for batches of n images."""
        if self.bound != "infonce":
            return bounds.ceiling(self.bound)
        others = (n - 1) * (locations if term == "local" else 1)
        counts = {"same-location": n, "all-locations": 1 + others, "sampled": self.candidates}
        return bounds.ceiling("infonce", _named("negatives", counts, self.negatives(term)))


def _named(argument: str, known: dict[str, Any], name: str) -> Any:
    """What a dict has under a name, or the ValueError that lists what it has."""
    if name not in known:
        raise ValueError(f"Objective: {argument} must be one of {', '.join(known)}, was {name!r}")
    return known[name]


def init_parameters(rng: np.random.Generator, layout: Layout, objective: Objective) -> tuple[Tree, Tree]:
    """Parameters {"encoder", "local", "global", "prior"} (those of weight > 0) and model state, on the host."""
    encoder, running = encoders.init_encoder(rng, layout)
    parameters, d = {"encoder": encoder}, layout.representation
    if objective.local_weight:
        for piece in objective.dot:
            _named("dot", dict.fromkeys(discriminators.DOT_PIECES), piece)
        critics = {"concat": discriminators.init_concat, "dot": partial(discriminators.init_dot, pieces=objective.dot)}
        parameters["local"] = _named("local_scorer", critics, objective.local_scorer)(rng, layout.local[1], d)
    if objective.global_weight:
        side, channels = _named("global_map", {"last": layout.last, "local": layout.local}, objective.global_map)
        parameters["global"] = discriminators.init_concat(rng, side * side * channels, d)
    if objective.prior_weight:
        parameters["prior"] = discriminators.init_prior(rng, d)
    return parameters, model_state(running, layout, objective, 0)


def model_state(running: Tree, layout: Layout, objective: Objective, step: int) -> Tree:
    """The arrays of the model state after so many steps: MINE has averages, here 0, from the first step on."""
    averaged = objective.weights if objective.bound == "mine" and step > 0 else ()
    return {"encoder": running, "mine": {t: np.zeros(_locations(t, layout), np.float32) for t in averaged}}


def _locations(term: str, layout: Layout) -> int:
    return layout.local[0] ** 2 if term == "local" else 1


def draw_noise(rng: np.random.Generator, objective: Objective, layout: Layout, n: int) -> Tree:
    """One step's randomness, drawn on the host: indices of negatives and draws of the prior, float32."""
    noise: Tree = {
        term: _draw_negatives(rng, objective.negatives(term), n, _locations(term, layout), objective.candidates)
        for term in objective.weights
    }
    if objective.prior_weight:
        draw = _named("prior", {"uniform": rng.random, "gaussian": rng.standard_normal}, objective.prior)
        noise["prior"] = {"z": draw((n, layout.representation)).astype(np.float32)}
    return noise


def _draw_negatives(rng: np.random.Generator, kind: str, n: int, locations: int, candidates: int) -> Tree:
    draws: dict[str, Callable[[], Tree]] = {
        "shuffle": lambda: {"index": negatives.derangements(rng, n, locations)},
        "roll": lambda: {"index": negatives.roll(n)},
        "sampled": lambda: {"candidates": negatives.sampled(rng, n, candidates - 1)},
        **dict.fromkeys(("all-pairs", "same-location", "all-locations"), dict),  # of the whole score matrix
    }
    return _named("negatives", draws, kind)()


def loss(
    parameters: Tree,
    state: Tree,
    images: Array,
    noise: Tree,
    objective: Objective,
    layout: Layout,
    training: bool = True,
) -> tuple[Array, dict[str, Any]]:
    """−(α·I_global + β·I_local) + γ·(both players' prior terms), to be minimized in all parameters at once.

    Args:
        parameters, state: from `init_parameters`. images: (B, H, W, C) from `encoders.scale`. noise: from `draw_noise`.
            Of several ranks each has its own images, and the noise of the whole batch.
        training: batch norm with the batch's statistics; otherwise with the running ones.
    Returns:
        The scalar loss, and {"terms": nats by name, "state": new model state, "y": (B, D), "saturated": share of scores
        with |T| > log 99 by term}.
    Source: arXiv 1808.06670, eq. (8); eq. (3) for α alone.
    """
    encoding, running = encoders.encode(parameters["encoder"], state["encoder"], images, layout, training)
    terms: dict[str, Array] = {}
    report: Tree = {"terms": terms, "state": {"encoder": running, "mine": {}}, "y": encoding.y, "saturated": {}}
    value: Array = 0.0
    for term, weight in reversed(objective.weights.items()):
        scores = score(term, parameters[term], encoding, noise[term], objective)
        terms[term], average = information(scores, objective.bound, objective.negatives(term), state["mine"].get(term))
        value = value - weight * terms[term]
        beyond = [np.abs(stop_gradient(s)) > SATURATED for s in scores]
        pairs = sum(ranks.now().of_batch(b.size) for b in beyond)
        report["saturated"][term] = ranks.now().all_sum(sum(b.sum() for b in beyond)) / pairs
        if average is not None:
            report["state"]["mine"][term] = average
        if objective.negatives(term) == "all-locations":
            terms[f"{term}_certified"] = bounds.infonce_certified(stop_gradient(scores[0]))
    if objective.prior_weight:
        game, terms["prior"] = prior_game(
            parameters["prior"], encoding.y, ranks.now().own(noise["prior"]["z"]), objective
        )
        value = value + objective.prior_weight * game
    return ranks.now().share(value), report


def score(term: str, parameters: Tree, encoding: Encoding, noise: Tree, objective: Objective) -> Scores:
    """The scores of a term's critic that its bound needs. The dot critic's are ⟨a, b⟩/√E, "unscaled" ⟨a, b⟩.

    In figure 2 of arXiv 1808.06670 the global critic sees y and the M×M map, `global_map` "local".
    """
    local, flat = encoding.local_map, encoding.local_map if objective.global_map == "local" else encoding.last_map
    features = encoders.by_location(local) if term == "local" else ops.reshape(flat, (flat.shape[0], 1, -1))
    kind = objective.negatives(term)
    if term == "local" and objective.local_scorer == "dot":
        scores = discriminators.dot_scores(parameters, features, encoding.y)
        units = parameters["feature"]["norm"]["gain"].shape[0]
        scores = scores * math.sqrt(units) if "unscaled" in objective.dot else scores
    elif kind in ("shuffle", "roll"):
        return discriminators.concat_pairs(parameters, features, encoding.y, ranks.now().own(noise["index"]))
    elif kind == "sampled":
        return discriminators.concat_candidates(parameters, features, encoding.y, noise["candidates"])
    else:
        scores = discriminators.concat_scores(parameters, features, encoding.y)
    return negatives.all_pairs(scores) if kind == "all-pairs" else (scores,)


def information(scores: Scores, bound: str, kind: str, log_average: Array | None) -> tuple[Array, Array | None]:
    """The bound in nats of what `score` returned, and MINE's new moving average (None for every other bound)."""
    known = {"jsd": bounds.jsd, "dv": bounds.dv, "mine": bounds.mine, "nwj": bounds.nwj, "infonce": bounds.infonce}
    function = _named("bound", known, bound)
    if bound == "mine":
        return function(*scores, log_average)
    if bound == "infonce":
        return bounds.infonce_sampled(*scores) if kind == "sampled" else function(*scores, kind), None
    return function(*scores), None


def prior_game(parameters: Tree, y: Array, z: Array, objective: Objective) -> tuple[Array, Array]:
    """Both players' losses against the prior, and D_φ = E_z[log D(z)] + E_x[log(1 − D(y))] in nats, at most 0.

    The discriminator maximizes D_φ. The encoder minimizes E_x[log(1 − D(y))] (minimax, the paper's form) or
    −E_x[log D(y)] (non-saturating, official code's form). At equilibrium D_φ = −log 4. For a uniform prior y passes a
    sigmoid first. All from logits: log D = −sp(−d), log(1 − D) = −sp(d).

    Source: arXiv 1808.06670, eq. (7); arXiv 1406.2661, eq. (1) and section 3 for the non-saturating form.
    """
    sample = ops.sigmoid(y) if objective.prior == "uniform" else y
    real = discriminators.prior_logits(parameters, z)
    fake = discriminators.prior_logits(parameters, stop_gradient(sample))
    value = -ranks.mean(ops.softplus(-real)) - ranks.mean(ops.softplus(fake))
    game = -value
    if objective.gradient_penalty:
        game = game + objective.gradient_penalty * discriminators.gradient_penalty(parameters, z)
    seen = discriminators.prior_logits(map_tree(stop_gradient, parameters), sample)
    losses = {
        "minimax": lambda d: -ranks.mean(ops.softplus(d)),
        "non-saturating": lambda d: ranks.mean(ops.softplus(-d)),
    }
    return game + _named("prior_loss", losses, objective.prior_loss)(seen), value
