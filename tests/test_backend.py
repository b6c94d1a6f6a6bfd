"""The choice of a backend, and trees that move to it and back."""

import numpy as np
import pytest

from dimref.backend import NUMPY, Backend, BackendError, get_backend
from dimref.errors import DimrefError
from dimref.trees import leaves


def test_numpy_is_always_there():
    backend = get_backend("numpy")
    assert backend is NUMPY
    assert (backend.name, backend.device) == ("numpy", "cpu")
    x = np.ones(3)
    assert backend.to_device(x) is x
    assert backend.to_host(x) is x
    assert backend.synchronize() is None


def test_an_unknown_backend_is_named():
    with pytest.raises(BackendError, match=r"^backend: expected one of numpy, cupy, found 'torch'$"):
        get_backend("torch")
    assert issubclass(BackendError, DimrefError)  # the command line prints it as one line


def test_trees_move_leaf_by_leaf(backend):
    tree = {"a": np.ones(2), "deep": {"b": np.zeros((1, 2), np.float32)}}
    there = backend.tree_to_device(tree)
    assert list(there) == ["a", "deep"]
    assert type(there["deep"]["b"]) is type(backend.to_device(np.ones(1)))
    back = backend.tree_to_host(there)
    for (path, x), (other, y) in zip(leaves(tree), leaves(back), strict=True):
        assert path == other
        np.testing.assert_array_equal(x, y, strict=True)


def test_a_backend_cannot_be_changed():
    with pytest.raises(AttributeError):
        NUMPY.name = "other"
    assert isinstance(NUMPY, Backend)
