"""Vectors of `encoders`, `objectives` and `optim`: a narrow network, whole steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from dimref import discriminators, encoders, objectives, optim
from dimref.audit.vectors.case import ANY, Case, Draw, named
from dimref.encoders import Encoding, Layout
from dimref.engine import folded
from dimref.objectives import Objective
from dimref.trees import Tree, map_tree

LAYOUT = Layout(size=6, channels=1, width=2, fc=4, representation=3)  # padded to 8×8: maps of 4×4×2 and 2×2×4
SIZES = {"layout": dataclasses.asdict(LAYOUT)}
MAPS = ("local_map", "last_map", "fc", "y")
N = 3
OBJECTIVES = {
    "DIM(L), concat, JSD": Objective(0.0, 1.0, 0.1),
    "DIM(L), dot, InfoNCE": Objective(0.0, 1.0, 0.1, "infonce", "dot", "same-location", "same-location"),
    "mixed, concat, DV": Objective(0.5, 1.0, 0.1, "dv"),
}


def cases() -> Iterator[Case]:
    """Every case of this family."""
    yield from _encoders(Draw(31))
    draw = Draw(35)
    parameters, state = _encoder(draw)
    yield Case("encoders.fold", "6×6", {"parameters": parameters, "state": state}, outputs=())
    inputs = {"folded": draw.like(folded.fold(parameters, state)), "images": _images(draw)}
    yield Case("encoders.encode_folded", "6×6", inputs, SIZES, outputs=MAPS, call={"layout": LAYOUT})
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
    yield Case("encoders.flatten", "2×2×3", {"x": x})
    yield Case("encoders.by_location", "2×2×3", {"x": x})
    pixels = draw.uniform(1, 6, 6, 1, low=0.0, high=255.0).astype(np.uint8)
    yield Case("encoders.scale", "6×6, padded to 8×8", {"images": pixels}, SIZES, call={"layout": LAYOUT})
    for training in (True, False):

        def encode(i: Tree, training: bool = training) -> Tree:
            found, state = encoders.encode(i["parameters"], i["state"], i["images"], LAYOUT, training)
            return {**named(found, MAPS), "new_state": state}

        parameters, state = _encoder(draw)
        inputs = {"parameters": parameters, "state": state, "images": _images(draw), "weight": draw.uniform(N, 3)}
        name, options = "training" if training else "inference", {**SIZES, "training": training}
        yield Case("encoders.encode", name, inputs, options, ("parameters",), of="y", run=encode)


def _terms(draw: Draw) -> Iterator[Case]:
    encoding = {"local_map": draw.uniform(N, 2, 2, 4), "last_map": draw.uniform(N, 1, 1, 3), "y": draw.uniform(N, 3)}
    parameters = draw.like(discriminators.init_concat(ANY, 4, 3, hidden=5))
    index = (np.arange(N)[:, None] + np.array([1, 2, 1, 2])) % N

    def score(i: Tree) -> Tree:
        found, objective = Encoding(i["local_map"], i["last_map"], i["y"], i["y"]), Objective(0.0, 1.0, 0.0)
        scores = objectives.score("local", i["parameters"], found, {"index": i["index"]}, objective)
        return named(scores, ("joint", "product"))

    inputs = {**encoding, "parameters": parameters, "index": index, "weight": draw.uniform(N, 4)}
    seen = ("parameters", "local_map", "y")
    yield Case("objectives.score", "local, concat, shuffle", inputs, {"term": "local"}, seen, of="joint", run=score)
    scores = {"joint": draw.uniform(N, 2), "product": draw.uniform(N, 2)}
    bound = lambda i: {"value": objectives.information(tuple(i.values()), "jsd", "shuffle", None)[0]}  # noqa: E731
    yield Case("objectives.information", "jsd", scores, {"bound": "jsd", "kind": "shuffle"}, tuple(scores), run=bound)
    for prior, loss, penalty in (("uniform", "minimax", 0.0), ("gaussian", "non-saturating", 0.5)):
        rules = {"prior": prior, "prior_loss": loss, "gradient_penalty": penalty}
        call = {"objective": Objective(0.0, 1.0, 1.0, **rules)}  # type: ignore[arg-type]
        inputs = {"parameters": draw.like(discriminators.init_prior(ANY, 3, hidden=(5, 4))), "y": draw.uniform(4, 3)}
        inputs["z"] = draw.uniform(4, 3, low=0.0, high=1.0)
        name, players = f"{prior}, {loss}", ("parameters", "y")
        yield Case("objectives.prior_game", name, inputs, rules, players, ("value", "nats"), call=call)


def _losses(draw: Draw) -> Iterator[Case]:
    side, channels = LAYOUT.last
    places, features = LAYOUT.local[0] ** 2, LAYOUT.local[1]
    for name, objective in OBJECTIVES.items():
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

        def loss(i: Tree, objective: Objective = objective) -> Tree:
            state, noise = {"encoder": i["state"], "mine": {}}, {"local": {}, **i["noise"]}
            value, found = objectives.loss(i["parameters"], state, i["images"], noise, objective, LAYOUT)
            return {"value": value, "terms": found["terms"], "new_state": found["state"]["encoder"]}

        inputs = {"parameters": parameters, "state": state, "images": _images(draw), "noise": noise}
        options = {"objective": dataclasses.asdict(objective), **SIZES}
        yield Case("objectives.loss", name, inputs, options, ("parameters",), float32=True, run=loss)


def _adam(draw: Draw) -> Iterator[Case]:
    def step(i: Tree) -> Tree:
        old = {k: {"p": i[k].copy()} for k in ("parameters", "m", "v")}
        state = {"step": int(i["step"]), "m": old["m"], "v": old["v"]}
        new, state = optim.adam_step(old["parameters"], {"p": i["gradients"]}, state, lr=0.125)
        return {"parameters": new["p"], "m": state["m"]["p"], "v": state["v"]["p"], "step": np.asarray(state["step"])}

    options = {"lr": 0.125, "betas": [0.9, 0.999], "epsilon": 1e-8}
    both = {"parameters": draw.uniform(5), "gradients": draw.uniform(5)}
    fresh = {**both, "m": np.zeros(5), "v": np.zeros(5), "step": np.asarray(0)}
    yield Case("optim.adam_step", "first step", fresh, options, float32=True, run=step)
    later = {**both, "m": draw.uniform(5), "v": draw.uniform(5, low=0.0), "step": np.asarray(7)}
    yield Case("optim.adam_step", "eighth step", later, options, run=step)

    def init(i: Tree) -> Tree:
        found = optim.init_adam({"p": i["parameters"]})
        return {"step": np.asarray(found["step"]), "m": found["m"]["p"], "v": found["v"]["p"]}

    yield Case("optim.init_adam", "zeros", {"parameters": both["parameters"]}, run=init)
