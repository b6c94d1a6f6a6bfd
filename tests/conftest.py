"""How many examples Hypothesis tries: `DIMREF_HYPOTHESIS_PROFILE=ci|dev|thorough pytest`."""

import contextlib
import os

import pytest
from hypothesis import HealthCheck, settings
from strict import STRICT

from dimref.backend import NUMPY, BackendError, get_backend

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("ci", max_examples=30, derandomize=True, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile("dev", max_examples=60, deadline=None, suppress_health_check=SLOW_IS_FINE)
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
