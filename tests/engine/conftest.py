"""Tests of the engine have it turned on, whichever of them runs first."""

import pytest

from dimref.engine import turn_on


@pytest.fixture(scope="session", autouse=True)
def engine():
    """The host's forms in their places."""
    turn_on()
