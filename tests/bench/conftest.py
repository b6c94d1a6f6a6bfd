"""Small pieces of work, and workers that answer in this process."""

import json

import pytest

from dimref.bench import work, worker, workers
from dimref.training.choices import BENCH_METHODS
from dimref.training.method import METHODS

TINY = {
    "dim": {"size": 8, "channels": 1, "width": 4, "fc": 16, "representation": 8},
    "amdim": {"size": 32, "channels": 3, "ndf": 8, "nrkhs": 32},
}


class Local(workers.Worker):
    """A worker without a process: the same requests and answers, as the same JSON."""

    def __init__(self, threads):
        self.server = worker.Server()

    def ask(self, do, **arguments):
        text = json.dumps(worker.answer(self.server, json.dumps({"do": do, **arguments})), allow_nan=False)
        return workers.unpack(do, json.loads(text))

    def __exit__(self, *error):
        pass


@pytest.fixture
def local(monkeypatch, narrow):
    """The class of those workers, and no wait for the threads of this process to rest."""
    monkeypatch.setattr(worker.timing, "settle", lambda: True)
    return Local


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
