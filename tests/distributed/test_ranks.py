"""What W ranks compute is what one computes: losses, gradients, model state and parameters after some steps, to rounding."""

from functools import partial

import numpy as np
import pytest
from sampling import by_default

from dimref import amdim, discriminators, encoders, engine, objectives, optim, ranks
from dimref.amdim import encoder as amdim_encoder
from dimref.distributed.ranks import Ranks, shares
from dimref.distributed.threads import lockstep
from dimref.objectives import Objective
from dimref.step import train_step
from dimref.tape import plain_forms
from dimref.trees import leaves, map_tree

DIM = encoders.Layout(8, 1, width=3, fc=7, representation=4)
AMDIM = amdim_encoder.Layout(32, 3, ndf=2, ndepth=1, nrkhs=8)
mixed = partial(Objective, 0.5, 1.0, 0.1)
OBJECTIVES = {
    "jsd": mixed("jsd", gradient_penalty=0.3),
    "jsd dot": mixed("jsd", "dot", "all-pairs", prior="gaussian", prior_loss="non-saturating"),
    "dv": mixed("dv", local_negatives="roll"),
    "dv dot": mixed("dv", "dot", "all-pairs"),
    "mine": mixed("mine"),
    "mine dot": mixed("mine", "dot", "all-pairs"),
    "nwj": mixed("nwj", global_negatives="roll"),
    "nwj dot": mixed("nwj", "dot", "all-pairs"),
    "infonce": mixed("infonce", "dot", "same-location", "same-location"),
    "infonce all locations": mixed("infonce", "dot", "all-locations", "all-locations"),
    "infonce sampled": mixed("infonce", "concat", "sampled", "sampled", candidates=3),
    "infonce concat": mixed("infonce", "concat", "same-location", "all-locations"),
    "amdim": amdim.Objective(),
}


def wide(tree):
    return map_tree(lambda a: a.astype(np.float64) if a.dtype.kind == "f" else a, tree)


def run(name, n, size, steps=2):
    """What every rank sees of some steps: {terms, shares, gradients, state, parameters} for each step."""
    objective = OBJECTIVES[name]
    method, layout = (amdim, AMDIM) if name == "amdim" else (objectives, DIM)
    rng = np.random.default_rng(n)
    parameters, state = map(wide, method.init_parameters(rng, layout, objective))
    if name != "amdim" and objective.local_scorer == "dot":
        parameters["local"] = wide(discriminators.init_dot(rng, layout.local[1], layout.representation, units=5))
    shape = (n, layout.padded, layout.padded, layout.channels)
    batches = [(rng.uniform(-1, 1, shape), wide(method.draw_noise(rng, objective, layout, n))) for _ in range(steps)]

    def program(carrier=None):
        now = Ranks(carrier, n) if carrier else ranks.OneRank()
        own, model, adam, seen = map_tree(np.copy, parameters), state, optim.init_adam(parameters), []

        def check(value, gradients, report):
            seen.append({"terms": report["terms"], "saturated": report["saturated"], "share": {"loss": value}})
            seen[-1]["gradients"] = map_tree(np.copy, gradients)

        with ranks.among(now):
            for images, noise in batches:
                own, model, adam, _ = train_step(
                    lambda *a: method.loss(*a, objective, layout),
                    own,
                    model,
                    adam,
                    now.own(images),
                    noise,
                    1e-4,
                    check=check,
                )
                seen[-1] |= {"state": model, "parameters": map_tree(np.copy, own)}
        return seen

    return lockstep(size, program) if size > 1 else [program()]


def assert_equal(found, expected, tolerance):
    for (path, a), (_, b) in zip(leaves(found), leaves(expected), strict=True):
        scale = max(1.0, np.abs(b).max(initial=0))
        assert np.abs(a - b).max(initial=0) <= tolerance * scale, path


SIZES = {"2 of 6": (6, 2), "3 of 7": (7, 3), "4 of 4": (4, 4)}
EVERY = [(name, size, form) for name in OBJECTIVES for size in SIZES for form in ("plain", "engine")]
SOME = [(name, "3 of 7", "engine" if k % 3 else "plain") for k, name in enumerate(OBJECTIVES)]


@pytest.mark.parametrize("case", by_default(EVERY, *SOME), ids="-".join)
def test_ranks_compute_what_one_process_computes(case):
    name, (n, size), fast = case[0], SIZES[case[1]], case[2] == "engine"
    if fast:
        engine.turn_on()
        (one,), many = run(name, n, 1), run(name, n, size)
    else:
        with plain_forms():
            (one,), many = run(name, n, 1), run(name, n, size)
    for step, expected in enumerate(one):
        # Adam turns a gradient that is 0 but for rounding into a step of up to lr·(rounding/ε): from then on 1e-8.
        tolerance = 1e-12 if step == 0 else 1e-8
        for rank in many:
            for part in ("terms", "saturated", "gradients", "state"):
                assert_equal(rank[step][part], expected[part], tolerance)
            assert_equal(rank[step]["parameters"], expected["parameters"], 1e-8)
            assert_equal(rank[step]["parameters"], many[0][step]["parameters"], 0)  # the same bits on every rank
        assert_equal({"loss": sum(rank[step]["share"]["loss"] for rank in many)}, expected["share"], tolerance)


def test_shares_differ_by_at_most_one():
    assert shares(7, 3) == (3, 2, 2)
    assert shares(8, 4) == (2, 2, 2, 2)


def test_a_batch_smaller_than_the_ranks_is_refused():
    with pytest.raises(ValueError, match="an image for each of 3 ranks, had 2"):
        lockstep(3, lambda carrier: Ranks(carrier, 2))


def test_a_rank_that_ends_early_does_not_hang_the_others():
    with pytest.raises(RuntimeError, match="rank 1 waits in a collective that rank 0 ended without"):
        lockstep(3, lambda carrier: carrier.rank and carrier.sum(np.ones(2)))


def test_an_error_of_one_rank_ends_all():
    def program(carrier):
        carrier.sum(np.ones(1))
        if carrier.rank == 1:
            raise KeyError("lost")
        return carrier.sum(np.ones(1))

    with pytest.raises(KeyError, match="lost"):
        lockstep(3, program)
