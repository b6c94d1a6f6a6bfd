"""dimref: the reference implementation of Deep InfoMax (Hjelm et al., arXiv 1808.06670).

`from dimref import bounds` gives a file of the reference, `from dimref import information` one of `theory/`, which is loaded
only then.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

THEORY = ("information", "f_divergences", "gaussian", "channels", "probability_tables")


def __getattr__(name: str) -> Any:
    if name in THEORY:
        return import_module(f"dimref.theory.{name}")
    raise AttributeError(f"module 'dimref' has no attribute {name!r}")
