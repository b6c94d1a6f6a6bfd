"""Threads that share the rows of an array: who has which, what they see of the caller, and how they fail."""

import os
import threading
import time

import numpy as np
import pytest
from blas_threads import shared

from dimref.engine import threads as engine_threads


def test_nothing_is_shared_outside():
    assert engine_threads.threads() == 1


@pytest.mark.parametrize("known", [(), (1,)])
def test_nothing_is_shared_where_blas_has_one_thread_or_is_not_known(monkeypatch, known):
    with shared(monkeypatch, *known) as blas:
        assert engine_threads.threads() == 1
    assert blas.limits == []


def test_nothing_is_shared_where_blas_cannot_be_held(monkeypatch):
    monkeypatch.setattr(engine_threads, "_blas", lambda: None)
    with engine_threads.sharing():
        assert engine_threads.threads() == 1


def test_sharing_takes_the_threads_of_blas_and_gives_them_back(monkeypatch):
    with shared(monkeypatch, 2, 3) as blas:
        assert engine_threads.threads() == 3
        assert blas.limits == [1]
    assert blas.limits == [1, None]
    assert engine_threads.threads() == 1


def test_sharing_ends_with_an_error_too(monkeypatch):
    with pytest.raises(KeyError), shared(monkeypatch, 2):
        raise KeyError
    assert engine_threads.threads() == 1


def test_the_blas_that_is_loaded_is_found_and_held():
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    engine_threads._blas.cache_clear()  # SciPy may have brought another one since
    blas = engine_threads._blas()
    before = [pool["num_threads"] for pool in blas.info()]
    assert before == [p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]
    with engine_threads.sharing():
        assert {pool["num_threads"] for pool in blas.info()} <= {1}
        assert engine_threads.threads() == max(before, default=1)
    assert [pool["num_threads"] for pool in blas.info()] == before


def test_without_threadpoolctl_there_is_no_hold(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "threadpoolctl", None)
    assert engine_threads._blas.__wrapped__() is None


@pytest.mark.parametrize(
    ("n", "count", "sizes"), [(7, 3, [2, 2, 3]), (2, 5, [1, 1]), (4, 1, [4]), (0, 2, [0]), (6, 2, [3, 3])]
)
def test_shares_cover_everything_once_and_evenly(n, count, sizes):
    shares = engine_threads.shares(n, count)
    assert [s.stop - s.start for s in shares] == sizes
    assert [k for s in shares for k in range(n)[s]] == list(range(n))


@pytest.mark.parametrize(
    ("n", "size", "sizes"), [(7, 3, [2, 2, 3]), (4, 4, [4]), (4, 9, [4]), (0, 3, [0]), (5, 2, [1, 2, 2])]
)
def test_blocks_have_at_most_their_size_and_are_even(n, size, sizes):
    assert [window.stop - window.start for window in engine_threads.blocks(n, size)] == sizes


@pytest.mark.parametrize(
    ("n", "size", "threads", "sizes"),
    [
        (80, 20, 2, [20, 20, 10, 10, 10, 10]),  # half of what is left, in a block a thread, each round
        (80, 16, 2, [16, 16, 12, 12, 8, 8, 8]),  # never more than the size, nor less than its half
        (13, 4, 3, [3, 3, 3, 2, 2]),
        (5, 2, 2, [2, 2, 1]),
        (3, 9, 4, [1, 1, 1]),
        (9, 90, 2, [4, 4, 1]),
        (0, 3, 2, []),
        (64, 15, 1, [12, 13, 13, 13, 13]),  # one thread waits for nobody
    ],
)
def test_tapered_blocks_get_smaller_toward_the_end(monkeypatch, n, size, threads, sizes):
    with shared(monkeypatch, threads):
        windows = engine_threads.tapered(n, size)
    assert [window.stop - window.start for window in windows] == sizes
    assert [k for window in windows for k in range(n)[window]] == list(range(n))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("way", [engine_threads.run, engine_threads.in_order])
def test_results_come_in_the_order_of_their_calls(monkeypatch, threads, way):
    names = set()

    def call(k):
        names.add(threading.current_thread().name)
        time.sleep(0.01 * (7 - k) if k < 3 else 0)  # the first take longest
        return k

    with shared(monkeypatch, threads):
        assert list(way(call, range(7))) == list(range(7))
    assert len(names) <= threads
    assert list(way(call, [])) == []


def test_calls_run_at_the_same_time_and_share_nothing_further(monkeypatch):
    gate = threading.Barrier(3)

    def call(_):
        gate.wait(10)  # ends only if all three are running
        return engine_threads.threads(), threading.current_thread() is threading.main_thread()

    with shared(monkeypatch, 3):
        assert sorted(engine_threads.run(call, range(3))) == [(1, False), (1, False), (1, True)]
        assert engine_threads.threads() == 3


@pytest.mark.parametrize("slow", ["the caller's", "the other"])
def test_a_free_thread_takes_what_the_slow_one_has_not_begun(monkeypatch, slow):
    done, both, others = {True: 0, False: 0}, threading.Barrier(2), threading.Event()

    def call(_):
        mine = threading.current_thread() is threading.main_thread()
        done[mine] += 1
        if done[mine] == 1:
            both.wait(10)
        if mine == (slow == "the caller's"):
            assert others.wait(10)  # until the other one has done all the rest
        elif sum(done.values()) == 6:
            others.set()

    with shared(monkeypatch, 2):
        engine_threads.run(call, range(6))
    assert done[slow == "the caller's"] == 1


def test_a_result_comes_between_two_calls_of_the_caller(monkeypatch):
    there = threading.Event()

    def call(k):
        if k and threading.current_thread() is not threading.main_thread():
            assert there.wait(10)  # for the first result
        return k

    results = []
    with shared(monkeypatch, 2):
        for result in engine_threads.in_order(call, range(3)):
            results.append(result)
            there.set()
    assert results == [0, 1, 2]


def test_when_given_up_no_call_is_running_and_none_begins(monkeypatch):
    running, begun = [], []

    def call(k):
        begun.append(k)
        running.append(k)
        time.sleep(0.03)
        running.remove(k)
        return k

    with shared(monkeypatch, 2):
        results = engine_threads.in_order(call, range(20))
        assert next(results) == 0
        results.close()
        assert not running
        assert len(begun) < 6
        time.sleep(0.05)
        assert len(begun) < 6


def test_one_call_keeps_the_threads_for_itself(monkeypatch):
    with shared(monkeypatch, 3):
        assert engine_threads.run(lambda _: engine_threads.threads(), range(1)) == [3]


def test_calls_see_how_numpy_was_told_to_treat_errors(monkeypatch):
    big = np.float32([3e38])
    with shared(monkeypatch, 2), np.errstate(over="ignore"):
        engine_threads.run(lambda k: big * k, [big, big])  # a warning would be an error here
    with shared(monkeypatch, 2), np.errstate(over="raise"), pytest.raises(FloatingPointError):
        engine_threads.run(lambda k: big * k, [np.float32([0]), big])


@pytest.mark.parametrize("failing", [True, False])
def test_an_error_comes_when_no_call_is_running_and_none_begins(monkeypatch, failing):
    both, begun, ended = threading.Barrier(2), [], []

    def call(k):
        begun.append(k)
        if k < 2:
            both.wait(10)
        if (threading.current_thread() is threading.main_thread()) == failing:
            raise ZeroDivisionError("of this thread")
        time.sleep(0.05)
        ended.append(k)

    with shared(monkeypatch, 2), pytest.raises(ZeroDivisionError, match="of this thread"):
        engine_threads.run(call, range(9))
    assert sorted(begun) == [0, 1]
    assert len(ended) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_makes_threads_of_its_own(monkeypatch):
    with shared(monkeypatch, 2):
        engine_threads.run(int, [0, 0])
        child = os.fork()
        if child == 0:
            os._exit(7 if engine_threads.run(int, [1, 2]) == [1, 2] else 8)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
