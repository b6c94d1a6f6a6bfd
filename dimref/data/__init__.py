"""Images to learn from: one reader per file format, one kind of result.

`load(name, split, data_dir)` gives a `Dataset`: uint8 images (N, H, W, C) and int64 labels (N,). Damaged, misplaced or
hostile files end in a `DataError` of one line, never in a partial dataset. The default, `shapes`, needs no files.
"""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from dimref.data import shapes
from dimref.data.dataset import DataError, Dataset, MissingSplit, fault
from dimref.training.signals import killable

__all__ = ["NAMES", "DataError", "Dataset", "MissingSplit", "load"]

# A reader is imported when it is asked for: most runs need one, and none should pay for the others.
READERS = {
    "cifar10": "cifar",
    "cifar100": "cifar",
    "stl10": "stl10",
    "stl10-unlabeled": "stl10",
    "idx": "idx",
    "folder": "folder",
    "npz": "npz",
}

NAMES: tuple[str, ...] = ("shapes", *READERS)
SPLITS = ("train", "test")


@killable()
def load(
    name: str,
    split: str,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    noise: float | None = None,
    shared: str | None = None,
    seed: int = 0,
    size: int | None = None,
    skip_bad: bool = False,
    cache: Path | None = None,
) -> Dataset:
    """Read one split of a dataset, or draw it.

    Args:
        name: one of `NAMES`.
        split: "train" or "test".
        data_dir: where the files lie (the dataset's folder or its parent; the file itself for `npz`). Not for `shapes`.
        limit: at most this many images; less is read where that saves time.
        noise: standard deviation of the pixel noise, in units of the range [0, 1]. For `shapes` alone; None is 0.06.
        shared: what is the same in the whole image: some of texture, shape, colour, with commas between. The labels are
            those of the first. For `shapes` alone; None is texture.
        seed: which images are drawn. For `shapes` alone.
        size, skip_bad, cache: as in `folder.read`. For `folder` alone.

    Returns:
        images uint8 (N, H, W, C), labels int64 (N,), with the class names and a line on where they came from.

    Raises:
        DataError: the arguments or the files are wrong.
        MissingSplit: the files are right, but this data has no such split.
    """
    if name not in NAMES:
        raise DataError(f"data {name!r}: expected one of {', '.join(NAMES)}")
    if split not in SPLITS:
        raise DataError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    if limit is not None and limit < 1:
        raise DataError(f"--limit: expected at least 1 image, found {limit}")
    if (size is not None or skip_bad) and name != "folder":
        raise DataError(f"--{'skip-bad' if size is None else 'size'}: expected --data folder, found {name}")
    if name == "shapes":
        return _draw_shapes(split, data_dir, limit, noise, shared, seed)
    for option, value in (("noise", noise), ("shared", shared)):
        if value:
            raise DataError(f"--{option} {value}: only shapes are drawn with {option}; {name} is read as it is")
    if data_dir is None:
        raise DataError(f"--data {name}: expected --data-dir PATH, where its files lie, found none")
    if size is not None and not 4 <= size <= 4096:
        raise DataError(f"--size: expected 4 to 4096 pixels, found {size}")
    options = (size, skip_bad, cache) if name == "folder" else ()
    folder = Path(os.path.expanduser(data_dir))  # leaves an unknown ~user alone, where Path.expanduser raises
    read: Callable[..., Dataset] = import_module(f"dimref.data.{READERS[name]}").read
    try:
        return read(name, split, folder, limit, *options)
    except OSError as error:
        raise fault(str(error.filename or data_dir), "data that can be read", str(error.strerror or error)) from error
    except MemoryError as error:
        raise fault(folder, "images that fit in memory (a limit reads less)", "too many") from error


def _draw_shapes(
    split: str, data_dir: str | Path | None, limit: int | None, noise: float | None, shared: str | None, seed: int
) -> Dataset:
    if data_dir is not None:
        raise fault(
            "--data-dir", "none, since shapes are drawn and not read (--data names another dataset)", str(data_dir)
        )
    noise = shapes.NOISE if noise is None else noise
    if not 0 <= noise <= 1:
        raise DataError(f"--noise: expected a standard deviation from 0 to 1, found {noise:g}")
    if seed < 0:
        raise DataError(f"seed: expected 0 or more, found {seed}")
    factors = shapes.SHARED if shared is None else tuple(word.strip() for word in shared.split(","))
    if not set(factors) <= set(shapes.CLASSES) or len(set(factors)) < len(factors):
        raise DataError(
            f"--shared: expected some of {', '.join(shapes.CLASSES)}, with commas between, found {shared!r}"
        )
    return shapes.load(split, limit, noise, seed, factors)
