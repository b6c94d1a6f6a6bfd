"""The contract every reader is held to."""

import numpy as np
import pytest

from dimref.data.dataset import DataError, Dataset, MissingSplit, fault, make


def arrays(n=3):
    return np.zeros((n, 2, 2, 3), np.uint8), np.zeros(n, np.int64)


def test_make_reports_count_and_size():
    assert make("npz", "test", *arrays(), (), "from x").source == "npz test: 3 images 2x2x3 from x"


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((3, 2, 2, 3), np.float32), np.zeros(3, np.int64)),
        (np.zeros((3, 2, 2), np.uint8), np.zeros(3, np.int64)),
        (np.zeros((3, 2, 2, 4), np.uint8), np.zeros(3, np.int64)),
        (np.zeros((0, 2, 2, 3), np.uint8), np.zeros(0, np.int64)),
        (np.zeros((3, 2, 2, 3), np.uint8), np.zeros(2, np.int64)),
        (np.zeros((3, 2, 2, 3), np.uint8), np.zeros(3, np.int32)),
    ],
)
def test_other_arrays_are_no_dataset(images, labels):
    with pytest.raises(ValueError, match="must be"):
        Dataset("npz", "train", images, labels, (), "")


def test_a_fault_is_one_line_whatever_the_file_is_called():
    error = fault("a\nb", "x", "y\nz", MissingSplit)
    assert str(error) == "a b: expected x, found y z"
    assert isinstance(error, DataError)
