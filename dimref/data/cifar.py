"""CIFAR-10 and CIFAR-100, in the binary and in the Python version.

Source: https://www.cs.toronto.edu/~kriz/cifar.html. A record of the binary version is one label byte (CIFAR-100: the
coarse one, then the fine one, which is read) and 3072 bytes of pixels: red, green and blue plane, each by rows. The
Python version pickles the same pixels as rows of a uint8 array. Any number of records in a file will do.
"""

from pathlib import Path

import numpy as np

from dimref.data.dataset import Dataset, MissingSplit, fault, make
from dimref.data.files import need_folder, read_records
from dimref.data.pickles import PickledArray, read_pickle

PIXELS = 3 * 32 * 32
Part = tuple[np.ndarray, np.ndarray]  # images (N, 32, 32, 3), labels (N,)

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR100_NAMES = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle "
    "caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant "
    "flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man "
    "maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree "
    "plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper "
    "snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train "
    "trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)
CLASSES = {"cifar10": CIFAR10, "cifar100": tuple(CIFAR100_NAMES.split())}
FOLDERS = {
    "cifar10": ("cifar-10-batches-bin", "cifar-10-batches-py"),
    "cifar100": ("cifar-100-binary", "cifar-100-python"),
}


def read(name: str, split: str, data_dir: Path, limit: int | None) -> Dataset:
    """Read one split of `name`, "cifar10" or "cifar100", from its folder or from the folder's parent.

    Returns:
        images uint8 (N, 32, 32, 3), labels int64 (N,).
    """
    folder = _find_folder(name, need_folder(data_dir))
    paths = _paths(name, folder, split)
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    count = 0
    for path in paths:
        left = None if limit is None else limit - count
        if left == 0:
            break
        part = _read_binary(path, name, left) if path.suffix == ".bin" else _read_pickled(path, name, left)
        images.append(part[0])
        labels.append(part[1])
        count += len(part[1])
    files = f"{len(images)} file" + "s" * (len(images) > 1)
    return make(name, split, np.concatenate(images), np.concatenate(labels), CLASSES[name], f"from {files} in {folder}")


def _find_folder(name: str, data_dir: Path) -> Path:
    """The first folder that holds a file of either split: the folder itself, or one inside it with the official name."""
    for folder in (data_dir, *(data_dir / inner for inner in FOLDERS[name])):
        if _candidates(name, folder, "train") or _candidates(name, folder, "test"):
            return folder
    files = "data_batch_1 and test_batch" if name == "cifar10" else "train and test"
    raise fault(data_dir, f"{name}'s files {files} (.bin or pickled), here or in {' or '.join(FOLDERS[name])}", "none")


def _candidates(name: str, folder: Path, split: str) -> list[Path]:
    """The split's files in this folder, of the binary version if it is there."""
    if name == "cifar100":
        pickled = [folder / split] if (folder / split).is_file() else []  # a folder of that name holds other data
        return [folder / f"{split}.bin"] if (folder / f"{split}.bin").exists() else pickled
    if split == "test":
        return [path for path in (folder / "test_batch.bin", folder / "test_batch") if path.exists()][:1]
    batches = list(folder.glob("data_batch_*.bin")) or list(folder.glob("data_batch_*"))
    return sorted(batches, key=lambda path: (len(path.name), path.name))


def _paths(name: str, folder: Path, split: str) -> list[Path]:
    paths = _candidates(name, folder, split)
    if not paths:
        raise fault(folder, f"{name}'s {split} files", "none", MissingSplit)
    if name == "cifar10" and split == "train":
        numbers = [path.stem.removeprefix("data_batch_") for path in paths]
        if numbers != [str(k + 1) for k in range(len(paths))]:
            raise fault(folder, "data_batch files numbered from 1 without a gap", ", ".join(numbers))
    return paths


def _read_binary(path: Path, name: str, limit: int | None) -> Part:
    label_bytes = 2 if name == "cifar100" else 1
    records = read_records(path, label_bytes + PIXELS, limit)
    labels = records[:, label_bytes - 1].astype(np.int64)
    return _pixels(records[:, label_bytes:]), _checked(path, labels, len(CLASSES[name]))


def _read_pickled(path: Path, name: str, limit: int | None) -> Part:
    content = read_pickle(path)
    key = "fine_labels" if name == "cifar100" else "labels"
    array, labels = content.get("data"), content.get(key)
    if not isinstance(array, PickledArray) or not isinstance(labels, list):
        raise fault(path, f"an array 'data' and a list {key!r}", f"the keys {sorted(content)[:8]}")
    try:
        data = array.uint8()
    except (ValueError, TypeError) as error:
        raise fault(path, "'data' of uint8 bytes", str(error)) from error
    if data.ndim != 2 or data.shape[1] != PIXELS or not len(data) or len(labels) != len(data):
        raise fault(path, f"as many rows of {PIXELS} bytes as labels", f"data {data.shape}, {len(labels)} labels")
    if not all(type(label) is int and abs(label) < 1 << 31 for label in labels):
        raise fault(path, f"whole numbers in {key!r}", "something else")
    return _pixels(data[:limit]), _checked(path, np.array(labels[:limit], np.int64), len(CLASSES[name]))


def _pixels(rows: np.ndarray) -> np.ndarray:
    """(N, 3072) by colour planes -> (N, 32, 32, 3)."""
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _checked(path: Path, labels: np.ndarray, classes: int) -> np.ndarray:
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        raise fault(path, f"labels from 0 to {classes - 1}", f"{labels[wrong[0]]} in record {wrong[0]} (from 0)")
    return labels
