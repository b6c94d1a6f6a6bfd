"""Long lists of which some are run by default, and the rest with the exhaustive tests."""

import pytest


def by_default(names, *some):
    """All of the names; those that are not among `some` are exhaustive."""
    assert set(some) <= set(names), "a name that is not in the list"
    return [name if name in some else pytest.param(name, marks=pytest.mark.exhaustive) for name in names]
