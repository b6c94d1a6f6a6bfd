"""dimref: the reference implementation of Deep InfoMax (Hjelm et al., arXiv 1808.06670).

`from dimref import bounds` gives a file of the reference; the names below are modules of the rooms around it, loaded when
they are asked for.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

ROOMS = {
    **dict.fromkeys(("information", "f_divergences", "gaussian", "channels", "probability_tables"), "theory"),
}


def __getattr__(name: str) -> Any:
    if name in ROOMS:
        return import_module(f"dimref.{ROOMS[name]}.{name}")
    raise AttributeError(f"module 'dimref' has no attribute {name!r}")
