"""Walk a step in order, beside a trace of it: what conforms, what departs first and how, what only follows from that.

An array conforms if it equals the trace's, or what follows from the other side's own earlier arrays without being far from
the trace's. One that follows from theirs and is far from the trace's is *explained* by the departures above it. One that
does neither is a departure of its own: it is named, and a named mistake counts as theirs from there on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dimref.audit.trace import manifest
from dimref.audit.trace.graph import Graph
from dimref.audit.trace.layouts import LAYOUTS, recipe
from dimref.audit.trace.relations import Finding
from dimref.audit.trace.search import diagnose
from dimref.audit.trace.step import forward, state_after
from dimref.audit.trace.tolerance import LOOSE, Tolerance
from dimref.data.dataset import fault
from dimref.data.files import MOST_UNPACKED
from dimref.data.npy import npz_header, npz_names, numbers, open_npz, read_npz_array
from dimref.errors import DimrefError, named
from dimref.objectives import Objective

UNKNOWN = Finding("unknown", "no simple relation found")
MOST_MANIFEST = 1 << 26  # bytes
MOST_SEARCHES = 4  # departures without a known reason that are searched for at length


@dataclass
class Departure:
    """An array that departs, and what was found about it."""

    name: str
    finding: Finding
    shape: tuple[int, ...]
    worst: dict[str, Any] = field(default_factory=dict)  # "at", "expected", "found", "relative": of the scale
    also: list[str] = field(default_factory=list)  # later arrays with the same finding of their own
    explains: list[str] = field(default_factory=list)


@dataclass
class Comparison:
    """What the walk found, names in step order."""

    source: str
    conforming: list[str] = field(default_factory=list)
    departures: list[Departure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """ "conforms" or "departs"."""
        return "departs" if self.departures else "conforms"


# ---- files


def read_reference(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Manifest and arrays of a trace.

    Raises:
        DimrefError: it is no trace, or it is damaged.
    """
    with open_npz(path) as archive:
        if "manifest" not in npz_names(archive):
            raise fault(path, "a trace of dimref audit trace export", "no manifest in it")
        text, _ = read_npz_array(path, archive, "manifest", check=_check_bytes, most_bytes=MOST_MANIFEST)
    found = manifest.read(text, str(path))
    with open_npz(path) as archive:
        try:
            entries = {entry["name"]: (entry["shape"], entry["layout"]) for entry in found["arrays"]}
            return found, _read_described(path, archive, entries, found["sizes"]["last_side"])
        except (KeyError, TypeError, ValueError, ArithmeticError, IndexError) as error:
            raise fault(path, "the arrays of its manifest", str(error)) from None


def _check_bytes(where: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if dtype != np.uint8:
        raise fault(where, "a text in bytes", f"{dtype} {shape}")


def _check_described(expected: list[int], where: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    numbers(where, shape, dtype)
    if list(shape) != expected:
        raise fault(where, f"the shape {expected} of its manifest", str(shape))


def _read_described(path: Path, archive: Any, entries: dict[str, Any], side: int) -> dict[str, np.ndarray]:
    """The arrays that a manifest lists; what else is in the file (the copies in PyTorch's layout) is left there."""
    arrays: dict[str, np.ndarray] = {}
    left = MOST_UNPACKED
    for name, (shape, layout) in entries.items():
        array, _ = read_npz_array(path, archive, name, check=partial(_check_described, shape), most_bytes=left)
        left -= array.nbytes
        if layout not in LAYOUTS:
            raise ValueError(f"the layout {layout!r}")
        recipe(layout, shape, side)
        arrays[name] = array
    return arrays


def read_theirs(path: Path, shapes: dict[str, tuple[int, ...]]) -> tuple[dict[str, np.ndarray], list[str], list[str]]:
    """The arrays of a file that have a name in `shapes`, the rest's names, and of which arrays the size is wrong.

    Names are as in the file, with torch/ in front where they have it. Nothing else is read, and no array of another size.
    """
    found, unknown, misshapen = {}, [], []
    with open_npz(path) as archive:
        for name in npz_names(archive):
            plain = name.removeprefix("torch/")
            if plain not in shapes:
                unknown.append(name)
            elif int(np.prod(npz_header(path, archive, name)[0], dtype=object)) != int(
                np.prod(shapes[plain], dtype=object)
            ):
                misshapen.append(f"{name} {npz_header(path, archive, name)[0]}")
            else:
                found[name] = read_npz_array(path, archive, name)[0]
    return found, [name for name in unknown if name != "manifest"], misshapen


# ---- the walk


def compare(reference: Path, theirs: Path) -> Comparison:
    """Hold the arrays of a file against a trace.

    Raises:
        DimrefError: a file cannot be read, or the first one is no trace.
    """
    manifest_entry, arrays = read_reference(reference)
    shapes = {name: array.shape for name, array in arrays.items()}
    found, unknown, misshapen = read_theirs(theirs, shapes)
    if not found and not misshapen:
        names = ", ".join(unknown[:4]) or "none"
        raise DimrefError(f"{theirs}: expected arrays with names of {reference}, found {names}")
    walk = Walk(manifest_entry, arrays, found, str(reference))
    try:
        return walk.run(Comparison(str(theirs), unknown=unknown), misshapen)
    except Exception:
        walk.prove_reference()  # an inconsistent trace is reported as such
        raise


class Walk:
    """One comparison at work: the two graphs, and what has departed so far."""

    def __init__(
        self,
        manifest_entry: dict[str, Any],
        reference: dict[str, np.ndarray],
        theirs: dict[str, np.ndarray],
        source: str,
    ) -> None:
        config, objective, layout = manifest.step_of(manifest_entry, source)
        self._source = source
        self._layouts = {entry["name"]: entry["layout"] for entry in manifest_entry["arrays"]}
        self._side = manifest_entry["sizes"]["last_side"]
        self._sizes = {
            name: size for name, size in manifest_entry["sizes"].items() if name not in ("B", "M", "last_side")
        }
        if isinstance(objective, Objective) and objective.bound == "infonce":
            self._sizes["K"] = objective.candidates
        self._reference = {name: _double(array) for name, array in reference.items()}
        self._raw: dict[str, np.ndarray] = {}
        self._theirs: dict[str, np.ndarray] = {}
        self._eps: dict[str, float] = {}
        self._reshaped: list[str] = []
        for name, array in theirs.items():
            plain = name.removeprefix("torch/")
            if name == plain or plain not in theirs:
                self._raw[plain] = array
                self._theirs[plain] = self._in_our_layout(name, array)
                self._eps[plain] = float(np.finfo(np.float64 if array.dtype == np.float64 else np.float32).eps)
        steps, after = forward(objective, layout), state_after(objective, layout)
        own = {name: self._reference[name] for name in self._theirs}
        step = manifest_entry["steps_before"]
        self._graph = Graph(steps, after, self._reference, self._theirs, step, config.lr)
        self._own_graph = Graph(steps, after, self._reference, own, step, config.lr)
        eps = float(np.finfo(manifest_entry["dtype"]).eps)
        self._tolerance = Tolerance(self._graph, self._own_graph, self._reference, eps, config.lr)
        self._searches = 0

    def _in_our_layout(self, name: str, array: np.ndarray) -> np.ndarray:
        plain = name.removeprefix("torch/")
        shape = self._reference[plain].shape
        how = recipe(self._layouts[plain], shape, self._side) if name != plain else None
        if array.shape != (shape if how is None else how.shape):
            self._reshaped.append(name)
        return _double(array if how is None else how.undo(array.reshape(-1))).reshape(shape)

    def run(self, result: Comparison, misshapen: list[str]) -> Comparison:
        """Every array in step order."""
        wrong_size = {text.split(" ", 1)[0].removeprefix("torch/"): text.split(" ", 1)[1] for text in misshapen}
        for name in self._reference:
            if name in wrong_size:
                expected = self._reference[name].shape
                finding = Finding("shape", f"shape {wrong_size[name]} in place of {expected}")
                result.departures.append(Departure(name, finding, expected))
            elif name not in self._theirs:
                result.missing.append(name)
            else:
                self._look_at(name, result)
        result.remarks += self._remarks()
        return result

    def prove_reference(self) -> None:
        """Evaluate every piece on the trace's own arrays.

        Raises:
            DimrefError: they are not the arrays of the manifest's step.
        """
        try:
            for name in self._reference:
                self._own_graph.inputs(name)
                self._own_graph.expected(name)
        except Exception as error:  # arrays of any shape and type fail in many ways
            line = named(error)
            raise DimrefError(
                f"{self._source}: expected the arrays of the step in its manifest, found {line}"
            ) from None

    def _look_at(self, name: str, result: Comparison) -> None:
        found = self._theirs[name]
        if self._close(name, found, self._reference[name]):
            result.conforming.append(name)
            return
        above = self._above(name, result)
        near = self._close(name, found, self._reference[name], LOOSE)
        if self._close(name, found, self._graph.expected(name)):
            if near or not above:
                result.conforming.append(name)
            for departure in () if near else above:
                departure.explains.append(name)
        elif above and near:
            result.conforming.append(name)
        else:
            self._depart(name, found, result)

    def _above(self, name: str, result: Comparison) -> list[Departure]:
        """The departures that an array depends on: on what departs, or on what was done instead."""
        names = self._graph.ancestors(name) | {name}
        found = []
        for departure in result.departures:
            cut = departure.finding.cut
            marks = {departure.name, *departure.also, *(departure.finding.functions or ())}
            if not names.isdisjoint(marks | ({f"gradient/{cut[0]}"} if cut else set())):
                found.append(departure)
        return found

    def _close(self, name: str, found: np.ndarray, expected: Any, times: float = 1) -> bool:
        return self._tolerance.close(name, found, expected, self._eps[name], times)

    def _depart(self, name: str, found: np.ndarray, result: Comparison) -> None:
        expected = self._graph.expected(name)
        how = recipe(self._layouts[name], found.shape, self._side)
        finding = UNKNOWN
        if self._searches < MOST_SEARCHES:

            def close(candidate: np.ndarray | None) -> bool:
                return self._close(name, found, candidate)

            finding = diagnose(name, found, self._graph, close, self._sizes, how) or UNKNOWN
            self._searches += finding is UNKNOWN
        if finding.saved is not None:
            self._theirs[name] = finding.saved
        self._graph.accept(finding.functions, finding.cut)
        departure = Departure(name, finding, found.shape, _worst(found, expected))
        same = [d for d in result.departures if d.finding.id == finding.id and d.finding.text == finding.text]
        if same and finding is not UNKNOWN:
            same[0].also.append(name)
        else:
            result.departures.append(departure)

    def _remarks(self) -> Iterator[str]:
        if self._reshaped:
            yield f"another shape, the same elements in the same order: {', '.join(self._reshaped[:6])}"
        kinds = sorted({str(array.dtype) for array in self._raw.values() if array.dtype.kind == "f"})
        if len(kinds) > 1:
            yield f"computed or stored in {', '.join(kinds)}"


def _double(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype.kind == "f" else array.astype(np.int64)


def _worst(found: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    error = np.where(np.isfinite(found), np.abs(found - expected), np.inf)
    if not error.size:
        return {}
    at = np.unravel_index(int(error.argmax()), error.shape)
    scale = float(np.abs(expected).max())
    return {
        "at": [int(i) for i in at],
        "expected": float(expected[at]),
        "found": float(found[at]),
        "relative": float(error[at]) / scale if scale else float("inf"),
    }
