"""Which room may import which: the rules of the house, read from every import, lazy ones and those for types included.

What breaks a rule today stands in `KNOWN`: whoever mends it takes it out, and nothing new comes in.
"""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dimref"
BESIDE = {"__init__", "__main__", "backend", "cli", "errors"}  # files in dimref/ that are not the reference

KNOWN = {
    ("audit.catalogue.measures", "evaluation.ssim"),
}


def name_of(path):
    """A module's name without "dimref.": "audit.report", and "audit" for the file of the room itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room_of(module):
    """The folder a module lies in; "reference", or its own name, for a file in dimref/."""
    room = module.partition(".")[0]
    return "reference" if (PACKAGE / f"{room}.py").exists() and room not in BESIDE else room


@functools.cache
def imports():
    """{(importer, imported)}: modules of dimref without "dimref.", and every other one by its first name as "numpy/"."""
    found = set()
    for name, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found |= {(name, imported) for imported in imported_by(node)}
    return found


def imported_by(node):
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        both = [(f"{node.module}.{alias.name}", node.module) for alias in node.names]
        names = [full if full.removeprefix("dimref.") in FILES else module for full, module in both]
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        names = [a.value for a in node.args[:1] if isinstance(a, ast.Constant)]
    else:
        names = []
    for name in names:
        first, _, rest = name.partition(".")
        yield (rest or "__init__") if first == "dimref" else f"{first}/"


def refuse(broken):
    """Fail with every import that breaks a rule, unless it is known."""
    assert broken <= KNOWN, "\n".join(f"{importer} imports {imported}" for importer, imported in sorted(broken - KNOWN))


def outside(importers, allowed):
    """Imports of some rooms that are of no allowed room or library."""
    libraries = {f"{name}/" for name in sys.stdlib_module_names}
    return {
        (importer, imported)
        for importer, imported in imports()
        if room_of(importer) in importers
        if (imported not in libraries if imported.endswith("/") else room_of(imported) not in importers)
        if (imported if imported.endswith("/") else room_of(imported)) not in allowed and imported not in allowed
    }


PLAIN = {"numpy/", "autograd/"}
LOCKSTEP = {"distributed.ranks", "distributed.threads"}  # W ranks in one process: what laws of ranks are tried on
ALLOWED = {
    "reference": PLAIN,
    "backend": {"numpy/", "errors", "reference", "engine"},  # which is where it asks for CuPy
    "amdim": {"reference", *PLAIN},
    "theory": {"numpy/", "errors"},
    "laws": {"reference", "amdim", "theory", "backend", "errors", "hypothesis/", *LOCKSTEP, *PLAIN},
    "engine": {
        "reference",
        "amdim",
        "backend",
        "errors",
        "cupy/",
        "cupyx/",
        "cupy_backends/",
        "threadpoolctl/",
        *PLAIN,
    },
}


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_of_the_mathematics_imports_no_more_than_it_may(room):
    refuse(outside({room}, ALLOWED[room]))


def test_ranks_in_lock_step_need_the_reference_alone():
    refuse({(a, b) for a, b in outside({"distributed"}, {"reference", *PLAIN}) if a in LOCKSTEP})


def test_the_mathematics_names_neither_the_engine_nor_threads_nor_a_device():
    for name, path in FILES.items():
        if room_of(name) in ("reference", "amdim", "theory", "laws"):
            text = path.read_text(encoding="utf-8").replace("dimref.distributed.threads", "")
            assert not re.findall(r"(?i)\b(?:engine|threads|cupy|cublas|cuda|gpu)\b", text), name


def test_the_engine_alone_has_cupy_and_holds_blas():
    libraries = {"cupy/", "cupyx/", "cupy_backends/", "threadpoolctl/"}
    refuse({(a, b) for a, b in imports() if b in libraries and room_of(a) != "engine"})


def test_tools_are_imported_by_commands_alone():
    leaves = {"audit", "bench", "evaluation", "estimation"}
    refuse({
        (importer, imported)
        for importer, imported in imports()
        if room_of(imported) in leaves - {room_of(importer)} and room_of(importer) != "commands"
        if (room_of(importer), imported) != ("evaluation", "estimation.held_out")
    })  # fmt: skip


def test_click_is_the_commands():
    refuse({(a, b) for a, b in imports() if b == "click/" and room_of(a) not in ("commands", "cli")})


def test_what_is_known_is_still_there():
    assert not KNOWN - imports(), "mended: take it out of KNOWN"


def cyclic(edges):
    """Modules that are on a cycle, or that one leads to and from."""
    left = {a for edge in edges for a in edge}
    while True:
        kept = {a for a in left if {b for x, b in edges if x == a} & left and {b for b, x in edges if x == a} & left}
        if kept == left:
            return left
        left = kept


def test_there_are_no_cycles():
    edges = {(a, b) for a, b in imports() if not b.endswith("/")} - {("backend", "engine.cupy")}
    assert not cyclic(edges)


def test_the_reference_alone_loads_no_engine_and_runs_its_plain_forms():
    modules = [f"dimref.{name}" for name in FILES if room_of(name) in ("reference", "amdim", "theory", "laws")]
    code = f"""
import importlib, sys
for name in {modules}: importlib.import_module(name)
from dimref.tape import REGIONS
assert len(REGIONS) > 20 and not any(place.implementations for place in REGIONS.values())
assert not [name for name in sys.modules if name.startswith(("dimref.engine", "cupy", "threadpoolctl"))]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
