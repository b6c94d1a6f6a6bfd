"""A .npz file of NumPy arrays: `images` and `labels` to train on, `test_images` and `test_labels` to test on.

Keras's names (x_train, y_train, x_test, y_test) and MedMNIST's (train_images, ...) are understood too. Pixels are uint8, or
floats in [0, 1]. Labels are optional; texts are the names of classes. Nothing is unpickled, and of the images no more than
requested is unpacked.
Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

import zipfile
from pathlib import Path

import numpy as np

from dimref.data.dataset import MOST_IMAGES, UNLABELLED, DataError, Dataset, MissingSplit, fault, make
from dimref.data.files import need_file, need_folder
from dimref.data.npy import npz_header, npz_names, open_npz, read_npz_array

KEYS = {
    "train": (("images", "labels"), ("x_train", "y_train"), ("train_images", "train_labels")),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}
MOST_CLASSES = 1 << 16


def read(name: str, split: str, data_dir: Path, limit: int | None) -> Dataset:
    """Read one split from a .npz file, or from the only one in a folder.

    Returns:
        images uint8 (N, H, W, C), labels int64 (N,), -1 where there are none. Classes are called by their numbers, or
        by their names, sorted.
    """
    path = _find_file(data_dir)
    with open_npz(path) as archive:
        images_key, labels_key = _find_keys(archive, split) or _no_images(path, archive, split)
        check_images(f"{path}, array {images_key!r}", *npz_header(path, archive, images_key))
        labels = _read_labels(path, archive, images_key, labels_key)
        known = [_read_labels(path, archive, *pair) for part in KEYS if (pair := _find_keys(archive, part))]
        images, _ = read_npz_array(path, archive, images_key, check_images, limit)
    images, notes = as_bytes(f"{path}, array {images_key!r}", images)
    if labels is None:
        unlabelled = np.full(len(images), UNLABELLED, np.int64)
        return make(name, split, images, unlabelled, (), f"from {path}", notes)
    # Both splits' labels count the classes, so that the splits agree on them.
    both = [part for part in known if part is not None]
    if len({part.dtype.kind for part in both}) > 1:
        raise fault(path, "labels of both splits as numbers, or as names", "some of either")
    if labels.dtype.kind == "U":
        names = sorted(set(np.concatenate(both).tolist()))
        labels = np.searchsorted(names, labels).astype(np.int64)
    else:
        names = [str(k) for k in range(1 + max(int(part.max()) for part in both))]
    return make(name, split, images, labels[: len(images)], tuple(names), f"from {path}", notes)


def as_bytes(where: str, images: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Images that passed `check_images` as uint8 (N, H, W, C), and a note where they were floats.

    Raises:
        DataError: a float is not in [0, 1].
    """
    images = images[..., None] if images.ndim == 3 else images
    if images.dtype == np.uint8:
        return images, ()
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= 1):  # also where one is not a number
        raise fault(where, "floats from 0 to 1, or uint8 from 0 to 255", f"{low:g} to {high:g}")
    rounded = np.empty(images.shape, np.uint8)
    for k, image in enumerate(images):
        rounded[k] = np.rint(image * 255)
    return rounded, (f"{images.dtype} pixels in [{low:g}, {high:g}] are rounded to 256 steps",)


def _find_file(data_dir: Path) -> Path:
    if data_dir.is_file():
        return data_dir
    if not data_dir.exists():
        raise fault(data_dir, "a .npz file, or a folder with one", "no such file or folder")
    matches = sorted(need_folder(data_dir).glob("*.npz"))
    if len(matches) != 1:
        names = ", ".join(path.name for path in matches[:4]) or "none"
        raise fault(data_dir, "exactly one .npz file in this folder (or the path of one)", names)
    return need_file(matches[0])


def _find_keys(archive: zipfile.ZipFile, split: str) -> tuple[str, str] | None:
    names = set(npz_names(archive))
    return next((keys for keys in KEYS[split] if keys[0] in names), None)


def _no_images(path: Path, archive: zipfile.ZipFile, split: str) -> tuple[str, str]:
    """Raise DataError: name the arrays in the file, and whether it has the other split."""
    expected_names = " or ".join(repr(images) for images, _ in KEYS[split])
    names = ", ".join(name.removesuffix(".npy") for name in archive.namelist()[:8]) or "no arrays"
    other = any(_find_keys(archive, part) for part in KEYS if part != split)
    raise fault(path, f"an array {expected_names}", names, MissingSplit if other else DataError)


def _empty(shape: tuple[int, ...]) -> bool:
    """Whether an axis is empty or, in a damaged header, negative."""
    return any(n < 1 for n in shape)


def check_images(where: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raise DataError where an array of this shape and type holds no images."""
    if dtype != np.uint8 and dtype.kind != "f":
        raise fault(where, "uint8 pixels from 0 to 255, or floats from 0 to 1", str(dtype))
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
        raise fault(where, "channels last: images.transpose(0, 2, 3, 1)", f"channels first, {shape}")
    if len(shape) not in (3, 4) or _empty(shape) or (len(shape) == 4 and shape[3] not in (1, 3)):
        raise fault(where, "shape (N, H, W) or (N, H, W, C), C = 1 or 3 and last", str(shape))


def _check_labels(where: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if (
        dtype.kind not in "iuU"
        or len(shape) not in (1, 2)
        or shape[1:] not in ((), (1,))
        or not 0 < shape[0] <= MOST_IMAGES
    ):
        raise fault(where, "integer labels, or names, of shape (N,)", f"{dtype} {shape}")


def _read_labels(path: Path, archive: zipfile.ZipFile, images_key: str, key: str) -> np.ndarray | None:
    """All labels as int64 or texts (N,), or None without any; nothing is read where there are not as many as images."""
    if key not in npz_names(archive):
        return None
    images, count = ((*npz_header(path, archive, name)[0], 0)[0] for name in (images_key, key))
    if count != images:
        raise fault(path, f"{images} labels, one for each of {images_key!r}", f"{count} in {key!r}")
    labels = read_npz_array(path, archive, key, _check_labels)[0].reshape(-1)
    if labels.dtype.kind == "U":
        return labels
    if labels.min() < UNLABELLED or labels.max() >= MOST_CLASSES:
        expected = f"labels from -1 to {MOST_CLASSES - 1}"
        raise fault(f"{path}, array {key!r}", expected, f"{labels.min()} to {labels.max()}")
    return labels.astype(np.int64)
