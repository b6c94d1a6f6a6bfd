"""The IDX files of MNIST and its family (Fashion-MNIST, KMNIST, EMNIST, ...), packed with gzip or not.

Source: http://yann.lecun.com/exdb/mnist/. Big-endian: a magic number (2051 for images, 2049 for labels: unsigned bytes
in three dimensions or one), the dimensions as 32-bit numbers, then the bytes by rows. Images are returned as they are
stored; EMNIST stores them transposed.
"""

import math
import re
from pathlib import Path

import numpy as np

from dimref.data.dataset import MOST_IMAGES, Dataset, MissingSplit, fault, make
from dimref.data.files import Readable, most_bytes, need_folder, read_exactly, unpacked

MAGIC = {3: 2051, 1: 2049}
PARTS = {"train": ("train",), "test": ("t10k", "test")}
NAME = re.compile(r"(?P<prefix>.+-)?(?P<part>train|t10k|test)-images[-.]idx3-ubyte(\.gz)?")


def read(name: str, split: str, data_dir: Path, limit: int | None) -> Dataset:
    """Read one split from a folder of IDX files, such as t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz.

    Returns:
        images uint8 (N, H, W, 1), labels int64 (N,). Classes are called by their numbers.
    """
    path = _find_images(need_folder(data_dir), split)
    labels_path = _find_labels(path)
    with unpacked(path) as stream:
        count = _read_shape(stream, path, 3)[0]
    labels = _read_array(labels_path, 1, count, f"{count} labels, one for each image of {path.name}")
    images = _read_array(path, 3, count, f"{count} images", limit)
    notes = ("EMNIST stores its images transposed: rows are columns here",) if "emnist" in path.name.lower() else ()
    classes = tuple(str(k) for k in range(max(10, int(labels.max()) + 1)))
    return make(name, split, images[..., None], labels[: len(images)].astype(np.int64), classes, f"from {path}", notes)


def _find_images(folder: Path, split: str) -> Path:
    """The split's image file; one without a prefix before one with, an unpacked before a packed one."""
    matches = [(path, match) for path in sorted(folder.iterdir()) if (match := NAME.fullmatch(path.name))]
    if not matches:
        raise fault(folder, "IDX files such as train-images-idx3-ubyte or t10k-images-idx3-ubyte.gz", "none")
    own = [(path, match["prefix"] or "") for path, match in matches if match["part"] in PARTS[split]]
    if not own:
        held = ", ".join(path.name for path, _ in matches[:4])
        raise fault(folder, f"a {split} image file such as {PARTS[split][0]}-images-idx3-ubyte", held, MissingSplit)
    prefixes = sorted({prefix for _, prefix in own})
    if len(prefixes) > 1 and prefixes[0]:
        raise fault(folder, f"{split} images of one dataset", f"those of {', '.join(p[:-1] for p in prefixes)}")
    return min((path for path, prefix in own if prefix == prefixes[0]), key=lambda path: path.suffix == ".gz")


def _find_labels(images: Path) -> Path:
    stem = images.name.removesuffix(".gz").replace("-images", "-labels")
    names = [stem[: -len("-idx3-ubyte")] + ending for ending in ("-idx1-ubyte", ".idx1-ubyte")]
    for name in (*names, *(f"{name}.gz" for name in names)):
        if (images.parent / name).exists():
            return images.parent / name
    raise fault(images.parent, f"the labels {names[0]} (or .gz) beside {images.name}", "none")


def _read_array(path: Path, ndim: int, count: int, expected: str, limit: int | None = None) -> np.ndarray:
    """The first `limit` entries of an IDX file that must have `count`, or nothing of it is read."""
    with unpacked(path) as stream:
        shape = _read_shape(stream, path, ndim)
        if shape[0] != count:
            raise fault(path, expected, str(shape[0]))
        count = count if limit is None else min(limit, count)
        data = read_exactly(stream, count * math.prod(shape[1:]), path)
        # Asking for what follows also makes gzip check its checksum; a limited read leaves the rest packed.
        if count == shape[0] and stream.read(1):
            raise fault(path, f"{4 + 4 * ndim + data.size} bytes for the header's shape {shape}", "more")
    return data.reshape(count, *shape[1:])


def _read_shape(stream: Readable, path: Path, ndim: int) -> list[int]:
    """The shape in the header of an IDX file of unsigned bytes, if the file may hold as much."""
    header = 4 + 4 * ndim
    magic, *shape = (int(n) for n in read_exactly(stream, header, path).view(">u4"))
    if magic != MAGIC[ndim]:
        raise fault(path, f"magic number {MAGIC[ndim]} (bytes in {ndim} dimensions)", str(magic))
    if not 0 < math.prod(shape) <= most_bytes(path) - header or shape[0] > MOST_IMAGES:
        held = f"a file of {path.stat().st_size} bytes (if it truly holds them, unpack it)"
        raise fault(path, f"as many bytes as the header's shape {shape}", held)
    return shape
