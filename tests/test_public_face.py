"""What `import dimref` gives: every name lazily, a page that leads on, and `dir` without imports."""

import importlib
import inspect
import re
import subprocess
import sys
from types import ModuleType

import pytest

import dimref

REFERENCE = (
    "bounds", "negatives", "discriminators", "encoders", "objectives", "ops", "layers", "trees", "tape", "optim", "step",
    "ranks",
)  # fmt: skip


def test_every_name_is_there_and_the_page_leads_to_it():
    for name in dir(dimref):
        assert getattr(dimref, name) is not None
    words = set(re.findall(r"\w+", dimref.__doc__))
    assert set(dir(dimref)) - {"theory", "backend", "errors"} <= words
    assert isinstance(dimref.DeepInfoMax(), importlib.import_module("dimref.training.estimators").DeepInfoMax)
    with pytest.raises(AttributeError, match="'dimref' has no attribute 'nothing'"):
        dimref.nothing  # noqa: B018


def test_importing_it_loads_nothing_but_the_standard_library():
    """Not even NumPy, so it takes a few milliseconds."""
    code = "import sys; old = set(sys.modules); import dimref; print(*sorted(set(sys.modules) - old))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "dimref" in loaded
    assert {name.partition(".")[0] for name in loaded} <= {"dimref", *sys.stdlib_module_names}
    assert not [name for name in loaded if name.startswith("dimref.")]


@pytest.mark.parametrize("name", REFERENCE)
def test_dir_of_a_module_is_what_it_defines(name):
    module = importlib.import_module(f"dimref.{name}")
    names = dir(module)
    assert not [n for n in names if n.startswith("_") or isinstance(getattr(module, n), ModuleType)]
    defined = set(re.findall(r"^(?:def|class) ([a-zA-Z]\w*)", inspect.getsource(module), re.MULTILINE))
    assert defined <= set(names)
    assert not [n for n in set(names) - defined if callable(getattr(module, n))]


@pytest.mark.parametrize("name", ["data", "estimation", "audit", "amdim", "laws"])
def test_dir_of_a_room_is_what_it_offers(name):
    assert dir(importlib.import_module(f"dimref.{name}")) == sorted(getattr(dimref, name).__all__)
