"""A run's checkpoint: arrays alone, uncompressed and without a pickle, under a checksum, and what is checked of one."""

from __future__ import annotations

import json
import math
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dimref.data.dataset import DataError, fault
from dimref.data.npy import npz_header, numbers, open_npz, read_npz_array
from dimref.errors import named
from dimref.training import config as configs
from dimref.training import metrics
from dimref.training.config import Config
from dimref.training.files import RunError, need_file, writing
from dimref.training.run_directory import BEST, METRICS, NEWEST
from dimref.training.signals import killable
from dimref.trees import Tree, leaves

FORMAT = 3  # since 3 with a checksum
META = "meta"  # the description in a checkpoint; what else may be in it:
TREE = r"\w+(/\w+){0,3}"
MEMBER = re.compile(
    rf"({META}|(parameters|adam/[mv])/(encoder|local|global|prior)/{TREE}|state/(encoder/{TREE}|mine/(local|global)))\.npy"
)


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `step` steps, on the host, and what is needed to go on from there."""

    step: int
    trees: Tree  # {"parameters", "state", "adam"}
    config: Config
    best: float  # the best held-out bound so far
    meta: dict[str, Any]  # what else to know about the run: its machine, its images, the encoder's layout

    @property
    def images(self) -> int:
        """How many it was trained on; 0 where its description does not say."""
        count = re.match(r"(\d{1,12}) of ", str(self.meta.get("images")))
        return int(count[1]) if count else 0


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint as an uncompressed .npz: arrays by path, and "meta", a JSON text."""
    arrays = {name: np.asarray(array) for name, array in leaves(checkpoint.trees)}
    meta = {
        "format": FORMAT,
        "step": checkpoint.step,
        "config": json.loads(configs.write(checkpoint.config)),
        "best": str(checkpoint.best),  # may be -inf, which JSON has no name for
        **checkpoint.meta,
    }
    meta["checksum"] = checksum(meta, arrays)
    with writing(path) as file:
        np.savez(file, **{META: np.array(json.dumps(meta)), **arrays})  # type: ignore[arg-type]


def checksum(meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """Of all that a checkpoint holds: its description, and name, type, shape and content of every array."""
    total = zlib.crc32(json.dumps(meta).encode())
    for name, array in sorted(arrays.items()):
        total = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), total)
        total = zlib.crc32(np.ascontiguousarray(array).data, total)
    return f"CRC {total:08x}"


@killable()
def load(path: Path) -> Checkpoint:
    """Read a checkpoint back: first what is in it, by name, type and shape; then the content, if it is one.

    Raises:
        RunError: it is missing, damaged, no checkpoint, or of another format.
    """
    need_file(path)
    if not path.exists():
        other = path.name == NEWEST and (path.parent / BEST).exists()
        advice = "the run kept its best one alone: --checkpoint best" if other else "start the run again"
        raise RunError(f"{path}: expected a checkpoint, found no such file; {advice}")
    try:
        with open_npz(path) as archive:
            names = _check_members(path, archive)
            meta = json.loads(str(read_npz_array(path, archive, META, _check_text)[0]))
            if meta["format"] != FORMAT:
                raise RunError(
                    f"{path}: expected checkpoint format {FORMAT}, found {meta['format']!r}, of another version of "
                    f"dimref; go on with that version, or start the run again"
                )
            arrays = {name: read_npz_array(path, archive, name)[0] for name in names}
            recorded = meta.pop("checksum")
            if recorded != checksum(meta, arrays):
                raise fault(path, f"content of the checksum {recorded}", f"content of {checksum(meta, arrays)}")
            step, best, options = (meta.pop(name) for name in ("step", "best", "config"))
            del meta["format"]
            best = float(best)
    except DataError as error:
        cause = error.__cause__
        what = "one that cannot be read" if isinstance(cause, OSError) else "a damaged file"
        why = named(cause) if cause else str(error).removeprefix(f"{path}: ")
        raise RunError(f"{path}: expected a complete checkpoint, found {what} ({why})") from None
    if type(step) is not int or not 0 <= step < 1 << 63 or math.isnan(best):
        raise RunError(f"{path}: expected a step and a bound, found step {step!r}, bound {best}")
    return Checkpoint(step, _nested(arrays), Config(**configs.checked_types(options, str(path))), best, meta)


def _check_members(path: Path, archive: zipfile.ZipFile) -> list[str]:
    """The names of the arrays of an archive that can be a checkpoint; no more than headers are read.

    Raises:
        RunError: something in it is compressed, unknown or twice there, or they claim more than the file has.
    """
    members = archive.infolist()
    for info in members:
        if info.compress_type != zipfile.ZIP_STORED:
            raise RunError(f"{path}: expected arrays stored as dimref does, uncompressed, found {info.filename} packed")
        if not MEMBER.fullmatch(info.filename):
            raise RunError(f"{path}: expected the arrays of a checkpoint, found {info.filename!r}")
    size, claimed = path.stat().st_size, sum(info.file_size for info in members)
    names = [info.filename.removesuffix(".npy") for info in members]
    if claimed > size or len(set(names)) < len(names):
        raise RunError(f"{path}: expected each array once in {size} bytes, found {len(names)} of {claimed} bytes")
    _nested(dict.fromkeys(names))
    names.remove(META)
    for name in names:
        numbers(f"{path}, array {name!r}", *npz_header(path, archive, name))
    return names


def _check_text(where: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if dtype.kind != "U" or shape:
        raise fault(where, "a text", f"{dtype} {shape}")


def newest(run: Path) -> Checkpoint | None:
    """The run's newest checkpoint; None where the run was killed before its first, with nothing to lose yet.

    Raises:
        RunError: as `load`; also where there are metrics but no checkpoint that they belong to.
    """
    begun = [name for name in (METRICS, NEWEST, BEST) if (run / name).exists()]
    if not begun or (begun == [METRICS] and not metrics.read(run / METRICS)):
        return None
    return load(run / NEWEST)


def _nested(arrays: dict[str, Any]) -> Tree:
    tree: Tree = {}
    for path, array in arrays.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        if name in node:
            raise ValueError(f"an array and a branch, both called {path}")
        node[name] = array
    return tree


def check_same_shapes(path: Path, tree: Tree, expected: Tree) -> None:
    """Raise RunError unless both trees have the same arrays, by name, shape and type."""
    kinds = {name: (np.asarray(a).dtype, np.shape(a)) for name, a in leaves(tree)}
    for name, array in leaves(expected):
        there, right = kinds.pop(name, None), (np.asarray(array).dtype, np.shape(array))
        if there != right:
            words = f"{there[0]} {there[1]}" if there else "none"
            raise RunError(
                f"{path}: expected {name} as {right[0]} {right[1]}, found {words}: a checkpoint of another configuration"
            )
    if kinds:
        raise RunError(f"{path}: expected no {next(iter(kinds))}, found a checkpoint of another configuration")
