"""Compute every case, and write one .npz and one .json for each module beside one manifest and one schema."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dimref import __version__
from dimref.audit.contract import Variant
from dimref.audit.vectors import EXCEPTIONS, SUITE, multiview, negative, networks, scores, tables, training
from dimref.audit.vectors.case import Case, compute, home_of
from dimref.audit.vectors.schema import SCHEMA
from dimref.laws import equations
from dimref.training.files import replace
from dimref.trees import leaves

FORMAT = 1  # of names and layout of the files; the numbers themselves do not change with versions, up to rounding
MANIFEST, SCHEMA_FILE = "manifest.json", "vectors.schema.json"

HOW_TO_READ = (
    "Each .npz is an uncompressed zip of .npy files; each .npy has a header with shape and dtype, then the numbers, "
    "little-endian and in C order (the last axis runs fastest). dtypes: <f8, <f4, <i8, |u1. A shape of () is one number. "
    "C++: cnpy, or skip the header, whose length is in bytes 8 and 9. Rust: ndarray-npy (NpzReader). Julia: NPZ.jl. "
    "inputs → function(inputs, options) → outputs. gradients: of the output `of` by each input named; where that output "
    "is no scalar, of the sum of its products with the input `weight`. float32: the same computed in float32. Inputs are "
    "multiples of 1/1024, exact in float32, except probability tables, channels and covariances (float64). Infinite outputs "
    "are meant. Compare float64 to about 1e-12 and float32 to about 1e-5 of the array's largest element."
)
HOW_TO_READ_JSON = (
    "A case is function(inputs, options) → outputs, gradients, as the manifest says. Ids stay. inf, -inf and nan are texts. "
    "mistakes: what known ones give in the case, where it differs from what is right by more than 1e-6; keys that give the "
    "same numbers there are together. What you may have made: a key that gives what you found wherever that is wrong, and "
    "has no numbers of its own wherever it is right. Titles and fixes: mistakes, by function."
)


def every_case() -> Iterator[Case]:
    """All cases, in the order of the files."""
    for family in (scores, tables, networks, training, multiview):
        yield from family.cases()


def arrays_of(case: Case) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of a case by role (inputs, outputs, gradients, and both of the latter in float32) and by name."""
    outputs, gradients = compute(case)
    found = {
        "inputs": dict(leaves(case.inputs)),
        "outputs": dict(leaves(outputs)),
        "gradients": dict(leaves(gradients)),
    }
    if case.float32:
        outputs, gradients = compute(case, "float32")
        found |= {"float32/outputs": dict(leaves(outputs)), "float32/gradients": dict(leaves(gradients))}
    return {role: {name: _plain(array) for name, array in arrays.items()} for role, arrays in found.items()}


def _plain(array: Any) -> np.ndarray:
    """Little-endian, in C order."""
    array = np.asarray(array)
    return array.astype(array.dtype.newbyteorder("<"), order="C")


def write(folder: Path) -> tuple[int, int]:
    """Write the vectors into a folder, each file whole or not at all; returns the number of cases and of arrays.

    Raises:
        OSError, RunError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)  # first: a place that cannot be written to is refused before the work
    files: dict[str, dict[str, np.ndarray]] = {}
    texts: dict[str, dict[str, Any]] = {}
    functions, entries = {}, []
    for case in every_case():
        module = case.function.partition(".")[0]
        functions[case.function] = _describe(case.function)
        arrays = arrays_of(case)
        entries.append(_add(case, arrays, files.setdefault(f"{module}.npz", {})))
        head = {"$schema": SCHEMA_FILE, "suite": SUITE, "module": module, "how_to_read": HOW_TO_READ_JSON}
        _add_text(case, arrays, texts.setdefault(f"{module}.json", {**head, "mistakes": {}, "cases": []}))
    for name, file in files.items():
        stream = io.BytesIO()
        np.savez(stream, **file)  # type: ignore[arg-type]
        replace(folder / name, stream.getvalue())
    content = {"format": FORMAT, "suite": SUITE, "dimref": __version__, "how_to_read": HOW_TO_READ}
    content |= {"not_here": EXCEPTIONS, "functions": functions, "cases": entries}
    for name, text in {**texts, SCHEMA_FILE: SCHEMA, MANIFEST: content}.items():
        indent = None if name in texts else 1
        line = json.dumps(text, indent=indent, ensure_ascii=False, allow_nan=False)
        replace(folder / name, (line.replace('{"id": ', '\n{"id": ') + "\n").encode())
    return len(entries), sum(map(len, files.values()))


def _add_text(case: Case, arrays: dict[str, dict[str, np.ndarray]], text: dict[str, Any]) -> None:
    """Put the case into the JSON of its module, with what known mistakes give in it."""
    found = negative.of_case(case, arrays["outputs"], arrays["gradients"])
    entry: dict[str, Any] = {"id": id_of(case), "function": case.function, "case": case.name, "options": case.options}
    if case.differentiate:
        entry["of"] = case.of
    entry |= {role: _numbers(arrays[role]) for role in ("inputs", "outputs", "gradients")}
    known = text["mistakes"].setdefault(case.function, {})
    entry["mistakes"] = [
        {"keys": [_key_in(known, mistake) for mistake in each.mistakes], **{
            role: _numbers({name: array for (where, name), array in each.arrays.items() if where == role})
            for role in ("outputs", "gradients")
        }}
        for each in found
    ]  # fmt: skip
    text["cases"].append(entry)


def _key_in(known: dict[str, Any], mistake: Variant) -> str:
    """The mistake's key among those of its function, where it is put; what shares a key with others has a number."""
    words = {name: getattr(mistake, name) for name in ("title", "consequence", "fix", "source")}
    keys = (mistake.key, *(f"{mistake.key}.{n}" for n in range(2, 1000)))
    return next(key for key in keys if known.setdefault(key, words)["title"] == mistake.title)


def _numbers(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Arrays as JSON has them."""
    found = {}
    for name, array in arrays.items():
        data = [x if math.isfinite(x) else str(x) for x in array.reshape(-1).tolist()]
        found[name] = {"shape": list(array.shape), "dtype": array.dtype.name, "data": data}
    return found


def id_of(case: Case) -> str:
    """The case's id, in plain ASCII: "bounds.infonce/same-location_square". Ids do not change."""
    plain = re.sub(r"[^0-9A-Za-z.-]+", "_", case.name.replace("×", "x")).strip("_")
    return f"{case.function}/{plain}"


def _add(case: Case, roles: dict[str, dict[str, np.ndarray]], file: dict[str, np.ndarray]) -> dict[str, Any]:
    """Put the arrays of a case into its file; returns its entry of the manifest."""
    entry: dict[str, Any] = {"id": id_of(case), "function": case.function, "case": case.name, "options": case.options}
    if case.differentiate:
        entry["of"] = case.of
    for role, arrays in roles.items():
        for name, array in arrays.items():
            key = key_of(case, role, name)
            file[key] = array
            entry.setdefault(role, {})[name] = {"array": key, "shape": list(array.shape), "dtype": array.dtype.str}
    return entry


def key_of(case: Case, role: str, name: str) -> str:
    """The array's name in its file: function/case/role/name."""
    return f"{id_of(case).partition('.')[2]}/{role}/{name}"


def _describe(function: str) -> dict[str, Any]:
    module = function.partition(".")[0]
    home, _, name = home_of(function).rpartition(".")
    described = getattr(importlib.import_module(f"dimref.{home}"), name)
    text = inspect.getdoc(described) or ""
    return {"file": f"{module}.npz", "meaning": text, "source": equations.source_of(described)}
