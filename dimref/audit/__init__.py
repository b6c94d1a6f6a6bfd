"""Holding another implementation against this one. Loads nothing until it is asked for: pytest imports the plugin here."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dimref.audit.callables import assert_conforms, audit

__all__ = ["assert_conforms", "audit"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'dimref.audit' has no attribute {name!r}")
    from dimref.audit import callables

    return getattr(callables, name)
