"""How a step is timed: in turns, between processes that take turns.

Two libraries in one process disturb each other. When a parallel region ends, the threads of OpenMP (PyTorch) and of
OpenBLAS (NumPy) do not sleep at once: they wait busily for the next one, on the cores where the other library now
computes. Seen after a product on two threads: 12 ms with NumPy's OpenBLAS 0.3.31, 7 ms with PyTorch 2.13 and GNU's OpenMP;
Intel's waits for 200 ms by default. Telling them to sleep at once (OMP_WAIT_POLICY, KMP_BLOCKTIME) would slow down each
one's own step. So each side is a process of its own, which works as its users have it, and gives its turn away only
when its threads have come to rest: `settle` waits until the process uses no more processor time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

SLICE, REST, PATIENCE = 0.01, 0.1, 2.0  # seconds; the share of a slice's time that counts as rest; seconds


def turn(call: Callable[[], None], synchronize: Callable[[], None], seconds: float) -> list[float]:
    """Call for about that long, once at least; how long each call took, in seconds.

    One call before them is not timed: it wakes the threads and fills the caches that the other side has used.
    """
    call()
    synchronize()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while not taken or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        synchronize()
        taken.append(time.perf_counter() - start)
    return taken


def settle(patience: float = PATIENCE) -> bool:
    """Wait until this process's threads are at rest; False if they are not after `patience` seconds."""
    end = time.perf_counter() + patience
    while True:
        wall, used = time.perf_counter(), time.process_time()
        time.sleep(SLICE)
        if time.process_time() - used < REST * (time.perf_counter() - wall):
            return True
        if time.perf_counter() > end:
            return False


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of over/under, turn by turn: a machine that slows down slows both sides of a pair."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))
