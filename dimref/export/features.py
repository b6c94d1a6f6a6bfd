"""A dataset's features as a file: written as they are computed, so that memory does not grow with the dataset."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dimref.data import Dataset
from dimref.distributed.mpi import agreed
from dimref.export.inference import Encoder
from dimref.training.files import os_errors, writing


def write_features(
    encoder: Encoder, dataset: Dataset, kind: str, out: Path, watch: Callable[[int], None] = lambda count: None
) -> Path:
    """Encode every image, in order, into `out`, and its label into a file beside it.

    Rows are appended to a temporary file that takes the place of `out` when it is complete; np.load(out,
    mmap_mode="r") then reads it without taking memory. (Writing through a mapping would do as well until the disk is
    full: that kills the process, where a failed write can be reported.)

    Args:
        kind: "conv" (last map flattened: row, column, channel), "fc" or "y".
        watch: called with the number of images after each batch.
    Returns:
        The path of the labels: int64 (N,), −1 = unlabelled.
    Raises:
        DataError: the images are not of the encoder's size and channels. RunError: a file cannot be written.
    """
    encoder.refuse_other_images(dataset.images, dataset.source)
    labels, world = labels_path(out), encoder.world
    with contextlib.ExitStack() as files:
        file = None  # of the ranks that write nothing
        with agreed(world):
            if world is None or world.rank == 0:
                label_file, file = (files.enter_context(writing(path)) for path in (labels, out))
                np.lib.format.write_array(label_file, dataset.labels, allow_pickle=False)
        done = 0
        for batch in encoder.batches(dataset.images, (kind,)):
            rows = np.ascontiguousarray(batch[kind])
            with agreed(world):
                if file and not done:
                    shape = (len(dataset.images), rows.shape[1])
                    header = {"descr": rows.dtype.str, "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                if file:
                    with os_errors(out):
                        file.write(rows.data)
            done += len(rows)
            watch(len(rows))
        with agreed(world):
            files.pop_all().close()  # into place
    return labels


def labels_path(out: Path) -> Path:
    """Where the labels of the features in NAME.npy lie: NAME.labels.npy."""
    return out.with_name(f"{out.stem}.labels.npy")
