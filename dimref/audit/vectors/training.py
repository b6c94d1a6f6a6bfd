"""Vectors of `encoders`, `objectives` and `optim`: a narrow network, whole steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from dimref import discriminators, encoders, objectives, optim
from dimref.audit.vectors.case import Case, Draw
from dimref.audit.vectors.networks import ANY
from dimref.encoders import Encoding, Layout
from dimref.engine import folded
from dimref.objectives import Objective
from dimref.trees import Tree, map_tree

LAYOUT = Layout(size=6, channels=1, width=2, fc=4, representation=3)  # padded to 8×8: maps of 4×4×2 and 2×2×4
N = 3


def cases() -> Iterator[Case]:
    """Every case of this family."""
    yield from _encoders(Draw(31))
    yield from _folded(Draw(35))
    yield from _terms(Draw(32))
    yield from _losses(Draw(33))
    yield from _adam(Draw(34))


def _encoder(draw: Draw) -> tuple[Tree, Tree]:
    parameters, state = encoders.init_encoder(ANY, LAYOUT)
    state = map_tree(lambda leaf: draw.uniform(*leaf.shape, low=0.5, high=1.5), state)
    return draw.like(parameters), state


def _images(draw: Draw) -> np.ndarray:
    return draw.uniform(N, 8, 8, 1, low=-1.0, high=1.0)


def _encoders(draw: Draw) -> Iterator[Case]:
    x = draw.uniform(2, 2, 2, 3)
    yield Case("encoders.flatten", "2×2×3", {"x": x}, lambda inputs: {"value": encoders.flatten(inputs["x"])})
    yield Case("encoders.by_location", "2×2×3", {"x": x}, lambda inputs: {"value": encoders.by_location(inputs["x"])})
    pixels = draw.uniform(1, 6, 6, 1, low=0.0, high=255.0).astype(np.uint8)
    sizes = {"layout": dataclasses.asdict(LAYOUT)}
    run = lambda inputs: {"value": encoders.scale(inputs["images"], LAYOUT)}  # noqa: E731
    yield Case("encoders.scale", "6×6, padded to 8×8", {"images": pixels}, run, sizes)
    for training in (True, False):

        def encode(inputs: Tree, training: bool = training) -> Tree:
            found, state = encoders.encode(inputs["parameters"], inputs["state"], inputs["images"], LAYOUT, training)
            return {**{name: getattr(found, name) for name in ("local_map", "last_map", "fc", "y")}, "new_state": state}

        parameters, state = _encoder(draw)
        inputs = {"parameters": parameters, "state": state, "images": _images(draw), "weight": draw.uniform(N, 3)}
        name = "training" if training else "inference"
        yield Case("encoders.encode", name, inputs, encode, {**sizes, "training": training}, ("parameters",), of="y")


def _folded(draw: Draw) -> Iterator[Case]:
    parameters, state = _encoder(draw)
    fold = lambda inputs: folded.fold(inputs["parameters"], inputs["state"])  # noqa: E731
    yield Case("encoders.fold", "6×6", {"parameters": parameters, "state": state}, fold)

    def encode(inputs: Tree) -> Tree:
        found = folded.encode_folded(inputs["folded"], inputs["images"], LAYOUT)
        return {name: getattr(found, name) for name in ("local_map", "last_map", "fc", "y")}

    inputs = {"folded": draw.like(folded.fold(parameters, state)), "images": _images(draw)}
    yield Case("encoders.encode_folded", "6×6", inputs, encode, {"layout": dataclasses.asdict(LAYOUT)})


def _terms(draw: Draw) -> Iterator[Case]:
    encoding = {"local_map": draw.uniform(N, 2, 2, 4), "last_map": draw.uniform(N, 1, 1, 3), "y": draw.uniform(N, 3)}
    objective = Objective(0.0, 1.0, 0.0)
    parameters = draw.like(discriminators.init_concat(ANY, 4, 3, hidden=5))
    index = (np.arange(N)[:, None] + np.array([1, 2, 1, 2])) % N

    def score(inputs: Tree) -> Tree:
        found = Encoding(inputs["local_map"], inputs["last_map"], inputs["y"], inputs["y"])
        joint, product = objectives.score("local", inputs["parameters"], found, {"index": inputs["index"]}, objective)
        return {"joint": joint, "product": product}

    inputs = {**encoding, "parameters": parameters, "index": index, "weight": draw.uniform(N, 4)}
    seen = ("parameters", "local_map", "y")
    yield Case("objectives.score", "local, concat, shuffle", inputs, score, {"term": "local"}, seen, of="joint")

    def bound(inputs: Tree) -> Tree:
        return {"value": objectives.information((inputs["joint"], inputs["product"]), "jsd", "shuffle", None)[0]}

    scores = {"joint": draw.uniform(N, 2), "product": draw.uniform(N, 2)}
    options = {"bound": "jsd", "kind": "shuffle"}
    yield Case("objectives.information", "jsd", scores, bound, options, ("joint", "product"))
    for prior, loss, penalty in (("uniform", "minimax", 0.0), ("gaussian", "non-saturating", 0.5)):
        game = Objective(0.0, 1.0, 1.0, prior=prior, prior_loss=loss, gradient_penalty=penalty)

        def play(inputs: Tree, game: Objective = game) -> Tree:
            both, value = objectives.prior_game(inputs["parameters"], inputs["y"], inputs["z"], game)
            return {"value": both, "nats": value}

        inputs = {
            "parameters": draw.like(discriminators.init_prior(ANY, 3, hidden=(5, 4))),
            "y": draw.uniform(4, 3),
            "z": draw.uniform(4, 3, low=0.0, high=1.0),
        }
        rules: dict[str, Any] = {"prior": prior, "prior_loss": loss, "gradient_penalty": penalty}
        yield Case("objectives.prior_game", f"{prior}, {loss}", inputs, play, rules, ("parameters", "y"))


def _losses(draw: Draw) -> Iterator[Case]:
    side, channels = LAYOUT.last
    places, features = LAYOUT.local[0] ** 2, LAYOUT.local[1]
    kinds = {
        "DIM(L), concat, JSD": Objective(0.0, 1.0, 0.1),
        "DIM(L), dot, InfoNCE": Objective(0.0, 1.0, 0.1, "infonce", "dot", "same-location", "same-location"),
        "mixed, concat, DV": Objective(0.5, 1.0, 0.1, "dv"),
    }
    for name, objective in kinds.items():
        encoder, state = _encoder(draw)
        parameters: Tree = {"encoder": encoder}
        noise: Tree = {"local": {}, "prior": {"z": draw.uniform(N, 3, low=0.0, high=1.0)}}
        if objective.local_scorer == "dot":
            parameters["local"] = draw.like(discriminators.init_dot(ANY, features, 3, units=6))
        else:
            parameters["local"] = draw.like(discriminators.init_concat(ANY, features, 3, hidden=5))
            noise["local"]["index"] = (np.arange(N)[:, None] + 1 + np.arange(places) % 2) % N
        if objective.global_weight:
            parameters["global"] = draw.like(discriminators.init_concat(ANY, side**2 * channels, 3, hidden=5))
            noise["global"] = {"index": np.array([[1], [2], [0]])}
        parameters["prior"] = draw.like(discriminators.init_prior(ANY, 3, hidden=(5, 4)))

        def loss(inputs: Tree, objective: Objective = objective) -> Tree:
            state = {"encoder": inputs["state"], "mine": {}}
            noise = {"local": {}, **inputs["noise"]}
            value, found = objectives.loss(inputs["parameters"], state, inputs["images"], noise, objective, LAYOUT)
            return {"value": value, "terms": found["terms"], "new_state": found["state"]["encoder"]}

        inputs = {"parameters": parameters, "state": state, "images": _images(draw), "noise": noise}
        options = {"objective": dataclasses.asdict(objective), "layout": dataclasses.asdict(LAYOUT)}
        yield Case("objectives.loss", name, inputs, loss, options, ("parameters",), float32=True)


def _adam(draw: Draw) -> Iterator[Case]:
    def step(inputs: Tree) -> Tree:
        old = {k: {"p": inputs[k].copy()} for k in ("parameters", "m", "v")}
        state = {"step": int(inputs["step"]), "m": old["m"], "v": old["v"]}
        new, state = optim.adam_step(old["parameters"], {"p": inputs["gradients"]}, state, lr=0.125)
        return {"parameters": new["p"], "m": state["m"]["p"], "v": state["v"]["p"], "step": np.asarray(state["step"])}

    options = {"lr": 0.125, "betas": [0.9, 0.999], "epsilon": 1e-8}
    both = {"parameters": draw.uniform(5), "gradients": draw.uniform(5)}
    fresh = {**both, "m": np.zeros(5), "v": np.zeros(5), "step": np.asarray(0)}
    yield Case("optim.adam_step", "first step", fresh, step, options, float32=True)
    later = {**both, "m": draw.uniform(5), "v": draw.uniform(5, low=0.0), "step": np.asarray(7)}
    yield Case("optim.adam_step", "eighth step", later, step, options)

    def init(inputs: Tree) -> Tree:
        found = optim.init_adam({"p": inputs["parameters"]})
        return {"step": np.asarray(found["step"]), "m": found["m"]["p"], "v": found["v"]["p"]}

    yield Case("optim.init_adam", "zeros", {"parameters": both["parameters"]}, init)
