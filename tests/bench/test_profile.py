"""The profile: what a step spends, by dimref's functions, on all threads."""

import threading
import time

import pytest

from dimref.backend import NUMPY
from dimref.bench import profile
from dimref.bench.reference import Reference
from dimref.engine import threads
from dimref.training.choices import BENCH_PRESETS


@pytest.mark.parametrize("preset", BENCH_PRESETS)
def test_the_parts_sum_to_the_step_and_its_products_are_one(make, preset):
    found = profile.profile(Reference(make(preset), NUMPY).step)
    seconds = {row["name"]: row["seconds"] for row in found["rows"]}
    assert len(seconds) == len(found["rows"])
    assert list(seconds.values()) == sorted(seconds.values(), reverse=True)
    assert sum(seconds.values()) == pytest.approx(found["total"])
    assert {"engine.products.product", "engine.windows.im2col", "autograd", "Python"} <= seconds.keys()
    assert ("engine.adam._update" in seconds) == ("tape.sweep" in seconds) == (preset != "encode")


def test_what_threads_share_is_in_it_and_they_share_again_afterwards():
    """Two threads would take the two items, the second out of the profiler's sight."""
    seen = []

    def step():
        of_two = threads._threads.set(2)
        seen.append(set(threads.run(lambda k: time.sleep(0.02) or threading.get_ident(), [0, 1])))
        threads._threads.reset(of_two)

    profile.profile(step)
    step()
    assert [len(of) for of in seen] == [2, *[1] * profile.REPEATS, 2]
    calls = iter([1])  # the step fails under the profiler
    with pytest.raises(ZeroDivisionError):
        profile.profile(lambda: next(calls, None) or 1 / 0)
    step()
    assert len(seen[-1]) == 2
