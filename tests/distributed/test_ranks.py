"""What W ranks compute is what one computes: losses, gradients, model state and parameters after some steps, to rounding."""

import contextlib

import numpy as np
import pytest
from sampling import by_default

from dimref import engine
from dimref.backend import NUMPY
from dimref.distributed.ranks import Ranks, shares
from dimref.distributed.threads import lockstep
from dimref.laws.ranks import OBJECTIVES, differences, training
from dimref.tape import plain_forms

WAYS = [("plain", 7, 3, 5), ("engine", 6, 2, 2), ("engine", 4, 4, 2)]
EVERY = [(name, *way) for name in OBJECTIVES for way in WAYS]
SOME = [(name, *WAYS[k % 3]) for k, name in enumerate(OBJECTIVES)]


@pytest.mark.parametrize("case", by_default(EVERY, *SOME), ids=lambda case: "-".join(map(str, case)))
def test_ranks_compute_what_one_process_computes(case):
    name, form, n, size, steps = case
    engine.turn_on()
    with plain_forms() if form == "plain" else contextlib.nullcontext():
        (one,) = training(name, n, seed=n, steps=steps)
        worst = differences(training(name, n, n, NUMPY, size, steps), one)
    assert worst.keys() == {"terms", "saturated", "state", "share", "gradients", "parameters", "bits"}
    assert worst.pop("bits") == 0
    assert max(worst.values()) <= 1e-12, worst


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
