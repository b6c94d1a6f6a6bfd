"""Image files as uint8 pixels: turned upright, made one size, in memory or, where they are too many, in a mapped file."""

import hashlib
import io
import json
import math
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dimref.data.dataset import DataError, fault
from dimref.data.files import MOST_UNPACKED, need_file
from dimref.errors import named
from dimref.training import memory
from dimref.training.files import os_errors, read_small, remove_temporaries, replace, writing

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF")  # whatever a file is called, nothing else is decoded
ORIENTATION = 0x0112  # the tag of EXIF
GREY = ("1", "L", "LA")
DEEP = ("I", "F")  # modes that begin so hold more than 8 bits; Pillow would cut them without a word
MOST_PIXELS = 4096 * 4096
MOST_RESIZED = 5 * MOST_PIXELS  # of an image that is decoded only to be made small: photographs have up to 60 million
MOST_FILE = 16 * MOST_PIXELS  # bytes
MOST_RATIO = 100  # of the bytes of all images to their files'; photographs have 4 to 30
LISTED = 20  # files that cannot be read are named, so many of them
SHARE = 0.5  # of the free memory that images may take: more of them go into a file

Bad = dict[int, str]  # what cannot be read: place in the list of files → the line that says why


def decode_all(
    folder: Path, paths: list[Path], size: int | None, skip_bad: bool, cache: Path | None
) -> tuple[np.ndarray, list[int], list[str]]:
    """Images (N, H, W, C), the places in the list of those left out, and notes; the arguments are those of `folder.read`.

    Raises:
        DataError: images differ in size, or some cannot be read: then all of these are named.
    """
    pillow, bad = _pillow(), Bad()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
        warnings.simplefilter("error", pillow.DecompressionBombWarning)
        first = _first(paths, size, pillow, bad)
        if first is None:
            raise _refused(folder, paths, bad, "")
        shape = (len(paths), *first[1], 3 if any(_has_colour(path, pillow) for path in paths) else 1)
        if size is None:
            _refuse_bomb(paths, math.prod(shape[1:]))
        free, notes = memory.available(), []
        if cache is None or free is None or math.prod(shape) <= SHARE * free:
            images = np.empty(shape, np.uint8)
            _fill(images, paths, size, first[0], pillow, bad)
        else:
            images, file = _mapped(cache, shape, paths, size, first[0], pillow, bad)
            notes = [
                f"{math.prod(shape) / 1e9:.1f} GB of images are read from {file}, since memory would not hold them"
            ]
    if bad and not skip_bad:
        raise _refused(
            folder, paths, bad, "; --skip-bad leaves them out" if len(bad) > 1 else "; --skip-bad leaves it out"
        )
    if bad:
        notes.append(f"left out {_listed(folder, paths, bad)}")
    return images[: len(paths) - len(bad)], sorted(bad), notes


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError("a folder of images is read with Pillow, which is missing: pip install '.[images]'") from error
    return Image


def _first(paths: list[Path], size: int | None, pillow: ModuleType, bad: Bad) -> tuple[Path, tuple[int, int]] | None:
    """The first file that can be read, and the height and width of all images."""
    for i, path in enumerate(paths):
        try:
            high, wide, _ = _decode(path, pillow, size).shape
            return path, (high, wide)
        except DataError as error:
            bad[i] = str(error)
    return None


def _fill(images: np.ndarray, paths: list[Path], size: int | None, first: Path, pillow: ModuleType, bad: Bad) -> None:
    """Decode into the array, row after row, without gaps for what cannot be read; grey has three equal channels there."""
    count = 0
    for i, path in enumerate(paths):
        if i in bad:
            continue
        try:
            pixels = _decode(path, pillow, size)
        except DataError as error:
            bad[i] = str(error)
            continue
        if pixels.shape[:2] != images.shape[1:3]:
            (high, wide), (h, w) = images.shape[1:3], pixels.shape[:2]
            raise fault(path, f"{wide}x{high} like {first} (--size N makes all images N×N)", f"{w}x{h}")
        images[count] = pixels
        count += 1


def _mapped(
    cache: Path, shape: tuple[int, ...], paths: list[Path], size: int | None, first: Path, pillow: ModuleType, bad: Bad,
) -> tuple[np.ndarray, Path]:  # fmt: skip
    """The same in a file in `cache`, mapped; the one there if the image files are what they were when it was written."""
    known = hashlib.sha256(f"{shape} {size}".encode())
    for path in paths:
        stat = path.stat() if path.exists() else None
        known.update(f"\n{path} {stat and (stat.st_size, stat.st_mtime_ns)}".encode("utf-8", "surrogateescape"))
    with os_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
    remove_temporaries(cache)
    file = cache / f"images-{known.hexdigest()[:16]}.npy"
    left_out = file.with_suffix(".json")
    if not (file.exists() and left_out.exists()):
        with writing(file) as stream:
            images = np.lib.format.open_memmap(stream.name, "w+", np.uint8, shape)
            if hasattr(os, "posix_fallocate"):  # a full disk is an error here; in a mapping it would kill the process
                os.posix_fallocate(stream.fileno(), 0, os.fstat(stream.fileno()).st_size)
            _fill(images, paths, size, first, pillow, bad)
            images.flush()
        replace(left_out, json.dumps(bad).encode())
    bad.update({int(i): line for i, line in json.loads(read_small(left_out)).items()})
    return np.load(file, mmap_mode="r"), file


def _refused(folder: Path, paths: list[Path], bad: Bad, advice: str) -> DataError:
    if len(bad) == 1:
        return DataError(f"{next(iter(bad.values()))}{advice}")
    return DataError(f"{folder}: expected sound images, found {_listed(folder, paths, bad)}{advice}")


def _listed(folder: Path, paths: list[Path], bad: Bad) -> str:
    """How many files cannot be read, their names, and what was found in each."""
    names = [f"{paths[i].relative_to(folder)} ({bad[i].partition(', found ')[2]})" for i in sorted(bad)[:LISTED]]
    more = f", and {len(bad) - LISTED} more" if len(bad) > LISTED else ""
    return f"{len(bad)} of {len(paths)} files that cannot be read: {', '.join(names)}{more}"


def _refuse_bomb(paths: list[Path], image: int) -> None:
    """Detects small files of large blank images before all of them are decoded."""
    needed = len(paths) * image
    if needed > MOST_UNPACKED and needed > MOST_RATIO * (size := sum(need_file(path).stat().st_size for path in paths)):
        excess = f"{needed} (if they are meant to be blank, resize them or set a limit)"
        raise fault(paths[0].parent, f"images of at most {MOST_RATIO} times the {size} bytes of their files", excess)


# ---- one file


@contextmanager
def _opened(path: Path, pillow: ModuleType) -> Iterator[Any]:
    """An image file, opened and not decoded; whatever is damaged in it is a `DataError`."""
    try:
        size_on_disk = need_file(path).stat().st_size
        if size_on_disk > MOST_FILE:
            raise fault(path, f"a file of at most {MOST_FILE} bytes", str(size_on_disk))
        # From memory: Pillow asks a file for as many bytes as a damaged chunk promises, which are then allocated.
        with pillow.open(io.BytesIO(path.read_bytes()), formats=FORMATS) as image:
            yield image
    except (DataError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders fail in many ways on damaged files
        raise fault(path, "a sound image", re.sub(r" <_io\.BytesIO [^>]*>", "", named(error))) from error


def _has_colour(path: Path, pillow: ModuleType) -> bool:
    try:
        with _opened(path, pillow) as image:
            return image.mode not in GREY
    except DataError:
        return False  # it is named when it is decoded


def _decode(path: Path, pillow: ModuleType, size: int | None) -> np.ndarray:
    """One image as uint8 (H, W, 1 or 3), turned upright; how many its pixels are is looked at before they are unpacked.

    With a size it is (size, size): the largest square in its centre, averaged down (a Lanczos window, which is wider for
    larger images). A JPEG is decoded at an eighth, a quarter or half of its sides where that is still twice the size.
    """
    with _opened(path, pillow) as image:
        if size:
            image.draft(None, (2 * size, 2 * size))
        wide, high = image.size
        most = MOST_RESIZED if size else MOST_PIXELS
        if not 0 < wide * high <= most:
            raise fault(
                path, f"1 to {most} pixels{'' if size else ' (--size N takes larger images)'}", f"{wide}x{high}"
            )
        if image.mode.startswith(DEEP):
            raise fault(path, "8 bits a channel (convert it)", f"mode {image.mode}")
        grey = image.mode in GREY
        upright = image.convert("L" if grey else "RGB")
        if size:
            side = min(wide, high)
            box = ((wide - side) / 2, (high - side) / 2, (wide + side) / 2, (high + side) / 2)
            upright = upright.resize((size, size), pillow.Resampling.LANCZOS, box, reducing_gap=3.0)
        pixels = _upright(np.asarray(upright), image)
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
