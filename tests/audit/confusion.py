"""Planted against named: every planted implementation audited, as a table. `python tests/audit/confusion.py [FILE …]`"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pytest

from dimref.audit import callables, matching, numerical
from dimref.audit.answer import Answer, Inputs, Signature, Target
from dimref.audit.answering import evaluate
from dimref.audit.callables import LawResult
from dimref.audit.calling import InProcess
from dimref.audit.contract import Form, find
from dimref.audit.numerical import Departure
from dimref.audit.verdict import MISTAKE, Judgement
from dimref.trees import leaves

PLANTED = Path(__file__).parent / "planted"
CASES = {"information": 48}  # tables are cheap, and rarely 0 where it matters
OTHERWISE = 18
SEARCHED = 8
WORDS = {
    "conforms": "conforms",
    "another valid convention": "convention",
    "mistake": "mistake",
    "conforms within": "within",
}


@dataclass(frozen=True)
class Plant:
    """One planted implementation and what the audit must say of it, as "mistake no-log"."""

    file: str
    function: str
    contract: str  # "kind name form"
    expected: str

    @property
    def id(self) -> str:
        return f"{self.file}.{self.function}"

    @property
    def framework(self) -> str:
        return self.file.rpartition("_")[2]


@dataclass(frozen=True)
class Finding:
    """What the audit said of a plant."""

    plant: Plant
    named: str  # as `Plant.expected`
    diagnosis: str

    @property
    def right(self) -> bool:
        return self.named == self.plant.expected


def load(name: str) -> ModuleType:
    """A module of this folder or of `planted`, by its file's name."""
    place = PLANTED / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"planted_{name}", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if name.endswith("_torch"):
        # Tensors of a few numbers: more threads would only wait for each other.
        importlib.import_module("torch").set_num_threads(1)
    return module


def plants(*files: str) -> Iterator[Plant]:
    """Every plant of the manifest, or those of some files."""
    for file, audits in load("manifest").MANIFEST.items():
        if files and file not in files:
            continue
        for contract, verdicts in audits.items():
            for expected, _, functions in (
                entry.strip().partition(": ") for entry in " ".join(verdicts.split()).split(";")
            ):
                for function in functions.split():
                    yield Plant(file, function, contract, expected)


_MEMO: dict[Any, Answer] = {}


def remembered(function: Callable[[Inputs], Any], signature: Signature, inputs: Inputs) -> Answer:
    """`evaluate`, once for each function and inputs: the plants of a quantity are asked about the same inputs."""
    told = tuple(
        (key, np.shape(leaf), leaf.tobytes() if isinstance(leaf, np.ndarray) else leaf) for key, leaf in leaves(inputs)
    )
    key = function, signature, told
    if key not in _MEMO:
        _MEMO[key] = evaluate(function, signature, inputs)
    return _MEMO[key]


@contextmanager
def verdicts_alone() -> Iterator[None]:
    """What takes the time of hundreds of audits and decides no verdict is left out.

    References and variants answer from memory, fewer cases are hunted for, no counterexample is shrunk, and what only
    adds to the report is not tried.
    """
    with ExitStack() as stack:
        for module in (callables, matching, numerical):
            stack.enter_context(mock.patch.object(module, "evaluate", remembered))
        stack.enter_context(mock.patch.object(callables, "SEARCHED", SEARCHED))
        stack.enter_context(mock.patch.object(callables, "_counterexample", return_value=None))
        stack.enter_context(mock.patch.object(callables.consequence, "of", return_value=""))
        stack.enter_context(mock.patch.object(callables, "_range", scanned))
        stack.enter_context(mock.patch.object(callables, "_laws", held))
        yield


_RANGE, _LAWS = callables._range, callables._laws


def scanned(form: Form, target: Target, judgement: Judgement, *rest: Any) -> list[Departure]:
    """`_range`, where it can change the verdict: a mistake stays the mistake that it is."""
    decided = judgement.verdict == MISTAKE and not judgement.gradient_right
    return [] if decided else _RANGE(form, target, judgement, *rest)


def held(form: Form, *rest: Any) -> tuple[LawResult, ...]:
    """`_laws`, where these are all there is."""
    return _LAWS(form, *rest) if form.reference is None else ()


def audited(plant: Plant, module: ModuleType, cases: int = 0, seed: int = 0) -> Finding:
    """The audit's word on one plant."""
    kind, name, form = plant.contract.split()
    contract = find(kind, name)
    target = InProcess(getattr(module, plant.function), plant.framework if plant.framework == "jax" else "")
    with verdicts_alone():
        report = callables.run(target, contract, contract.form(form), cases or CASES.get(kind, OTHERWISE), seed)
    verdict = WORDS.get(report.verdict, report.verdict)
    named = " ".join(part for part in (verdict, report.judgement.key) if part)
    return Finding(plant, named, report.judgement.diagnosis)


_MODULES: dict[str, ModuleType] = {}


def assert_named_rightly(plant: Plant) -> None:
    """The audit says of a plant what the manifest says; skipped where its framework is missing."""
    if plant.framework in ("torch", "jax") and importlib.util.find_spec(plant.framework) is None:
        pytest.skip(f"{plant.framework} is not installed: {plant.file} is written with it")
    if plant.file not in _MODULES:
        _MODULES[plant.file] = load(plant.file)
    finding = audited(plant, _MODULES[plant.file])
    assert finding.right, finding.diagnosis


def table(findings: list[Finding]) -> str:
    """A row for each quantity: how many were planted, by verdict, and how many of them were named rightly."""
    rows = ["| quantity | conforming | other conventions | mistakes | named rightly |", "|---|---|---|---|---|"]
    by_quantity: dict[str, list[Finding]] = {}
    for finding in findings:
        by_quantity.setdefault(" ".join(finding.plant.contract.split()[:2]), []).append(finding)
    for quantity, some in [*by_quantity.items(), ("**all**", findings)]:
        planted = Counter(f.plant.expected.split()[0] for f in some)
        right = sum(f.right for f in some)
        counts = " | ".join(str(planted[verdict]) for verdict in ("conforms", "convention", "mistake"))
        rows.append(f"| {quantity} | {counts} | {right} of {len(some)} |")
    return "\n".join(rows)


def verdicts(findings: list[Finding]) -> str:
    """Planted verdict against found verdict; the right name is asked for on the diagonal."""
    words = ("conforms", "convention", "mistake")
    rows = ["| planted | conforms | convention | mistake, named | mistake, other name |", "|---|---|---|---|---|"]
    for word in words:
        some = [f for f in findings if f.plant.expected.split()[0] == word]
        found = Counter(f.named.split()[0] if f.named.split()[0] != "mistake" or f.right else "other" for f in some)
        cells = " | ".join(str(found[key]) for key in (*words, "other"))
        rows.append(f"| {word} | {cells} |")
    return "\n".join(rows)


def main(files: list[str]) -> int:
    findings: list[Finding] = []
    modules: dict[str, ModuleType | None] = {}
    for plant in plants(*files):
        if plant.file not in modules:
            try:
                modules[plant.file] = load(plant.file)
            except ModuleNotFoundError as error:
                print(f"{plant.file}: left out, {error.name} is not installed")
                modules[plant.file] = None
        module = modules[plant.file]
        if module is None:
            continue
        finding = audited(plant, module)
        findings.append(finding)
        if not finding.right:
            print(f"{plant.id} ({plant.contract}): planted {plant.expected!r}, named {finding.named!r}:", flush=True)
            print(f"  {finding.diagnosis}\n", flush=True)
    print(table(findings), verdicts(findings), sep="\n\n")
    return int(not all(finding.right for finding in findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
