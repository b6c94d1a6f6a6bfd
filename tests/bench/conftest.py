"""Small pieces of work."""

import pytest
from local_workers import LocalWorker

from dimref.bench import work, worker
from dimref.training.choices import BENCH_METHODS
from dimref.training.method import METHODS

TINY = {
    "dim": {"size": 8, "channels": 1, "width": 4, "fc": 16, "representation": 8},
    "amdim": {"size": 32, "channels": 3, "ndf": 8, "nrkhs": 32},
}


@pytest.fixture
def local(monkeypatch, narrow):
    """The class of workers in this process, and no wait for the threads of this process to rest."""
    monkeypatch.setattr(worker.timing, "settle", lambda: True)
    return LocalWorker


@pytest.fixture
def tiny_layouts():
    return {method: dict(sizes) for method, sizes in TINY.items()}


@pytest.fixture
def make(narrow):
    """Work of a preset on a tiny encoder."""
    layouts = {method: METHODS[method].layout(**sizes) for method, sizes in TINY.items()}
    return lambda preset, batch=4, **options: work.make(
        preset, batch, layout=layouts[BENCH_METHODS.get(preset, "dim")], **options
    )
