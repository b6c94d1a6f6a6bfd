"""A training step as the list of its pieces, in the order of computation: of Deep InfoMax, or of AMDIM."""

from __future__ import annotations

from dimref import amdim
from dimref.amdim import encoder as amdim_encoder
from dimref.audit.trace import multiview, scorers
from dimref.audit.trace.pieces import Piece, encoder, loss, prior, running, terms
from dimref.encoders import Layout
from dimref.training.method import AnyLayout, AnyObjective


def forward(objective: AnyObjective, layout: AnyLayout) -> list[Piece]:
    """From the scaled batch to the loss, in the order of computation."""
    if isinstance(objective, amdim.Objective):
        assert isinstance(layout, amdim_encoder.Layout)
        return multiview.forward(objective, layout)
    assert isinstance(layout, Layout)
    found = encoder(layout)
    for term in terms(objective):
        found += scorers.pieces(term, objective, layout)
    if objective.prior_weight:
        found += prior(objective)
    return [*found, loss(objective)]


def state_after(objective: AnyObjective, layout: AnyLayout) -> list[Piece]:
    """The model state after the step: running statistics, and MINE's moving averages."""
    if isinstance(objective, amdim.Objective):
        assert isinstance(layout, amdim_encoder.Layout)
        return multiview.state_after(objective, layout)
    assert isinstance(layout, Layout)
    found = []
    below = {f"norm{k}": f"encoder/conv{k}" for k in range(1, layout.depth + 1)} | {"norm_fc": "encoder/fc"}
    for norm, x in below.items():
        for which, toward in (("mean", "μ"), ("variance", "unbiased n/(n−1)·σ²")):
            before = f"state/encoder/{norm}/{which}"
            meaning = f"running {which} after the step: 0.9·before + 0.1·{toward} of the batch"
            found.append(Piece(f"after/{before}", (x, before), running(which), meaning, kind=f"running {which}"))
    if objective.bound == "mine":
        found += [scorers.average(term, objective) for term in terms(objective)]
    return found
