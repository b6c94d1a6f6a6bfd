"""How many examples Hypothesis tries: `DIMREF_HYPOTHESIS_PROFILE=ci|dev|thorough pytest`."""

import contextlib
import os
import shutil
import signal

# Tests that share the cores: BLAS's threads would wait awake, in each other's way. Read when NumPy is loaded.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import started_processes
import tiny_runs
from fake_cupy import STRICT
from hypothesis import HealthCheck, settings

from dimref import tape
from dimref.backend import NUMPY, BackendError, get_backend
from dimref.training import task

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("ci", max_examples=30, derandomize=True, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile("dev", max_examples=30, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile("thorough", max_examples=5000, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.load_profile(os.environ.get("DIMREF_HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") == "true" else "dev"))


def _present_backends():
    backends = [NUMPY, STRICT]
    with contextlib.suppress(BackendError):  # no CuPy or no device: the strict array stands in
        backends.append(get_backend("cupy"))
    return backends


@pytest.fixture(scope="session", params=_present_backends(), ids=lambda backend: backend.name)
def backend(request):
    """Every backend of this machine, and the strict array type."""
    return request.param


@pytest.fixture
def plain_forms():
    """The reference as it is stated, whatever another test has turned on."""
    with tape.plain_forms():
        yield


@pytest.fixture
def narrow(monkeypatch):
    """Networks of a few units."""
    tiny_runs.narrow(monkeypatch)


@pytest.fixture
def images(tmp_path):
    """A file of tiny images."""
    return tiny_runs.write_npz(tmp_path / "images.npz")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The directory of a run of three steps with every module; it is copied, not changed."""
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        tiny_runs.narrow(patch)
        options = ("--preset", "dim-mixed", "--out", root / "run", "--quiet", "--no-plot")
        path = tiny_runs.write_npz(root / "images.npz")
        assert tiny_runs.invoke(*tiny_runs.small(path, *options)).exit_code == 0
    return root / "run"


@pytest.fixture
def run(trained, narrow, tmp_path):
    """A copy of that run."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def prepare(images, narrow):
    """The task of a configuration, of the tiny images unless told otherwise."""
    return lambda **options: task.prepare(tiny_runs.config(images, **options))


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The processes below this one that the test has started, wherever they went; what is left is killed after it."""
    mark = {"name": "ENTERED", "value": str(tmp_path / "entered")}  # which file they may write to tell that they run
    monkeypatch.setenv(**mark)
    yield lambda: started_processes.with_variable(**mark)
    started_processes.kill(started_processes.with_variable(**mark), signal.SIGKILL)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    return _figures(monkeypatch, pytest.importorskip("matplotlib.figure").Figure.savefig)


@pytest.fixture
def undrawn(monkeypatch):
    """The figures that were to be saved: their files stay empty, since to draw takes long."""
    return _figures(monkeypatch, lambda *args, **options: None)


def _figures(monkeypatch, save):
    figures = []

    def keep(self, *args, **options):
        figures.append(self)
        save(self, *args, **options)

    monkeypatch.setattr(pytest.importorskip("matplotlib.figure").Figure, "savefig", keep)
    return figures
