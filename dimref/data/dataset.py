"""What every reader returns, and the two errors every reader may raise."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dimref.errors import DimrefError

UNLABELLED = -1
MOST_IMAGES = 1 << 27  # labels of a GiB; where only a header has a count, a larger one is not believed


class DataError(DimrefError):
    """The data cannot be used: one line with the file, what was expected and what was found."""


class MissingSplit(DataError):
    """The data is sound but has no such split (a folder without a test part, say): the caller may fall back."""


@dataclass(frozen=True)
class Dataset:
    """Images and labels of one split, as they were read.

    Attributes:
        name: the dataset, one of `dimref.data.NAMES`.
        split: "train" or "test".
        images: uint8 (N, H, W, C), C = 1 or 3.
        labels: int64 (N,); -1 = unlabelled.
        classes: name of each label; may be empty when nothing is labelled.
        source: a line for people: where it came from and how many records were read.
        notes: lines for people on what they may not expect of it.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Hold every reader to the promise above: whatever file was read, this is what comes out."""
        images, labels = self.images, self.labels
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or images.size == 0:
            raise ValueError(f"images must be uint8 (N, H, W, 1 or 3), not {images.dtype} {images.shape}")
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise ValueError(f"labels must be int64 {images.shape[:1]}, not {labels.dtype} {labels.shape}")


def make(
    name: str, split: str, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], origin: str,
    notes: tuple[str, ...] = (),
) -> Dataset:  # fmt: skip
    """A `Dataset` whose `source` line begins with the count and the size that every reader reports alike."""
    n, h, w, c = images.shape
    source = f"{name} {split}: {n} images {h}x{w}x{c} {origin}"
    return Dataset(name, split, images, labels, classes, source, notes)


def fault(where: Path | str, expected: str, found: str, kind: type[DataError] = DataError) -> DataError:
    """The one line of every complaint about a file; a line break inside a name must not make it two."""
    text = f"{where}: expected {expected}, found {found}"
    return kind(" ".join(text.splitlines()))
