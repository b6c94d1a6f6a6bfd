"""A folder of images, one sub-folder for each class.

Either `data_dir/<class>/*.png`, which is a training set without a test set, or `data_dir/train/<class>/...` beside
`data_dir/test/<class>/...` (or val), by any of the names in `PARTS`, in capitals or not. A class may keep its images in
folders of its own, as Tiny ImageNet does (train/<class>/images/*.JPEG). Hidden files and folders are passed over, and an
image is turned by its EXIF orientation. Needs Pillow.
"""

import io
import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dimref.data.dataset import DataError, Dataset, MissingSplit, fault, make
from dimref.data.files import MOST_UNPACKED, need_file, need_folder
from dimref.errors import named

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF")  # whatever a file is called, nothing else is decoded
PARTS = {  # of the data; of a part's names, those on an earlier line before those on a later one
    "train": (("train", "training"),),
    "test": (("test", "testing"), ("val", "valid", "validation")),
}
NAMES = {name for part in PARTS.values() for line in part for name in line}
ORIENTATION = 0x0112  # the tag of EXIF
GREY = ("1", "L", "LA")
DEEP = ("I", "F")  # modes that begin so hold more than 8 bits; Pillow would cut them without a word
MOST_PIXELS = 4096 * 4096
MOST_FILE = 16 * MOST_PIXELS  # bytes
MOST_RATIO = 100  # of the bytes of all images to their files'; photographs have 4 to 30


def read(name: str, split: str, data_dir: Path, limit: int | None) -> Dataset:
    """Read one split of a folder of images of one size, classes mixed: a limit takes evenly from all of them.

    Returns:
        images uint8 (N, H, W, C), C = 1 if all that were read are grey, else 3; labels int64 (N,). Both splits share
        the sorted class names of the training set.
    """
    folder, classes = _find_split(need_folder(data_dir), split)
    paths, labels = _mix([_images(folder / label) for label in classes if (folder / label).is_dir()], folder, classes)
    images = _decode_all(paths[:limit], _pillow())
    printable = tuple(os.fsencode(label).decode("utf-8", "replace") for label in classes)
    return make(name, split, images, labels[: len(images)], printable, f"of {len(paths)} from {folder}")


def _find_split(root: Path, split: str) -> tuple[Path, list[str]]:
    """The folder that holds the split's class folders, and the names of all classes."""
    parts = {part: _find_part(root, part) for part in PARTS}
    if not any(parts.values()):
        classes = _classes(root)
        if {name.lower() for name in classes} <= NAMES:  # no classes, but parts whose images are not sorted into any
            raise fault(root / classes[0], "a folder for each class with images inside", "none")
        if split != "train":
            raise fault(root, "a test set in a folder test or val beside train", "class folders alone", MissingSplit)
        return root, classes
    folder, train = parts[split], parts["train"]
    if folder is None:
        names = " or ".join(line[0] for line in PARTS[split])
        raise fault(root, f"a folder {names} with class folders", "none", MissingSplit)
    classes = _classes(train or folder)
    unknown = sorted(set(_classes(folder)) - set(classes))
    if unknown:
        raise fault(folder, f"class folders named as in {train}", repr(unknown[0]))
    return folder, classes


def _find_part(root: Path, part: str) -> Path | None:
    """The one folder with the name of a part of the data that holds classes."""
    candidates = sorted(path for path in root.iterdir() if path.name.lower() in NAMES and _holds_classes(path))
    for names in PARTS[part]:
        matches = [path for path in candidates if path.name.lower() in names]
        if len(matches) > 1:
            listed = ", ".join(path.name for path in matches)
            raise fault(root, f"one folder called {' or '.join(names)}", f"{listed}: rename those not meant")
        if matches:
            return matches[0]
    return None


def _holds_classes(folder: Path) -> bool:
    """A part of the data has folders inside, where a class that happens to be called "train" has images."""
    if not folder.is_dir():
        return False
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return any(path.is_dir() for path in inside) and not any(path.suffix.lower() in SUFFIXES for path in inside)


def _classes(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names:
        raise fault(folder, "a folder for each class with images inside", "no folders")
    return names


def _images(folder: Path) -> list[Path]:
    """All images in a class folder and below, sorted; other and hidden files are skipped."""
    images = []
    for where, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]  # such as .ipynb_checkpoints
        images += [
            Path(where) / name for name in names if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
    if not images:
        raise fault(folder, f"images ({', '.join(sorted(s[1:] for s in SUFFIXES))}) of this class", "none")
    return sorted(images)


def _raise(error: OSError) -> None:
    raise error  # os.walk would pass over a folder it may not read, and the class would be short of images


def _mix(by_class: list[list[Path]], folder: Path, classes: list[str]) -> tuple[list[Path], np.ndarray]:
    """All images in an order whose every beginning holds the classes evenly, and of each class a random sample."""
    rng = np.random.Generator(np.random.PCG64(0))
    present = [k for k, label in enumerate(classes) if (folder / label).is_dir()]
    ranked = [
        (rank, label, paths[i])
        for label, paths in zip(present, by_class, strict=True)
        for rank, i in enumerate(rng.permutation(len(paths)))
    ]
    ranked.sort(key=lambda entry: entry[:2])
    return [path for _, _, path in ranked], np.array([label for _, label, _ in ranked], np.int64)


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError(
            "a folder of images is read with Pillow, which is missing: pip install 'dimref[images]'"
        ) from error
    return Image


def _decode_all(paths: list[Path], pillow: ModuleType) -> np.ndarray:
    """Decode images of one size into uint8 (N, H, W, C); grey ones get three equal channels once one has colour."""
    images = np.empty((0, 0, 0, 1), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
        warnings.simplefilter("error", pillow.DecompressionBombWarning)
        for i, path in enumerate(paths):
            pixels = _decode(path, pillow, images.shape[1:3] if i else None, paths[0])
            if i == 0:
                _refuse_bomb(paths, pixels.nbytes)
                images = np.empty((len(paths), *pixels.shape), np.uint8)
            if pixels.shape[2] > images.shape[3]:
                images = np.repeat(images, 3, axis=3)
            images[i] = pixels
    return images


def _refuse_bomb(paths: list[Path], image: int) -> None:
    """Detects small files of large blank images before all of them are decoded."""
    needed = len(paths) * image
    if needed > MOST_UNPACKED and needed > MOST_RATIO * (size := sum(need_file(path).stat().st_size for path in paths)):
        excess = f"{needed} (if they are meant to be blank, resize them or set a limit)"
        raise fault(paths[0].parent, f"images of at most {MOST_RATIO} times the {size} bytes of their files", excess)


def _decode(path: Path, pillow: ModuleType, size: tuple[int, ...] | None, first: Path) -> np.ndarray:
    """One image as uint8 (H, W, 1 or 3), turned upright; how many its pixels are is looked at before they are unpacked."""
    try:
        size_on_disk = need_file(path).stat().st_size
        if size_on_disk > MOST_FILE:
            raise fault(path, f"a file of at most {MOST_FILE} bytes", str(size_on_disk))
        # From memory: Pillow asks a file for as many bytes as a damaged chunk promises, which are then allocated.
        with pillow.open(io.BytesIO(path.read_bytes()), formats=FORMATS) as image:
            width, height = image.size
            if not 0 < width * height <= MOST_PIXELS:
                raise fault(path, f"1 to {MOST_PIXELS} pixels", f"{width}x{height}")
            if image.mode.startswith(DEEP):
                raise fault(path, "8 bits a channel (convert it)", f"mode {image.mode}")
            grey = image.mode in GREY
            pixels = _upright(np.asarray(image.convert("L" if grey else "RGB")), image)
            height, width = pixels.shape[:2]
            if size and (height, width) != size:
                raise fault(path, f"{size[1]}x{size[0]} like {first} (resize them to one size)", f"{width}x{height}")
    except (DataError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders fail in many ways on damaged files
        raise fault(path, "a sound image", named(error)) from error
    return pixels[..., None] if grey else pixels


def _upright(pixels: np.ndarray, image: Any) -> np.ndarray:
    """The pixels (H, W, …) of a decoded image, turned and mirrored by its EXIF orientation, 1 to 8.

    Source: EXIF 2.3 (CIPA DC-008), tag 274: which sides of the scene row 0 and column 0 are.
    """
    try:
        orientation = image.getexif().get(ORIENTATION)
    except Exception:  # damaged EXIF is no fault of the pixels
        return pixels
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels
