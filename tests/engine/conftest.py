"""Tests of the engine have it turned on, whichever of them runs first."""

import host_compiled_kernels
import pytest

from dimref import tape
from dimref.engine import kernels, turn_on


@pytest.fixture(scope="session", autouse=True)
def engine():
    """The host's forms in their places."""
    turn_on()


@pytest.fixture(scope="session")
def host_kernels(pytestconfig, tmp_path_factory):
    """The device's kernels, compiled for the host; kept for the next run where pytest keeps anything."""
    cache = getattr(pytestconfig, "cache", None)
    return host_compiled_kernels.host_kernels(
        tmp_path_factory.mktemp("kernels") if cache is None else cache.mkdir("kernels")
    )


@pytest.fixture
def no_kernels(monkeypatch):
    """No type of array has kernels, but those that the test registers: they are gone after it."""
    monkeypatch.setattr(kernels, "_OF", {})
    before = {name: list(place.implementations) for name, place in tape.REGIONS.items()}
    yield
    for name, others in before.items():
        tape.REGIONS[name].implementations[:] = others
