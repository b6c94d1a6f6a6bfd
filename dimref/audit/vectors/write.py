"""Compute every case, and write one .npz for each module beside one manifest."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dimref import THEORY, __version__
from dimref.audit.vectors import EXCEPTIONS, multiview, networks, scores, tables, training
from dimref.audit.vectors.case import Case, compute
from dimref.laws import equations
from dimref.training.files import replace
from dimref.trees import leaves

FORMAT = 1  # of names and layout of the files; the numbers themselves do not change with versions, up to rounding
MANIFEST = "manifest.json"

HOW_TO_READ = (
    "Each .npz is an uncompressed zip of .npy files; each .npy has a header with shape and dtype, then the numbers, "
    "little-endian and in C order (the last axis runs fastest). dtypes: <f8, <f4, <i8, |u1. A shape of () is one number. "
    "C++: cnpy, or skip the header, whose length is in bytes 8 and 9. Rust: ndarray-npy (NpzReader). Julia: NPZ.jl. "
    "inputs → function(inputs, options) → outputs. gradients: of the output `of` by each input named; where that output "
    "is no scalar, of the sum of its products with the input `weight`. float32: the same computed in float32. Inputs are "
    "multiples of 1/1024, exact in float32, except probability tables, channels and covariances (float64). Infinite outputs "
    "are meant. Compare float64 to about 1e-12 and float32 to about 1e-5 of the array's largest element."
)

HOMES = {  # the modules of functions whose published names are shorter
    "amdim": "amdim.objective",
    "augment": "amdim.augmentation",
    "multiscale": "amdim.encoder",
    "encoders.fold": "engine.folded",
    "encoders.encode_folded": "engine.folded",
    **{name: f"theory.{name}" for name in THEORY},
}
RENAMED = {  # published names stay
    "discriminators.concat_square": "discriminators.concat_scores",
    "discriminators.dot_square": "discriminators.dot_scores",
}


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
    files: dict[str, dict[str, np.ndarray]] = {}
    functions, entries = {}, []
    for case in every_case():
        module = case.function.partition(".")[0]
        functions[case.function] = _describe(case.function)
        entries.append(_add(case, files.setdefault(f"{module}.npz", {})))
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        stream = io.BytesIO()
        np.savez(stream, **file)  # type: ignore[arg-type]
        replace(folder / name, stream.getvalue())
    content = {"format": FORMAT, "dimref": __version__, "how_to_read": HOW_TO_READ}
    content |= {"not_here": EXCEPTIONS, "functions": functions, "cases": entries}
    replace(folder / MANIFEST, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    return len(entries), sum(map(len, files.values()))


def _add(case: Case, file: dict[str, np.ndarray]) -> dict[str, Any]:
    """Put the arrays of a case into its file; returns its entry of the manifest."""
    entry: dict[str, Any] = {"function": case.function, "case": case.name, "options": case.options}
    if case.differentiate:
        entry["of"] = case.of
    for role, arrays in arrays_of(case).items():
        for name, array in arrays.items():
            key = key_of(case, role, name)
            file[key] = array
            entry.setdefault(role, {})[name] = {"array": key, "shape": list(array.shape), "dtype": array.dtype.str}
    return entry


def key_of(case: Case, role: str, name: str) -> str:
    """The array's name in its file, in plain ASCII: function/case/role/name."""
    plain = re.sub(r"[^0-9A-Za-z.-]+", "_", case.name.replace("×", "x")).strip("_")
    return f"{case.function.partition('.')[2]}/{plain}/{role}/{name}"


def home_of(function: str) -> str:
    """Where a function of a published name is defined: "theory.information.entropy" for information.entropy."""
    module, _, name = RENAMED.get(function, function).partition(".")
    return f"{HOMES.get(function, HOMES.get(module, module))}.{name}"


def _describe(function: str) -> dict[str, Any]:
    module = function.partition(".")[0]
    home, _, name = home_of(function).rpartition(".")
    described = getattr(importlib.import_module(f"dimref.{home}"), name)
    text = inspect.getdoc(described) or ""
    return {"file": f"{module}.npz", "meaning": text, "source": equations.source_of(described)}
