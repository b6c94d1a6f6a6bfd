"""Threads that share the rows of an array: who has which, what they see of the caller, and how they fail."""

import os
import threading
import time
from functools import partial

import numpy as np
import pytest
from sharing import shared

from dimref import parallel


def test_nothing_is_shared_outside():
    assert parallel.threads() == 1


@pytest.mark.parametrize("known", [(), (1,)])
def test_nothing_is_shared_where_blas_has_one_thread_or_is_not_known(monkeypatch, known):
    with shared(monkeypatch, *known) as blas:
        assert parallel.threads() == 1
    assert blas.limits == []


def test_nothing_is_shared_where_blas_cannot_be_held(monkeypatch):
    monkeypatch.setattr(parallel, "_blas", lambda: None)
    with parallel.sharing():
        assert parallel.threads() == 1


def test_sharing_takes_the_threads_of_blas_and_gives_them_back(monkeypatch):
    with shared(monkeypatch, 2, 3) as blas:
        assert parallel.threads() == 3
        assert blas.limits == [1]
    assert blas.limits == [1, None]
    assert parallel.threads() == 1


def test_sharing_ends_with_an_error_too(monkeypatch):
    with pytest.raises(KeyError), shared(monkeypatch, 2):
        raise KeyError
    assert parallel.threads() == 1


def test_the_blas_that_is_loaded_is_found_and_held():
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    blas = parallel._blas()
    before = [pool["num_threads"] for pool in blas.info()]
    assert before == [p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]
    with parallel.sharing():
        assert {pool["num_threads"] for pool in blas.info()} <= {1}
        assert parallel.threads() == max(before, default=1)
    assert [pool["num_threads"] for pool in blas.info()] == before


def test_without_threadpoolctl_there_is_no_hold(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "threadpoolctl", None)
    assert parallel._blas.__wrapped__() is None


@pytest.mark.parametrize(
    ("n", "count", "sizes"), [(7, 3, [2, 2, 3]), (2, 5, [1, 1]), (4, 1, [4]), (0, 2, [0]), (6, 2, [3, 3])]
)
def test_shares_cover_everything_once_and_evenly(n, count, sizes):
    shares = parallel.shares(n, count)
    assert [s.stop - s.start for s in shares] == sizes
    assert [k for s in shares for k in range(n)[s]] == list(range(n))


@pytest.mark.parametrize(
    ("n", "size", "threads", "lengths"),
    [
        (7, 3, 1, [[2, 2, 3]]),
        (7, 3, 2, [[2], [2, 3]]),
        (4, 4, 2, [[4]]),
        (4, 9, 2, [[4]]),
        (0, 3, 2, [[0]]),
        (5, 2, 9, [[1], [2], [2]]),
    ],
)
def test_blocks_have_at_most_their_size_and_are_dealt_in_runs(monkeypatch, n, size, threads, lengths):
    with shared(monkeypatch, threads):
        blocks = parallel.blocks(n, size)
    assert [[window.stop - window.start for window in run] for run in blocks] == lengths
    assert [k for run in blocks for window in run for k in range(n)[window]] == list(range(n))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_what_is_made_of_blocks_comes_in_their_order(monkeypatch, threads):
    names = []

    def function(window):
        names.append(threading.current_thread().name)
        return window.start, window.stop

    with shared(monkeypatch, threads):
        found = parallel.over_blocks(function, 7, 2)
    assert found == [(0, 1), (1, 3), (3, 5), (5, 7)]
    assert len(set(names)) <= threads


def test_calls_run_at_the_same_time_in_their_order_and_share_nothing_further(monkeypatch):
    gate = threading.Barrier(3)

    def call(k):
        gate.wait(10)  # ends only if all three are running
        return k, parallel.threads(), threading.current_thread() is threading.main_thread()

    with shared(monkeypatch, 3):
        assert parallel.run([partial(call, k) for k in range(3)]) == [(0, 1, True), (1, 1, False), (2, 1, False)]
        assert parallel.threads() == 3


def test_one_call_keeps_the_threads_for_itself(monkeypatch):
    with shared(monkeypatch, 3):
        assert parallel.run([parallel.threads]) == [3]


def test_calls_see_how_numpy_was_told_to_treat_errors(monkeypatch):
    big = np.float32([3e38])
    with shared(monkeypatch, 2), np.errstate(over="ignore"):
        parallel.run([lambda: big * big, lambda: big * big])  # a warning would be an error here
    with shared(monkeypatch, 2), np.errstate(over="raise"), pytest.raises(FloatingPointError):
        parallel.run([lambda: 0, lambda: big * big])


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_comes_when_every_call_has_ended(monkeypatch, failing):
    ended = []

    def call(k):
        if k == failing:
            raise ZeroDivisionError(k)
        time.sleep(0.05)
        ended.append(k)

    with shared(monkeypatch, 2), pytest.raises(ZeroDivisionError, match=str(failing)):
        parallel.run([partial(call, k) for k in range(2)])
    assert ended == [1 - failing]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_makes_threads_of_its_own(monkeypatch):
    with shared(monkeypatch, 2):
        parallel.run([int, int])
        child = os.fork()
        if child == 0:
            os._exit(7 if parallel.run([lambda: 1, lambda: 2]) == [1, 2] else 8)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
