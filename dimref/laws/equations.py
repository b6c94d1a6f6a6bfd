"""From a paper's equation to the code: which functions, laws and tests stand for it, read from their `Source:` lines.

A source is a list of pieces separated by semicolons; a piece names a paper and places in it, as in "arXiv 1905.06922,
eq. (10)" or "Cover & Thomas 2006, theorem 2.8.1". A piece without a paper goes on with the one before it.
"""

import ast
import importlib
import inspect
import re
from dataclasses import dataclass, field
from pathlib import Path

from dimref.errors import DimrefError, nearest
from dimref.laws import LAWS

MODULES = (
    "bounds", "negatives", "theory.information", "theory.f_divergences", "theory.gaussian", "theory.channels",
    "discriminators", "objectives", "encoders", "layers", "optim", "amdim.augmentation", "amdim.encoder", "amdim.objective",
    "distributed.ranks",
)  # fmt: skip
TESTS = Path(__file__).parents[2] / "tests"  # beside the package in a checkout, not there when it is installed

_ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")
_BOOK = re.compile(r"\s*([A-Z][\w&,. ]*? (?:19|20)\d\d)\b")
_PLACE = re.compile(
    r"eq\. \([\w.]+\)|\b(?:sections?|table|figure|appendix|algorithm|theorems?|problem|example) [\dA-Z][\w.]*\b"
)


@dataclass
class Entry:
    """What stands for one place in one paper."""

    paper: str  # "1905.06922" for arXiv, "Cover & Thomas 2006" for a book
    place: str  # "eq. (10)", "section 2.3"; empty where the whole paper is meant
    functions: list[str] = field(default_factory=list)
    laws: list[str] = field(default_factory=list)
    oracles: list[str] = field(default_factory=list)  # each function's own test file
    tests: list[str] = field(default_factory=list)  # further ones


def parse(source: str) -> list[tuple[str, str]]:
    """The (paper, place) pairs of a source."""
    result: list[tuple[str, str]] = []
    paper = ""
    for piece in source.split(";"):
        named = _ARXIV.search(piece) or _BOOK.match(piece)
        if named:
            paper = named[1]
        places = [re.sub(r"^(\w+)s (?=\d)", r"\1 ", place) for place in _PLACE.findall(piece)]
        if paper and (places or named):
            result += [(paper, place) for place in places or [""]]
    return result


def source_of(function: object) -> str:
    """The text after `Source:` in a docstring, on one line; empty if there is none."""
    _, _, text = (inspect.getdoc(function) or "").partition("Source:")
    return " ".join(re.split(r"\n\S", text, maxsplit=1)[0].split())


def public_functions() -> dict[str, object]:
    """Every public function and class of the mathematical modules, as `bounds.dv`."""
    result = {}
    for name in MODULES:
        module = importlib.import_module(f"dimref.{name}")
        for attribute, value in vars(module).items():
            own = getattr(value, "__module__", "") == module.__name__
            if own and callable(value) and not attribute.startswith("_"):
                result[f"{name}.{attribute}"] = value
    return result


def tests_of() -> dict[str, list[str]]:
    """By function, the test files that name it. Empty when dimref is installed without its tests."""
    mentions: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        relative = path.relative_to(TESTS.parent).as_posix()
        for name in mentioned(ast.parse(path.read_text(encoding="utf-8"))):
            mentions.setdefault(name, []).append(relative)
    return mentions


def mentioned(tree: ast.AST) -> set[str]:
    """The library's functions that a module names: `bounds.dv` after `from dimref import bounds`, under any alias, and
    `from dimref.bounds import dv`."""
    modules: dict[str, str] = {}
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dimref":
            for alias in node.names:
                full = f"{node.module}.{alias.name}".removeprefix("dimref.")
                modules[alias.asname or alias.name] = full
                names.add(full)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            names.add(f"{modules[node.value.id]}.{node.attr}")
    return names


def oracle_test(function: str) -> str:
    """The test file that mirrors a function's own: tests/theory/test_information.py for theory.information.entropy."""
    *folders, module, _ = function.split(".")
    return "/".join(("tests", *folders, f"test_{module}.py"))


def entries() -> list[Entry]:
    """Every place that is cited, by paper and place."""
    table: dict[tuple[str, str], Entry] = {}

    def at(key: tuple[str, str]) -> Entry:
        return table.setdefault(key, Entry(*key))

    tests = tests_of()
    for name, function in public_functions().items():
        for key in dict.fromkeys(parse(source_of(function))):
            at(key).functions.append(name)
            for test in tests.get(name, []):
                names = at(key).oracles if test == oracle_test(name) else at(key).tests
                names += [] if test in names else [test]
    for law in sorted(LAWS, key=lambda law: law.family != "exact"):  # a bound's first law is what it bounds
        for key in dict.fromkeys(parse(law.source)):
            at(key).laws.append(law.name)
            test = f"tests/laws/test_{law.family}.py"
            if (TESTS.parent / test).exists() and test not in at(key).tests:
                at(key).tests.append(test)
    for entry in table.values():
        entry.tests = [test for test in entry.tests if test not in entry.oracles]
    return sorted(table.values(), key=lambda entry: (not entry.paper[0].isdigit(), entry.paper, _order(entry.place)))


def _order(place: str) -> tuple[int, str, list[int]]:
    """Equations first, then the rest by name; 2.10 after 2.9."""
    return (not place.startswith("eq."), place.split(" ")[0], [int(n) for n in re.findall(r"\d+", place)])


def select(requested: str) -> list[Entry]:
    """The entries of "PAPER" or "PAPER:NUMBER"; all of them for an empty text.

    Raises:
        DimrefError: no function or law cites that paper, or that place in it.
    """
    every = entries()
    if not requested:
        return every
    paper, _, number = requested.removeprefix("arXiv").strip(" :").partition(":")
    of_paper = [entry for entry in every if entry.paper == paper]
    if not of_paper:
        papers = dict.fromkeys(entry.paper for entry in every)
        raise DimrefError(
            f"equations: expected a paper of {', '.join(papers)}; found {paper!r}{nearest(paper, papers)}"
        )
    result = [entry for entry in of_paper if not number or number in (entry.place, entry.place[5:-1])]
    if not result:
        known = ", ".join(entry.place[5:-1] for entry in of_paper if entry.place.startswith("eq."))
        raise DimrefError(f"equations: expected a number of {paper}: {known or 'none is cited'}; found {number!r}")
    return result
