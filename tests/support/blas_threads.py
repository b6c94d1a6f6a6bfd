"""A BLAS of any number of threads, for tests of what shares rows among threads."""

import contextlib

from dimref import engine
from dimref.engine import threads as engine_threads


class Blas:
    """What threadpoolctl tells of a BLAS, and what it is told."""

    def __init__(self, threads):
        self.threads, self.limits = threads, []

    def info(self):
        return [{"num_threads": n} for n in self.threads]

    @contextlib.contextmanager
    def limit(self, limits):
        self.limits.append(limits)
        yield
        self.limits.append(None)


@contextlib.contextmanager
def shared(monkeypatch, *threads):
    """`engine.sharing()` as where BLAS has so many threads."""
    blas = Blas(threads)
    with monkeypatch.context() as patch:
        patch.setattr(engine_threads, "_blas", lambda: blas)
        with engine.sharing():
            yield blas
