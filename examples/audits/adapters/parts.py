"""What the adapters share: how another's code is imported, and how scores become features that have them."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types
from pathlib import Path
from typing import Any

CLONES = "DIMREF_AUDIT_CLONES"  # the folder of the user's clones, set by run.py --clones


def alone(name: str, *packages: str) -> Any:
    """A module without the `__init__` of its packages (and of others), whose imports may not be installed."""
    top = name.partition(".")[0]
    if top not in sys.modules:
        spec = importlib.util.find_spec(top)
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(f"No module named {top!r}")
        folder = Path(spec.submodule_search_locations[0]).parent
        for path in (name.rpartition(".")[0], *packages):
            parts = path.split(".")
            for package in (".".join(parts[: k + 1]) for k in range(len(parts))):
                module = sys.modules.setdefault(package, types.ModuleType(package))
                module.__path__ = [str(folder.joinpath(*package.split(".")))]
    return importlib.import_module(name)


def clone(repository: str, module: str, folder: str = "", without: tuple[str, ...] = ()) -> Any:
    """A module of a user's clone; what it imports of `without` is absent and not needed here."""
    for name in without:
        sys.modules.setdefault(name, _Absent(name))
    sys.path.insert(0, str(Path(os.environ[CLONES], repository, folder)))
    return importlib.import_module(module)


class _Absent(types.ModuleType):
    """A module that has every name and does nothing."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing


class _Nothing:
    """What an absent module has: a class to inherit from, a decorator, a constant."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass


def cpu_for_cuda() -> None:
    """`.cuda()` of a tensor is the tensor itself: code that is written for a GPU alone runs on the CPU."""
    import torch

    torch.Tensor.cuda = lambda self, *_, **__: self


def one_hot(scores: Any) -> Any:
    """Vectors e_j with ⟨scores[i], e_j⟩ = scores[i, j]."""
    import torch

    return torch.eye(scores.shape[1], dtype=scores.dtype)


def unit(*features: Any) -> Any:
    """Rows divided by their norms: what a loss leaves to its caller."""
    from torch.nn import functional

    return tuple(functional.normalize(x, dim=1) for x in features)
