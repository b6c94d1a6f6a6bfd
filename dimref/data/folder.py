"""A folder of images, sorted into classes or not.

Either `data_dir/<class>/*.png`, which is a training set without a test set, or `data_dir/train/<class>/...` beside
`data_dir/test/<class>/...` (or val), by any of the names in `PARTS`, in capitals or not. A class may keep its images in
one folder of its own, as Tiny ImageNet does (train/<class>/images/*.JPEG). Images that lie in `data_dir`, `train` or `test`
themselves, or in folders nested otherwise, are a set without labels. Hidden files and folders are passed over, and an image
is turned by its EXIF orientation. Needs Pillow.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dimref.data import decoding
from dimref.data.dataset import UNLABELLED, Dataset, MissingSplit, fault, make
from dimref.data.files import need_folder

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}
PARTS = {  # of the data; of a part's names, those on an earlier line before those on a later one
    "train": (("train", "training"),),
    "test": (("test", "testing"), ("val", "valid", "validation")),
}
NAMES = {name for part in PARTS.values() for line in part for name in line}


def read(
    name: str, split: str, data_dir: Path, limit: int | None, size: int | None = None, skip_bad: bool = False,
    cache: Path | None = None,
) -> Dataset:  # fmt: skip
    """Read one split of a folder of images, classes mixed: a limit takes evenly from all of them.

    Args:
        size: resize each image to size×size: the shorter side to it, then the centre. None: they have one size.
        skip_bad: leave out files that cannot be read, with a note, where one of them is otherwise refused.
        cache: where images are decoded into a file that is then mapped, if they would take more than half of the free
            memory; the next call reads that file.
    Returns:
        images uint8 (N, H, W, C), C = 1 if all that were read are grey, else 3; labels int64 (N,), -1 without classes.
        Both splits share the sorted class names of the training set, or of the test set where that alone has some.
    """
    part, classes = _find_split(need_folder(data_dir), split)
    paths, labels = _mix(part, classes)
    images, bad, notes = decoding.decode_all(part.folder, paths[:limit], size, skip_bad, cache)
    printable = tuple(os.fsencode(label).decode("utf-8", "replace") for label in classes)
    origin = f"of {len(paths)} from {part.folder}"
    return make(name, split, images, np.delete(labels[:limit], bad), printable, origin, (*part.notes, *notes))


# ---- which files


@dataclass(frozen=True)
class Part:
    """What lies in a part of the data: images in the folder itself, and in each of its folders and below."""

    folder: Path
    loose: list[Path]
    by_folder: dict[str, list[Path]]

    @property
    def nested(self) -> str | None:
        """A folder that is no class: its images lie in several folders of its own."""
        for name, paths in self.by_folder.items():
            places = {path.parent for path in paths}
            if len(places) > 1 and self.folder / name not in places:
                return name
        return None

    @property
    def classes(self) -> list[str]:
        """The sorted names of the class folders; none where images are not sorted into any."""
        return [] if self.loose or self.nested else sorted(self.by_folder)

    @property
    def notes(self) -> list[str]:
        """What a user may not expect of the labels."""
        if not self.classes:
            where = self.folder if self.loose else self.folder / (self.nested or "")
            what = "images beside or without class folders" if self.loose else "several folders of images"
            return [f"no labels, since {where} holds {what}"]
        empty = [name for name, paths in self.by_folder.items() if not paths]
        return [f"class folders without images in {self.folder}: {', '.join(empty)}"] if empty else []


def _find_split(root: Path, split: str) -> tuple[Part, list[str]]:
    """The split's part of the data, and the names of all classes."""
    parts = {part: _find_part(root, part) for part in PARTS}
    if not any(parts.values()):
        part = _part(root)
        if split != "train":
            raise fault(root, "a test set in a folder test or val beside train", "images of one set", MissingSplit)
        return part, part.classes
    folder = parts[split]
    if folder is None:
        names = " or ".join(line[0] for line in PARTS[split])
        raise fault(root, f"a folder {names} with images", "none", MissingSplit)
    part = _part(folder)
    known = _part(parts["train"]).classes if parts["train"] and split != "train" else []
    unknown = sorted(set(part.classes) - set(known)) if known else []
    if unknown:
        raise fault(folder, f"class folders named as in {parts['train']}", repr(unknown[0]))
    return part, known or part.classes


def _find_part(root: Path, part: str) -> Path | None:
    """The one folder with the name of a part of the data; a class may be called so, too."""
    inside = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    candidates = [path for path in inside if path.name.lower() in NAMES]
    if len(candidates) < len(inside) and not any(map(_holds_classes, candidates)):
        return None
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
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return any(path.is_dir() for path in inside) and not any(path.suffix.lower() in SUFFIXES for path in inside)


def _part(folder: Path) -> Part:
    """All images in a folder and below; other and hidden files are skipped."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    loose = sorted(path for path in folder.iterdir() if _is_image(path.name) and not path.is_dir())
    part = Part(folder, loose, {name: _images(folder / name) for name in names})
    if not part.loose and not any(part.by_folder.values()):
        listed = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
        raise fault(folder, f"images ({listed}) in it or in a folder for each class", "none")
    return part


def _images(folder: Path) -> list[Path]:
    """All images in a folder and below, sorted."""
    images = []
    for where, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]  # such as .ipynb_checkpoints
        images += [Path(where) / name for name in names if _is_image(name)]
    return sorted(images)


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")


def _raise(error: OSError) -> None:
    raise error  # os.walk would pass over a folder it may not read, and the class would be short of images


def _mix(part: Part, classes: list[str]) -> tuple[list[Path], np.ndarray]:
    """All images in an order whose every beginning holds the classes evenly, and of each class a random sample."""
    rng = np.random.Generator(np.random.PCG64(0))
    if part.classes:
        groups = [(classes.index(name), paths) for name, paths in part.by_folder.items() if paths]
    else:
        groups = [(UNLABELLED, sorted(part.loose + [path for paths in part.by_folder.values() for path in paths]))]
    ranked = [(rank, label, paths[i]) for label, paths in groups for rank, i in enumerate(rng.permutation(len(paths)))]
    ranked.sort(key=lambda entry: entry[:2])
    return [path for _, _, path in ranked], np.array([label for _, label, _ in ranked], np.int64)
