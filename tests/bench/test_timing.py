"""Turns, rest and ratios, on a clock of the test's own."""

import pytest

from dimref.bench import timing


class FakeTime:
    """A clock that only moves when it is told."""

    def __init__(self, busy=0.0):
        self.now, self.used, self.busy = 0.0, 0.0, busy  # busy: the share of the time that threads use up

    def perf_counter(self):
        return self.now

    def process_time(self):
        return self.used

    def sleep(self, seconds):
        self.now += seconds
        self.used += self.busy * seconds


@pytest.fixture
def clock(monkeypatch):
    fake = FakeTime()
    monkeypatch.setattr(timing, "time", fake)
    return fake


def test_a_turn_times_every_call_but_the_first(clock):
    lengths = iter([9.0, 0.25, 0.5, 0.25, 1.0])
    waits = []

    def call():
        clock.now += next(lengths)

    def synchronize():
        clock.now += 0.125
        waits.append(clock.now)

    assert timing.turn(call, synchronize, 1.0) == [0.375, 0.625]
    assert len(waits) == 3  # the device is waited for, within the time
    assert timing.turn(lambda: None, synchronize, 0.0) == [0.125]  # one call at least


@pytest.mark.parametrize(("busy", "rests"), [(0.0, True), (0.05, True), (1.0, False), (2.0, False)])
def test_rest_is_seen_by_the_time_that_threads_use(clock, busy, rests):
    clock.busy = busy
    assert timing.settle(patience=1.0) is rests
    assert clock.now == pytest.approx(timing.SLICE if rests else 1.0, abs=2 * timing.SLICE)


def test_ratios_are_taken_pair_by_pair():
    # The machine is three times as slow in the last turn: the medians' ratio would be 3 / 2, that of pairs is 2.
    assert timing.median_ratio([2, 2, 6], [1, 1, 3]) == 2
    with pytest.raises(ValueError, match="zip"):
        timing.median_ratio([1.0], [1.0, 2.0])
