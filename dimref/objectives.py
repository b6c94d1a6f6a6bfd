"""Deep InfoMax's objective: max over encoder and critics of α·I_global + β·I_local, and the prior's game, weighted by γ.

The only file of Deep InfoMax's training where a bound changes its sign to become a loss. A term of weight 0 has no
parameters and no draws, and costs nothing. The prior is a game of two players, so it enters twice: the discriminator's
term sees y stopped, the encoder's term sees the discriminator's parameters stopped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dimref import bounds, discriminators, encoders, negatives, ops
from dimref.encoders import Encoding, Layout
from dimref.tape import stop_gradient
from dimref.training import choices
from dimref.trees import Array, Tree, map_tree

# |T| beyond this: σ(T) is within 1 % of 0 or 1, and where the sign is right JSD's gradient is nearly gone.
SATURATED = math.log(99)


@dataclass(frozen=True)
class Objective:
    """The choice of terms, bound, critic and negatives.

    Raises:
        ValueError: a name is none of those known, or a term that is on has negatives that its bound or scorer cannot use.
    """

    global_weight: float  # α
    local_weight: float  # β
    prior_weight: float  # γ
    bound: str = "jsd"
    local_scorer: str = "concat"
    local_negatives: str = "shuffle"
    global_negatives: str = "shuffle"
    candidates: int = 8  # K of sampled negatives
    prior: str = "uniform"
    prior_loss: str = "minimax"
    gradient_penalty: float = 0.0

    def __post_init__(self) -> None:
        known = {
            "bound": choices.BOUNDS,
            "local_scorer": choices.SCORERS,
            "prior": choices.PRIORS,
            "prior_loss": choices.PRIOR_LOSSES,
        }
        for argument, allowed in known.items():
            if getattr(self, argument) not in allowed:
                found = getattr(self, argument)
                raise ValueError(f"Objective: {argument} must be one of {', '.join(allowed)}, was {found!r}")
        for term, weight in (("local", self.local_weight), ("global", self.global_weight)):
            fits: tuple[str, ...] = choices.CANDIDATE_NEGATIVES if self.bound == "infonce" else choices.PAIR_NEGATIVES
            if self.scorer(term) == "dot":  # it computes the whole score matrix: no indices are drawn
                fits = tuple(kind for kind in fits if kind not in ("shuffle", "roll", "sampled"))
            if weight and self.negatives(term) not in fits:
                found = self.negatives(term)
                raise ValueError(f"Objective: {term}_negatives must be one of {', '.join(fits)}, was {found!r}")

    def negatives(self, term: str) -> str:
        """The kind of negatives of the "local" or the "global" term."""
        return {"local": self.local_negatives, "global": self.global_negatives}[term]

    def scorer(self, term: str) -> str:
        """The critic of the "local" or the "global" term."""
        return {"local": self.local_scorer, "global": "concat"}[term]

    @property
    def weights(self) -> dict[str, float]:
        """The weights of the bounds that are maximized."""
        weights = {"local": self.local_weight, "global": self.global_weight}
        return {term: weight for term, weight in weights.items() if weight}

    def for_batch(self, n: int) -> Objective:
        """The objective with no more candidates than a batch of n has images."""
        return replace(self, candidates=min(self.candidates, n))

    def ceiling(self, term: str, n: int, locations: int) -> float:
        """Ceiling in nats of the "local" or the "global" bound for batches of n images."""
        if self.bound != "infonce":
            return bounds.ceiling(self.bound)
        count = {
            "same-location": n,
            "all-locations": 1 + (n - 1) * (locations if term == "local" else 1),
            "sampled": self.candidates,
        }
        return bounds.ceiling("infonce", count[self.negatives(term)])


def init_parameters(rng: np.random.Generator, layout: Layout, objective: Objective) -> tuple[Tree, Tree]:
    """Parameters {"encoder", "local", "global", "prior"} (those of weight > 0) and model state, on the host."""
    encoder, running = encoders.init_encoder(rng, layout)
    parameters: Tree = {"encoder": encoder}
    d = layout.representation
    if objective.local_weight:
        init = {"concat": discriminators.init_concat, "dot": discriminators.init_dot}[objective.local_scorer]
        parameters["local"] = init(rng, layout.local[1], d)
    if objective.global_weight:
        side, channels = layout.last
        parameters["global"] = discriminators.init_concat(rng, side * side * channels, d)
    if objective.prior_weight:
        parameters["prior"] = discriminators.init_prior(rng, d)
    return parameters, {"encoder": running, "mine": {}}


def draw_noise(rng: np.random.Generator, objective: Objective, layout: Layout, n: int) -> Tree:
    """One step's randomness, drawn on the host: indices of negatives and draws of the prior, float32."""
    noise: Tree = {}
    if objective.local_weight:
        noise["local"] = _draw_negatives(rng, objective.local_negatives, n, layout.local[0] ** 2, objective.candidates)
    if objective.global_weight:
        noise["global"] = _draw_negatives(rng, objective.global_negatives, n, 1, objective.candidates)
    if objective.prior_weight:
        shape = (n, layout.representation)
        draws = rng.random(shape) if objective.prior == "uniform" else rng.standard_normal(shape)
        noise["prior"] = {"z": draws.astype(np.float32)}
    return noise


def _draw_negatives(rng: np.random.Generator, kind: str, n: int, locations: int, candidates: int) -> Tree:
    if kind == "shuffle":
        return {"index": negatives.derangements(rng, n, locations)}
    if kind == "roll":
        return {"index": negatives.roll(n)}
    if kind == "sampled":
        return {"candidates": negatives.sampled(rng, n, candidates - 1)}
    return {}


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
        parameters, state: from `init_parameters`.
        images: (B, H, W, C) from `encoders.scale`.
        noise: from `draw_noise`.
        training: batch norm with the batch's statistics; otherwise with the running ones.
    Returns:
        The scalar loss, and {"terms": nats by name, "state": new model state, "y": (B, D), "saturated": share of scores
        with |T| > log 99 by term}.
    Source: arXiv 1808.06670, eq. (8).
    """
    encoding, running = encoders.encode(parameters["encoder"], state["encoder"], images, layout, training)
    value: Array = 0.0
    terms: dict[str, Array] = {}
    saturated: dict[str, Array] = {}
    averages: Tree = {}
    for term, weight in (("global", objective.global_weight), ("local", objective.local_weight)):
        if not weight:
            continue
        scores = score(term, parameters[term], encoding, noise[term], objective)
        terms[term], average = information(scores, objective.bound, objective.negatives(term), state["mine"].get(term))
        value = value - weight * terms[term]
        saturated[term] = _saturated(scores)
        if average is not None:
            averages[term] = average
        if objective.negatives(term) == "all-locations":
            (matrix,) = scores
            terms[f"{term}_certified"] = bounds.infonce_certified(stop_gradient(matrix))
    if objective.prior_weight:
        game, terms["prior"] = prior_game(parameters["prior"], encoding.y, noise["prior"]["z"], objective)
        value = value + objective.prior_weight * game
    model_state = {"encoder": running, "mine": averages}
    return value, {"terms": terms, "state": model_state, "y": encoding.y, "saturated": saturated}


def score(term: str, parameters: Tree, encoding: Encoding, noise: Tree, objective: Objective) -> tuple[Array, ...]:
    """The scores that a bound takes: a score matrix (N, N, L) alone, or (joint, product), or (positives, negatives)."""
    if term == "local":
        features = encoders.by_location(encoding.local_map)
    else:
        flat = encoders.flatten(encoding.last_map)
        features = ops.reshape(flat, (flat.shape[0], 1, flat.shape[1]))
    kind = objective.negatives(term)
    if objective.scorer(term) == "dot":
        scores = discriminators.dot_scores(parameters, features, encoding.y)
    elif kind in ("shuffle", "roll"):
        return discriminators.concat_pairs(parameters, features, encoding.y, noise["index"])
    elif kind == "sampled":
        return discriminators.concat_candidates(parameters, features, encoding.y, noise["candidates"])
    else:
        scores = discriminators.concat_scores(parameters, features, encoding.y)
    return negatives.all_pairs(scores) if kind == "all-pairs" else (scores,)


def information(
    scores: tuple[Array, ...], bound: str, kind: str, log_average: Array | None
) -> tuple[Array, Array | None]:
    """The bound in nats on the scores of `score`, and MINE's new moving average (None for every other bound)."""
    if bound == "mine":
        joint, product = scores
        return bounds.mine(joint, product, log_average)
    if bound == "infonce":
        return bounds.infonce_sampled(*scores) if kind == "sampled" else bounds.infonce(scores[0], kind), None
    return {"jsd": bounds.jsd, "dv": bounds.dv, "nwj": bounds.nwj}[bound](*scores), None


def prior_game(parameters: Tree, y: Array, z: Array, objective: Objective) -> tuple[Array, Array]:
    """The sum of both players' losses, and D_φ = E_z[log D(z)] + E_x[log(1 − D(y))] in nats, at most 0.

    The discriminator maximizes D_φ. The encoder minimizes E_x[log(1 − D(y))] (minimax, the paper's form) or
    −E_x[log D(y)] (non-saturating, official code's form). At equilibrium D_φ = −log 4. For a uniform prior y passes a
    sigmoid first. All from logits: log D = −sp(−d), log(1 − D) = −sp(d).
    Source: arXiv 1808.06670, eq. (7); arXiv 1406.2661, eq. (1) and section 3 for the non-saturating form.
    """
    sample = ops.sigmoid(y) if objective.prior == "uniform" else y
    real = discriminators.prior_logits(parameters, z)
    fake = discriminators.prior_logits(parameters, stop_gradient(sample))
    value = -ops.mean(ops.softplus(-real)) - ops.mean(ops.softplus(fake))
    game = -value
    if objective.gradient_penalty:
        game = game + objective.gradient_penalty * discriminators.gradient_penalty(parameters, z)
    seen = discriminators.prior_logits(map_tree(stop_gradient, parameters), sample)
    if objective.prior_loss == "minimax":
        return game - ops.mean(ops.softplus(seen)), value
    return game + ops.mean(ops.softplus(-seen)), value


def _saturated(scores: tuple[Array, ...]) -> Array:
    beyond = [np.abs(stop_gradient(s)) > SATURATED for s in scores]
    return sum(b.sum() for b in beyond) / sum(b.size for b in beyond)
