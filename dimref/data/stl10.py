"""STL-10, binary version: 96x96 colour images, 5,000 and 8,000 with labels and 100,000 without.

Source: https://cs.stanford.edu/~acoates/stl10/. A record of *_X.bin is three colour planes, each stored by *columns*;
one of *_y.bin is a label byte from 1 to 10.
"""

from pathlib import Path

import numpy as np

from dimref.data.dataset import UNLABELLED, Dataset, MissingSplit, fault, make
from dimref.data.files import need_file, need_folder, read_exactly, read_records

SIDE = 96
RECORD = 3 * SIDE * SIDE
CHUNK = 500  # images turned at a time: the unlabelled ones are 2.7 GB, which must not be held twice
CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


def read(name: str, split: str, data_dir: Path, limit: int | None) -> Dataset:
    """Read one split of `name`, "stl10" or "stl10-unlabeled", from stl10_binary or its parent.

    The training images of "stl10-unlabeled" are the unlabelled ones; its test images are those of "stl10".

    Returns:
        images uint8 (N, 96, 96, 3), labels int64 (N,), -1 where there are none.
    """
    folder = _find_folder(need_folder(data_dir))
    unlabelled = name == "stl10-unlabeled" and split == "train"
    path = folder / ("unlabeled_X.bin" if unlabelled else f"{split}_X.bin")
    if not path.exists():
        raise fault(path, f"{name}'s {split} images", "no such file", MissingSplit)
    images = _read_images(path, limit)
    if unlabelled:
        return make(name, split, images, np.full(len(images), UNLABELLED, np.int64), (), f"from {path}")
    labels = _read_labels(folder / f"{split}_y.bin", path)[: len(images)]
    return make(name, split, images, labels, CLASSES, f"from {path}")


def _find_folder(data_dir: Path) -> Path:
    for folder in (data_dir, data_dir / "stl10_binary"):
        if any((folder / f"{part}_X.bin").exists() for part in ("train", "test", "unlabeled")):
            return folder
    raise fault(data_dir, "train_X.bin, test_X.bin or unlabeled_X.bin, here or in stl10_binary", "none")


def _count(path: Path) -> int:
    size = need_file(path).stat().st_size
    if size == 0 or size % RECORD:
        raise fault(path, f"a whole number of {RECORD}-byte records", f"{size} bytes")
    return size // RECORD


def _read_images(path: Path, limit: int | None) -> np.ndarray:
    count = _count(path) if limit is None else min(_count(path), limit)
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    with path.open("rb") as stream:
        for start in range(0, count, CHUNK):
            stop = min(start + CHUNK, count)
            planes = read_exactly(stream, (stop - start) * RECORD, path).reshape(-1, 3, SIDE, SIDE)
            images[start:stop] = planes.transpose(0, 3, 2, 1)  # (image, colour, column, row) -> channels last
    return images


def _read_labels(path: Path, images: Path) -> np.ndarray:
    size = need_file(path).stat().st_size
    if size != _count(images):
        raise fault(path, f"{_count(images)} labels, one for each image of {images.name}", str(size))
    labels = read_records(path, 1)[:, 0].astype(np.int64) - 1
    wrong = np.flatnonzero((labels < 0) | (labels >= len(CLASSES)))
    if wrong.size:
        raise fault(path, "labels from 1 to 10", f"{labels[wrong[0]] + 1} in record {wrong[0]} (from 0)")
    return labels
